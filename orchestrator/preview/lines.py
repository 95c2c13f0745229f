"""A preview as text: lines for people, Markdown for tickets, JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.display.summary import aligned
from orchestrator.model.plan import Plan
from orchestrator.preview.forecast import RunForecast
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget, TargetState, count_by_group
from orchestrator.preview.warnings import PreviewWarning, list_deleted_front_ends
from orchestrator.report.words import DASH, guarded, moment, span, visible
from orchestrator.rules.forecast import forecast_values

SCHEMA = 1
SHOWN = 10
"""How many targets of a group are named; the JSON names them all."""
NAMED = 5
"""How many of them before the question, where the rest must stay in sight."""

WORDS = {
    PreviewGroup.WILL_CHANGE: "will change",
    PreviewGroup.ALREADY_SO: "already so",
    PreviewGroup.DOES_NOT_EXIST: "does not exist",
    PreviewGroup.UNKNOWN: "unknown",
}


class AssessedPreview(Struct, frozen=True, kw_only=True):
    """A preview with all that follows from it."""

    plan: Plan
    preview: Preview
    ahead: RunForecast
    warned: tuple[PreviewWarning, ...]


def people(shown: AssessedPreview) -> Iterator[str]:
    """Yield the whole preview as lines of bounded length and number."""
    yield from heading(shown)
    yield ""
    yield from summary(shown)
    yield from kept_out(shown.preview)
    for group in (
        PreviewGroup.WILL_CHANGE,
        PreviewGroup.UNKNOWN,
        PreviewGroup.DOES_NOT_EXIST,
        PreviewGroup.ALREADY_SO,
    ):
        yield from _group(shown.preview.targets, group)
    yield from _rest(shown)


def _rest(shown: AssessedPreview) -> Iterator[str]:
    if fronts := list(_fronts(shown.preview)):
        yield ""
        yield from fronts
    if shown.warned:
        yield ""
        yield from warnings(shown.warned)
    yield ""
    yield completeness(shown.preview)


def heading(shown: AssessedPreview) -> Iterator[str]:
    """Yield of which plan it is, and when it was taken."""
    preview = shown.preview
    yield f"plan      {visible(preview.plan)}" + (f" ({visible(preview.reason)})" if preview.reason else "")
    yield f"digest    {preview.digest}"
    taken = moment(datetime.fromtimestamp(preview.taken, UTC))
    yield f"taken     {taken}, by {_many(preview.requests, 'request')} in {span(preview.seconds)}"


def summary(shown: AssessedPreview) -> Iterator[str]:
    """Yield the counts by wave and gateway, and what a run will need."""
    headings = ("wave", "gateway", *WORDS.values())
    rows = [
        (*_leg_name(shown.plan, wave_step), *_cells(seen_targets))
        for wave_step, seen_targets in _legs(shown.preview.targets)
    ]
    if len(rows) > 1:
        rows.append(("all", "", *_cells(shown.preview.targets)))
    yield from aligned([headings, *rows], left=2)
    yield ""
    yield f"a run     {sending(shown.ahead)}"
    yield f"time      {lasting(shown.ahead)}"


def kept_out(preview: Preview) -> Iterator[str]:
    """Yield how many targets a run would leave alone."""
    yield f"protect   {guarded(preview.patterns, preview.protected)}"
    if preview.protected:
        yield f"protected {preview.protected:,}: left alone, and not looked at"
    if preview.filtered:
        yield f"filtered  {preview.filtered:,}: left out by --only, --skip or --wave, and not looked at"


def sending(forecast: RunForecast) -> str:
    """Return how many requests a run will need."""
    parts = f"{_many(forecast.looks, 'look')}, {_many(forecast.undeploys, 'undeploy')}"
    return f"sends at least {_many(forecast.requests, 'request')}: {parts}"


def lasting(forecast: RunForecast) -> str:
    """Return how long a run takes at the least, and what the window leaves."""
    takes = "cannot be told" if forecast.seconds is None else f"at least {span(round(forecast.seconds, 1))}"
    if forecast.left is None:
        return takes
    if forecast.left <= 0:
        return f"{takes}; the window is over"
    fits = {True: ": it fits", False: ": it does not fit", None: ""}[forecast.fits]
    return f"{takes}; the window leaves {span(forecast.left)}{fits}"


def completeness(preview: Preview) -> str:
    """Return of how many targets the state is known."""
    whole = len(preview.targets)
    if preview.complete:
        return f"The state of all {whole:,} {_plural(whole, 'target')} is known."
    return f"State known for {whole - len(preview.unknown):,} of {whole:,} {_plural(whole, 'target')}."


def warnings(warned: Iterable[PreviewWarning]) -> Iterator[str]:
    """Yield a line a warning, with the first targets that it is about."""
    for one in warned:
        where = f"{visible(one.gateway)}: " if one.gateway else ""
        yield f"warning   {where}{visible(one.text)}"
        yield from (f"          {visible(name)}" for name in one.targets[:3])
        if len(one.targets) > 3:
            yield f"          … and {len(one.targets) - 3:,} more"


def _group(seen_targets: Sequence[SeenTarget], group: PreviewGroup, *, most: int = SHOWN) -> Iterator[str]:
    here = [seen for seen in seen_targets if seen.group is group]
    if not here:
        return
    yield ""
    yield f"{WORDS[group]}: {len(here):,}"
    rows = [(f"  {visible(seen.target.id)}", visible(_told(seen))) for seen in here[:most]]
    yield from aligned(rows, left=2)
    if len(here) > most:
        yield f"  … and {len(here) - most:,} more"


def _told(seen: SeenTarget) -> str:
    facts, parts = seen.snapshot.facts, list[str]()
    if seen.state in (TargetState.UNKNOWN, TargetState.ABSENT):
        return seen.why or ""
    if facts.name:
        parts.append(facts.name)
    parts.append(seen.state.value)
    if facts.since:
        parts.append(
            f"since {facts.since}"
            if seen.state is not TargetState.UNDEPLOYED
            else f"last deployed {facts.since}"
        )
    if facts.revision and facts.revision != facts.since:
        parts.append(f"revision {facts.revision}")
    if facts.path:
        parts.append(f"at {facts.path}")
    if seen.state is TargetState.PARTIAL and facts.serving:
        more = max(0, (facts.pods_active or 0) - len(facts.serving))
        rest = f" and {more:,} more" if more else ""
        parts.append(f"still served by {', '.join(facts.serving)}{rest}")
    return ", ".join(parts)


def _fronts(preview: Preview) -> Iterator[str]:
    found = list(list_deleted_front_ends(preview.targets))
    if not found:
        return
    yield f"deleted with them: {len(found):,} front-end {_plural(len(found), 'API')}"
    rows = [
        (f"  {visible(front.id)}", visible(front.name or DASH), visible(front.path or DASH))
        for _, front in found[:SHOWN]
    ]
    yield from aligned(rows, left=3)
    if len(found) > SHOWN:
        yield f"  … and {len(found) - SHOWN:,} more"


def before_asking(shown: AssessedPreview) -> Iterator[str]:
    """Yield what somebody should see who is about to agree to a run."""
    yield ""
    yield from summary(shown)
    for group in (PreviewGroup.WILL_CHANGE, PreviewGroup.UNKNOWN):
        yield from _group(shown.preview.targets, group, most=NAMED)
    yield from _rest(shown)


def _legs(seen_targets: Sequence[SeenTarget]) -> Iterator[tuple[tuple[int, int, str], list[SeenTarget]]]:
    def wave_step(seen: SeenTarget) -> tuple[int, int, str]:
        return seen.target.wave, seen.step, seen.target.gateway

    return ((key, list(group)) for key, group in groupby(seen_targets, key=wave_step))


def _leg_name(plan: Plan, wave_step: tuple[int, int, str]) -> tuple[str, str]:
    wave, step, gateway = wave_step
    name = visible(plan.waves[wave].name)
    return f"{name}, step {step + 1}" if plan.waves[wave].sizes else name, visible(gateway)


def _cells(seen_targets: Iterable[SeenTarget]) -> tuple[str, ...]:
    counts = count_by_group(seen_targets)
    return tuple(f"{counts[group.value]:,}" for group in WORDS)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {_plural(count, noun)}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def markdown(shown: AssessedPreview) -> Iterator[str]:
    """Yield the preview for a ticket: the same, in tables; vendors' texts in code, which renders nothing."""
    preview = shown.preview
    yield f"# Preview of {_plain(preview.plan)}"
    yield ""
    yield f"**{completeness(preview)}**"
    yield ""
    yield from _table(
        ("", ""),
        [
            ("Reason", _plain(preview.reason or DASH)),
            ("Digest", _code(preview.digest)),
            ("Taken", moment(datetime.fromtimestamp(preview.taken, UTC))),
            ("Requests", f"{preview.requests:,}"),
            ("A run", sending(shown.ahead)),
            ("Time", lasting(shown.ahead)),
        ],
    )
    yield ""
    rows = [
        (*map(_plain, _leg_name(shown.plan, wave_step)), *_cells(seen_targets))
        for wave_step, seen_targets in _legs(preview.targets)
    ]
    yield from _table(("wave", "gateway", *WORDS.values()), [*rows, ("all", "", *_cells(preview.targets))])
    for group in (
        PreviewGroup.WILL_CHANGE,
        PreviewGroup.UNKNOWN,
        PreviewGroup.DOES_NOT_EXIST,
        PreviewGroup.ALREADY_SO,
    ):
        here = [seen for seen in preview.targets if seen.group is group]
        if here:
            yield ""
            yield f"## {WORDS[group].capitalize()}: {len(here):,}"
            yield ""
            yield from (f"- {_code(seen.target.id)} {_code(_told(seen))}" for seen in islice(here, SHOWN))
            if len(here) > SHOWN:
                yield f"- … and {len(here) - SHOWN:,} more"
    found = list(list_deleted_front_ends(preview.targets))
    if found:
        yield ""
        yield f"## Deleted with them: {len(found):,} front-end {_plural(len(found), 'API')}"
        yield ""
        yield from (
            f"- {_code(front.id)} {_code(front.path or front.name or DASH)}" for _, front in found[:SHOWN]
        )
        if len(found) > SHOWN:
            yield f"- … and {len(found) - SHOWN:,} more"
    if shown.warned:
        yield ""
        yield "## Warnings"
        yield ""
        for one in shown.warned:
            yield f"- {_warned(one)}"


def _warned(one: PreviewWarning) -> str:
    where = f"{_code(one.gateway)}: " if one.gateway else ""
    named = ", ".join(map(_code, one.targets[:3])) + (" …" if len(one.targets) > 3 else "")
    return f"{where}{_plain(one.text)}{f' ({named})' if named else ''}"


_MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "\\`<>|&@"} | {
    ord(sign): f"\\{sign}" for sign in "*_[]~#"
}


def _plain(text: str) -> str:
    return visible(text).translate(_MARKUP)


def _code(text: str) -> str:
    return f"<code>{visible(text).translate(_MARKUP)}</code>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def as_json(shown: AssessedPreview) -> Iterator[str]:
    """Yield the preview as one JSON object of schema 1 (see docs/preview.md), one target a line."""
    preview, forecast = shown.preview, shown.ahead
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "preview",
        "plan": preview.plan,
        "reason": preview.reason,
        "digest": preview.digest,
        "taken": _instant(preview.taken),
        "seconds": round(preview.seconds, 3),
        "requests": preview.requests,
        "complete": preview.complete,
        "counts": {
            **count_by_group(preview.targets),
            "protected": preview.protected,
            "filtered": preview.filtered,
        },
        "forecast": {
            "requests": forecast.requests,
            "looks": forecast.looks,
            "undeploys": forecast.undeploys,
            "seconds_at_least": _rounded(forecast.seconds),
            "window_left": _rounded(forecast.left),
            "fits": forecast.fits,
            **forecast_values(forecast.ahead, "late", "gateways", "waves"),
        },
        "gateways": [
            {
                "name": place.name,
                "kind": place.kind,
                "requests": place.requests,
                "latency": _rounded(median(place.seconds)) if place.seconds else None,
                "counts": count_by_group(one for one in preview.targets if one.target.gateway == place.name),
            }
            for place in preview.places
        ],
        "waves": [
            {
                "name": shown.plan.waves[wave].name,
                "step": step + 1,
                "gateway": gateway,
                "counts": count_by_group(seen_targets),
            }
            for (wave, step, gateway), seen_targets in _legs(preview.targets)
        ],
        "warnings": shown.warned,
    }
    yield "{" + "\n".join(f"{_quoted(name)}:{_quoted(value)}," for name, value in head.items())
    yield '"targets":['
    last = len(preview.targets) - 1
    for number, seen in enumerate(preview.targets):
        yield _quoted(_target(shown.plan, seen)) + ("" if number == last else ",")
    yield "]}"


def _target(plan: Plan, seen: SeenTarget) -> dict[str, Any]:
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
        "obstacles": seen.snapshot.obstacles,
    }


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _instant(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
