"""The colours and the patterns of the outcomes, which the report and the live page share.

The filled outcomes differ in lightness by 1.5:1 or more in each scheme, so that they stay apart in grey and
for the colour-blind. The two others are drawn as a pattern. ``style.css`` repeats the colours; a test
compares.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.model.outcome import Outcome


class OutcomeLook(Struct, frozen=True, kw_only=True):
    """How one outcome looks: two colours as ``#rrggbb``, and how they fill its part of a bar."""

    light: str
    """On light paper."""
    dark: str
    """On a dark screen."""
    fill: Literal["solid", "dots", "stripes", "lines"] = "solid"


_REACHED = OutcomeLook(light="#105a47", dark="#2b8a7d")
_ALREADY = OutcomeLook(light="#5795a1", dark="#3a6d79", fill="dots")

PAGE_LOOKS = {
    Outcome.UNDEPLOYED: _REACHED,
    Outcome.ALREADY_UNDEPLOYED: _ALREADY,
    Outcome.RESTORED: _REACHED,
    Outcome.ALREADY_DEPLOYED: _ALREADY,
    Outcome.FAILED: OutcomeLook(light="#e0453c", dark="#ffa494"),
    Outcome.UNKNOWN: OutcomeLook(light="#9d6504", dark="#f6cf51", fill="stripes"),
    Outcome.NOT_STARTED: OutcomeLook(light="#6f767f", dark="#8b929b", fill="lines"),
}
