"""docs/trust.md, written from the trials that were kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill

from msgspec import Struct

from bench.mutants.reasons import Reasons, read_reasons
from bench.processes import ROOT
from bench.trust.ledger import FOLDER, Ledger, Trial
from tests.simulation.contents import CAPABILITIES, NOT_SIMULATED, ORACLES
from tests.simulation.far.contents import FAR_CAPABILITIES, FAR_ORACLES

WIDTH = 118

PAGE = ROOT / "docs" / "trust.md"

_INTRODUCTION = """\
# Trust

What was tried to break the program, how often, and what came of it. `python -m bench.trust` writes this
page from the trials that the commands below have kept in `bench/trust/figures/`; do not edit it. Each
command runs anywhere: clone, `make setup`, and the command. What the program promises is in
[promises.md](promises.md), and what it costs in [benchmarks.md](benchmarks.md).
"""


class Kind(Struct, frozen=True):
    """One way to try. ``about`` is a paragraph; ``broke`` is the heading of the cases that broke.

    ``column`` is the heading of their number in the table.
    """

    name: str
    heading: str
    command: str
    about: str
    broke: str
    column: str = "broke"


KINDS = (
    Kind(
        "simulation",
        "Simulated runs",
        "make seeds UNTIL=100000",
        "Each seed makes a plan, its platforms, and all that goes wrong: faults in replies, gateways "
        "that are ill, a full disk, a window that closes, an operator who steers, processes that die at "
        "any step. In some seeds a preview, a discover or a doctor goes before the run. It runs and resumes "
        "on a virtual clock until the run has reached its end, restores it, "
        "and compares the reports, the journal and each request with the books of the platforms. The "
        "oracles use no rule of the engine, and for each there is a test that breaks the "
        "engine, or makes up a wire, and sees the oracle speak. The command goes on where the last call "
        "ended. CI plays the first 200 seeds on each commit. Seeds beyond one machine "
        "(`python -m tests.simulation --far`) play a driver, the workers of up to three zones and a "
        "Temporal server on one virtual clock. The server "
        "and the polls of the workers are played; all else is the program, Temporal's client, and Temporal's "
        "own machinery for workflows.",
        "Seeds that broke a promise when they were played; each was mended, and is a test since",
    ),
    Kind(
        "mutants",
        "Mutants of the modules that decide",
        "make mutants",
        "One place of a module at a time is changed: a comparison, a number, an `and`, a statement left out,"
        " a return without its value. The tests of the module should fail; where none does, the change stands"
        " below, with the reason why it does not matter. The module's own quick tests judge, and not the"
        " scenarios and simulated runs. The tests of each module should notice 85 % of its changes.",
        "Changes that no test noticed",
        "survived",
    ),
    Kind(
        "chaos",
        "Faults in real processes",
        "make chaos TIMES=100",
        "The program and the simulators are processes of this machine. A round makes a plan, disturbs its "
        "run, and resumes it to its end: `kill -9` of a run, of a restore, and of commands that read; "
        "processes that are stopped and go on; a disk that fills up, files that may not grow, few "
        "descriptors, little memory; slow commits and a clock that jumps (both put into the program's "
        "process, since no user has the right to them); a damaged journal; several resumes at once; a "
        "journal of an earlier format, damaged, or converted by resumes that are killed. A process counts "
        "as killed, under its command, where the signal came before its end. After each session the "
        "simulators' books decide: what was in flight was looked at first, what had ended got nothing "
        "more, and at the end the report agrees with them. After damage a command refuses the journal, or "
        "tells the truth.",
        "Rounds that broke a promise when they were played; each was mended, and is a test since",
    ),
    Kind(
        "fuzz",
        "Made-up inputs",
        "make fuzz MINUTES=60",
        "Inputs that nobody would write, for the readers of both gateways' replies, of plans, CSV and "
        "JSON lines tables, lists of ids, approvals and journals of all formats: recorded samples with "
        "bits, words and values changed, texts that hypothesis makes up, and inputs that atheris chooses "
        "by the lines that they reach. Each input goes to all readers of its sort, a journal to all that "
        "commands do with it before a request. A reader takes it, or refuses it with its documented "
        "error; no reply counts as success without the vendor's full evidence. An input that makes a "
        "reader fail is kept in `tests/samples/crashes/` and read again by a quick test. CI tries a few "
        "inputs of each sort on each commit.",
        "Places where an input made a reader fail; each was mended, and the input is a sample since",
    ),
    Kind(
        "soak",
        "Long runs",
        "make soak NIGHTS=1000 MINUTES=60",
        "The same work again and again: nights of simulated runs with faults but no kill on a virtual "
        "clock, in one process; and minutes of one real process that undeploys at a steady rate, with "
        "faults in 5 % of the replies, with its log and its events in files. The memory, the descriptors "
        "and the sizes of the journal, of its write-ahead log and of the logs are sampled after each night, "
        "or again and again, at least a second apart. The second half must be flat: memory rises by 2 % or "
        "1.5 MB at most; descriptors do not rise, nor do the objects that Python's collector watches; the "
        "write-ahead log is at most half as large again; journal and logs take at most a tenth more bytes a "
        "request than in the first half. Each night must have the same results as the first one.",
        "What grew, or went wrong otherwise",
    ),
)


def write_page(folder: Path = FOLDER, reasons: Reasons | None = None) -> str:
    """Return the page of the trials that ``folder`` keeps.

    ``reasons`` are those for which mutants may survive; by default the kept ones.
    """
    return "\n".join(_write_lines(folder, read_reasons() if reasons is None else reasons))


def _write_lines(folder: Path, reasons: Reasons) -> Iterator[str]:
    yield _INTRODUCTION
    for kind in KINDS:
        yield f"## {kind.heading}\n\n{fill(kind.about, WIDTH)}\n\n```console\n$ {kind.command}\n```\n"
        if kind.name == "simulation":
            yield from _write_oracles()
            yield from _write_scene()
        trials = Ledger(kind.name, folder).read()
        if not trials:
            yield "Not tried yet.\n"
            continue
        yield from _write_table(kind, trials)
        broke = list(_write_survivors(trials, reasons) if kind.name == "mutants" else _write_broken(trials))
        if broke:
            yield f"{kind.broke}:\n"
            yield from broke
            yield ""


def _write_oracles() -> Iterator[str]:
    """Yield a row for each promise, with what judges it."""
    yield "| promise | judged after each seed by |"
    yield "|---:|---|"
    for promise, judged in ORACLES.items():
        yield f"| {promise} | {judged} |"
    yield ""
    yield "| promise | judged besides after each seed beyond one machine by |"
    yield "|---:|---|"
    for promise, judged in FAR_ORACLES.items():
        yield f"| {promise} | {judged} |"
    yield ""


def _write_scene() -> Iterator[str]:
    """Yield a row for each capability that a scene may hold, then what is not in any."""
    yield "| in the scenes of some seeds | with its misfortunes |"
    yield "|---|---|"
    for each in CAPABILITIES:
        yield f"| {each.name} | {each.misfortunes} |"
    yield "\n| in the scenes of some seeds beyond one machine | with its misfortunes |"
    yield "|---|---|"
    for far in FAR_CAPABILITIES:
        yield f"| {far.name} | {far.misfortunes} |"
    left = ", ".join(NOT_SIMULATED)
    yield f"\n{fill(f'Other tests judge what is not simulated: {left}.', WIDTH)}\n"


def _write_table(kind: Kind, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield a row for each thing that was tried: the sums of its trials, their last date and commit."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.counts))
    yield f"| tried | {' | '.join(names)} | {kind.column} | last | commit |"
    yield f"|---|{'---:|' * (len(names) + 1)}---|---|"
    for of in dict.fromkeys(trial.of for trial in trials):
        same = [trial for trial in trials if trial.of == of]
        counts = Counter[str]()
        for trial in same:
            counts.update(trial.counts)
        cells = [f"{counts[name]:,}" if name in counts else "" for name in names]
        broke = sum(len(trial.broke) for trial in same)
        yield f"| {of} | {' | '.join(cells)} | {broke:,} | {same[-1].when} | {same[-1].commit} |"
    yield ""


def _write_broken(trials: Sequence[Trial]) -> Iterator[str]:
    return (f"- {each} ({trial.commit})" for trial in trials for each in trial.broke)


def _write_survivors(trials: Sequence[Trial], reasons: Reasons) -> Iterator[str]:
    """Yield a line for each module of which mutants survived, and one for each of these with its reason."""
    for trial in trials:
        if trial.broke:
            yield f"- {trial.of}"
        for name in trial.broke:
            yield f"  - `{name}`: {reasons.get(trial.of, {}).get(name, 'not judged yet')}"
