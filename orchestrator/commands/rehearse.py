"""undeploy rehearse: run a plan against the simulators, and check that its report tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.files import FILE, report_dir_option
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.runs import state_option
from orchestrator.commands.options.selection import SelectionOptions, selection_options
from orchestrator.commands.terminal.live_page import open_page
from orchestrator.commands.terminal.output import print_result, tell
from orchestrator.commands.terminal.run_display import run_with_display
from orchestrator.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.model.plan import Plan
    from orchestrator.preview.replay import ReplayedPreview
    from orchestrator.report.values import ReportSource
    from orchestrator.runs.load import LoadedPlan
    from orchestrator.simulator.books import SimulatorBooks
    from orchestrator.simulator.faults import FaultScenario
    from orchestrator.simulator.fixtures import SimulatorFixture

# No 429 is among the faults: each would pause its whole gateway, and a large plan would take all day.
DEFAULT_STORM = "15%:500,500-after,502,reset,reset-after,garbage"
MOST_SHOWN = 10
"""How many disagreements are shown; a bug report needs only one."""


class FaultOptions(NamedTuple):
    """The faults that the simulators are to make."""

    storm: str | None
    seed: int
    faults: Path | None

    def load(self) -> FaultScenario:
        """Return the faults asked for, or ``DEFAULT_STORM`` where none are; raises ``UsageError``."""
        from msgspec import structs

        from orchestrator.simulator.faults import FaultScenario, parse_storm
        from orchestrator.simulator.fixtures import read_json_file

        faults = read_json_file(self.faults, FaultScenario, "faults") if self.faults else FaultScenario()
        text = self.storm or (None if self.faults else DEFAULT_STORM)
        return structs.replace(faults, storm=parse_storm(text, self.seed)) if text else faults


fault_options = bundle_options(
    "fault_choice",
    FaultOptions,
    click.option(
        "--storm",
        metavar="SHARE[:FAULT,...]",
        help="Strike this share of the requests with faults; 15% if not given, 0 for none.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="The same storm again."),
    click.option(
        "--faults", type=FILE, metavar="FILE", help="Faults by target or gateway, as JSON; see above."
    ),
)


@click.command("rehearse")
@plan_options
@fault_options
@click.option(
    "--from",
    "preview",
    type=FILE,
    metavar="FILE",
    help="Begin with the live state that `preview --format json` printed.",
)
@selection_options
@state_option
@report_dir_option
@display_options
def command(
    plan: PlanOptions,
    fault_choice: FaultOptions,
    preview: Path | None,
    selection: SelectionOptions,
    state: Path,
    report_dir: Path | None,
    display: DisplayOptions,
) -> int:
    """Run a plan against built-in simulators, with faults.

    Needs no credential and no network, and asks nothing. The plan's own window and pauses do not hold; a
    window of --window or --close-at does. At the end it compares the report with the counts of the
    simulators, and exits with 3 if they disagree.

    A fault is written `[ACT:]NAME[-after][@SECONDS]`, such as `500`, `429@2` (with `Retry-After: 2`),
    `reset-after` (the request took effect first), `look:hang`, `login:500` or `any:401`; a wrong name is
    answered with all names. A file of faults has target ids or names of gateways for keys, and each fault
    strikes once: `{"script": {"apim": ["502", "login-page"]}}`.
    """
    from orchestrator.api import rehearse
    from orchestrator.preview.states import TargetState
    from orchestrator.runs.rehearsal import make_rehearsal_credential
    from orchestrator.simulator.process import start_simulators

    options = selection.build_run_options(state=state, report_dir=report_dir)
    with plan.load(options.protect_files) as loaded, ExitStack() as stack:
        if not display.quiet and display.log_format != "json":
            for line in explain_dropped_waits(loaded.plan, options):
                tell(line)
        page = stack.enter_context(open_page(display.serve))
        seen = _load_preview(loaded, preview)
        running = stack.enter_context(start_simulators(_build_fixture(loaded, seen), fault_choice.load()))
        result = run_with_display(
            lambda listeners, started, control_socket: rehearse(
                loaded,
                options,
                urls=running.urls,
                credential=make_rehearsal_credential,
                listeners=listeners,
                signals=True,
                on_start=started,
                control_socket=control_socket,
            ),
            display,
            state=state,
            page=page,
        )
        books = running.books()
    with result.folder.open_source(ours=True) as source:
        # With --events - stdout holds JSON lines and nothing else.
        write = tell if display.events == "-" else print_result
        missing = seen.list_ids(TargetState.ABSENT) if seen else frozenset[str]()
        return judge_report(books, source, result.exit_status, write=write, missing=missing)


def explain_dropped_waits(plan: Plan, options: RunOptions) -> Iterator[str]:
    """Yield a line that names the waits of a plan which its rehearsal leaves out; none if it has none."""
    from orchestrator.text.counting import join_words

    dropped = {
        "window": plan.window is not None and options.window is None,
        "pauses": any(wave.pause_after is not None for wave in plan.waves),
        "questions": any(wave.proceed == "ask" for wave in plan.waves),
    }
    if names := [name for name, is_there in dropped.items() if is_there]:
        verb = "does" if names == ["window"] else "do"
        yield f"The plan's {join_words(names)} {verb} not hold in a rehearsal."


def _load_preview(loaded: LoadedPlan, preview: Path | None) -> ReplayedPreview | None:
    """Return the preview that ``--from`` names, if any; raises ``UsageError`` for one of another plan."""
    if preview is None:
        return None
    from orchestrator.preview.replay import list_differences, read_preview
    from orchestrator.system.reading import FileRefusedError, read_regular

    try:
        seen = read_preview(read_regular(preview), loaded.digest)
    except FileRefusedError as refused:
        raise UsageError(f"--from {preview}: {refused}") from None
    except UsageError as error:
        raise UsageError(f"--from {preview}: {error}. Nothing was rehearsed") from error
    for line in list_differences(seen):
        tell(line)
    return seen


def _build_fixture(loaded: LoadedPlan, seen: ReplayedPreview | None) -> SimulatorFixture:
    """Return the fixture of the simulators: every target deployed, or in the state that a preview saw."""
    from orchestrator.preview.planned import list_planned
    from orchestrator.preview.states import TargetState
    from orchestrator.simulator.fixtures import SimulatorFixture

    targets = (planned.target for planned in list_planned(loaded.draft.database, loaded.plan))
    if seen is None:
        return SimulatorFixture.from_plan(loaded.plan, targets)
    return SimulatorFixture.from_plan(
        loaded.plan,
        targets,
        down=seen.list_ids(TargetState.UNDEPLOYED),
        missing=seen.list_ids(TargetState.ABSENT),
        edited=seen.edited,
    )


def judge_report(
    books: SimulatorBooks,
    source: ReportSource,
    status: ExitStatus,
    *,
    write: Callable[[str], None],
    missing: Collection[str] = (),
) -> ExitStatus:
    """Write the counts of the simulators and of the report; return ``status``, or BUG where they disagree.

    ``missing`` holds the ids of the targets that the simulators were not to know.
    """
    from orchestrator.runs.rehearsal import compare_counts, find_disagreements
    from orchestrator.text.columns import align_columns

    disagreements = list(find_disagreements(books, source, missing))
    for line in align_columns([("", "simulators saw", "report says"), *compare_counts(books, source)]):
        write(line)
    if not disagreements:
        write("The report agrees with the simulators.")
        return status
    tell(
        "The report disagrees with the simulators. This is a bug of ours; please report it with these lines:"
    )
    for line in disagreements[:MOST_SHOWN]:
        tell(f"    {line}")
    return ExitStatus.BUG
