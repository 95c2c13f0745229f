"""The features that a kind of gateway may offer beside undeploys and looks: one protocol each.

A kind gives each feature as a property of its ``Gateway``; a feature that it lacks is ``None`` there. Every
method is pure: no clock, no network, no chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from orchestrator.model.credentials import (
    Access,
    LoginGranted,
    LoginRejected,
    LoginUnclear,
    Secret,
)
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import (
    ApiVersion,
    Completeness,
    HealthCheck,
    ListPage,
    Operation,
    Reading,
    Snapshot,
)
from orchestrator.model.search import SearchQuery, TargetFilter
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage


class RowsByTarget(Protocol):
    """The rows of one list, by the parts of a target."""

    def get(self, parts: tuple[str, ...], default: Sequence[Any], /) -> Sequence[Any]:
        """Return the rows of a target; the default if the list does not name it."""
        ...


ListRows: TypeAlias = Mapping[str, RowsByTarget]
"""The rows of lists, by the name of a list."""


class PagedLists(Protocol):
    """Lists that are read page by page."""

    @property
    def has_pages(self) -> bool:
        """Whether the lists come in pages of the size that is asked for, and not each as a whole."""
        ...

    @property
    def page_size(self) -> int:
        """Most entries that one page names."""
        ...

    def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
        """Build the request for ``size`` entries of a list behind ``offset`` others; ``now`` in Unix seconds.

        The request says how large a body is read (``Request.largest``).
        """
        ...

    def read(self, name: str, reply: Reply, earlier: ListRows | None) -> ListPage | Reading:
        """Read a page; or BUSY, DENIED, NOT_OFFERED or UNCLEAR. Never raises, whatever the bytes.

        ``earlier`` holds the lists before this one in ``names``, as far as they could be read: a row need not
        keep what they make needless. It is None where only looks want the list: then a row is one of few
        that tell states (under 16), since the list may name a million targets.
        """
        ...


class ListFeature(PagedLists, Protocol):
    """The gateway lists many targets a page, and so spares the single reads of each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the lists, in the order in which they are read."""
        ...

    @property
    def state_names(self) -> tuple[str, ...]:
        """The lists that tell whether a target is deployed: a look needs no others, a snapshot needs all.

        Where these are all lists, none has rows that tell more than states.
        """
        ...

    @property
    def tells_deployments(self) -> bool:
        """Whether the lists tell which deployment is live, so that a run may be held to what they said."""
        ...

    @property
    def omission(self) -> str | None:
        """Why the lists may leave out a target that exists, as a clause; None where they often do."""
        ...

    def read_target(self, target: Target, rows: Mapping[str, Sequence[Any]]) -> Mapping[str, Reading]:
        """Return the readings, by ``via``, that the rows of a target stand for: ``seen`` of its next reads.

        A list that was not read has no key; one that leaves the target out has an empty sequence. Rows that
        contradict each other stand for no reading, so that the target is read alone.
        """
        ...


class BindingPlace(NamedTuple):
    """One place where things may be bound: the name of their type, and the place among those of the type."""

    name: str
    parts: tuple[str, ...]


class BindingFeature(Protocol):
    """The gateway tells bindings from the other side, too: each thing, and all places where it is bound.

    The things are few and the targets many, so that side may cost fewer requests.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the types of things that can be bound."""
        ...

    @property
    def page_size(self) -> int:
        """Most entries that one page names."""
        ...

    def find_place(self, operation: Operation) -> BindingPlace | None:
        """Return the place whose bindings an operation begins to read; None for any other operation."""
        ...

    def list_reads(self, place: tuple[str, ...]) -> Sequence[tuple[str, str]]:
        """Return for each type its name, and the ``via`` of the read that begins to read it at this place."""
        ...

    def describe_owners(self, name: str) -> str:
        """Return the words for all things of a type: ``applications``."""
        ...

    def describe_owner(self, name: str, owner: tuple[str, ...], row: Any) -> str:
        """Return the words for the places where one thing is bound; ``row`` is its row in the list."""
        ...

    def build_owners(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
        """Build the request for one page of the things of a type; as ``ListFeature.build_request``."""
        ...

    def read_owners(self, name: str, reply: Reply) -> ListPage | Reading:
        """Read that page: for each thing its id, as the parts, and a row. Never raises."""
        ...

    def build_places(
        self, name: str, owner: tuple[str, ...], offset: int, size: int, access: Access, *, now: float
    ) -> Request:
        """Build the request for one page of the places where a thing is bound."""
        ...

    def read_places(self, name: str, owner: tuple[str, ...], row: Any, reply: Reply) -> ListPage | Reading:
        """Read that page: for each place its parts, and a compact row of bytes. Never raises."""
        ...

    def read_place(self, rows: Sequence[Any]) -> Reading:
        """Return the reading that the read of a place alone would give, where these rows are bound."""
        ...

    def covers(self, rows: Sequence[Any], alone: Reading) -> bool:
        """Return whether the rows of a place hold all that the read of that place alone has shown."""
        ...


class LoginFeature(Protocol):
    """A password is exchanged for a token."""

    def build_request(self, password: Secret) -> Request:
        """Build the login. Raises ``ValueError`` for a name or a password that cannot be sent."""
        ...

    def read(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Read the reply to a login. Never raises, whatever the bytes."""
        ...


class RestoreFeature(Protocol):
    """A target can be deployed again as it was."""

    def next_snapshot_read(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read that a snapshot needs, or the snapshot that the reads so far amount to.

        ``seen`` and ``lacking`` are as in ``Gateway.next_look``; a read that failed is in ``seen`` with its
        reading. The snapshot has no bindings yet.
        """
        ...

    def next_binding_read(
        self, found: Snapshot, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read of what hangs on a target, or its snapshot ``found`` with all of that.

        ``seen`` and ``lacking`` are as in ``next_snapshot_read``, and hold what that has read. A target on
        which nothing can hang wants no read.
        """
        ...

    def next_proof(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return the next read, or whether a target is deployed in full; as ``Gateway.next_look``."""
        ...

    def next_completion(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Completeness | Reading:
        """Return the next read of a target that is deployed, or what it still lacks; or why none can tell.

        ``seen`` and ``lacking`` are as in ``Gateway.next_look``, with TOLD for each read that was answered:
        without ``kept`` the thing that was asked for does not exist. ``about`` is the reading of the deploy,
        None if this session has sent none. A target of which the deploy brings back all wants no read.
        """
        ...

    def adapt_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot out of a journal as a restore takes it in; an earlier version may have kept it.

        Its obstacles name all that the restore will not bring back, and its front ends are those that come
        back.
        """
        ...

    def pin_revision(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot so that its deploy brings back the very revision that it saw.

        Unchanged where the vendor keeps no revisions. Where this one is not known, the snapshot has an
        obstacle that says so.
        """
        ...


class HealthFeature(Protocol):
    """The gateway as a whole tells how it is: ``undeploy doctor`` asks."""

    def build_greeting(self) -> HealthCheck:
        """Build the check that shows, without any credential, whether such a gateway answers at all."""
        ...

    def build_checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:
        """Build the reads that show whether the credential is accepted, and which version answers.

        The first check is of the version that the plan means. ``now`` in Unix seconds.
        """
        ...

    def describe_version(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:
        """Return the version, by the names of the checks that were ``answered`` and the looks on offer.

        ``looks`` holds, by ``via``, only the looks of which it is known whether they are offered.
        """
        ...


class SearchFeature(Protocol):
    """The gateway lists what is deployed: ``undeploy discover`` asks."""

    @property
    def filters(self) -> Mapping[str, frozenset[str]]:
        """The filters that choose targets, with the values that each one knows; none means any text."""
        ...

    def start(self, wanted: TargetFilter) -> SearchQuery:
        """Return the first query; the replies to it and to its successors name the wanted targets."""
        ...


class SiblingFeature(Protocol):
    """One read tells where else a target's proxy, or the like, is deployed."""

    @property
    def operation(self) -> Operation:
        """The read to send for a target."""
        ...

    def read(self, target: Target, reply: Reply) -> frozenset[str] | None:
        """Return the last parts of the ids of the deployed siblings; ``None`` if the reply does not tell."""
        ...


class SharedUsageRead(Struct, frozen=True):
    """One read that tells of the use of many targets."""

    name: str
    """As people read it: ``statistics of the instance``. A further page has a name of its own."""
    build: Callable[[Access, float], Request]
    """Builds the request from a credential and the Unix time."""
    read: Callable[[Reply], Any]
    """Returns what the reply tells, in the kind's own form; or a ``Reading`` of a fault. Never raises."""
    of_store: bool = False
    """The read goes to the gateway's traffic store; it is built from the value of its ``Authorization``
    header, a ``Secret`` that is empty where the store wants none."""
    is_alone: bool = False
    """Its fault is told as a ``Reading``, and the other reads are believed without it."""
    tells_calls: bool = True
    """Without it the calls of some targets are not told; else it tells only who may call."""


class GroupMembership(NamedTuple):
    """A deployed group of things that are served together, and the targets that belong to it."""

    name: str
    targets: tuple[Target, ...]
    is_sure: bool
    """False: they may belong to it; the gateway does not tell."""


class GroupFeature(Protocol):
    """Things of the gateway may be served once more as members of a group, which its own undeploy ends."""

    def next_read(self, told: Mapping[str, Any], targets: Sequence[Target]) -> SharedUsageRead | None:
        """Return the next read about the groups of these targets; None where none is left.

        ``told`` has by name what the reads so far gave; of a read that could not be had its ``Reading``.
        """
        ...

    def list_memberships(
        self, told: Mapping[str, Any], targets: Sequence[Target]
    ) -> Sequence[GroupMembership]:
        """Return the deployed groups that these targets belong to, or may belong to, by the reads."""
        ...


class StoreCheck(NamedTuple):
    """A read of the traffic store, and the words for what it tells."""

    read: SharedUsageRead
    describe: Callable[[Any, float], str]
    """Returns the words for what the read told, as of a Unix time."""


class UsageFeature(Protocol):
    """The gateway tells how often its targets are called, and who may call."""

    def next_shared_read(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        """Return the next read about many targets; None where none is left.

        ``told`` has by name what the reads so far gave; of a read that could not be had its ``Reading``.
        """
        ...

    def next_read(
        self,
        target: Target,
        snapshot: Snapshot | None,
        told: Mapping[str, Any],
        seen: Mapping[str, Reading],
        lacking: Mapping[str, str],
        hours: int,
    ) -> Operation | Usage:
        """Return the next read of one target, or its use in the last ``hours`` as far as it can be told.

        ``snapshot`` is of the target as it is now, None where it could not be read; ``told`` is as in
        ``next_shared_read``. ``seen`` holds the readings of this target by ``via``. ``lacking`` says, by the
        first part of a ``via``, why such a read is not offered.
        """
        ...
