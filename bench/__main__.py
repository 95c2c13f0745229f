"""The command line of the benchmark: see `python -m bench --help`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from bench.figures import BenchmarkError, Figure, Standing
from bench.goals import YARDSTICKS
from bench.machine import Machine, describe_machine
from bench.page import PAGE, judge, show_figure, write_page
from bench.parts import PARTS, choose_parts
from bench.processes import LAUNCHER
from bench.results import RecordedFigure, load_results, save_results
from bench.servers import name_server


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", metavar="[PART...]", nargs=-1)
@click.option("--gate", is_flag=True, help="Judge the floors at smaller sizes; exit with 1 if one is missed.")
@click.option("--tiny", is_flag=True, help="Only prove that the parts work; the figures mean nothing.")
def main(words: tuple[str, ...], gate: bool, tiny: bool) -> None:
    """Measure parts of the benchmark (all if none is named), and write docs/benchmarks.md.

    A part is named by itself or by a figure: `run` and `p1` are the same. --gate and --tiny leave the page
    as it is.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, LAUNCHER.interrupt)
    try:
        names = choose_parts(words)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            # What a killed program leaves in its temporary folder goes with ours.
            os.environ["TMPDIR"] = folder
            size = "gate" if gate else "tiny" if tiny else "full"
            figures = list(_measure_parts(names, size, Path(folder)))
    except BenchmarkError as error:
        sys.exit(130 if LAUNCHER.interrupted else f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    missed = [figure for figure in figures if judge(figure) == Standing.BELOW_FLOOR.value]
    if gate and missed:
        sys.exit(f"below the floor: {', '.join(f'{each.name} {each.variant}' for each in missed)}")


def _measure_parts(names: list[str], size: str, folder: Path) -> Iterator[Figure]:
    machine = describe_machine()
    print(f"the fast server is {name_server()}; {machine.cores} cores, load {machine.load}", flush=True)
    for name in names:
        sizes = getattr(PARTS[name], size)
        if sizes is None:
            continue
        print(
            f"\n{name}: {PARTS[name].about}; {sizes.targets:,} targets, {sizes.pairs} pairs"
            + (f", about {PARTS[name].minutes} minutes" if size == "full" else ""),
            flush=True,
        )
        began, found = time.monotonic(), []
        place = folder / name
        place.mkdir()
        for figure in PARTS[name].measure(place, sizes):
            print(_tell(figure), flush=True)
            found.append(figure)
            yield figure
        shutil.rmtree(place)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        if size == "full":
            _keep(
                name,
                machine,
                [RecordedFigure(each, machine.when, sizes.targets, sizes.pairs) for each in found],
            )


def _keep(part: str, machine: Machine, found: list[RecordedFigure]) -> None:
    results = load_results().replace_part(part, machine, found)
    save_results(results)
    PAGE.write_text(write_page(results), encoding="utf-8")


def _tell(figure: Figure) -> str:
    stick = YARDSTICKS[figure.name]
    median, spread = show_figure(stick, figure)
    line = f"  {figure.name:<18} {figure.variant:<34} {median:>10}  {f'({spread})' if spread else ''}"
    if stick.goal is not None or stick.floor is not None:
        line += (
            f"  goal {stick.show_bound(stick.goal)}, floor {stick.show_bound(stick.floor)}: {judge(figure)}"
        )
    return line.replace("**", "")


if __name__ == "__main__":
    main()
