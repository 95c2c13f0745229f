"""The status of a live run: all that the terminal, ``status``, the live page, metrics and notifications show.

``display/status.py`` makes it from the events of the run. Instants are Unix times, durations are seconds,
rates are a second. Every text is ready for people: names from outside are made visible, and lengths are
bounded. ``counts`` and the like have all outcomes of the act as keys, those without a target included.

The fields are the words of the control socket's answer to ``status``.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from orchestrator.model.causes import CauseGroup
from orchestrator.model.forecast import Forecast

MOST_LANES = 60
"""Maximum number of lanes, and of waves, in one status: it is one line of bounded length."""
MOST_CAUSES = 20
"""Maximum number of causes in one status; the others are counted together."""
MOST_CONTROLS = 20
"""Maximum number of acts of operators in one status, the newest."""
MOST_WARNINGS = 20
"""Maximum number of warnings in one status, the newest."""
MOST_BUCKETS = 240
"""Maximum number of buckets of the time axis: once there are so many, two and two become one."""
MOST_MARKS = 60
"""Maximum number of marks on the time axis, the newest."""
SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
"""Seconds: the bounds of the semantic conventions for HTTP, and larger ones for slow deployments."""
LONGEST_TEXT = 240
"""Characters of a text from outside, such as a vendor's message."""

RunPhase: TypeAlias = Literal[
    "starting",
    "running",
    "waiting",
    "paused",
    "parked",
    "stopping",
    "complete",
    "stopped",
    "interrupted",
]
"""The state of a run. ``parked``: every lane that has targets left is parked. The last three are its end."""
Tone: TypeAlias = Literal["going", "waiting", "bad", "good", "over"]
"""How a run is doing, for a colour. ``good`` only once all is as wanted; ``over``: it ended otherwise."""
MarkKind: TypeAlias = Literal["session", "wave", "park", "steer", "stop", "close"]
"""The kind of a mark on the time axis. ``park``: also a lane that is closed, or answers again. ``close``: the
window's. ``session``: the beginning of a later session, in reports."""


class RunFacts(Struct, frozen=True, kw_only=True):
    """What a run is: known from its first event on."""

    id: str
    plan: str
    act: Literal["undeploy", "restore"]
    act_words: str
    """``undeploy``, ``restore``, ``rehearsal of an undeploy``."""
    goal: str
    """The state in which the act leaves its targets: ``down``, ``deployed again``."""
    rehearsal: bool
    reason: str | None
    targets: int
    session: int
    resumed: bool
    started: float
    """The beginning of this session."""
    opens: float | None
    closes: float | None
    approval: str
    """Empty if the program did not ask."""
    protect: str
    """How many patterns are in force and how many targets they protect; empty for a restore."""
    utc_offset: int
    """Seconds by which the run's local time is east of UTC: the clock times in all texts are local."""
    utc_offsets: tuple[tuple[float, int], ...] = ()
    """If the clock is changed within two days: the offsets before and after, each with the time from which it
    holds."""


class RunVerdict(Struct, frozen=True, kw_only=True):
    """How the run stands, in a few words. Counts are of the whole run, earlier sessions included."""

    state: RunPhase
    tone: Tone
    headline: str
    """``412 of 3,000 down · 9 failed · 2 unknown``."""
    sentence: str
    """``wave 2 of 3, everything, goes on``, or what the run waits for."""
    done_by: str
    """``done by 06:40``, or the bound while a lane is parked; empty if there is nothing to say."""
    against_close: str
    """``fits the window, 12 min to spare``; empty without a window, or if unknown."""
    is_late: bool = False
    """Whether the window closes before all that is left can start."""
    counts: dict[str, int]
    """``targets``, ``ended``, and each outcome of the act."""


class WaveStatus(Struct, frozen=True, kw_only=True):
    """One wave of the plan. Counts are of the whole run.

    In a run that ended early, what was not started is in ``counts``, and not in ``ended``.
    """

    name: str
    number: int
    """From 1 on."""
    state: Literal["ended", "going", "to come"]
    total: int
    ended: int
    counts: dict[str, int]
    step: int | None = None
    """The step that goes on, from 1 on; None for a wave of one step, or one that does not go on."""
    steps: int = 1
    done_by: float | None = None
    pause_after: float = 0.0
    asks: bool = False
    """Whether the run asks a person before the next wave."""


class LaneStatus(Struct, frozen=True, kw_only=True):
    """One gateway's lane. ``total``, ``ended`` and ``counts`` are of the whole run, as in ``WaveStatus``."""

    name: str
    kind: str
    url: str
    state: Literal["open", "paused", "parked", "closed"]
    state_words: str
    """``open``, ``paused 12 s``, ``parked: HTTP 503``, ``closed: denied``, ``done``; ``stopped`` if the run
    ended before the lane was done."""
    reason: str | None = None
    total: int = 0
    ended: int = 0
    left: int = 0
    """Targets without an outcome in this session."""
    counts: dict[str, int] = {}
    in_flight: int = 0
    limit: int | None = None
    """The concurrency in force; None if unknown."""
    rate: float | None = None
    """Targets that ended a second lately; None if it cannot be measured yet, or nothing is left."""
    bound: float | None = None
    """Undeploys a second that the lane allows; None without a bound."""
    refused: int = 0
    """Replies 429, and 503 with ``Retry-After``, of this session."""
    repeating: int = 0
    """Targets that wait before their next attempt."""
    list_asked: str | None = None
    """The page of a list that the gateway is being asked for, in words."""
    since: float | None = None
    """When a pause or the parking began."""
    until: float | None = None
    """When a pause ends."""
    probe_at: float | None = None
    """When the next probe of a parked lane leaves."""
    gives_up_at: float | None = None
    """When the session gives a parked lane up, if no probe is answered by then."""
    given_up: bool = False
    """Whether the lane is parked and the session waits for it no more."""
    done_by: float | None = None
    warning: str | None = None
    fault: str | None = None
    """The text of the newest reply that had one, while targets wait for a repeat."""


class TimeMark(Struct, frozen=True, kw_only=True):
    """An event worth a mark on the time axis."""

    at: float
    kind: MarkKind
    text: str


class OverTime(Struct, frozen=True, kw_only=True):
    """The session over time, in at most ``MOST_BUCKETS`` buckets of equal width. All lists are as long."""

    start: float
    seconds: float
    """The width of a bucket. The last one has only begun."""
    ended: tuple[dict[str, int], ...] = ()
    """Targets that ended in each bucket, by outcome; outcomes without a target are left out."""
    sent: tuple[float, ...] = ()
    """Undeploys (or deploys) sent a second in each bucket."""
    refused: tuple[int, ...] = ()
    """Undeploys (or deploys) that were told to wait in each bucket: 429, or 503 with ``Retry-After``."""
    bound: tuple[float | None, ...] = ()
    """Undeploys a second that all lanes together allow at the bucket's end; None if one has no bound."""
    in_flight: tuple[int, ...] = ()
    """The most requests at once in each bucket."""
    marks: tuple[TimeMark, ...] = ()


class RequestCounts(Struct, frozen=True, kw_only=True):
    """The requests of one act about the targets of one gateway in this session, for the metrics."""

    gateway: str
    act: str
    answers: dict[str, int]
    """How many had each status; ``no_reply``; ``unknown_status`` stands for all that HTTP does not name."""
    seconds: float
    """The time from each request to its reply, or to its loss, summed up."""
    within: tuple[int, ...]
    """How many took up to each of ``SECONDS_BOUNDS`` and longer than the one before; then the longest."""


class ControlStatus(Struct, frozen=True, kw_only=True):
    """A person steered the run."""

    at: float
    act: str
    by: str
    origin: str


class RuleHeadroom(Struct, frozen=True, kw_only=True):
    """How far one stop rule is from stopping the run."""

    rule: str
    """Its key under ``stop_when``."""
    count: int
    """Targets that the rule counts: of the run if its limit is a count, else of the wave (or its step)."""
    of: int
    """Ended targets of the same scope."""
    limit: str
    """As the plan writes it: ``20%``, ``5``."""
    more: int | None
    """How many more such targets in a row stop the run; None if no number of them does."""
    near: bool = False
    """Whether people should be warned: the rule counts a target, and few more stop the run."""
    text: str
    """``failed: 3 of 40 in wave canary, limit 20%: 7 more stop the run``."""


class EndStatus(Struct, frozen=True, kw_only=True):
    """The end of the session."""

    at: float
    state: Literal["complete", "stopped", "interrupted"]
    exit_status: int
    headline: str
    reports: str | None = None
    """The folder of the reports; None as long as it is not told."""


class LiveStatus(Struct, frozen=True, kw_only=True):
    """The status of a run at the Unix time ``at``."""

    at: float
    run: RunFacts
    verdict: RunVerdict
    wave: int | None = None
    """The number of the wave that goes on, or has ended last; from 1 on."""
    waves: tuple[WaveStatus, ...] = ()
    waves_left_out: int = 0
    """Waves that are not named: those far from the wave that goes on."""
    lanes: tuple[LaneStatus, ...] = ()
    lanes_left_out: int = 0
    """Lanes that are not named; those that need attention are named first."""
    causes: tuple[CauseGroup, ...] = ()
    """Failed, then unknown, then not started; the largest first."""
    over_time: OverTime
    requests: tuple[RequestCounts, ...] = ()
    """Of the lanes that are named."""
    controls: tuple[ControlStatus, ...] = ()
    """The newest last."""
    question: str | None = None
    """What a person is asked, with the result of the wave that has ended; while ``proceed: ask`` waits."""
    headroom: tuple[RuleHeadroom, ...] = ()
    warnings: tuple[str, ...] = ()
    waits_for: str | None = None
    until: float | None = None
    """When the wait ends at the latest, or the next probe leaves; None if no end is known."""
    stopping: str | None = None
    """Why nothing new starts, in words; None while the run goes on."""
    is_interrupted: bool = False
    """Whether a signal stops the run: another one ends it at once."""
    closes: float | None = None
    forecast: Forecast | None = None
    ended: EndStatus | None = None
    unrestorable: int = 0
    """Targets that went down, or may have, without a snapshot that brings them back."""
