"""Checks the traffic store beside a gateway: one search, which changes nothing."""

from __future__ import annotations

from typing import NamedTuple

import anyio

from orchestrator.doctor.findings import STORE, Finding
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.traffic_store import send_to_store
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import was_sent
from orchestrator.model.reading import Reading
from orchestrator.rules.retry import describe
from orchestrator.transport.warnings import list_store_warnings

_ADVICE = "see to usage: elasticsearch; until then in_use: refuse leaves all targets of this gateway"
_SAFER = "see to usage: elasticsearch; the calls are told all the same"

ANSWERS_WITHIN = 15.0
"""Seconds for the one search, connecting included."""


class StoreFindings(NamedTuple):
    """At most one finding, and how many requests it took."""

    findings: tuple[Finding, ...]
    requests: int


async def check_store(gateway: Gateway, environment: Environment) -> StoreFindings:
    """Find whether the store is reached, lets the credential in, and holds the hours that are asked of it.

    Nothing for a gateway without a store. A fault leaves something unread, and is a warning:
    undeploys need no store.
    """
    if (check := gateway.store_check) is None:
        return StoreFindings((), 0)
    with anyio.move_on_after(ANSWERS_WITHIN):
        found, answer = await send_to_store(environment, gateway, check.read)
        requests = int(was_sent(answer))
        if isinstance(found, Reading):
            return StoreFindings((Finding.missed(STORE, describe(found), _ADVICE),), requests)
        text = check.describe(found, environment.now())
        if told := list_store_warnings(gateway):
            return StoreFindings((Finding.warning(STORE, "; ".join((text, *told)), _SAFER),), requests)
        return StoreFindings((Finding.ok(STORE, text),), requests)
    return StoreFindings((Finding.missed(STORE, f"no reply within {ANSWERS_WITHIN:g} s", _ADVICE),), 1)
