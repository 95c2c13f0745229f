"""Huawei Cloud ROMA Connect (APIC): its keys in a plan, its requests, its replies.

After the API reference, "Canceling Deployment of a Backend API" (V1) and "Custom Backend Management" (V2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import count_of, first_text, json_object, nature, wait_asked, whole_number
from orchestrator.gateways.logins import iam_request, read_iam
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.places import place
from orchestrator.gateways.roma import health, search, snapshot
from orchestrator.gateways.roma.signing import signed
from orchestrator.gateways.text import segment, shown, uncut
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
from orchestrator.model.reading import (
    Act,
    ApiVersion,
    HealthCheck,
    LookFacts,
    Operation,
    Reading,
    Snapshot,
    StatePage,
    Verdict,
)
from orchestrator.model.search import SearchQuery, TargetFilter
from orchestrator.model.target import Target

_ID = r"[A-Za-z0-9_-]{1,64}"
_WHOLE_ID = f"^{_ID}$(?!\n)"  # Python's $ alone would let a line feed at the end pass
_SHOW, _DEFINITION, _HISTORY = snapshot.SHOW, snapshot.DEFINITION, snapshot.HISTORY
_REMOVED = Reading(verdict=Verdict.REMOVED, evidence="204")

_GONE = "APIG.3084"
_NO_SUCH_INSTANCE = "APIG.3030"
_NO_SUCH_PATH = "APIGW.0101"
_NO_SERVICE_BEHIND = "APIGW.0103"
# Parts of the product answer 400 to a bad token, so these codes are heard on any 4xx.
_DENIED = frozenset({"APIG.1002", "APIGW.0301", "APIG.0301", "ROMA.1000", "ROMA.1002"})
_NO_PERMISSION = frozenset({"ROMA.1006", "ROMA.12001"})
_THROTTLED = frozenset({"APIGW.0308", "APIG.0308", "APIC.0308"})
_POLICY = re.compile(
    r"limit:\s*([0-9]{1,6})\s*,\s*time:\s*([0-9]{1,6})\s*(second|minute|hour)", re.IGNORECASE
)
_NAMED_ID = re.compile(r"(?:\b|ld_api_|\bapi_)id\s*[:=]\s*[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_UNIT = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_LONGEST_PAGE = 500
_STATES = {1: Verdict.DOWN, 3: Verdict.DOWN, 4: Verdict.UP}  # to be developed, in development, deployed


class Roma(Gateway, frozen=True, kw_only=True, tag="roma", tag_field="kind"):
    """One ROMA Connect instance. Its targets are backend ("livedata") APIs.

    An undeploy also deletes the front-end API that was published for the backend.
    """

    project_id: Annotated[
        str,
        Meta(pattern=_WHOLE_ID, description="The project (tenant of one region) that holds the instance."),
    ]
    instance_id: Annotated[str, Meta(pattern=_WHOLE_ID, description="The ROMA Connect instance.")]
    api_version: Annotated[
        Literal["v1", "v2"],
        Meta(description="Version of the APIs that are called: v1 has the id in the body, v2 in the path."),
    ] = "v1"

    KIND: ClassVar[str] = "roma"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(
            name="ld_api_id", plural="ld_api_ids", pattern=_ID, doc="Id of the backend API to take offline."
        ),
    )
    AUTH: ClassVar[frozenset[str]] = frozenset({"token", "iam", "access_key", "secret_key", "security_token"})
    LISTS: ClassVar[bool] = True
    LOOKS: ClassVar[tuple[Operation, ...]] = (_SHOW,)
    FILTERS: ClassVar[Mapping[str, frozenset[str]]] = search.FILTERS
    CONCURRENCY: ClassVar[int] = 8
    TIMEOUT: ClassVar[float] = 30.0

    @property
    def installation(self) -> str:
        """The same instance through either version of the API is the same place."""
        return f"{self.KIND} {place(self.url)} {self.project_id} {self.instance_id}"

    def exclusive(self, target: Target) -> str | None:  # noqa: ARG002
        """Backend APIs do not get in each other's way."""
        return None

    def request(
        self,
        operation: Operation,
        target: Target,
        access: Access,
        *,
        note: str | None,  # noqa: ARG002
        now: float,
    ) -> Request:
        """Return what to send. ROMA keeps no history record, so ``note`` has no place in it.

        Raises ``ValueError`` for a look that is unknown here, and for an id that is none: it could turn into
        another path.
        """
        return self._let_in(self._request(operation, target), access, now)

    def _let_in(self, request: Request, access: Access, now: float) -> Request:
        if isinstance(access, AccessKeys):
            scoped = replace(request, headers={**request.headers, "X-Project-Id": self.project_id})
            return signed(scoped, access, now=datetime.fromtimestamp(now, UTC))
        return replace(request, headers={**request.headers, "X-Auth-Token": access.reveal()})

    def list_request(self, offset: int, access: Access, *, now: float) -> Request:
        """Return the list behind ``offset`` entries, in the longest pages that there are.

        Without the status filter: what is not deployed must be on it too, since an absence proves nothing.
        """
        url = f"{self._apis}?limit={_LONGEST_PAGE}&offset={offset}"
        return self._let_in(Request("GET", url, {"Accept": "application/json"}), access, now)

    def read_list(self, reply: Reply) -> StatePage | Reading:
        """Return a page of LdApiInfo, or what else the reply means."""
        fields = json_object(reply) if reply.status == 200 else None
        apis, total = (fields or {}).get("apis"), count_of((fields or {}).get("total"))
        if not isinstance(apis, list) or total is None:
            unread = Reading(verdict=Verdict.UNCLEAR, message=nature(reply))
            return unread if reply.status == 200 else _read_look(reply)
        entries: dict[tuple[str, ...], Reading] = {}
        for api in apis:
            if isinstance(api, dict) and isinstance(api.get("id"), str):
                key = (api["id"],)
                entries[key] = _agreed(entries.get(key), _read_fields(api, api))
        states = {key: entry.verdict for key, entry in entries.items()}
        return StatePage(states=states, size=len(apis), total=total, entries=entries)

    def catalog(self, wanted: TargetFilter) -> SearchQuery:
        """Return the first page of the list, without the status filter: an undeploy would shift its pages."""
        way = search.Way(
            page=lambda offset, access, now: self.list_request(offset, access, now=now),
            history=self._history,
            fault=self._read_list_fault,
        )
        return search.Catalog(way, wanted).first()

    def _read_list_fault(self, reply: Reply) -> Reading:
        read = _read_look(reply)
        return replace(read, hint=self._hint(read.code)) if read.verdict is Verdict.NOT_OFFERED else read

    def _history(self, api: str, access: Access, now: float) -> Request:
        request = Request("GET", f"{self._apis}/{_checked(api)}/deploy", {"Accept": "application/json"})
        return self._let_in(request, access, now)

    def _request(self, operation: Operation, target: Target) -> Request:
        headers = {"Accept": "application/json"}
        (api,) = map(_checked, target.parts)
        if operation.act is Act.LOOK:
            return Request("GET", self._looked_at(operation.via, api), headers)
        headers["Content-Type"] = "application/json"
        named = {"ld_api_id": api} if self.api_version == "v1" else {}
        body = named | (msgspec.json.decode(target.deploy or "{}") if operation.act is Act.DEPLOY else {})
        path = operation.act.value if self.api_version == "v1" else f"{api}/{operation.act.value}"
        return Request("POST", f"{self._apis}/{path}", headers, _json(body))

    def _looked_at(self, via: str, api: str) -> str:
        kind, _, front = via.partition("/")
        match kind:
            case _SHOW.via | _DEFINITION.via:
                return f"{self._apis}/{_checked(api)}"
            case _HISTORY.via:
                return f"{self._apis}/{_checked(api)}/deploy"
            case snapshot.FRONT if front:
                return f"{self._apis.removesuffix('livedata-apis')}apis/{segment(front)}"
        raise ValueError(f"ROMA Connect is not asked to look {via}".rstrip())

    @property
    def _apis(self) -> str:
        project, instance = _checked(self.project_id), _checked(self.instance_id)
        base = self.url.rstrip("/")
        return f"{base}/{self.api_version}/{project}/apic/instances/{instance}/livedata-apis"

    def greeting(self) -> HealthCheck:
        """Return the list, asked for by nobody: a ROMA Connect refuses it, a login page does not."""
        request = Request("GET", self._shortest_list, {"Accept": "application/json"})
        return HealthCheck("greeting", request, health.read_refusal)

    def checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:
        """Return the shortest list of each version, that of the plan first."""
        ours, other = self._versions
        return (
            self._listing(ours, access, now, health.read_listing),
            self._listing(other, access, now, health.read_other),
        )

    @property
    def _versions(self) -> tuple[Literal["v1", "v2"], Literal["v1", "v2"]]:
        return ("v1", "v2") if self.api_version == "v1" else ("v2", "v1")

    def _listing(
        self, version: Literal["v1", "v2"], access: Access, now: float, read: health.Read
    ) -> HealthCheck:
        there = replace(self, api_version=version)
        request = Request("GET", there._shortest_list, {"Accept": "application/json"})
        return HealthCheck(
            version, self._let_in(request, access, now), partial(read, otherwise=self._read_fault)
        )

    @property
    def _shortest_list(self) -> str:
        return f"{self._apis}?limit=1&offset=0"

    def dialect(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:  # noqa: ARG002
        """Return which of the two versions answer."""
        return health.dialect(self._versions, answered)

    def login(self, password: Secret) -> Request:
        """Return the login of the plan's IAM user; its token is for this project."""
        iam = self.auth.iam
        if iam is None:
            raise ValueError("this gateway has no IAM user")
        return iam_request(iam.url, iam.user, iam.domain, password, self.project_id)

    def read_login(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Return IAM's token, or why there is none."""
        return read_iam(reply, self.project_id)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Return what ``reply`` means. Never raises, whatever the bytes; only 204 is a success, and for a
        deploy 200 with its record."""
        if operation.act is Act.LOOK:
            return _read_via(operation.via, target.parts[0], reply)
        if operation.act is Act.DEPLOY and reply.status == 200:
            return snapshot.read_deployed(target.parts[0], reply)
        if operation.act is Act.UNDEPLOY and reply.status == 204:
            return _REMOVED
        return self._read_fault(reply, target.parts[0])

    def _read_fault(self, reply: Reply, api: str | None = None) -> Reading:
        """Return what a refusal means, of an undeploy or a deploy of ``api``, or of a list."""
        fault = _fault(reply)
        if api and _is_of_another(fault, api):
            return _reading(Verdict.STRANGE, reply, _said_of_another(fault))
        verdict = _either(reply, fault) or _undeploy(reply.status, fault.code)
        hint = self._hint(fault.code) if verdict is Verdict.ELSEWHERE else ""
        return _reading(verdict, reply, fault, hint)

    def _hint(self, code: str | None) -> str:
        if code == _NO_SUCH_INSTANCE:
            return "check instance_id, project_id and the region in url"
        if self.api_version == "v1" and code in {None, _NO_SUCH_PATH}:
            return "try api_version: v2"
        return "check url, project_id and instance_id"

    def next_look(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,  # noqa: ARG002
    ) -> Operation | Reading:
        """Return ``show``, the only look there is, or what it amounted to."""
        if _SHOW.via in lacking:
            return Reading(verdict=Verdict.NOT_OFFERED)
        return seen.get(_SHOW.via, _SHOW)

    def next_snapshot_read(
        self,
        target: Target,
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
    ) -> Operation | Snapshot:
        """Return what is read next for a snapshot: the definition, its deployments, its front-end API."""
        return snapshot.next_snapshot_read(target.parts[0], seen, lacking)


def _checked(text: str) -> str:
    """Return an id of the form that ids have. Raises ``ValueError`` for any other text."""
    if re.fullmatch(_ID, text) is None:
        raise ValueError(f"{shown(text)} does not fit the pattern {_ID}; it would name something else")
    return text


def _json(fields: dict[str, Any]) -> bytes:
    """As the vendor's own client writes it, which signatures cover; nothing where there is nothing to say."""
    return json.dumps(fields, ensure_ascii=False).encode() if fields else b""


class _Fault(Struct, frozen=True):
    """An error envelope; ``text`` is the vendor's, not yet cut, or else what the body is."""

    code: str | None
    text: str | None


def _fault(reply: Reply) -> _Fault:
    found = [_Fault(_code(fields), _message(fields)) for fields in _levels(json_object(reply))]
    found.sort(key=lambda fault: fault.code is None)  # a text without a code must not hide a code below it
    text = next((fault.text for fault in found if fault.text), None)
    return _Fault(found[0].code if found else None, text or nature(reply))


def _levels(fields: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if fields is not None:
        yield fields
        yield from (value for value in fields.values() if isinstance(value, dict))


def _code(fields: dict[str, Any]) -> str | None:
    code = first_text(fields, "error_code", "errorCode", "code")
    return code and code.strip()


def _message(fields: dict[str, Any]) -> str | None:
    return first_text(fields, "error_msg", "errorMsg", "message")


def _either(reply: Reply, fault: _Fault) -> Verdict | None:
    """Return what concerns undeploys and looks alike. The code counts before the status."""
    status, code = reply.status, fault.code
    if status < 400:
        return None
    if status == 401 or (status < 500 and code in _DENIED):
        return Verdict.DENIED
    if code == _GONE:
        return Verdict.ABSENT
    if status == 429 or (status < 500 and code in _THROTTLED):
        return Verdict.BUSY
    if status == 503 and "retry-after" in reply.headers:
        return Verdict.BUSY
    return None


def _undeploy(status: int, code: str | None) -> Verdict:
    if status < 400:
        return Verdict.STRANGE  # a redirect or a login page in front; the vendor's success is exactly 204
    if status == 404 and code == _NO_SERVICE_BEHIND:
        return Verdict.DOUBT
    if status == 404 or code in {_NO_SUCH_INSTANCE, _NO_SUCH_PATH}:
        return Verdict.ELSEWHERE
    if status == 408 or status >= 500:
        return Verdict.DOUBT
    return Verdict.CONTESTED if status == 400 and code not in _NO_PERMISSION else Verdict.REFUSED


def _is_of_another(fault: _Fault, api: str) -> bool:
    """Say whether APIG.3084 names the id of what does not exist, and that is not ``api``."""
    named = _NAMED_ID.findall(fault.text or "") if fault.code == _GONE else []
    return bool(named) and all(names_another(one, api) for one in named)


def _said_of_another(fault: _Fault) -> _Fault:
    return replace(fault, text=f"{OF_ANOTHER}: {fault.text}")


def _read_via(via: str, api: str, reply: Reply) -> Reading:
    """Return what a read of the backend API ``api`` says, or of what belongs to it."""
    kind, _, front = via.partition("/")
    if kind == snapshot.FRONT and reply.status != 200:
        return _read_lost_front(reply, front)
    if reply.status != 200:
        return _read_look(reply, api)
    fields = json_object(reply)
    named = snapshot.named_in(kind, fields or {})
    if any(names_another(told, {"front": front}.get(whose, api)) for whose, told in named):
        return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
    if kind in (_SHOW.via, _DEFINITION.via):
        return _read_fields(fields or {}, fields if kind == _DEFINITION.via else None, nature(reply))
    if fields is None:
        return Reading(verdict=Verdict.UNCLEAR, message=nature(reply))
    return Reading(verdict=Verdict.TOLD, kept=fields)


def _read_look(reply: Reply, api: str | None = None) -> Reading:
    """Return what a refused read means, of ``api`` or of the list."""
    fault = _fault(reply)
    if api and _is_of_another(fault, api):
        return _reading(Verdict.UNCLEAR, reply, _said_of_another(fault))
    verdict = _either(reply, fault)
    if verdict is None:
        bare = reply.status == 404 and fault.code != _NO_SERVICE_BEHIND
        verdict = Verdict.NOT_OFFERED if bare else Verdict.UNCLEAR
    return _reading(verdict, reply, fault)


def _read_lost_front(reply: Reply, front: str) -> Reading:
    """Read why a front-end API is not shown. A 404 is about this one: that such APIs can be shown at all is
    no question, and that it is gone is believed with the service's own code only."""
    found = _read_look(reply)
    if found.verdict is not Verdict.NOT_OFFERED:
        return found
    named = _NAMED_ID.findall(found.message or "")
    if named and all(names_another(one, front) for one in named):
        return replace(found, verdict=Verdict.UNCLEAR)
    gone = (found.code or "").startswith("APIG.") and found.code != _NO_SUCH_INSTANCE
    return replace(found, verdict=Verdict.ABSENT if gone else Verdict.UNCLEAR)


def _state(fields: dict[str, Any]) -> Verdict:
    state = whole_number(fields.get("status"))
    return Verdict.UNCLEAR if state is None else _STATES.get(state, Verdict.UNCLEAR)


def _agreed(before: Reading | None, now: Reading) -> Reading:
    """Return what the entries of one id say together: nothing, where they contradict each other."""
    if before is None or before.verdict is now.verdict:
        return now
    return Reading(verdict=Verdict.UNCLEAR, message="the list has it twice, in two states")


def _read_fields(
    fields: dict[str, Any], kept: dict[str, Any] | None, otherwise: str | None = None
) -> Reading:
    """Read LdApiInfo. Only the three documented states say anything; an unknown one is not "down"."""
    verdict = Verdict.UNCLEAR if first_text(fields, "error_code", "errorCode") else _state(fields)
    if verdict is Verdict.UNCLEAR:
        return Reading(verdict=verdict, message=otherwise, kept=kept)
    changed = first_text(fields, "modified_time")  # ROMA counts no revisions; this tells two apart
    facts = LookFacts(deployed=verdict is Verdict.UP, revision=changed and uncut(changed))
    return Reading(verdict=verdict, evidence="look", facts=facts, kept=kept)


def _reading(verdict: Verdict, reply: Reply, fault: _Fault, hint: str = "") -> Reading:
    policy = _throttling(fault.text or "") if verdict is Verdict.BUSY else None
    return Reading(
        verdict=verdict,
        code=fault.code and shown(fault.code),
        message=fault.text and shown(fault.text),
        wait=wait_asked(reply) or (policy and policy[1]) if verdict is Verdict.BUSY else None,
        rate=policy and policy[0] / policy[1],
        evidence="code" if verdict is Verdict.ABSENT else None,
        hint=hint,
    )


def _throttling(text: str) -> tuple[int, float] | None:
    """Return the policy that the text names, if it names one: so many requests in so many seconds."""
    policy = _POLICY.search(text)
    if policy is None:
        return None
    limit, seconds = int(policy[1]), int(policy[2]) * _UNIT[policy[3].lower()]
    return (limit, seconds) if limit and seconds else None
