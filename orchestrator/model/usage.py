"""How much a target is used: the calls of the last hours, and who may call."""

from __future__ import annotations

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The use of one target, as far as it can be told."""

    hours: float
    """The calls of so many hours before the read."""
    calls: int | None = None
    """Number of calls, refused ones included; None where nothing tells it. Never 0 for that."""
    why: str | None = None
    """Why the calls cannot be told, in words."""
    callers: tuple[str, ...] = ()
    """Names of those who have called or may call; where they are many, of the first ones."""
    more_callers: int = 0
    """Number of further ones."""
    callers_unread: str | None = None
    """Why the callers cannot be told, in words."""
    is_open: bool = False
    """Whether anybody may call, without a credential."""
