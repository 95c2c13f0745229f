"""Apinizer's list: the administrator's report, in place of a deploy-status for each target.

The report knows neither the revision that is deployed nor when it was deployed, and nothing of pods. So
its "undeployed" still wants the word of the pods, and where an approval holds it replaces nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.apinizer.groups import REPORT as GROUP_REPORT
from orchestrator.gateways.apinizer.groups import list_groups
from orchestrator.gateways.apinizer.looks import STATUS
from orchestrator.gateways.apinizer.replies import is_cut
from orchestrator.gateways.apinizer.report import (
    LARGEST_REPORT,
    PATH,
    ReportedPlace,
    is_group,
    list_reported,
    read_proxy,
    read_report_refusal,
)
from orchestrator.gateways.apinizer.requests import ApinizerRequests
from orchestrator.gateways.envelope import parse_object
from orchestrator.model.credentials import Access
from orchestrator.model.features import ListRows
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import ListPage, LookFacts, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.text.names import to_nfc

REPORT = "proxies"
"""The name of the one list, as people read it where the list is refused."""

_AS_DEPLOYED = Reading(verdict=Verdict.UP, evidence="look", facts=LookFacts(deployed=True, edited=False))
_UNDEPLOYED = Reading(verdict=Verdict.DOWN, evidence="look", facts=LookFacts(deployed=False))
_UNTOLD = Reading(verdict=Verdict.UNCLEAR)


class ApinizerListing(Struct, frozen=True):
    """The list feature of one manager."""

    requests: ApinizerRequests

    @property
    def names(self) -> tuple[str, ...]:
        """The report alone."""
        return (REPORT,)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The report: all that it tells is states."""
        return (REPORT,)

    @property
    def tells_deployments(self) -> bool:
        """False: the revision and the time of the last deploy are in deploy-status alone."""
        return False

    @property
    def omission(self) -> None:
        """None: an environment to which a proxy was never deployed is in no report."""

    @property
    def has_pages(self) -> bool:
        """False: the report comes as a whole."""
        return False

    @property
    def page_size(self) -> int:
        """More entries than a report has bytes: it is one page."""
        return LARGEST_REPORT

    def build_request(
        self,
        name: str,  # noqa: ARG002
        offset: int,  # noqa: ARG002
        size: int,  # noqa: ARG002
        access: Access,
        *,
        now: float,  # noqa: ARG002
    ) -> Request:
        """Build the request for the report."""
        return replace(self.requests.build_read("/".join(PATH), access), largest=LARGEST_REPORT)

    def read(self, name: str, reply: Reply, earlier: ListRows | None) -> ListPage | Reading:  # noqa: ARG002
        """Read the report as one page, or why there is none.

        NOT_OFFERED for a 401, too: a token without the role gets one, and is no bad token.
        """
        body = parse_object(reply)
        entries = list_reported(reply, body)
        if entries is None:
            return read_report_refusal(reply, body)
        rows = [row for entry in entries if isinstance(entry, dict) for row in _list_rows(entry)]
        # A group that was not sent would not be warned of.
        groups = {} if is_cut(body, entries) else {GROUP_REPORT: list_groups(entries)}
        return ListPage(rows=rows, size=len(entries), total=len(entries), spared=groups)

    def read_target(
        self,
        target: Target,  # noqa: ARG002
        rows: Mapping[str, Sequence[Any]],
    ) -> Mapping[str, Reading]:
        """Return the deploy-status that the report stands for; nothing where its entries contradict."""
        readings: Sequence[Reading] = rows.get(REPORT, ())
        if len(readings) != 1 or readings[0].verdict is Verdict.UNCLEAR:
            return {}
        return {STATUS.via: readings[0]}


def _list_rows(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Reading]]:
    """Yield a row for each environment that an entry names, also where it does not tell the state there."""
    proxy = None if is_group(entry) else read_proxy(entry)
    if proxy is None or proxy.places is None:
        return
    head = to_nfc(proxy.project), to_nfc(proxy.name)
    for environment, place in proxy.places.items():
        yield (*head, to_nfc(environment)), _make_reading(place)


def _make_reading(place: ReportedPlace) -> Reading:
    if place.deployed is False:
        return _UNDEPLOYED
    # Where edits were never deployed, the revision is the one way back to what runs now: only deploy-status
    # tells it.
    return _AS_DEPLOYED if place.deployed and place.edited is False else _UNTOLD
