"""One gateway: its settings, and the questions that the engine asks of its kind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.model.abstract import AbstractStructMeta
from orchestrator.model.credentials import Access
from orchestrator.model.features import (
    BindingFeature,
    GroupFeature,
    HealthFeature,
    ListFeature,
    LoginFeature,
    RestoreFeature,
    SearchFeature,
    SiblingFeature,
    StoreCheck,
    UsageFeature,
)
from orchestrator.model.http import Reply, Request
from orchestrator.model.obstacles import MISSING_HISTORY, Obstacle
from orchestrator.model.reading import Completeness, LookFacts, Operation, Reading, Snapshot
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    Limits,
    ProxyUrl,
    Retry,
    Seconds,
    Tls,
    Url,
)
from orchestrator.model.target import Target
from orchestrator.model.text_form import TextForm

GATEWAY_NAME = TextForm(
    pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}",
    noun="a name for a gateway",
    words="write 1 to 64 of A to Z, a to z, 0 to 9, _, - and .; begin with neither - nor .",
)
"""It stands first in the ids of the gateway's targets, which people type."""

ZONE_NAME = replace(GATEWAY_NAME, noun="the name of a zone")
"""It becomes a part of the name of a task queue."""

DEFAULT_ZONE = "default"
"""The zone of a gateway that names none."""


class Coordinate(Struct, frozen=True, kw_only=True):
    """One part of a target's id: its key in the plan, the key of its list form, and what it may be."""

    name: str
    plural: str
    form: TextForm | None = None
    """Its form, where a program made it; ``None`` is any text that may be a name in an address."""
    doc: str = ""
    examples: tuple[str, ...] = ()
    """Values of it, for editors."""


class Gateway(Struct, frozen=True, kw_only=True, tag_field="kind", metaclass=AbstractStructMeta):
    """One gateway: its settings in a plan, and the answers of its kind, which adds its own plan keys.

    A kind must give the abstract answers: how a target is undeployed and looked at. Each further feature is a
    property that is ``None`` unless the kind offers the feature. Every method is pure: no clock, no network,
    no chance.

    ``concurrency`` and ``timeout`` have defaults that differ by kind; read them through the properties.
    """

    name: str
    url: Annotated[
        Url,
        Meta(
            description="Base address: http or https, without user information, query and fragment.",
            examples=["https://apim.example.com"],
        ),
    ]
    auth: Annotated[
        Auth,
        Meta(
            description="Where the credential is found; never the credential itself.",
            examples=[{"token": {"env": "GATEWAY_TOKEN"}}],
        ),
    ]
    limits: Annotated[
        Limits,
        Meta(description="How hard the gateway may be used.", examples=[{"concurrency": 8, "rate": "20/s"}]),
    ] = Limits()
    retry: Annotated[
        Retry,
        Meta(
            description="How a target is repeated.",
            examples=[{"attempts": 5, "first": "0.5s", "ceiling": "30s"}],
        ),
    ] = Retry()
    look: Annotated[
        Literal["doubt", "always"],
        Meta(
            description="doubt: only where a reply leaves doubt. always: before and after each target.",
            examples=["always"],
        ),
    ] = "doubt"
    absent: Annotated[
        Literal["fail", "ok"],
        Meta(
            description="fail: a target that does not exist has failed. ok: it is already undeployed.",
            examples=["ok"],
        ),
    ] = "fail"
    timeout: Annotated[Seconds | None, Meta(description="How long one reply may take.", examples=["30s"])] = (
        None
    )
    # Without a bound a dead gateway would keep a run alive for ever.
    park_for: Annotated[
        Seconds,
        Meta(
            description="How long it is probed while it is ill, before its targets are left; 10m if not"
            " given.",
            examples=["10m"],
        ),
    ] = 600.0
    zone: Annotated[
        Annotated[str, ZONE_NAME.meta],
        Meta(
            description="The network zone whose worker reaches it in a run on a distributed engine;"
            " default if not given.",
            examples=["east"],
        ),
    ] = DEFAULT_ZONE
    tls: Annotated[
        Tls,
        Meta(
            description="What an https gateway is trusted by, and what we show it.",
            examples=[{"ca_file": "corp-ca.pem"}],
        ),
    ] = Tls()
    proxy: Annotated[
        ProxyUrl | None,
        Meta(
            description="The proxy to go through; HTTPS_PROXY, HTTP_PROXY and NO_PROXY if not given.",
            examples=["http://proxy.example.com:3128"],
        ),
    ] = None

    KIND: ClassVar[str]
    AUTH: ClassVar[frozenset[str]]
    """The keys of ``auth`` that this kind knows."""
    COORDINATES: ClassVar[tuple[Coordinate, ...]]
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    """The ones of ``description`` and ``persistent`` that a target of this kind may have."""
    LOOKS: ClassVar[tuple[Operation, ...]]
    """Every read of a target's live state that some version of this kind offers."""
    EVIDENCE: ClassVar[str]
    """The word by which reports name the vendor's own proof of an undeploy."""
    OBSTACLES: ClassVar[tuple[Obstacle, ...]] = (MISSING_HISTORY,)
    """Why a restore may not bring back exactly what was there."""
    API_PATH: ClassVar[str] = ""
    """An expression of how the paths of this kind's requests begin: hardly a base address ends so."""
    CONCURRENCY: ClassVar[int]
    TIMEOUT: ClassVar[float]
    EXPERIMENTAL: ClassVar[bool] = False
    """Whether the kind was written from the vendor's pages alone, and its keys may still change."""

    @property
    def concurrency(self) -> int:
        """Most requests in flight to this gateway."""
        return self.limits.concurrency or self.CONCURRENCY

    @property
    def reply_timeout(self) -> float:
        """Longest time for one reply, in seconds."""
        return self.timeout or self.TIMEOUT

    # The answers that every kind gives: its place, the request for a target, the meaning of a reply.

    @property
    @abstractmethod
    def installation(self) -> str:
        """The place that this entry names: two entries with equal texts have the same targets."""

    @abstractmethod
    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        """Build the request to send at ``now`` (Unix seconds, which a signature holds).

        ``note`` is for the vendor's history record, where the target has no text of its own. Raises
        ``ValueError`` for an operation that this kind does not know, and for a target whose address would
        name something else.
        """

    @abstractmethod
    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Return the meaning of a reply. Never raises, whatever the bytes."""

    @abstractmethod
    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return the next read that a look needs, or the reading that the reads so far amount to.

        That reading is UP, DOWN, ABSENT, PARTIAL, UNCLEAR or NOT_OFFERED. ``seen`` holds the readings of this
        look by ``via``; ``lacking`` the reads that this gateway does not offer; ``about`` is the reading of
        the undeploy that left the doubt, None where there was none.
        """

    # Answers that a kind may replace.

    def exclusive_key(self, target: Target) -> str | None:  # noqa: ARG002
        """Return a key: targets that share one never run at the same moment. None shares with nobody."""
        return None

    def list_aliases(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ARG002
        """Yield the parts of each other target that the address of this one may come to name.

        A server or a proxy on the way may decode an address once more than it was encoded. A kind whose ids
        stay the same, however often decoded, has no aliases.
        """
        return iter(())

    def move_to(self, url: Url) -> Self:
        """Return the same gateway at another address, which is also where its logins go."""
        return replace(self, url=url)

    # The features, each None unless the kind offers it: so the type checker makes every caller say what
    # happens without one.

    @property
    def listing(self) -> ListFeature | None:
        """The list that tells the state of many targets in one request."""
        return None

    @property
    def bindings(self) -> BindingFeature | None:
        """What is bound to the targets, from the side of the things that are bound."""
        return None

    @property
    def login(self) -> LoginFeature | None:
        """The login that turns a password into a token; None too if this plan's ``auth`` has no password."""
        return None

    @property
    def restore(self) -> RestoreFeature:
        """The way back of a target. By default a snapshot keeps the facts of a look, and no deploy."""
        # Never None: a snapshot is read before each undeploy, whatever the kind.
        return LookOnlyRestore(self)

    @property
    def health(self) -> HealthFeature | None:
        """The checks that tell how the gateway as a whole is."""
        return None

    @property
    def search(self) -> SearchFeature | None:
        """The search that finds deployed targets without their ids."""
        return None

    @property
    def traffic(self) -> UsageFeature | None:
        """The reads that tell how often targets are called, and who may call."""
        return None

    @property
    def tells_calls(self) -> bool:
        """Whether the traffic feature may tell how often targets are called, and not only who may call."""
        return self.traffic is not None

    @property
    def traffic_store(self) -> ElasticsearchStore | None:
        """The place beside the gateway that its traffic is read from; None where there is none."""
        return None

    @property
    def store_check(self) -> StoreCheck | None:
        """The read that shows whether the traffic store can be asked; None without such a store."""
        return None

    @property
    def references(self) -> Iterator[CredentialReference]:
        """The references of all credentials of this entry, with those of its traffic store."""
        yield from self.auth.references
        if self.traffic_store is not None:
            yield from self.traffic_store.references

    @property
    def groups(self) -> GroupFeature | None:
        """The reads that tell which targets are served once more as members of a group."""
        return None

    @property
    def siblings(self) -> SiblingFeature | None:
        """The read that tells where else a target's proxy, or the like, is deployed."""
        return None


class LookOnlyRestore(Struct, frozen=True):
    """The restore feature of a kind that has looks and nothing else: its snapshots bring nothing back."""

    gateway: Gateway

    def next_snapshot_read(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read of a look, or its facts with the obstacle of a missing history."""
        found = self.gateway.next_look(target, seen, lacking, None)
        if isinstance(found, Operation):
            return found
        return Snapshot(
            verdict=found.verdict,
            code=found.code,
            message=found.message,
            hidden=found.hidden,
            facts=found.facts or LookFacts(),
            obstacles=(MISSING_HISTORY.word,),
        )

    def next_binding_read(
        self,
        found: Snapshot,
        seen: Mapping[str, Reading],  # noqa: ARG002
        lacking: frozenset[str],  # noqa: ARG002
    ) -> Operation | Snapshot:
        """Return the snapshot unchanged: such a kind knows no bindings."""
        return found

    def next_proof(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return what a look returns: such a kind has no stronger proof."""
        return self.gateway.next_look(target, seen, lacking, about)

    def next_completion(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],  # noqa: ARG002
        lacking: frozenset[str],  # noqa: ARG002
        about: Reading | None,  # noqa: ARG002
    ) -> Operation | Completeness | Reading:
        """Return that nothing is missing: a deploy of such a kind brings back all there was."""
        return Completeness()

    def adapt_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot unchanged: this kind kept it always in the same way."""
        return snapshot

    def pin_revision(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot unchanged: it holds no deploy."""
        return snapshot
