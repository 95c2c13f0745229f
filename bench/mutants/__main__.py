"""python -m bench.mutants: change one place of a deciding module at a time, and tell what no test notices."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import click

from bench.mutants.judge import Fate, TestProcess, preload, wait_for
from bench.mutants.modules import DecidingModule, list_modules
from bench.mutants.reasons import read_reasons
from bench.mutants.relevance import Selection, record_tests
from bench.mutants.sites import Mutant, make_mutants
from bench.trust.ledger import Ledger, make_trial

LEAST = 0.85
"""The share of its mutants that a module's tests should kill."""

SLOWER = 8.0
"""How many times as long as the module as it is a mutant may take: a loop that turns for ever is killed."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", metavar="[MODULE...]", nargs=-1)
@click.option("--most", default=0, help="Try so many mutants of a module, chosen by chance; all by default.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes side by side.")
@click.option("--keep/--no-keep", default=True, help="Keep the figures for docs/trust.md.")
def main(words: tuple[str, ...], most: int, jobs: int, *, keep: bool) -> None:
    """Try mutants of the modules whose path holds a word; of all that decide without one.

    Exits with 1 if the tests of a module kill fewer than 85 % of its mutants, or if a reason in
    ``bench/mutants/reasons`` is for none that survived.
    """
    preload()
    weak, reasons = [], read_reasons()
    for module in list_modules(words):
        mutants = _choose(make_mutants(module.file.read_text(encoding="utf-8")), most)
        if not mutants:
            continue
        survivors = [mutant.name for mutant, fate in _judge(module, mutants, jobs) if fate is Fate.SURVIVED]
        killed = len(mutants) - len(survivors)
        click.echo(f"{module.path}: {killed} of {len(mutants)} killed ({killed / len(mutants):.0%})")
        stale = _tell_survivors(survivors, reasons.get(module.path, {}), whole=not most)
        if stale or killed < LEAST * len(mutants):
            weak.append(module.path)
        if keep:
            counts = {"mutants": len(mutants), "killed": killed}
            Ledger("mutants").replace(make_trial(module.path, counts, broke=tuple(survivors)))
    sys.exit(
        f"fewer than {LEAST:.0%} killed, or reasons without a survivor: {', '.join(weak)}" if weak else 0
    )


def _tell_survivors(survivors: Sequence[str], reasons: Mapping[str, str], *, whole: bool) -> bool:
    """Print the survivors with their reasons; return whether a reason is for none of them.

    ``whole``: all mutants of the module were tried.
    """
    for name in survivors:
        click.echo(f"  survived: {name}" + (f" [{reasons[name]}]" if name in reasons else ""))
    stale = [name for name in reasons if name not in survivors] if whole else []
    for name in stale:
        click.echo(f"  has a reason, and did not survive: {name}")
    return bool(stale)


def _choose(mutants: list[Mutant], most: int) -> list[Mutant]:
    if not most or len(mutants) <= most:
        return mutants
    places = sorted(random.Random(0).sample(range(len(mutants)), most))
    return [mutants[place] for place in places]


def _judge(module: DecidingModule, mutants: Sequence[Mutant], jobs: int) -> Iterator[tuple[Mutant, Fate]]:
    """Yield the fate of each mutant, after the tests have passed with the module as it is."""
    record = record_tests(module)
    longest = max(10.0, SLOWER * record.seconds)
    waiting, running = list(reversed(mutants)), dict[TestProcess, Mutant]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            if chosen := record.choose(mutant):
                running[_start(module, mutant, Selection(chosen))] = mutant
            else:
                yield mutant, Fate.SURVIVED
        for process in wait_for(list(running), 1.0):
            yield running.pop(process), process.read_fate()
        for process in [each for each in running if time.monotonic() - each.began > longest]:
            process.kill()
            yield running.pop(process), Fate.TIMED_OUT


def _start(module: DecidingModule, mutant: Mutant, selection: Selection) -> TestProcess:
    return TestProcess(module.name, str(module.file), mutant.source, selection.files, selection)


if __name__ == "__main__":
    main()
