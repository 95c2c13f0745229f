"""A plan in words: the targets that a run takes, the bounds of the run, and its stop rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from orchestrator.rules.steps import find_step_ends
from orchestrator.rules.stop_rules import SHARES_FROM, STOP_RULES, list_thresholds
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_given_time, format_percent, format_span

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.model.gateway import Gateway
    from orchestrator.model.plan import Plan, PlanHeader, StopWhen, Threshold, Wave, Window
    from orchestrator.model.settings import Auth, CredentialReference, ElasticsearchStore
    from orchestrator.preview.planned import PlannedCounts
    from orchestrator.runs.load import LoadedPlan

MOST_NAMED = 5
"""How many targets are named before the question."""
_RATES = (("s", 1), ("m", 60), ("h", 3600))


def describe_access(gateways: Iterable[Gateway]) -> Iterator[str]:
    """Yield a line for each gateway: its address, and where its credential comes from, never its value."""
    for gateway in gateways:
        through = f" through {make_visible(gateway.proxy)}" if gateway.proxy is not None else ""
        place = f"{make_visible(gateway.url)}{through}"
        yield f"gateway {make_visible(gateway.name)}: {place}; {_describe_credential(gateway.auth)}"
        if (store := gateway.traffic_store) is not None:
            yield f"gateway {make_visible(gateway.name)}: {_describe_store(store)}"


def _describe_store(store: ElasticsearchStore) -> str:
    sources = ", ".join(map(_describe_source, store.references))
    credential = f"credential from {sources}" if sources else "no credential"
    through = f" through {make_visible(store.proxy)}" if store.proxy is not None else ""
    return f"calls counted by {make_visible(store.index)} at {make_visible(store.url)}{through}; {credential}"


def _describe_credential(auth: Auth) -> str:
    if (login := auth.password_login) is not None:
        place = f" at {make_visible(login.url)}" if login.url is not None else ""
        return f"logs in{place}, password from {_describe_source(login.password)}"
    parts = {
        "token": auth.token,
        "access key": auth.access_key,
        "secret key": auth.secret_key,
        "security token": auth.security_token,
    }
    return ", ".join(
        f"{name} from {_describe_source(given)}" for name, given in parts.items() if given is not None
    )


def _describe_source(reference: CredentialReference) -> str:
    """Return the source that a reference names; of a command the program alone: arguments may be secrets."""
    if reference.command is not None:
        return f"command {make_visible(reference.command[0])}"
    name = next(name for name in ("env", "file", "keyring") if getattr(reference, name) is not None)
    return f"{name} {make_visible(getattr(reference, name))}"


def describe_limits(gateways: Iterable[Gateway]) -> Iterator[str]:
    """Yield a line for each gateway: how many requests it gets, and how long the run waits for it."""
    for gateway in gateways:
        yield f"gateway {make_visible(gateway.name)}: {'; '.join(_list_limits(gateway))}"


def _list_limits(gateway: Gateway) -> Iterator[str]:
    count = gateway.concurrency
    yield f"{count_noun(count, 'request')} in flight at most"
    if gateway.limits.rate is not None:
        rate = format_rate(gateway.limits.rate)
        yield f"{rate} undeploys and {rate} looks at most"
    yield f"parked for {format_span(gateway.park_for)} at most"


def describe_paces(waves: Sequence[Wave], targets: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield the index of each wave with steps, pauses or questions, and these in words.

    ``targets`` are how many of each wave go. Nothing follows the last wave that has some, so no pause either.
    """
    last = max((index for index, count in enumerate(targets) if count), default=-1)
    for index, (wave, count) in enumerate(zip(waves, targets, strict=True)):
        if words := describe_pace(wave, count, is_last=index == last):
            yield index, words


def warn_of_long_pauses(plan: Plan, targets: Sequence[int]) -> Iterator[str]:
    """Yield a warning if the pauses between waves and steps leave the window no time.

    ``targets`` are how many of each wave go.
    """
    window = plan.window
    if window is None or window.opens is None or window.closes is None:
        return
    pauses = [
        wave.pause_after or 0.0
        for wave, count in zip(plan.waves, targets, strict=True)
        for _ in find_step_ends(wave.sizes, count)
    ]
    whole, length = sum(pauses[:-1]), (window.closes - window.opens).total_seconds()
    if whole >= length:
        yield (
            f"warning: the pauses alone take {format_span(whole)}, and the window is open for"
            f" {format_span(length)}: it closes before the last wave or step"
        )


def describe_pace(wave: Wave, targets: int, *, is_last: bool = False) -> str:
    """Return the steps, pauses and questions of a wave of ``targets``; empty where it has none of them."""
    steps = find_step_ends(wave.sizes, targets)
    is_split = len(steps) > 1
    words: list[str] = []
    if is_split:
        parts = ", ".join(f"{last - first:,}" for first, last in pairwise((0, *steps)))
        words.append(f"steps of {parts} targets")
    if is_last and not is_split:
        has_wait = wave.pause_after is not None or wave.proceed == "ask"
        return "no pause and no question after it, since nothing follows" if has_wait else ""
    if wave.pause_after is not None:
        words.append(f"pauses {format_span(wave.pause_after)} after {'each' if is_split else 'it'}")
    if wave.proceed == "ask":
        words.append("asks before it goes on")
    return "; ".join(words)


def format_rate(rate: float) -> str:
    """Return a number a second as a plan writes it, in the first unit that makes it a whole number."""
    for unit, seconds in _RATES:
        # A rate is a float, and its product may miss the whole number by a hair.
        number = round(rate * seconds, 6)
        if number >= 1 and number == int(number):
            return f"{int(number)}/{unit}"
    return f"{rate * 3600:.6g}/h"


def describe_stop_rules(rules: StopWhen, targets: int) -> Iterator[str]:
    """Yield a line for each rule that stops a run of ``targets``, and how shares are counted."""
    thresholds = list_thresholds(rules)
    for key, threshold in thresholds.items():
        yield f"stops when more than {_describe_threshold(threshold, targets)} {STOP_RULES[key].words}"
    yield "stops when a wave or step ends with none of its targets undeployed"
    if any(threshold.share is not None for threshold in thresholds.values()):
        yield (
            f"a share is one of a wave or step: from {SHARES_FROM} ended targets on, "
            "and at any number before the next one starts"
        )


def describe_in_use(plan: PlanHeader) -> Iterator[str]:
    """Yield a line about targets that were called lately; none for a plan that does not ask."""
    over = plan.in_use_over
    used = f"a target with more than {count_noun(over.calls, 'call')} in the last {over.hours} h"
    if plan.in_use == "warn":
        yield f"in use: warns of {used}"
    if plan.in_use == "refuse":
        yield f"in use: leaves {used}, and one whose calls cannot be told"


def warn_of_untold_use(plan: Plan) -> Iterator[str]:
    """Yield a warning for each gateway that cannot tell the calls of its targets, where the plan asks."""
    follows = {"warn": "each target is warned of", "refuse": "none of its targets goes down"}
    for gateway in plan.gateways if plan.in_use in follows else ():
        if not gateway.tells_calls:
            name = make_visible(gateway.name)
            yield f"warning: {name}: nothing tells its calls, so by in_use {follows[plan.in_use]}"


def _describe_threshold(threshold: Threshold, targets: int) -> str:
    # ``failed: 20`` where 20% was meant shows by the share that the count is of the plan.
    if (count := threshold.count) is not None:
        told = f"{count_noun(count, 'target')} of the run"
        if count >= targets:
            return f"{told} (never: it has {targets:,})"
        return f"{told} ({count:,} of {targets:,} targets, {count / targets:.0%})" if count else told
    never = " (never: a rule fires above its share)" if threshold.share == 1 else ""
    return f"{format_percent(threshold.share or 0)} of the ended targets{never}"


def render_first(names: Iterable[str], whole: int) -> Iterator[str]:
    """Yield lines with the first of ``whole`` targets by name, and how many more there are."""
    yield from (f"           {make_visible(name)}" for name in islice(names, MOST_NAMED))
    if whole > MOST_NAMED:
        yield f"           … and {whole - MOST_NAMED:,} more"


def describe_run(loaded: LoadedPlan, options: RunOptions, counts: PlannedCounts) -> Iterator[str]:
    """Yield the facts that a person should know about a run before agreeing to it."""
    from orchestrator.report.words import describe_protection
    from orchestrator.runs.selection import prepare_protection
    from orchestrator.text.columns import align_columns

    plan = loaded.plan
    urls = {gateway.name: gateway.url for gateway in plan.gateways}
    yield f"plan       {make_visible(plan.name)}" + (f" ({make_visible(plan.reason)})" if plan.reason else "")
    yield f"window     {describe_window(options.window or plan.window)}"
    rows = [
        (
            make_visible(plan.waves[wave].name),
            make_visible(gateway),
            make_visible(urls[gateway]),
            f"{count:,}",
        )
        for (wave, gateway), count in sorted(counts.taken.items(), key=lambda item: item[0][0])
    ]
    yield from align_columns([("wave", "gateway", "", "targets"), *rows], left=3)
    going = [0] * len(plan.waves)
    for (wave, _), count in counts.taken.items():
        going[wave] += count
    for index, words in describe_paces(plan.waves, going):
        if going[index]:
            yield f"pace       {make_visible(plan.waves[index].name)}: {words}"
    yield f"protect    {describe_protection(len(prepare_protection(plan, options).texts), counts.protected)}"
    if counts.protected:
        yield f"protected  {counts.protected:,}: left alone"
    if counts.filtered:
        yield f"filtered   {counts.filtered:,}: left out by --only, --skip or --wave"


def describe_window(window: Window | None) -> str:
    """Return ``window`` in words: its times as they were given, and as this machine's clock shows them."""
    if window is None:
        return "none; it starts at once"
    opens = f"from {format_given_time(window.opens)}" if window.opens else "from now"
    closes = f"until {format_given_time(window.closes)}" if window.closes else "without an end"
    return f"{opens} {closes}"
