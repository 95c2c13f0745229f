"""The parts of a run (its waves, or their steps) that are still to be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.model.events import PartLeft


class RemainingPart:
    """A wave, or one step of it, and how many targets each gateway has left in it."""

    __slots__ = ("left", "number", "rest", "skipped", "wave")

    def __init__(self, part: PartLeft) -> None:
        self.wave, self.number, self.rest = part.wave, part.number, part.rest
        self.left = dict(part.left)
        self.skipped: dict[str, int] = {}
        """How many of them will be passed over, by gateway name."""

    def list_to_do(self) -> Iterator[tuple[str, int]]:
        """Yield how many targets each gateway has to do, without those that will be passed over."""
        # Another thread may read: to copy takes one step.
        for name, left in dict(self.left).items():
            yield name, left - self.skipped.get(name, 0)

    def is_part(self, wave: str | None, number: int | None) -> bool:
        """Return whether this is step ``number`` of ``wave``, or any step of it for None."""
        return self.wave == wave and number in (None, self.number)

    def count_down(self, gateway: str) -> int:
        """Take a target of ``gateway`` off, and return how many it has left."""
        self.left[gateway] = self.left.get(gateway, 0) - 1
        return self.left[gateway]

    def skip(self, targets: Mapping[str, int]) -> None:
        """Note how many targets of each gateway will be passed over."""
        for name, count in targets.items():
            self.skipped[name] = self.skipped.get(name, 0) + count


class RemainingParts:
    """The part that goes on and those that are still to come, in their order."""

    def __init__(self, parts: Iterable[PartLeft] = ()) -> None:
        # Another thread may iterate over the list: it is replaced, never changed.
        self._parts = [RemainingPart(part) for part in parts]

    def __iter__(self) -> Iterator[RemainingPart]:
        return iter(self._parts)

    @property
    def first(self) -> RemainingPart | None:
        """Return the part that goes on or comes next; None if none does."""
        return self._parts[0] if self._parts else None

    @property
    def left_now(self) -> Mapping[str, int]:
        """Return how many targets each gateway has left in the part that goes on."""
        return self._parts[0].left if self._parts else {}

    def begin(self, wave: str, number: int | None = None) -> None:
        """Drop the parts before this one: they do not come again in this session."""
        places = (n for n, part in enumerate(self._parts) if part.is_part(wave, number))
        self._parts = self._parts[next(places, 0) :]

    def end(self, wave: str | None, number: int | None) -> None:
        """Drop this part, which has ended."""
        self._parts = [part for part in self._parts if not part.is_part(wave, number)]

    def skip(self, skipped: Iterable[PartLeft]) -> None:
        """Note which targets will be passed over."""
        for each in skipped:
            for part in self._parts:
                if part.is_part(each.wave, each.number):
                    part.skip(each.left)

    def pass_over(self, gateway: str) -> None:
        """Take a target that was passed over off those that will be, in the part that goes on."""
        if self._parts and self._parts[0].skipped.get(gateway, 0) > 0:
            self._parts[0].skip({gateway: -1})

    def count_down(self, gateway: str) -> bool:
        """Take a target of ``gateway`` off the part that goes on.

        Return whether the gateway now has to wait for the others, before the next part begins.
        """
        if not self._parts:
            return False
        return self._parts[0].count_down(gateway) <= 0 and len(self._parts) > 1
