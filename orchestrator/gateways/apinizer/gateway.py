"""Apinizer's Management API (APIOps): its keys in a plan, its targets, and the features that it offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from msgspec import Meta
from msgspec.structs import replace

from orchestrator.gateways.apinizer.looks import ProxySiblings, next_look, read_look
from orchestrator.gateways.apinizer.replies import FULL_EVIDENCE, read_rollback, read_undeploy
from orchestrator.gateways.apinizer.requests import LOOK_PATHS, ApinizerRequests
from orchestrator.gateways.apinizer.snapshot import ApinizerRestore, find_revision
from orchestrator.gateways.text import encode_segment
from orchestrator.model.credentials import Access
from orchestrator.model.features import StoreCheck
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.obstacles import MISSING_HISTORY, UNPUBLISHED_EDITS, Obstacle
from orchestrator.model.reading import Act, Operation, Reading
from orchestrator.model.settings import ElasticsearchStore, Url, UsageSources
from orchestrator.model.target import Target
from orchestrator.text.names import decode_repeatedly, split_path, to_nfc
from orchestrator.text.urls import normalize_url

if TYPE_CHECKING:  # `check` uses none of these features, and their modules delay its start
    from orchestrator.gateways.apinizer.groups import ApinizerGroups
    from orchestrator.gateways.apinizer.health import ApinizerHealth
    from orchestrator.gateways.apinizer.listing import ApinizerListing
    from orchestrator.gateways.apinizer.login import ApinizerLoginFeature
    from orchestrator.gateways.apinizer.search import ApinizerSearch
    from orchestrator.gateways.apinizer.usage import ApinizerUsage

_PIECES = 5
"""Of the address of one proxy in one environment, behind ``projects/``."""


class Apinizer(Gateway, frozen=True, kw_only=True, tag="apinizer"):
    """One Apinizer manager. Its targets are API proxies, each in one environment.

    ``url`` is the manager's address, without ``/apiops``.
    """

    usage: Annotated[
        UsageSources | None,
        Meta(
            description="What tells how often the proxies are called.",
            examples=[
                {
                    "elasticsearch": {
                        "url": "https://elastic.example.com:9200",
                        "index": "apinizer-log-apiproxy-*",
                    }
                }
            ],
        ),
    ] = None

    KIND: ClassVar[str] = "apinizer"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(
            name="project",
            plural="",
            doc="Name of the project, as the manager writes it.",
            examples=("Retail",),
        ),
        Coordinate(
            name="proxy",
            plural="proxies",
            doc="Name of the API proxy; case counts.",
            examples=("petstore-api",),
        ),
        Coordinate(
            name="environment",
            plural="environments",
            doc="Name of the environment; case counts.",
            examples=("test",),
        ),
    )
    OPTIONS: ClassVar[tuple[str, ...]] = ("description", "persistent")
    AUTH: ClassVar[frozenset[str]] = frozenset({"token", "login"})
    LOOKS: ClassVar[tuple[Operation, ...]] = tuple(LOOK_PATHS)
    OBSTACLES: ClassVar[tuple[Obstacle, ...]] = (UNPUBLISHED_EDITS, MISSING_HISTORY)
    EVIDENCE: ClassVar[str] = FULL_EVIDENCE
    API_PATH: ClassVar[str] = "/apiops"
    # The manager replies only when its pods are done, and it may give them 120 s.
    CONCURRENCY: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 150.0

    @property
    def installation(self) -> str:
        """The place of the manager, by its address."""
        return f"{self.KIND} {normalize_url(self.url)}"

    @property
    def _requests(self) -> ApinizerRequests:
        return ApinizerRequests(self.url)

    def list_aliases(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the targets that the address may name once a proxy on the way has decoded it.

        ``Pay%6dents`` and ``Payments;x`` are ``Payments`` then, and the text behind ``?`` or ``#`` is lost.
        """
        project, proxy, environment = parts
        path = f"{project}/apiProxies/{proxy}/environments/{environment}"
        for read in decode_repeatedly(path):
            for pieces in (tuple(read.split("/")), split_path(read)):
                if len(pieces) == _PIECES and (pieces[1], pieces[3]) == ("apiProxies", "environments"):
                    yield pieces[0], pieces[2], pieces[4]

    def exclusive_key(self, target: Target) -> str | None:
        """Return the proxy: deployments and the revision counter belong to it, so its environments take
        turns."""
        project, proxy, _ = map(to_nfc, target.parts)
        return f"{encode_segment(project)}/{encode_segment(proxy)}"

    def build_request(
        self,
        operation: Operation,
        target: Target,
        access: Access,
        *,
        note: str | None,
        now: float,  # noqa: ARG002 - a token holds no time
    ) -> Request:
        """Build a request. Raises ``ValueError`` for an unknown look, and for a name that would vanish."""
        return self._requests.build(operation, target, access, note)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Read a reply. The status alone proves nothing."""
        if operation.act is Act.LOOK:
            return read_look(operation.via, target, reply)
        if operation.act is Act.DEPLOY and find_revision(target.deploy) is not None:
            return read_rollback(target, reply)
        return read_undeploy(target, reply)

    def next_look(
        self,
        target: Target,
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,
    ) -> Operation | Reading:
        """Return the next read of a look: the manager's word first, then that of the pods."""
        # The snapshot may have heard from more pods than the reply named.
        if about is not None and about.pod_count < target.pods:
            about = replace(about, pod_count=target.pods)
        return next_look(seen, lacking, about)

    def move_to(self, url: Url) -> Self:
        """Return the same manager at another address; its traffic log is then there too, and open to all."""
        if self.usage is None:
            return replace(self, url=url)
        store = ElasticsearchStore(url=url, index=self.usage.elasticsearch.index)
        return replace(self, url=url, usage=replace(self.usage, elasticsearch=store))

    @property
    def listing(self) -> ApinizerListing:
        """The administrator's report, where the token's user has that role."""
        from orchestrator.gateways.apinizer.listing import ApinizerListing  # noqa: PLC0415 - see above

        return ApinizerListing(self._requests)

    @property
    def login(self) -> ApinizerLoginFeature | None:
        """The login of the plan's user at the manager."""
        from orchestrator.gateways.apinizer.login import ApinizerLoginFeature  # noqa: PLC0415 - see above

        return None if self.auth.login is None else ApinizerLoginFeature(self.url, self.auth.login.user)

    @property
    def restore(self) -> ApinizerRestore:
        """The manager's record and what its pods serve; a deploy publishes the present definition."""
        # `look: always` buys certainty with requests: then the pods are asked before the undeploy, too.
        return ApinizerRestore(asks_pods=self.look == "always")

    @property
    def health(self) -> ApinizerHealth:
        """The manager's own connection tests."""
        from orchestrator.gateways.apinizer.health import ApinizerHealth  # noqa: PLC0415 - see above

        return ApinizerHealth(self._requests)

    @property
    def search(self) -> ApinizerSearch:
        """The administrator's report, or the projects one by one."""
        from orchestrator.gateways.apinizer.search import ApinizerSearch  # noqa: PLC0415 - see above

        return ApinizerSearch(self._requests)

    @property
    def siblings(self) -> ProxySiblings:
        """The other environments of the same proxy."""
        return ProxySiblings()

    @property
    def traffic_store(self) -> ElasticsearchStore | None:
        """The customer's Elasticsearch: the manager itself counts no calls."""
        return None if self.usage is None else self.usage.elasticsearch

    @property
    def traffic(self) -> ApinizerUsage:
        """The customer's traffic log, and the report of who may call."""
        from orchestrator.gateways.apinizer.usage import ApinizerUsage  # noqa: PLC0415 - see above

        return ApinizerUsage(self._requests, self.traffic_store)

    @property
    def tells_calls(self) -> bool:
        """Whether the plan names a traffic log."""
        return self.traffic_store is not None

    @property
    def store_check(self) -> StoreCheck | None:
        """The search for the first and the last time of the traffic log."""
        return self.traffic.make_check()

    @property
    def groups(self) -> ApinizerGroups:
        """The groups of proxies, by the administrator's report or the projects' lists."""
        from orchestrator.gateways.apinizer.groups import ApinizerGroups  # noqa: PLC0415 - see above

        return ApinizerGroups(self._requests)
