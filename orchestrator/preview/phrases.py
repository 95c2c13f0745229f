"""The words of a preview that its lines for people and its Markdown have in common. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from orchestrator.display.phrases import describe_questions
from orchestrator.model.plan import Plan, PlanHeader
from orchestrator.preview.assessment import AssessedPreview
from orchestrator.preview.forecast import RunForecast
from orchestrator.preview.losses import count_lost_bindings, list_going
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget, TargetState, count_by_group
from orchestrator.report.bindings import describe_bindings, list_gaps
from orchestrator.report.values import RestoreOutlook
from orchestrator.report.words import shorten_name
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import choose_form, count_noun, join_words
from orchestrator.text.formats import format_moment, format_span

MOST_SHOWN = 10
"""How many targets of a group are named; the JSON names them all."""
MOST_IN_WARNING = 3
"""How many targets a warning names."""

GROUP_WORDS = {
    PreviewGroup.WILL_CHANGE: "will change",
    PreviewGroup.ALREADY_SO: "already so",
    PreviewGroup.DOES_NOT_EXIST: "does not exist",
    PreviewGroup.UNKNOWN: "unknown",
}
"""The groups in the order of the table's columns."""

GROUP_ORDER = (
    PreviewGroup.WILL_CHANGE,
    PreviewGroup.UNKNOWN,
    PreviewGroup.DOES_NOT_EXIST,
    PreviewGroup.ALREADY_SO,
)
"""The groups in the order of their lists: those that need a decision come first."""


def format_taken(preview: Preview) -> str:
    """Return when the preview was taken."""
    return format_moment(datetime.fromtimestamp(preview.taken, UTC))


def describe_sending(forecast: RunForecast) -> str:
    """Return how many requests a run will need."""
    looks = count_noun(forecast.looks, "look")
    if forecast.pages:
        looks += f" ({count_noun(forecast.pages, 'page')} of lists)"
    parts = f"{looks}, {count_noun(forecast.undeploys, 'undeploy')}"
    return f"sends at least {count_noun(forecast.requests, 'request')}: {parts}"


def describe_time(forecast: RunForecast) -> str:
    """Return how long a run takes at least, and how much time the window leaves."""
    takes = (
        "cannot be told"
        if forecast.seconds is None
        else f"at least {format_span(round(forecast.seconds, 1))}"
    )
    if forecast.left is None:
        return takes
    if forecast.left <= 0:
        return f"{takes}; the window is over"
    fits = {True: f": it fits{describe_questions(forecast.timing)}", False: ": it does not fit", None: ""}[
        forecast.fits
    ]
    return f"{takes}; the window leaves {format_span(forecast.left)}{fits}"


def describe_filtered(count: int) -> str:
    """Return in words how many targets the filters of the command line leave out of a run."""
    return f"{count:,}: left out by --only, --skip or --wave, and not looked at"


def list_losses(plan: PlanHeader, preview: Preview) -> Iterator[str]:
    """Yield in words, for each gateway, what hangs on its front-end APIs that go, and what is not known."""
    for gateway, counts in count_lost_bindings(plan, preview):
        yield f"{gateway}: {describe_bindings(counts)}"
        yield from (f"{gateway}: {gap}" for gap in list_gaps(counts))


def describe_outlook(outlook: RestoreOutlook) -> str:
    """Return in words how many of the targets a restore could bring back, and on which conditions."""
    if not outlook.restorable:
        return f"could bring back none of {outlook.undeployed:,}"
    wants = [f"{count:,} of them only with --accept {word}" for word, count in outlook.to_accept.items()]
    told = f"could bring back {outlook.restorable:,} of {outlook.undeployed:,}"
    return f"{told}; {join_words(wants)}" if wants else told


def describe_completeness(preview: Preview) -> str:
    """Return in words how many targets have a known state."""
    whole = len(preview.targets)
    if not preview.complete:
        return f"State known for {whole - len(preview.unknown):,} of {count_noun(whole, 'target')}."
    untold = sum(1 for seen in preview.targets if seen.usage is not None and seen.usage.calls is None)
    use = f"; how much {untold:,} of them {choose_form(untold, 'is', 'are')} called is not" if untold else ""
    return f"The state of all {count_noun(whole, 'target')} is known{use}."


class PreviewVerdict(NamedTuple):
    """What a preview comes to, in a sentence, and what to do next."""

    sentence: str
    advice: str


def judge_preview(shown: AssessedPreview) -> PreviewVerdict:
    """Return the verdict; what is in the way of a run comes before what speaks for it."""
    preview, forecast = shown.preview, shown.forecast
    changes = sum(1 for _ in list_going(shown.plan, preview.targets))
    if unread := len(preview.unknown):
        whose = f"the state of {count_noun(unread, 'target')} could not be read"
        return PreviewVerdict(f"not ready: {whose}", "find out why, mend that, and preview again")
    if not changes:
        return _judge_without_change(shown.plan, preview)
    would = f"{count_noun(changes, 'target')} would change"
    if forecast.left is not None and forecast.left <= 0:
        return PreviewVerdict(f"the window is over: {would}, and none can start", "set another window")
    if _lets_nothing_start(preview, forecast):
        return PreviewVerdict(f"the window is too short: {would}, and none can start", "set another window")
    if forecast.fits is False:
        late = f", {forecast.timing.late:,} of them too late" if forecast.timing.late else ""
        return PreviewVerdict(
            f"does not fit the window: {would}{late}",
            "widen the window, or run it now and let `undeploy resume` go on in the next one",
        )
    if forecast.left is not None and forecast.fits is None:
        return PreviewVerdict(f"{would}; whether that fits the window cannot be told", _RUN_IT)
    fits = f"fits the window{describe_questions(forecast.timing)}"
    return PreviewVerdict(f"{fits if forecast.left is not None else 'ready'}: {would}", _RUN_IT)


def _judge_without_change(plan: Plan, preview: Preview) -> PreviewVerdict:
    left = sum(seen.group is PreviewGroup.WILL_CHANGE for seen in preview.targets)
    if not left and (gone := _count_failing_absent(plan, preview)):
        # Ids that are wrong look like this as well: nothing is up, since nothing of it is there.
        what = count_noun(gone, "target does not exist", "targets do not exist")
        return PreviewVerdict(f"nothing would change: {what}", "see to their ids, or say absent: ok")
    if not left:
        return PreviewVerdict("nothing to do: no target would change", "no run is needed")
    stay = count_noun(left, "target stays", "targets stay")
    # No bound lets a target go whose calls nothing tells.
    is_called = any(seen.usage is not None and seen.usage.calls for seen in preview.targets)
    untold = "mend what the warnings say of their calls, or say in_use: warn"
    advice = "ask those who call, or raise in_use_over" if is_called else untold
    return PreviewVerdict(f"nothing would change: by in_use: refuse {stay} up", advice)


def _count_failing_absent(plan: Plan, preview: Preview) -> int:
    """Return how many targets a run would end as failed since they do not exist."""
    accepting = {gateway.name for gateway in plan.gateways if gateway.absent == "ok"}
    return sum(
        seen.state is TargetState.ABSENT and (seen.target.gateway not in accepting or seen.snapshot.hidden)
        for seen in preview.targets
    )


def _lets_nothing_start(preview: Preview, forecast: RunForecast) -> bool:
    """Return whether the timeout of each gateway is longer than the window leaves: no run begins then."""
    closes = preview.window.closes if preview.window else None
    if closes is None or forecast.left is None:
        return False
    left, ends = forecast.left, closes.timestamp()
    starts = [gateway.starts_until for gateway in forecast.timing.gateways]
    return bool(starts) and all(until is not None and left < ends - until for until in starts)


# The plan alone may be more: this preview may be one of --target, --only or another window.
_RUN_IT = "`undeploy run` with this plan and the same options does it"


def find_names(shown: AssessedPreview) -> dict[str, str]:
    """Return the names that people know the targets of the warnings by, where a look told one, by id."""
    wanted = {target for warning in shown.warnings for target in warning.targets[:MOST_IN_WARNING]}
    seen_targets = (seen for seen in shown.preview.targets if seen.target.id in wanted)
    names = ((str(seen.target.id), shorten_name(seen.snapshot.facts.name)) for seen in seen_targets)
    return {target: name for target, name in names if name}


def describe_target(seen: SeenTarget) -> str:
    """Return the state of a target with its gateway's facts, or the reason where the state is unknown."""
    facts, parts = seen.snapshot.facts, list[str]()
    if seen.state in (TargetState.UNKNOWN, TargetState.ABSENT):
        return seen.why or ""
    if facts.name:
        parts.append(facts.name)
    parts.append(seen.state.value)
    if facts.since:
        is_down = seen.state is TargetState.UNDEPLOYED
        parts.append(f"{'last deployed' if is_down else 'since'} {facts.since}")
    if facts.revision and facts.revision != facts.since:
        parts.append(f"revision {facts.revision}")
    if facts.path:
        parts.append(f"at {facts.path}")
    if seen.state is TargetState.PARTIAL and facts.serving:
        more = max(0, (facts.pods_active or 0) - len(facts.serving))
        rest = f" and {more:,} more" if more else ""
        parts.append(f"still served by {', '.join(facts.serving)}{rest}")
    return ", ".join(parts)


def group_by_wave_step(
    seen_targets: Sequence[SeenTarget],
) -> Iterator[tuple[tuple[int, int, str], list[SeenTarget]]]:
    """Yield the targets of one step at one gateway, keyed by the wave's index, the step and the gateway."""

    def read_key(seen: SeenTarget) -> tuple[int, int, str]:
        return seen.target.wave, seen.step, seen.target.gateway

    return ((key, list(group)) for key, group in groupby(seen_targets, key=read_key))


def name_wave_step(plan: Plan, wave: int, step: int) -> str:
    """Return a wave's name, with the number of its step where the plan splits it into steps."""
    name = make_visible(plan.waves[wave].name)
    return f"{name}, step {step + 1}" if plan.waves[wave].sizes else name


def count_cells(seen_targets: Iterable[SeenTarget]) -> tuple[str, ...]:
    """Return how many targets are of each of ``GROUP_WORDS``, as the cells of a row."""
    counts = count_by_group(seen_targets)
    return tuple(f"{counts[group.value]:,}" for group in GROUP_WORDS)
