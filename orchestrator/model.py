"""The values that everything else is about: gateways, targets, the plan, readings and outcomes.

Times are aware datetimes, durations are seconds, shares are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NewType

from msgspec import Meta, Struct

from orchestrator.wire import Access, Granted, Rejected, Reply, Request, Secret, Unclear

if TYPE_CHECKING:
    from orchestrator.catalog import Query, Wanted

TargetId = NewType("TargetId", str)
RunId = NewType("RunId", str)

# `form` names how a plan writes the value; the type is what it means once read.
Seconds = Annotated[float, Meta(gt=0, le=86400, extra={"form": "duration"})]
Url = Annotated[str, Meta(extra={"form": "url"})]
PerSecond = Annotated[float, Meta(ge=1 / 3600, le=100_000, extra={"form": "rate"})]


class Outcome(StrEnum):
    """What became of a target."""

    UNDEPLOYED = "undeployed"
    ALREADY_UNDEPLOYED = "already_undeployed"
    RESTORED = "restored"
    ALREADY_DEPLOYED = "already_deployed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"


DONE = frozenset({Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED, Outcome.RESTORED, Outcome.ALREADY_DEPLOYED})
"""What a run wants of its targets: an undeploy the first two, a restore the others."""


class Reason(StrEnum):
    """The word with which a reason begins, before its colon."""

    WINDOW = "window"
    STOP_RULE = "stop_rule"
    INTERRUPT = "interrupt"
    PARKED = "parked"
    DENIED = "denied"
    WRONG_PLACE = "wrong_place"
    PROTECTED = "protected"
    FILTERED = "filtered"
    SKIPPED = "skipped"
    DEPENDENCY = "dependency"
    DRIFTED = "drifted"
    LIMIT = "limit"
    DISK = "disk"
    SNAPSHOT = "snapshot"
    ABSENT = "absent"
    REFUSED = "refused"
    PARTIAL = "partial"
    SPENT = "spent"


class Act(StrEnum):
    """What one request is for."""

    UNDEPLOY = "undeploy"
    LOOK = "look"
    DEPLOY = "deploy"


class Ask(Struct, frozen=True):
    """One request of a kind: the act, and for a look the vendor's read that it goes through."""

    act: Act
    via: str = ""


UNDEPLOY = Ask(Act.UNDEPLOY)
DEPLOY = Ask(Act.DEPLOY)


class Verdict(Enum):
    """What a reply means. The comment says how far it reaches and what follows."""

    # Replies to an undeploy.
    REMOVED = "removed"  # target: the vendor's full evidence
    DOUBT = "doubt"  # target: it may have arrived; may be repeated
    STRANGE = "strange"  # target: it may have arrived; not repeated before a look
    PARTIAL = "partial"  # target: accepted, but not everywhere; a look with pods decides
    CONTESTED = "contested"  # target: refused for one of several causes; a look settles it
    REFUSED = "refused"  # target: refused, with the vendor's code and text
    UNSENT = "unsent"  # lane: nothing left this machine; said by the engine, never by a gateway's read
    # Replies to a look.
    TOLD = "told"  # target: it says something else than whether the target is deployed
    UP = "up"  # target: it is deployed
    DOWN = "down"  # target: it is not deployed
    UNCLEAR = "unclear"  # target: this look could not tell; it may be repeated
    NOT_OFFERED = "not_offered"  # lane: this gateway has no such look
    # Replies to either.
    ABSENT = "absent"  # target: the vendor's own words for "does not exist"
    BUSY = "busy"  # lane: wait; costs the target no attempt
    DENIED = "denied"  # lane: the credential was rejected
    ELSEWHERE = "elsewhere"  # lane: this is not the place that the plan means


class Facts(Struct, frozen=True, kw_only=True):
    """What a look saw, as far as the vendor says it; ``None`` is "not said"."""

    deployed: bool | None = None
    pods_active: int | None = None
    pods_responded: int | None = None
    serving: tuple[str, ...] = ()
    """Names or addresses of the pods that still serve; where they are many, of the first ones."""
    revision: str | None = None
    since: str | None = None
    edited: bool | None = None
    """The definition was changed after the last deploy."""
    path: str | None = None
    """Where it is served."""
    name: str | None = None
    """What people call it, where its id does not say it."""


Obstacle = Literal["new-front-end-id", "unpublished-edits", "missing-history"]
"""Why a restore would not bring back what was there."""


class FrontEnd(Struct, frozen=True, kw_only=True):
    """What is published for a target, and goes with it when it is undeployed."""

    id: str
    name: str | None = None
    path: str | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """What a gateway made of a reply.

    ``message`` is the vendor's own text: at most 256 characters, control characters made visible, and not
    yet masked where a gateway gives it. ``wait`` is what the gateway asks for, in seconds from the reply's
    arrival.
    """

    verdict: Verdict
    code: str | None = None
    message: str | None = None
    wait: float | None = None
    rate: float | None = None
    """With BUSY: how many a second the gateway says that it takes, where it says so."""
    evidence: Literal["204", "deploymentResult", "look", "code"] | None = None
    hidden: bool = False
    """With ABSENT: the vendor leaves open whether it exists but may not be seen."""
    pods: tuple[str, ...] = ()
    """With PARTIAL: those that did not obey, as many as are named."""
    more_pods: int = 0
    """With PARTIAL: how many more did not obey."""
    pod_count: int = 0
    """With PARTIAL: how many pods (or rows) the reply named in all."""
    hint: str = ""
    facts: Facts | None = None
    kept: Mapping[str, Any] | None = None
    """With TOLD: what the vendor said, as far as it is needed later."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """What was seen of a target before anything was done to it, and what brings it back.

    ``verdict`` is UP, DOWN, ABSENT or PARTIAL (the manager calls it down, and it is still served); UNCLEAR or
    NOT_OFFERED where nobody could tell.
    """

    verdict: Verdict
    code: str | None = None
    message: str | None = None
    hidden: bool = False
    facts: Facts = Facts()
    fronts: tuple[FrontEnd, ...] = ()
    deploy: str | None = None
    """JSON that the vendor's deploy needs; None where what was read is not enough for one."""
    obstacles: tuple[Obstacle, ...] = ()


class Page(Struct, frozen=True, kw_only=True):
    """One page of a gateway's list: UP, DOWN or UNCLEAR by a target's parts.

    ``size`` counts the entries of the page, ``total`` those of the whole list.
    """

    states: Mapping[tuple[str, ...], Verdict]
    size: int
    total: int
    entries: Mapping[tuple[str, ...], Reading] = {}
    """What the first read of ``next_portrait`` would give, where the list says as much."""


class Check(Struct, frozen=True):
    """One read that is about a gateway as a whole: what to send, and what a reply to it says.

    ``read`` gives what it saw, in words, or the reading of a fault. It never raises, whatever the bytes.
    """

    name: str
    request: Request
    read: Callable[[Reply], str | Reading]


class Dialect(Struct, frozen=True):
    """Which version of its API a gateway speaks. ``hint`` is what to change where it is not the plan's."""

    text: str
    served: bool = True
    hint: str = ""


class Target(Struct, frozen=True):
    """One thing to take offline. ``parts`` are its coordinates, in the order that its kind names them."""

    seq: int
    """Its place in the plan, from 1."""
    id: TargetId
    gateway: str
    wave: int
    """Index of its wave, from 0."""
    parts: tuple[str, ...]
    description: str | None = None
    persistent: bool | None = None
    deploy: str | None = None
    """In a restore: the JSON that its snapshot kept for the vendor's deploy."""
    pods: int = 0
    """How many pods its snapshot has heard from; 0 where it has not asked them."""


class Reference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a credential is found; exactly one field is set. Never the credential itself."""

    env: str | None = None
    file: str | None = None
    """A path, relative to the plan."""
    command: tuple[str, ...] | None = None
    """A program and its arguments, run without a shell; what it prints is the credential."""
    keyring: str | None = None
    """``service/user`` of the system's keyring."""

    def __str__(self) -> str:
        name = next(name for name in self.__struct_fields__ if getattr(self, name) is not None)
        value = getattr(self, name)
        # Arguments may say more than a plan's reader should see in a log.
        return f"{{{name}: {value[0] + ' …' if name == 'command' else value}}}"


class Iam(Struct, frozen=True, kw_only=True):
    """A user of Huawei's IAM, who logs in with a password for a token of 24 hours."""

    url: Url
    """IAM's base address."""
    user: str
    domain: str
    """The account that the user belongs to."""
    password: Reference


class Login(Struct, frozen=True, kw_only=True):
    """A user of an Apinizer manager, who logs in with a password for a token."""

    user: str
    password: Reference


class Auth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a gateway lets us in, in exactly one way: a token, a login, or an access key and its secret key."""

    token: Reference | None = None
    iam: Iam | None = None
    login: Login | None = None
    access_key: Reference | None = None
    secret_key: Reference | None = None
    security_token: Reference | None = None
    """Comes with temporary access keys only."""


class Tls(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ``https`` gateway is trusted by, beside the system's own store.

    Paths are relative to the plan.
    """

    ca_file: str | None = None
    """Certificates (PEM) that are trusted as well."""
    cert_file: str | None = None
    """Our own certificate (PEM), for gateways that ask for one."""
    key_file: str | None = None
    insecure: bool = False
    """Believe any certificate. Said in every report."""


MOST_IN_FLIGHT = 1000
"""Requests to one gateway that may be in flight, whatever a plan or somebody who steers a run asks for."""


class Limits(Struct, frozen=True, kw_only=True):
    """How hard one gateway may be used.

    ``concurrency``: how many requests may be in flight; ``None`` is its kind's default. ``rate``: at most so
    many undeploys a second, and apart from them so many looks; ``None`` is none but what it refuses.
    """

    concurrency: Annotated[int, Meta(ge=1, le=MOST_IN_FLIGHT)] | None = None
    rate: PerSecond | None = None


class Retry(Struct, frozen=True, kw_only=True):
    """How a target is repeated.

    At most ``attempts`` undeploy requests a target. The n-th wait is
    ``roll * min(ceiling, first * 2**(n-1))`` seconds with ``roll`` from 0 up to 1 (full jitter), so the five
    attempts of the defaults wait
    0.5 + 1 + 2 + 4 = 7.5 s at most in all; a longer wait that the gateway asks for wins.
    """

    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    first: Seconds = 0.5
    ceiling: Seconds = 30.0


class Coordinate(Struct, frozen=True, kw_only=True):
    """One part of a target's id: its key in the plan, the key of its list form, and what it may be."""

    name: str
    plural: str
    pattern: str | None = None
    """A regular expression that the whole text matches; ``None`` is any text without control characters."""
    doc: str = ""


class Gateway(Struct, frozen=True, kw_only=True):
    """One gateway: what a plan says of it, and what the engine asks of its kind, which adds its own keys.

    The methods are pure: no clock, no network, no chance.
    ``concurrency`` and ``timeout`` have defaults that differ by kind; read them through the properties.
    """

    name: str
    url: Url
    auth: Auth
    limits: Limits = Limits()
    retry: Retry = Retry()
    look: Literal["doubt", "always"] = "doubt"
    absent: Literal["fail", "ok"] = "fail"
    timeout: Seconds | None = None
    park_for: Seconds = 600.0
    """How long a lane whose gateway is ill is probed before its targets are left for a resume."""
    tls: Tls = Tls()
    proxy: Url | None = None
    """The proxy to go through; None takes HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment."""

    KIND: ClassVar[str]
    AUTH: ClassVar[frozenset[str]]
    """The keys of ``auth`` that this kind knows."""
    COORDINATES: ClassVar[tuple[Coordinate, ...]]
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    """Which of ``description`` and ``persistent`` a target of this kind may have."""
    LISTS: ClassVar[bool] = False
    """Whether this kind can list its targets with their state."""
    SIBLINGS: ClassVar[Ask | None] = None
    """The read of a target that says where else its proxy, or the like (``exclusive``), is deployed."""
    LOOKS: ClassVar[tuple[Ask, ...]]
    """Every read of a target's live state that some version of this kind offers."""
    FILTERS: ClassVar[Mapping[str, frozenset[str]]] = {}
    """What `undeploy discover` may choose targets of this kind by, and the values that each filter knows
    (none: any text). Empty where this kind has no catalog."""
    CONCURRENCY: ClassVar[int]
    TIMEOUT: ClassVar[float]

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight to this gateway."""
        return self.limits.concurrency or self.CONCURRENCY

    @property
    def reply_timeout(self) -> float:
        """How long one reply may take, in seconds."""
        return self.timeout or self.TIMEOUT

    @property
    def installation(self) -> str:
        """What makes two gateway entries the same place: equal texts mean equal targets."""
        raise NotImplementedError

    def other_readings(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ARG002
        """Give the parts of each other target that the address of this one may name to whoever decodes it
        once more on its way. A kind whose ids stay what they are, however often decoded, has none."""
        return iter(())

    def exclusive(self, target: Target) -> str | None:
        """Return a key: targets that share one never run at the same moment. None shares with nobody."""
        raise NotImplementedError

    def request(self, ask: Ask, target: Target, access: Access, *, note: str | None, now: float) -> Request:
        """Say what to send at ``now`` (Unix seconds, which a signature holds).

        ``note`` is for the vendor's history record, where the target has no text of its own.
        """
        raise NotImplementedError

    def list_request(self, offset: int, access: Access, *, now: float) -> Request:
        """Say how to get the page of the list that begins behind ``offset`` entries."""
        raise NotImplementedError

    def read_list(self, reply: Reply) -> Page | Reading:
        """Say what a reply to that means: a page; or BUSY, DENIED, NOT_OFFERED or UNCLEAR."""
        raise NotImplementedError

    def catalog(self, wanted: Wanted) -> Query:
        """Say what to ask first to learn which of its targets are deployed and ``wanted``."""
        raise NotImplementedError

    def greeting(self) -> Check:
        """Say how to find out, without any credential, whether such a gateway answers at all."""
        raise NotImplementedError

    def checks(self, access: Access, *, now: float) -> tuple[Check, ...]:
        """Say which reads show that the credential is accepted, and which version answers.

        The first one is of the version that the plan means. ``now`` as in ``request``.
        """
        raise NotImplementedError

    def dialect(self, answered: frozenset[str], looks: Mapping[str, bool]) -> Dialect:
        """Say what the checks that were ``answered``, by name, and the looks that are offered amount to.

        ``looks`` holds, by ``via``, only those of which it is known.
        """
        raise NotImplementedError

    def login(self, password: Secret) -> Request:
        """Say how to get a token for the password of ``auth``'s ``iam`` or ``login``."""
        raise NotImplementedError

    def read_login(self, reply: Reply) -> Granted | Rejected | Unclear:
        """Say what a reply to a login means. Never raises, whatever the bytes."""
        raise NotImplementedError

    def read(self, ask: Ask, target: Target, reply: Reply) -> Reading:
        """Say what a reply means. Never raises, whatever the bytes."""
        raise NotImplementedError

    def next_portrait(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Ask | Snapshot:
        """Return the next read that a snapshot needs, or what the reads so far amount to.

        ``seen`` and ``lacking`` are as in ``next_look``; a read that failed is in ``seen`` with its reading.
        A kind that knows no more than its looks keeps nothing that a restore could go by.
        """
        found = self.next_look(target, seen, lacking, None)
        if isinstance(found, Ask):
            return found
        return Snapshot(
            verdict=found.verdict,
            code=found.code,
            message=found.message,
            hidden=found.hidden,
            facts=found.facts or Facts(),
            obstacles=("missing-history",),
        )

    def read_siblings(self, target: Target, reply: Reply) -> frozenset[str] | None:
        """Return the last parts of the targets that are deployed, by a reply to ``SIBLINGS`` of ``target``;
        None where it does not say."""
        raise NotImplementedError

    def rolled_back(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what makes its deploy bring back the very revision that it saw.

        Unchanged where the vendor keeps no revisions, or this one is not known.
        """
        return snapshot

    def next_proof(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Ask | Reading:
        """As ``next_look``, where the question is whether a target is deployed in full."""
        return self.next_look(target, seen, lacking, about)

    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Ask | Reading:
        """Return the next read that a look needs, or what the reads so far amount to.

        That is UP, DOWN, ABSENT, PARTIAL, UNCLEAR or NOT_OFFERED. ``seen`` holds the readings of this look by
        ``via``; ``lacking`` the reads that this gateway does not offer; ``about`` is the reading of the
        undeploy that left the doubt, None where there was none.
        """
        raise NotImplementedError


class Threshold(Struct, frozen=True, kw_only=True):
    """When a stop rule fires: strictly above ``count`` targets of the run, or above ``share`` of a wave."""

    count: int | None = None
    share: float | None = None


class StopWhen(Struct, frozen=True, kw_only=True):
    """The stop rules of a plan."""

    failed: Threshold = Threshold(share=0.2)
    unknown: Threshold = Threshold(share=0.2)
    surprising: Threshold = Threshold(share=0.5)


class Window(Struct, frozen=True):
    """When undeploys may start: from ``opens`` until one timeout before ``closes``; ``None`` is unbounded."""

    opens: datetime | None
    closes: datetime | None


class Size(Struct, frozen=True, kw_only=True):
    """How far a step of a wave goes: up to ``count`` of its targets, or up to a ``share`` of them."""

    count: int | None = None
    share: float | None = None


class Wave(Struct, frozen=True, kw_only=True):
    """Targets that may go together; the next wave starts when this one has ended."""

    name: str
    pause_after: Seconds | None = None
    """How long the run waits after each of its steps, before the next step or wave."""
    proceed: Literal["automatic", "ask"] = "automatic"
    """Whether somebody is asked before the next step or wave."""
    sizes: tuple[Size, ...] = ()
    """Where the wave is split into steps, cumulatively; the last is 100 %. Empty is one step."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a plan says apart from its targets, which are too many to be held: they live in the journal."""

    name: str
    parent: str | None = None
    """Id of the run whose remainder this is."""
    reason: str | None = None
    window: Window | None = None
    gateways: tuple[Gateway, ...]
    stop_when: StopWhen = StopWhen()
    protect: tuple[str, ...] = ()
    at_most: Annotated[int, Meta(ge=1)] | None = None
    waves: tuple[Wave, ...]
    snapshot: Literal["best", "required", "off"] = "best"
    """Whether what a restore needs is kept before each undeploy."""
    approval: Literal["none", "digest", "file", "signed"] = "none"
    """What a run of this plan wants before it begins."""
