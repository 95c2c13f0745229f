"""Apinizer's requests: the address and the body of each operation.

After the vendor's pages "Endpoint Structure", "Authentication" and "Undeploy API Proxy". The undeploy of one
proxy in one environment differs from the deletion of the proxy for good by the end of the path only.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.gateways.apinizer.looks import HEALTH, HISTORIES, PROXY, STATUS
from orchestrator.gateways.apinizer.snapshot import find_revision
from orchestrator.gateways.text import encode_segment
from orchestrator.model.credentials import Access, AccessKeys
from orchestrator.model.http import Request
from orchestrator.model.reading import Act, Operation
from orchestrator.model.target import Target

# Each path ends with a slash: the vendor calls the form without it incorrect.
LOOK_PATHS = {
    STATUS: "environments/{environment}/deploy-status/",
    HEALTH: "environments/{environment}/route-health/",
    HISTORIES: "deploy-histories/",
    PROXY: "",
}


class ApinizerRequests(Struct, frozen=True):
    """Builds the requests to one manager. ``url`` is its address, without ``/apiops``."""

    url: str

    def build(self, operation: Operation, target: Target, access: Access, note: str | None) -> Request:
        """Build the request for a target.

        Raises ``ValueError`` where a name would vanish from the path (empty, ``.``, ``..``): what is left
        would be the address that deletes the proxy for good. So it does for a look that is unknown here.
        """
        headers = _let_in(access)
        project, proxy, environment = map(encode_segment, target.parts)
        url = self._build_url(f"projects/{project}/apiProxies/{proxy}/")
        if operation.act is Act.LOOK:
            if operation not in LOOK_PATHS:
                raise ValueError(f"Apinizer is not asked to {operation.act} {operation.via}".rstrip())
            return Request("GET", url + LOOK_PATHS[operation].format(environment=environment), headers)
        if operation.act is Act.DEPLOY and (revision := find_revision(target.deploy)) is not None:
            back = f"deploy-histories/{encode_segment(revision)}/rollback/?environmentName={environment}"
            return Request("POST", url + back, headers)
        body = _encode_body(target, note)
        if body is not None:
            headers["Content-Type"] = "application/json"
        method = "POST" if operation.act is Act.DEPLOY else "DELETE"
        return Request(method, f"{url}environments/{environment}/", headers, body)

    def build_read(self, path: str, access: Access, accept: str = "application/json") -> Request:
        """Build the read of a path under ``/apiops/``, which is percent-encoded already."""
        return Request("GET", self._build_url(path), _let_in(access, accept))

    def build_open_read(self, path: str) -> Request:
        """Build the read of a path that asks for no token, and answers with a text."""
        return Request("GET", self._build_url(path), {"Accept": "text/plain"})

    def _build_url(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/apiops/{path}"


def _let_in(access: Access, accept: str = "application/json") -> dict[str, str]:
    """Return the headers of a request that a token lets in."""
    if isinstance(access, AccessKeys):
        raise ValueError("Apinizer lets nobody in by access keys")  # noqa: TRY004 - as for a name
    return {"Authorization": f"Bearer {access.reveal()}", "Accept": accept}


def _encode_body(target: Target, note: str | None) -> bytes | None:
    """Return the body; ``None`` where it would say nothing, since older managers may refuse one."""
    description = note if target.description is None else target.description
    if description is None and target.persistent is None:
        return None
    fields: dict[str, Any] = {}
    if description is not None:
        fields["description"] = description
    if target.persistent is not None:
        fields["persistent"] = target.persistent
    return msgspec.json.format(msgspec.json.encode(fields), indent=0)
