"""What can happen in a run, as values for listeners: the display, the log, ``--events``, a caller's own code.

A listener is told after the journal was; it answers nothing and cannot change the run. In JSON each event
carries its name under ``event``. ``at`` is the Unix time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of every event."""

    at: float


class PartLeft(Struct, frozen=True, kw_only=True):
    """A wave, or one step of it, that has something left when a session begins."""

    wave: str
    number: int
    """1 for the first step, and for a wave without steps."""
    left: dict[str, int]
    """Targets still to be done, by gateway name."""
    rest: float = 0.0
    """The ``pause_after`` that follows, in seconds, where another part follows."""


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    """A run, or its resume, begins. ``targets`` counts the whole plan, ``left`` what is still to be done."""

    run: RunId
    plan: str
    targets: int
    left: dict[str, int]
    """Targets still to be done, by gateway name, in the plan's order of gateways."""
    resumed: bool
    closes: float | None = None
    """Unix time at which the window closes, where there is one."""
    timeouts: dict[str, float] = {}
    """How long one reply may take, by gateway name: no undeploy starts nearer than that to the close."""
    rests: float = 0.0
    """Seconds of ``pause_after`` that lie between the waves and steps to be done."""
    parts: tuple[PartLeft, ...] = ()
    """The waves and steps that have something left, in their order."""
    act: Literal["undeploy", "restore"] = "undeploy"
    rehearsal: bool = False
    urls: dict[str, str] = {}
    """The plan's URL of each gateway that has something left; in a rehearsal simulators stand in for them."""
    opens: float | None = None
    session: int = 1
    approval: str = ""
    """How somebody agreed to the run, and who, in words; empty where nobody was asked."""
    patterns: int | None = None
    """How many patterns of ``protect`` and protect files hold; None in a restore, which heeds none."""
    protected: int = 0
    """How many targets they keep from the run."""


class WaveStarted(Event, tag="wave_started", frozen=True, kw_only=True):
    """A wave begins with ``left`` targets to be done."""

    wave: str
    left: int


class AttemptStarted(Event, tag="attempt_started", frozen=True, kw_only=True):
    """A request is about to leave; its intent is on disk."""

    target: TargetId
    gateway: str
    number: int
    act: Act


class AttemptEnded(Event, tag="attempt_ended", frozen=True, kw_only=True):
    """A request got its reply, or was lost. ``status`` is None where no reply came."""

    target: TargetId
    gateway: str
    number: int
    act: Act
    seconds: float
    status: int | None
    code: str | None
    message: str | None


class RetryPlanned(Event, tag="retry_planned", frozen=True, kw_only=True):
    """The target waits ``wait`` seconds before its next request ``act``."""

    target: TargetId
    gateway: str
    act: Act
    wait: float


class TargetEnded(Event, tag="target_ended", frozen=True, kw_only=True):
    """A target has its outcome (for this session: a resume may go on with it)."""

    target: TargetId
    gateway: str
    wave: str
    outcome: Outcome
    reason: str | None
    evidence: str | None
    seconds: float
    attempts: int


class SnapshotMissed(Event, tag="snapshot_missed", frozen=True, kw_only=True):
    """Nobody could tell how a target is before its undeploy, so that a restore could not bring it back."""

    target: TargetId
    gateway: str
    reason: str


class LaneChanged(Event, tag="lane_changed", frozen=True, kw_only=True):
    """A lane pauses for ``seconds``, goes on (``open``), is parked, or is closed to the end of the run."""

    gateway: str
    state: Literal["open", "paused", "parked", "closed"]
    reason: str | None = None
    seconds: float | None = None
    given_up: bool = False
    """Parked, and not probed any more in this session: what is left is for a resume."""


class GatewayWarned(Event, tag="gateway_warned", frozen=True, kw_only=True):
    """Something about a gateway that a person should know; it is in the report too."""

    gateway: str
    text: str


class RunWaiting(Event, tag="run_waiting", frozen=True, kw_only=True):
    """Nothing new starts until the Unix time ``until``, or until somebody says so where that is None.

    ``why``: the window has not opened; a wave's (or a step's) ``pause_after``; its ``proceed: ask``; or
    somebody has paused the run. ``wave`` is the one that has ended, where there is one. ``answers``: it can
    be answered on the terminal that the run was started from, too.
    """

    why: Literal["window", "pause_after", "proceed", "paused"]
    until: float | None = None
    wave: str | None = None
    answers: bool = False


class RunContinued(Event, tag="run_continued", frozen=True, kw_only=True):
    """What the run waited for is over."""


class PaceChanged(Event, tag="pace_changed", frozen=True, kw_only=True):
    """At most ``rate`` undeploys a second leave for a gateway from here on; None is no bound of ours."""

    gateway: str
    rate: float | None


class Controlled(Event, tag="controlled", frozen=True, kw_only=True):
    """Somebody steered the run: ``act`` in words (``limits roma-eu rate=5/s``), ``by`` whom, from where."""

    act: str
    by: str
    origin: str


class StepStarted(Event, tag="step_started", frozen=True, kw_only=True):
    """A step of a wave that has several begins: the ``number``-th of ``steps``, with ``left`` targets."""

    wave: str
    number: int
    steps: int
    left: int


class WaveEnded(Event, tag="wave_ended", frozen=True, kw_only=True):
    """All targets of a wave have an outcome for this session."""

    wave: str


class RunStopping(Event, tag="run_stopping", frozen=True, kw_only=True):
    """Nothing new starts from here on; what flies lands. ``reason`` begins with a word of ``Reason``."""

    reason: str


class RunEnded(Event, tag="run_ended", frozen=True, kw_only=True):
    """The session is over; the reports are written next."""

    state: Literal["complete", "stopped", "interrupted"]
    exit_status: int


AnyEvent = (
    RunStarted
    | WaveStarted
    | AttemptStarted
    | AttemptEnded
    | RetryPlanned
    | TargetEnded
    | SnapshotMissed
    | LaneChanged
    | GatewayWarned
    | StepStarted
    | RunWaiting
    | RunContinued
    | PaceChanged
    | Controlled
    | WaveEnded
    | RunStopping
    | RunEnded
)
Listener = Callable[[AnyEvent], None]

EVENTS_SCHEMA = 1
"""The version that the first JSON line of ``--events`` states: ``{"event": "schema", "schema": 1}``."""
