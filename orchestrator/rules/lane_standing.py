"""Where a lane stands, as far as another process needs it to go on with the lane. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.model.target import TargetId


class LaneStanding(Struct, frozen=True, kw_only=True):
    """The state of a lane between two processes that work on it. Times are monotonic seconds."""

    state: Literal["open", "parked", "closed"] = "open"
    reason: str | None = None
    """Why it is parked or closed."""
    given_up: bool = False
    rate: float | None = None
    """The pace that the gateway turned out to bear, in undeploys a second."""
    faulty: tuple[TargetId, ...] = ()
    """The targets with faults since the last answered undeploy."""
    unsent: int = 0
    """Requests in a row that could not be sent."""
    has_answered: bool = False
    """Some undeploy was answered in this session."""
    parked_since: float | None = None
    """Where the lane is parked and still probed."""
    paused_until: float | None = None
    """Until then the gateway wants no request."""
    next_at: float | None = None
    """From then on the pace lets another undeploy leave."""
