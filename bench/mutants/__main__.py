"""python -m bench.mutants: change one place of a deciding module at a time, and tell what no test notices."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Mapping, Sequence

import click

from bench.mutants.judge import Fate, preload
from bench.mutants.modules import list_modules
from bench.mutants.reasons import read_reasons
from bench.mutants.session import judge_mutants
from bench.mutants.sites import Mutant, make_mutants
from bench.trust.ledger import Ledger, make_trial

LEAST = 0.85
"""The share of its mutants that a module's tests should kill."""


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
        survivors = [
            mutant.name for mutant, fate in judge_mutants(module, mutants, jobs) if fate is Fate.SURVIVED
        ]
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


if __name__ == "__main__":
    main()
