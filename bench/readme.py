"""The README's three sentences on cost, whose figures are those of docs/benchmarks.md."""

from __future__ import annotations

import textwrap

from bench.goals import YARDSTICKS
from bench.processes import ROOT
from bench.results import Results

README = ROOT / "README.md"
BEGIN, END = "<!-- made by python -m bench: begin -->\n", "<!-- made by python -m bench: end -->\n"
_UNKNOWN = "(not measured yet)"


_SENTENCES = """\
In practice the gateway's own limit decides: a default run sends {roma} requests a target to ROMA,
besides reading what is bound to its front-end APIs, and {apinizer} to Apinizer; against a limit
that its plan does not know it takes {limited} times the least time that the limit allows. At a
gateway without any limit a whole run, with its durable journal and five reports, goes at {pace} of
the pace of a bare aiohttp loop that only sends, and a million targets take {memory} of memory.
There `curl -Z` is {curl} times as fast as we are: take it where you need no journal, no resume, no
care for what a reply means, and no report."""


def write_cost(results: Results) -> str:
    """Return the sentences as a paragraph."""
    text = _SENTENCES.format(
        roma=_tell(results, "P13 ROMA"),
        apinizer=_tell(results, "P13 Apinizer"),
        limited=_tell(results, "P3"),
        pace=_tell(results, "P1"),
        memory=_tell(results, "P7"),
        curl=_tell_curl(results),
    )
    # A command is not broken over two lines.
    whole = text.replace("curl -Z", "curl\0-Z")
    filled = textwrap.fill(whole, 119, break_on_hyphens=False, break_long_words=False)
    return filled.replace("\0", " ") + "\n"


def write_into(readme: str, results: Results) -> str:
    """Return the README with the sentences of these results."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{write_cost(results)}{END}{after}"


def _find_worst(results: Results, name: str) -> float | None:
    """Return the worst median of a figure's variants; None if it was not measured."""
    medians = [
        each.figure.median for each in results.figures if each.figure.name == name and each.figure.values
    ]
    worst = max if YARDSTICKS[name].better == "less" else min
    return worst(medians) if medians else None


def _tell(results: Results, name: str) -> str:
    worst = _find_worst(results, name)
    return _UNKNOWN if worst is None else YARDSTICKS[name].unit.show(worst)


def _tell_curl(results: Results) -> str:
    ours = _find_worst(results, "P10")
    return _UNKNOWN if ours is None else f"{1 / ours:.1f}"
