"""WSO2 API Manager's Publisher API: its keys in a plan, its targets, and the way back of an undeploy.

Experimental, and the whole kind in one file. What is believed, and from which source, is said in
docs/gateways/wso2.md; its sections are the "contract" of the samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import (
    as_count,
    as_whole_number,
    describe_reply,
    find_text,
    find_wait,
    parse_list,
    parse_object,
)
from orchestrator.gateways.kept import refuse_strange_deploy
from orchestrator.gateways.naming import OF_ANOTHER, is_same_name
from orchestrator.gateways.text import encode_segment, keep_whole, show_text
from orchestrator.model.credentials import Access, AccessKeys
from orchestrator.model.gateway import Coordinate, Gateway, LookOnlyRestore
from orchestrator.model.http import Reply, Request
from orchestrator.model.obstacles import MISSING_HISTORY, Obstacle
from orchestrator.model.reading import Act, LookFacts, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.text_form import TextForm
from orchestrator.text.urls import normalize_url

REVISIONS = Operation(Act.LOOK, "revisions")
"""The list of an API's revisions, each with the environments in which it is deployed."""
API = Operation(Act.LOOK, "api")
"""The API itself: only that read says that there is none."""

FULL_EVIDENCE = "deployments"
"""The list of a revision's deployments in the reply: reports name the proof so."""

UUID = TextForm(
    pattern=r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    noun="a UUID",
    words="write it as the Publisher shows it, such as 7a2298c4-c905-403f-8fac-38c73301631f",
    piece=r"[0-9a-f-]{1,36}",
)
# In a text of the vendor's the case may differ.
_UUID = re.compile(UUID.pattern, re.IGNORECASE)
# The same code means something else in another version, so a code counts with its status alone.
_GONE = frozenset({(404, 900308), (404, 900301), (404, 900347), (404, 900506), (400, 900504)})
_OF_ENVIRONMENT = frozenset({900504, 900506})
# Without the id of what is missing the same words are those of any server, about a path.
_PLAINLY_GONE = re.compile(rf"requested .+ with id\W+{UUID.pattern}\W+not found", re.IGNORECASE)
LONGEST_ERROR = 2048
"""Characters of an error's text that are read."""
_DEPLOYED = (None, "APPROVED")
_WRONG_URL = "check url and api_version: url is the address of the control plane, without /api/am/publisher"


class Wso2(Gateway, frozen=True, kw_only=True, tag="wso2"):
    """One WSO2 API Manager. Its targets are revisions of APIs, each in one gateway environment.

    ``url`` is the address of its control plane, without ``/api/am/publisher``.
    """

    api_version: Annotated[
        Literal["v4", "v3", "v2"],
        Meta(
            description="The version of the Publisher API: v4 (default) since 4.2, v3 in 4.1, v2 in 4.0.",
            examples=["v4"],
        ),
    ] = "v4"

    KIND: ClassVar[str] = "wso2"
    EXPERIMENTAL: ClassVar[bool] = True
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate(
            name="api",
            plural="",
            form=UUID,
            doc="UUID of the API.",
            examples=("0c5a1f2e-6b7d-4e0a-9f37-0d2b8c4a51e6",),
        ),
        Coordinate(
            name="revision",
            plural="",
            form=UUID,
            doc="UUID of the revision that is deployed.",
            examples=("7d1f3b8c-52e4-4c19-8a6b-e0f9a2d47c35",),
        ),
        Coordinate(
            name="environment",
            plural="environments",
            doc="Name of the gateway environment; case counts.",
            examples=("Default",),
        ),
    )
    AUTH: ClassVar[frozenset[str]] = frozenset({"token"})
    LOOKS: ClassVar[tuple[Operation, ...]] = (REVISIONS, API)
    OBSTACLES: ClassVar[tuple[Obstacle, ...]] = (MISSING_HISTORY,)
    EVIDENCE: ClassVar[str] = FULL_EVIDENCE
    API_PATH: ClassVar[str] = "/api/am/publisher(?:/v[0-9])?"
    CONCURRENCY: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 60.0

    @property
    def installation(self) -> str:
        """The place of the control plane, by its address."""
        return f"{self.KIND} {normalize_url(self.url)}"

    def exclusive_key(self, target: Target) -> str | None:
        """Return the API: a deploy of one revision takes another one down, so its targets take turns."""
        return target.parts[0]

    def build_request(
        self,
        operation: Operation,
        target: Target,
        access: Access,
        *,
        note: str | None,  # noqa: ARG002 - the vendor keeps no text with an undeploy
        now: float,  # noqa: ARG002 - a token holds no time
    ) -> Request:
        """Build a request. Raises ``ValueError`` for an unknown operation or an id that would vanish."""
        if isinstance(access, AccessKeys):
            raise ValueError("WSO2 lets nobody in by access keys")  # noqa: TRY004 - as for an id
        headers = {"Authorization": f"Bearer {access.reveal()}", "Accept": "application/json"}
        api, revision = map(encode_segment, target.parts[:2])
        url = f"{self.url.rstrip('/')}/api/am/publisher/{self.api_version}/apis/{api}"
        if operation.act in (Act.UNDEPLOY, Act.DEPLOY):
            headers["Content-Type"] = "application/json"
            return Request(
                "POST",
                f"{url}/{operation.act}-revision?revisionId={revision}",
                headers,
                _encode_deployment(operation.act, target),
            )
        if operation not in self.LOOKS:
            raise ValueError(f"WSO2 is not asked to {operation.act} {operation.via}".rstrip())
        return Request("GET", url if operation == API else f"{url}/revisions", headers)

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        """Read a reply. A change is proved by the list of deployments that it leaves, and by nothing else."""
        if operation == API:
            return _read_api(target, reply)
        if operation.act is Act.LOOK:
            return _read_revisions(target, reply)
        return _read_change(operation.act, target, reply)

    def next_look(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
        about: Reading | None,  # noqa: ARG002 - an undeploy is whole or not at all
    ) -> Operation | Reading:
        """Return the next read: the revisions, and the API itself where they do not name this one."""
        if REVISIONS.via in lacking:
            return Reading(verdict=Verdict.NOT_OFFERED, message="this version lists no revisions")
        listed = seen.get(REVISIONS.via)
        if listed is None or listed.verdict is not Verdict.TOLD:
            return listed or REVISIONS
        api = seen.get(API.via)
        if api is None and API.via not in lacking:
            return API
        # An undeploy tells in the vendor's own words that there is no such revision; a short list does not.
        gone = api is not None and api.verdict is Verdict.ABSENT
        return api if gone and api else replace(listed, verdict=Verdict.UNCLEAR, is_answer=True)

    @property
    def restore(self) -> Wso2Restore:
        """The virtual host and the visibility of a deployment, with which the same revision is deployed."""
        return Wso2Restore(self)


class Wso2Restore(LookOnlyRestore, frozen=True):
    """The restore feature: a revision never changes, so that its deploy brings back what was there."""

    def next_snapshot_read(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read of a look, or its facts with what a deploy needs."""
        found = super().next_snapshot_read(target, seen, lacking)
        listed = seen.get(REVISIONS.via)
        if isinstance(found, Operation) or listed is None or not (listed.kept or {}).get("vhost"):
            return found
        deploy = msgspec.json.encode(listed.kept).decode()
        return replace(found, deploy=deploy, obstacles=()) if found.verdict is Verdict.UP else found

    def next_proof(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return what a look returns, unless a deploy would take down what another person deployed since."""
        found = super().next_proof(target, seen, lacking, about)
        if isinstance(found, Operation) or found.verdict is not Verdict.DOWN:
            return found
        other = (found.kept or {}).get("other")
        text = f"revision {other} is deployed in this environment now, and a deploy would replace it"
        if other is None:
            return found
        return replace(found, verdict=Verdict.UNCLEAR, message=text, kept=None, is_answer=True)


class _Deployment(Struct, frozen=True, omit_defaults=True):
    """One environment in which a revision is deployed, or shall be."""

    name: str
    vhost: str | None = None
    displayOnDevportal: bool | None = None  # noqa: N815 - the vendor's name


def _encode_deployment(act: Act, target: Target) -> bytes:
    # An undeploy needs the name alone, but older servers fail where the flag is missing.
    deployment = _Deployment(target.parts[-1], displayOnDevportal=False)
    if act is Act.DEPLOY and target.deploy is not None:
        with refuse_strange_deploy():
            kept = msgspec.json.decode(target.deploy, type=dict[str, Any])
            deployment = _Deployment(target.parts[-1], **kept)
    return msgspec.json.encode([deployment])


class ErrorBody(Struct, frozen=True):
    """The error of a reply in the vendor's envelope."""

    code: int
    text: str

    def names(self, target: Target) -> bool:
        """Return whether the text may be about this target: it names nothing, or a part of the target."""
        if self.code in _OF_ENVIRONMENT:
            return f"'{target.parts[-1]}'" in self.text
        named = [found.casefold() for found in _UUID.findall(self.text)]
        return not named or any(part.casefold() in named for part in target.parts[:2])


def find_error(reply: Reply) -> ErrorBody | None:
    """Return the vendor's error; None for another server's reply, such as that of a gateway of WSO2's own."""
    body = parse_object(reply) if reply.status >= 400 else None
    code = as_whole_number((body or {}).get("code"))
    if body is None or code is None or not {"message", "description"} <= body.keys():
        return None
    # A missing token has an empty message, and all that it says in the description. The vendor's texts are
    # short, and to search a long one may take long.
    return ErrorBody(code, (find_text(body, "description", "message") or "")[:LONGEST_ERROR])


def _make_reading(verdict: Verdict, reply: Reply, error: ErrorBody | None, **more: Any) -> Reading:
    told = show_text(error.text) if error else None
    return Reading(
        verdict=verdict,
        code=str(error.code) if error else None,
        message=more.pop("message", None) or told or describe_reply(reply),
        wait=find_wait(reply) if verdict in (Verdict.BUSY, Verdict.DOUBT) else None,
        **more,
    )


def _judge_any(reply: Reply, error: ErrorBody | None) -> Verdict | None:
    """Return the verdicts that changes and looks share; None where they differ."""
    if reply.status == 401:
        return Verdict.DENIED
    if reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
        return Verdict.BUSY
    if error is None:
        return None
    is_gone = reply.status == error.code == 404 and _PLAINLY_GONE.search(error.text)
    return Verdict.ABSENT if is_gone or (reply.status, error.code) in _GONE else None


def _read_change(act: Act, target: Target, reply: Reply) -> Reading:
    """Read the reply to an undeploy or a deploy."""
    if reply.status < 300:
        return _read_success(act, target, reply)
    error = find_error(reply)
    verdict = _judge_any(reply, error)
    if verdict is Verdict.ABSENT and error is not None:
        if not error.names(target):
            text = show_text(f"{OF_ANOTHER}: {error.text}")
            return _make_reading(Verdict.STRANGE, reply, error, message=text)
        return _make_reading(verdict, reply, error, evidence="code")
    if verdict is None:
        verdict = _judge_refusal(reply.status, error)
    return _make_reading(
        verdict, reply, error, **({"hint": _WRONG_URL} if verdict is Verdict.ELSEWHERE else {})
    )


def _judge_refusal(status: int, error: ErrorBody | None) -> Verdict:
    if status < 400:
        return Verdict.STRANGE
    if status == 408 or status >= 500:
        return Verdict.DOUBT
    # The Publisher's own errors have codes of six digits. A bare 404 is that of any server.
    if status == 404 and (error is None or error.code == 404):
        return Verdict.ELSEWHERE
    return Verdict.CONTESTED if status in {400, 404} else Verdict.REFUSED


def _read_success(act: Act, target: Target, reply: Reply) -> Reading:
    """Read a 2xx: the deployments that the revision has now prove what became of this one."""
    if reply.status == 200 and not reply.body and act is Act.UNDEPLOY:
        # The page documents it beside the 201, and does not say what it means.
        return _make_reading(Verdict.STRANGE, reply, None, is_answer=True)
    rows = _list_deployments(target, parse_list(reply)) if _may_prove(act, reply) else None
    if rows is None:
        return _make_reading(Verdict.STRANGE, reply, None)
    ours = [row for row in rows if is_same_name(row["name"], target.parts[-1])]
    if act is Act.UNDEPLOY and ours:
        # The vendor's page calls this the list of what was undeployed, its code sends what is left.
        text = "the reply lists this environment, which may mean either that it is left or that it is gone"
        return _make_reading(Verdict.STRANGE, reply, None, message=text, is_answer=True)
    if act is Act.UNDEPLOY and (alike := _find_alike(target, rows)):
        return _make_reading(Verdict.STRANGE, reply, None, message=alike, is_answer=True)
    if act is Act.DEPLOY and [row.get("status") in _DEPLOYED for row in ours] != [True]:
        return _make_reading(Verdict.STRANGE, reply, None, message=_describe_pending(ours), is_answer=True)
    return Reading(verdict=Verdict.REMOVED, evidence=FULL_EVIDENCE)


def _may_prove(act: Act, reply: Reply) -> bool:
    """Return whether this is a status of success, with JSON: the page of a deploy says 200, its code 201."""
    is_json = "json" in reply.headers.get("content-type", "").lower()
    return is_json and reply.status in ({201} if act is Act.UNDEPLOY else {200, 201})


def _describe_pending(ours: list[dict[str, Any]]) -> str:
    if len(ours) != 1:
        return "the reply does not list this environment once"
    return show_text(f"the deployment is {ours[0].get('status')}, and not approved") or ""


def _list_deployments(target: Target, listed: object) -> list[dict[str, Any]] | None:
    """Return a revision's deployments; None where one is not named, or is of another revision."""
    if not isinstance(listed, list):
        return None
    for row in listed:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            return None
        if row.get("revisionUuid") not in (None, target.parts[1]):
            return None
    return listed


def _read_look_fault(target: Target, reply: Reply) -> Reading:
    error = find_error(reply)
    verdict = _judge_any(reply, error)
    if verdict is Verdict.ABSENT and error is not None:
        if error.code in _OF_ENVIRONMENT or not error.names(target):
            text = show_text(f"{OF_ANOTHER}: {error.text}")
            return _make_reading(Verdict.UNCLEAR, reply, error, message=text)
        return _make_reading(verdict, reply, error, evidence="code")
    other = Verdict.NOT_OFFERED if reply.status == 404 else Verdict.UNCLEAR
    return _make_reading(verdict or other, reply, error)


def _read_api(target: Target, reply: Reply) -> Reading:
    if reply.status != 200:
        return _read_look_fault(target, reply)
    told = (parse_object(reply) or {}).get("id")
    if told != target.parts[0]:
        text = OF_ANOTHER if isinstance(told, str) else None
        return _make_reading(Verdict.UNCLEAR, reply, None, message=text)
    return Reading(verdict=Verdict.TOLD)


def _read_revisions(target: Target, reply: Reply) -> Reading:
    """Read the list of revisions: UP or DOWN by the row of ours, TOLD where the list has no such row."""
    if reply.status != 200:
        return _read_look_fault(target, reply)
    body = parse_object(reply) or {}
    listed = body.get("list")
    if not isinstance(listed, list) or as_count(body.get("count", len(listed))) != len(listed):
        return _make_reading(Verdict.UNCLEAR, reply, None)
    rows = [row for row in listed if isinstance(row, dict) and isinstance(row.get("id"), str)]
    if any(_find_api(row) not in (None, target.parts[0]) for row in rows):
        return _make_reading(Verdict.UNCLEAR, reply, None, message=OF_ANOTHER)
    ours = [row for row in rows if row["id"] == target.parts[1]]
    if len(rows) != len(listed) or len(ours) > 1:
        return _make_reading(Verdict.UNCLEAR, reply, None)
    if not ours:
        return Reading(verdict=Verdict.TOLD, message="the list of revisions does not name this one")
    return _read_revision(target, reply, ours[0], rows)


def _find_api(row: Mapping[str, Any]) -> object:
    about = row.get("apiInfo")
    return about.get("id") if isinstance(about, dict) else None


def _read_revision(
    target: Target, reply: Reply, ours: Mapping[str, Any], rows: list[dict[str, Any]]
) -> Reading:
    deployments = _list_deployments(target, ours.get("deploymentInfo"))
    if deployments is None:
        return _make_reading(Verdict.UNCLEAR, reply, None)
    here = [row for row in deployments if is_same_name(row["name"], target.parts[-1])]
    if not here:
        return _read_absence(target, reply, [row for row in rows if row is not ours], deployments)
    if len(here) > 1 or here[0].get("status") not in _DEPLOYED:
        return _make_reading(Verdict.UNCLEAR, reply, None, message=_describe_pending(here), is_answer=True)
    return _read_deployment(ours, here[0])


def _read_absence(
    target: Target, reply: Reply, others: list[dict[str, Any]], deployments: list[dict[str, Any]]
) -> Reading:
    """Read a list in which the revision is not deployed in the target's environment."""
    environment = target.parts[-1]
    if text := _find_alike(target, deployments):
        return _make_reading(Verdict.UNCLEAR, reply, None, message=text, is_answer=True)
    other = next((row["id"] for row in others if _is_in(row, environment)), None)
    return Reading(
        verdict=Verdict.DOWN,
        evidence="look",
        facts=LookFacts(deployed=False),
        kept={"other": show_text(other)} if other else None,
    )


def _find_alike(target: Target, deployments: list[dict[str, Any]]) -> str | None:
    """Say where else a revision is deployed, in an environment of nearly the name; None without such a one.

    No list tells which environments exist: a slip in the plan would pass for "not deployed".
    """
    environment = target.parts[-1]
    alike = (row["name"] for row in deployments if row["name"].casefold() == environment.casefold())
    found = next(alike, None)
    return found and show_text(f"it is deployed in {found}, and the plan writes {environment}")


def _is_in(row: Mapping[str, Any], environment: str) -> bool:
    listed = row.get("deploymentInfo")
    return isinstance(listed, list) and any(
        isinstance(each, dict) and is_same_name(each.get("name"), environment) for each in listed
    )


def _read_deployment(revision: Mapping[str, Any], row: Mapping[str, Any]) -> Reading:
    vhost, shown = find_text(row, "vhost"), row.get("displayOnDevportal")
    kept: dict[str, Any] = {"vhost": vhost and keep_whole(vhost)}
    if isinstance(shown, bool):
        kept["displayOnDevportal"] = shown
    since, name = row.get("deployedTime"), find_text(revision, "displayName")
    facts = LookFacts(
        deployed=True,
        revision=name and show_text(name),
        since=show_text(str(since)) if isinstance(since, str | int) else None,
    )
    return Reading(verdict=Verdict.UP, evidence="look", facts=facts, kept=kept)
