"""docs/benchmarks.md, written from the kept results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.figures import Figure, Standing, Yardstick
from bench.goals import YARDSTICKS
from bench.machine import Machine
from bench.parts import PARTS
from bench.processes import ROOT
from bench.results import RecordedFigure, Results

PAGE = ROOT / "docs" / "benchmarks.md"

_INTRODUCTION = """\
# Benchmarks

`make bench` writes this page; do not edit it. It needs this repository, and for the fastest server and the
comparisons Debian's nginx and curl. Every figure is a ratio to something that was measured in turn with it
(A B A B) on the same machine and the same server, or a count. A figure is the median of its pairs; the spread
is their least and greatest value.

```console
$ make bench                    # everything: about {minutes} minutes
$ make bench PARTS="run check"  # some parts, or figures: PARTS="p1 p8"
$ make bench-gate               # the floors alone, at smaller sizes: about ten minutes
```
"""
_JUDGED = (
    "name", "figure", "of", "targets x pairs", "median", "spread", "goal", "floor", "standing", "session"
)  # fmt: skip
_TOLD = ("figure", "of", "targets x pairs", "median", "spread", "session")


def write_page(results: Results) -> str:
    """Return the page."""
    return "\n".join(_write_lines(results))


def _write_lines(results: Results) -> Iterator[str]:
    numbers = {name: str(number) for number, name in enumerate(results.sessions, 1)}
    yield _INTRODUCTION.format(minutes=sum(part.minutes for part in PARTS.values()))
    yield "## Goals and floors\n"
    yield from _write_table(_JUDGED, _list_judged(results, numbers))
    yield from _write_misses(results)
    yield "\n## Told, and not judged\n"
    yield from _write_table(_TOLD, _list_told(results, numbers))
    yield "\n## Sessions\n"
    yield from (_describe_session(numbers[name], machine) for name, machine in results.sessions.items())
    yield "\n## Parts\n"
    yield from _write_table(("part", "measures", "targets", "pairs", "minutes"), _list_parts())
    yield ""


def _write_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _is_judged(yardstick: Yardstick) -> bool:
    return yardstick.goal is not None or yardstick.floor is not None


def _find_figures(results: Results, name: str) -> list[RecordedFigure]:
    return [each for each in results.figures if each.figure.name == name]


def _list_judged(results: Results, numbers: dict[str, str]) -> Iterator[Sequence[str]]:
    for name, stick in YARDSTICKS.items():
        if _is_judged(stick):
            bounds = [stick.show_bound(stick.goal), stick.show_bound(stick.floor)]
            found = _find_figures(results, name)
            for each in found:
                standing = _emphasize(judge(each.figure))
                yield name, stick.about, *_write_cells(each), *bounds, standing, numbers[each.session]
            if not found:
                yield name, stick.about, "", "", "", "", *bounds, Standing.NOT_MEASURED.value, ""


def _list_told(results: Results, numbers: dict[str, str]) -> Iterator[Sequence[str]]:
    for name, stick in YARDSTICKS.items():
        if not _is_judged(stick):
            for each in _find_figures(results, name):
                yield stick.about, *_write_cells(each), numbers[each.session]


def _write_cells(each: RecordedFigure) -> tuple[str, ...]:
    sizes = f"{each.sizes.targets:,} x {each.sizes.pairs}" if each.figure.values else ""
    return each.figure.variant, sizes, *show_figure(each.figure)


def _emphasize(standing: Standing) -> str:
    return f"**{standing.value}**" if standing is Standing.BELOW_FLOOR else standing.value


def show_figure(figure: Figure) -> tuple[str, str]:
    """Return the median and the spread of a figure, or the reason why there are none."""
    if not figure.values:
        return figure.absent, ""
    show = YARDSTICKS[figure.name].unit.show
    if len(figure.values) == 1:
        return show(figure.median), "one value"
    return show(figure.median), f"{show(min(figure.values))} to {show(max(figure.values))}"


def judge(figure: Figure) -> Standing:
    """Return where a figure stands."""
    if not figure.values:
        return Standing.NOT_MEASURED
    return YARDSTICKS[figure.name].judge(figure.median)


def _write_misses(results: Results) -> Iterator[str]:
    judged = list(_judged_figures(results))
    for words, standing in (
        ("Below their floors", Standing.BELOW_FLOOR),
        ("Above their floors, and short of their goals", Standing.FLOOR_KEPT),
        ("Not measured here", Standing.NOT_MEASURED),
    ):
        missed = [name_figure(figure) for figure in judged if judge(figure) is standing]
        yield f"\n{words}: {', '.join(missed) or 'none'}."


def _judged_figures(results: Results) -> Iterator[Figure]:
    """Yield every figure with a goal or a floor; one without values for a yardstick that has none."""
    for name, stick in YARDSTICKS.items():
        if _is_judged(stick):
            found = [each.figure for each in _find_figures(results, name)]
            yield from found or [Figure(name, "")]


def name_figure(figure: Figure) -> str:
    """Return the name and the variant of a figure, for people."""
    return f"{figure.name} ({figure.variant})" if figure.variant else figure.name


def _describe_session(number: str, machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{number}. {machine.when}, commit {machine.commit}: {machine.cores} cores ({machine.processor}),"
        f" {machine.system}, load {machine.load} before it began; {versions}."
    )


def _list_parts() -> Iterator[Sequence[str]]:
    for name, part in PARTS.items():
        yield (
            f"`make bench PARTS={name}`",
            part.about,
            f"{part.full.targets:,}",
            str(part.full.pairs),
            str(part.minutes),
        )
