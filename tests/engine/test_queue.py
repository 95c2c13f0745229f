"""The queue of a lane in one wave step."""

from __future__ import annotations

import anyio
import pytest

from orchestrator.engine import queue
from orchestrator.engine.queue import (
    LOOK_AHEAD,
    DependencyTracker,
    ExclusiveKeys,
    LateClaim,
    QueuedTarget,
    TargetQueue,
)
from orchestrator.journal.pending import Cursor
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.dependencies import Dependencies, Prerequisite
from orchestrator.rules.retry import TargetHistory
from tests.support.engine import gateway, played, target


class BatchedTargets:
    """Pending targets in memory, numbered from 1, handed out two at a time."""

    def __init__(self, targets: list[Target]) -> None:
        self._targets = targets
        self.asked = 0

    def read_batch(
        self, wave_step: WaveStep, gateway: str, after: Cursor
    ) -> tuple[list[tuple[Target, TargetHistory]], Cursor]:
        self.asked += 1
        _, seq = after
        found = self._targets[seq : seq + 2]
        return [(one, TargetHistory()) for one in found], (0, found[-1].seq if found else seq)


def make_queue(
    batches: BatchedTargets, keys: ExclusiveKeys | None = None, order: DependencyTracker | None = None
) -> TargetQueue:
    order = order or DependencyTracker(Dependencies(tuple))
    return TargetQueue(batches, WaveStep(0, 0), gateway(), keys or ExclusiveKeys(), order)  # type: ignore[arg-type]


def queue_of(*likes: str | None) -> TargetQueue:
    """A queue of targets numbered from 1, each with its exclusive key."""
    return make_queue(BatchedTargets([target(seq, like=like) for seq, like in enumerate(likes, start=1)]))


def require(seq: int, needs: int, *, gateway: str = "gw") -> Prerequisite:
    """That one target of this wave step comes after another one of it."""
    return Prerequisite(seq, needs, TargetId(f"{gateway}/t{needs}"), gateway, None, None, in_same_step=True)


def held(one: Target) -> QueuedTarget:
    """Return a target as a worker holds it."""
    return QueuedTarget(one, TargetHistory(), gateway().exclusive_key(one))


async def take_at_once(source: TargetQueue) -> Target | None:
    """The target that a worker gets without waiting; None if it must wait or leave."""
    with anyio.move_on_after(0.001):
        item = await source.take()
        return item.target if item else None
    return None


def test_targets_go_in_the_plan_s_order_across_batches() -> None:
    async def main() -> list[int]:
        source = queue_of(*[None] * 7)
        return [item.target.seq for _ in range(7) if (item := await source.take())]

    assert played(main) == [1, 2, 3, 4, 5, 6, 7]


def test_targets_that_exclude_each_other_take_turns_and_the_others_overtake() -> None:
    async def main() -> list[int | None]:
        source = queue_of("x", "x", "y", "x", None)
        seen: list[Target | None] = [await take_at_once(source) for _ in range(4)]
        for _ in range(3):
            first = next(one for one in seen if one and one.parts[1:] == ("x",))
            source.release(held(first))
            seen.append(await take_at_once(source))
        return [one.seq if one else None for one in seen]

    assert played(main) == [1, 3, 5, None, 2, 4, None]


def test_a_worker_that_waits_for_a_key_is_woken_and_one_with_nothing_to_wait_for_leaves() -> None:
    async def main() -> list[tuple[float, int | None]]:
        source = queue_of("x", "x")
        got: list[tuple[float, int | None]] = []

        async def worker(delay: float) -> None:
            await anyio.sleep(delay)
            item = await source.take()
            got.append((anyio.current_time(), item and item.target.seq))
            if item:
                await anyio.sleep(5.0)
                source.release(item)

        async with anyio.create_task_group() as group:
            for delay in (0.0, 1.0, 6.0):
                group.start_soon(worker, delay)
        return got

    assert played(main) == [(0.0, 1), (5.0, 2), (6.0, None)]


def test_a_target_under_way_gets_its_key_again_before_those_that_were_not_begun() -> None:
    async def main() -> list[tuple[float, str]]:
        source = queue_of("x", "x", "x")
        got: list[tuple[float, str]] = []

        async def worker() -> None:
            while item := await source.take():
                got.append((anyio.current_time(), f"t{item.target.seq}"))
                await anyio.sleep(5.0)
                source.release(item)

        async def late() -> None:
            await anyio.sleep(1.0)
            claim = source.claim_later(target(9, like="x"))
            await claim.take()
            got.append((anyio.current_time(), "late"))
            await claim.take()
            await anyio.sleep(2.0)
            claim.release()
            claim.release()

        async with anyio.create_task_group() as group:
            group.start_soon(worker)
            group.start_soon(late)
        return got

    assert played(main) == [(0.0, "t1"), (5.0, "late"), (7.0, "t2"), (12.0, "t3")]


def test_a_key_that_a_target_under_way_took_again_is_in_use() -> None:
    async def main() -> list[bool]:
        keys, claimed = ExclusiveKeys(), []
        assert keys.claim("x")
        async with anyio.create_task_group() as group:
            group.start_soon(LateClaim(keys, "x").take)
            await anyio.sleep(1.0)
            keys.release("x")
        claimed.append(keys.claim("x"))
        keys.release("x")
        return [*claimed, keys.claim("x")]

    assert played(main) == [False, True]


def test_a_claim_that_was_given_back_takes_the_key_from_nobody() -> None:
    async def main() -> list[bool]:
        keys = ExclusiveKeys()
        claim = LateClaim(keys, "x")
        await claim.take()
        claim.release()
        taken = keys.claim("x")
        claim.release()
        return [taken, keys.claim("x")]

    assert played(main) == [True, False]


def test_a_wait_for_a_key_that_is_cut_off_leaves_the_key_to_the_others() -> None:
    async def main() -> list[tuple[float, int]]:
        source, got = queue_of("x", "x"), list[tuple[float, int]]()

        async def worker() -> None:
            while item := await source.take():
                got.append((anyio.current_time(), item.target.seq))
                await anyio.sleep(2.0)
                source.release(item)

        async with anyio.create_task_group() as group:
            group.start_soon(worker)
            await anyio.sleep(1.0)
            with anyio.move_on_after(0.5):
                await source.claim_later(target(9, like="x")).take()
        return got

    assert played(main) == [(0.0, 1), (2.0, 2)]


def test_only_so_many_targets_are_held_back() -> None:
    """A file that is sorted by proxy must not be read into memory as a whole."""

    async def main() -> int:
        targets = [target(seq, like="x") for seq in range(1, LOOK_AHEAD * 2)]
        batches = BatchedTargets(targets)
        source = make_queue(batches)
        await take_at_once(source)
        await take_at_once(source)
        return batches.asked

    assert played(main) <= LOOK_AHEAD // 2 + 1


@pytest.mark.parametrize(("behind", "reached"), [(2, True), (3, False)])
@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_targets_that_wait_for_a_key_and_for_another_target_are_held_back_together(
    monkeypatch: pytest.MonkeyPatch, waiting: int, behind: int, reached: bool
) -> None:
    """While so many are held back, none is read that could go."""
    monkeypatch.setattr(queue, "LOOK_AHEAD", 3)

    async def main() -> list[int | None]:
        needing = [require(seq, 1) for seq in range(2, 2 + waiting)]
        order = DependencyTracker(Dependencies(lambda: needing))
        likes = ["x", *[None] * waiting, *["x"] * (behind - waiting), None]
        targets = [target(seq, like=like) for seq, like in enumerate(likes, start=1)]
        source = make_queue(BatchedTargets(targets), order=order)
        return [one and one.seq for one in [await take_at_once(source), await take_at_once(source)]]

    assert played(main) == [1, behind + 2 if reached else None]


def test_two_gateway_names_of_one_installation_share_their_keys() -> None:
    """Nothing is documented about two calls on one proxy, so they never meet, whatever the plan calls it."""

    async def main() -> list[int | None]:
        keys = ExclusiveKeys()
        one = make_queue(BatchedTargets([target(1, like="x")]), keys)
        two = make_queue(BatchedTargets([target(1, like="x")]), keys)
        first = await take_at_once(one)
        blocked = await take_at_once(two)
        assert first
        one.release(held(first))
        after = await take_at_once(two)
        return [found and found.seq for found in (first, blocked, after)]

    assert played(main) == [1, None, 1]


# --- who comes after another one ------------------------------------------------------------------------


def test_a_target_is_held_back_until_the_one_it_requires_is_down() -> None:
    async def main() -> list[int | None]:
        order = DependencyTracker(Dependencies(lambda: [require(2, 1)]))
        source = make_queue(BatchedTargets([target(seq) for seq in (1, 2, 3)]), order=order)
        seen = [await take_at_once(source) for _ in range(3)]
        order.settle(target(1), Outcome.UNDEPLOYED)
        seen += [await take_at_once(source) for _ in range(2)]
        return [one and one.seq for one in seen]

    assert played(main) == [1, 3, None, 2, None]


def test_a_target_whose_requirement_failed_is_handed_out_with_the_reason() -> None:
    async def main() -> list[str | None]:
        order = DependencyTracker(Dependencies(lambda: [require(2, 1), require(3, 2)]))
        source = make_queue(BatchedTargets([target(seq) for seq in (1, 2, 3)]), order=order)
        broken = []
        for outcome in (Outcome.FAILED, Outcome.NOT_STARTED, Outcome.NOT_STARTED):
            item = await source.take()
            assert item
            broken.append(item.refusal)
            order.settle(item.target, outcome)
        assert await source.take() is None
        return broken

    assert played(main) == [
        None,
        "dependency: gw/t1, which comes first, is failed",
        "dependency: gw/t2, which comes first, is not started",
    ]


def test_a_worker_that_waits_for_a_lane_that_has_ended_is_woken() -> None:
    async def main() -> tuple[float, str | None]:
        order = DependencyTracker(Dependencies(lambda: [require(1, 9, gateway="other")]))
        source = make_queue(BatchedTargets([target(1)]), order=order)
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await anyio.sleep(4.0)
                order.abandon("other")

            group.start_soon(end)
            item = await source.take()
        return anyio.current_time(), item and item.refusal

    assert played(main) == (4.0, "dependency: other/t9, which comes first, was not reached")


def test_where_no_target_waits_for_another_one_any_more_the_waiting_workers_get_theirs() -> None:
    """The run starts nothing: without their turn the targets that are held back would never end."""

    async def main() -> list[tuple[float, int]]:
        order = DependencyTracker(Dependencies(lambda: [require(2, 1), require(3, 1)]))
        source = make_queue(BatchedTargets([target(seq) for seq in (1, 2, 3)]), order=order)
        got: list[tuple[float, int]] = []
        await source.take()  # t1, which never ends

        async def worker() -> None:
            while item := await source.take():
                got.append((anyio.current_time(), item.target.seq))

        with anyio.move_on_after(60.0):
            async with anyio.create_task_group() as group:
                group.start_soon(worker)
                await anyio.sleep(4.0)
                order.unblock_all()
        return got

    assert played(main) == [(4.0, 2), (4.0, 3)]


def test_an_unblocked_target_still_waits_for_its_exclusive_key() -> None:
    """t3 comes after t2; when it may go, t1, which excludes it, is still under way."""

    async def main() -> list[int | None]:
        order = DependencyTracker(Dependencies(lambda: [require(3, 2)]))
        targets = [target(1, like="x"), target(2), target(3, like="x")]
        source = make_queue(BatchedTargets(targets), order=order)
        seen = [await take_at_once(source) for _ in range(2)]
        order.settle(target(2), Outcome.ALREADY_UNDEPLOYED)
        seen.append(await take_at_once(source))
        source.release(held(targets[0]))
        seen += [await take_at_once(source) for _ in range(2)]
        return [one and one.seq for one in seen]

    assert played(main) == [1, 2, None, 3, None]
