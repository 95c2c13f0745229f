"""The diagnoses as text: one line a gateway, rows of a table, JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from orchestrator.doctor.findings import Finding, FindingState, GatewayDiagnosis
from orchestrator.text.characters import make_visible

SCHEMA = 1
HEADINGS = ("gateway", "check", "state", "found", "what to do")
_SUMMARY = ("life", "version", "targets", "latency")
"""The checks that the line of a healthy gateway shows."""


def list_summaries(diagnoses: Sequence[GatewayDiagnosis]) -> Iterator[str]:
    """Yield a line for each gateway: its name, its state, and the most important finding."""
    width = max((len(one.gateway) for one in diagnoses), default=0)
    for one in diagnoses:
        yield f"{one.gateway:<{width}}  {one.state:<4}  {_summarize(one)}"


def _summarize(one: GatewayDiagnosis) -> str:
    worst = one.worst
    if not worst:
        found = {finding.check: finding for finding in one.findings}
        known = (found[check] for check in _SUMMARY if found[check].state is FindingState.OK)
        return "; ".join(make_visible(finding.text) for finding in known)
    more = f" (and {len(worst) - 1} more: --table)" if len(worst) > 1 else ""
    return f"{_format_finding(worst[0])}{more}"


def _format_finding(finding: Finding) -> str:
    advice = f"; {finding.advice}" if finding.advice else ""
    return make_visible(f"{finding.check}: {finding.text}{advice}")


def list_rows(diagnoses: Sequence[GatewayDiagnosis]) -> Iterator[tuple[str, ...]]:
    """Yield every finding of every gateway, as the cells of a row under ``HEADINGS``."""
    for one in diagnoses:
        for finding in one.findings:
            cells = (one.gateway, finding.check, finding.state.value, finding.text, finding.advice)
            yield tuple(make_visible(cell) for cell in cells)


def render_json(plan: str, diagnoses: Sequence[GatewayDiagnosis], *, at: float) -> bytes:
    """Return the diagnoses as JSON of schema 1 (see docs/doctor.md). ``at`` is a Unix time."""
    document = {
        "schema": SCHEMA,
        "plan": plan,
        "checked": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "gateways": [
            {
                "name": one.gateway,
                "kind": one.kind,
                "url": one.url,
                "state": one.state,
                "requests": one.requests,
                "checks": one.findings,
            }
            for one in diagnoses
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
