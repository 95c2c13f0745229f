"""The records of a backend API's deployments, and the front-end APIs that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.gateways.envelope import as_count, find_text
from orchestrator.gateways.naming import names_another

_RECORDS = ("deploys", "histories")
"""The names of the list of deployments in V1 and in V2."""

_FRONT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_front_id(text: str) -> bool:
    """Return whether a text may be the id of a front-end API, and so a part of a path."""
    return _FRONT_ID.fullmatch(text) is not None


def list_records(fields: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    """Return the deployments that a deployment history lists; None where it is not readable.

    None as well where it is cut, and may lack the newest deployment.
    """
    listed = next((fields[key] for key in _RECORDS if key in fields), None) if fields else None
    if fields is None or not isinstance(listed, list) or may_lack_newest(fields, listed):
        return None
    return [entry for entry in listed if isinstance(entry, dict)]


def may_lack_newest(fields: Mapping[str, Any], listed: list[Any]) -> bool:
    """Return whether a history counts more deployments than it lists, and the newest may be left out.

    The vendor names no pages of a history. Of a cut one the first records are the newest only if those that
    are shown come newest first.
    """
    total = as_count(fields.get("total"))
    if total is None or total <= len(listed):
        return False
    times = [(find_text(one, "deploy_time") or "") if isinstance(one, dict) else "" for one in listed]
    return times != sorted(times, reverse=True) or len(set(times)) < 2


def find_newest_record(records: list[dict[str, Any]], ld_api_id: str) -> dict[str, Any] | None:
    """Return the newest deployment; the order of the list is not promised, RFC 3339 with Z sorts as text."""
    ours = [one for one in records if is_record_of({"ld_api_id": ld_api_id, **one}, ld_api_id)]
    return max(ours, key=lambda one: find_text(one, "deploy_time") or "", default=None)


def is_record_of(record: Mapping[str, Any], ld_api_id: str) -> bool:
    """Return whether the record of a deployment is of this backend API, and its definition too."""
    then = record.get("api_definition")
    of_another = isinstance(then, dict) and names_another(then.get("id"), ld_api_id)
    return record.get("ld_api_id") == ld_api_id and not of_another
