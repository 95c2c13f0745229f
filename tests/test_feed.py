"""Who goes next."""

from __future__ import annotations

import anyio
from engine import gateway, played, target

from orchestrator.feed import LOOK_AHEAD, Claims, Feed
from orchestrator.model import Target
from orchestrator.retry import Past


class Batches:
    """Pending targets in memory, numbered from 1, handed out two at a time."""

    def __init__(self, targets: list[Target]) -> None:
        self._targets = targets
        self.asked = 0

    def batch(self, wave: int, gateway: str, after: int) -> list[tuple[Target, Past]]:
        self.asked += 1
        return [(one, Past()) for one in self._targets[after : after + 2]]


def feed(*likes: str | None) -> Feed:
    """A feed of targets numbered from 1, by what excludes them."""
    targets = [target(seq, like=like) for seq, like in enumerate(likes, start=1)]
    return Feed(Batches(targets), 0, gateway(), Claims())  # type: ignore[arg-type]


async def taken(source: Feed) -> Target | None:
    """What a worker gets without waiting; None where it must wait or go."""
    with anyio.move_on_after(0.001):
        item = await source.take()
        return item[0] if item else None
    return None


def test_targets_go_in_the_plan_s_order_across_batches() -> None:
    async def main() -> list[int]:
        source = feed(*[None] * 7)
        return [item[0].seq for _ in range(7) if (item := await source.take())]

    assert played(main) == [1, 2, 3, 4, 5, 6, 7]


def test_targets_that_exclude_each_other_take_turns_and_the_others_overtake() -> None:
    async def main() -> list[int | None]:
        source = feed("x", "x", "y", "x", None)
        seen: list[Target | None] = [await taken(source) for _ in range(4)]
        for _ in range(3):
            first = next(one for one in seen if one and one.parts[1:] == ("x",))
            source.release(first)
            seen.append(await taken(source))
        return [one.seq if one else None for one in seen]

    assert played(main) == [1, 3, 5, None, 2, 4, None]


def test_who_waits_for_a_turn_is_woken_and_who_has_nothing_to_wait_for_goes() -> None:
    async def main() -> list[tuple[float, int | None]]:
        source = feed("x", "x")
        got: list[tuple[float, int | None]] = []

        async def worker(delay: float) -> None:
            await anyio.sleep(delay)
            item = await source.take()
            got.append((anyio.current_time(), item and item[0].seq))
            if item:
                await anyio.sleep(5.0)
                source.release(item[0])

        async with anyio.create_task_group() as group:
            for delay in (0.0, 1.0, 6.0):
                group.start_soon(worker, delay)
        return got

    assert played(main) == [(0.0, 1), (5.0, 2), (6.0, None)]


def test_only_so_many_stand_aside() -> None:
    """A file that is sorted by proxy must not be read into memory as a whole."""

    async def main() -> int:
        targets = [target(seq, like="x") for seq in range(1, LOOK_AHEAD * 2)]
        batches = Batches(targets)
        source = Feed(batches, 0, gateway(), Claims())  # type: ignore[arg-type]
        await taken(source)
        await taken(source)
        return batches.asked

    assert played(main) <= LOOK_AHEAD // 2 + 1


def test_two_gateway_names_of_one_installation_share_their_turns() -> None:
    """Nothing is documented about two calls on one proxy, so they never meet, whatever the plan calls it."""

    async def main() -> list[int | None]:
        claims = Claims()
        one = Feed(Batches([target(1, like="x")]), 0, gateway(), claims)  # type: ignore[arg-type]
        two = Feed(Batches([target(1, like="x")]), 0, gateway(), claims)  # type: ignore[arg-type]
        first = await taken(one)
        blocked = await taken(two)
        assert first
        one.release(first)
        after = await taken(two)
        return [found and found.seq for found in (first, blocked, after)]

    assert played(main) == [1, None, 1]
