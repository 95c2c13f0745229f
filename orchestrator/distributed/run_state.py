"""Where a session of a run stands: all that its workflow keeps, and hands over when it continues as new."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.distributed.payloads import (
    ChunkPlace,
    EndCount,
    LaneCarry,
    Orders,
    RunInput,
    StopOrder,
    StopState,
)
from orchestrator.distributed.run_news import WaitBegun


class PartState(Struct, kw_only=True):
    """A lane workflow that was started and is not released yet."""

    workflow: str
    gateway: str
    place: ChunkPlace
    over: bool = False
    """It dispatches no more chunks."""


class LostLane(Struct, frozen=True, kw_only=True):
    """Where a lane was when it took no targets any more."""

    step: int
    level: int
    """Both as indices in the input."""
    first: int
    """Targets of that level before the first that was not done."""


class RunState(Struct, kw_only=True):
    """All that the decisions of a run depend on beside its input.

    A workflow that continues as new hands it over as JSON, also to one of another version of the program: a
    field keeps its name, and a new one has a default.
    """

    phase: Literal["window", "first", "next", "step", "pause", "question", "over"] = "window"
    index: int = -1
    """The step that is under way, or was last."""
    level: int = 0
    wait: WaitBegun | None = None
    waits: int = 0
    """Waits that have begun."""
    orders: Orders = Orders()
    """As the driver gave them."""
    stop_order: StopOrder | None = None
    """The gravest stop, whoever ordered it."""
    serial: int = 0
    """The number of the orders that hold, as lanes are told them."""
    counts: StopState = StopState()
    carries: dict[str, LaneCarry] = {}
    refusals: dict[str, str] = {}
    """By gateway: why its lane takes no targets any more."""
    lost: dict[str, LostLane] = {}
    """By gateway: from where on its lane did nothing."""
    handed: dict[str, int] = {}
    """By gateway: targets of this level that parts had."""
    numbers: dict[str, int] = {}
    """By gateway: parts of this level."""
    parts: list[PartState] = []
    in_step: list[EndCount] = []
    """What ended in this step."""
    left: dict[str, int] = {}
    """By gateway: targets of all steps without an outcome."""
    ended: int = 0
    broken: dict[str, tuple[int, ...]] = {}
    """By chunk."""
    has_sent: bool = False
    """Some worker has begun with its targets."""
    void: str | None = None
    bug: str | None = None
    acknowledged: bool = False

    @property
    def lane_orders(self) -> Orders:
        """The orders that hold: the driver's, with the gravest stop, numbered as lanes see them."""
        return replace(self.orders, number=self.serial, stop=self.stop_order)

    @property
    def shown_orders(self) -> Orders:
        """The orders that hold, under the number of the driver's last ones: a later driver counts on."""
        return replace(self.orders, stop=self.stop_order)


def begin_state(given: RunInput) -> RunState:
    """Return where a session stands before its first decision."""
    left = Counter[str]()
    for step in given.steps:
        left.update(step.count_targets())
    return RunState(
        orders=given.orders,
        stop_order=given.orders.stop,
        counts=given.stop,
        carries=dict(given.carries),
        left=dict(left),
    )
