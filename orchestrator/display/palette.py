"""The colours and the patterns of the live picture.

Colours alone tell nothing: each outcome has a character of its own, which also stands in a picture without
colours. The colours come from the 256 with fixed values, since the first 16 are what a theme makes of them;
failed and unknown bring their own background, so both are readable on any.
"""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.outcome import Outcome


class CellLook(Struct, frozen=True):
    """The look of one cell of a bar, and of a count."""

    character: str
    """Its pattern; one column wide."""
    bar_style: str
    """The style in a bar, as rich writes it."""
    count_style: str
    """The style of a number; the same for all outcomes that need no attention."""


DOWN = CellLook("█", "color(35)", "")
ALREADY = CellLook("▓", "color(37)", "")
FAILED = CellLook("✗", "bold color(231) on color(124)", "bold color(231) on color(124)")
UNKNOWN = CellLook("?", "bold color(16) on color(220)", "bold color(16) on color(220)")
NOT_STARTED = CellLook("░", "color(245)", "")
TO_COME = CellLook("─", "color(242)", "bright_black")

OUTCOME_LOOKS = {
    Outcome.UNDEPLOYED: DOWN,
    Outcome.RESTORED: DOWN,
    Outcome.ALREADY_UNDEPLOYED: ALREADY,
    Outcome.ALREADY_DEPLOYED: ALREADY,
    Outcome.FAILED: FAILED,
    Outcome.UNKNOWN: UNKNOWN,
    Outcome.NOT_STARTED: NOT_STARTED,
}

ALARM, WARNING, CALM = "bold color(231) on color(124)", "bold color(16) on color(220)", "bold"
LANE_STYLES = {"open": "", "paused": "yellow", "parked": WARNING, "closed": ALARM}
TONE_STYLES = {"going": CALM, "waiting": CALM, "good": "bold color(35)", "bad": ALARM, "over": CALM}
