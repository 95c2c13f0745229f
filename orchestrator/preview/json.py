"""A preview as JSON, for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any

import msgspec
from msgspec import structs

from orchestrator.model.bindings import Bindings
from orchestrator.model.plan import Plan
from orchestrator.model.usage import Usage
from orchestrator.preview.assessment import AssessedPreview
from orchestrator.preview.forecast import RunForecast
from orchestrator.preview.losses import count_lost_bindings, foresee_restore
from orchestrator.preview.phrases import group_by_wave_step
from orchestrator.preview.states import Preview, SeenTarget, count_by_group
from orchestrator.preview.use import count_use
from orchestrator.report.bindings import BindingCounts
from orchestrator.rules.forecast import encode_forecast

SCHEMA = 1


def render_json(shown: AssessedPreview) -> Iterator[str]:
    """Yield the preview as one JSON object of schema 1 (see docs/preview.md), one target a line."""
    preview = shown.preview
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "preview",
        "plan": preview.plan,
        "reason": preview.reason,
        "digest": preview.digest,
        "taken": f"{datetime.fromtimestamp(preview.taken, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(preview.seconds, 3),
        "requests": preview.requests,
        "complete": preview.complete,
        "counts": {
            **count_by_group(preview.targets),
            "protected": preview.protected,
            "filtered": preview.filtered,
        },
        "forecast": _encode_forecast(shown.forecast),
        "restore": _encode_outlook(shown),
        "usage": count_use(preview),
        "gateways": list(_encode_gateways(shown.plan, preview)),
        "waves": list(_encode_wave_steps(shown)),
        "warnings": shown.warnings,
    }
    # One target a line, so that a line-based diff of two previews shows which targets have changed.
    yield "{" + "\n".join(f"{_encode(name)}:{_encode(value)}," for name, value in head.items())
    yield '"targets":['
    last = len(preview.targets) - 1
    for number, seen in enumerate(preview.targets):
        yield _encode(_encode_target(shown.plan, seen)) + ("" if number == last else ",")
    yield "]}"


def _encode_forecast(forecast: RunForecast) -> dict[str, Any]:
    return {
        "requests": forecast.requests,
        "looks": forecast.looks,
        "undeploys": forecast.undeploys,
        "pages": forecast.pages,
        "seconds_at_least": _round(forecast.seconds),
        "window_left": _round(forecast.left),
        "fits": forecast.fits,
        **encode_forecast(forecast.timing, "questions", "late", "gateways", "waves"),
    }


def _encode_outlook(shown: AssessedPreview) -> dict[str, Any]:
    outlook = foresee_restore(shown.plan, shown.preview)
    return {
        "targets": outlook.undeployed,
        "restorable": outlook.restorable,
        "to_accept": outlook.to_accept,
    }


def _encode_gateways(plan: Plan, preview: Preview) -> Iterator[dict[str, Any]]:
    lost = dict(count_lost_bindings(plan, preview))
    for gateway in preview.gateways:
        here = (seen for seen in preview.targets if seen.target.gateway == gateway.name)
        yield {
            "name": gateway.name,
            "kind": gateway.kind,
            "requests": gateway.requests,
            "latency": _round(median(gateway.seconds)) if gateway.seconds else None,
            "counts": count_by_group(here),
            "lost": lost.get(gateway.name, BindingCounts()),
        }


def _encode_wave_steps(shown: AssessedPreview) -> Iterator[dict[str, Any]]:
    for (wave, step, gateway), seen_targets in group_by_wave_step(shown.preview.targets):
        yield {
            "name": shown.plan.waves[wave].name,
            "step": step + 1,
            "gateway": gateway,
            "counts": count_by_group(seen_targets),
        }


def _encode_target(plan: Plan, seen: SeenTarget) -> dict[str, Any]:
    facts = seen.snapshot.facts
    return {
        "id": seen.target.id,
        "gateway": seen.target.gateway,
        "wave": plan.waves[seen.target.wave].name,
        "step": seen.step + 1,
        "state": seen.state,
        "group": seen.group,
        "why": seen.why,
        "revision": facts.revision,
        "since": facts.since,
        "path": facts.path,
        "edited": facts.edited,
        "pods": None if facts.pods_responded is None else [facts.pods_active, facts.pods_responded],
        "fronts": seen.snapshot.fronts,
        "usage": _encode_usage(seen.usage),
        "bindings": _encode_bindings(seen.snapshot.bindings),
        "obstacles": seen.snapshot.obstacles,
    }


def _encode_usage(usage: Usage | None) -> dict[str, Any] | None:
    # A program must not have to know which keys of a struct may be left out.
    return None if usage is None else structs.asdict(usage)


def _encode_bindings(bindings: Bindings | None) -> dict[str, Any] | None:
    """Encode who may call a target and which policies it has; without their settings, which `show` tells."""
    if bindings is None:
        return None
    found = [
        {"what": one.what, "environment": one.environment, "id": one.id, "name": one.name}
        for one in bindings.found
    ]
    return {"found": found, "unread": bindings.unread}


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
