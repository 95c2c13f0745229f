"""The values of a report: report.json (schema 1) is their JSON, and every other format is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act

SCHEMA = 1


OUTCOMES_OF = {
    "undeploy": (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED),
    "restore": (Outcome.RESTORED, Outcome.ALREADY_DEPLOYED),
}
"""The outcomes that are an act's own: as it should be by this run, and as it should be already."""


class Totals(Struct, frozen=True, kw_only=True):
    """Counts; the same keys for the run, a gateway and a wave. A restore has ``restored`` and
    ``already_deployed`` in place of ``undeployed`` and ``already_undeployed``.

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


class Percentiles(Struct, frozen=True, kw_only=True):
    """Seconds of the replies to undeploys; None where there was none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


How = Literal["none", "yes", "prompt", "digest", "file", "signed"]
"""How somebody agreed to a run: ``none`` where nobody was asked, as for a rehearsal or a call from Python."""


class WindowReport(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """The window of the newest session, and whether the plan or an option gave it."""

    opens: datetime | None
    closes: datetime | None
    origin: Literal["plan", "option"]


class ApprovalReport(Struct, frozen=True, kw_only=True):
    """How somebody agreed to the run before it began, and who (``user on host``)."""

    how: How
    by: str | None = None


class SessionReport(Struct, frozen=True, kw_only=True):
    """One time that a process worked on the run. ``ended`` and ``exit_status`` are None where it was killed,
    or still works."""

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
    digest: str
    rehearsal: bool = False
    """Simulators stood in for the gateways: nothing of it has happened to them."""
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


class GatewayReport(Struct, frozen=True, kw_only=True):
    """One gateway of the run."""

    name: str
    kind: str
    url: str = ""
    totals: Totals
    seconds: Percentiles
    lane: Literal["open", "parked", "closed"]
    warnings: tuple[str, ...] = ()


class WaveReport(Struct, frozen=True, kw_only=True):
    """One wave of the run."""

    name: str
    totals: Totals


class AttemptReport(Struct, frozen=True, kw_only=True):
    """One HTTP exchange. ``seconds`` is None where the process ended before a result was kept."""

    number: int
    act: Act
    started: datetime
    seconds: float | None
    status: int | None
    code: str | None
    message: str | None


class TargetReport(Struct, frozen=True, kw_only=True):
    """One target. ``coordinates`` are its own keys by name, in order (``ld_api_id``, or project, proxy ...);
    in report.json they stand beside the other keys."""

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


class Control(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """One time that somebody steered the run: what (``limits roma-eu rate=5/s``), who, and from where."""

    at: datetime
    act: str
    by: str
    origin: str


class ChainedRun(Struct, frozen=True, kw_only=True):
    """One run of a chain, as its own report counts it."""

    run: RunReport
    totals: Totals


class Consent(Struct, frozen=True, kw_only=True):
    """How somebody agreed to a run before it began, who, and when."""

    how: How
    by: str
    at: datetime


class RestoreReport(Struct, frozen=True, kw_only=True):
    """A restore of the run that has begun. ``begun`` is when its first request left, None before that."""

    id: str
    begun: datetime | None
    live: bool


class ApprovedState(Struct, frozen=True):
    """What an approval saw of a target."""

    state: str
    revision: str | None
    since: str | None


class RestoredTarget(Struct, frozen=True):
    """What a restore did with a target; ``outcome`` is None as long as it has none."""

    restore: str
    outcome: str | None
    reason: str | None


class KeptTarget(Struct, frozen=True, kw_only=True):
    """All that a run keeps about one target."""

    target: TargetReport
    snapshot: dict[str, Any] | None
    """A ``model.Snapshot`` as JSON's types, and when it was ``taken``."""
    approved: ApprovedState | None
    restores: tuple[RestoredTarget, ...]


class Lost(Struct, frozen=True):
    """How many targets cannot be brought back for one cause: ``since`` what, as a clause."""

    since: str
    count: int


class WayBack(Struct, frozen=True, kw_only=True):
    """What of a run a restore could bring back. What is up again is in none of these counts."""

    taken: int = 0
    """Targets that the run took down: those with the outcome ``undeployed``."""
    kept: int = 0
    """Those of them that a restore would deploy."""
    doubtful: int = 0
    """Targets with another outcome that an undeploy of the run may have reached."""
    doubtful_kept: int = 0
    wants: dict[str, int] = {}
    """How many of those that it would deploy want something accepted, by the name of that."""
    lost: tuple[Lost, ...] = ()
    """Why it would not deploy the others of both, the most frequent cause first."""


class Report(Struct, frozen=True, kw_only=True):
    """A whole report without its targets, which are too many to be held."""

    run: RunReport
    totals: Totals
    gateways: tuple[GatewayReport, ...]
    waves: tuple[WaveReport, ...]
    kept_out: dict[str, int] = {}
    """Of those that were not started, how many were kept out on purpose: by ``filtered``, ``protected`` or
    ``skipped``. Not in report.json, where each target's reason says it."""
    dependent: int = 0
    """Of those that were not started, how many come after a target that is not down. Not in report.json."""
    cut_off: int = 0
    """Of those that were not started, how many the window left over. Not in report.json."""
    snapshots: int | None = None
    """How many targets were seen before anything was done to them; None where the run keeps no snapshots.

    Not in report.json, as is what follows."""
    way_back: WayBack | None = None
    """What a restore of this run could do; None for a restore and for a rehearsal."""
    accepted: tuple[str, ...] = ()
    """In a restore: what was put up with."""
    in_the_way: tuple[str, ...] = ()
    """In a restore: what would have to be accepted for those that were left out."""
    brings_back: int = 1
    """In a restore: how many runs it brings back, several for those of a chain."""
    unseen: int = 0
    """In a restore: how many more targets those runs took down, or may have, that stay as they are, since no
    look had seen them deployed before."""
    controls: tuple[Control, ...] = ()
    chain: tuple[ChainedRun, ...] = ()
    """Of a report on several runs that continue one another, these in their order; empty for one run."""
    consent: Consent | None = None
    """Not in report.json, as is what follows."""
    restores: tuple[RestoreReport, ...] = ()
    """Those of this run that have begun, the oldest first."""
    up_again: dict[str, int] = {}
    """How many targets a restore has brought back, by the outcome that they have in this run."""


class ReportSource(Protocol):
    """What a format is written from. The journal satisfies it; so does a three-line fake in a test.

    ``targets`` gives them in the plan's order and can be called again; nothing is held in memory.
    ``timeline`` gives (second from the start, outcome, count) in buckets of a width that suits the run.
    ``pacings`` gives the gateways that had a bound or told an undeploy to wait, in the same buckets.
    ``trouble`` gives the targets that are neither undeployed nor already undeployed, in the plan's order.
    """

    @property
    def report(self) -> Report: ...
    def targets(self) -> Iterable[TargetReport]: ...
    def trouble(self) -> Iterable[TargetReport]: ...
    def timeline(self, buckets: int) -> Timeline: ...
    def pacings(self, buckets: int) -> tuple[Pacing, ...]: ...


class Timeline(Struct, frozen=True, kw_only=True):
    """How the run went over time. ``ended[i]`` counts by outcome the targets that ended within bucket ``i``,
    ``requests[i]`` the requests that were sent in it. Time with no session in it is left out."""

    width: float
    """Seconds of one bucket."""
    ended: tuple[dict[str, int], ...]
    requests: tuple[int, ...]


class Pacing(Struct, frozen=True, kw_only=True):
    """How fast one gateway was sent to, by bucket of the time line."""

    gateway: str
    width: float
    """Seconds of one bucket."""
    bound: tuple[float | None, ...]
    """Undeploys a second that were allowed when the bucket ended; None without a bound of ours."""
    sent: tuple[float, ...]
    """Undeploys a second that left."""
    refused: tuple[int, ...]
    """Undeploys that were told to wait: 429, or 503 with ``Retry-After``."""
    in_flight: tuple[float, ...]
    """Requests that had no reply yet, on an average over the bucket."""


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as every format states them: rounded to a millisecond (``round`` takes five times as long)."""
    return None if seconds is None else int(seconds * 1000 + 0.5) / 1000
