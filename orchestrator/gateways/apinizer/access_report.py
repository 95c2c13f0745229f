"""Apinizer's report of who may call which proxy, of those that are shared with other organizations.

After the vendor's page "Organization API Data Model Access Report". The report comes as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from orchestrator.gateways.apinizer.replies import is_success
from orchestrator.gateways.apinizer.report import read_report_refusal
from orchestrator.gateways.envelope import find_text, parse_object
from orchestrator.gateways.text import list_first
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading
from orchestrator.text.names import to_nfc

ACCESS_PATH = ("reports", "organization-api-data-model-access")
"""Under ``/apiops/``, without a slash at its end."""


class ProxyCallers(NamedTuple):
    """The first of those who may call a proxy, and how many more there are."""

    names: tuple[str, ...]
    more: int


class AccessReport(Struct, frozen=True):
    """Who may call, by project and proxy (both in NFC)."""

    callers: Mapping[tuple[str, str], ProxyCallers]


def read_access(reply: Reply) -> AccessReport | Reading:
    """Read the report, or why there is none. NOT_OFFERED for a 401, which is no bad token here."""
    body = parse_object(reply)
    result = (body or {}).get("result") if reply.status == 200 and is_success(body) else None
    listed = result.get("apiAccessList") if isinstance(result, dict) else None
    if not isinstance(listed, list):
        return read_report_refusal(reply, body)
    named: dict[tuple[str, str], list[str]] = {}
    for entry in _list_objects(listed):
        if (name := find_text(entry, "name")) and (project := find_text(entry, "projectName")):
            named.setdefault((to_nfc(project), to_nfc(name)), []).extend(_list_callers(entry))
    return AccessReport({key: ProxyCallers(*list_first(names)) for key, names in named.items()})


def _list_callers(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of each credential that may call one of the methods, with its organization."""
    for method in _list_objects(entry.get("methodList")):
        for credential in _list_objects(method.get("credentialList")):
            organization = credential.get("organization")
            owner = find_text(organization, "name") if isinstance(organization, dict) else None
            if name := find_text(credential, "username", "description", "id"):
                yield f"{name} ({owner})" if owner else name


def _list_objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
