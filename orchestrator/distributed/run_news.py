"""The news of a run's workflow: what has happened, as its driver reads it out of the workflow's memo.

They travel as ``payloads`` do, and what is said there of their fields holds here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from orchestrator.distributed.payloads import StopOrder


class StepBegun(Struct, frozen=True, kw_only=True, tag="step_begun"):
    """A step begins. ``index`` is that in ``RunInput.steps``."""

    index: int


class LanePartBegun(Struct, frozen=True, kw_only=True, tag="part_begun"):
    """A lane workflow has begun; its history holds the results of its chunks."""

    workflow: str
    gateway: str
    index: int


class LanePartOver(Struct, frozen=True, kw_only=True, tag="part_over"):
    """A lane workflow dispatches no more chunks."""

    workflow: str
    gateway: str
    dispatches: int
    """Chunks that it has handed out: so many results are in its history. 0 if its workflow is gone."""
    refusal: str | None = None
    """Why the lane starts nothing any more, with its ``Reason``."""
    untold: bool = False
    """No worker tells of the refusal: it had no credential, or was lost. So the driver tells it."""


class StepOver(Struct, frozen=True, kw_only=True, tag="step_over"):
    """A step has ended: all of its lanes have."""

    index: int


class WaitBegun(Struct, frozen=True, kw_only=True, tag="wait_begun"):
    """The run waits between two steps, or for its window."""

    why: Literal["window", "pause_after", "proceed"]
    index: int
    """The step after which it waits; -1 before the first."""
    until: float | None = None
    number: int = -1
    """Counts the waits of the session from 0; ``Orders.proceed`` names a wait by it."""


class WaitOver(Struct, frozen=True, kw_only=True, tag="wait_over"):
    """The wait is over."""

    index: int


class ZoneSilent(Struct, frozen=True, kw_only=True, tag="zone_silent"):
    """No worker of a zone has taken a chunk for some seconds."""

    gateway: str
    zone: str
    until: float
    """Unix time at which the lane is given up."""


class ZoneAnswers(Struct, frozen=True, kw_only=True, tag="zone_answers"):
    """A worker of the zone has taken the chunk."""

    gateway: str
    zone: str


class RunStopped(Struct, frozen=True, kw_only=True, tag="run_stopped"):
    """Nothing new starts."""

    stop: StopOrder


class RunOver(Struct, frozen=True, kw_only=True, tag="run_over"):
    """The session has ended on the engine's side; the results wait for a driver."""

    void: str | None = None
    """Why nothing was sent at all: the approval expired, or a worker refused a credential."""
    bug: str | None = None
    """A fault of the program in a worker, in one line."""


NewsItem: TypeAlias = (
    StepBegun
    | LanePartBegun
    | LanePartOver
    | StepOver
    | WaitBegun
    | WaitOver
    | ZoneSilent
    | ZoneAnswers
    | RunStopped
    | RunOver
)


class RunNews(Struct, frozen=True, kw_only=True):
    """The value of the memo key ``news``: what has happened since the last time it was set.

    The workflow may continue as new (a run of Temporal's own, under the same id): its news goes on there.
    """

    items: tuple[NewsItem, ...]
