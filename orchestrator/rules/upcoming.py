"""How many targets come soon after a wave step: what is read for the step may serve them, too. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from orchestrator.model.plan import Wave, WaveStep

SOON = 10.0
"""Seconds of a pause behind which targets still come soon: a list is believed for a minute."""


def count_upcoming(
    left: Mapping[WaveStep, Mapping[str, int]], waves: Sequence[Wave]
) -> dict[WaveStep, Mapping[str, int]]:
    """Return for each wave step, by gateway name, the targets in the steps behind it, up to a long pause.

    ``left`` holds the targets of each step. Where an operator is asked to continue, the pause may be long.
    """
    upcoming: dict[WaveStep, Mapping[str, int]] = {}
    behind: Counter[str] = Counter()
    for wave_step in sorted(left, reverse=True):
        wave = waves[wave_step.wave]
        if wave.proceed == "ask" or (wave.pause_after or 0.0) > SOON:
            behind = Counter()
        upcoming[wave_step] = dict(behind)
        behind.update(left[wave_step])
    return upcoming
