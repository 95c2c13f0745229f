"""Which targets come soon enough after a wave step to go by what was read for it."""

from __future__ import annotations

import pytest

from orchestrator.model.plan import Wave, WaveStep
from orchestrator.rules.upcoming import count_upcoming

STEPS = [WaveStep(0, 0), WaveStep(0, 1), WaveStep(1, 0), WaveStep(2, 0)]
LEFT = {step: {"roma": 10, "apim": number} for number, step in enumerate(STEPS)}


def count(first: Wave) -> list[int]:
    waves = (first, Wave(name="b"), Wave(name="c"))
    upcoming = count_upcoming(LEFT, waves)
    return [upcoming[step].get("roma", 0) for step in STEPS]


@pytest.mark.parametrize("pause", [None, 10.0])
def test_targets_come_soon_up_to_the_end_or_a_long_pause(pause: float | None) -> None:
    assert count(Wave(name="a", pause_after=pause)) == [30, 20, 10, 0]


@pytest.mark.parametrize("first", [Wave(name="a", pause_after=10.5), Wave(name="a", proceed="ask")])
def test_behind_a_long_pause_or_a_question_nothing_comes_soon(first: Wave) -> None:
    """Each step of a wave has the wave's pause behind it."""
    assert count(first) == [0, 0, 10, 0]


def test_each_gateway_counts_its_own() -> None:
    upcoming = count_upcoming(LEFT, (Wave(name="a"), Wave(name="b"), Wave(name="c")))

    assert [upcoming[step].get("apim", 0) for step in STEPS] == [6, 5, 3, 0]
