"""The targets that a run may touch: the filters of the command line, and the patterns of ``protect``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from orchestrator.engine.options import RunOptions
from orchestrator.engine.protection import ProtectionSummary
from orchestrator.errors import UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.session_scope import HoldRule, hold_back, split_into_steps
from orchestrator.journal.targets import list_ids, list_stuck
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import Plan
from orchestrator.plan.keys import SHORT_WAVE
from orchestrator.plan.lookalikes import find_lookalikes
from orchestrator.plan.near_patterns import suggest_patterns
from orchestrator.plan.pattern_text import write_for_file
from orchestrator.plan.patterns import (
    Patterns,
    find_fault,
    list_named_gateways,
    name_by_entry,
    name_by_installation,
)
from orchestrator.plan.protect import ProtectFile, refuse_dead_lines
from orchestrator.rules.steps import find_step_ends
from orchestrator.text.characters import quote_text
from orchestrator.text.counting import count_noun
from orchestrator.text.lists import ListedLine
from orchestrator.text.names import to_nfc

MOST_NAMED = 10
"""Maximum number of patterns that one warning names; it counts the others."""


def refuse_dead_patterns(plan: Plan, options: RunOptions) -> None:
    """Raise ``PlanError`` with the place of each line of a protect file that can match no target's id."""
    given = ProtectFile("protect", tuple(ListedLine(text, 0, 0) for text in options.protect))
    refuse_dead_lines([*options.protect_files, *([given] if given.lines else [])], plan.gateways)


def refuse_idle_filters(database: Database, plan: Plan, options: RunOptions) -> None:
    """Raise UsageError for a filter that matches no target: a typo in ``--skip`` would take targets down.

    A ``--wave`` that the plan does not have is one, also beside others that it has.
    """
    _refuse_unknown_waves(plan, options)
    messages = []
    filters = (("--only", options.only, name_by_entry), ("--skip", options.skip, name_by_installation))
    for option, patterns, called in filters:
        for pattern in Patterns(patterns, plan.gateways, called).find_idle(_list_ids(database)):
            unfit = find_fault(pattern, plan.gateways)
            hint = f". {unfit.hint[0].upper()}{unfit.hint[1:]}" if unfit is not None and unfit.hint else ""
            messages.append(
                f"{option} {pattern or repr('')} matches no target of the plan; nothing was sent{hint}"
            )
    if messages:
        raise UsageError("\n".join(messages))


def _refuse_unknown_waves(plan: Plan, options: RunOptions) -> None:
    known = {to_nfc(wave.name) for wave in plan.waves}
    unknown = [name for name in options.waves if to_nfc(name) not in known]
    if unknown:
        names = ", ".join(wave.name for wave in plan.waves)
        named = " or ".join(map(repr, unknown))
        # Ids that take the place of a plan's targets take the place of its waves, too.
        own = (
            " (a plan without waves has this one, and so has any with --target)"
            if known == {SHORT_WAVE}
            else ""
        )
        raise UsageError(f"no wave is named {named}; the plan has {names}{own}")


def summarize_protection(database: Database, plan: Plan, options: RunOptions) -> ProtectionSummary:
    """Return how protection narrows a run whose selection was applied in ``database``."""
    held = PendingTargets(database, plan, resumed=False).count_outcomes()
    # One that an earlier session may have reached, before it was protected, is unknown.
    protected = sum(held.get((outcome, Reason.PROTECTED.value), 0) for outcome in Outcome)
    return ProtectionSummary(
        len(prepare_protection(plan, options).texts),
        protected,
        (
            *list_idle_warnings(database, plan, options),
            *warn_of_stuck(database),
            *find_lookalikes(plan.gateways),
        ),
    )


def warn_of_stuck(database: Database) -> Iterator[tuple[str | None, str]]:
    """Yield a warning if targets come after one that the selection, as it was applied, holds back."""
    stuck = list_stuck(database)
    if (first := next(stuck, None)) is None:
        return
    more = sum(1 for _ in stuck)
    name, needs = first
    told = count_noun(more + 1, "target comes", "targets come")
    rest = f" and {more:,} more" if more else ""
    yield None, f"{told} after one that is protected or left out, and cannot go: {name} after {needs}{rest}"


def list_idle_warnings(
    database: Database, plan: Plan, options: RunOptions, *, most: int | None = MOST_NAMED
) -> Iterator[tuple[str | None, str]]:
    """Yield warnings about protect patterns that match no target, each after the gateway that they name.

    Patterns that name no gateway of the plan have None in its place. A warning names at most ``most``
    patterns; None names all.
    """
    groups: dict[str | None, list[str]] = {}
    idle = prepare_protection(plan, options).find_idle(_list_ids(database))
    named = {pattern: list_named_gateways(pattern, plan.gateways) for pattern in idle}
    for pattern, names in named.items():
        groups.setdefault(names[0] if names else None, []).append(pattern)
    meant = suggest_patterns({text: names for text, names in named.items() if names}, _list_ids(database))
    # The suggestion is to be copied to where the pattern stands.
    in_files = {text for file in options.protect_files for text in file.patterns}.difference(plan.protect)
    meant |= {text: write_for_file(near) for text, near in meant.items() if text in in_files}
    places = _locate_patterns(plan, options)
    # A display shows a gateway's last warning. A pattern that names a gateway of this plan and still matches
    # nothing is more likely a slip, so its warning comes last.
    for gateway, patterns in sorted(groups.items(), key=lambda group: group[0] is not None):
        shown = ", ".join(f"{pattern} ({places[pattern]})" for pattern in patterns[:most])
        more = f" and {len(patterns) - most:,} more" if most is not None and len(patterns) > most else ""
        plural = len(patterns) > 1
        count = f"{len(patterns):,} patterns" if plural else "the pattern"
        verb = ("name" if plural else "names") if gateway is None else ("match" if plural else "matches")
        what = "no gateway of this plan" if gateway is None else "none of the targets"
        near = [quote_text(meant[pattern]) for pattern in patterns[:most] if pattern in meant]
        hint = f"; did you mean {' and '.join(near)}?" if near else ""
        yield gateway, f"protect: {count} {shown}{more} {verb} {what}{hint}"


def _locate_patterns(plan: Plan, options: RunOptions) -> dict[str, str]:
    """Return the place of each pattern: the plan, a line of a file, or the command line."""
    places = dict.fromkeys(plan.protect, "in the plan")
    for file in options.protect_files:
        for line in file.lines:
            places.setdefault(line.text, f"{file.name}:{line.number}")
    return places | {text: "given" for text in options.protect if text not in places}


def _list_ids(database: Database) -> Iterator[str]:
    return (name for name, _ in list_ids(database))


def apply_selection(database: Database, plan: Plan, options: RunOptions) -> None:
    """Hold back the targets that are protected or that the filters leave out."""
    is_wanted = make_filter(plan, options)
    filters = HoldRule(
        Reason.FILTERED,
        lambda name, wave: None if is_wanted(name, wave) else "left out by --only, --skip or --wave",
    )
    with database.transaction():
        hold_back(database, [*list_protections(plan, options), filters])


def split_waves(database: Database, plan: Plan) -> None:
    """Split each wave with ``sizes`` into steps, by the number of its targets that are not held back."""
    sized = [
        (index, partial(find_step_ends, wave.sizes)) for index, wave in enumerate(plan.waves) if wave.sizes
    ]
    if sized:
        split_into_steps(database, sized)


def make_filter(plan: Plan, options: RunOptions) -> Callable[[str, int], bool]:
    """Return a test of a target's id and the index of its wave: whether the filters admit the target."""
    # A filter that admits targets goes by the gateway's name as written. A filter that holds targets back
    # covers every name of the same installation.
    only = Patterns(options.only, plan.gateways, name_by_entry)
    skip = Patterns(options.skip, plan.gateways)
    named = set(map(to_nfc, options.waves))
    waves = {index for index, wave in enumerate(plan.waves) if to_nfc(wave.name) in named}

    def is_wanted(name: str, wave: int) -> bool:
        if options.waves and wave not in waves:
            return False
        if options.only and only.find_first(name) is None:
            return False
        return not options.skip or skip.find_first(name) is None

    return is_wanted


def make_touch_test(plan: Plan, options: RunOptions) -> Callable[[str, int], bool]:
    """Return a test of a target's id and the index of its wave: whether a run may touch the target."""
    is_wanted, holds = make_filter(plan, options), list_protections(plan, options)

    def may_touch(name: str, wave: int) -> bool:
        return is_wanted(name, wave) and all(hold.test(name, wave) is None for hold in holds)

    return may_touch


def list_protections(plan: Plan, options: RunOptions) -> list[HoldRule]:
    """Return the hold for protected targets; empty if no pattern is in force."""
    patterns = prepare_protection(plan, options)
    return [HoldRule(Reason.PROTECTED, lambda name, _: patterns.find_first(name))] if patterns.texts else []


def prepare_protection(plan: Plan, options: RunOptions) -> Patterns:
    """Return the protect patterns in force: of the plan, of the protect files, and of the caller."""
    return _prepare_patterns(plan.protect + options.site, plan.gateways)


# A start asks several times, and to prepare thousands of patterns takes a moment.
@lru_cache(maxsize=4)
def _prepare_patterns(patterns: tuple[str, ...], gateways: tuple[Gateway, ...]) -> Patterns:
    return Patterns(patterns, gateways)
