"""Plays one seed, from its first session to the end of its run and of its restore."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from unittest.mock import patch

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, OrchestratorError, RunError
from orchestrator.journal.audit import audit_journal
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.run_lookup import list_runs
from orchestrator.lanes import state_list
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.events import Listener
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import RunId, Window
from orchestrator.model.reading import DEPLOY, Act
from orchestrator.model.target import TargetId
from orchestrator.plan.problems import FilePosition
from orchestrator.plan.reader import ParsedPlan
from orchestrator.preview.approval import Approval
from orchestrator.runs.load import LoadedPlan, digest_file
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.clock import CrashError, VirtualLoop, play
from tests.simulation.credentials import TOKENS, resolve
from tests.simulation.discovering import choose_gateways, judge_discovery
from tests.simulation.disk import ProcessFate, SlowDisk
from tests.simulation.examining import judge_doctor
from tests.simulation.guards import check_drift
from tests.simulation.lanes import check_closed
from tests.simulation.leaving import check_remainder
from tests.simulation.looking import LookStage, LookWitness
from tests.simulation.network import ArrivalWitness, SimulatedNetwork
from tests.simulation.notifying import SessionNotices
from tests.simulation.operator import make_control_socket
from tests.simulation.oracles import check_wire
from tests.simulation.others import change_some, check_changes, withdraw
from tests.simulation.patience import SessionPatience
from tests.simulation.previewing import judge_preview, read_approved
from tests.simulation.promises import (
    PromiseWitness,
    check_attempts,
    check_end,
    compute_longest_session,
    compute_most_in_flight,
    find_leaks,
    list_in_doubt,
    list_targets,
    offers_look,
)
from tests.simulation.restoration import SimulatedRestore, check_refused_restore, check_restored
from tests.simulation.scene import Illness, SeedScene, make_scene
from tests.simulation.standing import StatusWitness
from tests.simulation.stopping import check_landed
from tests.simulation.timing import check_durations, check_gaps
from tests.simulation.upkeep import (
    TimedSignals,
    make_seed_folder,
    need_no_credential,
)
from tests.simulation.use import check_use
from tests.simulation.wall_clock import make_wall_clock
from tests.simulation.wire import SessionWire, WireExchange

EPOCH = 1_795_000_000.0
"""Unix seconds at which every simulated run begins."""

SIGNING_KEY = Secret("the key of simulated journals")

AFTER_SECOND = 5.0
"""Seconds within which a session ends after its second interrupt."""


class SeedVerdict(Struct, frozen=True, kw_only=True):
    """The result of a seed. ``trace`` is a digest of all outcomes; the same seed always has the same.

    ``hung`` counts the things that a restore has hung on front ends again; ``in_use`` the targets that the
    run has left for their use; ``looked`` the commands before the run that only look; ``lost`` the chunks
    that were lost with their workers, in a run beyond one machine.
    """

    seed: int
    broken: tuple[str, ...]
    sessions: int
    requests: int
    seconds: float
    trace: int
    hung: int
    in_use: int
    looked: int
    lost: int = 0


def play_seed(number: int) -> SeedVerdict:
    """Play one seed; the verdict names each broken promise."""
    scene = make_scene(number)
    with (
        make_seed_folder("undeploy-simulate-") as folder,
        patch.object(state_list, "WORTH_LISTING", scene.worth_listing),
    ):
        return _SeedPlay(number, scene, folder).run()


class _SeedPlay:
    def __init__(self, number: int, scene: SeedScene, folder: Path) -> None:
        self._number = number
        self._scene = scene
        self._folder = folder
        self._random = Random(number + 1)
        self._platforms = SimulatedPlatforms(scene.fixture, scene.faults, now=EPOCH)
        self._witness = PromiseWitness(scene)
        self._elapsed = 0.0
        self._began = 0.0
        """Virtual seconds at which the run, or its restore, began."""
        self._resolved = 0
        self._number_of_session = 0
        self._patience = SessionPatience(len(scene.targets))
        self._restore: SimulatedRestore | None = None
        self._wire = SessionWire.begin(Act.UNDEPLOY, EPOCH)
        self._exchanges: list[WireExchange] = []
        """Those of the sessions that are over."""
        self._acts: dict[RunId, str] = {}
        """The act of each run that was seen."""
        self._looked = 0
        """Commands that only looked before the run."""
        self._seen_before = 0
        """Requests before the run."""
        self._changed: dict[TargetId, bool] | None = None
        """The targets that somebody else changed since their approval, and whether they are up.

        None: the run has no approval.
        """

    def run(self) -> SeedVerdict:
        self._look_before()
        sessions = self._play_sessions()
        broken, in_use = [*self._witness.broken], 0
        books = self._platforms.books()
        if not self._list_runs():
            broken.append("no run was made")
        for run in self._list_runs():
            requests = self._platforms.list_requests(self._seen_before)
            broken += check_end(self._scene, books, run, requests)
            targets = list_targets(run)
            broken += check_use(self._scene, books, targets, requests)
            with make_seed_folder("undeploy-remainder-") as folder:
                broken += check_remainder(self._scene, run, targets, folder)
            broken += check_changes(self._changed, targets, requests, self._exchanges)
            in_use += sum((target.reason or "").startswith("in_use") for target in targets)
            broken += check_attempts(self._scene, run)
        if self._changed is None:
            requests = self._platforms.list_requests(self._seen_before)
            broken += check_drift(self._scene, requests, self._exchanges)
        if not broken:
            sessions += self._bring_back(books, broken)
        broken += [leak for run in list_runs(self._folder) for leak in find_leaks(run.path)]
        return SeedVerdict(
            seed=self._number,
            broken=tuple(broken),
            sessions=sessions,
            requests=self._platforms.books().requests,
            seconds=self._elapsed,
            trace=self._compute_trace(),
            hung=sum(seen.effect is RequestEffect.BOUND for seen in self._platforms.list_requests()),
            in_use=in_use,
            looked=self._looked,
        )

    def _look_before(self) -> None:
        """Play the commands that only look, each as a process of its own, before the run."""
        scene = self._scene
        if scene.has_doctor:
            with self._load() as loaded:
                stage = self._set_stage("doctor")
                judge_doctor(stage, loaded)
            self._leave(stage)
        if scene.preview is not None:
            with self._load() as loaded:
                options = RunOptions(state=self._folder, skip=scene.skip)
                stage = self._set_stage("the preview")
                played = judge_preview(stage, scene.preview, loaded, options, self._folder)
            self._leave(stage)
            if played is not None and played.approval is not None:
                self._hold_to(played.approval)
        if scene.discover is not None and choose_gateways(scene, scene.discover):
            stage = self._set_stage("discover")
            judge_discovery(stage, scene.discover, self._changed or ())
            self._leave(stage)
        self._platforms.expect(scene.faults)
        self._began = self._elapsed
        self._seen_before = len(self._platforms.list_requests())

    def _hold_to(self, approval: Approval) -> None:
        """Let the run be guarded by an approval, after which somebody else changes some targets."""
        approved = read_approved(approval)
        self._scene = replace(self._scene, approved=approved)
        now = EPOCH + self._elapsed - 0.5
        known = [name for name, state in approved.items() if state.state in ("up", "down") and state.since]
        self._changed = change_some(self._random, self._scene, self._platforms, known, now)

    def _set_stage(self, command: str) -> LookStage:
        loop, witness = VirtualLoop(ends=compute_longest_session(self._scene)), LookWitness(command)
        self._wire = SessionWire.begin(Act.UNDEPLOY, EPOCH + self._elapsed)
        return LookStage(
            command,
            self._scene,
            self._platforms,
            loop=loop,
            wire=self._wire,
            environment=self._make_environment(loop, ProcessFate(loop), witness),
            witness=witness,
        )

    def _leave(self, stage: LookStage) -> None:
        self._witness.broken += stage.broken
        self._looked += 1
        self._elapsed += stage.seconds + 1.0

    def _load(self) -> LoadedPlan:
        """Return the plan of the scene as a command loads it."""
        draft, place = write_draft(self._scene, self._folder)
        source = place / "plan.yaml"
        parsed = ParsedPlan(
            plan=self._scene.plan,
            digest="0" * 64,
            folder=self._folder,
            source=source,
            source_digest=digest_file(source),
            targets=len(self._scene.targets),
            by_gateway={},
            by_wave={},
        )
        return LoadedPlan(parsed, draft, place)

    def _play_sessions(self) -> int:
        """Play sessions until the run has reached its end; return their count."""
        self._patience = SessionPatience(len(self._scene.targets))
        for number in self._patience.list_sessions():
            doubts = self._check_in_flight()
            done = self._play_session(number)
            self._check_doubts(doubts)
            self._check_ledger(number)
            true = self._elapsed - self._began
            for run in self._list_runs():
                self._witness.broken += check_durations(run, true, self._scene.jumps)
            if done:
                return number
        played = self._number_of_session
        self._witness.broken.append(f"the run has not reached its end after {played} sessions")
        return played

    def _bring_back(self, before: SimulatorBooks, broken: list[str]) -> int:
        """Restore the targets that the run took down, under faults of the same sort."""
        parent, counted = self._list_runs()[0], len(self._platforms.list_requests())
        try:
            self._restore = SimulatedRestore(self._number, self._scene, parent, self._folder)
        except RunError as refused:
            broken += check_refused_restore(self._scene, before, parent, refused)
            return 0
        self._scene = self._restore.scene
        self._witness = PromiseWitness(self._scene, Act.DEPLOY)
        self._platforms.expect(self._scene.faults)
        # No restore begins while a list still shows what the run took down.
        self._elapsed += max(getattr(each, "lag", 0.0) for each in self._scene.fixture.gateways)
        self._began = self._elapsed
        sessions = self._play_sessions()
        broken += self._witness.broken
        broken += check_restored(self._restore, before, self._platforms, counted, self._list_runs())
        for run in self._list_runs():
            broken += check_attempts(self._scene, run)
        return sessions

    def _play_session(self, number: int) -> bool:
        """Play one session; return whether the run has reached its end."""
        scene = self._scene
        self._number_of_session = number
        loop = VirtualLoop(ends=compute_longest_session(scene))
        if scene.freeze is not None and number == 1:
            loop.call_at(scene.freeze.at, loop.jump, scene.freeze.seconds)
        if scene.withdrawal is not None and number == 1 and self._restore is None:
            at = scene.withdrawal.at
            now = EPOCH + self._elapsed + at
            loop.call_at(at, withdraw, self._platforms, scene, scene.withdrawal, now)
        dies_at = scene.crashes[number - 1] if number <= len(scene.crashes) else None
        fate = ProcessFate(loop, dies_at=dies_at, full=scene.full if number == 1 else range(0))
        closes = EPOCH + self._began + scene.closes if scene.closes is not None and number == 1 else None
        self._witness.begin(closes)
        act = Act.UNDEPLOY if self._restore is None else Act.DEPLOY
        began, freeze = EPOCH + self._elapsed, scene.freeze if number == 1 else None
        frozen = (began + freeze.at, began + freeze.at + freeze.seconds) if freeze is not None else None
        self._wire = SessionWire.begin(act, began, closes, frozen)
        options = RunOptions(
            state=self._folder,
            past_stop=True,
            # A resume is not told again: the run's own filters hold.
            skip=() if self._list_runs() else scene.skip,
            signing_key=SIGNING_KEY,
            window=Window(None, datetime.fromtimestamp(closes, UTC)) if closes else Window(None, None),
        )
        standing = StatusWitness()
        notices = SessionNotices(scene.receivers, loop, Random(f"{self._number} {number}"))
        result: RunResult | None = None
        try:
            result = play(loop, self._main(loop, fate, options, number, standing, *notices.listeners))
        except CrashError:
            notices.abandon()
            for run in self._list_runs():
                (run.path / "lock").unlink(missing_ok=True)  # the kernel drops a dead process's lock
            self._network.cut()
            return False
        except OrchestratorError as error:
            if not isinstance(error, DiskError):
                self._witness.broken.append(f"session {number} raised {error!r}")
            return False
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self._witness.broken.append(f"session {number} failed: {bug!r}")
            return True
        finally:
            self._witness.broken += standing.broken
            self._witness.broken += notices.finish(result)
            self._witness.broken += check_wire(scene, self._wire)
            self._witness.broken += check_gaps(scene, self._wire, self._wire.began + loop.time())
            self._exchanges += self._wire.exchanges
            self._check_end(loop.time(), number)
            self._elapsed += loop.time() + 1.0
        with result.folder.open_source() as source:
            self._witness.broken += standing.check_report(source)
        self._witness.broken += check_landed(scene, result, self._wire)
        self._witness.broken += check_closed(result, self._wire)
        self._patience.note_end(result.report)
        return result.report.run.state == "complete" or self._is_stuck(result, number)

    def _check_end(self, seconds: float, number: int) -> None:
        """Check that a session has ended soon after its second interrupt."""
        interrupts = self._scene.interrupts
        if number == 1 and len(interrupts) > 1 and seconds > interrupts[1] + AFTER_SECOND:
            late = f"{seconds - interrupts[1]:.1f} s after the second interrupt"
            self._witness.broken.append(f"promise 10: the session ended {late}")

    def _is_stuck(self, result: RunResult, number: int) -> bool:
        """Return whether a lane stays closed in a session without any other fault: it never opens again."""
        calm = number > max(len(self._scene.crashes), 2)
        return calm and any(gateway.lane != "open" for gateway in result.report.gateways)

    async def _main(
        self,
        loop: VirtualLoop,
        fate: ProcessFate,
        options: RunOptions,
        number: int,
        *listeners: Listener,
    ) -> RunResult:
        environment = self._make_environment(loop, fate)
        runs = self._list_runs()
        stops = self._scene.interrupts if number == 1 else ()
        request = RunRequest(
            options=options,
            listeners=listeners,
            signals=TimedSignals(stops, lambda: self._wire.signals.append(self._wire.began + loop.time())),
            control_socket=lambda _: make_control_socket(self._scene.acts if number == 1 else ()),
            storage=Storage(
                start_writer=lambda database: SlowDisk(database, self._random, fate, self._witness.commit)
            ),
        )
        if runs:
            return await resume_run(runs[0], request, lambda _: environment)
        if self._restore is not None:
            ready = self._restore.build()
            return await start_run(
                RunDraft(ready.plan, ready.draft, ready.place, DEPLOY), request, environment
            )
        draft, place = write_draft(self._scene, self._folder)
        return await start_run(RunDraft(self._scene.plan, draft, place), request, environment)

    def _make_environment(
        self, loop: VirtualLoop, fate: ProcessFate, witness: ArrivalWitness | None = None
    ) -> Environment:
        began = EPOCH + self._elapsed

        def now() -> float:
            return began + loop.time()

        jumps = self._scene.jumps if self._number_of_session <= 1 else ()
        wall = make_wall_clock(now, loop.time, jumps)
        self._network = SimulatedNetwork(
            self._platforms,
            self._random,
            fate,
            now=now,
            wall=wall,
            scene=self._scene,
            find_illness=lambda name: self._find_illness(name, now() - EPOCH - self._began),
            witness=witness or self._witness,
            wire=self._wire,
        )
        return Environment(
            now=wall,
            monotonic=loop.time,
            roll=self._random.random,
            connect=self._network.connect,
            credential=self._resolve_credential,
            # A simulated manager logs its traffic to its own address.
            store=StoreAccess(connect=self._network.connect, credential=need_no_credential),
        )

    def _find_illness(self, gateway: str, at: float) -> Illness | None:
        """Return how a gateway is ill ``at`` seconds after the run began; None if it is well."""
        outage = self._scene.outages.get(gateway)
        return outage.how if outage is not None and outage.start <= at < outage.end else None

    async def _resolve_credential(self, gateway: Gateway) -> Material:
        """Return the second token from the first renewal on; a password stays the same."""
        again = gateway.name in self._wire.resolved
        self._wire.resolved.append(gateway.name)
        if gateway.auth.token is not None:
            self._resolved += 1
        token = TOKENS[0] if self._resolved <= 2 * len(self._scene.plan.gateways) else TOKENS[1]
        trouble = self._scene.troubles.get(gateway.name)
        if trouble == "wrong" and self._number_of_session > 1:
            trouble = None
        return resolve(gateway, token, trouble, again=again)

    def _list_runs(self) -> list[RunFolder]:
        """Return the run, or its restore once the run has ended; empty before either exists."""
        act = "undeploy" if self._restore is None else "restore"
        return [run for run in list_runs(self._folder) if self._read_act(run) == act]

    def _read_act(self, run: RunFolder) -> str:
        """Return the act of a run. Asked often, and no run changes its act."""
        if run.id not in self._acts:
            self._acts[run.id] = run.act
        return self._acts[run.id]

    def _check_in_flight(self) -> list[TargetId]:
        """Return the targets in doubt; no session may leave more of them than it had requests in flight."""
        if not (runs := self._list_runs()):
            return []
        concurrency = compute_most_in_flight(self._scene)
        left = len(list_in_doubt(runs[0], newest=True))
        if left > concurrency:
            self._witness.broken.append(f"promise 2: {left} in doubt, {concurrency} in flight at most")
        return list_in_doubt(runs[0])

    def _check_ledger(self, number: int) -> None:
        """Check that the journal is as its ledger says, wherever the session was killed."""
        for run in self._list_runs():
            with closing(run.open()) as database:
                faults = audit_journal(database, key=SIGNING_KEY).faults
            self._witness.broken += (f"session {number} left a broken ledger: {fault}" for fault in faults)

    def _check_doubts(self, doubts: Sequence[str]) -> None:
        for target in doubts:
            first = self._witness.first_act(target)
            blind = first is not None and first is not Act.LOOK
            if blind and offers_look(self._scene, target.partition("/")[0]):
                self._witness.broken.append(f"promise 2: {target} was sent again before a look")

    def _compute_trace(self) -> int:
        """Return a digest of all outcomes."""
        ends = []
        for run in list_runs(self._folder):
            with run.open_source() as account:
                ends += [(target.id, target.outcome, len(target.attempts)) for target in account.targets()]
        return hash((round(self._elapsed, 6), repr(ends))) & 0xFFFFFFFF


def write_draft(scene: SeedScene, folder: Path) -> tuple[Draft, Path]:
    """Return the journal of a scene's run as a draft, and the new folder in ``folder`` where it is."""
    place = Path(tempfile.mkdtemp(dir=folder))
    draft = Draft(place / "journal.sqlite")
    for target in scene.targets:
        draft.add(target, FilePosition(0, target.seq, 1))
        for before in scene.needs.get(target.seq, ()):
            draft.add_dependency(target.seq, before, FilePosition(0, target.seq, 1))
    source = place / "plan.yaml"
    source.write_text("version: 1\n")
    plan = scene.plan
    draft.finish(
        plan,
        RunMeta(digest="0" * 64, folder=str(folder), source=digest_file(source)),
    )
    if scene.approved:
        draft.approve(scene.approved.items())
    return draft, place
