"""Huawei Cloud ROMA Connect (APIC): its keys in a plan, its targets, and the features that it offers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from msgspec import Meta
from msgspec.structs import replace

from orchestrator.gateways.roma import replies
from orchestrator.gateways.roma.binding_types import decode_bound_read, decode_create
from orchestrator.gateways.roma.completion import read_deploy, read_publication
from orchestrator.gateways.roma.requests import (
    ID,
    SHOW,
    STATISTICS,
    RomaRequests,
    decode_publish,
    decode_statistics,
)
from orchestrator.gateways.roma.snapshot import OBSTACLES, RomaRestore, next_look
from orchestrator.model.credentials import Access
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.obstacles import Obstacle
from orchestrator.model.reading import Act, Operation, Reading
from orchestrator.model.settings import Url
from orchestrator.model.target import Target
from orchestrator.text.urls import normalize_url

if TYPE_CHECKING:  # `check` uses none of these features, and their modules delay its start
    from orchestrator.gateways.roma.binding_lists import RomaBindings
    from orchestrator.gateways.roma.health import RomaHealth
    from orchestrator.gateways.roma.listing import RomaListing
    from orchestrator.gateways.roma.login import RomaLoginFeature
    from orchestrator.gateways.roma.search import RomaSearch
    from orchestrator.gateways.roma.usage import RomaUsage


class Roma(Gateway, frozen=True, kw_only=True, dict=True, tag="roma"):
    """One ROMA Connect instance. Its targets are backend ("livedata") APIs.

    An undeploy also deletes the front-end API that was published for the backend.
    """

    project_id: Annotated[
        Annotated[str, ID.meta],
        Meta(
            description="The project (tenant of one region) that holds the instance.",
            examples=["0123456789abcdef0123456789abcdef"],
        ),
    ]
    instance_id: Annotated[
        Annotated[str, ID.meta],
        Meta(
            description="The ROMA Connect instance.",
            examples=["f0fa1789-3b76-433b-a787-9892951c620e"],
        ),
    ]
    api_version: Annotated[
        Literal["v1", "v2"],
        Meta(
            description="Version of the APIs that are called: v1 has the id in the body, v2 in the path.",
            examples=["v2"],
        ),
    ] = "v1"

    KIND: ClassVar[str] = "roma"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(
            name="ld_api_id",
            plural="ld_api_ids",
            form=ID,
            doc="Id of the backend API to take offline.",
            examples=("bd42841c20184da6bbf457c6d8a06e37",),
        ),
    )
    AUTH: ClassVar[frozenset[str]] = frozenset({"token", "iam", "access_key", "secret_key", "security_token"})
    LOOKS: ClassVar[tuple[Operation, ...]] = (SHOW,)
    OBSTACLES: ClassVar[tuple[Obstacle, ...]] = OBSTACLES
    EVIDENCE: ClassVar[str] = replies.FULL_EVIDENCE
    API_PATH: ClassVar[str] = "/v[12]"
    CONCURRENCY: ClassVar[int] = 8
    TIMEOUT: ClassVar[float] = 30.0

    @property
    def installation(self) -> str:
        """The place of the instance: both versions of the API lead to the same one."""
        return f"{self.KIND} {normalize_url(self.url)} {self.project_id} {self.instance_id}"

    @cached_property
    def _requests(self) -> RomaRequests:
        return RomaRequests(
            url=self.url,
            version=self.api_version,
            project_id=self.project_id,
            instance_id=self.instance_id,
        )

    def build_request(
        self,
        operation: Operation,
        target: Target,
        access: Access,
        *,
        note: str | None,  # noqa: ARG002 - ROMA keeps no history record
        now: float,
    ) -> Request:
        """Build a request. Raises ``ValueError`` for an unknown look, and for an id that is none."""
        return self._requests.build(operation, target, access, now)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Read a reply. Only 204 is a success, and for a deploy or a publish one with its record."""
        if operation.act is Act.UNDEPLOY and reply.status == 204:  # the reply of nearly every target
            return replies.UNDEPLOYED
        api = target.parts[0]
        if operation.act is Act.LOOK and operation.via.startswith(f"{STATISTICS}/"):
            return self._read_statistics(operation, reply)
        if (found := self._read_binding(operation, reply)) is not None:
            return found
        if operation.act is Act.LOOK:
            return replies.read_look(operation.via, api, reply)
        if operation.act is Act.PUBLISH:
            return self._read_publish(operation, reply)
        if operation.act is Act.DEPLOY:
            return self._read_deploy(api, reply)
        return replies.read_refusal(reply, self.api_version, api)

    def _read_binding(self, operation: Operation, reply: Reply) -> Reading | None:
        """Read the reply to a read or a create of bindings; None for any other operation."""
        bound = decode_bound_read(operation.via) if operation.act is Act.LOOK else None
        if bound is None and operation.act is not Act.BIND:
            return None
        from orchestrator.gateways.roma import binding_replies  # noqa: PLC0415 - see above

        if bound is not None:
            return binding_replies.read_bound(bound, reply)
        return binding_replies.read_create(decode_create(operation), reply, self.api_version)

    def _read_statistics(self, operation: Operation, reply: Reply) -> Reading:
        from orchestrator.gateways.roma.statistics import read_front_statistics  # noqa: PLC0415 - see above

        return read_front_statistics(*decode_statistics(operation.via.partition("/")[2]), reply)

    def _read_deploy(self, api: str, reply: Reply) -> Reading:
        if reply.status == 200:
            return read_deploy(api, reply)
        return replies.read_refused_deploy(reply, self.api_version, api)

    def _read_publish(self, operation: Operation, reply: Reply) -> Reading:
        if reply.status in (200, 201):  # the reference says 201
            return read_publication(*decode_publish(operation), reply)
        return replies.read_refused_publish(reply, self.api_version)

    def next_look(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,  # noqa: ARG002
    ) -> Operation | Reading:
        """Return ``show``, the only look there is, or its reading."""
        return next_look(seen, lacking)

    def move_to(self, url: Url) -> Self:
        """Return the same instance at another address; its IAM is then there too."""
        auth = self.auth
        if auth.iam is not None:
            auth = replace(auth, iam=replace(auth.iam, url=url))
        return replace(self, url=url, auth=auth)

    @property
    def listing(self) -> RomaListing:
        """The list of backend APIs."""
        from orchestrator.gateways.roma.listing import RomaListing  # noqa: PLC0415 - see above

        return RomaListing(self._requests)

    @property
    def bindings(self) -> RomaBindings:
        """The applications and policies, each with its front-end APIs."""
        from orchestrator.gateways.roma.binding_lists import RomaBindings  # noqa: PLC0415 - see above

        return RomaBindings(self._requests)

    @property
    def login(self) -> RomaLoginFeature | None:
        """The login of the plan's IAM user; its token is for this project."""
        from orchestrator.gateways.roma.login import RomaLoginFeature  # noqa: PLC0415 - see above

        return None if self.auth.iam is None else RomaLoginFeature(self.auth.iam, self.project_id)

    @property
    def restore(self) -> RomaRestore:
        """The definition, the deployment history and the front-end API; a deploy publishes another one."""
        return RomaRestore(self)

    @property
    def health(self) -> RomaHealth:
        """The shortest list, in both versions of the API."""
        from orchestrator.gateways.roma.health import RomaHealth  # noqa: PLC0415 - see above

        return RomaHealth(self._requests)

    @property
    def traffic(self) -> RomaUsage:
        """The statistics of front-end APIs, one by one or of the whole instance."""
        from orchestrator.gateways.roma.usage import RomaUsage  # noqa: PLC0415 - see above

        return RomaUsage(self._requests)

    @property
    def search(self) -> RomaSearch:
        """The list of backend APIs, page by page."""
        from orchestrator.gateways.roma.search import RomaSearch  # noqa: PLC0415 - see above

        return RomaSearch(self._requests)
