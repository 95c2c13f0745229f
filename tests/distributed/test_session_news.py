"""The news of a run's workflow, as a session here tells them to its journal and its listeners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from orchestrator.distributed.order_desk import compose_orders
from orchestrator.distributed.payloads import JournalPages, StopOrder
from orchestrator.distributed.run_news import (
    LanePartBegun,
    LanePartOver,
    NewsItem,
    RunOver,
    RunStopped,
    StepBegun,
    StepOver,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.distributed.session_news import SessionNews
from orchestrator.distributed.work_plan import make_run_input
from orchestrator.engine.controller import Controller
from orchestrator.engine.request import Prompt
from orchestrator.engine.resources import RunResources
from orchestrator.journal.notes import list_begun
from orchestrator.model.events import AnyEvent
from orchestrator.model.plan import WaveStep
from orchestrator.runs.result import RunResult
from tests.support.played_conductor import PlayedConductor, run_conducted

PLAN = """\
version: 1
name: far
gateways:
  a: {kind: apinizer, url: https://a.example.com, zone: dmz, auth: {token: {env: T}}}
waves:
  - name: canary
    proceed: ask
    targets: [{gateway: a, project: P, proxies: [one, two], environment: e}]
  - name: rest
    sizes: [1, 100%]
    targets: [{gateway: a, project: P, proxies: [r, s, t], environment: e}]
"""
PAGES = JournalPages(workflow="w", pages=1, size=1, digest="d")
PART = LanePartBegun(workflow="w/lane/0.0/a/0", gateway="a", index=0)
PART_OVER = LanePartOver(workflow=PART.workflow, gateway="a", dispatches=2)


class Lanes:
    """Notes in one list with the events what the news say of lanes."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told

    def begin(self, part: LanePartBegun) -> None:
        self._told.append("lane begins")

    def end(self, part: LanePartOver) -> None:
        self._told.append(f"lane has {part.dispatches} results")

    async def finish(self, index: int | None = None) -> None:
        self._told.append(f"results of step {index} are here")


class Listener:
    """Plays one session to which the workflow of a run tells some news."""

    def __init__(self, *items: NewsItem | str, announced: int = -1, heard: int = 0) -> None:
        """A text among the items stops, pauses or continues the session's gate."""
        self.told: list[Any] = []
        self.proceeds: list[bool] = []
        self._items = items
        self._announced, self._heard = announced, heard
        self.refusals: dict[str, str] = {}
        self.over: RunOver | None = None

    async def conduct(self, resources: RunResources, controller: Controller) -> None:
        self.told.clear()
        orders = compose_orders(resources.run_gate, {}, number=0)
        given = make_run_input(resources, PAGES, orders=orders, learned={}, searchable=False, lease=10.0)
        async with anyio.create_task_group() as group:
            news = SessionNews(
                resources,
                given,
                Lanes(self.told),
                group,
                announced=self._announced,
                heard=self._heard,
            )
            for item in self._items:
                if isinstance(item, str):
                    getattr(resources.run_gate, item)()
                else:
                    await news.tell(item)
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        self.refusals, self.over = dict(resources.lane_refusals), news.over
        self.wait = news.told_wait
        self.stopped = resources.run_gate.stop_kind
        self.rests, self.paused = resources.run_gate.rests, resources.run_gate.paused

    def hear(self, event: AnyEvent) -> None:
        self.told.append(event)


def play(tmp_path: Path, listener: Listener, prompt: Prompt | None = None) -> RunResult:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return run_conducted(
        tmp_path / "plan.yaml", PlayedConductor(listener.conduct), events=listener.told, prompt=prompt
    )


def name(told: Sequence[Any], *but: str) -> list[str]:
    """Return what was told in short, without the end of the session."""
    names = [each if isinstance(each, str) else type(each).__name__ for each in told]
    return [each for each in names if each not in ("RunEnded", *but)]


WHOLE = (
    StepBegun(index=0),
    PART,
    PART_OVER,
    StepOver(index=0),
    StepBegun(index=1),
    StepOver(index=1),
    StepBegun(index=2),
    StepOver(index=2),
    RunOver(),
)


def test_a_wave_is_told_before_its_targets_and_ends_once_their_results_are_here(tmp_path: Path) -> None:
    listener = Listener(*WHOLE)

    result = play(tmp_path, listener)

    assert name(listener.told) == [
        *("WaveStarted", "lane begins", "lane has 2 results", "results of step 0 are here", "WaveEnded"),
        *("WaveStarted", "StepStarted", "results of step 1 are here"),
        *("StepStarted", "results of step 2 are here", "WaveEnded"),
    ]
    left = [event.left for event in listener.told if type(event).__name__ in ("WaveStarted", "StepStarted")]
    assert left == [2, 3, 1, 2]
    assert listener.over == RunOver()
    database = result.folder.open()
    try:
        assert list(list_begun(database)) == [WaveStep(0, 0), WaveStep(1, 0), WaveStep(1, 1)]
    finally:
        database.close()


def test_a_wave_that_a_stop_breaks_off_between_two_steps_is_over_at_the_end(tmp_path: Path) -> None:
    listener = Listener(*WHOLE[:-3], RunOver())

    play(tmp_path, listener)

    assert name(listener.told)[-4:] == [
        *("WaveStarted", "StepStarted", "results of step 1 are here"),
        "WaveEnded",
    ]


def test_a_later_process_tells_no_step_again_but_that_which_goes_on(tmp_path: Path) -> None:
    listener = Listener(*WHOLE, announced=1, heard=5)

    result = play(tmp_path, listener)

    assert name(listener.told) == [
        *("lane begins", "lane has 2 results"),
        *("WaveStarted", "StepStarted", "results of step 1 are here"),
        *("StepStarted", "results of step 2 are here", "WaveEnded"),
    ]
    database = result.folder.open()
    try:
        assert list(list_begun(database)) == [WaveStep(1, 1)]
    finally:
        database.close()


PAUSE = WaitBegun(why="pause_after", index=0, until=2e9, number=0)
QUESTION = WaitBegun(why="proceed", index=0, number=1)


def test_a_wait_rests_the_session_until_it_is_over(tmp_path: Path) -> None:
    listener = Listener(StepBegun(index=0), StepOver(index=0), PAUSE, WaitOver(index=0), RunOver())

    play(tmp_path, listener)

    (waiting,) = (each for each in listener.told if type(each).__name__ == "RunWaiting")
    assert (waiting.why, waiting.wave, waiting.until, waiting.answers) == (
        "pause_after",
        "canary",
        2e9,
        False,
    )
    assert "RunContinued" in name(listener.told)
    assert listener.wait is None


def test_a_wait_that_was_over_before_is_not_told_again(tmp_path: Path) -> None:
    items = (StepBegun(index=0), StepOver(index=0), PAUSE, WaitOver(index=0), QUESTION, RunOver())
    listener = Listener(*items, announced=0, heard=5)

    play(tmp_path, listener)

    waits = [each.why for each in listener.told if type(each).__name__ == "RunWaiting"]
    assert waits == ["proceed"]


def answer(yes: bool) -> Prompt:
    async def prompt(wave: str) -> bool:
        assert wave == "canary"
        return yes

    return prompt


def test_the_operator_at_the_terminal_is_asked(tmp_path: Path) -> None:
    listener = Listener(StepBegun(index=0), StepOver(index=0), QUESTION, "go_on")

    play(tmp_path, listener, answer(yes=True))

    (waiting,) = (each for each in listener.told if type(each).__name__ == "RunWaiting")
    assert (waiting.why, waiting.answers) == ("proceed", True)
    assert listener.stopped is None


def test_a_yes_at_the_terminal_ends_no_pause_that_another_operator_has_ordered(tmp_path: Path) -> None:
    listener = Listener(StepBegun(index=0), StepOver(index=0), "pause", QUESTION, StepBegun(index=1))

    play(tmp_path, listener, answer(yes=True))

    assert (listener.rests, listener.paused) == (False, True)


def test_an_operator_who_declines_stops_the_run(tmp_path: Path) -> None:
    listener = Listener(StepBegun(index=0), StepOver(index=0), QUESTION)

    result = play(tmp_path, listener, answer(yes=False))

    assert listener.stopped == "control"
    assert result.report.run.stopped_by == ("interrupt: the operator declined to continue after wave canary")


def test_a_stop_of_the_workflow_stops_the_session_for_the_same_reason(tmp_path: Path) -> None:
    order = StopOrder(kind="stop_rule", text="failed: 3 in the run, now in wave canary, limit 2")

    result = play(tmp_path, Listener(StepBegun(index=0), RunStopped(stop=order), RunOver()))

    assert result.report.run.stopped_by == f"stop_rule: {order.text}"


SILENT = ZoneSilent(gateway="a", zone="dmz", until=1_900_000_000.0)


def test_a_zone_without_a_worker_parks_its_lanes(tmp_path: Path) -> None:
    refusal = "parked: no worker of zone dmz took its work for 10m"
    over = LanePartOver(workflow=PART.workflow, gateway="a", dispatches=1, refusal=refusal)
    listener = Listener(StepBegun(index=0), PART, SILENT, over, StepOver(index=0), RunOver())

    result = play(tmp_path, listener)

    states = [(each.state, each.given_up) for each in listener.told if type(each).__name__ == "LaneChanged"]
    assert states == [("parked", False), ("parked", True)]
    assert listener.refusals == {"a": refusal}
    (gateway,) = result.report.gateways
    assert gateway.lane == "parked"
    assert "no worker of zone dmz takes its work; given up at 2030-03-17" in gateway.warnings[0]


def test_a_worker_that_lacks_the_credential_closes_a_lane_that_waited_for_it(tmp_path: Path) -> None:
    refusal = "denied: gateway a: T is not set"
    over = LanePartOver(workflow=PART.workflow, gateway="a", dispatches=1, refusal=refusal, untold=True)
    late = ZoneAnswers(gateway="a", zone="dmz")
    listener = Listener(StepBegun(index=0), PART, SILENT, over, late, StepOver(index=0), RunOver())

    result = play(tmp_path, listener)

    states = [(each.state, each.given_up) for each in listener.told if type(each).__name__ == "LaneChanged"]
    assert states == [("parked", False), ("closed", False)]
    (gateway,) = result.report.gateways
    assert gateway.lane == "closed"


def test_a_credential_that_a_zone_lacks_is_told_when_it_closes_the_lane(tmp_path: Path) -> None:
    refusal = "denied: gateway a: T is not set"
    over = LanePartOver(workflow=PART.workflow, gateway="a", dispatches=1, refusal=refusal, untold=True)
    listener = Listener(StepBegun(index=0), PART, over, StepOver(index=0), RunOver())

    result = play(tmp_path, listener)

    assert name(listener.told).index("LaneChanged") < name(listener.told).index("results of step 0 are here")
    (closed,) = (each for each in listener.told if type(each).__name__ == "LaneChanged")
    assert (closed.gateway, closed.state, closed.reason) == ("a", "closed", refusal)
    (gateway,) = result.report.gateways
    assert gateway.lane == "closed"
    assert refusal in gateway.warnings


def test_a_lane_whose_workers_are_lost_again_and_again_is_told_as_given_up(tmp_path: Path) -> None:
    refusal = "parked: the workers of zone dmz failed 10 times in a row: the worker was lost"
    over = LanePartOver(workflow=PART.workflow, gateway="a", dispatches=10, refusal=refusal, untold=True)
    listener = Listener(StepBegun(index=0), PART, over, StepOver(index=0), RunOver())

    result = play(tmp_path, listener)

    (parked,) = (each for each in listener.told if type(each).__name__ == "LaneChanged")
    assert (parked.state, parked.given_up, parked.reason) == ("parked", True, refusal)
    assert result.report.gateways[0].lane == "parked"


def test_a_zone_whose_worker_comes_late_goes_on(tmp_path: Path) -> None:
    listener = Listener(StepBegun(index=0), PART, SILENT, ZoneAnswers(gateway="a", zone="dmz"), RunOver())

    play(tmp_path, listener)

    states = [each.state for each in listener.told if type(each).__name__ == "LaneChanged"]
    assert states == ["parked", "open"]
