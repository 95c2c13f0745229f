"""A wall clock that is put forward or back while a run goes on; that of the platforms is the true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct


class ClockJump(Struct, frozen=True):
    """The wall clock is put forward by so many seconds, or back, ``at`` seconds after a session began."""

    at: float
    seconds: float


def choose_jumps(random: Random) -> tuple[ClockJump, ...]:
    """Return the jumps of a scene's first session: mostly none, in some one, in some one and another back."""
    return () if random.random() < 0.88 else draw_jumps(random)


def draw_jumps(random: Random) -> tuple[ClockJump, ...]:
    """Return one jump, or one and another back."""
    first = ClockJump(random.uniform(0.0, 20.0), _choose_seconds(random))
    if random.random() < 0.6:
        return (first,)
    return (first, ClockJump(first.at + random.uniform(0.0, 60.0), -first.seconds))


def _choose_seconds(random: Random) -> float:
    return random.choice([1.0, -1.0]) * random.choice([2.0, 45.0, 600.0, 3600.0, 4 * 3600.0])


def make_wall_clock(
    true: Callable[[], float], elapsed: Callable[[], float], jumps: Sequence[ClockJump]
) -> Callable[[], float]:
    """Return a clock that shows the ``true`` time, but for the jumps of the seconds that have ``elapsed``."""
    if not jumps:
        return true

    def read() -> float:
        now = elapsed()
        return true() + sum(jump.seconds for jump in jumps if now >= jump.at)

    return read
