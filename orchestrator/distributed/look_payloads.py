"""The values of a preview, or of a doctor's visit, that workers of several zones make together.

They travel as ``payloads`` do, and what is said there of their fields holds here.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.distributed.payloads import JournalPages


class LookInput(Struct, frozen=True, kw_only=True):
    """What a look's workflow has the workers do."""

    journal: JournalPages
    """The plan, with the marks of the targets that are held back."""
    zones: tuple[str, ...]
    ask: Literal["preview", "doctor"]
    guarded: bool = False
    """As in ``preview.look.LookQuestion``."""
    hours: int | None = None
    wait: float
    """Seconds that a worker of a zone gets to take the look."""


class LookOrder(Struct, frozen=True, kw_only=True):
    """The part of a look that one zone's worker has."""

    journal: JournalPages
    zone: str
    ask: Literal["preview", "doctor"]
    guarded: bool = False
    hours: int | None = None


class LookBeat(Struct, frozen=True, kw_only=True):
    """How far a worker's look is."""

    seen: int = 0
    pause: tuple[str, str, float] | None = None
    """The gateway that asks for a pause, its reason, and the seconds; 0 where the pause is over."""


class LookPage(Struct, frozen=True, kw_only=True):
    """A part of what a worker has seen: the packed answer is cut into pages."""

    zone: str
    digest: str
    """SHA-256 of all pages together: a lost worker may have sent some of another answer."""
    number: int
    """From 0."""
    content: bytes


class LookTold(Struct, frozen=True, kw_only=True):
    """Says which pages are a worker's answer."""

    digest: str
    pages: int


class ZoneEnd(Struct, frozen=True, kw_only=True):
    """How the look of one zone ended."""

    zone: str
    told: LookTold | None = None
    """None where nobody has looked."""
    fault: Literal["", "silent", "lost", "credential", "usage", "trouble"] = ""
    """``silent``: no worker took the look. ``lost``: those that took it were lost."""
    text: str = ""


class LookOver(Struct, frozen=True, kw_only=True):
    """What a look's workflow returns; the pages are in its history."""

    zones: tuple[ZoneEnd, ...]
