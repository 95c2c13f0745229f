"""Chunks as a zone's worker takes them, from the order to the result."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from temporalio.client import AsyncActivityCancelledError

from orchestrator.distributed import chunk_activity, chunk_run, heartbeats
from orchestrator.distributed.names import TAKEN
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd, EndCount, LaneCarry, Orders
from orchestrator.errors import CredentialError, JournalError
from orchestrator.journal.transfer import decode_segment
from orchestrator.model.events import AnyEvent, GatewayWarned, LaneChanged, TargetEnded
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Window
from orchestrator.model.reading import Act
from orchestrator.model.settings import Limits
from orchestrator.simulator.faults import FaultKind, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.engine import EPOCH
from tests.support.played_zone import PlayedServer, PlayedZone, give, name_target, read_rows


def list_outcomes(end: ChunkEnd) -> list[tuple[str, str | None]]:
    return [(row.values[0], row.values[1]) for row in read_rows(end.segments, "outcome")]


def always(kind: FaultKind = FaultKind.STATUS, **fields: object) -> InjectedFault:
    return InjectedFault(kind=kind, times=0, **fields)  # type: ignore[arg-type]


def test_a_chunk_takes_its_targets_down_and_tells_what_became_of_each(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=5), PlayedServer()

    zone.play(lambda: zone.work(zone.make_order("apim", 3, first=1, dispatch=7), server))

    (end,) = server.ends
    assert sorted(zone.list_sent()) == [name_target("apim", number) for number in (1, 2, 3)]
    assert end.counts == (EndCount(outcome=Outcome.UNDEPLOYED, word="", count=3),)
    assert (end.left, end.refusal, end.breach, end.worker) == (0, None, None, "w1")
    assert end.carry.has_answered
    assert list_outcomes(end) == [("undeployed", None)] * 3
    assert server.signals == [(TAKEN, 7)]
    assert server.failures == []


@pytest.mark.promise(2)
def test_no_request_leaves_before_the_server_has_acknowledged_its_intent(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=40), PlayedServer()

    zone.play(lambda: zone.work(zone.make_order("apim", 40), server))

    known: dict[tuple[int, str], float] = {}
    for at, beat in server.beats:
        for row in read_rows(beat.segments, "intent"):
            seq, _, act, *_ = row.values
            known.setdefault((seq, act), at)
    assert len(zone.seen) == len(known) == 80  # a look for the snapshot, and the undeploy
    for at, act, target in zone.seen:
        seq = int(target.split("/")[2][1:]) + 1
        assert known[seq, act.value] <= at, target


@pytest.mark.parametrize(("carried", "more"), [(True, 2), (False, 5)])
def test_five_faults_park_a_lane_also_over_two_chunks(tmp_path: Path, carried: bool, more: int) -> None:
    keys = "retry: {attempts: 1}, park_for: 30s, look: doubt, limits: {concurrency: 1}"
    zone = PlayedZone(tmp_path, keys=keys, roma=20)
    zone.expect({"roma": [always(status=502)]})
    ends: list[ChunkEnd] = []

    async def main() -> None:
        first = zone.make_order("roma", 3, carry=LaneCarry(has_answered=True))
        ends.extend((await zone.work(first)).ends)
        zone.seen.clear()
        carry = replace(ends[0].carry, faulty=ends[0].carry.faulty if carried else ())
        ends.extend((await zone.work(zone.make_order("roma", 17, first=3, dispatch=1, carry=carry))).ends)

    zone.play(main)
    assert (ends[0].carry.state, len(ends[0].carry.faulty)) == ("open", 3)
    parked = next(event for event in zone.events if isinstance(event, LaneChanged))
    assert parked.state == "parked"
    sent = [at for at, act, _ in zone.seen if act is Act.UNDEPLOY and EPOCH + at < parked.at]
    assert len(sent) == more
    # The probes of the parked lane are in vain, too.
    assert (ends[1].carry.given_up, ends[1].refusal is not None) == (True, True)
    assert ends[1].left > 0


def test_a_chunk_whose_results_are_full_ends_early_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = PlayedZone(tmp_path, apim=30)
    monkeypatch.setattr(chunk_run, "CHUNK_BYTES", 1_500)
    ends: list[ChunkEnd] = []

    async def main() -> None:
        order = zone.make_order("apim", 30)
        ends.extend((await zone.work(order)).ends)
        monkeypatch.setattr(chunk_run, "CHUNK_BYTES", 600_000)
        carry, rows = ends[0].carry, ends[0].rows
        ends.extend((await zone.work(replace(order, dispatch=1, carry=carry, rows=rows))).ends)

    zone.play(main)
    first, second = ends
    assert 0 < first.left < 30
    assert first.refusal is None
    assert second.left == 0
    assert [count.count for count in first.counts] == [30 - first.left]
    assert [count.count for count in second.counts] == [first.left]
    assert len(zone.list_sent()) == len(set(zone.list_sent())) == 30


@pytest.mark.parametrize(("rate", "snapshot"), [("1/m", "off"), ("2/m", "off"), ("1/m", "best")])
def test_at_a_slow_rate_the_use_of_each_target_is_read_while_it_is_fresh(
    tmp_path: Path, rate: str, snapshot: str
) -> None:
    """The reads of eight targets in turn took longer than their use is believed: most were left."""
    keys, top = f"limits: {{rate: {rate}}}", f"snapshot: {snapshot}\nin_use: refuse"
    zone = PlayedZone(tmp_path, keys=keys, top=top, ends=20_000.0, roma=10)

    end = zone.finish(zone.make_order("roma", 10))

    assert end.counts == (EndCount(outcome=Outcome.UNDEPLOYED, word="", count=10),)


class BoundedServer(PlayedServer):
    """Drops a chunk that tells too much at once, in the words of a cancel, as a server of Temporal does."""

    async def heartbeat(self, beat: ChunkBeat, *, rpc_timeout: timedelta) -> None:
        if sum(map(len, beat.segments)) > BOUND:
            self.is_another_workers = True
            raise AsyncActivityCancelledError
        await super().heartbeat(beat, rpc_timeout=rpc_timeout)


BOUND = 1_500


@pytest.mark.promise(2)
def test_a_chunk_with_more_than_a_payload_holds_loses_nothing_that_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, server = PlayedZone(tmp_path, apim=60, keys="limits: {concurrency: 60}"), BoundedServer()
    for module in (heartbeats, chunk_activity):
        monkeypatch.setattr(module, "PAYLOAD_BYTES", BOUND)

    zone.play(lambda: zone.work(zone.make_order("apim", 60), server))

    told = [row for _, beat in server.beats[-1:] for row in read_rows(beat.segments, "intent")]
    known = {(row.values[0], row.values[2]) for row in told}
    sent = {(int(target.split("/")[2][1:]) + 1, act.value) for _, act, target in zone.seen}
    assert sent <= known
    assert (server.is_another_workers, server.ends, server.failures) == (False, [], [])


def test_a_result_that_the_server_would_drop_is_left_to_the_last_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, server = PlayedZone(tmp_path, apim=3), PlayedServer()
    monkeypatch.setattr(chunk_activity, "PAYLOAD_BYTES", 10)

    zone.play(lambda: zone.work(zone.make_order("apim", 3), server))

    assert (server.ends, server.failures) == ([], [])
    assert len(list(read_rows(server.beats[-1][1].segments, "intent"))) == 6


def test_the_results_of_lost_dispatches_count_for_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = PlayedZone(tmp_path, apim=30)
    monkeypatch.setattr(chunk_run, "CHUNK_BYTES", 10)

    end = zone.finish(zone.make_order("apim", 30, rows=chunk_run.encode_segment([], ()) * 10))

    assert end.left > 0


def test_secrets_that_a_gateway_repeats_are_masked_before_they_are_told(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=2), PlayedServer()
    fault = InjectedFault(kind=FaultKind.STATUS, status=400, message=f"bad token {FAKE_TOKEN} was sent")
    zone.expect({"apim/P/p0/e": [fault]})

    zone.play(lambda: zone.work(zone.make_order("apim", 2), server))

    (end,) = server.ends
    told = [repr(decode_segment(each)) for each in (*end.segments, *server.beats[-1][1].segments)]
    assert any("bad token •••" in each for each in told)
    assert not any(FAKE_TOKEN in each for each in told)


def test_a_restore_chunk_brings_back_what_another_worker_took_down(tmp_path: Path) -> None:
    zone = PlayedZone(tmp_path, apim=3, roma=2)
    ends: list[ChunkEnd] = []

    async def main() -> None:
        for gateway, count in (("apim", 3), ("roma", 2)):
            down = (await zone.work(zone.make_order(gateway, count))).ends[0]
            zone.write_rows([*read_rows(down.segments, "snapshot")])
        assert zone.platforms.books().gateways["apim"].down == 3
        for gateway, count in (("apim", 3), ("roma", 2)):
            order = zone.make_order(gateway, count, act="restore")
            ends.extend((await zone.work(order)).ends)

    zone.play(main)
    assert [list_outcomes(end) for end in ends] == [[("restored", None)] * 3, [("restored", None)] * 2]
    assert sorted(zone.list_sent(Act.DEPLOY)) == sorted(zone.list_sent())
    assert [zone.platforms.books().gateways[name].down for name in ("apim", "roma")] == [0, 0]


def test_a_worker_without_the_credential_says_so_and_sends_nothing(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=2), PlayedServer()
    zone.token = CredentialError("the variable T is not set")

    zone.play(lambda: zone.work(zone.make_order("apim", 2), server))

    (failure,) = server.failures
    assert (failure.type, failure.message) == ("credential", "the variable T is not set")
    assert zone.seen == server.ends == []


def test_a_credential_that_is_gone_in_mid_run_closes_the_lane(tmp_path: Path) -> None:
    zone = PlayedZone(tmp_path, apim=2)
    zone.token = CredentialError("the variable T is not set")

    end = zone.finish(zone.make_order("apim", 2, dispatch=1, carry=LaneCarry(has_answered=True)))

    assert end.carry.state == "closed"
    assert end.refusal == "denied: the variable T is not set"
    assert (end.left, zone.seen) == (2, [])


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            RuntimeError(f"no such thing as {FAKE_TOKEN}"),
            "bug",
            r"RuntimeError: no such thing as ••• \(.*:\d+\)",
        ),
        (JournalError("the chunk's journal is damaged"), "trouble", "the chunk's journal is damaged"),
    ],
)
def test_an_error_in_a_chunk_is_told_as_what_it_is_with_all_that_was_sent(
    tmp_path: Path, error: Exception, kind: str, text: str
) -> None:
    """Trouble of one worker hands the chunk out again; a bug ends the run."""
    zone, server = PlayedZone(tmp_path, apim=30), PlayedServer()

    def break_down(event: AnyEvent) -> None:
        if isinstance(event, TargetEnded) and len(zone.seen) > 5:
            raise error

    zone.observe = break_down
    zone.play(lambda: zone.work(zone.make_order("apim", 30), server))

    (failure,) = server.failures
    assert failure.type == kind
    assert re.fullmatch(text, failure.message), failure.message
    (beat,) = failure.details
    intents = {row.values[0] for row in read_rows(beat.segments, "intent")}
    assert {f"apim/P/p{seq - 1}/e" for seq in intents} >= set(zone.list_sent())


def test_an_order_that_does_not_fit_the_plan_is_refused(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=1), PlayedServer()

    zone.play(lambda: zone.work(zone.make_order("nowhere", 1), server))

    (failure,) = server.failures
    assert (failure.type, failure.message) == ("trouble", "the plan has no gateway nowhere")


def test_a_lane_is_kept_for_the_next_chunk_unless_another_worker_had_one_between(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=6), PlayedServer()

    async def main() -> None:
        async with zone.worker(server) as worker:
            carry = LaneCarry()
            for first in (0, 2, 4):
                if first == 4:
                    carry = replace(carry, rate=9.0)
                await give(worker, zone.make_order("apim", 2, first=first, dispatch=first, carry=carry))
                await server.wait_for_end()
                carry = server.ends[-1].carry

    zone.play(main)
    assert zone.connected == ["apim", "apim"]
    assert len(zone.list_sent()) == 6


def test_limits_of_an_operator_hold_in_a_kept_lane(tmp_path: Path) -> None:
    zone, server = PlayedZone(tmp_path, apim=24), PlayedServer()
    slow = Orders(limits={"apim": Limits(concurrency=1)})

    async def main() -> None:
        async with zone.worker(server) as worker:
            await give(worker, zone.make_order("apim", 12))
            await server.wait_for_end()
            assert zone.together == 4
            zone.together = 0
            carry = server.ends[-1].carry
            await give(worker, zone.make_order("apim", 12, first=12, carry=carry, orders=slow))
            await server.wait_for_end()

    zone.play(main)
    assert zone.together == 1
    assert server.ends[-1].carry.limits == Limits(concurrency=1)


def test_skipped_targets_and_a_stop_rule_are_judged_in_the_chunk(tmp_path: Path) -> None:
    zone = PlayedZone(tmp_path, top="stop_when: {failed: 3}", apim=40)
    zone.expect({"apim": [always(status=400)]})

    end = zone.finish(zone.make_order("apim", 40, orders=Orders(skips={"apim/P/p0/e": "ayse"})))

    assert end.breach is not None
    assert end.breach.kind == "stop_rule"
    assert "apim/P/p0/e" not in zone.list_sent()
    assert len(zone.list_sent()) < 12
    assert end.left > 0


def test_a_lane_whose_window_has_closed_says_so(tmp_path: Path) -> None:
    zone = PlayedZone(tmp_path, apim=2)
    window = Window(opens=None, closes=datetime.fromtimestamp(EPOCH + 100.0, UTC))

    end = zone.finish(zone.make_order("apim", 2, window=window))

    assert end.refusal is not None
    assert end.refusal.startswith("window: ")
    assert (end.left, zone.seen) == (2, [])


def test_a_warning_is_told_once_in_a_session(tmp_path: Path) -> None:
    zone = PlayedZone(tmp_path, apim=4, keys="tls: {insecure: true}")
    carries: list[LaneCarry] = [LaneCarry()]

    async def main() -> None:
        for first in (0, 2):
            order = zone.make_order("apim", 2, first=first, carry=carries[-1])
            carries.append((await zone.work(order)).ends[0].carry)

    zone.play(main)
    warned = [event for event in zone.events if isinstance(event, GatewayWarned)]
    assert len(warned) == len(carries[-1].told) == 1


@pytest.mark.parametrize("broken", [(), (1,)])
def test_a_target_waits_for_one_of_another_chunk(tmp_path: Path, broken: tuple[int, ...]) -> None:
    zone = PlayedZone(tmp_path, apim=2, after="apim/P/p0/e")

    end = zone.finish(zone.make_order("apim", 1, first=1, broken=broken))

    (count,) = end.counts
    assert (count.outcome, count.word) == (
        (Outcome.NOT_STARTED, "dependency") if broken else (Outcome.UNDEPLOYED, "")
    )
    assert zone.list_sent() == ([] if broken else ["apim/P/p1/e"])
