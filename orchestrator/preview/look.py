"""The live state of a plan's targets, read through lanes as a run's but without a journal: looks alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import anyio
from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.journal.pending import START, Pending
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.exchange import Exchanged, ask_target, count_as_unclear, exchange
from orchestrator.lanes.lane import Lane, LaneStatus
from orchestrator.lanes.login import Authenticator
from orchestrator.lanes.offered_looks import OfferedLooks
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.preview.states import Preview, PreviewedGateway, SeenTarget, SiblingDeployments, TargetState
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import LOOKS_PER_DOUBT, describe, draw_backoff, is_passing_fault
from orchestrator.runs.load import LoadedPlan
from orchestrator.runs.options import RunOptions
from orchestrator.runs.selection import guard_of, hold, refuse_dead, refuse_idle, split_waves
from orchestrator.text.counting import count_noun
from orchestrator.transport.tls import warnings

LOOK_WITHIN = 30.0
"""Seconds that the reply to a look may take; a plan's own timeout holds where it is shorter."""

SILENT_FOR = 60.0
"""Seconds without one answer, apart from the pauses that it has asked for, that end the look at a gateway."""

GIVE_UP_AFTER = 20
"""So many targets in a row of which nobody can tell, and the rest of their gateway is not looked at."""

MOST_SIBLINGS = 200
"""Proxies of a gateway that are asked where else they are deployed: one request each."""


class PreviewListener(Protocol):
    """Who is told how far a preview has come."""

    def seen(self, done: int, of: int, /) -> None:
        """So many targets have been looked at."""

    def waits(self, gateway: str, reason: str, seconds: float, /) -> None:
        """A gateway wants fewer requests."""


class SilentListener:
    """A watch that nobody reads."""

    def seen(self, done: int, of: int, /) -> None: ...

    def waits(self, gateway: str, reason: str, seconds: float, /) -> None: ...


async def take_preview(
    loaded: LoadedPlan,
    options: RunOptions,
    environment: Environment,
    watch: PreviewListener | None = None,
    *,
    demanding: bool = False,
) -> Preview:
    """Look at every target that a run of ``loaded`` with ``options`` would take; sends nothing but logins and
    reads.

    Marks in the plan's draft what is held back, as a run would do it again. Raises UsageError and
    CredentialError before anything is sent; what a gateway does later is in the preview. Who is ``demanding``
    wants an answer of each gateway: UsageError as soon as one has given none.
    """
    plan, database = loaded.plan, loaded.draft.database
    refuse_dead(plan, options)
    refuse_idle(database, plan, options)
    hold(database, plan, options)
    split_waves(database, plan)
    guard = guard_of(database, plan, options)
    pending = Pending(database, plan, resumed=False)
    held = {word: count for (_, word), count in pending.outcomes().items()}
    turns = list(_list_pending(pending))
    if not turns:
        raise UsageError("no target is left that a run would take: all are protected or left out")
    began, taken = environment.monotonic(), environment.now()
    parties = {
        gateway.name: [turn for turn in turns if turn[1].gateway == gateway.name] for gateway in plan.gateways
    }
    visits = [
        _GatewayVisit(environment.reach(gateway), environment, parties[gateway.name])
        for gateway in plan.gateways
        if parties[gateway.name]
    ]
    for visit in visits:
        environment.check(visit.gateway)
    materials = {visit.gateway.name: await environment.credential(visit.gateway) for visit in visits}
    tally = _ProgressCounter(watch or SilentListener(), len(turns))
    async with anyio.create_task_group() as group:
        for visit in visits:
            ends = group.cancel_scope if demanding else None
            group.start_soon(visit.run, materials[visit.gateway.name], tally, ends)
    if demanding:
        _refuse_silent(visits)
    seen_targets = {seen.target.seq: seen for visit in visits for seen in visit.targets}
    return Preview(
        plan=plan.name,
        reason=plan.reason,
        digest=loaded.digest,
        taken=taken,
        seconds=environment.monotonic() - began,
        window=options.window or plan.window,
        targets=tuple(seen_targets[target.seq] for _, target in turns),
        gateways=tuple(visit.place() for visit in visits),
        siblings=tuple(found for visit in visits for found in visit.siblings),
        protected=held.get("protected", 0),
        filtered=held.get("filtered", 0),
        patterns=guard.patterns,
        guard_warnings=guard.warnings,
    )


def _refuse_silent(visits: Iterable[_GatewayVisit]) -> None:
    for visit in visits:
        if visit.silence is not None:
            raise UsageError(
                f"{visit.gateway.name} could not be looked at: {visit.silence}. Nothing was undeployed;"
                " --no-preview asks without a look"
            )


def _list_pending(pending: Pending) -> Iterator[tuple[WaveStep, Target]]:
    for wave_step, gateway in pending.left():
        batch, after = pending.batch(wave_step, gateway, START)
        while batch:
            yield from ((wave_step, target) for target, _ in batch)
            batch, after = pending.batch(wave_step, gateway, after)


class _ProgressCounter:
    """How far all gateways have come together."""

    def __init__(self, watch: PreviewListener, of: int) -> None:
        self.watch = watch
        self._of = of
        self._done = 0
        watch.seen(0, of)

    def add(self) -> None:
        self._done += 1
        self.watch.seen(self._done, self._of)


class _GatewayVisit:
    """One gateway looked at: its lane's teller, its worker's turns, and what was seen."""

    def __init__(
        self, gateway: Gateway, environment: Environment, turns: Sequence[tuple[WaveStep, Target]]
    ) -> None:
        # A look asks for no deployment on all pods: it need not take as long as an undeploy may.
        self.gateway = replace(gateway, timeout=min(LOOK_WITHIN, gateway.reply_timeout))
        self.targets: list[SeenTarget] = []
        self.siblings: list[SiblingDeployments] = []
        self._environment = environment
        self._turns = turns
        self._requests = 0
        self._seconds: list[float] = []
        self._warnings = list(warnings(gateway))
        self._offered_looks = OfferedLooks()
        self._in_a_row = 0
        self._until: float | None = None
        self._watch: PreviewListener = SilentListener()
        self.silence: str | None = None
        """What has become of it, where it gives no answer."""
        self._answers = 0
        self._heard_at = 0.0
        """Monotonic time of its last answer, or of the end of a pause that it has asked for."""
        self._cause = "nothing came back"

    def place(self) -> PreviewedGateway:
        """Return what is to be said of the gateway as a whole."""
        return PreviewedGateway(
            name=self.gateway.name,
            kind=self.gateway.KIND,
            requests=self._requests,
            seconds=tuple(self._seconds),
            lacking=self._offered_looks.lacking,
            until=self._until,
            warnings=tuple(self._warnings),
        )

    def on_lane_state(
        self, gateway: str, state: LaneStatus, reason: str | None, seconds: float | None
    ) -> None:
        """Take in how the lane is doing; see ``LaneListener``."""
        if state == "paused":
            self._watch.waits(gateway, reason or "", seconds or 0.0)
        elif state != "open" and reason and reason not in self._warnings:
            self._warnings.append(reason)
        if state != "warning" and not self._answers:
            self._cause = reason or self._cause

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Do nothing: a preview sends no undeploys, and tells no pace."""

    def on_lane_request(self, gateway: str) -> None:  # noqa: ARG002 - a visit has one lane
        """Count a login, or a page of the list."""
        self._requests += 1

    async def run(self, material: Material, tally: _ProgressCounter, ends: anyio.CancelScope | None) -> None:
        """Look at every target, then at what shares something with those that would go down.

        Where no answer comes, the targets that are left are untold; ``ends`` is cancelled then.
        """
        self._watch = tally.watch
        self._heard_at = self._environment.monotonic()
        async with open_connection(self._environment, self.gateway) as send:
            lane = Lane(self.gateway, material, send, self._environment, RunGate(), self)
            self._offered_looks = lane.offered_looks
            async with anyio.create_task_group() as group:
                group.start_soon(self._break_silence, group.cancel_scope)
                await self._look(lane, tally)
                group.cancel_scope.cancel()
            self._until = self._end_of(lane.authenticator)
        if not self._answers and self.silence is None:
            self.silence = f"it gave no answer ({self._cause})"
        self._leave_untold(tally)
        if ends is not None and self.silence is not None:
            ends.cancel()

    async def _look(self, lane: Lane, tally: _ProgressCounter) -> None:
        lane.state_list.keep_entries(target for _, target in self._turns)
        lane.begin_step(len(self._turns))
        looker = _TargetReader(self, lane)
        await looker.all(self._turns, tally)
        if self.gateway.SIBLINGS is not None:
            await looker.family(self.gateway.SIBLINGS)

    async def _break_silence(self, scope: anyio.CancelScope) -> None:
        """End the look once no answer has come for too long."""
        while (left := self._heard_at + SILENT_FOR - self._environment.monotonic()) > 0:  # noqa: ASYNC110 - time passes
            await anyio.sleep(left)
        self.silence = f"it gave no answer for {SILENT_FOR:g} s ({self._cause})"
        self._warnings.append(f"{self.silence}, so nothing more was asked")
        scope.cancel()

    def _leave_untold(self, tally: _ProgressCounter) -> None:
        """Give the targets that were not come to a state, too: that nobody can tell."""
        seen = {seen.target.seq for seen in self.targets}
        for wave_step, target in self._turns:
            if target.seq not in seen:
                why = _untellable(f"not looked at: {self.silence}")
                self.keep(SeenTarget(target=target, step=wave_step.step, snapshot=why))
                tally.add()

    def _end_of(self, authenticator: Authenticator) -> float | None:
        auth = self.gateway.auth
        renewed = auth.iam or auth.login or (auth.token and auth.token.command)
        return None if renewed or authenticator.active is None else authenticator.active.until

    def answered(self, seconds: float | None) -> None:
        """Count a request for one target, and how long its reply took where one came."""
        self._requests += 1
        if seconds is not None:
            self._seconds.append(seconds)

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:  # noqa: ARG002 - a visit has one lane
        """Keep whether anything comes back, of lists as of single looks."""
        if isinstance(answer, Lost):
            self._cause = self._environment.known.mask.value(answer.detail)
        else:
            self._answers += 1
            self._heard_at = max(self._heard_at, self._environment.monotonic())

    def wait_for(self, seconds: float) -> None:
        """It has asked for a pause: until that is over it is not silent."""
        self._heard_at = max(self._heard_at, self._environment.monotonic() + seconds)

    def keep(self, seen: SeenTarget) -> None:
        """Keep what was seen of a target."""
        self.targets.append(seen)

    def note(self, seen: SeenTarget) -> None:
        """Take in whether the gateway could tell, where it was asked."""
        if self.given_up():
            return
        self._in_a_row = self._in_a_row + 1 if seen.snapshot.verdict is Verdict.UNCLEAR else 0
        if self._in_a_row >= GIVE_UP_AFTER:
            told = f"it could not tell of {GIVE_UP_AFTER} targets in a row ({seen.why})"
            self._warnings.append(f"{told}, so the rest was not asked")

    def given_up(self) -> str | None:
        """Return why no further target is looked at, or None."""
        if self._in_a_row < GIVE_UP_AFTER:
            return None
        return f"not looked at: the gateway could not tell of {GIVE_UP_AFTER} targets before it"


class _TargetReader:
    """Reads the targets of one lane."""

    def __init__(self, visit: _GatewayVisit, lane: Lane) -> None:
        self._visit = visit
        self._lane = lane
        self._state_list = lane.state_list
        self._environment = visit._environment

    async def all(self, turns: Sequence[tuple[WaveStep, Target]], tally: _ProgressCounter) -> None:
        """Look at all of them, as many side by side as the lane may have requests in flight."""
        left = iter(turns)
        async with anyio.create_task_group() as group:
            for _ in range(min(self._lane.concurrency, len(turns))):
                group.start_soon(self._work, left, tally)

    async def _work(self, left: Iterator[tuple[WaveStep, Target]], tally: _ProgressCounter) -> None:
        for wave_step, target in left:
            snapshot, reads = await self._portray(target)
            seen = SeenTarget(target=target, step=wave_step.step, snapshot=snapshot, reads=reads)
            self._visit.keep(seen)
            if self._lane.refusal(Act.LOOK) is None:
                self._visit.note(seen)
            self._lane.leave(target.id)
            tally.add()

    async def _portray(self, target: Target) -> tuple[Snapshot, int]:
        """Return what is seen of a target, and how many reads that takes."""
        if given_up := self._lane.refusal(Act.LOOK) or self._visit.given_up():
            return _untellable(given_up), 0
        gateway, seen = self._lane.gateway, dict[str, Reading]()
        failures = 0
        listed = await self._listed(target)
        while True:
            found = gateway.next_snapshot_read(target, seen, self._lane.offered_looks.lacking)
            if isinstance(found, Snapshot):
                self._tell_gap(target, found)
                return self._lane.authenticator.mask.snapshot(self._lane.offered_looks.explain(found)), len(
                    seen
                )
            known = listed or self._lane.offered_looks.refusal(found.via)
            if known is not None:
                seen[found.via], listed = known, None
                continue
            reading = await self._ask(found, target)
            if isinstance(reading, str):
                return _untellable(reading), len(seen)
            if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            reading = self._lane.offered_looks.learn(found.via, reading)
            if reading.verdict is Verdict.UNCLEAR and (failures := failures + 1) < LOOKS_PER_DOUBT:
                await anyio.sleep(draw_backoff(self._lane.policy, failures, self._environment.roll()))
                continue
            seen[found.via], failures = reading, 0

    async def _listed(self, target: Target) -> Reading | None:
        """Return what the gateway's list says of a target, where there is one and it may say it."""
        if await self._state_list.before(target) is None:
            return None
        return self._state_list.entry(target)

    def _tell_gap(self, target: Target, snapshot: Snapshot) -> None:
        if warning := self._state_list.seen_alone(target, Reading(verdict=snapshot.verdict)):
            self._lane.warn(warning)

    async def _ask(self, operation: Operation, target: Target) -> Reading | str:
        """Return the reading of one look, or why none may be sent."""
        exchanged = await self._send(AdmissionRequest(target.id, Act.LOOK), operation, target)
        return exchanged if isinstance(exchanged, str) else count_as_unclear(exchanged.found)

    async def _send(
        self, turn: AdmissionRequest, operation: Operation, target: Target
    ) -> Exchanged[Reading] | str:
        """Send one look as soon as the lane admits it; return what came of it, or why none may be sent."""
        if refused := await self._lane.admit(turn):
            return refused
        exchanged = await exchange(self._lane, turn, ask_target(self._lane, operation, target))
        self._visit.answered(exchanged.seconds if isinstance(exchanged.answer, Reply) else None)
        if exchanged.found.verdict is Verdict.BUSY:
            wait = min(exchanged.found.wait or 0.0, self._lane.gateway.park_for)
            self._visit.on_lane_state(self._lane.gateway.name, "paused", describe(exchanged.found), wait)
            self._visit.wait_for(wait)
        return exchanged

    async def family(self, operation: Operation) -> None:
        """Operation where else that is deployed whose targets would go down, once for each."""
        going: Mapping[str, Target] = {
            key: seen.target
            for seen in self._visit.targets
            if seen.state in (TargetState.DEPLOYED, TargetState.PARTIAL)
            and (key := self._lane.gateway.exclusive(seen.target)) is not None
        }
        if len(going) > MOST_SIBLINGS:
            return
        for asked, target in enumerate(going.values()):
            told = await self._told(operation, target)
            found = None if told is None else self._lane.gateway.read_siblings(target, told)
            if found is None:
                if asked or told is None:  # a version that does not say it answers so at the first one
                    untold = len(going) - asked
                    things = count_noun(untold, "thing")
                    self._lane.warn(f"it could not be read where else {things} to go down may be deployed")
                return
            self._visit.siblings.append(
                SiblingDeployments(target, frozenset(map(self._lane.authenticator.mask.value, found)))
            )

    async def _told(self, operation: Operation, target: Target) -> Reply | None:
        """Return the reply about all environments of a thing; None where a passing fault does not pass."""
        failures = 0
        while self._visit.given_up() is None:
            exchanged = await self._send(AdmissionRequest(TargetId("(family)"), Act.LOOK), operation, target)
            if isinstance(exchanged, str):
                return None
            reply = exchanged.answer
            if exchanged.found.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            if isinstance(reply, Reply) and not is_passing_fault(reply.status):
                return reply
            if (failures := failures + 1) >= LOOKS_PER_DOUBT:
                return None
            await anyio.sleep(draw_backoff(self._lane.policy, failures, self._environment.roll()))
        return None


def _untellable(why: str) -> Snapshot:
    return Snapshot(verdict=Verdict.UNCLEAR, message=why)
