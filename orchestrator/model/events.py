"""The events of a run, for its listeners: the display, the log, ``--events``, a caller's own code.

A listener gets an event once the journal has it. A listener returns nothing, and cannot change the run. In
JSON an event carries its name under ``event``.

A new event is a class here, named in ``AnyEvent``; ``python -m docs.events`` puts it on its page. The log and
``--events`` then have it: the log at ``debug`` if it has a ``target``, else at ``info``, unless
``display/log.py`` gives it another level. A display shows it once ``display/plain.py`` or
``display/progress.py`` knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from orchestrator.model.causes import CauseGroup
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId, Threshold
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of every event."""

    at: float
    """Unix time."""


class PartLeft(Struct, frozen=True, kw_only=True):
    """A wave, or one step of it, that has targets left when a session begins."""

    wave: str
    number: int
    """1 for the first step, and for a wave without steps."""
    left: dict[str, int]
    """Targets still to be done, by gateway name."""
    rest: float = 0.0
    """Seconds of the ``pause_after`` that follows, if another part follows."""


class WaveFacts(Struct, frozen=True, kw_only=True):
    """A wave of the plan as it stands when a session begins."""

    name: str
    """As the plan gives it."""
    targets: int
    """Number of its targets."""
    steps: int = 1
    """Number of the steps that its ``sizes`` split it into."""
    pause_after: float = 0.0
    """Seconds of the pause before the next wave."""
    asks: bool = False
    """Whether the run asks a person before the next wave (``proceed: ask``)."""
    ended: dict[str, dict[Outcome, int]] = {}
    """Targets that have an outcome already, by gateway name and outcome: of earlier sessions, or left out."""


class GatewayFacts(Struct, frozen=True, kw_only=True):
    """A gateway of the plan as it stands when a session begins."""

    kind: str
    """The gateway's ``kind`` in the plan, such as ``roma``."""
    url: str
    """As the plan gives it. In a rehearsal a simulator stands in for it."""
    targets: int
    """Number of its targets in the whole plan."""
    concurrency: int
    """Requests that may be in flight, by the plan or by the operator of an earlier session."""
    rate: float | None = None
    """Undeploys a second that the lane begins with: a fixed rate, or what an earlier session found."""


class OutcomeCount(Struct, frozen=True, kw_only=True):
    """Number of targets with one outcome, and with one first word of their reasons."""

    outcome: Outcome
    word: str
    """The first word of their reasons; empty without one. A restored target that lacks only what a person
    accepted to lose has ``partial: deployed as accepted``."""
    count: int
    """Number of the targets."""


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    """A session of a run begins. ``targets`` counts the whole plan, ``left`` the targets of this session."""

    run: RunId
    plan: str
    targets: int
    """Number of targets of the whole plan."""
    left: dict[str, int]
    """Targets still to be done, by gateway name, in the plan's order of gateways."""
    resumed: bool
    """Whether the run had a session before this one."""
    closes: float | None = None
    """Unix time at which the window closes; None without a window."""
    timeouts: dict[str, float] = {}
    """Seconds that a reply may take, by gateway name. No undeploy starts closer than that to ``closes``."""
    rests: float = 0.0
    """Seconds of ``pause_after`` between the waves and steps to be done, in all."""
    parts: tuple[PartLeft, ...] = ()
    """The waves and steps that have targets left, in their order."""
    act: Literal["undeploy", "restore"] = "undeploy"
    """What the run does to its targets."""
    rehearsal: bool = False
    """Whether simulators stand in for the gateways."""
    urls: dict[str, str] = {}
    """The plan's URL of each gateway that has targets left. In a rehearsal simulators stand in for them."""
    opens: float | None = None
    """Unix time at which the window opens; None without a window, or where it has no such end."""
    session: int = 1
    """1 for the first session of the run, one more for each resume."""
    approval: str = ""
    """The approval of the run and the person, in words; empty if the program did not ask."""
    patterns: int | None = None
    """Number of patterns of ``protect`` and protect files in force; None in a restore, which has none."""
    protected: int = 0
    """Number of targets that these patterns keep out of the run."""
    reason: str | None = None
    """The plan's reason."""
    waves: tuple[WaveFacts, ...] = ()
    """All waves of the plan, in its order; those that are over by now included."""
    gateways: dict[str, GatewayFacts] = {}
    """All gateways of the plan that have targets, by name."""
    earlier: tuple[OutcomeCount, ...] = ()
    """The targets of ``waves`` that have an outcome already, by the reason's first word."""
    causes: tuple[CauseGroup, ...] = ()
    """The same targets by cause, without those that are as the run wants them."""
    stop_when: dict[str, Threshold] = {}
    """The limit of each stop rule, by its key in the plan."""
    past_stop: bool = False
    """Whether the stop rules leave out the earlier sessions, and the doubts and drifts that are met again."""
    state_option: str = ""
    """The end of a command about this run, with a space before it: `` --state DIR``; empty where the run is
    in the default state folder."""


class WaveStarted(Event, tag="wave_started", frozen=True, kw_only=True):
    """A wave begins, with ``left`` targets to be done."""

    wave: str
    left: int
    """Number of its targets that are still to be done."""


class AttemptStarted(Event, tag="attempt_started", frozen=True, kw_only=True):
    """A request is about to leave; its intent is on disk."""

    target: TargetId
    gateway: str
    number: int
    """1 for the first request about this target, looks and earlier sessions included."""
    act: Act


class AttemptEnded(Event, tag="attempt_ended", frozen=True, kw_only=True):
    """A request has its reply, or is lost."""

    target: TargetId
    gateway: str
    number: int
    """That of the ``attempt_started`` before."""
    act: Act
    seconds: float
    """Seconds from the request to its reply, or to its loss."""
    status: int | None
    """HTTP status; None if no reply came."""
    code: str | None
    """The vendor's code, such as ``APIG.9999``; None where the reply has none."""
    message: str | None
    """The vendor's text, or how the request was lost."""
    refused: bool = False
    """Whether the gateway takes no more for now: 429, or 503 with ``Retry-After``."""
    sent: bool = True
    """False if nothing left this machine: no connection came about, or the run held the request back. No
    report counts such a request."""


class RetryPlanned(Event, tag="retry_planned", frozen=True, kw_only=True):
    """The target waits ``wait`` seconds before its next request ``act``."""

    target: TargetId
    gateway: str
    act: Act
    wait: float
    """Seconds."""


class TargetEnded(Event, tag="target_ended", frozen=True, kw_only=True):
    """A target has its outcome for this session; a resume may go on with it."""

    target: TargetId
    gateway: str
    wave: str
    outcome: Outcome
    reason: str | None
    """Begins with a ``Reason`` and a colon where one applies, as in report.json."""
    evidence: str | None
    """What the outcome rests on, as in report.json."""
    seconds: float
    """Seconds that this session took for the target, its waits included."""
    attempts: int
    """Number of its attempts, looks, earlier sessions and what could not be sent included."""
    doubted: bool = False
    """Whether an earlier session had sent a request for it, and left it without an outcome."""
    name: str | None = None
    """The name that people know the target by, where its snapshot told one and its id does not hold it."""


class SnapshotMissed(Event, tag="snapshot_missed", frozen=True, kw_only=True):
    """No look could tell how a target was before its undeploy, so a restore could not bring it back."""

    target: TargetId
    gateway: str
    reason: str


class TargetInUse(Event, tag="target_in_use", frozen=True, kw_only=True):
    """A target goes down although it is in use, or although nothing tells that (``in_use: warn``)."""

    target: TargetId
    gateway: str
    calls: int | None
    """None where nothing tells them."""
    text: str
    """``1,204 calls in 72 h by web-shop``, or ``cannot be told: …``."""


class LaneChanged(Event, tag="lane_changed", frozen=True, kw_only=True):
    """A lane pauses for ``seconds``, goes on (``open``), is parked, or is closed until the end of the run."""

    gateway: str
    state: Literal["open", "paused", "parked", "closed"]
    """The state from now on."""
    reason: str | None = None
    seconds: float | None = None
    """Length of the pause, whose end no event tells; None in the other states."""
    given_up: bool = False
    """The lane is parked, and this session probes it no more: a resume goes on with what is left."""


class ProbePlanned(Event, tag="probe_planned", frozen=True, kw_only=True):
    """A parked lane is probed next at ``probe_at``, if it is not given up before, at ``gives_up_at``."""

    gateway: str
    probe_at: float
    """Unix time."""
    gives_up_at: float
    """Unix time."""


class GatewayWarned(Event, tag="gateway_warned", frozen=True, kw_only=True):
    """A warning about a gateway, which the report repeats."""

    gateway: str
    text: str


class GatewayNoted(Event, tag="gateway_noted", frozen=True, kw_only=True):
    """A remark on a gateway: nothing is wrong, and yet a person may want to know."""

    gateway: str
    text: str


class RunWarned(Event, tag="run_warned", frozen=True, kw_only=True):
    """A warning about the run as a whole, which the report repeats."""

    text: str


class RunNoted(Event, tag="run_noted", frozen=True, kw_only=True):
    """A remark on the run as a whole: nothing is wrong, and yet a person may want to know."""

    text: str


class ListAsked(Event, tag="list_asked", frozen=True, kw_only=True):
    """A page of a gateway's list is asked for, or has its reply; ``text`` says which, None that it came."""

    gateway: str
    text: str | None


class RunWaiting(Event, tag="run_waiting", frozen=True, kw_only=True):
    """Nothing new starts until the Unix time ``until``; if that is None, until a person continues the run.

    ``why``: the window has not opened, a wave (or a step) has a ``pause_after`` or ``proceed: ask``, or a
    person has paused the run. ``wave`` is the wave that has just ended, if one has. ``answers``: the terminal
    that started the run takes an answer, too.
    """

    why: Literal["window", "pause_after", "proceed", "paused"]
    until: float | None = None
    wave: str | None = None
    answers: bool = False


class RunContinued(Event, tag="run_continued", frozen=True, kw_only=True):
    """A wait of the run is over."""


class PaceChanged(Event, tag="pace_changed", frozen=True, kw_only=True):
    """From now on at most ``rate`` undeploys a second leave for a gateway; None: without a limit of ours."""

    gateway: str
    rate: float | None


class LimitsChanged(Event, tag="limits_changed", frozen=True, kw_only=True):
    """A person has put other limits in force on a gateway."""

    gateway: str
    concurrency: int
    """Requests that may be in flight from now on."""
    rate: float | None
    """The fixed rate of undeploys a second from now on; None without one."""


class Controlled(Event, tag="controlled", frozen=True, kw_only=True):
    """A person steered the run."""

    act: str
    """The act in words: ``limits roma-eu rate=5/s``."""
    by: str
    """The person."""
    origin: str
    """The host and the process from which it came."""
    skipped: tuple[PartLeft, ...] = ()
    """Of ``skip``: the parts of the run with the targets that it leaves out in ``left``, none of which was
    skipped before. Each of them ends once a worker comes to it."""


class StepStarted(Event, tag="step_started", frozen=True, kw_only=True):
    """Step ``number`` of the ``steps`` of a wave begins, with ``left`` targets to be done."""

    wave: str
    number: int
    """1 for the first step."""
    steps: int
    """Number of steps of the wave."""
    left: int
    """Number of its targets that are still to be done."""


class WaveEnded(Event, tag="wave_ended", frozen=True, kw_only=True):
    """A wave is over for this session. In a run that stops, some of its targets may have no outcome yet."""

    wave: str


class RunStopping(Event, tag="run_stopping", frozen=True, kw_only=True):
    """From now on no request starts. Those in flight get their reply."""

    reason: str
    """Begins with a ``Reason``, as in report.json."""
    interrupted: bool = False
    """Whether a signal stops the run. Another one then ends it at once."""


class RunEnded(Event, tag="run_ended", frozen=True, kw_only=True):
    """The session is over. The reports are written next."""

    state: Literal["complete", "stopped", "interrupted"]
    """As in report.json."""
    exit_status: int
    """The status with which the command ends."""
    outcomes: dict[str, dict[str, dict[Outcome, int]]] = {}
    """All targets that have an outcome at the end, by wave, gateway name and outcome.

    They include those that no ``target_ended`` told of, since the session did not come to them.
    """
    reasons: tuple[OutcomeCount, ...] = ()
    """The same targets by the reason's first word."""


AnyEvent = (
    RunStarted
    | WaveStarted
    | AttemptStarted
    | AttemptEnded
    | RetryPlanned
    | TargetEnded
    | SnapshotMissed
    | TargetInUse
    | LaneChanged
    | ProbePlanned
    | GatewayWarned
    | GatewayNoted
    | RunWarned
    | RunNoted
    | ListAsked
    | StepStarted
    | RunWaiting
    | RunContinued
    | PaceChanged
    | LimitsChanged
    | Controlled
    | WaveEnded
    | RunStopping
    | RunEnded
)
Listener = Callable[[AnyEvent], None]

EVENTS_SCHEMA = 1
"""The version of the JSON lines of ``--events``; a new event and a new field do not raise it."""


class StreamBegun(Struct, frozen=True, kw_only=True, tag_field="event", tag="stream"):
    """The first line of a session's stream. It names the schema of the lines, and the run."""

    schema: int = EVENTS_SCHEMA
    """Rises when an event or a field disappears or changes its meaning. New ones come without a rise."""
    run: RunId
