"""The values that a distributed run hands from one part to the other: driver, workflows, workers.

Each travels as JSON. A field may be added with a default; a change of meaning wants a new name, since a run
that is under way meets the newer program. No value holds a credential.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

from msgspec import Struct, field

from orchestrator.lanes.run_gate import StopKind
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId, StopWhen, Window
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules import stop_rules

StopState: TypeAlias = stop_rules.StopState


class JournalPages(Struct, frozen=True, kw_only=True):
    """Where the journal is with which a session began, the plan in it: pages that workflows keep."""

    workflow: str
    """After what the workflows of the pages are named (``names.name_journal_workflow``): the run's workflow,
    or ``names.name_scheduled_journal`` of a schedule."""
    pages: int
    size: int
    """Bytes of the journal, uncompressed."""
    digest: str
    """SHA-256 of the uncompressed bytes, in hexadecimal digits."""


class LaneCarry(Struct, frozen=True, kw_only=True):
    """The state of a lane between two chunks. Workers read and write it; workflows pass it on."""

    state: Literal["open", "parked", "closed"] = "open"
    reason: str | None = None
    """Why it is parked or closed; begins with a ``Reason``."""
    given_up: bool = False
    """The lane is parked for good: its further targets are left for a resume."""
    rate: float | None = None
    """The pace that the gateway turned out to bear, in undeploys a second."""
    limits: Limits | None = None
    """The limits that an operator put in the place of the plan's."""
    faulty: tuple[TargetId, ...] = ()
    """The targets with faults since the last answered undeploy."""
    unsent: int = 0
    """Requests in a row that could not be sent."""
    has_answered: bool = False
    """Some undeploy was answered in this session."""
    parked_since: float | None = None
    """Unix time by the server's clock, where the lane is parked and still probed."""
    paused_until: float | None = None
    """Unix time by the server's clock until which the gateway wants no request."""
    next_at: float | None = None
    """Unix time by the server's clock from which the pace lets another undeploy leave: the next worker keeps
    the plan's rate."""
    told: tuple[str, ...] = ()
    """Warnings and remarks on the lane that were told in this session, so that the next worker tells none
    again."""

    @property
    def is_over(self) -> bool:
        """Whether the lane takes no targets any more in this session."""
        return self.state == "closed" or self.given_up


class EndCount(Struct, frozen=True, kw_only=True):
    """Number of ended targets that the stop rules see alike."""

    outcome: Outcome
    word: str
    """As in ``model.outcome.Counts``: empty for targets without a reason."""
    count: int
    doubted: bool = False
    """An earlier session left them in doubt."""


class StopOrder(Struct, frozen=True, kw_only=True):
    """Nothing new starts from now on. A graver kind replaces a lesser one."""

    kind: StopKind
    text: str
    """The reason without its first word, as ``RunGate.stop`` takes it."""


class Orders(Struct, frozen=True, kw_only=True):
    """What people want of the run now: the whole of it each time, so that a later one replaces it."""

    number: int = 0
    """Rises with each order of one driver, and with each driver."""
    paused: bool = False
    stop: StopOrder | None = None
    skips: dict[str, str] = {}
    """Patterns of the targets that are passed over, each with the operator who wants that."""
    limits: dict[str, Limits] = {}
    """By gateway, where an operator replaced the plan's."""
    proceed: int = -1
    """The number (``WaitBegun.number``) of the last wait that a person has ended."""
    before: Orders | None = None
    """The orders that the driver knew when it changed them. Those of another driver may hold by now, and then
    only the difference is an order. None where an earlier version gave them: they count by their number."""


class ChunkPlace(Struct, frozen=True, kw_only=True):
    """Which targets of the journal a chunk has.

    They are those open in the journal with which the session began, of one step of a wave and one gateway, in
    the order of depth and number: ``count`` of them after the first ``first``.
    """

    wave: int
    step: int
    gateway: str
    first: int
    count: int
    level: int | None = None
    """Only targets of this depth, where targets of the step wait for those of other gateways."""


class ChunkOrder(Struct, frozen=True, kw_only=True):
    """The input of the activity ``run_chunk``."""

    run: RunId
    session: int
    journal: JournalPages
    place: ChunkPlace
    dispatch: int
    """Chunks of this lane workflow before, including those that were handed out again."""
    act: Literal["undeploy", "restore"]
    lane: str
    """The id of the lane's workflow; its query ``orders`` tells why a chunk was cancelled."""
    window: Window | None
    stop: StopState
    """Where the stop rules stand before this chunk."""
    orders: Orders
    carry: LaneCarry
    first_run: bool
    """Whether the session is the run's first."""
    past_stop: bool
    rows: bytes = b""
    """``ChunkEnd.rows`` of the dispatch before: what was written of the targets that it left."""
    beats: tuple[bytes, ...] = ()
    """The segments of the dispatches since then whose workers were lost, in their order: they come after
    ``rows``. The chunk replays them, counts what ended in them, and does not send them again."""
    broken: tuple[int, ...] = ()
    """Numbers of targets that others wait for, and that did not end as wanted."""
    undone: tuple[ChunkPlace, ...] = ()
    """Targets that no chunk had, since their lane is over. What waits for one of them is not started."""
    ahead: int = 0
    """Targets of the lane in this step that come after the chunk."""
    later: int = 0
    """Targets of the lane in the steps that come soon after this one."""
    accepted: tuple[str, ...] = ()
    """The words of the obstacles that a person accepted for a restore."""
    lease: float = 10.0
    """Seconds without a sign of life after which the chunk goes to another worker."""


class ChunkBeat(Struct, frozen=True, kw_only=True):
    """The details of a heartbeat: all that this dispatch of the chunk has written so far.

    Each dispatch is one attempt of one activity, whose id is ``names.name_chunk_activity(dispatch)``. When
    its worker is lost, the activity times out with the last details, and the lane hands the chunk out again
    as another dispatch with them (``ChunkOrder.beats``). Were it Temporal that tried again, a cancel between
    two attempts would drop the details, and with them what was sent.
    """

    segments: tuple[bytes, ...] = ()
    """Rows and events in their order; each segment was compressed once (``journal.transfer``)."""
    worker: str = ""
    """Host and process of the worker."""
    carry: LaneCarry | None = None
    """What the lane is so far, for whoever goes on if this worker is lost. None from an earlier version."""


class ChunkEnd(Struct, frozen=True, kw_only=True):
    """The result of the activity ``run_chunk``."""

    segments: tuple[bytes, ...]
    """As in ``ChunkBeat``: first those of its heartbeats."""
    left: int
    """Targets of the chunk without an outcome."""
    rows: bytes
    """What was written of those targets, and the outcomes of the others, for the next dispatch."""
    counts: tuple[EndCount, ...]
    """The targets that ended in this dispatch, or in the lost ones before it (``ChunkOrder.beats``)."""
    stop: StopState
    """Where the stop rules of the chunk stand after it."""
    breach: StopOrder | None
    """Why the chunk stopped the run: a stop rule."""
    carry: LaneCarry
    refusal: str | None
    """Why the lane starts nothing any more, with its ``Reason``; None if it goes on."""
    broken: tuple[int, ...] = ()
    """Targets of the chunk that others wait for, and that did not end as wanted: also those that are left."""
    worker: str = ""


class ZonedGateway(Struct, frozen=True, kw_only=True):
    """A gateway of the plan, as far as the workflows need it."""

    zone: str
    installation: str
    """Gateways of one installation never work at the same time: they share its exclusive keys."""
    park_for: float
    reply_timeout: float


class LevelWork(Struct, frozen=True, kw_only=True):
    """Targets of a step that may go together."""

    level: int | None
    targets: dict[str, int]
    """By gateway name."""


class StepWork(Struct, frozen=True, kw_only=True):
    """A step of a wave that has open targets."""

    wave: int
    step: int
    name: str
    """The name of the wave."""
    steps: int
    """Steps of the wave; 1 where it has no sizes."""
    levels: tuple[LevelWork, ...]
    later: dict[str, int] = {}
    """Targets by gateway in the steps that come soon after this one."""
    before: tuple[EndCount, ...] = ()
    """The targets of the step that had an outcome when the session began."""
    pause_after: float | None = None
    asks: bool = False
    """Whether a person is asked after it (``proceed: ask``)."""
    asks_first: bool = False
    """Whether that question is still open from the session before: it comes before this step."""
    asked_after: int | None = None
    """The index of the wave that this question is about; None from drivers of an earlier version."""
    accepted: bool = False
    """Whether an operator went on past a stop that this step had caused."""

    def count_targets(self) -> Counter[str]:
        """Return how many targets each gateway has in the step."""
        targets = Counter[str]()
        for level in self.levels:
            targets.update(level.targets)
        return targets


class RunInput(Struct, frozen=True, kw_only=True):
    """The input of the workflow of one session of a run."""

    run: RunId
    session: int
    plan: str
    """The name of the plan."""
    act: Literal["undeploy", "restore"]
    journal: JournalPages
    steps: tuple[StepWork, ...]
    gateways: dict[str, ZonedGateway]
    stop_when: StopWhen
    stop: StopState = StopState()
    """The counts of earlier sessions."""
    window: Window | None = None
    first_run: bool = True
    past_stop: bool = False
    expires: float | None = None
    """The Unix time from which the approval is void, if no request has left by then."""
    carries: dict[str, LaneCarry] = {}
    """By gateway: what earlier sessions learned."""
    orders: Orders = Orders()
    """The skips and limits of earlier sessions."""
    accepted: tuple[str, ...] = ()
    scheduled: bool = False
    """No driver started it: a Temporal Schedule did. Its id comes from the workflow's own."""
    open_for: float | None = None
    """Of a scheduled run: the window closes so many seconds after the time for which it was scheduled."""
    state: bytes = b""
    """Where the session stood (``run_state.RunState`` as JSON) when its workflow continued as new."""
    searchable: bool = False
    """The server has the search attributes of ``names.SEARCH_ATTRIBUTES``."""
    options: str = "{}"
    """Of a scheduled run: the options of its session as JSON, as the journal keeps them."""
    recurs: bool = False
    """Its schedule starts further runs, which want the pages of the journal, so they stay when it is over. It
    ends without a driver's acknowledgement: the next start would be skipped while it is open."""
    lease: float = 10.0


class ChunkReport(Struct, frozen=True, kw_only=True):
    """What a lane workflow tells its run's workflow after each chunk (signal ``chunk_over``)."""

    workflow: str
    gateway: str
    dispatch: int
    counts: tuple[EndCount, ...]
    breach: StopOrder | None
    broken: tuple[int, ...]
    first: int
    """Which chunk it was: ``ChunkPlace.first``. A later report of the same chunk replaces its ``broken``."""


class LaneInput(Struct, frozen=True, kw_only=True):
    """The input of a lane workflow: one part of the targets of one gateway in a step."""

    run_workflow: str
    run: RunId
    session: int
    plan: str
    act: Literal["undeploy", "restore"]
    journal: JournalPages
    place: ChunkPlace
    """All targets of this part."""
    zone: str
    park_for: float
    window: Window | None
    stop: StopState
    orders: Orders
    carry: LaneCarry
    first_run: bool
    past_stop: bool
    searchable: bool = False
    broken: tuple[int, ...] = ()
    undone: tuple[ChunkPlace, ...] = ()
    ahead: int = 0
    """Targets of the lane in this step that come after this part."""
    later: int = 0
    accepted: tuple[str, ...] = ()
    lease: float = 10.0


class GoOn(Struct, frozen=True, kw_only=True):
    """The run's answer to a ``ChunkReport`` (signal ``go_on``): where the run stands."""

    stop: StopState
    dispatch: int
    """The dispatch whose report this answers."""
    orders: Orders = field(default_factory=Orders)


class LaneOver(Struct, frozen=True, kw_only=True):
    """What a lane workflow tells at its end (signal ``lane_over``)."""

    workflow: str
    gateway: str
    dispatches: int
    carry: LaneCarry
    refusal: str | None = None
    """Why the lane starts nothing any more in this session, with its ``Reason``."""
    bug: str | None = None
    no_credential: str | None = None
    """Why its worker could not resolve the credential, if nothing was sent because of that."""
    rest: ChunkPlace | None = None
    """Targets of this part that are not known to have ended. Without a refusal another part takes them."""
