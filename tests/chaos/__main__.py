"""python -m tests.chaos: play rounds of faults in real processes, and name those that broke a promise."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import click

from bench.trust.ledger import Ledger, Trial, add_trials, make_trial
from orchestrator.errors import OrchestratorError
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.chaos.scenes import SCENES
from tests.chaos.sessions import ChaosRound
from tests.support.stage import make_fixture


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenes", metavar="[SCENE...]", nargs=-1, type=click.Choice(list(SCENES)))
@click.option("--times", default=5, show_default=True, help="How many rounds of each scene.")
@click.option("--seed", default=1, show_default=True, help="The first round's seed; the next ones follow.")
@click.option("--keep/--no-keep", default=True, help="Keep the figures for docs/trust.md.")
def main(scenes: tuple[str, ...], times: int, seed: int, *, keep: bool) -> None:
    """Play rounds of the scenes, all of them by default, and check the promises after each session.

    The same seed makes the same plan and the same faults; the instants depend on the machine. Exits with 1 if
    a promise was broken.
    """
    kept: dict[str, Trial] = {}
    with start_simulators(make_fixture(0, 0)) as platform:
        for number in range(seed, seed + times):
            for name in scenes or SCENES:
                fresh = play_round(name, number, platform)
                _tell(name, number, fresh)
                kept[name] = add_trials(kept[name], fresh) if name in kept else fresh
                if keep:
                    Ledger("chaos").keep(kept[name])
    broke = [each for trial in kept.values() for each in trial.broke]
    click.echo(f"{len(broke)} of {times * len(kept)} rounds broke a promise")
    sys.exit(1 if broke else 0)


def play_round(name: str, number: int, platform: RunningSimulators) -> Trial:
    """Play one round of a scene; the trial names what it broke."""
    broke: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="undeploy-chaos-") as folder:
        play = ChaosRound(Path(folder), platform, Random(f"{name} {number}"))
        try:
            SCENES[name](play)
        except (AssertionError, OrchestratorError, subprocess.TimeoutExpired) as error:
            broke = (f"{name} {number}: {shorten_cause(str(error))}",)
        requests = platform.books().requests
    counts = {"rounds": 1, "faults": play.faults, "processes": play.processes, "requests": requests}
    counts |= {f"{command} killed": count for command, count in play.killed.items() if count}
    return make_trial(name, counts, broke=broke)


def shorten_cause(text: str) -> str:
    """Return the first line of what went wrong, or the error of a traceback."""
    lines = [line for line in text.splitlines() if line.strip()] or ["a check failed without a word"]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors[-1] if errors and "Traceback" in text else lines[0])[:300]


def _tell(name: str, number: int, trial: Trial) -> None:
    counts = ", ".join(f"{count} {what}" for what, count in trial.counts.items())
    click.echo(trial.broke[0] if trial.broke else f"{name} {number}: {counts}")


if __name__ == "__main__":
    main()
