"""Apinizer's Management API (APIOps): its keys in a plan, its requests, its replies.

After the vendor's pages "Endpoint Structure", "Authentication" and "Undeploy API Proxy". An undeploy of one
proxy in one environment differs from the deletion of the proxy for good by the end of the path only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from orchestrator.gateways.apinizer import health, search
from orchestrator.gateways.apinizer.looks import (
    HEALTH,
    HISTORIES,
    PROXY,
    STATUS,
    next_look,
    read_look,
    read_siblings,
)
from orchestrator.gateways.apinizer.replies import read_rollback, read_undeploy
from orchestrator.gateways.apinizer.snapshot import next_proof, next_snapshot_read, revision_of, with_revision
from orchestrator.gateways.logins import apinizer_request, read_apinizer
from orchestrator.gateways.places import place
from orchestrator.gateways.text import segment
from orchestrator.model.credentials import (
    Access,
    AccessKeys,
    LoginGranted,
    LoginRejected,
    LoginUnclear,
    Secret,
)
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, ApiVersion, HealthCheck, Operation, Reading, Snapshot
from orchestrator.model.search import SearchQuery, TargetFilter
from orchestrator.model.target import Target
from orchestrator.text.names import decode_repeatedly, split_path, to_nfc

_PATHS = {
    STATUS: "environments/{environment}/deploy-status/",
    HEALTH: "environments/{environment}/route-health/",
    HISTORIES: "deploy-histories/",
    PROXY: "",
}
_PIECES = 5
"""Of the address of one proxy in one environment, behind ``projects/``."""


class Apinizer(Gateway, frozen=True, kw_only=True, tag="apinizer", tag_field="kind"):
    """One Apinizer manager. Its targets are API proxies, each in one environment.

    ``url`` is the manager's address, without ``/apiops``.
    """

    KIND: ClassVar[str] = "apinizer"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(name="project", plural="", doc="Name of the project, as the manager writes it."),
        Coordinate(name="proxy", plural="proxies", doc="Name of the API proxy; case counts."),
        Coordinate(name="environment", plural="environments", doc="Name of the environment; case counts."),
    )
    OPTIONS: ClassVar[tuple[str, ...]] = ("description", "persistent")
    AUTH: ClassVar[frozenset[str]] = frozenset({"token", "login"})
    LOOKS: ClassVar[tuple[Operation, ...]] = tuple(_PATHS)
    FILTERS: ClassVar[Mapping[str, frozenset[str]]] = search.FILTERS
    SIBLINGS: ClassVar[Operation | None] = PROXY
    CONCURRENCY: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 150.0

    @property
    def installation(self) -> str:
        """One manager is one place."""
        return f"{self.KIND} {place(self.url)}"

    def other_readings(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Give what its address may come to name: ``Pay%6dents`` and ``Payments;x`` are ``Payments``, and
        what stands behind ``?`` or ``#`` is lost, once a proxy has decoded it."""
        project, proxy, environment = parts
        path = f"{project}/apiProxies/{proxy}/environments/{environment}"
        for read in decode_repeatedly(path):
            for pieces in (tuple(read.split("/")), split_path(read)):
                if len(pieces) == _PIECES and (pieces[1], pieces[3]) == ("apiProxies", "environments"):
                    yield pieces[0], pieces[2], pieces[4]

    def exclusive(self, target: Target) -> str | None:
        """Deployments and the revision counter belong to the proxy, so its environments take turns."""
        project, proxy, _ = map(to_nfc, target.parts)
        return f"{segment(project)}/{segment(proxy)}"

    def request(
        self,
        operation: Operation,
        target: Target,
        access: Access,
        *,
        note: str | None,
        now: float,  # noqa: ARG002
    ) -> Request:
        """Return what to send.

        Raises ``ValueError`` where a name would vanish from the path (empty, ``.``, ``..``): what is left
        would be the address that deletes the proxy for good. So it does for an act or a look unknown here.
        """
        if isinstance(access, AccessKeys):
            raise ValueError("Apinizer lets nobody in by access keys")  # noqa: TRY004 - as for a name
        project, proxy, environment = (segment(part) for part in target.parts)
        url = f"{self.url.rstrip('/')}/apiops/projects/{project}/apiProxies/{proxy}/"
        headers = {"Authorization": f"Bearer {access.reveal()}", "Accept": "application/json"}
        if operation in _PATHS:
            return Request("GET", url + _PATHS[operation].format(environment=environment), headers)
        if operation.act is Act.LOOK:
            raise ValueError(f"Apinizer is not asked to {operation.act} {operation.via}".rstrip())
        if operation.act is Act.DEPLOY and (revision := revision_of(target.deploy)) is not None:
            back = f"deploy-histories/{segment(revision)}/rollback/?environmentName={environment}"
            return Request("POST", url + back, headers)
        body = _body(target, note)
        if body is not None:
            headers["Content-Type"] = "application/json"
        method = "POST" if operation.act is Act.DEPLOY else "DELETE"
        return Request(method, f"{url}environments/{environment}/", headers, body)

    def greeting(self) -> HealthCheck:
        """Return the manager's own health check, which asks for no token."""
        request = Request("GET", self._at("test/healthcheck"), {"Accept": "text/plain"})
        return HealthCheck("healthcheck", request, health.read_health)

    def checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:  # noqa: ARG002
        """Return the vendor's test of a token, and the list of the projects that its user may see."""
        if isinstance(access, AccessKeys):
            raise ValueError("Apinizer lets nobody in by access keys")  # noqa: TRY004 - as for a name
        headers = {"Authorization": f"Bearer {access.reveal()}", "Accept": "application/json, text/plain"}
        return (
            HealthCheck("hello", Request("GET", self._at("test/hello/undeploy"), headers), health.read_hello),
            HealthCheck("projects", Request("GET", self._at("projects/"), headers), health.read_projects),
        )

    def catalog(self, wanted: TargetFilter) -> SearchQuery:
        """Return the list of projects, from which the administrator's report or each project follows."""
        way = search.Way(
            get=self._get,
            look=lambda operation, target, access, now: self.request(
                operation, target, access, note=None, now=now
            ),
        )
        return search.Catalog(way, wanted).first()

    def _get(self, path: str, access: Access) -> Request:
        if isinstance(access, AccessKeys):
            raise ValueError("Apinizer lets nobody in by access keys")  # noqa: TRY004 - as for a name
        headers = {"Authorization": f"Bearer {access.reveal()}", "Accept": "application/json"}
        return Request("GET", self._at(path), headers)

    def _at(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/apiops/{path}"

    def dialect(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:
        """Return how new the manager is, by the looks that it offers."""
        return health.dialect(answered, looks.get(STATUS.via))

    def login(self, password: Secret) -> Request:
        """Return the login of the plan's user at the manager."""
        login = self.auth.login
        if login is None:
            raise ValueError("this gateway has no user to log in")
        return apinizer_request(self.url, login.user, password)

    def read_login(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Return the manager's token, or why there is none."""
        return read_apinizer(reply)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Return what ``reply`` means. Never raises, whatever the bytes; the status alone proves nothing."""
        if operation.act is Act.LOOK:
            return read_look(operation.via, target, reply)
        if operation.act is Act.DEPLOY and revision_of(target.deploy) is not None:
            return read_rollback(target, reply)
        return read_undeploy(target, reply)

    def next_look(
        self,
        target: Target,
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,
    ) -> Operation | Reading:
        """Return the next read of this look, or what the reads so far amount to."""
        if about is not None and about.pod_count < target.pods:
            about = replace(about, pod_count=target.pods)
        return next_look(seen, lacking, about)

    def next_proof(
        self,
        target: Target,
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,
    ) -> Operation | Reading:
        """Return the next read, or whether it is deployed on every pod that answers."""
        return next_proof(seen, lacking, about, target.pods)

    def rolled_back(self, snapshot: Snapshot) -> Snapshot:
        """Return what brings the revision back, over the manager's working definition: edits are lost."""
        return with_revision(snapshot)

    def next_snapshot_read(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
    ) -> Operation | Snapshot:
        """Return what is read next for a snapshot: the manager's record, and what its pods serve."""
        return next_snapshot_read(seen, lacking)

    def read_siblings(self, target: Target, reply: Reply) -> frozenset[str] | None:
        """Return the environments in which the proxy is deployed, by its own list."""
        return read_siblings(target, reply)


def _body(target: Target, note: str | None) -> bytes | None:
    """Return the body; ``None`` where it would say nothing, since older managers may refuse one."""
    description = note if target.description is None else target.description
    fields: dict[str, Any] = {}
    if description is not None:
        fields["description"] = description
    if target.persistent is not None:
        fields["persistent"] = target.persistent
    return msgspec.json.format(msgspec.json.encode(fields), indent=0) if fields else None
