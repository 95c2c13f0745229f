"""What ROMA Connect is asked before an undeploy, and what of it a redeploy needs.

An undeploy also deletes the front-end API that was published for the backend API; a deploy publishes another
one, with an id of its own. After the API reference: "Querying Backend APIs", "Querying the Deployment History
of a Backend API", "Querying API Details", "Deploying a Backend API".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.gateways.envelope import first_text, json_object
from orchestrator.gateways.text import shown
from orchestrator.model import Act, Ask, Facts, FrontEnd, Obstacle, Reading, Snapshot, Verdict

SHOW = Ask(Act.LOOK, "show")
DEFINITION = Ask(Act.LOOK, "definition")
"""The same request as SHOW; more of its reply is kept."""
HISTORY = Ask(Act.LOOK, "history")
FRONT = "front"

_RECORDS = ("deploys", "histories")
"""What the list of deployments is called in V1 and in V2."""

_SAME_NAMES = ("group_id", "auth_type", "authorizer_id", "cors", "roma_app_id")
_OTHER_NAMES = {"env_id": "run_env_id", "protocol": "req_protocol", "path": "req_uri", "method": "req_method"}
_PASSING = frozenset({"status", "created_time", "modified_time"})
"""What a definition says of its own life."""

_BACKEND_ONLY = '{"deploy_front_api": false}'


def next_portrait(ld_api_id: str, seen: Mapping[str, Reading]) -> Ask | Snapshot:
    """Return the next read of a snapshot, or what the reads so far amount to."""
    show = seen.get(DEFINITION.via)
    if show is None:
        return DEFINITION
    if show.verdict is not Verdict.UP:
        return _as_seen(show)
    history = seen.get(HISTORY.via)
    if history is None:
        return HISTORY
    records = _records(history.kept)
    if records is None:
        return replace(_as_seen(show), deploy=_BACKEND_ONLY, obstacles=("missing-history",))
    newest = _newest(records, ld_api_id)
    front = first_text(newest, "api_id") if newest else None
    if front is None:
        return _portrait(show, newest, None)
    read = seen.get(f"{FRONT}/{front}")
    return Ask(Act.LOOK, f"{FRONT}/{front}") if read is None else _portrait(show, newest, read, front)


def _as_seen(show: Reading) -> Snapshot:
    return Snapshot(
        verdict=show.verdict,
        code=show.code,
        message=show.message,
        hidden=show.hidden,
        facts=show.facts or Facts(),
    )


def _portrait(
    show: Reading, newest: Mapping[str, Any] | None, read: Reading | None, front: str | None = None
) -> Snapshot:
    since = first_text(newest, "deploy_time") if newest else None
    edited = _edited(show.kept, newest.get("api_definition") if newest else None)
    facts = replace(show.facts or Facts(), since=since and shown(since), edited=edited)
    obstacles: list[Obstacle] = ["unpublished-edits"] if edited else []
    kept = read.kept if read is not None and read.verdict is Verdict.TOLD else None
    if front is None or (read is not None and read.verdict is Verdict.NOT_OFFERED):
        # It was deployed without a front-end API, or that is gone: so it comes back without one.
        return replace(_as_seen(show), facts=facts, deploy=_BACKEND_ONLY, obstacles=tuple(obstacles))
    if kept is None:
        lost = FrontEnd(id=name_of(front))
        obstacles += ["missing-history", "new-front-end-id"]
        return replace(
            _as_seen(show), facts=facts, fronts=(lost,), deploy=_BACKEND_ONLY, obstacles=tuple(obstacles)
        )
    path, name = first_text(kept, "req_uri"), first_text(kept, "name")
    published = FrontEnd(id=name_of(front), name=name and shown(name), path=path and shown(path))
    return replace(
        _as_seen(show),
        facts=replace(facts, path=published.path),
        fronts=(published,),
        deploy=_body(kept),
        obstacles=(*obstacles, "new-front-end-id"),
    )


def name_of(text: str) -> str:
    """Return a vendor's id as it can be shown; never empty."""
    return shown(text) or "(unnamed)"


def _body(front: Mapping[str, Any]) -> str:
    """Return what a deploy says to publish a front-end API like this one."""
    fields: dict[str, Any] = {"deploy_front_api": True}
    fields |= {ours: front[theirs] for ours, theirs in _OTHER_NAMES.items() if front.get(theirs)}
    fields |= {name: front[name] for name in _SAME_NAMES if front.get(name) not in (None, "")}
    return msgspec.json.encode(fields).decode()


def _records(fields: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    listed = next((fields[key] for key in _RECORDS if key in fields), None) if fields else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else None


def _newest(records: list[dict[str, Any]], ld_api_id: str) -> dict[str, Any] | None:
    """Return the newest deployment; the order of the list is not promised, RFC 3339 with Z sorts as text."""
    ours = [one for one in records if one.get("ld_api_id", ld_api_id) == ld_api_id]
    return max(ours, key=lambda one: first_text(one, "deploy_time") or "", default=None)


def _edited(now: Mapping[str, Any] | None, then: object) -> bool | None:
    """Tell whether the definition has changed since it was deployed; None where nobody can tell."""
    if not now or not isinstance(then, dict):
        return None
    shared = (now.keys() & then.keys()) - _PASSING
    return any(now[key] != then[key] for key in shared)


def read_deployed(ld_api_id: str, body: bytes) -> Reading:
    """Read the answer 200 to a deploy: the record of it is the evidence, anything else is doubt."""
    fields = json_object(body)
    if fields and first_text(fields, "id") and fields.get("ld_api_id") == ld_api_id:
        return Reading(verdict=Verdict.REMOVED, evidence="code")
    return Reading(verdict=Verdict.STRANGE, message="200 without the record of a deployment")
