"""How much a target is used: the calls of the last hours, and who may call."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.text.counting import count_noun


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

    @property
    def is_told(self) -> bool:
        """Whether everything about the use could be read: how many calls, and who may call."""
        return self.calls is not None and (self.is_open or self.callers_unread is None)


MOST_CALLS = 10**12
"""Calls of one target. A gateway that counts more is wrong, and a journal could not add up such numbers."""


def doubt_calls(calls: int) -> str | None:
    """Return why a number of calls is not believed, in words; None if it is."""
    return None if calls <= MOST_CALLS else f"more than {MOST_CALLS:,} calls were counted, which cannot be"


NOT_TOLD = "not told"
"""Stands for a number that nothing tells. It is never rounded to "none"."""


def describe_calls(usage: Usage) -> str:
    """Return ``1,204 calls in 72 h``, or that the calls are not told, and why."""
    if usage.calls is None:
        return f"{NOT_TOLD}: {usage.why}" if usage.why else NOT_TOLD
    return f"{count_noun(usage.calls, 'call')} in {format_hours(usage.hours)}"


def describe_callers(usage: Usage, most: int = 5) -> str:
    """Return at most ``most`` names of those who may call, ``anybody``, ``nobody``, or that nothing tells."""
    if usage.is_open:
        return "anybody"
    names = ", ".join(usage.callers[:most])
    if more := usage.more_callers + len(usage.callers[most:]):
        names += f" and {more:,} more"
    if usage.callers_unread is None:
        return names or "nobody"
    unread = f"{NOT_TOLD}: {usage.callers_unread}"
    return f"{names}; others {unread}" if names else unread


def format_hours(hours: float) -> str:
    """Return ``72 h``."""
    return f"{hours:g} h"
