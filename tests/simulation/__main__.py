"""python -m tests.simulation: play seeds, and name those that broke a promise."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count
from time import monotonic

import click
from msgspec.structs import replace

from bench.trust.ledger import Ledger, Trial, add_trials, make_trial
from tests.simulation.far.play import play_far_seed
from tests.simulation.play import SeedVerdict, play_seed

NEAR, FAR = "seeds", "seeds beyond one machine"
"""The names under which the trials of the two scenes are kept."""

SLICE = 100
"""Seeds that are played before they are kept: a minute is lost if the command is cut off.

Each slice has processes of its own, so that none grows. (A pool that renews its processes by itself may stand
still for ever: python/cpython issue 115634.)
"""


@click.command()
@click.option("--seeds", default=100, show_default=True, help="How many seeds to play.")
@click.option("--first", default=1, show_default=True, help="The first seed; --seeds 1 replays it.")
@click.option(
    "--until", type=int, help="Play on from the last seed that was ever kept to this one, and keep."
)
@click.option("--far", is_flag=True, help="Play runs with workers on a Temporal server.")
@click.option("--jobs", default=cpu_count() or 1, show_default=True, help="Processes side by side.")
def main(seeds: int, first: int, until: int | None, far: bool, jobs: int) -> None:
    """Play whole runs on a virtual clock and check the promises after each."""
    of = FAR if far else NEAR
    if until is None:
        failed = _play_all(of, range(first, first + seeds), jobs)
    else:
        failed = _play_on(of, until, jobs, Ledger("simulation"))
    sys.exit(1 if failed else 0)


def _play_all(of: str, seeds: Sequence[int], jobs: int) -> tuple[str, ...]:
    """Play seeds slice by slice, and tell of each slice; return those that broke a promise."""
    slices = (seeds[start : start + SLICE] for start in range(0, len(seeds), SLICE))
    return tuple(name for each in slices for name in _play(of, each, jobs).broke)


def _play_on(of: str, until: int, jobs: int, ledger: Ledger) -> tuple[str, ...]:
    """Play all seeds that no earlier call has played, and keep what came of them slice by slice."""
    first = ledger.find_next(of)
    kept: Trial | None = None
    for start in range(first, until + 1, SLICE):
        fresh = _play(of, range(start, min(start + SLICE, until + 1)), jobs)
        kept = fresh if kept is None else add_trials(kept, fresh)
        ledger.keep(kept)
    played = sum(each.counts["seeds"] for each in ledger.read() if each.of == of)
    click.echo(f"{played} {of} were played in all; the next one is {ledger.find_next(of)}")
    return kept.broke if kept is not None else ()


def _play(of: str, seeds: Sequence[int], jobs: int) -> Trial:
    """Play seeds, tell of them, and return what came of them."""
    began = monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        verdicts = list(pool.map(play_far_seed if of == FAR else play_seed, seeds, chunksize=2))
    broke = [verdict for verdict in verdicts if verdict.broken]
    for verdict in broke:
        _print_verdict(verdict, " --far" if of == FAR else "")
    counts = _count_far(verdicts) if of == FAR else _count(verdicts)
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{told} in {monotonic() - began:.1f} s")
    click.echo(f"{len(verdicts) - len(broke)} passed, {len(broke)} failed")
    trial = make_trial(
        of, counts, broke=tuple(_name_broken(broke, " beyond one machine" if of == FAR else ""))
    )
    return replace(trial, span=(seeds[0], seeds[-1]))


def _count(verdicts: Sequence[SeedVerdict]) -> dict[str, int]:
    return {
        "seeds": len(verdicts),
        "sessions": sum(verdict.sessions for verdict in verdicts),
        "requests": sum(verdict.requests for verdict in verdicts),
        "simulated minutes": round(sum(verdict.seconds for verdict in verdicts) / 60),
        "things hung on front ends again": sum(verdict.hung for verdict in verdicts),
        "targets left for their use": sum(verdict.in_use for verdict in verdicts),
        "commands that only look": sum(verdict.looked for verdict in verdicts),
    }


def _count_far(verdicts: Sequence[SeedVerdict]) -> dict[str, int]:
    counts = _count(verdicts)
    kept = ("seeds", "sessions", "requests", "simulated minutes")
    return {name: counts[name] for name in kept} | {
        "chunks lost with their workers": sum(verdict.lost for verdict in verdicts),
    }


def _name_broken(verdicts: Sequence[SeedVerdict], where: str) -> Iterator[str]:
    for verdict in verdicts:
        yield f"seed {verdict.seed}{where}: {verdict.broken[0]}"


def _print_verdict(verdict: SeedVerdict, option: str) -> None:
    click.echo(f"seed {verdict.seed} (replay:{option} --first {verdict.seed} --seeds 1):")
    for line in verdict.broken:
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
