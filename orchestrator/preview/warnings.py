"""The warnings that a person should read before agreeing to a run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice

from msgspec import Struct

from orchestrator.gateways import list_obstacles
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.model.reading import Reading, Snapshot, Verdict
from orchestrator.preview.forecast import RunForecast
from orchestrator.preview.losses import list_deleted_front_ends, list_going
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget, TargetState
from orchestrator.preview.use import group_untold, is_left_for_use, sort_by_use
from orchestrator.report.bindings import MOST_CAUSES
from orchestrator.rules.in_use import end_in_use
from orchestrator.rules.retry import RetryPolicy, TargetEnd, end_absent
from orchestrator.rules.stop_rules import StopRules, is_fruitless
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_unix_time


class PreviewWarning(Struct, frozen=True, kw_only=True):
    """One warning.

    ``kind`` is a word for programs, ``text`` a sentence for people. ``targets`` holds the ids of the targets
    that the warning is about, if any.
    """

    kind: str
    text: str
    gateway: str | None = None
    targets: tuple[str, ...] = ()


def list_warnings(plan: Plan, preview: Preview, ahead: RunForecast) -> tuple[PreviewWarning, ...]:
    """Return all warnings about a run after this preview, the gravest first."""
    return tuple(
        chain(
            _warn_of_unknown(preview),
            _warn_of_window(ahead),
            _warn_of_credentials(preview, ahead),
            _warn_of_stop_rules(plan, preview),
            _warn_of_absent(plan, preview),
            _warn_of_use(plan, preview),
            _warn_of_untold_use(preview),
            _warn_of_last_environments(preview),
            _warn_of_groups(preview),
            _warn_of_front_ends(plan, preview),
            _warn_of_restore(plan, preview),
            _warn_of_pods(preview),
            _warn_of_protection(preview),
            _warn_of_gateways(preview),
        )
    )


def _warn_about(
    kind: str, text: str, seen_targets: Iterable[SeenTarget], gateway: str | None = None
) -> Iterator[PreviewWarning]:
    ids = tuple(str(seen.target.id) for seen in seen_targets)
    if ids:
        counted = f"{count_noun(len(ids), 'target')}"
        yield PreviewWarning(kind=kind, text=text.replace("{targets}", counted), gateway=gateway, targets=ids)


_TO_APPROVE = "to approve is to approve of these, too"


def _warn_of_unknown(preview: Preview) -> Iterator[PreviewWarning]:
    # A look refused with a code of the vendor's, such as "no such instance", does not prove a version without
    # looks.
    blind = [seen for seen in preview.unknown if _is_without_looks(seen.snapshot)]
    others = [seen for seen in preview.unknown if not _is_without_looks(seen.snapshot)]
    text = f"{{targets}} could not be looked at or told of: {_TO_APPROVE}"
    yield from _warn_about("unknown", text, others)
    for gateway in preview.gateways:
        here = [seen for seen in blind if seen.target.gateway == gateway.name]
        text = (
            f"this version offers no look that tells how {{targets}} are: nothing of them can be restored, "
            f"and {_TO_APPROVE}"
        )
        yield from _warn_about("no_looks", text, here, gateway.name)


def _is_without_looks(seen: Snapshot) -> bool:
    return seen.verdict is Verdict.NOT_OFFERED and seen.code is None


def _warn_of_window(ahead: RunForecast) -> Iterator[PreviewWarning]:
    if ahead.left is None:
        return
    if ahead.left <= 0:
        yield PreviewWarning(
            kind="window", text="the window is over; --window or --close-at gives another one"
        )
        return
    for gateway in ahead.timing.gateways:
        if gateway.late and gateway.starts_until is not None:
            starts = format_unix_time(gateway.starts_until)
            targets = count_noun(gateway.late, "target")
            text = (
                f"the window lets nothing of it start after {starts}, one timeout"
                f" before it closes: at least {targets} cannot start and would be left for a resume"
            )
            yield PreviewWarning(kind="window", text=text, gateway=gateway.name)


def _warn_of_credentials(preview: Preview, ahead: RunForecast) -> Iterator[PreviewWarning]:
    # Without an end of the window the credential should last as long as a run takes at least.
    window = preview.window
    begins = max(preview.taken, window.opens.timestamp() if window and window.opens else 0.0)
    closes = window.closes.timestamp() if window and window.closes else begins + (ahead.seconds or 0.0)
    for gateway in preview.gateways:
        if gateway.until is not None and gateway.until < closes:
            ends = format_unix_time(gateway.until)
            what = "before the window closes" if window and window.closes else "before a run can be done"
            text = f"the credential says that it ends at {ends}, {what}"
            yield PreviewWarning(kind="credential", text=text, gateway=gateway.name)


def _warn_of_absent(plan: Plan, preview: Preview) -> Iterator[PreviewWarning]:
    for gateway in plan.gateways:
        seen_targets = [seen for seen in preview.targets if seen.target.gateway == gateway.name]
        gone = [seen for seen in seen_targets if seen.state is TargetState.ABSENT]
        ends = "already undeployed (absent: ok)" if gateway.absent == "ok" else "failed"
        text = f"{{targets}} of {len(seen_targets):,} not there: a run ends them as {ends}"
        yield from _warn_about("absent", text, gone, gateway.name)


def _warn_of_use(plan: Plan, preview: Preview) -> Iterator[PreviewWarning]:
    used = [seen for seen in preview.targets if seen.usage is not None and seen.usage.calls]
    going = [seen for seen in sort_by_use(used) if not is_left_for_use(plan, seen)]
    text = "{targets} in use would go down: ask those who call them, or leave them out with --skip"
    yield from _warn_about("in_use", text, going)


def _warn_of_untold_use(preview: Preview) -> Iterator[PreviewWarning]:
    for gateway in preview.gateways:
        here = [seen for seen in preview.targets if seen.target.gateway == gateway.name]
        for text, untold in islice(group_untold(here), MOST_CAUSES):
            yield from _warn_about("usage", text, untold, gateway.name)


def _warn_of_stop_rules(plan: Plan, preview: Preview) -> Iterator[PreviewWarning]:
    """Yield the first wave or step in which a stop rule would end the run, if every undeploy succeeds."""
    stop_rules = StopRules(plan.stop_when, {}, first_run=True)
    wave_steps = [
        list(wave_step)
        for _, wave_step in groupby(preview.targets, key=lambda one: (one.target.wave, one.step))
    ]
    gateways = {gateway.name: gateway for gateway in plan.gateways}
    for number, wave_step in enumerate(wave_steps, 1):
        stop_rules.begin_wave()
        ends = [_predict_end(plan, gateways[seen.target.gateway], seen) for seen in wave_step]
        breaches = [stop_rules.count_end(end.outcome, end.reason, doubted=False) for end in ends]
        breach = next(filter(None, breaches), None)
        # A wave that took nothing down stops a run, too; behind the last one nothing is left to stop.
        if breach is None and number < len(wave_steps):
            counts = Counter((end.outcome, (end.reason or "").partition(":")[0]) for end in ends)
            fruitless = "nothing in it was undeployed" if is_fruitless(counts) else None
            breach = stop_rules.find_breach() or fruitless
        if breach:
            name = plan.waves[wave_step[0].target.wave].name
            is_split = bool(plan.waves[wave_step[0].target.wave].sizes)
            where = f"step {wave_step[0].step + 1} of wave {name}" if is_split else name
            yield PreviewWarning(kind="stop_rule", text=f"a stop rule would end the run in {where}: {breach}")
            return


def _predict_end(plan: Plan, gateway: Gateway, seen: SeenTarget) -> TargetEnd:
    """Return how a target would end, by its present state and use."""
    if is_left_for_use(plan, seen):
        return TargetEnd(Outcome.NOT_STARTED, end_in_use(""))
    match seen.state:
        case TargetState.ABSENT:
            hidden = seen.snapshot.hidden
            return end_absent(RetryPolicy.of(gateway), Reading(verdict=Verdict.ABSENT, hidden=hidden))
        case TargetState.UNDEPLOYED:
            return TargetEnd(Outcome.ALREADY_UNDEPLOYED)
        case _:
            return TargetEnd(Outcome.UNDEPLOYED)


def _warn_of_last_environments(preview: Preview) -> Iterator[PreviewWarning]:
    """Yield a warning about the targets whose API would then be deployed in no environment."""
    last: list[SeenTarget] = []
    for family in preview.siblings:
        head = family.target.parts[:-1]
        going = [
            seen
            for seen in preview.targets
            if seen.target.gateway == family.target.gateway
            and seen.target.parts[:-1] == head
            and seen.group is PreviewGroup.WILL_CHANGE
        ]
        if family.deployed <= {seen.target.parts[-1] for seen in going}:
            last += going
    text = "{targets} whose proxy would then be deployed in no environment"
    yield from _warn_about("last_environment", text, last)


def _warn_of_groups(preview: Preview) -> Iterator[PreviewWarning]:
    for membership in preview.memberships:
        ids = tuple(str(target.id) for target in membership.targets)
        counted = count_noun(len(ids), "target")
        belongs = "of" if membership.is_sure else "that may be of (its members are not told)"
        text = f"{counted} {belongs} the deployed group {membership.name}: they may stay reachable through it"
        gateway = membership.targets[0].gateway
        yield PreviewWarning(kind="group", text=text, gateway=gateway, targets=ids)


def _warn_of_front_ends(plan: Plan, preview: Preview) -> Iterator[PreviewWarning]:
    seen_targets = [seen for seen in list_going(plan, preview.targets) if seen.snapshot.fronts]
    count = sum(1 for _ in list_deleted_front_ends(plan, seen_targets))
    front_ends = count_noun(count, "front-end API is", "front-end APIs are")
    text = (
        f"{front_ends} deleted with {{targets}}, and all that is bound to them: callers lose access, and a "
        "restore publishes others, with other ids"
    )
    yield from _warn_about("front_end", text, seen_targets)


def _warn_of_restore(plan: Plan, preview: Preview) -> Iterator[PreviewWarning]:
    going = list(list_going(plan, preview.targets))
    for obstacle in list_obstacles():
        if obstacle.warning is not None:
            kind = obstacle.word.replace("-", "_")
            held = [seen for seen in going if obstacle.word in seen.snapshot.obstacles]
            yield from _warn_about(kind, obstacle.warning, held)
    if plan.snapshot == "off" and going:
        text = "snapshot: off keeps nothing of {targets}, so that nothing of this run can be restored"
        yield from _warn_about("no_snapshot", text, going)


def _warn_of_pods(preview: Preview) -> Iterator[PreviewWarning]:
    orphans = [seen for seen in preview.targets if seen.state is TargetState.PARTIAL]
    text = "{targets} undeployed for their manager and still served: a run undeploys them again"
    yield from _warn_about("orphan", text, orphans)
    uneven = [
        seen for seen in preview.targets if seen.state is TargetState.DEPLOYED and _is_served_unevenly(seen)
    ]
    yield from _warn_about("pods", "{targets} served by some of their pods only", uneven)


def _is_served_unevenly(seen: SeenTarget) -> bool:
    active, responded = seen.snapshot.facts.pods_active, seen.snapshot.facts.pods_responded
    return active is not None and responded is not None and active < responded


def _warn_of_protection(preview: Preview) -> Iterator[PreviewWarning]:
    for gateway, text in preview.guard_warnings:
        yield PreviewWarning(
            kind="protect" if text.startswith("protect:") else "place", text=text, gateway=gateway
        )


def _warn_of_gateways(preview: Preview) -> Iterator[PreviewWarning]:
    for gateway in preview.gateways:
        for text in dict.fromkeys(gateway.warnings):
            yield PreviewWarning(kind="gateway", text=text, gateway=gateway.name)
