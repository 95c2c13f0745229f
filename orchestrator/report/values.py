"""The values of a report: report.json (schema 1) is their JSON, and every other format is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from orchestrator.model.live_status import TimeMark
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import PlanHeader
from orchestrator.model.reading import Act
from orchestrator.model.usage import Usage

SCHEMA = 1


GOOD_OUTCOMES = {
    "undeploy": (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED),
    "restore": (Outcome.RESTORED, Outcome.ALREADY_DEPLOYED),
}
"""The two good outcomes of each act: the run reached its goal, or the target was there already."""


def list_outcomes(act: str) -> tuple[Outcome, ...]:
    """Return the outcomes that the targets of an act may have, the good ones first."""
    return (*GOOD_OUTCOMES[act], Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED)


class Totals(Struct, frozen=True, kw_only=True):
    """Counts of targets by outcome, with the same keys for the run, a gateway and a wave.

    A restore has ``restored`` and ``already_deployed`` in place of ``undeployed`` and ``already_undeployed``.
    ``requests`` counts every HTTP request that was sent; ``retries`` the undeploys after a target's first.
    """

    targets: int = 0
    undeployed: int = 0
    already_undeployed: int = 0
    restored: int = 0
    already_deployed: int = 0
    failed: int = 0
    unknown: int = 0
    not_started: int = 0
    requests: int = 0
    retries: int = 0


class LatencyPercentiles(Struct, frozen=True, kw_only=True):
    """Seconds until the replies to undeploys came; None if no reply came."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


ApprovalMethod = Literal["none", "yes", "prompt", "digest", "file", "signed"]
"""The ways of approving a run. ``none``: the program did not ask, as for a rehearsal or a Python call."""


class WindowReport(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """The window of the newest session, and whether the plan or an option gave it."""

    opens: datetime | None
    closes: datetime | None
    origin: Literal["plan", "option"]


class ApprovalReport(Struct, frozen=True, kw_only=True):
    """The approval of the run, as report.json has it: its way, and the person (``user on host``)."""

    how: ApprovalMethod
    by: str | None = None


class SessionReport(Struct, frozen=True, kw_only=True):
    """One time that a process worked on the run.

    ``ended`` and ``exit_status`` are None if the process was killed, or is still at work.
    """

    started: datetime
    ended: datetime | None
    exit_status: int | None
    by: str | None
    host: str | None


class RunReport(Struct, frozen=True, kw_only=True):
    """The run itself. ``seconds`` is working time, summed over its sessions (the first and each resume)."""

    id: str
    act: Literal["undeploy", "restore"] = "undeploy"
    parent: str | None = None
    plan: str
    """The plan's name; ``Report.plan`` has its keys."""
    digest: str
    rehearsal: bool = False
    """Simulators stood in for the gateways, which the run did not touch."""
    window: WindowReport | None = None
    approval: ApprovalReport = ApprovalReport(how="none")
    sessions: tuple[SessionReport, ...] = ()
    reason: str | None
    started: datetime
    ended: datetime | None
    seconds: float
    state: Literal["running", "complete", "stopped", "interrupted", "killed"]
    stopped_by: str | None
    exit_status: int | None
    journal_head: str | None = None
    """The hash of the newest commit in the journal's ledger; None where the journal has none."""
    engine: str | None = None
    """The address of the distributed engine of the newest session; None where the process itself sent."""


class GatewayReport(Struct, frozen=True, kw_only=True):
    """One gateway of the run."""

    name: str
    kind: str
    url: str = ""
    totals: Totals
    seconds: LatencyPercentiles
    lane: Literal["open", "parked", "closed"]
    warnings: tuple[str, ...] = ()


class WaveReport(Struct, frozen=True, kw_only=True):
    """One wave of the run."""

    name: str
    totals: Totals


class AttemptReport(Struct, frozen=True, kw_only=True):
    """One HTTP exchange. ``seconds`` is None if the process ended before it kept the result."""

    number: int
    act: Act
    started: datetime
    seconds: float | None
    status: int | None
    code: str | None
    message: str | None
    sent: bool = True
    """False where nothing left this machine: no connection came about, or the run held the request back."""

    @property
    def reply(self) -> str:
        """The HTTP status of the reply, or why there is none, for people."""
        if not self.sent:
            return "not sent"
        return "no reply" if self.status is None else f"{self.status}"


class TargetReport(Struct, frozen=True, kw_only=True):
    """One target.

    ``coordinates`` are the target's own keys in order (``ld_api_id``, or project, proxy and environment). In
    report.json they stand beside the other keys.
    """

    id: str
    gateway: str
    kind: str
    wave: str
    coordinates: dict[str, str]
    outcome: Outcome
    reason: str | None
    evidence: str | None
    seconds: float | None
    attempts: tuple[AttemptReport, ...]
    name: str | None = None
    """The name that people know, as a snapshot saw it; None where it told none, or the id holds it.

    For the texts that people read. report.json leaves it out."""

    @property
    def requests(self) -> int:
        """How many of its attempts were sent."""
        return sum(attempt.sent for attempt in self.attempts)


class ControlReport(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """One time that a person steered the run: what (``limits roma-eu rate=5/s``), by whom, and from where."""

    at: datetime
    act: str
    by: str
    origin: str


class ChainedRun(Struct, frozen=True, kw_only=True):
    """One run of a chain, as its own report counts it."""

    run: RunReport
    totals: Totals


class RunApproval(Struct, frozen=True, kw_only=True):
    """The approval of a run, for the texts that people read: its way, the person and the time."""

    how: ApprovalMethod
    by: str
    at: datetime


class RestoreReport(Struct, frozen=True, kw_only=True):
    """A restore of the run that has begun. ``begun`` is when its first request left, None before that."""

    id: str
    begun: datetime | None
    live: bool


class ApprovedState(Struct, frozen=True):
    """The state of a target when its undeploy was approved."""

    state: str
    revision: str | None
    since: str | None


class RestoredTarget(Struct, frozen=True):
    """The result of a restore for one target; ``outcome`` is None until the target has one."""

    restore: str
    outcome: str | None
    reason: str | None


class OwnReads(Struct, frozen=True):
    """The requests about a target alone that its snapshot took. The gateway's lists told the rest."""

    target: int
    bound: int
    """Reads of what is bound to the target; ``target`` counts all others."""


class TargetRecord(Struct, frozen=True, kw_only=True):
    """All that a run keeps about one target."""

    target: TargetReport
    snapshot: dict[str, Any] | None
    """A ``model.Snapshot`` as JSON's types, and when it was ``taken``."""
    approved: ApprovedState | None
    restores: tuple[RestoredTarget, ...]
    usage: Usage | None = None
    """How much the target was used just before its undeploy; None where the run did not ask."""
    own_reads: OwnReads | None = None
    """None where the run took no snapshot: in a restore, its parent did."""
    usage_read: datetime | None = None


class UseCounts(Struct, frozen=True, kw_only=True):
    """How much targets are used that a run takes down."""

    hours: float
    """The calls of so many hours count."""
    targets: int
    """Targets of which the calls were asked for."""
    in_use: int
    """Targets that were called."""
    calls: int
    """Calls of these."""
    not_told: int
    """Targets of which nothing tells the calls; none of them counts as unused."""


class UsedTarget(Struct, frozen=True, kw_only=True):
    """A target that was called, or of which nothing tells whether it was."""

    id: str
    outcome: Outcome
    usage: Usage


class UseReport(Struct, frozen=True, kw_only=True):
    """The use of the targets just before a run took them down, or left them alone for it."""

    counts: UseCounts
    left_alone: int
    """Targets that the run did not take down because they are in use, or because nothing tells it."""
    most_used: tuple[UsedTarget, ...]
    """The first targets with calls, the most called first; then those of which nothing tells it."""


class UnrestorableTargets(Struct, frozen=True):
    """Number of targets that a restore cannot bring back for one ``cause``, which is a clause."""

    cause: str
    count: int


class RestoreOutlook(Struct, frozen=True, kw_only=True):
    """The targets that a restore of the run could bring back. No count includes targets that are up again."""

    undeployed: int = 0
    """Targets that the run took down: those with the outcome ``undeployed``."""
    restorable: int = 0
    """Number of the ``undeployed`` that a restore would deploy."""
    doubtful: int = 0
    """Targets with another outcome that an undeploy of the run may have reached."""
    doubtful_restorable: int = 0
    """Number of the ``doubtful`` that a restore would deploy."""
    to_accept: dict[str, int] = {}
    """Number of restorable targets by the obstacle that ``--accept`` must allow for them."""
    unrestorable: tuple[UnrestorableTargets, ...] = ()
    """Why a restore would not deploy the other targets, the most frequent cause first."""


class Report(Struct, frozen=True, kw_only=True):
    """A whole report without its targets, which are too many to hold in memory.

    report.json has ``run``, ``totals``, ``gateways``, ``waves``, ``controls``, ``warnings`` and ``chain``.
    The other values serve the texts for people.
    """

    run: RunReport
    totals: Totals
    gateways: tuple[GatewayReport, ...]
    waves: tuple[WaveReport, ...]
    controls: tuple[ControlReport, ...] = ()
    warnings: tuple[str, ...] = ()
    """Warnings about the run as a whole; those about a gateway are that one's."""
    chain: tuple[ChainedRun, ...] = ()
    """For a report on several runs that continue one another: these runs in order. Empty for one run."""
    kept_out: dict[str, int] = {}
    """How many of the targets not started were ``filtered``, ``protected`` or ``skipped``: left out on
    purpose. These counts and the next ones are without those that are up again: another run of a chain may
    have taken them down since."""
    use: UseReport | None = None
    """The use of the targets; None where the run did not ask for it."""
    dependent: int = 0
    """Number of targets not started because they come after a target that is not down."""
    cut_off: int = 0
    """Number of targets not started because the window closed."""
    stop_rule: str | None = None
    """The stop rule that fired in the newest session, also if a kill or an interrupt ended it afterwards."""
    snapshots: int | None = None
    """Number of targets with a snapshot from before their change; None if the run keeps none."""
    approval: RunApproval | None = None
    engine_options: str | None = None
    """The options of a command that reaches ``run.engine``, as a shell takes them; None without one."""
    plan: PlanHeader | None = None
    """The keys at the top of the plan, for texts that show one; report.json has only those of ``run``."""
    restores: tuple[RestoreReport, ...] = ()
    """The restores of this run that have begun, the oldest first."""
    up_again: dict[str, int] = {}
    """Number of targets that a restore has brought back, by their outcome in this run."""
    restore_outlook: RestoreOutlook | None = None
    """The outlook for a restore of this run; None for a restore and for a rehearsal."""
    in_part: int = 0
    """In a restore: number of failed targets that are deployed, and lack something."""
    accepted_losses: int = 0
    """Number of these that lack only what a person accepted to lose."""
    accepted: tuple[str, ...] = ()
    """In a restore: the obstacles that ``--accept`` allowed."""
    unaccepted: tuple[str, ...] = ()
    """In a restore: the obstacles that ``--accept`` must allow for the targets that were left out."""
    brings_back: int = 1
    """In a restore: number of runs that it brings back, several for a chain."""
    unseen: int = 0
    """In a restore: number of further targets that those runs took down, or may have taken down.

    These stay as they are, because no look had seen them deployed before."""


class ReportSource(Protocol):
    """The source of every format. The journal satisfies this protocol; so does a short fake in a test.

    ``targets`` gives the targets in the plan's order. It can be called again, and holds nothing in memory.
    ``trouble`` gives, in the same order, the targets that did not reach the act's goal.
    ``timeline`` counts outcomes and requests in ``buckets`` of equal width.
    ``pace_timelines`` gives, in the same buckets, the gateways that had a limit or made an undeploy wait.
    """

    @property
    def report(self) -> Report: ...
    def targets(self) -> Iterable[TargetReport]: ...
    def trouble(self) -> Iterable[TargetReport]: ...
    def timeline(self, buckets: int) -> RunTimeline: ...
    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]: ...


class ClockSpan(Struct, frozen=True, kw_only=True):
    """A stretch of working time without a pause: one session. ``started`` is a Unix time."""

    started: float
    seconds: float


class RunTimeline(Struct, frozen=True, kw_only=True):
    """The course of a run over its working time, without the time between sessions."""

    width: float
    """Seconds of one bucket."""
    ended: tuple[dict[str, int], ...]
    """For each bucket: how many targets ended in it, by outcome."""
    requests: tuple[int, ...] | None
    """For each bucket: how many requests were sent in it; None where nothing counts them."""
    spans: tuple[ClockSpan, ...] = ()
    """The sessions, one behind the other; empty if no clock times are known."""
    marks: tuple[TimeMark, ...] = ()
    """What happened, in order."""


class PaceTimeline(Struct, frozen=True, kw_only=True):
    """The pace of the run at one gateway, in the buckets of ``RunTimeline``."""

    gateway: str
    width: float
    """Seconds of one bucket."""
    bound: tuple[float | None, ...]
    """Undeploys a second that the lane allowed at the bucket's end; None without a limit of ours."""
    sent: tuple[float, ...]
    """Undeploys a second that left."""
    refused: tuple[int, ...]
    """Undeploys that the gateway asked to wait: 429, or 503 with ``Retry-After``."""
    in_flight: tuple[float, ...]
    """Requests without a reply, averaged over the bucket."""


def round_to_milliseconds(seconds: float | None) -> float | None:
    """Return ``seconds`` as every format states them."""
    # A report calls this twice an attempt, and round() takes five times as long.
    return None if seconds is None else int(seconds * 1000 + 0.5) / 1000
