"""One gateway: its settings, and the questions that the engine asks of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from orchestrator.model.credentials import Access, LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply, Request

if TYPE_CHECKING:
    from orchestrator.model.search import SearchQuery, TargetFilter
from orchestrator.model.reading import (
    ApiVersion,
    HealthCheck,
    LookFacts,
    Operation,
    Reading,
    Snapshot,
    StatePage,
)
from orchestrator.model.settings import Auth, Limits, ProxyUrl, Retry, Seconds, Tls, Url
from orchestrator.model.target import Target


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
    url: Annotated[
        Url, Meta(description="Base address: http or https, without user information, query and fragment.")
    ]
    auth: Annotated[Auth, Meta(description="Where the credential is found; never the credential itself.")]
    limits: Annotated[Limits, Meta(description="How hard the gateway may be used.")] = Limits()
    retry: Annotated[Retry, Meta(description="How a target is repeated.")] = Retry()
    look: Annotated[
        Literal["doubt", "always"],
        Meta(description="doubt: only where a reply leaves doubt. always: before and after each target."),
    ] = "doubt"
    absent: Annotated[
        Literal["fail", "ok"],
        Meta(description="fail: a target that does not exist has failed. ok: it is already undeployed."),
    ] = "fail"
    timeout: Annotated[Seconds | None, Meta(description="How long one reply may take.")] = None
    park_for: Annotated[
        Seconds,
        Meta(
            description="How long it is probed while it is ill, before its targets are left; 10m if not"
            " given."
        ),
    ] = 600.0
    tls: Annotated[Tls, Meta(description="What an https gateway is trusted by, and what we show it.")] = Tls()
    proxy: Annotated[
        ProxyUrl | None,
        Meta(description="The proxy to go through; HTTPS_PROXY, HTTP_PROXY and NO_PROXY if not given."),
    ] = None

    KIND: ClassVar[str]
    AUTH: ClassVar[frozenset[str]]
    """The keys of ``auth`` that this kind knows."""
    COORDINATES: ClassVar[tuple[Coordinate, ...]]
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    """Which of ``description`` and ``persistent`` a target of this kind may have."""
    LISTS: ClassVar[bool] = False
    """Whether this kind can list its targets with their state."""
    SIBLINGS: ClassVar[Operation | None] = None
    """The read of a target that says where else its proxy, or the like (``exclusive``), is deployed."""
    LOOKS: ClassVar[tuple[Operation, ...]]
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

    def request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        """Say what to send at ``now`` (Unix seconds, which a signature holds).

        ``note`` is for the vendor's history record, where the target has no text of its own.
        """
        raise NotImplementedError

    def list_request(self, offset: int, access: Access, *, now: float) -> Request:
        """Say how to get the page of the list that begins behind ``offset`` entries."""
        raise NotImplementedError

    def read_list(self, reply: Reply) -> StatePage | Reading:
        """Say what a reply to that means: a page; or BUSY, DENIED, NOT_OFFERED or UNCLEAR."""
        raise NotImplementedError

    def catalog(self, wanted: TargetFilter) -> SearchQuery:
        """Say what to ask first to learn which of its targets are deployed and ``wanted``."""
        raise NotImplementedError

    def greeting(self) -> HealthCheck:
        """Say how to find out, without any credential, whether such a gateway answers at all."""
        raise NotImplementedError

    def checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:
        """Say which reads show that the credential is accepted, and which version answers.

        The first one is of the version that the plan means. ``now`` as in ``request``.
        """
        raise NotImplementedError

    def dialect(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:
        """Say what the checks that were ``answered``, by name, and the looks that are offered amount to.

        ``looks`` holds, by ``via``, only those of which it is known.
        """
        raise NotImplementedError

    def login(self, password: Secret) -> Request:
        """Say how to get a token for the password of ``auth``'s ``iam`` or ``login``."""
        raise NotImplementedError

    def read_login(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Say what a reply to a login means. Never raises, whatever the bytes."""
        raise NotImplementedError

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Say what a reply means. Never raises, whatever the bytes."""
        raise NotImplementedError

    def next_snapshot_read(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read that a snapshot needs, or what the reads so far amount to.

        ``seen`` and ``lacking`` are as in ``next_look``; a read that failed is in ``seen`` with its reading.
        A kind that knows no more than its looks keeps nothing that a restore could go by.
        """
        found = self.next_look(target, seen, lacking, None)
        if isinstance(found, Operation):
            return found
        return Snapshot(
            verdict=found.verdict,
            code=found.code,
            message=found.message,
            hidden=found.hidden,
            facts=found.facts or LookFacts(),
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
    ) -> Operation | Reading:
        """As ``next_look``, where the question is whether a target is deployed in full."""
        return self.next_look(target, seen, lacking, about)

    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return the next read that a look needs, or what the reads so far amount to.

        That is UP, DOWN, ABSENT, PARTIAL, UNCLEAR or NOT_OFFERED. ``seen`` holds the readings of this look by
        ``via``; ``lacking`` the reads that this gateway does not offer; ``about`` is the reading of the
        undeploy that left the doubt, None where there was none.
        """
        raise NotImplementedError
