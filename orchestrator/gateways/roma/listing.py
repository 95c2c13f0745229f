"""ROMA Connect's list of backend APIs, as one look for many."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.gateways.envelope import as_count, describe_reply, parse_object
from orchestrator.gateways.roma.replies import read_definition, read_refused_look
from orchestrator.gateways.roma.requests import RomaRequests
from orchestrator.model.credentials import Access
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Reading, StatePage, Verdict

LONGEST_PAGE = 500
"""Entries; the vendor's own limit."""


class RomaListing(Struct, frozen=True):
    """The list feature of one instance."""

    requests: RomaRequests

    @property
    def page_size(self) -> int:
        """The longest pages that there are."""
        return LONGEST_PAGE

    def build_request(self, offset: int, access: Access, *, now: float) -> Request:
        """Build the request for the page behind ``offset`` entries."""
        return self.requests.build_list(offset, LONGEST_PAGE, access, now)

    def read(self, reply: Reply) -> StatePage | Reading:
        """Read a page of LdApiInfo, or why there is none."""
        fields = parse_object(reply) if reply.status == 200 else None
        apis, total = (fields or {}).get("apis"), as_count((fields or {}).get("total"))
        if not isinstance(apis, list) or total is None:
            unreadable = Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
            return unreadable if reply.status == 200 else read_refused_look(reply)
        entries: dict[tuple[str, ...], Reading] = {}
        for api in apis:
            if isinstance(api, dict) and isinstance(api.get("id"), str):
                key = (api["id"],)
                entries[key] = _merge(entries.get(key), read_definition(api, api))
        states = {key: entry.verdict for key, entry in entries.items()}
        return StatePage(states=states, size=len(apis), total=total, entries=entries)


def _merge(before: Reading | None, now: Reading) -> Reading:
    """Return what the entries of one id say together: nothing, where they contradict each other."""
    if before is None or before.verdict is now.verdict:
        return now
    return Reading(verdict=Verdict.UNCLEAR, message="the list has it twice, in two states")
