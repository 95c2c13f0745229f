"""python -m tests.simulation: play seeds, and name those that broke a promise."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count
from time import monotonic

import click

from tests.simulation.play import SeedVerdict, play_seed


@click.command()
@click.option("--seeds", default=100, show_default=True, help="How many seeds to play.")
@click.option("--first", default=1, show_default=True, help="The first seed; --seeds 1 replays it.")
@click.option("--jobs", default=cpu_count() or 1, show_default=True, help="Processes side by side.")
def main(seeds: int, first: int, jobs: int) -> None:
    """Play whole runs on a virtual clock and check the promises after each."""
    began = monotonic()
    numbers = range(first, first + seeds)
    with ProcessPoolExecutor(jobs) as pool:
        verdicts = list(pool.map(play_seed, numbers, chunksize=4))
    failed = [verdict for verdict in verdicts if verdict.broken]
    for verdict in failed:
        _print_verdict(verdict)
    sessions = sum(verdict.sessions for verdict in verdicts)
    hours = sum(verdict.seconds for verdict in verdicts) / 3600
    click.echo(
        f"{len(verdicts)} seeds, {sessions} sessions, {sum(v.requests for v in verdicts)} requests,"
        f" {hours:.1f} simulated hours in {monotonic() - began:.1f} s"
    )
    hung, in_use = (sum(getattr(verdict, name) for verdict in verdicts) for name in ("hung", "in_use"))
    click.echo(f"{hung} things hung on front ends again, {in_use} targets left for their use")
    click.echo(f"{len(verdicts) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def _print_verdict(verdict: SeedVerdict) -> None:
    click.echo(f"seed {verdict.seed} (replay: --first {verdict.seed} --seeds 1):")
    for line in verdict.broken:
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
