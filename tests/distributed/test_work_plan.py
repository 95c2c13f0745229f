"""The work of a session as its workflows get it: steps, levels, counts, out of the journal."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator.distributed.order_desk import compose_orders
from orchestrator.distributed.payloads import EndCount, JournalPages, LaneCarry, LevelWork, RunInput
from orchestrator.distributed.work_plan import make_run_input
from orchestrator.engine.controller import Controller
from orchestrator.engine.resources import RunResources
from orchestrator.journal.run_lookup import list_runs
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from tests.support.played_conductor import PlayedConductor, resume_conducted, run_conducted

TOP = """\
version: 1
name: far
stop_when: {failed: 50%}
gateways:
  a: {kind: apinizer, url: https://a.example.com, zone: dmz, park_for: 5m, auth: {token: {env: T}}}
  b: {kind: apinizer, url: https://b.example.com, timeout: 20s, auth: {token: {env: T}}}
"""
PAGES = JournalPages(workflow="w", pages=1, size=1, digest="d")


class Planner:
    """Makes the input of each session, and ends the first targets of it as the test wants."""

    def __init__(self, *ends: tuple[str, str | None]) -> None:
        self.given: list[RunInput] = []
        self._ends = ends

    async def conduct(self, resources: RunResources, controller: Controller) -> None:
        orders = compose_orders(resources.run_gate, controller.learned, number=0)
        learned = controller.learned
        self.given.append(
            make_run_input(resources, PAGES, orders=orders, learned=learned, searchable=True, lease=5.0)
        )
        first = self.given[-1].steps[0]
        resources.record.keep_wave_step(1.0, WaveStep(first.wave, first.step))
        for gateway in first.levels[0].targets:
            batch, _ = resources.pending.read_batch(WaveStep(first.wave, first.step), gateway, (-1, 0))
            for (target, _history), (outcome, reason) in zip(batch, self._ends, strict=False):
                values = (outcome, reason, None, 0.1, 1.0, target.seq)
                resources.record.take_over([("outcome", values)])
        resources.record.keep_pace(1.0, "a", 2.5)


def plan_first(tmp_path: Path, waves: str, *ends: tuple[str, str | None], **options: object) -> Planner:
    (tmp_path / "plan.yaml").write_text(TOP + waves)
    planner = Planner(*ends)
    run_conducted(tmp_path / "plan.yaml", PlayedConductor(planner.conduct), **options)
    return planner


WAVES = """\
waves:
  - name: canary
    pause_after: 5m
    targets: [{gateway: a, project: P, proxies: [one, two], environment: e}]
  - name: rest
    sizes: [1, 100%]
    proceed: ask
    targets:
      - {gateway: a, project: P, proxies: [r, s], environment: e}
      - {gateway: b, project: P, proxies: [t, u, v], environment: e}
"""


def test_each_step_has_its_targets_by_gateway(tmp_path: Path) -> None:
    (given,) = plan_first(tmp_path, WAVES).given

    found = [(step.name, step.step, step.steps, [*step.levels[0].targets.items()]) for step in given.steps]
    assert found == [
        ("canary", 0, 1, [("a", 2)]),
        ("rest", 0, 2, [("a", 1)]),
        ("rest", 1, 2, [("a", 1), ("b", 3)]),
    ]
    assert [step.pause_after for step in given.steps] == [300.0, None, None]
    assert [step.asks for step in given.steps] == [False, True, True]
    assert not any(step.asks_first or step.accepted or step.before for step in given.steps)
    assert all(step.levels[0].level is None for step in given.steps)


def test_targets_behind_a_long_pause_do_not_come_soon(tmp_path: Path) -> None:
    (given,) = plan_first(tmp_path, WAVES.replace("5m", "1s").replace("proceed: ask", "")).given

    assert [step.later for step in given.steps] == [{"a": 2, "b": 3}, {"a": 1, "b": 3}, {}]
    assert plan_first(tmp_path, WAVES).given[0].steps[0].later == {}


def test_a_gateway_comes_with_its_zone_and_its_times(tmp_path: Path) -> None:
    gateways = plan_first(tmp_path, WAVES).given[0].gateways

    assert {name: (each.zone, each.park_for) for name, each in gateways.items()} == {
        "a": ("dmz", 300.0),
        "b": ("default", 600.0),
    }
    assert gateways["b"].reply_timeout == 20.0
    assert gateways["a"].installation != gateways["b"].installation


AFTER = """\
targets:
  - {gateway: a, project: P, proxies: [one, two], environment: e}
  - {gateway: b, project: P, proxy: three, environment: e, after: [a/P/one/e]}
  - {gateway: a, project: P, proxy: four, environment: e, after: [b/P/three/e]}
"""


def test_targets_that_wait_for_those_of_another_gateway_go_level_by_level(tmp_path: Path) -> None:
    (step,) = plan_first(tmp_path, AFTER).given[0].steps

    assert step.levels == (
        LevelWork(level=0, targets={"a": 2}),
        LevelWork(level=1, targets={"b": 1}),
        LevelWork(level=2, targets={"a": 1}),
    )


def test_targets_that_wait_for_those_of_their_own_gateway_go_together(tmp_path: Path) -> None:
    targets = """\
targets:
  - {gateway: a, project: P, proxy: p, environment: e}
  - {gateway: a, project: P, proxy: q, environment: e, after: [a/P/p/e]}
"""
    (step,) = plan_first(tmp_path, targets).given[0].steps

    assert step.levels == (LevelWork(level=None, targets={"a": 2}),)


def test_what_is_held_back_is_counted_and_not_done(tmp_path: Path) -> None:
    (given,) = plan_first(tmp_path, WAVES, skip=("a/P/one/e",)).given

    assert given.steps[0].levels[0].targets == {"a": 1}
    assert given.steps[0].before == (EndCount(outcome=Outcome.NOT_STARTED, word="filtered", count=1),)


def resume_after(tmp_path: Path, planner: Planner, **options: object) -> RunInput:
    (folder,) = list_runs(tmp_path / "state")
    resume_conducted(folder, PlayedConductor(planner.conduct), **options)
    return planner.given[-1]


def test_a_resume_goes_on_with_what_is_left_and_with_what_was_learned(tmp_path: Path) -> None:
    planner = plan_first(tmp_path, WAVES, ("undeployed", None), ("failed", "refused: no"))

    given = resume_after(tmp_path, planner)

    assert (given.session, given.first_run) == (2, False)
    assert [(step.name, step.step) for step in given.steps] == [("rest", 0), ("rest", 1)]
    assert given.stop.in_run == {"failed": 1}
    assert given.carries == {"a": LaneCarry(rate=2.5)}
    # The step before was over, and its wave asks nobody.
    assert not given.steps[0].asks_first


def test_a_question_that_nobody_has_answered_comes_first(tmp_path: Path) -> None:
    waves = WAVES.replace("pause_after: 5m", "proceed: ask")
    planner = plan_first(tmp_path, waves, ("undeployed", None), ("undeployed", None))

    assert [step.asks_first for step in resume_after(tmp_path, planner).steps] == [True, False]


def test_the_question_is_about_the_last_wave_that_had_something_to_do(tmp_path: Path) -> None:
    waves = (
        "waves:\n"
        "  - {name: one, proceed: ask, targets: [{gateway: a, project: P, proxy: x, environment: e}]}\n"
        "  - {name: two, targets: [{gateway: a, project: P, proxy: y, environment: e}]}\n"
        "  - {name: three, targets: [{gateway: a, project: P, proxy: z, environment: e}]}\n"
    )
    planner = plan_first(tmp_path, waves, ("undeployed", None), skip=("a/P/y/e",))

    (step,) = resume_after(tmp_path, planner).steps
    assert (step.name, step.asks_first, step.asked_after) == ("three", True, 0)


def test_a_person_who_goes_on_past_a_stop_accepts_the_counts(tmp_path: Path) -> None:
    planner = plan_first(tmp_path, WAVES, ("failed", "refused: no"))

    given = resume_after(tmp_path, planner, past_stop=True)

    assert (given.past_stop, given.stop.in_run) == (True, {})
    assert [step.accepted for step in given.steps] == [True, False, False]


def test_the_input_is_small_however_many_targets_there_are(tmp_path: Path) -> None:
    proxies = ", ".join(f"p{number}" for number in range(3000))
    targets = f"targets: [{{gateway: a, project: P, proxies: [{proxies}], environment: e}}]\n"

    (given,) = plan_first(tmp_path, targets).given

    assert given.steps[0].levels[0].targets == {"a": 3000}
    assert len(msgspec.json.encode(given)) < 2000
