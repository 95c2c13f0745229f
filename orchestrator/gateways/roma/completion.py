"""What follows a deploy of ROMA Connect: further publishes, and creates of what hung on the front-end API.

After the API reference: "Deploying a Backend API", "Publishing an API or Taking an API Offline".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from orchestrator.gateways.envelope import find_text, parse_object
from orchestrator.gateways.roma.binding_types import BINDING_TYPES, BindingType, BoundCreate, BoundRead
from orchestrator.gateways.roma.bindings import join_pages
from orchestrator.gateways.roma.definition import split_environments
from orchestrator.gateways.roma.kept_deploy import KeptDeploy, LostFront, decode_deploy
from orchestrator.gateways.roma.records import find_newest_record, is_front_id, is_record_of, list_records
from orchestrator.gateways.roma.requests import FRONT, HISTORY, encode_publish
from orchestrator.gateways.text import show_text
from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.http import Reply
from orchestrator.model.obstacles import LOST_BINDINGS, MISSING_HISTORY, Obstacle
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.text.counting import make_plural

_FRONT_KEY = "api_id"
_LOST_FRONTS = {
    LostFront.KNOWN: "its front-end API and all that hung on it",
    LostFront.POSSIBLE: "its front-end API, if it had one, and all that hung on it",
}

_Wanted: TypeAlias = Mapping[str, Mapping[str, Sequence[Binding]]]
"""The bindings that a restore may create, by environment and by the key of their type."""
_Publications: TypeAlias = Mapping[str, str | None]
"""The environments in which a front-end API is published, with the id of each publication if it is told."""


def next_completion(
    target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> Operation | Completeness | Reading:
    """Return the next read, or the environments and bindings that the new front-end API still lacks.

    Nothing is read that the snapshot has not seen: a front-end API that was published in one environment, and
    on which nothing hung, is whole after its deploy.
    """
    kept, wanted = decode_deploy(target.deploy), _group_bindings(target.bindings)
    lost = tuple(_list_lost(kept, target.bindings))
    if not wanted and len(kept.environments) < 2:
        return Completeness(lost)
    front = _find_front(target.parts[0], seen, lacking, about)
    if front is None:
        every = (*map(_name_environment, kept.environments), *map(name_binding, _list_wanted(wanted)))
        return Completeness((*(MissingPart(each, None) for each in every), *lost))
    if not isinstance(front, str):
        return front
    publications = _find_publications(front, kept, wanted, seen)
    if isinstance(publications, Operation):
        return publications
    missing: list[MissingPart] = []
    for part in _list_missing(front, kept, wanted, publications, _BoundReads(front, seen, lacking)):
        if isinstance(part, Operation):
            return part
        missing.append(part)
    return Completeness((*missing, *lost))


def _group_bindings(bindings: Bindings | None) -> dict[str, dict[str, list[Binding]]]:
    keys = {each.word: each.key for each in BINDING_TYPES.values()}
    grouped: dict[str, dict[str, list[Binding]]] = {}
    for each in bindings.found if bindings is not None else ():
        if each.front is None:
            grouped.setdefault(each.environment, {}).setdefault(keys[each.what], []).append(each)
    return grouped


def _list_wanted(wanted: _Wanted) -> Iterator[Binding]:
    for by_type in wanted.values():
        for bindings in by_type.values():
            yield from bindings


def _list_lost(kept: KeptDeploy, bindings: Bindings | None) -> Iterator[MissingPart]:
    """Yield what belonged to the target, or may have, and that no request can bring back."""
    if kept.lost_front:
        # Who accepts that loss has accepted the loss of all that hung on any front-end API.
        yield _lose(_LOST_FRONTS[kept.lost_front], MISSING_HISTORY)
        return
    if kept.environments:
        yield from _list_unread(bindings)
    for each in bindings.found if bindings is not None else ():
        if each.front is not None:
            yield MissingPart(f"{name_binding(each)} on the further front-end API {each.front}", None)


def _list_unread(bindings: Bindings | None) -> Iterator[MissingPart]:
    if bindings is None:
        yield _lose("what hung on its front-end API, which was never read", LOST_BINDINGS)
        return
    for gap in dict.fromkeys(bindings.unread):
        yield _lose(f"its {make_plural(gap.what)}, which were never read ({gap.why})", LOST_BINDINGS)


def _lose(name: str, obstacle: Obstacle) -> MissingPart:
    return MissingPart(name, None, obstacle=obstacle.word)


def _find_publications(
    front: str, kept: KeptDeploy, wanted: _Wanted, seen: Mapping[str, Reading]
) -> Operation | _Publications:
    """Return where the front-end API is published, or the read of it where that needs one."""
    keys = {key for by_type in wanted.values() for key in by_type}
    if len(kept.environments) < 2 and not any(BINDING_TYPES[key].is_of_publication for key in keys):
        return dict.fromkeys(kept.environments)
    shown = seen.get(f"{FRONT}/{front}")
    if shown is None:
        return Operation(Act.LOOK, f"{FRONT}/{front}")
    fields = shown.kept or {}
    environments = split_environments(fields.get("run_env_id"))
    ids = split_environments(fields.get("publish_id"))
    # The vendor joins both in one order. A list of another length names none of them for sure.
    is_whole = len(ids) == len(environments) and all(map(is_front_id, ids))
    return dict(zip(environments, ids, strict=True)) if is_whole else dict.fromkeys(environments)


class _BoundReads:
    """What hangs on the new front-end API, as far as it was read."""

    def __init__(self, front: str, seen: Mapping[str, Reading], lacking: frozenset[str]) -> None:
        self._front = front
        self._seen = seen
        self._lacking = lacking

    def find_missing(
        self, of: BindingType, environment: str, wanted: Sequence[Binding], publication: str | None
    ) -> Iterator[MissingPart | Operation]:
        """Yield the bindings of one type and environment that are missing, or the read still needed."""
        read = BoundRead(of, self._front, environment)
        bound = join_pages(read, self._seen, self._lacking)
        if isinstance(bound, Operation):
            yield bound
            return
        if isinstance(bound, UnreadBindings):
            yield from (MissingPart(f"{name_binding(each)} (no read: {bound.why})", None) for each in wanted)
            return
        there = {each.id: each for each in bound}
        for each in wanted:
            if each.id not in there:
                step = self._make_create(of, each, publication)
                yield MissingPart(name_binding(each), step, read.operation.via)
            elif not _has_settings(there[each.id], each):
                # Another create of the pair may be refused, or change nothing: a person has to mend it.
                yield MissingPart(f"the settings of {name_binding(each)}", None, read.operation.via)

    def _make_create(self, of: BindingType, binding: Binding, publication: str | None) -> Operation | None:
        if of.is_of_publication and publication is None:
            return None
        named = publication if of.is_of_publication else None
        return BoundCreate(of, self._front, binding.environment, binding.id, named).operation


def _list_missing(
    front: str, kept: KeptDeploy, wanted: _Wanted, publications: _Publications, reads: _BoundReads
) -> Iterator[MissingPart | Operation]:
    """Yield what is missing, environment by environment; or the read that is still needed."""
    for environment in dict.fromkeys((*kept.environments, *wanted)):
        by_type = wanted.get(environment, {})
        if environment in publications:
            for key, bindings in by_type.items():
                yield from reads.find_missing(
                    BINDING_TYPES[key], environment, bindings, publications[environment]
                )
            continue
        publish = encode_publish(front, environment)
        yield MissingPart(_name_environment(environment), publish, f"{FRONT}/{front}")
        # Only a publication can have bindings, so these come after it: until then no request creates them.
        for bindings in by_type.values():
            yield from (MissingPart(name_binding(each), None) for each in bindings)


def _has_settings(there: Binding, wanted: Binding) -> bool:
    """Return whether a binding has all settings that it had, in whatever order their values stand."""
    return all(
        _sort_values(there.settings.get(name)) == _sort_values(value)
        for name, value in wanted.settings.items()
    )


def _sort_values(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | tuple) else value


def name_binding(binding: Binding) -> str:
    """Return one binding in words: ``application web-shop in environment test``."""
    return (
        f"{binding.what} {show_text(binding.name or binding.id)} in {_name_environment(binding.environment)}"
    )


def _name_environment(environment: str) -> str:
    return f"environment {show_text(environment)}"


def _find_front(
    ld_api_id: str, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> str | Operation | Reading | None:
    """Return the id of the front-end API that the newest deploy published; None if it published none.

    The reply to the deploy names it; if that was lost, so does the deployment history. Returns the read of
    the history where it is still needed, and a reading where it does not tell.
    """
    if about is not None and about.kept and is_front_id(name := find_text(about.kept, _FRONT_KEY) or ""):
        return name
    if HISTORY.via in lacking:
        return Reading(verdict=Verdict.NOT_OFFERED, message="no deployment history is offered")
    if (history := seen.get(HISTORY.via)) is None:
        return HISTORY
    newest = find_newest_record(list_records(history.kept) or [], ld_api_id)
    if newest is None:
        return Reading(verdict=Verdict.UNCLEAR, message="the deployment history names no deployment")
    front = find_text(newest, _FRONT_KEY)
    if front and not is_front_id(front):
        return Reading(verdict=Verdict.UNCLEAR, message="the deployment history names no front-end API")
    return front or None


def read_deploy(ld_api_id: str, reply: Reply) -> Reading:
    """Read the answer 200 to a deploy: the record of the deployment is evidence, anything else is doubt."""
    fields = parse_object(reply)
    if fields and find_text(fields, "id") and is_record_of(fields, ld_api_id):
        front = find_text(fields, _FRONT_KEY)
        return Reading(verdict=Verdict.REMOVED, evidence="code", kept={_FRONT_KEY: front} if front else None)
    return Reading(verdict=Verdict.STRANGE, message="200 without the record of a deployment")


def read_publication(front: str, environment: str, reply: Reply) -> Reading:
    """Read the answer 201 to a publish: the record of this very publication is evidence."""
    fields = parse_object(reply) or {}
    names = (find_text(fields, _FRONT_KEY), find_text(fields, "env_id"))
    if find_text(fields, "publish_id") and names == (front, environment):
        return Reading(verdict=Verdict.REMOVED, evidence="code")
    return Reading(verdict=Verdict.STRANGE, message=f"{reply.status} without the record of the publication")
