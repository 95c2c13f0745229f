"""Chunks that are called back, lost, frozen or cut off: what is sent and told, and how another goes on."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.distributed import kept_session
from orchestrator.distributed.bounds import LEASE_MARGIN
from orchestrator.distributed.payloads import ChunkBeat, LaneCarry, Orders, StopOrder
from orchestrator.errors import DiskError
from orchestrator.journal.transfer import decode_segment
from orchestrator.model.events import LaneChanged, TargetEnded
from orchestrator.model.reading import Act
from orchestrator.model.settings import Limits
from orchestrator.simulator.faults import FaultKind, FaultScope, InjectedFault
from tests.support.played_zone import (
    LEASE,
    PlayedServer,
    PlayedZone,
    give,
    name_target,
    read_rows,
    wait_until,
)

WITHOUT_SNAPSHOTS = "snapshot: off"


def list_ended(segments: tuple[bytes, ...]) -> list[str]:
    """Return the targets that ended, by the events of segments."""
    events = (event for segment in segments for event in decode_segment(segment).events)
    return [event.target for event in events if isinstance(event, TargetEnded)]


def call_back_after(zone: PlayedZone, server: PlayedServer, requests: int) -> None:
    """Have the server call the chunk back, as a cancel does, once so many requests have arrived."""

    def observe(_: ChunkBeat) -> None:
        server.is_called_back = server.is_called_back or len(zone.seen) >= requests

    server.on_beat = observe


@pytest.mark.parametrize("stop", [None, StopOrder(kind="control", text="stopped by ayse")])
def test_a_chunk_that_is_called_back_lands_what_flies_and_returns_all(
    tmp_path: Path, stop: StopOrder | None
) -> None:
    # Requests take longer than the pause between two heartbeats, so that one of these comes in between.
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=40, latency=2.5), PlayedServer()
    server.orders = Orders(number=1, stop=stop)

    def call_back(_: ChunkBeat) -> None:
        server.is_called_back = server.is_called_back or (len(zone.seen) >= 12 and zone.open == 4)

    server.on_beat = call_back
    zone.play(lambda: zone.work(zone.make_order("apim", 40), server))

    (end,) = server.ends
    sent = zone.list_sent()
    assert len(sent) == 12
    assert sorted(list_ended(end.segments)) == sorted(sent)
    assert end.left == 28
    assert server.asked > 1
    # The run knows of the stop: the chunk itself stops nothing.
    assert (end.breach, end.refusal) == (None, None)


@pytest.mark.promise(1)
def test_the_rest_of_a_chunk_that_came_back_is_done_by_the_next_dispatch(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=30), PlayedServer()
    call_back_after(zone, server, 8)
    order = zone.make_order("apim", 30)

    async def main() -> None:
        await zone.work(order, server)
        (end,) = server.ends
        server.is_called_back, server.on_beat = False, lambda _: None
        await zone.work(replace(order, dispatch=1, carry=end.carry, rows=end.rows), server)

    zone.play(main)
    first, second = server.ends
    assert first.left > 0
    assert second.left == 0
    assert sorted(zone.list_sent()) == sorted(name_target("apim", number) for number in range(30))


def test_a_worker_that_ends_hands_its_chunks_back_and_takes_no_more(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=100, latency=0.5), PlayedServer()

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 50))
            await anyio.sleep(1.2)
            worker.leave()
            await give(worker, zone.make_order("apim", 50, first=50))

    zone.play(main)
    first, second = sorted(server.ends, key=lambda end: end.left)
    assert first.left == 50 - len(zone.list_sent())
    assert len(list_ended(first.segments)) == len(zone.list_sent()) > 0
    assert (second.left, second.segments) == (50, ())


def make_ill_zone(folder: Path, *, roma: int) -> PlayedZone:
    """A zone whose one gateway, with so many targets, answers everything with a 502."""
    keys = "look: doubt, park_for: 10m, limits: {concurrency: 2}"
    zone = PlayedZone(folder, top=WITHOUT_SNAPSHOTS, keys=keys, roma=roma, latency=0.5)
    fault = InjectedFault(kind=FaultKind.STATUS, on=FaultScope.ANY, status=502, times=0)
    zone.expect({"roma": [fault]})
    return zone


@pytest.mark.parametrize("is_called_back_before", [False, True])
def test_a_worker_that_ends_leaves_the_doubts_of_an_ill_lane_to_the_next_one(
    tmp_path: Path, is_called_back_before: bool
) -> None:
    """Also after an operator's order, which alone lets the doubts be looked at before the chunk is back."""
    zone = make_ill_zone(tmp_path, roma=12)
    server = PlayedServer()
    order = zone.make_order("roma", 12)
    ended: list[float] = []

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, order)
            await wait_until(lambda: any(isinstance(event, LaneChanged) for event in zone.events))
            await anyio.sleep(2.0)
            if is_called_back_before:
                server.is_called_back = True
                await anyio.sleep(LEASE)
            began = anyio.current_time()
            worker.leave()
        ended.append(anyio.current_time() - began)

    zone.play(main)
    assert ended[0] < 2.0
    (end,) = server.ends
    assert (end.left, end.counts, end.carry.state) == (12, (), "parked")
    assert list_ended(end.segments) == []


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("orders", "comes_back"),
    [
        (Orders(number=1, limits={"roma": Limits(concurrency=1)}), True),
        (Orders(number=1, skips={"roma/api9": "ada"}), True),
        (Orders(number=1, paused=True), False),
        (Orders(number=1, stop=StopOrder(kind="control", text="stopped by ayse")), False),
    ],
)
def test_orders_by_which_a_run_goes_on_wait_for_no_look_through_an_ill_lane(
    tmp_path: Path, orders: Orders, comes_back: bool
) -> None:
    """Recalled, the lane may not be probed by undeploys: it would be given up though its gateway is well."""
    zone = make_ill_zone(tmp_path, roma=2)
    server = PlayedServer()
    server.orders = orders

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("roma", 2))
            await wait_until(lambda: any(isinstance(event, LaneChanged) for event in zone.events))
            server.is_called_back = True
            began = anyio.current_time()
        ended.append(anyio.current_time() - began)

    ended: list[float] = []
    zone.play(main)
    (end,) = server.ends
    assert ended[0] < 5.0 if comes_back else ended[0] > 500.0
    assert (end.left, end.carry.given_up) == (2, not comes_back)


def test_orders_let_a_well_lane_look_at_many_by_its_list(tmp_path: Path) -> None:
    keys = "look: always, limits: {concurrency: 2}"
    zone = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, keys=keys, roma=80, latency=0.5)
    server = PlayedServer()
    server.orders = Orders(number=1, limits={"roma": Limits(concurrency=1)})
    call_back_after(zone, server, 60)

    zone.play(lambda: zone.work(zone.make_order("roma", 80), server))

    (end,) = server.ends
    sent = zone.list_sent()
    assert 0 < end.left == 80 - len(sent)
    assert sorted(list_ended(end.segments)) == sorted(sent)
    assert len(zone.list_sent(Act.LOOK)) < len(sent) / 4


def lose_after(zone: PlayedZone, server: PlayedServer, requests: int) -> None:
    """Have the server give the chunk to another worker once so many requests have arrived."""

    def observe(_: ChunkBeat) -> None:
        server.is_another_workers = len(zone.seen) >= requests

    server.on_beat = observe


@pytest.mark.promise(2)
def test_who_takes_a_lost_chunk_over_looks_at_what_was_in_flight_before_it_sends(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, roma=40, latency=0.5), PlayedServer()
    # Where the request took effect nothing is sent again, where it did not it is, after the look.
    zone.expect({"roma/api9": ["hang"], "roma/api10": ["reset-after"]})
    lose_after(zone, server, 12)
    order = zone.make_order("roma", 40)
    heirs: list[PlayedServer] = []

    async def main() -> None:
        await zone.work(order, server)
        first_seen.extend(zone.seen)
        zone.seen.clear()
        beats = server.beats[-1][1].segments
        heirs.append(await zone.work(replace(order, dispatch=1, beats=beats)))

    first_seen: list[tuple[float, Act, str]] = []
    zone.play(main)
    assert server.ends == []
    assert server.failures == []
    beats = server.beats[-1][1].segments
    intents = {row.values[0] for row in read_rows(beats, "intent")}
    ended = {row.values[-1] for row in read_rows(beats, "outcome")}
    unclear = {f"roma/api{seq - 1}" for seq in intents - ended}
    assert unclear
    assert {target for _, _, target in first_seen} <= {f"roma/api{seq - 1}" for seq in intents}
    for name in unclear:
        acts = [act for _, act, target in zone.seen if target == name]
        assert acts[:1] == [Act.LOOK], name
    assert not {f"roma/api{seq - 1}" for seq in ended} & {target for _, _, target in zone.seen}
    (end,) = heirs[0].ends
    assert end.left == 0
    assert sum(count.count for count in end.counts) == 40
    assert zone.platforms.books().gateways["roma"].down == 40


def test_a_worker_whose_chunk_is_anothers_sends_nothing_more(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=60, latency=0.5), PlayedServer()
    lose_after(zone, server, 10)

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 60))
            await wait_until(lambda: server.is_another_workers)
            seen.append(len(zone.seen))
            await anyio.sleep(30)

    seen: list[int] = []
    zone.play(main)
    # Up to ``concurrency`` intents were acknowledged before the server had given the chunk away.
    assert len(zone.seen) <= seen[0] + 4
    assert server.ends == server.failures == []


@pytest.mark.promise(2)
def test_a_worker_that_slept_sends_nothing_until_the_server_was_heard_again(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=20), PlayedServer()
    woke: list[float] = []

    def sleep_once(beat: ChunkBeat) -> None:
        """Stop the process between the answer to the first intents and their requests."""
        if not woke and [*read_rows(beat.segments, "intent")]:
            zone.sleep(LEASE - LEASE_MARGIN + 0.5)
            server.is_away = True
            woke.append(zone.loop.time())

    server.on_beat = sleep_once

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 20))
            await anyio.sleep(60)
            assert zone.seen == []
            server.is_away = False

    zone.play(main)
    back = next(at for at, _ in server.beats if at > woke[0])
    assert zone.seen[0][0] >= back >= 60
    assert server.ends[0].left == 0
    assert len(zone.list_sent()) == 20


def test_while_the_server_is_away_nothing_leaves_in_the_last_seconds_of_the_lease(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, keys="look: always", apim=60), PlayedServer()

    def go_away(_: ChunkBeat) -> None:
        server.is_away = len(zone.seen) >= 10

    server.on_beat = go_away

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 60))
            await wait_until(lambda: server.is_away)
            await anyio.sleep(40)
            last = server.beats[-1][0]
            assert zone.seen[-1][0] < last + LEASE - LEASE_MARGIN
            server.on_beat, server.is_away = lambda _: None, False

    zone.play(main)
    assert server.ends[0].left == 0
    sent = zone.list_sent()
    assert len(sent) == len(set(sent)) == 60


def test_a_result_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=4), PlayedServer()

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 4))
            await wait_until(lambda: any(isinstance(event, TargetEnded) for event in zone.events))
            server.is_away = True
            await anyio.sleep(100)
            assert server.ends == []
            server.is_away = False

    zone.play(main)
    assert server.ends[0].left == 0


@pytest.mark.promise(10)
def test_a_worker_that_ends_does_not_wait_for_a_server_that_is_away(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=60, latency=0.5), PlayedServer()

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 60))
            await wait_until(lambda: len(zone.seen) >= 10)
            server.is_away = True
            await anyio.sleep(3)
            worker.leave()
            told.append(zone.loop.time())
        told.append(zone.loop.time())

    told: list[float] = []
    zone.play(main)
    assert server.ends == server.failures == []
    assert told[1] - told[0] < 2 * LEASE + 2


def test_a_full_disk_stops_the_run_and_not_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.distributed import remote_rows

    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=10), PlayedServer()

    def fail(*_: object) -> None:
        raise DiskError("no space left on device")

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 10))
            await wait_until(lambda: zone.seen)
            monkeypatch.setattr(remote_rows, "_write", fail)

    zone.play(main)
    assert server.ends[0].breach == StopOrder(kind="disk", text="no space left on device")


def test_a_session_without_chunks_is_forgotten_and_fetched_again(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, top=WITHOUT_SNAPSHOTS, apim=6), PlayedServer()

    async def main() -> None:
        async with zone.worker(server) as worker:
            carry = LaneCarry()
            for first, idle in ((0, 60.0), (2, kept_session.IDLE_FOR + 60.0), (4, 0.0)):
                await give(worker, zone.make_order("apim", 2, first=first, carry=carry))
                carry = (await server.wait_for_end()).carry
                await anyio.sleep(idle)

    zone.play(main)
    assert zone.fetched == 2
    assert zone.connected == ["apim", "apim"]
    # What stays of a chunk on the disk is what its session needs.
    assert sorted(path.name for path in (tmp_path / "worker-1").rglob("*.*")) == [
        "journal.sqlite",
        "plan.yaml",
    ]
