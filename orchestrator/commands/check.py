"""undeploy check: validate a plan offline."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.protection import (
    merge_protect_problems,
    protect_file_option,
    read_protect_files,
)
from orchestrator.commands.terminal.output import tell_warnings
from orchestrator.commands.terminal.work_line import show_work
from orchestrator.text.counting import count_noun, name_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.draft import Draft
    from orchestrator.model.plan import Plan
    from orchestrator.plan.reader import ParsedPlan
    from orchestrator.runs.load import LoadedPlan


MOST_NAMED = 3
"""How many of the protected targets a line names."""


@click.command("check")
@plan_options
@protect_file_option
def command(plan: PlanOptions, protect_files: tuple[Path, ...]) -> None:
    """Validate a plan offline and print its counts and digest.

    Resolves no credential and sends nothing. Every problem is told at once, with its file, line and column.
    Tells in words how the plan would go, too: what bounds it and what stops it.
    """
    # Not through orchestrator.api, which brings the whole engine with it.
    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.draft import Draft
    from orchestrator.plan.reader import read_plan
    from orchestrator.runs.selection import refuse_dead_patterns
    from orchestrator.system.temporary import make_temporary_folder

    # On disk: a plan may have more targets than fit into memory.
    with make_temporary_folder() as folder, closing(Draft(folder / "draft")) as draft:
        options = RunOptions(protect_files=read_protect_files(protect_files))
        targets = plan.list_targets()
        with (
            merge_protect_problems(options.protect_files),
            show_work("reads the plan", count=draft.tell_count),
        ):
            loaded = read_plan(plan.path, draft, instead=targets)
        tell_warnings(loaded.warnings)
        with show_work("tests the targets against the patterns"):
            refuse_dead_patterns(loaded.plan, options)
            lines = [
                *list_counts(loaded),
                *explain_plan(loaded, draft, options),
                *_list_short_credentials(loaded),
            ]
    for line in lines:
        click.echo(line)
    click.echo(f"digest: {loaded.digest}")


def _list_short_credentials(loaded: ParsedPlan) -> Iterator[str]:
    """Yield a warning for each credential that is known to be too short to be masked well."""
    from orchestrator.text.characters import make_visible
    from orchestrator.transport.credentials import find_short_secrets

    for gateway in loaded.plan.gateways:
        for reference in find_short_secrets(gateway, loaded.folder):
            from orchestrator.lanes.masking import TOO_SHORT  # masking is slow to import, and rarely wanted

            where = f"gateway {make_visible(gateway.name)}: {make_visible(str(reference))}"
            yield f"warning: {where}: {TOO_SHORT}"


def list_counts(loaded: ParsedPlan | LoadedPlan) -> Iterator[str]:
    """Yield how many targets a plan has, by gateway, by wave, and by zone if it has several, as lines."""
    from orchestrator.text.characters import make_visible
    from orchestrator.text.columns import align_columns

    yield f"plan: {make_visible(loaded.plan.name)}"
    yield f"targets: {loaded.targets}"
    kinds = {gateway.name: gateway.KIND for gateway in loaded.plan.gateways}
    rows = [
        ("gateway", make_visible(name), kinds[name], str(count)) for name, count in loaded.by_gateway.items()
    ]
    rows += [("wave", make_visible(name), "", str(count)) for name, count in loaded.by_wave.items()]
    by_zone = count_by_zone(loaded)
    if len(by_zone) > 1:
        rows += [("zone", name, "", str(count)) for name, count in by_zone.items()]
    yield from align_columns(rows, left=3)


def count_by_zone(loaded: ParsedPlan | LoadedPlan) -> Counter[str]:
    """Return how many targets a plan has in each network zone, in the order of its gateways."""
    zones = {gateway.name: gateway.zone for gateway in loaded.plan.gateways}
    counts: Counter[str] = Counter()
    for name, count in loaded.by_gateway.items():
        counts[zones[name]] += count
    return counts


def explain_plan(loaded: ParsedPlan, draft: Draft, options: RunOptions) -> Iterator[str]:
    """Yield lines that say how a run of the plan would go; ``options`` hold the protect files."""
    from orchestrator.commands.terminal.plan_words import (
        describe_access,
        describe_in_use,
        describe_limits,
        describe_paces,
        describe_stop_rules,
        describe_window,
        warn_of_long_pauses,
    )
    from orchestrator.distributed.bounds import OPEN_TARGETS
    from orchestrator.report.words import describe_patterns
    from orchestrator.runs.selection import prepare_protection
    from orchestrator.text.characters import make_visible

    plan = loaded.plan
    kept, protected = count_protected(plan, draft, options)
    # YAML ends a text before " #", and nobody would see in the plan that "CHG #1042" is "CHG".
    if plan.reason is not None:
        yield f"reason: {make_visible(plan.reason)}"
    if plan.window is not None:
        yield f"window: {describe_window(plan.window)}"
    yield from describe_access(plan.gateways)
    yield from describe_limits(plan.gateways)
    left = [loaded.by_wave[wave.name] - kept[index] for index, wave in enumerate(plan.waves)]
    for index, words in describe_paces(plan.waves, left):
        yield f"wave {make_visible(plan.waves[index].name)}: {words}"
    if following := draft.count_dependents():
        yield f"after: {count_noun(following, 'target comes', 'targets come')} after another"
    patterns = len(prepare_protection(plan, options).texts)
    yield f"protect: {describe_patterns(patterns)}"
    if patterns:
        names = f": {name_first(protected, MOST_NAMED, kept.total())}" if protected else ""
        yield f"protected: {count_noun(kept.total(), 'target')}{make_visible(names)}"
    yield from describe_stop_rules(plan.stop_when, loaded.targets)
    yield from describe_in_use(plan)
    if loaded.targets > OPEN_TARGETS:
        yield f"with --on: {OPEN_TARGETS:,} targets at most go on while no command takes their results over"
    yield from warn_of_long_pauses(plan, left)
    yield from list_warnings(loaded, draft, options)


def list_warnings(loaded: ParsedPlan, draft: Draft, options: RunOptions) -> Iterator[str]:
    """Yield the warnings about a plan, such as each pattern that matches nothing."""
    from orchestrator.commands.terminal.plan_words import warn_of_untold_use
    from orchestrator.journal.session_scope import hold_back
    from orchestrator.plan.lookalikes import find_lookalikes
    from orchestrator.rules.window import describe_closed_window, describe_short_window
    from orchestrator.runs.selection import list_idle_warnings, list_protections, warn_of_stuck
    from orchestrator.text.characters import make_visible
    from orchestrator.transport.warnings import list_warnings

    plan = loaded.plan
    if (over := describe_closed_window(plan.window, time.time())) is not None:
        yield f"warning: {over}; a run wants another one, in the plan or by --window or --close-at"
    for gateway in plan.gateways:
        short = describe_short_window(plan.window, gateway.reply_timeout)
        if short is not None and loaded.by_gateway[gateway.name]:
            yield f"warning: {make_visible(gateway.name)}: {short}: none of its targets can start"
    for gateway in plan.gateways:
        yield from (f"warning: {make_visible(gateway.name)}: {text}" for text in list_warnings(gateway))
    yield from warn_of_untold_use(plan)
    for _, text in list_idle_warnings(draft.database, plan, options, most=None):
        yield f"warning: {make_visible(text)}"
    hold_back(draft.database, list_protections(plan, options))
    for _, text in warn_of_stuck(draft.database):
        yield f"warning: {make_visible(text)}"
    for _, text in find_lookalikes(plan.gateways):
        yield f"warning: {make_visible(text)}"


def count_protected(plan: Plan, draft: Draft, options: RunOptions) -> tuple[Counter[int], list[str]]:
    """Return how many targets of each wave, by its index, are protected; and the ids of the first of them."""
    from orchestrator.journal.targets import list_ids
    from orchestrator.runs.selection import list_protections

    holds = list_protections(plan, options)
    rows = list_ids(draft.database) if holds else ()
    counts: Counter[int] = Counter()
    first: list[str] = []
    for name, wave in rows:
        if any(hold.test(name, wave) is not None for hold in holds):
            counts[wave] += 1
            if len(first) < MOST_NAMED:
                first.append(name)
    return counts, first
