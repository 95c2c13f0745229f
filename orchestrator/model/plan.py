"""A plan apart from its targets. Times are aware datetimes, durations seconds, shares fractions of 1."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, NewType

from msgspec import Meta, Struct

if TYPE_CHECKING:
    pass
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Seconds

RunId = NewType("RunId", str)


class Threshold(Struct, frozen=True, kw_only=True):
    """When a stop rule fires: strictly above ``count`` targets of the run, or above ``share`` of a wave."""

    count: int | None = None
    share: float | None = None


class StopWhen(Struct, frozen=True, kw_only=True):
    """The stop rules of a plan."""

    failed: Threshold = Threshold(share=0.2)
    unknown: Threshold = Threshold(share=0.2)
    surprising: Threshold = Threshold(share=0.5)


class Window(Struct, frozen=True):
    """When undeploys may start: from ``opens`` until one timeout before ``closes``; ``None`` is unbounded."""

    opens: datetime | None
    closes: datetime | None


class Size(Struct, frozen=True, kw_only=True):
    """How far a step of a wave goes: up to ``count`` of its targets, or up to a ``share`` of them."""

    count: int | None = None
    share: float | None = None


class Wave(Struct, frozen=True, kw_only=True):
    """Targets that may go together; the next wave starts when this one has ended."""

    name: str
    pause_after: Seconds | None = None
    """How long the run waits after each of its steps, before the next step or wave."""
    proceed: Literal["automatic", "ask"] = "automatic"
    """Whether somebody is asked before the next step or wave."""
    sizes: tuple[Size, ...] = ()
    """Where the wave is split into steps, cumulatively; the last is 100 %. Empty is one step."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a plan says apart from its targets, which are too many to be held: they live in the journal."""

    name: str
    parent: str | None = None
    """Id of the run whose remainder this is."""
    reason: str | None = None
    window: Window | None = None
    gateways: tuple[Gateway, ...]
    stop_when: StopWhen = StopWhen()
    protect: tuple[str, ...] = ()
    at_most: Annotated[int, Meta(ge=1)] | None = None
    waves: tuple[Wave, ...]
    snapshot: Literal["best", "required", "off"] = "best"
    """Whether what a restore needs is kept before each undeploy."""
    approval: Literal["none", "digest", "file", "signed"] = "none"
    """What a run of this plan wants before it begins."""
