"""ROMA Connect's two lists, in place of up to three reads for each target: front ends, and backend APIs.

An entry of the first names the backend API that it was published for, so the two are joined by that id.
After the API reference: "Querying APIs", "Querying Backend APIs".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import as_count, describe_reply, parse_object
from orchestrator.gateways.roma.definition import NEEDED, FieldDigest, condense_definition, is_untouched
from orchestrator.gateways.roma.records import is_front_id
from orchestrator.gateways.roma.replies import (
    judge_definition,
    read_refused_look,
    tell_definition,
    tell_no_absence,
)
from orchestrator.gateways.roma.requests import DEFINITION, RomaRequests
from orchestrator.gateways.roma.snapshot import FRONTS
from orchestrator.model.credentials import Access
from orchestrator.model.features import ListRows
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import ListPage, Reading, Verdict
from orchestrator.model.target import Target

LONGEST_PAGE = 500
"""Entries; the vendor's own limit."""

LARGEST_PAGE = 16 * 1024 * 1024
"""Bytes of a page. Definitions hold their scripts: 500 of them may have 32 KB each."""

BACKENDS = "backends"

LONGEST_ROW = 2048
"""Characters of an entry that are kept. Of one that has more, all is read alone: 100,000 may be listed."""

MOST_FIELDS = 100
"""Fields of a definition that are compared; the vendor's has twenty."""

_SHORT = 64
"""Characters up to which a text may well be that of many front ends, and is kept once."""


class FrontRow(Struct, frozen=True, kw_only=True):
    """A front-end API, as far as a deploy and the facts of a snapshot need it."""

    id: Any = None
    name: Any = None
    group_id: Any = None
    run_env_id: Any = None
    publish_time: Any = None
    req_protocol: Any = None
    req_method: Any = None
    req_uri: Any = None
    auth_type: Any = None
    authorizer_id: Any = None
    cors: Any = None
    roma_app_id: Any = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self | None:
        """Return the row of an entry; None where it is too long to keep, or a field has a strange type."""
        values = {name: fields.get(name) for name in cls.__struct_fields__}
        if not _is_id(values["id"]) or not all(map(_is_plain, values.values())):
            return None
        if _measure(values.values()) > LONGEST_ROW:
            return None
        return cls(**{name: _share(value) for name, value in values.items()})


class BackendRow(Struct, frozen=True):
    """The state of a backend API, and what a snapshot needs of its definition."""

    verdict: Verdict
    name: str | None = None
    roma_app_id: str | None = None
    modified_time: str | None = None
    digests: Mapping[str, FieldDigest] | None = None
    """The other fields, where they are to be compared with those that were deployed."""

    @classmethod
    def of(cls, fields: dict[str, Any], *, comparable: bool) -> BackendRow:
        """Return the row of an entry, of no state where there is too much to keep."""
        kept = condense_definition(fields, comparable=comparable)
        texts = {name: _share(kept.pop(name, None)) for name in NEEDED}
        if _measure((*texts.values(), *kept)) > LONGEST_ROW or len(kept) > MOST_FIELDS:
            return _STATES[Verdict.UNCLEAR]
        return cls(judge_definition(fields), **texts, digests=kept or None)

    @property
    def kept(self) -> dict[str, Any]:
        """The definition, as far as it is kept."""
        texts = ((name, getattr(self, name)) for name in NEEDED)
        return {**(self.digests or {}), **{name: text for name, text in texts if text is not None}}

    def make_reading(self) -> Reading:
        """Return the reading that the single read of this definition would have given."""
        kept = self.kept
        return tell_definition(self.verdict, kept, kept)


_STATES = {verdict: BackendRow(verdict) for verdict in Verdict}
"""The rows of a list that is read for its states alone: few objects, however long the list is."""


class RomaListing(Struct, frozen=True):
    """The list feature of one instance."""

    requests: RomaRequests

    @property
    def names(self) -> tuple[str, ...]:
        """The front ends before the backend APIs: which definitions to compare depends on the front ends."""
        return (FRONTS, BACKENDS)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The backend APIs: their status alone tells whether they are deployed."""
        return (BACKENDS,)

    @property
    def tells_deployments(self) -> bool:
        """True: a front end tells when it was published, and where that may be old the history is read."""
        return True

    @property
    def omission(self) -> str:
        """The lists show what the credential has grants for, and count nothing else."""
        return "the credential may lack the grants for some applications"

    @property
    def has_pages(self) -> bool:
        """True: offset and limit."""
        return True

    @property
    def page_size(self) -> int:
        """The longest pages that there are."""
        return LONGEST_PAGE

    def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
        """Build the request for ``size`` entries behind ``offset`` others."""
        build = self.requests.build_front_list if name == FRONTS else self.requests.build_list
        return replace(build(offset, size, access, now), largest=LARGEST_PAGE)

    def read(self, name: str, reply: Reply, earlier: ListRows | None) -> ListPage | Reading:
        """Read a page of front ends or of LdApiInfo, or why there is none."""
        fields = parse_object(reply) if reply.status == 200 else None
        apis, total = (fields or {}).get("apis"), as_count((fields or {}).get("total"))
        if not isinstance(apis, list) or total is None:
            unreadable = Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
            return unreadable if reply.status == 200 else tell_no_absence(read_refused_look(reply))
        key = "ld_api_id" if name == FRONTS else "id"
        named = [api for api in apis if isinstance(api, dict) and _is_id(api.get(key))]
        make_row = FrontRow.of if name == FRONTS else _choose_reader(earlier)
        rows = [((sys.intern(api[key]),), make_row(api)) for api in named]
        return ListPage(rows=rows, size=len(apis), total=total)

    def read_target(
        self,
        target: Target,  # noqa: ARG002
        rows: Mapping[str, Sequence[Any]],
    ) -> Mapping[str, Reading]:
        """Return the definition, which is a look as well, and the front ends that are listed for it.

        Nothing of a list whose entries contradict each other.
        """
        readings = {}
        definitions: Sequence[BackendRow] = rows.get(BACKENDS, ())
        if len(definitions) == 1 and definitions[0].verdict is not Verdict.UNCLEAR:
            readings[DEFINITION.via] = definitions[0].make_reading()
        fronts: Sequence[FrontRow | None] | None = rows.get(FRONTS)
        if fronts is not None and _agree(fronts):
            kept = {"apis": [msgspec.structs.asdict(front) for front in fronts if front is not None]}
            readings[FRONTS] = Reading(verdict=Verdict.TOLD, kept=kept)
        return readings


def _choose_reader(earlier: ListRows | None) -> Callable[[dict[str, Any]], BackendRow]:
    """Return the reader of a backend's entry: a digest of each field only where the history is to be read."""
    if earlier is None:
        return lambda api: _STATES[judge_definition(api)]
    fronts = earlier.get(FRONTS)

    def make_row(api: dict[str, Any]) -> BackendRow:
        listed = () if fronts is None else fronts.get((api["id"],), ())
        spares_history = _spares_history(api, listed)
        return BackendRow.of(api, comparable=not spares_history)

    return make_row


def _spares_history(definition: Mapping[str, Any], fronts: Sequence[FrontRow | None]) -> bool:
    match fronts:
        case [FrontRow() as front]:
            return is_untouched(definition, front.publish_time)
    return False


def _agree(fronts: Sequence[FrontRow | None]) -> bool:
    """Return whether each front end stands there once, and can be kept."""
    ids = {front.id for front in fronts if front is not None}
    return len(ids) == len(fronts)


def _is_id(value: object) -> bool:
    """Return whether a value may be the id of a backend API, and so a target, or of a front end."""
    return isinstance(value, str) and is_front_id(value)


def _measure(values: Iterable[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


def _share(value: Any) -> Any:
    """Return a value; of a short text the one object that all rows share."""
    return sys.intern(value) if type(value) is str and len(value) <= _SHORT else value
