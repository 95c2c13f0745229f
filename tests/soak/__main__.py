"""python -m tests.soak: play many nights or long minutes, and tell what grows."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from bench.trust.ledger import Ledger, make_trial
from tests.soak.growth import Sample, describe_sample, list_growth
from tests.soak.minutes import play_minutes
from tests.soak.nights import play_nights

NIGHTS = "nights on the virtual clock"
MINUTES = "minutes of a real process"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--nights", default=0, show_default=True, help="Play so many nights on the virtual clock.")
@click.option("--minutes", default=0.0, show_default=True, help="Run a real process for about so long.")
@click.option("--keep/--no-keep", default=True, help="Keep the figures for docs/trust.md.")
def main(nights: int, minutes: float, *, keep: bool) -> None:
    """Sample the memory, the descriptors and the files of runs while the work stays the same.

    Exits with 1 if the second half of the samples is not flat: docs/trust.md tells the bounds.
    """
    if not nights and not minutes:
        raise click.UsageError("say how long: --nights N, --minutes M, or both")
    broke = False
    if nights:
        broke |= _soak(NIGHTS, "nights", nights, play_nights(nights, _tell), keep=keep)
    if minutes:
        with tempfile.TemporaryDirectory(prefix="undeploy-soak-") as folder:
            samples = play_minutes(minutes, Path(folder), _tell)
            broke |= _soak(MINUTES, "minutes", round(minutes), samples, keep=keep)
    sys.exit(1 if broke else 0)


def _soak(name: str, unit: str, length: int, samples: Iterator[Sample], *, keep: bool) -> bool:
    """Take all samples, tell what grew, and keep the trial; return whether anything grew."""
    taken: list[Sample] = []
    found: list[str] = []
    try:
        taken.extend(samples)
    except AssertionError as error:
        found.append((str(error).splitlines() or ["a check failed"])[0])
    found += list_growth(taken)
    for each in found:
        click.echo(f"{name}: {each}")
    last = taken[-1] if taken else Sample(memory=0.0, descriptors=0, requests=0)
    counts = {unit: length, "samples": len(taken), "requests": last.requests}
    if last.simulated:
        counts["simulated hours"] = int(last.simulated / 3600)
    click.echo(f"{name}: {', '.join(f'{count:,} {what}' for what, count in counts.items())}")
    if keep:
        Ledger("soak").keep(make_trial(name, counts, broke=tuple(found)))
    return bool(found)


def _tell(number: int, sample: Sample) -> None:
    if number % 10 == 1:
        click.echo(f"{number}: {describe_sample(sample)}")


if __name__ == "__main__":
    main()
