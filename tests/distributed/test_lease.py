"""Nothing leaves a worker whose lease is over, and no intent counts before the server knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from orchestrator.distributed.bounds import LEASE_MARGIN
from orchestrator.distributed.heartbeats import BeatAnswer, Heartbeats
from orchestrator.distributed.lease import LAPSED, Lease, LeasedSend
from orchestrator.distributed.payloads import ChunkBeat
from orchestrator.distributed.remote_rows import ChunkLog, RemoteRows, select_rows
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.transfer import decode_segment
from orchestrator.model.http import HELD_BACK, Lost, Reply, Request
from orchestrator.model.reading import UNDEPLOY
from orchestrator.model.settings import Tls
from orchestrator.transport.client import connect
from tests.support.engine import played
from tests.support.journals import target, writable
from tests.support.late_server import LateServer, make_tls
from tests.support.peer import NO_CONTENT, gateway, saying, serving

REQUEST = Request("DELETE", "https://gw.example/a", {})


class Clock:
    """A clock that the test sets; a jump is what a stopped process sees when it wakes."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A gateway that counts what reaches it."""

    def __init__(self) -> None:
        self.requests = 0

    async def send(self, request: Request) -> Reply | Lost:
        self.requests += 1
        return Reply(204, {}, b"", 0.0)


def make_sender(clock: Clock) -> tuple[LeasedSend, Lease]:
    sender, lease = LeasedSend(), Lease(10.0, clock)
    sender.lease = lease
    return sender, lease


@pytest.mark.parametrize(
    ("seconds", "lasts"), [(10.0, 10.0 - LEASE_MARGIN), (2 * LEASE_MARGIN, LEASE_MARGIN), (1.0, 0.5)]
)
def test_a_lease_ends_before_the_server_gives_the_chunk_away(seconds: float, lasts: float) -> None:
    """By a margin; a lease that is no longer than that ends at its half."""
    clock = Clock()
    lease = Lease(seconds, clock)
    assert not lease.is_alive, "the server has not heard of the worker yet"
    lease.renew(100.0)
    alive = []
    for clock.now in (100.0, 100.0 + lasts - 0.001, 100.0 + lasts):
        alive.append(lease.is_alive)

    assert alive == [True, True, False]


def test_a_heartbeat_that_is_acknowledged_late_does_not_shorten_the_lease() -> None:
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(104.0)
    lease.renew(100.0)
    clock.now = 104.0 + 10.0 - LEASE_MARGIN - 0.001

    assert lease.is_alive
    lease.lose()
    assert (lease.is_alive, lease.is_lost) == (False, True)


def test_without_a_chunk_nothing_may_leave() -> None:
    clock = Clock()
    sender, lease = make_sender(clock)
    may_leave = [sender.may_leave()]
    lease.renew(clock.now)
    may_leave.append(sender.may_leave())
    sender.lease = None

    assert [*may_leave, sender.may_leave()] == [False, True, False]


def test_what_no_lease_lets_out_is_answered_as_not_sent() -> None:
    gate = Gate()

    async def main() -> list[Reply | Lost]:
        sender = LeasedSend()
        return [await sender.guard(gate.send)(REQUEST), await sender.hold_back(gate.send)(REQUEST)]

    assert played(main) == [LAPSED, LAPSED]
    assert (gate.requests, LAPSED.sent) == (0, False)


def test_a_request_asks_once_more_when_its_connection_stands() -> None:
    """And waits for the lease again if it was held back there."""
    clock, asked = Clock(), list[bool]()

    async def main() -> Reply | Lost:
        sender, lease = make_sender(clock)
        lease.renew(clock.now)

        async def connect_slowly(request: Request) -> Reply | Lost:
            if not asked:
                clock.now += 20.0
            asked.append(request.may_leave())
            return Reply(204, {}, b"", 0.0) if asked[-1] else HELD_BACK

        async def renew_later() -> None:
            await anyio.sleep(5.0)
            lease.renew(clock.now)

        async with anyio.create_task_group() as group:
            group.start_soon(renew_later)
            return await sender.guard(sender.hold_back(connect_slowly))(REQUEST)

    assert isinstance(played(main), Reply)
    assert asked == [False, True]


@pytest.mark.parametrize("change", [Lease.lose, lambda lease: lease.renew(100.0)], ids=["lost", "renewed"])
def test_a_wait_for_the_lease_ends_at_once_when_it_is_lost_or_renewed(
    change: Callable[[Lease], None],
) -> None:
    async def main() -> float:
        lease = Lease(10.0, Clock())

        async def change_later() -> None:
            await anyio.sleep(0.25)
            change(lease)

        async with anyio.create_task_group() as group:
            group.start_soon(change_later)
            await lease.wait()
            return anyio.current_time()

    assert played(main) == 0.25


async def test_after_the_lease_nothing_leaves_until_the_server_was_heard_again() -> None:
    clock, gate = Clock(), Gate()
    sender, lease = make_sender(clock)
    send = sender.guard(sender.hold_back(gate.send))
    lease.renew(clock.now)
    assert isinstance(await send(REQUEST), Reply)

    clock.now += 10.0 - LEASE_MARGIN  # the process was stopped meanwhile
    waiting = asyncio.create_task(send(REQUEST))
    await asyncio.sleep(0.01)
    assert (gate.requests, waiting.done()) == (1, False)

    lease.renew(clock.now)
    assert isinstance(await waiting, Reply)
    assert gate.requests == 2


async def test_a_lost_lease_lets_nothing_leave_for_good() -> None:
    clock, gate = Clock(), Gate()
    sender, lease = make_sender(clock)
    send = sender.guard(sender.hold_back(gate.send))
    waiting = asyncio.create_task(send(REQUEST))
    await asyncio.sleep(0.01)
    lease.lose()
    lease.renew(clock.now)

    assert await waiting is LAPSED
    assert await send(REQUEST) is LAPSED
    assert gate.requests == 0


async def test_at_the_last_moment_the_lease_is_looked_at_again() -> None:
    clock, gate = Clock(), Gate()
    sender, lease = make_sender(clock)
    lease.renew(clock.now)
    held = sender.hold_back(gate.send)
    clock.now += 9.0

    assert await held(REQUEST) is LAPSED
    assert gate.requests == 0


@pytest.mark.promise(2)
async def test_a_lease_that_ends_while_the_connection_is_made_lets_no_byte_leave(tmp_path: Path) -> None:
    clock, tls = Clock(), make_tls(tmp_path / "ca.pem")
    first, lease = make_sender(clock)
    second, next_lease = make_sender(clock)
    trusting = gateway(url="https://127.0.0.1", tls=Tls(ca_file=str(tmp_path / "ca.pem")))
    async with (
        serving(saying(NO_CONTENT), tls=tls) as peer,
        LateServer(int(peer.url.rpartition(":")[2])).serve() as late,
        connect(trusting, tmp_path, {}) as send,
        connect(trusting, tmp_path, {}) as next_send,
    ):
        request = Request("DELETE", f"https://127.0.0.1:{late.port}/a", {})
        lease.renew(clock.now)
        sending = asyncio.create_task(first.guard(first.hold_back(send))(request))
        await late.knocked.wait()
        clock.now += 10.0  # the server has given the chunk to another worker
        lease.lose()
        late.may_go_on.set()

        assert await sending is LAPSED
        assert not LAPSED.sent
        assert not peer.requests

        next_lease.renew(clock.now)
        assert isinstance(await second.guard(second.hold_back(next_send))(request), Reply)
        assert len(peer.requests) == 1


@pytest.mark.promise(2)
async def test_an_intent_counts_once_a_heartbeat_with_it_was_acknowledged(tmp_path: Path) -> None:
    clock, log, told = Clock(), ChunkLog(), list[ChunkBeat]()
    answers = [BeatAnswer.SILENT, BeatAnswer.KNOWN]
    may_answer = asyncio.Event()

    async def send(beat: ChunkBeat) -> BeatAnswer:
        told.append(beat)
        await may_answer.wait()
        return answers.pop(0) if answers else BeatAnswer.GONE

    lease = Lease(10.0, clock)
    beats = Heartbeats(send, log, lease, worker="w", monotonic=clock)
    with closing(writable(tmp_path)) as database:
        rows = RemoteRows(log, database, beats.hurry)
        beats.serve(rows)
        record = SessionRecord(rows, 1)
        intent = asyncio.ensure_future(record.keep_intent(target(1, "roma/a1"), 1, UNDEPLOY, 1.0))
        await asyncio.sleep(0)
        running = asyncio.create_task(beats.run())
        await asyncio.sleep(0.01)
        assert not intent.done()
        assert not lease.is_alive
        may_answer.set()
        await intent
        assert lease.is_alive
        names = [row.name for segment in told[0].segments for row in decode_segment(segment).rows]
        assert names == ["intent"]
        beats.hurry()
        await running
        assert lease.is_lost


async def test_requests_that_come_together_share_one_heartbeat(tmp_path: Path) -> None:
    """One a target would cost the server as much as a chunk; and each carries all that was before."""
    clock, log, told = Clock(), ChunkLog(), list[ChunkBeat]()

    async def send(beat: ChunkBeat) -> BeatAnswer:
        told.append(beat)
        await asyncio.sleep(0)
        return BeatAnswer.KNOWN

    beats = Heartbeats(send, log, Lease(10.0, clock), worker="w", monotonic=clock)
    with closing(writable(tmp_path)) as database:
        rows = RemoteRows(log, database, beats.hurry)
        beats.serve(rows)
        record = SessionRecord(rows, 1)

        async def keep_ten(seq: int) -> None:
            for number in range(10):
                await record.keep_intent(target(seq, f"roma/a{seq}"), number, UNDEPLOY, 1.0)
                await asyncio.sleep(0)

        running = asyncio.create_task(beats.run())
        await asyncio.gather(*map(keep_ten, range(1, 21)))
        beats.close()
        await running

    assert [len(decode_segment(segment).rows) for segment in told[-1].segments] == [20] * 10
    assert len(told) <= 11, "none that tells nothing new, apart from the first sign of life"


async def test_segments_never_change_and_what_is_left_takes_its_rows_along(tmp_path: Path) -> None:
    log = ChunkLog()
    with closing(writable(tmp_path)) as database:
        record = SessionRecord(RemoteRows(log, database, lambda: None), 1)
        for seq in (1, 2):
            record.keep_intent(target(seq, f"roma/a{seq}"), 1, UNDEPLOY, 1.0)
        first = tuple(log.cut())
        record.keep_note(2.0, "warning", gateway="roma", text="t")
        record.keep_intent(target(3, "roma/a3"), 1, UNDEPLOY, 1.0)

    segments = tuple(log.cut())
    assert segments[0] == first[0]
    assert tuple(log.cut()) == segments
    assert [row.values[0] for row in select_rows(log.rows, frozenset({2, 3}))] == [2, 3]
