"""ROMA Connect's replies about bindings: what hangs on a front-end API, and the results of creates.

Ids, names and a create's settings are kept, and nothing else: the reads of signature keys carry the keys and
their secrets, and so may those of applications and plug-ins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from orchestrator.gateways.envelope import as_count, describe_reply, find_text, parse_object
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.roma.binding_types import BindingType, BoundCreate, BoundRead, BoundSide
from orchestrator.gateways.roma.records import is_front_id
from orchestrator.gateways.roma.replies import (
    NO_PERMISSION,
    parse_error,
    read_refused_look,
    read_refused_publish,
    tell_no_absence,
)
from orchestrator.gateways.roma.requests import Version
from orchestrator.gateways.text import show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict

LONGEST_SETTING = 8192
"""Characters of one setting that are kept; of a list, of all its texts."""

_DONE = "SUCCESS"
_SKIPPED = "SKIPPED"


def read_bound(read: BoundRead, reply: Reply) -> Reading:
    """Read one page of the things that hang on a front-end API in one environment."""
    if reply.status != 200:
        return read_refused_bindings(reply)
    page = read_page(read.type.front_side.entries, reply)
    if isinstance(page, Reading):
        return page
    bound = []
    for fields in page.entries:
        if names_another(fields.get("api_id"), read.front):
            return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
        # A server that ignores the filter lists the things of all environments.
        if find_text(fields, "env_id") in (None, read.environment):
            bound.append(_keep(read.type, read.type.front_side, fields))
    if None in bound:
        return Reading(verdict=Verdict.UNCLEAR, message="an entry has no id, or settings of a strange form")
    return Reading(
        verdict=Verdict.TOLD, kept={"bound": bound, "size": len(page.entries), "total": page.total}
    )


class EntryPage(NamedTuple):
    """The entries of one page as the vendor wrote them, secrets included: to be read, and not to be kept."""

    entries: list[dict[str, Any]]
    total: int


def read_page(key: str, reply: Reply) -> EntryPage | Reading:
    """Read the answer 200 to a read of bindings: the entries of one page, and how many there are in all."""
    fields = parse_object(reply) or {}
    entries, total = fields.get(key), as_count(fields.get("total"))
    if not isinstance(entries, list) or total is None or not all(isinstance(each, dict) for each in entries):
        return Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
    return EntryPage(entries, max(total, len(entries)))


def read_refused_bindings(reply: Reply) -> Reading:
    """Read why a read of bindings was refused.

    NOT_OFFERED where no read of this type is for this credential, UNCLEAR where only this one was not
    answered. A missing permission is no rejected credential, whatever its status.
    """
    error, found = parse_error(reply), tell_no_absence(read_refused_look(reply))
    lacks_permission = 400 <= reply.status < 500 and error.code in NO_PERMISSION
    if lacks_permission or (reply.status == 403 and found.verdict is Verdict.UNCLEAR):
        return replace(found, verdict=Verdict.NOT_OFFERED)
    # A 404 with the service's own code is about this front end, which somebody may have taken down.
    is_of_service = (found.code or "").startswith("APIG.")
    is_of_one = found.verdict is Verdict.NOT_OFFERED and is_of_service
    return replace(found, verdict=Verdict.UNCLEAR) if is_of_one else found


def _keep(of: BindingType, side: BoundSide, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is kept of an entry; None where that is not readable."""
    name, settings = find_text(fields, side.name), keep_settings(of, fields)
    if not is_binding_id(fields.get(side.id)) or settings is None:
        return None
    kept = {"id": fields[side.id], "name": name and show_text(name), "settings": settings}
    return {key: value for key, value in kept.items() if value}


def keep_settings(of: BindingType, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the settings of a binding that a create needs; None where one has a strange form."""
    given = {name: fields[name] for name in of.settings if fields.get(name) not in (None, "", [])}
    return given if all(map(_is_setting, given.values())) else None


def _is_setting(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(each, str) for each in texts) and sum(map(len, texts)) <= LONGEST_SETTING


def is_binding_id(value: object) -> bool:
    """Return whether a value may be the id of an application or a policy, and so a part of a path."""
    return isinstance(value, str) and is_front_id(value)


def read_create(create: BoundCreate, reply: Reply, version: Version) -> Reading:
    """Read the reply to the create of one binding: any 2xx that names this very pair is evidence.

    A refusal is that pair's: it says nothing of the target's other bindings.
    """
    if not 200 <= reply.status < 300:
        return read_refused_publish(reply, version)
    listed = (parse_object(reply) or {}).get(create.type.created)
    entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    named = [entry for entry in entries if _names_pair(create, entry)]
    if len(named) != 1:
        return Reading(verdict=Verdict.STRANGE, message=f"{reply.status} without the pair that was asked for")
    return _judge_result(named[0].get("auth_result"))


def _names_pair(create: BoundCreate, entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is about the thing and the front end of a create, and no other environment."""
    of = create.type
    ours = {"api_id": create.front, "env_id": create.environment, "publish_id": create.publication}
    told = {key: entry[key] for key in ours if entry.get(key) not in (None, "")}
    is_placed = "api_id" in told or ("publish_id" in told and create.publication is not None)
    is_here = all(value == ours[key] for key, value in told.items() if ours[key] is not None)
    return is_placed and is_here and entry.get(of.create_id or of.front_side.id) == create.id


def _judge_result(result: object) -> Reading:
    """Return the reading of the result that the vendor gives for one pair; only applications have one.

    A result in another form than the vendor's proves nothing: what hangs there is read again.
    """
    if result is None:
        return Reading(verdict=Verdict.REMOVED, evidence="code")
    fields = result if isinstance(result, dict) else {}
    status = find_text(fields, "status")
    code, text = find_text(fields, "error_code"), find_text(fields, "error_msg")
    if status == _DONE and not (code or text):
        return Reading(verdict=Verdict.REMOVED, evidence="code")
    is_refused = status not in (None, _DONE, _SKIPPED) or (status is None and bool(code or text))
    return Reading(
        verdict=Verdict.REFUSED if is_refused else Verdict.STRANGE,
        code=code and show_text(code),
        message=show_text(text or status or "the result of the pair cannot be read"),
    )
