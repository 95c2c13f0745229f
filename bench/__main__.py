"""The command line of the benchmark: see `python -m bench --help`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from bench.figures import BenchmarkError, Figure, Sizes, Standing
from bench.goals import YARDSTICKS
from bench.machine import Machine, describe_machine
from bench.page import PAGE, judge, name_figure, show_figure, write_page
from bench.parts import PARTS, SizeName, choose_parts
from bench.processes import LAUNCHER
from bench.readme import README, write_into
from bench.results import RecordedFigure, load_results, save_results
from bench.servers import name_server


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", metavar="[PART...]", nargs=-1)
@click.option(
    "--gate", "size", flag_value="gate", help="Judge the floors at smaller sizes; 1 if one is missed."
)
@click.option("--tiny", "size", flag_value="tiny", help="Only prove that the parts work.")
@click.option("--targets", type=click.IntRange(min=20), help="Measure with so many targets.")
@click.option("--pairs", type=click.IntRange(min=1), help="Measure so many pairs.")
def main(words: tuple[str, ...], size: SizeName | None, targets: int | None, pairs: int | None) -> None:
    """Measure parts of the benchmark (all if none is named), and write them down.

    They go into docs/benchmarks.md and the README's cost section, unless an option asks for other sizes than
    the full ones. A part is named by itself or by a figure: `run` and `p1` are the same.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, LAUNCHER.interrupt)
    keeps = size is None and targets is None and pairs is None
    try:
        chosen = _choose_sizes(choose_parts(words), size or "full", targets, pairs)
        figures, faults = _measure_parts(chosen, keeps=keeps)
    except BenchmarkError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    missed = [figure for figure in figures if judge(figure) is Standing.BELOW_FLOOR]
    if size == "gate" and missed:
        faults.append(f"below the floor: {', '.join(map(name_figure, missed))}")
    if faults:
        sys.exit("\n".join(faults))


def _choose_sizes(
    names: list[str], size: SizeName, targets: int | None, pairs: int | None
) -> Iterator[tuple[str, Sizes]]:
    for name in names:
        sizes = PARTS[name].choose_sizes(size)
        if sizes is not None:
            yield name, Sizes(targets or sizes.targets, pairs or sizes.pairs)


def _measure_parts(chosen: Iterable[tuple[str, Sizes]], *, keeps: bool) -> tuple[list[Figure], list[str]]:
    """Return all figures, and a line for each part that could not be measured; the others go on."""
    machine = describe_machine()
    print(f"the fast server is {name_server()}; {machine.cores} cores, load {machine.load}", flush=True)
    figures, faults = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        # What a killed program leaves in its temporary folder goes with ours.
        os.environ["TMPDIR"] = folder
        for name, sizes in chosen:
            try:
                found = list(_measure_part(name, sizes, Path(folder) / name))
            except BenchmarkError as error:
                if LAUNCHER.interrupted:
                    raise KeyboardInterrupt from None
                print(f"  cannot be measured: {error}", flush=True)
                faults.append(f"{name} could not be measured")
                continue
            figures += found
            if keeps:
                _keep(name, machine, [RecordedFigure(each, machine.when, sizes) for each in found])
    return figures, faults


def _measure_part(name: str, sizes: Sizes, place: Path) -> Iterator[Figure]:
    part, began = PARTS[name], time.monotonic()
    words = f"{sizes.targets:,} targets, {sizes.pairs} pairs"
    if sizes == part.full:
        words += f", about {part.minutes} minutes"
    print(f"\n{name}: {part.about}; {words}", flush=True)
    place.mkdir()
    for figure in part.measure(place, sizes):
        print(_tell(figure, judges=sizes != part.tiny), flush=True)
        yield figure
    shutil.rmtree(place)
    print(f"({time.monotonic() - began:.0f} s)", flush=True)


def _keep(part: str, machine: Machine, found: list[RecordedFigure]) -> None:
    results = load_results().replace_part(part, machine, found)
    save_results(results)
    PAGE.write_text(write_page(results), encoding="utf-8")
    README.write_text(write_into(README.read_text(encoding="utf-8"), results), encoding="utf-8")


def _tell(figure: Figure, *, judges: bool) -> str:
    stick = YARDSTICKS[figure.name]
    median, spread = show_figure(figure)
    line = f"  {figure.name:<18} {figure.variant:<34} {median:>10}  {f'({spread})' if spread else ''}"
    if judges and (stick.goal is not None or stick.floor is not None):
        line += f"  goal {stick.show_bound(stick.goal)}, floor {stick.show_bound(stick.floor)}: "
        line += judge(figure).value
    return line


if __name__ == "__main__":
    main()
