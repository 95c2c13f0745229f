"""ROMA Connect's bindings from their other side: each application or policy, and its front-end APIs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.gateways.envelope import find_text
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.roma.binding_replies import (
    is_binding_id,
    keep_settings,
    read_page,
    read_refused_bindings,
)
from orchestrator.gateways.roma.binding_types import (
    BINDING_TYPES,
    LONGEST_PAGE,
    BindingType,
    decode_bound_read,
)
from orchestrator.gateways.roma.definition import split_environments
from orchestrator.gateways.roma.requests import RomaRequests
from orchestrator.gateways.text import show_text
from orchestrator.model.credentials import Access
from orchestrator.model.features import BindingPlace
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, ListPage, Operation, Reading, Verdict

_STRANGE = Reading(verdict=Verdict.UNCLEAR, message="an entry has no id, or settings of a strange form")

_NOTHING = Reading(verdict=Verdict.TOLD, kept={"bound": [], "size": 0, "total": 0})
"""What most front-end APIs have of most types."""


class RomaBindings(Struct, frozen=True):
    """The binding feature of one instance. A row is what a snapshot keeps of a binding, as JSON."""

    requests: RomaRequests

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the five types."""
        return tuple(BINDING_TYPES)

    @property
    def page_size(self) -> int:
        """The longest pages that there are."""
        return LONGEST_PAGE

    def find_place(self, operation: Operation) -> BindingPlace | None:
        """Return the front-end API and the environment whose bindings are read, at their first page."""
        read = decode_bound_read(operation.via) if operation.act is Act.LOOK else None
        if read is None or read.offset:
            return None
        return BindingPlace(read.type.key, (read.front, read.environment))

    def list_reads(self, place: tuple[str, ...]) -> Sequence[tuple[str, str]]:
        """Return the five reads of a front-end API in one environment."""
        front, environment = place
        return [(key, f"{key}/{front}/{environment}") for key in BINDING_TYPES]

    def describe_owners(self, name: str) -> str:
        """Return the plural of a type's word."""
        return BINDING_TYPES[name].plural

    def describe_owner(self, name: str, owner: tuple[str, ...], row: Any) -> str:
        """Return the words for the front-end APIs of an application or a policy, by its name."""
        return f"front ends of {BINDING_TYPES[name].word} {row or owner[0]}"

    def build_owners(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
        """Build the request for one page of all applications, or of all policies of one type."""
        return self.requests.build_page(BINDING_TYPES[name].owners_path, offset, access, now, size=size)

    def read_owners(self, name: str, reply: Reply) -> ListPage | Reading:
        """Read a page of applications or policies: their ids and names, and no other field."""
        if reply.status != 200:
            return read_refused_bindings(reply)
        of = BINDING_TYPES[name]
        page = read_page(of.owners_path, reply)
        if isinstance(page, Reading):
            return page
        ids = [fields.get(of.owner_id) for fields in page.entries]
        if not all(map(is_binding_id, ids)):
            return _STRANGE
        names = [show_text(find_text(fields, of.owner_name) or "") for fields in page.entries]
        rows = [((str(each),), known) for each, known in zip(ids, names, strict=True)]
        return ListPage(rows=rows, size=len(rows), total=page.total)

    def build_places(
        self, name: str, owner: tuple[str, ...], offset: int, size: int, access: Access, *, now: float
    ) -> Request:
        """Build the request for one page of the front-end APIs of an application or a policy."""
        path = BINDING_TYPES[name].owner_side.build_path(owner[0])
        return self.requests.build_page(path, offset, access, now, size=size)

    def read_places(self, name: str, owner: tuple[str, ...], row: Any, reply: Reply) -> ListPage | Reading:
        """Read a page of those: each front-end API with its environment."""
        if reply.status != 200:
            return read_refused_bindings(reply)
        of = BINDING_TYPES[name]
        page = read_page(of.owner_side.entries, reply)
        if isinstance(page, Reading):
            return page
        rows: list[tuple[tuple[str, ...], bytes]] = []
        for fields in page.entries:
            if names_another(fields.get(of.owner_key), owner[0]):
                return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
            places = _find_places(of, fields)
            settings = keep_settings(of, fields)
            if not places or settings is None:
                return _STRANGE
            kept = _encode(owner[0], row, settings)
            rows += [(place, kept) for place in places]
        return ListPage(rows=rows, size=len(page.entries), total=page.total)

    def read_place(self, rows: Sequence[Any]) -> Reading:
        """Return the reading of a read of one front-end API in one environment."""
        if not rows:
            return _NOTHING
        bound = [msgspec.json.decode(row) for row in rows]
        return Reading(verdict=Verdict.TOLD, kept={"bound": bound, "size": len(bound), "total": len(bound)})

    def covers(self, rows: Sequence[Any], alone: Reading) -> bool:
        """Return whether all that a single read shows is among the rows, with the same settings."""
        known = [_drop_name(msgspec.json.decode(row)) for row in rows]
        shown = (alone.kept or {}).get("bound", ())
        return all(_drop_name(each) in known for each in shown)


def _find_places(of: BindingType, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the front-end API of an entry with each of its environments; nothing where an id is none."""
    front, environments = (
        fields.get(of.owner_side.id),
        split_environments(fields.get(of.owner_side.environment)),
    )
    if not is_binding_id(front) or not all(map(is_binding_id, environments)):
        return []
    # Interned, as the list of front-end APIs has the same ids.
    return [(sys.intern(str(front)), sys.intern(each)) for each in environments]


def _encode(owner: str, name: str | None, settings: Mapping[str, Any]) -> bytes:
    fields = {"id": owner, "name": name, "settings": settings}
    return msgspec.json.encode({key: value for key, value in fields.items() if value})


def _drop_name(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a binding without its name, which the two sides may write in two ways."""
    return {key: value for key, value in fields.items() if key != "name"}
