"""Sees what the server takes in and what leaves the workers, and keeps the promises that they break.

No rule of the engine is used: the witness knows who has which activity by the server's books, which rows the
server has confirmed, and each request at the moment of its first byte.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct
from temporalio.api.common.v1 import Payload, Payloads

from orchestrator.distributed.payloads import RunInput
from orchestrator.engine.control_commands import SetLimits
from orchestrator.journal.record import TRANSFERRED
from orchestrator.journal.transfer import decode_segment
from orchestrator.model.reading import Act
from tests.simulation.far.execution import Activity
from tests.simulation.far.processes import SimulatedProcess
from tests.simulation.far.server import ServerListener
from tests.simulation.promises import PromiseWitness, offers_look
from tests.simulation.scene import SeedScene
from tests.simulation.wire import SessionWire, WireExchange

TELLS_WITHIN = 5.0
"""Seconds within which a worker has told the server what a gateway asks for, where it reaches the server."""


class ToldSegments(Struct, frozen=True):
    """What heartbeats, results and failures have in common."""

    segments: tuple[bytes, ...] = ()


class OrderedPlace(Struct, frozen=True):
    """Which lane a chunk is of."""

    gateway: str


class OrderedChunk(Struct, frozen=True):
    """What the witness reads in the order of a chunk."""

    run: str
    session: int
    place: OrderedPlace


class GivenChunk(Struct, kw_only=True, eq=False):
    """A chunk that a worker has, by the server's books."""

    activity: Activity
    gateway: str
    worker: str
    session: int
    heard_at: float = 0.0
    """When the server heard of it last; virtual Unix seconds."""
    segments: int = 0
    """How many the server knows."""
    open: set[tuple[str, int]]
    """The requests with an intent and no result: target and number."""


class SharedLooks(PromiseWitness):
    """The promises as on one machine; ``note`` hears of the targets that one look shows."""

    def __init__(self, scene: SeedScene, act: Act, note: Callable[[Iterable[str]], None]) -> None:
        super().__init__(scene, act)
        self._note = note

    def note_shared_look(self, targets: Iterable[str]) -> None:
        """Note that one look at several targets has reached its platform."""
        seen = tuple(targets)
        super().note_shared_look(seen)
        self._note(seen)


class DriverFacts(Struct, kw_only=True, eq=False):
    """What a driver wanted of the session that it began. Times are virtual Unix seconds."""

    closes: float | None = None
    signals: list[float]


class FarWitness(ServerListener):
    """Notes each contradiction in one run; its ``promises`` judge rows and arrivals as on one machine."""

    def __init__(self, scene: SeedScene, act: Act = Act.UNDEPLOY) -> None:
        self.promises = SharedLooks(scene, act, self._settle_looks)
        self.broken: list[str] = []
        self.drivers: dict[str, DriverFacts] = {}
        """By process."""
        self.wires: defaultdict[int, SessionWire] = defaultdict(lambda: SessionWire.begin(act, 0.0))
        """What left, by the session of the run that it belongs to."""
        self.lost = 0
        """Chunks that were lost with their workers."""
        self.doubts: set[str] = set()
        """The targets that must be looked at before anything is sent for them again."""
        self._scene = scene
        self._act = act
        self._ids = {target.seq: target.id for target in scene.targets}
        self._chunks: dict[int, GivenChunk] = {}
        self._holders: dict[str, GivenChunk] = {}
        self._flying: defaultdict[tuple[str, str], list[WireExchange]] = defaultdict(list)
        """By process and gateway."""
        self._most = {gateway.name: gateway.concurrency for gateway in scene.plan.gateways}
        for _, demand in scene.acts:
            if isinstance(demand, SetLimits):
                most = 10_000 if demand.unbounded else demand.concurrency or 0
                self._most[demand.gateway] = max(self._most[demand.gateway], most)

    # What the server knows.

    def on_run(self, given: Payload, process: SimulatedProcess) -> None:
        """Note whose session begins: that driver's window holds for it, and its signals stop it."""
        session = msgspec.json.decode(given.data, type=RunInput).session
        facts = self.drivers[process.name]
        self.wires[session] = SessionWire.begin(self._act, 0.0, facts.closes)
        self.wires[session].signals = facts.signals

    def _settle_looks(self, targets: Iterable[str]) -> None:
        self.doubts.difference_update(targets)

    def on_given(self, activity: Activity) -> None:
        """Note who has the lane now."""
        order = _read_order(activity)
        gateway = order.place.gateway
        before = self._holders.get(gateway)
        if before is not None and before.activity.is_over:
            self._release(before)  # its workflow was ended from outside
        elif before is not None:
            self.broken.append(f"promise 6: two chunks of {gateway} were out at once")
        chunk = GivenChunk(
            activity=activity,
            gateway=gateway,
            worker=activity.worker or "",
            session=order.session,
            open=set(),
        )
        self._chunks[id(activity)] = self._holders[gateway] = chunk

    def on_beat(self, activity: Activity, details: Payloads) -> None:
        """Note the rows that the server knows from now on."""
        chunk = self._chunks[id(activity)]
        chunk.heard_at = activity.execution.server.now()
        self._take(chunk, details)

    def on_result(self, activity: Activity, result: Payloads) -> None:
        """Note the rows of a chunk that has come back, and what it left open."""
        chunk = self._chunks[id(activity)]
        self._take(chunk, result)
        self._release(chunk)

    def on_lost(self, activity: Activity) -> None:
        """Note which targets of a lost chunk are in doubt."""
        chunk = self._chunks[id(activity)]
        self.lost += 1
        self._release(chunk)
        for each in self.wires[chunk.session].list_of(chunk.gateway):
            # Of what it was told at its very end nobody else can know.
            if each.came is not None and each.came > chunk.heard_at - TELLS_WITHIN:
                each.is_untold = True

    def _release(self, chunk: GivenChunk) -> None:
        self.doubts.update(target for target, _ in chunk.open)
        if self._holders.get(chunk.gateway) is chunk:
            del self._holders[chunk.gateway]

    def _take(self, chunk: GivenChunk, payloads: Payloads) -> None:
        if not payloads.payloads:
            return
        told = msgspec.json.decode(payloads.payloads[0].data, type=ToldSegments)
        fresh, chunk.segments = told.segments[chunk.segments :], len(told.segments)
        for segment in fresh:
            for row in decode_segment(segment).rows:
                self.promises.commit((TRANSFERRED[row.name], tuple(row.values)))
                if row.name == "intent" and row.values[2] != Act.LOOK:
                    chunk.open.add((self._ids[row.values[0]], row.values[1]))
                elif row.name == "result":
                    chunk.open.discard((self._ids[row.values[-2]], row.values[-1]))

    # What leaves.

    def on_departure(self, process: SimulatedProcess, seen: WireExchange) -> None:
        """Judge a request at its first byte."""
        if seen.store:
            return
        holder = self._holders.get(seen.gateway)
        if holder is None or holder.worker != process.name:
            whose = "nobody" if holder is None else holder.worker
            self.broken.append(f"promise 2: {seen} left {process.name} while {whose} had its lane")
        if holder is not None:
            self.wires[holder.session].exchanges.append(seen)
        if seen.target is None or seen.act is None:
            return
        if seen.act is Act.LOOK:
            self.doubts.discard(seen.target)
        elif seen.target in self.doubts and offers_look(self._scene, seen.gateway):
            self.broken.append(f"promise 2: {seen} left after a worker was lost, without a look")
        self._check_concurrency(process, seen)

    def _check_concurrency(self, process: SimulatedProcess, seen: WireExchange) -> None:
        """Check that the one who has the lane has no more requests under way than its limits allow."""
        flying = self._flying[process.name, seen.gateway]
        flying[:] = [each for each in flying if each.came is None]
        flying.append(seen)
        if len(flying) > self._most[seen.gateway]:
            self.broken.append(f"promise 6: {seen} was number {len(flying)} of its lane under way")


class RunWitnesses(ServerListener):
    """Tells the witness of each run what the server knows of that run."""

    def __init__(self) -> None:
        self._present: FarWitness | None = None
        self._by_run: dict[str, FarWitness] = {}

    @property
    def lost(self) -> int:
        """The chunks of all runs that were lost with their workers."""
        return sum(witness.lost for witness in self._by_run.values())

    def begin(self, witness: FarWitness) -> FarWitness:
        """Have a witness see the run that begins next; return it."""
        self._present = witness
        return witness

    def on_run(self, given: Payload, process: SimulatedProcess) -> None:
        """Tell the present witness whose session begins."""
        assert self._present is not None
        self._by_run[msgspec.json.decode(given.data, type=RunInput).run] = self._present
        self._present.on_run(given, process)

    def on_given(self, activity: Activity) -> None:
        """Tell the run's witness who has a chunk."""
        self._find(activity).on_given(activity)

    def on_beat(self, activity: Activity, details: Payloads) -> None:
        """Tell the run's witness what a heartbeat has told."""
        self._find(activity).on_beat(activity, details)

    def on_result(self, activity: Activity, result: Payloads) -> None:
        """Tell the run's witness what a chunk has come back with."""
        self._find(activity).on_result(activity, result)

    def on_lost(self, activity: Activity) -> None:
        """Tell the run's witness of a lost chunk."""
        self._find(activity).on_lost(activity)

    def _find(self, activity: Activity) -> FarWitness:
        return self._by_run[_read_order(activity).run]


def _read_order(activity: Activity) -> OrderedChunk:
    return msgspec.json.decode(activity.arguments[0].data, type=OrderedChunk)
