"""The look at the targets of one gateway."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from msgspec.structs import replace

from orchestrator.lanes.announcer import LaneNews
from orchestrator.lanes.binding_reader import BindingCosts
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.exchange import ExchangeResult, ask_target, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.login import Authenticator
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Material
from orchestrator.model.features import GroupFeature, GroupMembership
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, was_sent
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.preview.group_reader import GroupReader
from orchestrator.preview.planned import PlannedTarget
from orchestrator.preview.progress import LookProgress
from orchestrator.preview.sibling_reader import SiblingReader
from orchestrator.preview.silence import AnswerWatch
from orchestrator.preview.snapshot_reader import DoubtCounter, SnapshotReader, make_unknown
from orchestrator.preview.states import (
    GatewaySight,
    PreviewedGateway,
    PreviewGroup,
    SeenList,
    SeenTarget,
    SiblingDeployments,
)
from orchestrator.preview.use_reader import UseReader
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import describe
from orchestrator.transport.warnings import list_warnings

LOOK_WITHIN = 30.0
"""Seconds that the reply to a look may take; a plan's own timeout holds where it is shorter."""


class GatewayLook:
    """Looks at the targets of one gateway through a lane, hears that lane, and keeps the seen targets."""

    def __init__(
        self,
        gateway: Gateway,
        environment: Environment,
        planned: Sequence[PlannedTarget],
        progress: LookProgress,
        *,
        guarded: bool = False,
        hours: int | None = None,
        reads_siblings: bool = True,
    ) -> None:
        """``guarded``: the run will compare each target with what this look has seen. ``hours``: how often
        each target was called in so many hours is asked as well. ``reads_siblings``: so is where else the
        same APIs are deployed."""
        # No look waits for a deployment on all pods, so it need not take as long as an undeploy may.
        self.gateway = replace(gateway, timeout=min(LOOK_WITHIN, gateway.reply_timeout))
        self.targets: list[SeenTarget] = []
        self.siblings: list[SiblingDeployments] = []
        self.memberships: Sequence[GroupMembership] = ()
        self._environment = environment
        self._planned = planned
        self._progress = progress
        listing = gateway.listing
        self._believes_lists = not guarded or listing is None or listing.tells_deployments
        self._watch = AnswerWatch(environment.monotonic)
        self._requests = 0
        self._seconds: list[float] = []
        self._warnings = list(list_warnings(gateway))
        self._lacking: frozenset[str] = frozenset()
        self._lists: tuple[SeenList, ...] = ()
        self._bindings: tuple[BindingCosts, ...] = ()
        self._until: float | None = None
        self._hours = hours
        self._reads_siblings = reads_siblings
        self._shared_use_reads = 0

    @property
    def silence(self) -> str | None:
        """Why the gateway counts as silent; None where it answers."""
        return self._watch.silence

    def conclude(self) -> GatewaySight:
        """Return all that the look has found."""
        return GatewaySight(
            gateway=self._summarize(),
            targets=tuple(self.targets),
            siblings=tuple(self.siblings),
            memberships=tuple(self.memberships),
            silence=self.silence,
        )

    def _summarize(self) -> PreviewedGateway:
        return PreviewedGateway(
            name=self.gateway.name,
            kind=self.gateway.KIND,
            requests=self._requests,
            seconds=tuple(self._seconds),
            lacking=self._lacking,
            lists=self._lists,
            bindings=self._bindings,
            shared_use_reads=self._shared_use_reads,
            until=self._until,
            warnings=tuple(self._warnings),
        )

    async def run(self, material: Material, cancel_if_silent: anyio.CancelScope | None) -> None:
        """Look at every target, then at where else the APIs are deployed that would go down.

        Where the gateway gives no answer, the remaining targets are unknown, and ``cancel_if_silent`` is
        cancelled.
        """
        async with open_connection(self._environment, self.gateway) as send:
            # Without a window: a window bounds undeploys, and a preview may be taken at any time.
            lane = Lane(self.gateway, material, send, self._environment, RunGate(), self)
            async with anyio.create_task_group() as group:
                group.start_soon(self._end_when_silent, group.cancel_scope)
                await self._look(lane)
                group.cancel_scope.cancel()
            await self._read_use(lane)
            self._lacking = lane.offered_looks.lacking
            self._lists = tuple(SeenList(*sizes) for sizes in lane.state_list.measure_lists())
            self._bindings = lane.bindings.measure()
            self._until = _find_end(self.gateway, lane.authenticator)
        self._watch.conclude()
        self._keep_unknown()
        if cancel_if_silent is not None and self.silence is not None:
            cancel_if_silent.cancel()

    async def _end_when_silent(self, scope: anyio.CancelScope) -> None:
        await self._watch.wait_for_silence()
        self._warnings.append(f"{self.silence}, so nothing more was asked")
        scope.cancel()

    async def _look(self, lane: Lane) -> None:
        lane.state_list.serve_snapshots()
        lane.begin_step(len(self._planned))
        doubts = DoubtCounter(self._warnings.append)
        reader = SnapshotReader(lane, self._send, self._keep, doubts, with_state=self._believes_lists)
        await reader.read_all(self._planned)
        if self._reads_siblings and self.gateway.siblings is not None:
            siblings = SiblingReader(lane, self._send, self.siblings.append, doubts)
            await siblings.read_all(self.gateway.siblings, self.targets)
        if self._reads_siblings and self.gateway.groups is not None:
            await self._read_groups(lane, self.gateway.groups)
        await self._measure_reply(reader)

    async def _measure_reply(self, reader: SnapshotReader) -> None:
        """Read one target alone where lists have told of nearly all, to see how long a reply takes."""
        # A page of a list takes longer than the request for one target, and so does a read beside it: they
        # tell nothing of a run's pace.
        listed = [seen.target for seen in self.targets if seen.listed]
        if len(listed) > len(self._seconds):
            self._seconds.clear()
            await reader.read_alone(listed[0])

    async def _read_groups(self, lane: Lane, feature: GroupFeature) -> None:
        going = [seen.target for seen in self.targets if seen.group is PreviewGroup.WILL_CHANGE]
        # Members of a group are a matter of who still reaches an API, as its callers are.
        may_ask = self._hours is not None
        self.memberships = await GroupReader(lane).read_all(feature, going, may_ask=may_ask)

    async def _read_use(self, lane: Lane) -> None:
        """Ask how much each target is used, where that is wanted.

        Last, and not under the watch: the part of a gateway that counts calls may be dead while the gateway
        itself answers.
        """
        if self._hours is None or self.silence is not None:
            return
        reader = UseReader(lane, self._send, self._hours)
        self.targets = await reader.read_all(self.targets)
        self._shared_use_reads = reader.shared_requests

    async def _send(
        self, lane: Lane, name: TargetId, operation: Operation, target: Target
    ) -> ExchangeResult[Reading] | str:
        """Send one look as soon as the lane admits it; return the exchange, or why none may be sent."""
        admission = AdmissionRequest(name, Act.LOOK)
        if refused := await lane.admit(admission):
            return refused
        exchanged = await exchange(lane, admission, ask_target(lane, operation, target))
        self._requests += was_sent(exchanged.answer)
        if isinstance(exchanged.answer, Reply):
            self._seconds.append(exchanged.seconds)
        if exchanged.found.verdict is Verdict.BUSY:
            # A lane waits no longer than `park_for`, whatever the gateway asks for.
            wait = min(exchanged.found.wait or 0.0, self.gateway.park_for)
            self.on_lane_state(self.gateway.name, "paused", describe(exchanged.found), wait)
            self._watch.allow_pause(wait)
        return exchanged

    def _keep(self, seen: SeenTarget) -> None:
        self.targets.append(seen)
        self._progress.add_target()

    def _keep_unknown(self) -> None:
        """Keep the targets that the look did not reach, as unknown: the preview names every target."""
        reached = {seen.target.seq for seen in self.targets}
        for planned in self._planned:
            if planned.target.seq not in reached:
                snapshot = make_unknown(f"not looked at: {self.silence}")
                self._keep(SeenTarget(target=planned.target, step=planned.step, snapshot=snapshot))

    def on_lane_state(self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None) -> None:
        """Keep warnings, and tell pauses; see ``LaneListener``."""
        if state == "remark":
            return  # the number of requests tells as much
        if state == "paused":
            self._progress.tell_pause(gateway, reason or "", seconds or 0.0)
        elif state != "open" and reason and reason not in self._warnings:
            self._warnings.append(reason)
        if state != "warning" and reason:
            self._watch.hear_lane(reason)

    def on_pace(self, gateway: str, rate: float | None) -> None:
        """Do nothing: a preview sends no undeploys, and tells no pace."""

    def on_probe(self, gateway: str, wait: float, gives_up: float) -> None:
        """Do nothing: no one waits at a screen for a probe of a read."""

    def on_list(self, gateway: str, text: str | None) -> None:
        """Do nothing: the number of requests tells as much."""

    def on_lane_request(self, gateway: str) -> None:  # noqa: ARG002 - a look has one lane
        """Count a login, or a read about many targets."""
        self._requests += 1

    def on_answer(self, gateway: str, answer: Reply | Lost) -> None:  # noqa: ARG002 - a look has one lane
        """Hear whether anything comes back, be it of a list or of a single look."""
        if isinstance(answer, Lost):
            self._watch.hear_fault(self._environment.known.mask.clean_value(answer.detail))
        else:
            self._watch.hear_answer()


def _find_end(gateway: Gateway, authenticator: Authenticator) -> float | None:
    """Return when the credential ends, None where that is unknown or the program renews it by itself."""
    auth = gateway.auth
    renewed = auth.password_login or (auth.token and auth.token.command)
    return None if renewed or authenticator.active is None else authenticator.active.until
