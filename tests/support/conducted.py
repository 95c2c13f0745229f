"""Inputs of a run's and of a lane's workflow, small ones; and a run that is played without any server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from orchestrator.distributed.payloads import (
    ChunkEnd,
    ChunkOrder,
    ChunkPlace,
    ChunkReport,
    EndCount,
    JournalPages,
    LaneCarry,
    LaneInput,
    LaneOver,
    LevelWork,
    Orders,
    RunInput,
    StepWork,
    StopOrder,
    StopState,
    ZonedGateway,
)
from orchestrator.distributed.run_conduct import RunConduct
from orchestrator.distributed.run_decisions import LetGoOn, Release, StartLane, TellOrders
from orchestrator.distributed.run_news import NewsItem
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId, StopWhen

RUN = RunId("20261129-040000000-conducted")
WORKFLOW = f"undeploy/{RUN}/1"
PAGES = JournalPages(workflow=WORKFLOW, pages=1, size=1, digest="00")


def make_step(wave: int = 0, step: int = 0, *, levels: Sequence[LevelWork] = (), **fields: Any) -> StepWork:
    """Return a step; keyword ``targets`` is short for one level."""
    targets = fields.pop("targets", None)
    found = tuple(levels) or (LevelWork(level=None, targets=targets or {"apim": 400}),)
    return StepWork(
        **{"wave": wave, "step": step, "name": f"wave-{wave}", "steps": 1, "levels": found} | fields
    )


def make_input(
    *steps: StepWork,
    zones: Mapping[str, str] | None = None,
    one: Mapping[str, str] | None = None,
    timeouts: Mapping[str, float] | None = None,
    **fields: Any,
) -> RunInput:
    """Return the input of a run. ``zones`` and ``timeouts`` are by gateway; ``one`` names installations that
    are shared."""
    names = dict.fromkeys(name for step in steps for level in step.levels for name in level.targets)
    gateways = {
        name: ZonedGateway(
            zone=(zones or {}).get(name, "default"),
            installation=(one or {}).get(name, name),
            park_for=600.0,
            reply_timeout=(timeouts or {}).get(name, 30.0),
        )
        for name in names
    }
    given = {
        "run": RUN,
        "session": 1,
        "plan": "orders-retirement",
        "act": "undeploy",
        "journal": PAGES,
        "steps": steps,
        "gateways": gateways,
        "stop_when": StopWhen(),
    }
    return RunInput(**given | fields)


def make_lane(**fields: Any) -> LaneInput:
    """Return the input of a lane of 400 targets."""
    given = {
        "run_workflow": WORKFLOW,
        "run": RUN,
        "session": 1,
        "plan": "orders-retirement",
        "act": "undeploy",
        "journal": PAGES,
        "place": ChunkPlace(wave=0, step=0, gateway="apim", first=0, count=400),
        "zone": "dmz",
        "park_for": 600.0,
        "window": None,
        "stop": StopState(),
        "orders": Orders(),
        "carry": LaneCarry(),
        "first_run": True,
        "past_stop": False,
    }
    return LaneInput(**given | fields)


def count(
    number: int, outcome: Outcome = Outcome.UNDEPLOYED, word: str = "", *, doubted: bool = False
) -> EndCount:
    return EndCount(outcome=outcome, word=word, count=number, doubted=doubted)


def make_end(order: ChunkOrder, *counts: EndCount, left: int = 0, **fields: Any) -> ChunkEnd:
    """Return the result of a chunk; without ``counts`` all of it was undeployed."""
    given = {
        "segments": (b"rows",),
        "left": left,
        "rows": b"left" if left else b"",
        "counts": counts or (count(order.place.count - left),),
        "stop": order.stop,
        "breach": None,
        "carry": order.carry,
        "refusal": None,
    }
    return ChunkEnd(**given | fields)


class PlayedRun:
    """A run whose lanes do at once what a test says."""

    def __init__(self, given: RunInput, now: float = 1000.0) -> None:
        self.conduct = RunConduct(given, WORKFLOW)
        self.now = now
        self.news: list[NewsItem] = []
        self.open: dict[str, LaneInput] = {}
        """The lanes that go on, by workflow."""
        self.answers: list[LetGoOn] = []
        self.told: list[TellOrders] = []
        self.released: list[str] = []

    def go(self) -> None:
        """Decide what can be decided, and keep what follows."""
        self.conduct.advance(self.now)
        for action in self.conduct.take_actions():
            match action:
                case StartLane(workflow, given):
                    assert workflow not in self.open
                    self.open[workflow] = given
                case TellOrders():
                    self.told.append(action)
                case LetGoOn():
                    self.answers.append(action)
                case Release(workflow):
                    self.released.append(workflow)
        self.news += self.conduct.take_news()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.go()

    def continue_as_new(self) -> None:
        """Go on as another workflow does that is handed the state."""
        self.conduct = RunConduct(self.conduct.hand_over(), WORKFLOW)

    def report(
        self, workflow: str, *counts: EndCount, breach: StopOrder | None = None, **fields: Any
    ) -> None:
        """Report a chunk of a lane."""
        given = {"dispatch": 0, "broken": (), "first": 0}
        gateway = self.open[workflow].place.gateway
        report = ChunkReport(
            workflow=workflow, gateway=gateway, counts=counts, breach=breach, **given | fields
        )
        self.conduct.take_report(report)
        self.go()

    def end(self, workflow: str, **fields: Any) -> None:
        """End a lane."""
        lane = self.open.pop(workflow)
        over = {"dispatches": 1, "carry": lane.carry} | fields
        self.conduct.take_lane_over(LaneOver(workflow=workflow, gateway=lane.place.gateway, **over))
        self.go()

    def finish(self, workflow: str, outcome: Outcome = Outcome.UNDEPLOYED, word: str = "") -> None:
        """Let all targets of a lane end alike, and the lane with them."""
        self.report(workflow, count(self.open[workflow].place.count, outcome, word))
        self.end(workflow)

    def order(self, **fields: Any) -> None:
        """Give an order as the next one of the driver."""
        before = self.conduct.state.orders
        self.conduct.take_orders(replace(before, number=before.number + 1, **fields))
        self.go()

    @property
    def gateways(self) -> list[str]:
        """The gateways whose lanes go on."""
        return [lane.place.gateway for lane in self.open.values()]

    def only(self) -> str:
        """Return the workflow of the one lane that goes on."""
        (workflow,) = self.open
        return workflow

    def list_news(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.news if isinstance(item, kind)]
