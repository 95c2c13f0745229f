"""ROMA Connect's snapshots: the reads before an undeploy, and the fields in them that a redeploy needs.

An undeploy also deletes the front-end API that was published for the backend API; a deploy publishes another
one, with an id of its own. After the API reference: "Querying Backend APIs", "Querying the Deployment History
of a Backend API", "Querying API Details", "Deploying a Backend API".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from orchestrator.gateways.envelope import find_text
from orchestrator.gateways.roma.bindings import Published, mark_unread, next_bindings
from orchestrator.gateways.roma.completion import next_completion
from orchestrator.gateways.roma.definition import find_newest, is_untouched, split_environments, was_edited
from orchestrator.gateways.roma.kept_deploy import (
    BACKEND_ALONE,
    WITHOUT_ITS_FRONT,
    decode_deploy,
    encode_deploy,
)
from orchestrator.gateways.roma.kept_snapshot import adapt_snapshot
from orchestrator.gateways.roma.records import find_newest_record, is_front_id, list_records
from orchestrator.gateways.roma.requests import DEFINITION, FRONT, HISTORY, SHOW
from orchestrator.gateways.text import show_text
from orchestrator.model.bindings import Bindings
from orchestrator.model.gateway import LookOnlyRestore
from orchestrator.model.obstacles import LOST_BINDINGS, MISSING_HISTORY, UNPUBLISHED_EDITS, Obstacle
from orchestrator.model.reading import (
    Act,
    Completeness,
    FrontEnd,
    LookFacts,
    Operation,
    Reading,
    Snapshot,
    Verdict,
)
from orchestrator.model.target import Target

_SAME_NAMES = ("group_id", "auth_type", "authorizer_id", "cors", "roma_app_id")
_OTHER_NAMES = {"env_id": "run_env_id", "protocol": "req_protocol", "path": "req_uri", "method": "req_method"}
_OF_RECORD = ("group_id", "env_id")
"""Fields that the record of a deployment has too."""
_MANDATORY = ("auth_type", "group_id", "env_id", "protocol")
"""Without these no front-end API is published."""
FRONTS = "fronts"
"""The list of front-end APIs. Among the reads of a target: those that the list names for it."""

NEW_FRONT_END_ID = Obstacle(
    word="new-front-end-id",
    consequence="its front-end API would get a new id",
    question="{count:,} front-end APIs would get a new id. Bring them back all the same? [y/N] ",
)
OBSTACLES = (NEW_FRONT_END_ID, LOST_BINDINGS, UNPUBLISHED_EDITS, MISSING_HISTORY)

LARGEST_FIELD = 4096
"""Characters of one field that a snapshot keeps for the deploy."""


class RomaRestore(LookOnlyRestore, frozen=True):
    """The restore feature: the reads of a snapshot, and the fields of it that a deploy needs.

    Its proof is the look: ``show`` also tells whether a backend API is deployed in full. ROMA Connect keeps
    no revisions, so a snapshot pins none.
    """

    def next_snapshot_read(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read of a snapshot, or the snapshot that the reads so far give."""
        return _next_read(target.parts[0], seen, lacking)

    def next_binding_read(
        self, found: Snapshot, seen: Mapping[str, Reading], lacking: frozenset[str]
    ) -> Operation | Snapshot:
        """Return the next read of what hangs on the front-end APIs, or the snapshot with all of that."""
        return _add_bindings(found, seen, lacking) if found.verdict is Verdict.UP else found

    def next_completion(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Completeness | Reading:
        """Return the next read, or the environments in which the front-end API is not published yet."""
        return next_completion(target, seen, lacking, about)

    def adapt_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what a deploy will not bring back named as an obstacle."""
        return adapt_snapshot(snapshot)


def next_look(seen: Mapping[str, Reading], lacking: frozenset[str]) -> Operation | Reading:
    """Return ``show``, the only look there is, or its reading; the definition off a list is one as well."""
    if SHOW.via in lacking:
        return Reading(verdict=Verdict.NOT_OFFERED)
    return seen.get(SHOW.via) or seen.get(DEFINITION.via) or SHOW


def _next_read(ld_api_id: str, seen: Mapping[str, Reading], lacking: frozenset[str]) -> Operation | Snapshot:
    show = seen.get(DEFINITION.via)
    if show is None:
        if DEFINITION.via in lacking:
            return Snapshot(verdict=Verdict.NOT_OFFERED)
        return DEFINITION
    if show.verdict is not Verdict.UP:
        return _make_snapshot(show)
    listed = _list_fronts(seen.get(FRONTS))
    for front in listed.values() if len(listed) == 1 else ():
        if is_untouched(show.kept, front.get("publish_time")):
            return _go_by_front(show, front)
    return _read_by_history(ld_api_id, show, listed, seen, lacking)


def _read_by_history(
    ld_api_id: str,
    show: Reading,
    listed: Mapping[str, Mapping[str, Any]],
    seen: Mapping[str, Reading],
    lacking: frozenset[str],
) -> Operation | Snapshot:
    """Return the next read, or the snapshot, where the deployment history tells what was published."""
    history = seen.get(HISTORY.via)
    if history is None and HISTORY.via not in lacking:
        return HISTORY
    records = list_records(history.kept if history else None)
    newest = find_newest_record(records, ld_api_id) if records else None
    if newest is None:  # it is deployed, so there was a deployment
        return _keep_without_front(show)
    name = find_text(newest, "api_id")
    if name is None:
        # An id in another form than a text is one that we cannot read, and no sign that there was none.
        is_none = isinstance(newest.get("api_id"), str | None)
        return _keep_backend(show, newest) if is_none else _keep_without_front(show, newest)
    # The id becomes a part of the next read's path; any other text could turn into another path.
    if not is_front_id(name):
        return _keep_without_front(show, newest, name)
    if name in listed:
        return _combine(show, newest, Reading(verdict=Verdict.TOLD, kept=listed[name]), name)
    read = seen.get(f"{FRONT}/{name}")
    return Operation(Act.LOOK, f"{FRONT}/{name}") if read is None else _combine(show, newest, read, name)


def _list_fronts(fronts: Reading | None) -> dict[str, Mapping[str, Any]]:
    """Return by their ids the front-end APIs that the list names for a backend API."""
    listed = fronts.kept["apis"] if fronts is not None and fronts.kept else ()
    return {front["id"]: front for front in listed if is_front_id(front["id"])}


def _go_by_front(show: Reading, front: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of an API that was not edited since its only front-end API was published.

    Its history would name that front-end API, and the definition as it is now.
    """
    record = {
        "api_id": front["id"],
        "group_id": front.get("group_id"),
        "env_id": front.get("run_env_id"),
        "deploy_time": front.get("publish_time"),
        "api_definition": show.kept,
    }
    return _combine(show, record, Reading(verdict=Verdict.TOLD, kept=front), front["id"])


def _add_bindings(
    found: Snapshot, seen: Mapping[str, Reading], lacking: frozenset[str]
) -> Operation | Snapshot:
    bindings = _next_bindings(found, seen, lacking)
    if isinstance(bindings, Operation):
        return bindings
    # Where no front-end API comes back, all that hung on it is lost with it: that has an obstacle already.
    comes_back = bool(decode_deploy(found.deploy).environments)
    lost = (LOST_BINDINGS.word,) if bindings.unread and comes_back else ()
    return replace(found, bindings=bindings, obstacles=(*found.obstacles, *lost))


def _next_bindings(
    found: Snapshot, seen: Mapping[str, Reading], lacking: frozenset[str]
) -> Operation | Bindings:
    listed = _list_fronts(seen.get(FRONTS))
    ours = [found.fronts[0].id] if found.fronts else []
    published = [_find_published(front, found, seen, listed) for front in dict.fromkeys((*ours, *listed))]
    if found.bindings is None and not published:
        return mark_unread("its front-end API could not be read")
    if not all(each.environments for each in published):
        return mark_unread("the environments of its front-end API could not be read")
    return next_bindings(published, seen, lacking)


def _find_published(
    front: str, found: Snapshot, seen: Mapping[str, Reading], listed: Mapping[str, Mapping[str, Any]]
) -> Published:
    """Return where a front-end API is published, as far as the reads tell."""
    deploy = decode_deploy(found.deploy)
    if deploy.environments and front == found.fronts[0].id:
        return Published(front, deploy.environments)
    read = seen.get(f"{FRONT}/{front}")
    fields = listed.get(front) or (read.kept if read is not None and read.kept else {})
    return Published(front, split_environments(fields.get("run_env_id")), is_extra=True)


def _make_snapshot(show: Reading) -> Snapshot:
    return Snapshot(
        verdict=show.verdict,
        code=show.code,
        message=show.message,
        hidden=show.hidden,
        facts=replace(show.facts or LookFacts(), name=_find_name(show.kept)),
    )


def _find_name(definition: Mapping[str, Any] | None) -> str | None:
    """Return the name of a backend API, since its id means nothing to a person."""
    name = find_text(definition, "name") if definition else None
    return show_text(name) if name else None


def _combine(show: Reading, newest: Mapping[str, Any], read: Reading, front: str) -> Snapshot:
    if read.verdict is Verdict.ABSENT:
        return _keep_backend(show, newest)
    if read.verdict is not Verdict.TOLD or read.kept is None:
        # Only the front end tells its time: the record's, which differs, would look like another deploy.
        return _keep_without_front(show, {**newest, "deploy_time": None}, front)
    # The lists tell when it was published, and not when it was deployed: so this holds whatever was read.
    if published := find_newest(read.kept.get("publish_time")):
        newest = {**newest, "deploy_time": published}
    body = _build_deploy(show.kept or {}, newest, read.kept)
    if not all(body.get(name) for name in _MANDATORY) or not split_environments(body["env_id"]):
        return _keep_without_front(show, newest, front)
    body["env_id"], *further = split_environments(body["env_id"])
    if unfit := _find_unfit(body):
        return replace(_keep_without_front(show, newest, front), message=unfit)
    path, name = find_text(read.kept, "req_uri"), find_text(read.kept, "name")
    published_as = FrontEnd(id=_show_id(front), name=name and show_text(name), path=path and show_text(path))
    found = _add_record(show, newest)
    return replace(
        found,
        facts=replace(found.facts, path=published_as.path),
        fronts=(published_as,),
        deploy=encode_deploy(body, further),
        obstacles=(*found.obstacles, NEW_FRONT_END_ID.word),
    )


def _keep_backend(show: Reading, newest: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of a backend API that comes back alone: it has no front-end API, or no more."""
    return replace(_add_record(show, newest), deploy=BACKEND_ALONE, bindings=Bindings())


def _keep_without_front(
    show: Reading, newest: Mapping[str, Any] | None = None, front: str | None = None
) -> Snapshot:
    """Return the snapshot where the front-end API could not be read: only the backend API comes back."""
    found = _add_record(show, newest) if newest else _make_snapshot(show)
    return replace(
        found,
        fronts=(FrontEnd(id=_show_id(front)),) if front else (),
        deploy=WITHOUT_ITS_FRONT,
        obstacles=tuple(dict.fromkeys((*found.obstacles, MISSING_HISTORY.word))),
    )


def _add_record(show: Reading, newest: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot with the facts of the deployment's record added to those of the definition."""
    since = find_text(newest, "deploy_time")
    edited = was_edited(show.kept, newest.get("api_definition"))
    obstacles: dict[bool | None, tuple[str, ...]] = {
        True: (UNPUBLISHED_EDITS.word,),
        None: (MISSING_HISTORY.word,),
    }
    found = _make_snapshot(show)
    facts = replace(found.facts, since=since and show_text(since), edited=edited)
    return replace(found, facts=facts, obstacles=obstacles.get(edited, ()))


def _show_id(text: str) -> str:
    """Return a vendor's id as it can be shown; never empty."""
    return show_text(text) or "(unnamed)"


def _build_deploy(
    backend: Mapping[str, Any], record: Mapping[str, Any], front: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of a deploy that publishes such a front-end API, as far as its fields are known."""
    fields: dict[str, Any] = {"deploy_front_api": True}
    fields |= {name: record[name] for name in _OF_RECORD if record.get(name)}
    fields |= {ours: front[theirs] for ours, theirs in _OTHER_NAMES.items() if front.get(theirs)}
    fields |= {name: front[name] for name in _SAME_NAMES if front.get(name) not in (None, "")}
    if backend.get("roma_app_id"):
        fields["roma_app_id"] = backend["roma_app_id"]  # another one is refused with APIG.3479
    return fields


def _find_unfit(fields: Mapping[str, Any]) -> str | None:
    """Say which field of a deploy cannot be kept, and why: a value that is cut is another value."""
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > LARGEST_FIELD:
            return f"{name} has {len(value):,} characters, more than the {LARGEST_FIELD:,} that are kept"
        if not isinstance(value, str | bool | int | float):
            return f"{name} is neither a text nor a number"
    return None


def find_subjects(kind: str, fields: Mapping[str, Any]) -> list[tuple[Literal["api", "front"], object]]:
    """Return the ids of the backend API and the front-end API that a read of this ``kind`` names."""
    if kind == FRONT:
        return [("front", fields.get("id")), ("api", fields.get("ld_api_id"))]
    return [("api", fields.get("id"))] if kind in (SHOW.via, DEFINITION.via) else []
