"""ROMA Connect's replies: error codes count before statuses, and only the documented states count.

After the API reference, "Canceling Deployment of a Backend API" (V1), "Custom Backend Management" (V2) and
"Error Codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import (
    as_whole_number,
    describe_reply,
    find_text,
    find_wait,
    list_levels,
    parse_object,
)
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.roma.requests import DEFINITION, FRONT, SHOW, Version
from orchestrator.gateways.roma.snapshot import find_subjects
from orchestrator.gateways.text import keep_whole, show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import LookFacts, Reading, Verdict

LONGEST_ERROR = 2048
"""Characters of an error's text that are searched for an id."""

FULL_EVIDENCE = "204"
"""The only status that proves an undeploy; reports name the proof so."""

UNDEPLOYED = Reading(verdict=Verdict.REMOVED, evidence=FULL_EVIDENCE)

_GONE = "APIG.3084"
_NO_SUCH_INSTANCE = "APIG.3030"
_NO_SUCH_PATH = "APIGW.0101"
_NO_SERVICE_BEHIND = "APIGW.0103"
# Parts of the product answer 400 to a bad token, so these codes count on any 4xx.
_DENIED = frozenset({"APIG.1002", "APIGW.0301", "APIG.0301", "ROMA.1000", "ROMA.1002"})
_NO_PERMISSION = frozenset({"ROMA.1006", "ROMA.12001"})
NO_PERMISSION = _NO_PERMISSION | {"APIG.1005"}
"""The user may not do this; the credential is good all the same."""
# Documentation and samples write the codes of one refusal with several prefixes.
_THROTTLED = frozenset({"APIGW.0308", "APIG.0308", "APIC.0308"})
_THROTTLING_POLICY = re.compile(
    r"limit:\s*([0-9]{1,6})\s*,\s*time:\s*([0-9]{1,6})\s*(second|minute|hour)", re.IGNORECASE
)
_ID_IN_TEXT = re.compile(r"(?:\b|ld_api_|\bapi_)id\s*[:=]\s*[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
# The tables of the API have no 2, and exports know a fourth state: any other number stays unclear.
_STATES = {1: Verdict.DOWN, 3: Verdict.DOWN, 4: Verdict.UP}  # to be developed, in development, deployed


class ErrorReply(Struct, frozen=True):
    """The code and the text of a refusal; ``text`` is the vendor's, not yet cut, or else what the body is."""

    code: str | None
    text: str | None


def parse_error(reply: Reply) -> ErrorReply:
    """Return the error that a reply holds, at its top or one level down."""
    found = [
        ErrorReply(_find_code(fields), _find_text(fields))
        for fields in list_levels(parse_object(reply) or {})
    ]
    found.sort(key=lambda error: error.code is None)  # a text without a code must not hide a code below it
    text = next((error.text for error in found if error.text), None)
    return ErrorReply(found[0].code if found else None, text or describe_reply(reply))


def _find_code(fields: Mapping[str, Any]) -> str | None:
    # The vendor's own client accepts all these spellings, and one level of nesting.
    code = find_text(fields, "error_code", "errorCode", "code")
    return code and code.strip()


def _find_text(fields: Mapping[str, Any]) -> str | None:
    return find_text(fields, "error_msg", "errorMsg", "message")


def read_refusal(reply: Reply, version: Version, api: str | None = None) -> Reading:
    """Read the refusal of an undeploy or a deploy of ``api``, or of a list.

    ``version`` is the one that the plan means: a wrong place may be the wrong version.
    """
    error = parse_error(reply)
    if api and _is_about_another(error, api):
        return make_reading(Verdict.STRANGE, reply, _mark_as_foreign(error))
    verdict = _judge_any(reply, error) or _judge_change(reply.status, error.code)
    hint = give_hint(error.code, version) if verdict is Verdict.ELSEWHERE else ""
    return make_reading(verdict, reply, error, hint)


def is_denial(reply: Reply) -> bool:
    """Return whether a reply says that the credential is missing or was rejected."""
    return _judge_any(reply, parse_error(reply)) is Verdict.DENIED


def read_refused_deploy(reply: Reply, version: Version, api: str) -> Reading:
    """Read the refusal of a deploy of ``api``.

    A look before it has shown that the place is right. So a 404 with another code of the service's own is
    about the environment or the group of this deploy, which somebody may have deleted since the undeploy.
    """
    found = read_refusal(reply, version, api)
    if found.verdict is Verdict.ELSEWHERE and _is_of_service(found.code):
        return replace(found, verdict=Verdict.REFUSED, hint="")
    return found


def _is_of_service(code: str | None) -> bool:
    """Return whether a code is one of the service's own, and speaks of something else than the instance."""
    return (code or "").startswith("APIG.") and code != _NO_SUCH_INSTANCE


def read_refused_publish(reply: Reply, version: Version) -> Reading:
    """Read the refusal of a publish.

    The deploy before it has shown that the place is right. So a 404 is about this front-end API or this
    environment, or the instance does not offer the call; only a missing instance concerns all targets.
    """
    found = read_refusal(reply, version)
    is_misplaced = found.verdict is Verdict.ELSEWHERE and found.code == _NO_SUCH_INSTANCE
    if found.verdict in (Verdict.ELSEWHERE, Verdict.ABSENT) and not is_misplaced:
        return replace(found, verdict=Verdict.REFUSED, hint="", evidence=None)
    return found


def give_hint(code: str | None, version: Version) -> str:
    """Return what to change in the plan where the reply comes from the wrong place."""
    if code == _NO_SUCH_INSTANCE:
        return "check instance_id, project_id and the region in url"
    if version == "v1" and code in {None, _NO_SUCH_PATH}:
        return "try api_version: v2"
    return "check url, project_id and instance_id"


def _judge_any(reply: Reply, error: ErrorReply) -> Verdict | None:
    """Return the verdicts that undeploys and looks share. The code counts before the status."""
    status, code = reply.status, error.code
    if status < 400:
        return None
    if status == 401 or (status < 500 and code in _DENIED):
        return Verdict.DENIED
    if code == _GONE:
        return Verdict.ABSENT
    if status == 429 or (status < 500 and code in _THROTTLED):
        return Verdict.BUSY
    # A 503 that names a wait asks the whole lane to wait, and is no fault of the target.
    if status == 503 and "retry-after" in reply.headers:
        return Verdict.BUSY
    return None


def _judge_change(status: int, code: str | None) -> Verdict:
    if status < 400:
        return Verdict.STRANGE  # a redirect or a login page in front; the vendor's success is exactly 204
    # The place is right here: the cloud's gateway did not find the service behind it.
    if status == 404 and code == _NO_SERVICE_BEHIND:
        return Verdict.DOUBT
    # A 404 alone may mean a wrong instance, region or path. Taken for "gone", it would make a run against
    # the wrong place look perfect.
    if status == 404 or code in {_NO_SUCH_INSTANCE, _NO_SUCH_PATH}:
        return Verdict.ELSEWHERE
    if status == 408 or status >= 500:
        return Verdict.DOUBT
    # The answer to an undeploy of an API in development is not documented: after a 400 a look decides.
    return Verdict.CONTESTED if status == 400 and code not in _NO_PERMISSION else Verdict.REFUSED


def _is_about_another(error: ErrorReply, api: str) -> bool:
    """Return whether APIG.3084 names the id of a missing API, and that id is not ``api``."""
    ids = _ID_IN_TEXT.findall((error.text or "")[:LONGEST_ERROR]) if error.code == _GONE else []
    return bool(ids) and all(names_another(one, api) for one in ids)


def _mark_as_foreign(error: ErrorReply) -> ErrorReply:
    return replace(error, text=f"{OF_ANOTHER}: {error.text}")


def read_look(via: str, api: str, reply: Reply) -> Reading:
    """Read the reply to a look at the backend API ``api``, or at one of its parts."""
    read, _, front = via.partition("/")
    if read == FRONT and reply.status != 200:
        return _read_missing_front(reply, front)
    if reply.status != 200:
        return read_refused_look(reply, api)
    fields = parse_object(reply)
    subjects = find_subjects(read, fields or {})
    if any(names_another(name, {"front": front}.get(whose, api)) for whose, name in subjects):
        return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
    if read in (SHOW.via, DEFINITION.via):
        # Other services have a status, too, and their JSON must not pass for "not deployed".
        if fields and not find_text(fields, "error_code", "errorCode") and find_text(fields, "id") is None:
            return Reading(verdict=Verdict.UNCLEAR, message="the reply names no backend API")
        return read_definition(
            fields or {}, fields if read == DEFINITION.via else None, describe_reply(reply)
        )
    if fields is None:
        return Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
    return Reading(verdict=Verdict.TOLD, kept=fields)


def read_refused_look(reply: Reply, api: str | None = None) -> Reading:
    """Read the refusal of a look at ``api``, or of the list."""
    error = parse_error(reply)
    if api and _is_about_another(error, api):
        return make_reading(Verdict.UNCLEAR, reply, _mark_as_foreign(error))
    verdict = _judge_any(reply, error)
    if verdict is None:
        bare = reply.status == 404 and error.code != _NO_SERVICE_BEHIND
        verdict = Verdict.NOT_OFFERED if bare else Verdict.UNCLEAR
    return make_reading(verdict, reply, error)


def tell_no_absence(found: Reading) -> Reading:
    """Return the reading of a read that is about no single backend API: none can be missing by it."""
    is_absent = found.verdict is Verdict.ABSENT
    return replace(found, verdict=Verdict.UNCLEAR, evidence=None) if is_absent else found


def _read_missing_front(reply: Reply, front: str) -> Reading:
    """Read why a front-end API is not shown.

    A 404 is about this one front-end API, never about the read itself. Only the service's own code is
    believed to mean that the API is gone.
    """
    found = read_refused_look(reply)
    if found.verdict is not Verdict.NOT_OFFERED:
        return found
    ids = _ID_IN_TEXT.findall(found.message or "")
    if ids and all(names_another(one, front) for one in ids):
        return replace(found, verdict=Verdict.UNCLEAR)
    return replace(found, verdict=Verdict.ABSENT if _is_of_service(found.code) else Verdict.UNCLEAR)


def read_definition(
    fields: dict[str, Any], kept: dict[str, Any] | None, otherwise: str | None = None
) -> Reading:
    """Read LdApiInfo. ``otherwise`` is the message where the fields tell no state.

    Only the three documented states tell anything; an unknown one is not "down".
    """
    verdict = judge_definition(fields)
    if verdict is Verdict.UNCLEAR:
        return Reading(verdict=verdict, message=otherwise, kept=kept)
    return tell_definition(verdict, fields, kept)


def judge_definition(fields: Mapping[str, Any]) -> Verdict:
    """Return UP, DOWN or UNCLEAR, as an LdApiInfo says."""
    return Verdict.UNCLEAR if find_text(fields, "error_code", "errorCode") else _read_state(fields)


def tell_definition(verdict: Verdict, fields: Mapping[str, Any], kept: dict[str, Any] | None) -> Reading:
    """Return the reading of an LdApiInfo that is UP or DOWN."""
    changed = find_text(fields, "modified_time")  # ROMA counts no revisions; this tells two apart
    facts = LookFacts(deployed=verdict is Verdict.UP, revision=changed and keep_whole(changed))
    return Reading(verdict=verdict, evidence="look", facts=facts, kept=kept)


def _read_state(fields: Mapping[str, Any]) -> Verdict:
    state = as_whole_number(fields.get("status"))
    return Verdict.UNCLEAR if state is None else _STATES.get(state, Verdict.UNCLEAR)


def make_reading(verdict: Verdict, reply: Reply, error: ErrorReply, hint: str = "") -> Reading:
    """Return a reading with the vendor's code and text, and for BUSY with its wait."""
    policy = _find_policy(error.text or "") if verdict is Verdict.BUSY else None
    return Reading(
        verdict=verdict,
        code=error.code and show_text(error.code),
        message=error.text and show_text(error.text),
        wait=find_wait(reply) or (policy and policy[1]) if verdict is Verdict.BUSY else None,
        rate=policy and policy[0] / policy[1],
        evidence="code" if verdict is Verdict.ABSENT else None,
        hint=hint,
    )


def _find_policy(text: str) -> tuple[int, float] | None:
    """Return the throttling policy that a text names: so many requests in so many seconds."""
    policy = _THROTTLING_POLICY.search(text)
    if policy is None:
        return None
    limit, seconds = int(policy[1]), int(policy[2]) * _SECONDS[policy[3].lower()]
    return (limit, seconds) if limit and seconds else None
