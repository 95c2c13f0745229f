"""One chunk on the existing executor: a journal and a run gate of its own, and the lane that is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from orchestrator.distributed.bounds import CHUNK_BYTES
from orchestrator.distributed.kept_lane import KeptLane, ToldOnce, open_lane, prepare_lane
from orchestrator.distributed.kept_session import KeptSession
from orchestrator.distributed.lease import Lease
from orchestrator.distributed.payloads import (
    ChunkEnd,
    ChunkOrder,
    ChunkPlace,
    EndCount,
    LaneCarry,
    Orders,
    StopOrder,
)
from orchestrator.distributed.remote_rows import ChunkLog, RemoteRows, replay_rows, select_rows
from orchestrator.engine.options import RunOptions
from orchestrator.engine.queue import DependencyTracker, ExclusiveKeys, TargetQueue
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import RunResources, SessionSpec
from orchestrator.engine.window import SessionWindow
from orchestrator.engine.workers import LaneWorkers
from orchestrator.errors import CredentialError, DiskError, UsageError
from orchestrator.journal.chunk import ChunkJournal, ChunkTargets, make_chunk_journal
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.transfer import NamedRow, decode_segment, encode_segment
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, TargetEnded
from orchestrator.model.outcome import Outcome, Reason, find_word
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import DEPLOY, UNDEPLOY
from orchestrator.plan.patterns import Patterns
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.stop_rules import SHARES_FROM, StopRules

FULL = "the results of this chunk are full"


class NoCredentialError(Exception):
    """The worker has no credential for the gateway, or no way to it; nothing was sent by the lane so far."""


class ChunkRun:
    """Takes the targets of one chunk as far as its orders let it."""

    def __init__(
        self,
        order: ChunkOrder,
        kept: KeptSession,
        log: ChunkLog,
        lease: Lease,
        hurry: Callable[[], None],
        *,
        ahead: float,
    ) -> None:
        """``hurry`` has the next heartbeat sent at once: a row waits for it.

        ``ahead``: the server's Unix time, less the monotonic clock's.
        """
        self._order = order
        self._kept = kept
        self._log = log
        self._lease = lease
        self._hurry = hurry
        self._ahead = ahead
        self._environment = kept.environment
        self._gateway = kept.find_gateway(order.place.gateway)
        self._window = SessionWindow(order.window, kept.environment)
        self._gate = self._make_gate()
        self._stopped_by_order: StopOrder | None = None
        self._counts: Counter[tuple[Outcome, str, bool]] = Counter()
        self._earlier: list[NamedRow] = []
        """The rows of the dispatches before."""
        self._told = list(order.carry.told)
        self._kept_lane: KeptLane | None = None
        self.rows: RemoteRows | None = None
        """Where the chunk's rows go, once it has begun."""

    def _make_gate(self) -> RunGate:
        gate = RunGate(
            closes=self._window.close_on_monotonic_clock(),
            matcher=lambda texts: Patterns(texts, self._kept.plan.gateways).find_first,
        )
        for pattern, operator in self._order.orders.skips.items():
            gate.skip(pattern, operator)
        return gate

    def come_back(self, why: str, orders: Orders | None = None, *, lets_look: bool = True) -> None:
        """Land what flies and return with what there is; ``orders`` tell whether the run stops.

        ``lets_look``: looks may settle doubts first, which takes up to ``park_for`` in a lane that is ill.
        """
        self._gate.recall(why, lets_look=lets_look)
        if orders is not None and orders.stop is not None:
            self._stopped_by_order = orders.stop
            self._gate.stop(orders.stop.kind, orders.stop.text)

    @property
    def is_parked(self) -> bool:
        """Whether the chunk's lane is ill, and is probed."""
        lane = None if self._kept_lane is None else self._kept_lane.lane
        return lane is not None and lane.state.probe_times() is not None

    def describe_lane(self) -> LaneCarry | None:
        """Return what the lane is now; None before the chunk has one."""
        return None if self._kept_lane is None else self._kept_lane.export(self._told, self._ahead)

    async def run(self, place: Path, serve: Callable[[RemoteRows], None]) -> ChunkEnd:
        """Work on the chunk; its own journal is at ``place``. ``serve`` gets the rows to be told.

        Raises NoCredentialError, and JournalError where a journal cannot be used.
        """
        order = self._order
        journal = make_chunk_journal(
            self._kept.journal,
            place,
            self._place(order.place),
            wanted=Outcome.RESTORED if order.act == "restore" else Outcome.UNDEPLOYED,
            broken=order.broken,
            undone=[self._place(each) for each in order.undone],
        )
        try:
            self.rows = RemoteRows(self._log, journal.database, self._hurry)
            serve(self.rows)
            resources = self._gather(journal)
            self._replay(journal, resources.stop_rules)
            return await self._work(journal, resources)
        finally:
            journal.close()

    def _place(self, place: ChunkPlace) -> ChunkTargets:
        return ChunkTargets(
            wave=place.wave,
            step=place.step,
            gateway=self._kept.find_index(place.gateway),
            first=place.first,
            count=place.count,
            level=place.level,
        )

    def _gather(self, journal: ChunkJournal) -> RunResources:
        order, plan = self._order, self._kept.plan
        assert self.rows is not None  # noqa: S101 - run() has just made them
        stop_rules = StopRules(plan.stop_when, {}, first_run=order.first_run, past_stop=order.past_stop)
        stop_rules.take_up(order.stop)
        return RunResources(
            spec=self._describe_session(),
            environment=self._environment,
            run_gate=self._gate,
            record=SessionRecord(self.rows, order.session),
            pending=PendingTargets(journal.database, plan, resumed=self._is_resumed),
            stop_rules=stop_rules,
            emit=self._emit,
        )

    @property
    def _is_resumed(self) -> bool:
        """Whether something may have been sent for its targets before."""
        return self._order.session > 1 or bool(self._order.rows) or bool(self._order.beats)

    def _describe_session(self) -> SessionSpec:
        order = self._order
        return SessionSpec(
            request=RunRequest(options=RunOptions(past_stop=order.past_stop)),
            folder=RunFolder(self._kept.folder / order.run),
            plan=self._kept.plan,
            change=DEPLOY if order.act == "restore" else UNDEPLOY,
            number=order.session,
            holder="{}",
            window=order.window,
            window_from="plan",
            materials={},
            accepted=order.accepted,
        )

    def _emit(self, event: AnyEvent) -> None:
        if isinstance(event, TargetEnded):
            # A dispatch before has sent something, maybe, but no session before has.
            event = replace(event, doubted=event.doubted and self._order.session > 1)
            self._count(event)
        self._log.add_event(event)
        self._kept.observe(event)
        if self._measure() > CHUNK_BYTES:
            self._gate.recall(FULL)

    def _measure(self) -> int:
        order = self._order
        return self._log.size + len(order.rows) + sum(map(len, order.beats))

    def _count(self, event: TargetEnded) -> None:
        self._counts[event.outcome, find_word(event.outcome, event.reason), event.doubted] += 1

    def _replay(self, journal: ChunkJournal, stop_rules: StopRules) -> None:
        """Take in what the dispatches before have written; what ended in the lost ones counts as ended."""
        segments = [decode_segment(each) for each in (self._order.rows, *self._order.beats) if each]
        self._earlier = [row for segment in segments for row in segment.rows]
        replay_rows(journal.database, self._earlier)
        for event in (event for segment in segments for event in segment.events):
            if isinstance(event, TargetEnded):
                self._count(event)
        for (outcome, word, doubted), number in self._counts.items():
            stop_rules.count_ends(outcome, word, number, doubted=doubted)
        if self._counts and (breach := stop_rules.find_breach(shares_from=SHARES_FROM)):
            self._gate.stop("stop_rule", breach)

    async def _work(self, journal: ChunkJournal, resources: RunResources) -> ChunkEnd:
        kept = await self._open_lane(resources)
        if isinstance(kept, LaneCarry):
            return self._describe_end(journal, resources, kept)
        prepare_lane(kept, resources, self._window)
        # Whoever finds a lane without a carry knows that its chunk did not end.
        kept.carry, kept.sender.lease = None, self._lease
        self._kept_lane = kept
        if left := len(journal.read_fate().left):
            await self._take_targets(resources, kept.lane, left)
        kept.sender.lease = None
        kept.carry = kept.export(self._told, self._ahead)
        return self._describe_end(journal, resources, kept.carry, kept.lane)

    async def _open_lane(self, resources: RunResources) -> KeptLane | LaneCarry:
        """Return the lane: the one that this worker kept, or another one that goes on where it stood.

        Returns what the lane is from now on where its credential, which was there before, is gone.
        """
        order, name = self._order, self._gateway.name
        recorder = ToldOnce(resources.record, resources.emit, self._environment.now)
        recorder.told = self._told
        kept = self._kept.lanes.get(name)
        if kept is not None and kept.fits(order.carry):
            kept.lane.go_on(self._gate, recorder)
            kept.obey_limits(order.orders.limits.get(name))
            return kept
        await self._kept.drop_lane(name)
        try:
            material = await self._kept.resolve(self._gateway)
            opened = await open_lane(self._gateway, material, resources, order, recorder, ahead=self._ahead)
        except (CredentialError, UsageError) as error:
            text = self._environment.known.mask.clean_text(str(error))
            if order.dispatch == 0 and not order.carry.has_answered:
                raise NoCredentialError(text) from None
            reason = f"{Reason.DENIED}: {text}"
            recorder.on_lane_state(name, "closed", reason, None)
            return replace(order.carry, state="closed", reason=reason)
        self._kept.lanes[name] = opened
        return opened

    async def _take_targets(self, resources: RunResources, lane: Lane, left: int) -> None:
        order = self._order
        wave_step = WaveStep(order.place.wave, order.place.step)
        tracker = DependencyTracker(Dependencies(partial(resources.pending.list_prerequisites, wave_step)))
        queue = TargetQueue(resources.pending, wave_step, lane.gateway, ExclusiveKeys(), tracker)
        workers = LaneWorkers(resources, lane, queue, tracker)
        await workers.run(left, order.ahead + order.later)
        try:
            await resources.record.flush()
        except DiskError as error:
            self._gate.stop("disk", str(error))

    def _describe_end(
        self, journal: ChunkJournal, resources: RunResources, carry: LaneCarry, lane: Lane | None = None
    ) -> ChunkEnd:
        fate = journal.read_fate()
        rows = select_rows((*self._earlier, *self._log.rows), fate.left) if fate.left else []
        return ChunkEnd(
            segments=tuple(self._log.cut()),
            left=len(fate.left),
            rows=encode_segment(rows, ()) if rows else b"",
            counts=tuple(self._list_counts()),
            stop=resources.stop_rules.state,
            breach=self._find_breach(),
            carry=carry,
            refusal=carry.reason if lane is None else self._find_refusal(lane),
            broken=fate.broken,
            worker=self._kept.worker,
        )

    def _list_counts(self) -> Iterator[EndCount]:
        for (outcome, word, doubted), count in self._counts.items():
            yield EndCount(outcome=outcome, word=word, count=count, doubted=doubted)

    def _find_breach(self) -> StopOrder | None:
        """Return why the chunk itself stops the run, if it does."""
        kind, reason = self._gate.stop_kind, self._gate.reason or ""
        if kind is None or self._stopped_by_order is not None:
            return None
        return StopOrder(kind=kind, text=reason.partition(": ")[2])

    def _find_refusal(self, lane: Lane) -> str | None:
        """Return why the lane starts nothing any more, be the run as it may."""
        act = lane.policy.act
        if refused := lane.state.refusal(act):
            return refused
        if self._gate.stop_kind is not None:
            return None
        now, takes = self._environment.monotonic(), lane.gateway.reply_timeout
        is_late = now + takes > self._gate.closes
        return self._gate.refusal(act, now, takes=takes) if is_late else None
