"""ROMA Connect's requests: the address and the body of each operation, and its token or signature.

After the API reference, "Canceling Deployment of a Backend API" (V1) and "Custom Backend Management" (V2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from orchestrator.gateways.roma.binding_types import (
    LONGEST_PAGE,
    BoundRead,
    build_create,
    decode_bound_read,
    decode_create,
)
from orchestrator.gateways.roma.kept_deploy import decode_deploy
from orchestrator.gateways.roma.signing import sign_request
from orchestrator.gateways.text import encode_segment, show_text
from orchestrator.model.credentials import Access, AccessKeys
from orchestrator.model.http import LARGEST_BODY, Request
from orchestrator.model.reading import Act, Operation
from orchestrator.model.target import Target
from orchestrator.model.text_form import TextForm

ID = TextForm(
    pattern=r"[A-Za-z0-9_-]{1,64}",
    noun="an id of ROMA",
    words="write 1 to 64 of A to Z, a to z, 0 to 9, _ and -",
)
_is_id = re.compile(ID.pattern).fullmatch

SHOW = Operation(Act.LOOK, "show")
DEFINITION = Operation(Act.LOOK, "definition")
"""The same request as SHOW; more of its reply is kept."""
HISTORY = Operation(Act.LOOK, "history")
FRONT = "front"
"""The read ``front/<id>`` shows one front-end API."""

STATISTICS = "statistics"
"""The read ``statistics/<id>/<hours>`` counts the calls of one front-end API."""

LARGEST_STATISTICS = 16 * 1024 * 1024
"""Bytes of the statistics of a whole instance: 72 samples, of half a kilobyte, for each of 400 APIs."""

LARGEST_PAGE = 4 * 1024 * 1024
"""Bytes of a page of bindings: 500 plug-ins may have 8 KB of content each."""

LARGEST_DEFINITION = 4 * 1024 * 1024
"""Bytes of a definition, alone or in the record of a deploy: a script in it may have a megabyte, and more."""

LARGEST_HISTORY = 16 * 1024 * 1024
"""Bytes of a deployment history. It has no pages, and each of its records repeats a whole definition."""

_LARGEST = {SHOW.via: LARGEST_DEFINITION, DEFINITION.via: LARGEST_DEFINITION, HISTORY.via: LARGEST_HISTORY}
"""By the ``via`` of a look, where more than usual is read."""

Version: TypeAlias = Literal["v1", "v2"]


_READ: Mapping[str, str] = MappingProxyType({"Accept": "application/json"})
# Without a body too: aiohttp would send such a POST as application/octet-stream.
_CHANGE: Mapping[str, str] = MappingProxyType({**_READ, "Content-Type": "application/json"})


class RomaRequests(Struct, frozen=True, kw_only=True, dict=True):
    """Builds the requests to one instance, through one version of its API."""

    url: str
    version: Version
    project_id: str
    instance_id: str

    @cached_property
    def _apis_url(self) -> str:
        return f"{self._find_base(self.version)}/livedata-apis"

    @cached_property
    def _fronts_url(self) -> str:
        # Only the backend APIs have a V1: all else of the instance is under V2, whatever the plan says.
        return f"{self._instance_url}/apis"

    @cached_property
    def _instance_url(self) -> str:
        return self._find_base("v2")

    def _find_base(self, version: Version) -> str:
        project, instance = check_id(self.project_id), check_id(self.instance_id)
        return f"{self.url.rstrip('/')}/{version}/{project}/apic/instances/{instance}"

    def build(self, operation: Operation, target: Target, access: Access, now: float) -> Request:
        """Build the request for a target.

        Raises ``ValueError`` for a look that is unknown here, and for an id that is none: such a text could
        turn into another path.
        """
        api = check_id(target.parts[0])
        if operation.act is Act.LOOK:
            if (bound := decode_bound_read(operation.via)) is not None:
                return self.build_bound_read(bound, access, now)
            url, largest = self._look_url(operation.via, api), _LARGEST.get(operation.via, LARGEST_BODY)
            return self._let_in("GET", url, access, now, largest=largest)
        if operation.act is Act.PUBLISH:
            return self._build_publish(operation, access, now)
        if operation.act is Act.BIND:
            return self._build_bind(operation, target, access, now)
        fields = {"ld_api_id": api} if self.version == "v1" else {}
        if operation.act is Act.DEPLOY:
            fields |= decode_deploy(target.deploy).body
        verb = str(operation.act)
        path = verb if self.version == "v1" else f"{api}/{verb}"
        url, body = f"{self._apis_url}/{path}", _encode_body(fields)
        # The reply to a deploy repeats the definition.
        largest = LARGEST_DEFINITION if operation.act is Act.DEPLOY else LARGEST_BODY
        return self._let_in("POST", url, access, now, headers=_CHANGE, body=body, largest=largest)

    def _build_publish(self, operation: Operation, access: Access, now: float) -> Request:
        front, environment = decode_publish(operation)
        fields = {"action": "online", "env_id": environment, "api_id": check_id(front)}
        url, body = f"{self._fronts_url}/action", _encode_body(fields)
        return self._let_in("POST", url, access, now, headers=_CHANGE, body=body)

    def _build_bind(self, operation: Operation, target: Target, access: Access, now: float) -> Request:
        path, fields = build_create(decode_create(operation), target.bindings)
        url, body = f"{self._instance_url}/{path}", _encode_body(fields)
        return self._let_in("POST", url, access, now, headers=_CHANGE, body=body)

    def build_bound_read(self, read: BoundRead, access: Access, now: float) -> Request:
        """Build the request for one page of what hangs on a front-end API in one environment."""
        path = read.type.front_side.build_path(read.front, read.environment)
        return self.build_page(path, read.offset, access, now)

    def build_page(
        self, path: str, offset: int, access: Access, now: float, *, size: int = LONGEST_PAGE
    ) -> Request:
        """Build the request for ``size`` entries behind ``offset`` others of a list below the instance.

        ``path`` is encoded already, and may have a query.
        """
        joint = "&" if "?" in path else "?"
        url = f"{self._instance_url}/{path}{joint}limit={size}&offset={offset}"
        return self._let_in("GET", url, access, now, largest=LARGEST_PAGE)

    def _look_url(self, via: str, api: str) -> str:
        read, _, front = via.partition("/")
        match read:
            case SHOW.via | DEFINITION.via:
                return f"{self._apis_url}/{api}"
            case HISTORY.via:
                return f"{self._apis_url}/{api}/deploy"
            case "front" if front:
                return f"{self._fronts_url}/{encode_segment(front)}"
            case "statistics":
                name, hours = decode_statistics(front)
                return f"{self._instance_url}/statistics/api?api_id={name}&{_cut_statistics(hours)}&mode=API"
        raise ValueError(f"ROMA Connect is not asked to look {via}".rstrip())

    def build_list(self, offset: int, limit: int, access: Access, now: float) -> Request:
        """Build the request for ``limit`` entries of the list behind ``offset`` others.

        Without the status filter: an absence proves nothing, so APIs that are not deployed must be on the
        list too. Besides, an undeploy would shift the pages of a filtered list.
        """
        return self._let_in("GET", _cut_page(self._apis_url, offset, limit), access, now)

    def build_open_list(self, offset: int, limit: int) -> Request:
        """Build the same request without a credential."""
        return Request("GET", _cut_page(self._apis_url, offset, limit), _READ)

    def build_front_list(self, offset: int, limit: int, access: Access, now: float) -> Request:
        """Build the request for ``limit`` front-end APIs behind ``offset`` others."""
        return self._let_in("GET", _cut_page(self._fronts_url, offset, limit), access, now)

    def build_history(self, api: str, access: Access, now: float) -> Request:
        """Build the request for the deployment history of the backend API ``api``."""
        return self._let_in("GET", f"{self._apis_url}/{check_id(api)}/deploy", access, now)

    def build_statistics(self, hours: int, access: Access, now: float) -> Request:
        """Build the request for the statistics of the whole instance, which its owner alone may read."""
        url = f"{self._instance_url}/statistics/api?{_cut_statistics(hours)}&mode=INSTANCE"
        return self._let_in("GET", url, access, now, largest=LARGEST_STATISTICS)

    def _let_in(
        self,
        method: str,
        url: str,
        access: Access,
        now: float,
        *,
        headers: Mapping[str, str] = _READ,
        body: bytes | None = None,
        largest: int = LARGEST_BODY,
    ) -> Request:
        """Build a request with the token, or with the signature of ``now``."""
        if isinstance(access, AccessKeys):
            scoped = Request(method, url, {**headers, "X-Project-Id": self.project_id}, body, largest)
            return sign_request(scoped, access, now=datetime.fromtimestamp(now, UTC))
        return Request(method, url, {**headers, "X-Auth-Token": access.reveal()}, body, largest)


def encode_publish(front: str, environment: str) -> Operation:
    """Return the publish of a front-end API, by its id, in one environment."""
    return Operation(Act.PUBLISH, f"{front}/{environment}")


def decode_publish(operation: Operation) -> tuple[str, str]:
    """Return the ids of the front-end API and of the environment that a publish is about."""
    front, _, environment = operation.via.partition("/")
    return front, environment


def encode_statistics(front: str, hours: int) -> Operation:
    """Return the read of the statistics of a front-end API, by its id, over the last hours."""
    return Operation(Act.LOOK, f"{STATISTICS}/{front}/{hours}")


def decode_statistics(text: str) -> tuple[str, int]:
    """Return the front-end API and the hours that the ``via`` of statistics names behind its first part.

    Raises ``ValueError`` for a text that names none.
    """
    front, _, hours = text.rpartition("/")
    if not (hours.isdecimal() and len(hours) < 4):
        raise ValueError(f"{show_text(text)} names no hours")
    return check_id(front), int(hours)


def _cut_statistics(hours: int) -> str:
    return f"cycle=hour&duration={hours}h"


def _cut_page(url: str, offset: int, limit: int) -> str:
    return f"{url}?limit={limit}&offset={offset}"


def check_id(text: str) -> str:
    """Return an id of the form that ids have. Raises ``ValueError`` for any other text."""
    if _is_id(text) is None:
        raise ValueError(f"{show_text(text)} is not {ID.noun}; it would name something else")
    return text


# Byte for byte as the vendor's own client writes it: the signature covers the spaces too.
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _encode_body(fields: dict[str, Any]) -> bytes:
    """Encode a body; an empty one where there is nothing to say."""
    return _encode(fields).encode() if fields else b""
