"""python -m tests.fuzzing: give made-up inputs to the readers, and keep what makes one fail."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic

import click
from hypothesis import HealthCheck, Phase, given, seed, settings

from bench.trust.ledger import Ledger, make_trial
from tests.fuzzing.aims import AIMS
from tests.fuzzing.coverage import fuzz_by_coverage, is_available
from tests.fuzzing.findings import Finding, keep, shorten, try_input

MADE_UP = 0.15
"""The share of the time for inputs that hypothesis makes up."""
BY_COVERAGE = 0.45
"""The share for inputs that atheris chooses, if it is installed."""
BATCH = 200
"""Inputs between two looks at the clock."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("aims", metavar="[AIM...]", nargs=-1, type=click.Choice(list(AIMS)))
@click.option("--minutes", default=1.0, show_default=True, help="How long to try, for each aim.")
@click.option("--seed", "number", type=int, help="Make the same mutations again.")
@click.option("--keep/--no-keep", "keeps", default=True, help="Keep the figures for docs/trust.md.")
def main(aims: tuple[str, ...], minutes: float, number: int | None, *, keeps: bool) -> None:
    """Give inputs to the readers of replies, plans, tables, approvals and journals; to all by default.

    Exits with 1 if a reader failed in a way that is not documented. With atheris (pip install atheris) a part
    of the inputs is chosen by the lines that they reach. It is no dependency: without it the time goes to
    mutations of the samples.
    """
    if not is_available():
        click.echo("atheris is not installed: no inputs by coverage", err=True)
    broke = 0
    for name in aims or AIMS:
        session = FuzzSession(name, number if number is not None else random.SystemRandom().getrandbits(32))
        session.run(minutes * 60)
        click.echo(f"{name}: {', '.join(f'{count:,} {what}' for what, count in session.counts.items())}")
        told = session.keep_findings()
        for line in told:
            click.echo(f"  {line}")
        broke += len(told)
        if keeps:
            Ledger("fuzz").keep(make_trial(name, dict(session.counts), broke=told))
    sys.exit(1 if broke else 0)


def _measure_work() -> float:
    """Return the seconds of processor time that this process and its children have taken."""
    return sum(os.times()[:4])


class FuzzSession:
    """Tries inputs of one aim. ``counts`` are the inputs, by how they were made, and what they took."""

    def __init__(self, aim: str, number: int) -> None:
        self.counts = Counter[str]({"mutated samples": 0, "made up by hypothesis": 0, "by coverage": 0})
        self._name = aim
        self._aim = AIMS[aim]
        self._dice = Random(number)
        self._found: dict[str, Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """The inputs that made the reader fail, one for each place."""
        return list(self._found.values())

    def run(self, seconds: float) -> None:
        """Try inputs of all sorts for so many seconds."""
        began, spent = monotonic(), _measure_work()
        if is_available():
            self._run_coverage(seconds * BY_COVERAGE)
        self._make_up(seconds * MADE_UP)
        while monotonic() < began + seconds:
            self.mutate_samples(BATCH if self._aim.quick > 5 else 10)
        self.counts["minutes of processor time"] = round((_measure_work() - spent) / 60)

    def mutate_samples(self, count: int) -> None:
        """Try so many mutations of samples."""
        seeds = self._aim.list_seeds()
        for _ in range(count):
            self._try("mutated samples", self._aim.mutate(self._dice, self._dice.choice(seeds), seeds))

    def _make_up(self, seconds: float) -> None:
        ends = monotonic() + seconds
        while monotonic() < ends:
            self.make_up(BATCH)

    def make_up(self, count: int) -> None:
        """Try so many inputs that hypothesis makes up."""

        @seed(self._dice.getrandbits(32))
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self._aim.made_up)
        def play(data: bytes) -> None:
            self._try("made up by hypothesis", data)

        play()

    def _run_coverage(self, seconds: float) -> None:
        with tempfile.TemporaryDirectory(prefix="undeploy-coverage-") as folder:
            self.counts["by coverage"] += fuzz_by_coverage(self._name, seconds, Path(folder))
            for file in sorted((Path(folder) / "found").glob("*/*")):
                finding = try_input(self._name, file.read_bytes())
                if finding is not None:
                    self._found.setdefault(finding.place, finding)

    def _try(self, what: str, data: bytes) -> None:
        self.counts[what] += 1
        finding = try_input(self._name, data)
        if finding is not None:
            self._found.setdefault(finding.place, finding)

    def keep_findings(self) -> tuple[str, ...]:
        """Keep each finding as a sample; return them in words."""
        told = []
        for place, finding in self._found.items():
            path = keep(shorten(finding))
            told.append(f"{place} ({path.parent.name}/{path.name})")
        return tuple(told)


if __name__ == "__main__":
    main()
