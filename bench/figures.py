"""The values of the benchmark: figures, and the yardsticks with the goals and floors that judge them."""

from __future__ import annotations

import statistics
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class BenchmarkError(Exception):
    """A part could not measure: a program that it started did something else than it was started for."""


class Unit(StrEnum):
    """How a figure reads."""

    RATIO = "ratio"
    SHARE = "share"
    COUNT = "count"
    MEGABYTES = "MB"
    SECONDS = "s"
    MICROSECONDS = "µs"

    @property
    def digits(self) -> int:
        """The digits behind the point that count: a figure is judged as it is written."""
        return {Unit.RATIO: 2, Unit.SHARE: 4, Unit.SECONDS: 2}.get(self, 0)

    def show(self, value: float) -> str:
        """Return a value as people read it."""
        match self:
            case Unit.RATIO:
                return f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}"
            case Unit.SHARE:
                return f"{100 * value:.2f} %"
            case Unit.COUNT:
                return f"{value:,.0f}"
            case Unit.SECONDS:
                return f"{value:.2f} s"
            case _:
                return f"{value:,.0f} {self.value}"


class Standing(StrEnum):
    """Where a figure stands against its goal and its floor."""

    GOAL_REACHED = "goal reached"
    FLOOR_KEPT = "goal missed"
    """The goal is missed, and the floor is kept."""
    BELOW_FLOOR = "below the floor"
    UNJUDGED = ""
    """There is neither a goal nor a floor."""
    NOT_MEASURED = "not measured"


class Yardstick(Struct, frozen=True):
    """What a figure measures, and the goal and the floor of it; None where it has none.

    ``part`` is the name of the part of the benchmark that measures it. ``better`` says which values are good.
    """

    name: str
    part: str
    about: str
    unit: Unit
    goal: float | None = None
    floor: float | None = None
    better: Literal["less", "more"] = "less"

    def show_bound(self, bound: float | None) -> str:
        """Return the goal or the floor as people read it."""
        if bound is None:
            return "none"
        return self.unit.show(bound)

    def judge(self, value: float) -> Standing:
        """Return where a value stands."""
        value = round(value, self.unit.digits)
        if not self._reaches(value, self.floor):
            return Standing.BELOW_FLOOR
        if self.goal is None:
            return Standing.UNJUDGED if self.floor is None else Standing.GOAL_REACHED
        return Standing.GOAL_REACHED if self._reaches(value, self.goal) else Standing.FLOOR_KEPT

    def _reaches(self, value: float, bound: float | None) -> bool:
        return bound is None or (value <= bound if self.better == "less" else value >= bound)


class Figure(Struct, frozen=True):
    """What one part found: the values of its pairs, or the reason why there are none.

    ``name`` is that of its yardstick; ``variant`` tells figures of one yardstick apart.
    """

    name: str
    variant: str
    values: tuple[float, ...] = ()
    absent: str = ""

    @property
    def median(self) -> float:
        """The median of the pairs; only for a figure that was measured."""
        return statistics.median(self.values)


class Sizes(Struct, frozen=True):
    """How much a part measures: so many targets, in so many pairs."""

    targets: int
    pairs: int
