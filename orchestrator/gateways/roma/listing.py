"""ROMA Connect's list of backend APIs: the definitions of many in place of one read for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from orchestrator.gateways.envelope import as_count, describe_reply, parse_object
from orchestrator.gateways.roma.replies import read_definition, read_refused_look
from orchestrator.gateways.roma.requests import DEFINITION, RomaRequests
from orchestrator.model.credentials import Access
from orchestrator.model.features import ListRows
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import ListPage, Reading, Verdict
from orchestrator.model.target import Target

LONGEST_PAGE = 500
"""Entries; the vendor's own limit."""

BACKENDS = "backends"


class RomaListing(Struct, frozen=True):
    """The list feature of one instance."""

    requests: RomaRequests

    @property
    def names(self) -> tuple[str, ...]:
        """The backend APIs."""
        return (BACKENDS,)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The backend APIs: their status alone tells whether they are deployed."""
        return (BACKENDS,)

    @property
    def page_size(self) -> int:
        """The longest pages that there are."""
        return LONGEST_PAGE

    def build_request(
        self,
        name: str,  # noqa: ARG002
        offset: int,
        size: int,
        access: Access,
        *,
        now: float,
    ) -> Request:
        """Build the request for ``size`` entries behind ``offset`` others."""
        return self.requests.build_list(offset, size, access, now)

    def read(self, name: str, reply: Reply, earlier: ListRows) -> ListPage | Reading:  # noqa: ARG002
        """Read a page of LdApiInfo, or why there is none."""
        fields = parse_object(reply) if reply.status == 200 else None
        apis, total = (fields or {}).get("apis"), as_count((fields or {}).get("total"))
        if not isinstance(apis, list) or total is None:
            unreadable = Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
            return unreadable if reply.status == 200 else read_refused_look(reply)
        rows = [
            ((api["id"],), read_definition(api, api))
            for api in apis
            if isinstance(api, dict) and isinstance(api.get("id"), str)
        ]
        return ListPage(rows=rows, size=len(apis), total=total)

    def read_target(
        self,
        target: Target,  # noqa: ARG002
        rows: Mapping[str, Sequence[Any]],
    ) -> Mapping[str, Reading]:
        """Return the definition, which is a look as well; nothing where two entries contradict each other."""
        definitions: Sequence[Reading] = rows.get(BACKENDS, ())
        if len(definitions) != 1 or definitions[0].verdict is Verdict.UNCLEAR:
            return {}
        return {DEFINITION.via: definitions[0]}
