"""undeploy rehearse: the plan against the built-in simulators, and whether its report tells the truth."""

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
from orchestrator.commands.terminal.screen import print_result, run_with_display, tell
from orchestrator.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from orchestrator.model.credentials import Material
    from orchestrator.model.gateway import Gateway
    from orchestrator.preview.replay import ReplayedPreview
    from orchestrator.report.values import ReportSource, TargetReport
    from orchestrator.runs.load import LoadedPlan
    from orchestrator.simulator.books import SimulatorBooks, TargetFacts
    from orchestrator.simulator.faults import FaultScenario
    from orchestrator.simulator.fixtures import SimulatorFixture

# Without 429: each would rightly pause its whole gateway, and a large plan would take all day.
DEFAULT_STORM = "15%:500,500-after,502,reset,reset-after,garbage"
MOST_SHOWN = 10
"""How many disagreements are told; one is enough to report."""


class FaultOptions(NamedTuple):
    """What is to go wrong."""

    storm: str | None
    seed: int
    faults: Path | None

    def forecast(self) -> FaultScenario:
        """Return the faults asked for; a storm of our own only where none were. Raises ``UsageError``."""
        from msgspec import structs

        from orchestrator.simulator.faults import FaultScenario, parse_storm
        from orchestrator.simulator.fixtures import read_json_file

        faults = read_json_file(self.faults, FaultScenario, "faults") if self.faults else FaultScenario()
        text = self.storm or (None if self.faults else DEFAULT_STORM)
        return structs.replace(faults, storm=parse_storm(text, self.seed)) if text else faults


fault_options = bundle_options(
    "weather",
    FaultOptions,
    click.option(
        "--storm",
        metavar="SHARE[:FAULT,...]",
        help="Strike this share of the requests with faults; 15% if not given, 0 for none.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="The same storm again."),
    click.option("--faults", type=FILE, metavar="FILE", help="Faults by target, as JSON."),
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
    weather: FaultOptions,
    preview: Path | None,
    selection: SelectionOptions,
    state: Path,
    report_dir: Path | None,
    display: DisplayOptions,
) -> int:
    """Run a plan against built-in simulators, with faults.

    Needs no credential and no network, and asks nothing; the plan's window and pauses do not hold. At the
    end it puts what the simulators saw beside what the report claims; if they disagree it exits with 3.
    """
    from orchestrator.api import rehearse
    from orchestrator.preview.states import TargetState
    from orchestrator.simulator.process import start_simulators

    options = selection.build_run_options(state=state, report_dir=report_dir)
    with plan.load(options.protect_files) as loaded, ExitStack() as stack:
        seen = _load_preview(loaded, preview)
        running = stack.enter_context(start_simulators(_build_fixture(loaded, seen), weather.forecast()))
        result = run_with_display(
            lambda listeners, started: rehearse(
                loaded,
                options,
                urls=running.urls,
                credential=make_rehearsal_credential,
                listeners=listeners,
                signals=True,
                on_start=started,
            ),
            display,
            state=state,
        )
        books = running.books()
    with result.folder.account() as account:
        write = tell if display.events == "-" else print_result
        missing = seen.list_ids(TargetState.ABSENT) if seen else frozenset[str]()
        return judge_report(books, account, result.exit_status, write=write, missing=missing)


def _load_preview(loaded: LoadedPlan, preview: Path | None) -> ReplayedPreview | None:
    """Return what a preview has seen, where one is given; raises ``UsageError`` for one of another plan."""
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
    """Return what the simulators hold: every target deployed, or as a preview has seen it."""
    from orchestrator.preview.planned import list_planned
    from orchestrator.preview.states import TargetState
    from orchestrator.simulator.fixtures import SimulatorFixture

    targets = (planned.target for planned in list_planned(loaded))
    if seen is None:
        return SimulatorFixture.from_plan(loaded.plan, targets)
    return SimulatorFixture.from_plan(
        loaded.plan,
        targets,
        down=seen.list_ids(TargetState.UNDEPLOYED),
        missing=seen.list_ids(TargetState.ABSENT),
        edited=seen.edited,
    )


def make_rehearsal_credential(gateway: Gateway) -> Material:
    """Return what the simulators of a plan's gateway accept, in the plan's own way of letting us in."""
    from orchestrator.model.credentials import AccessKeys, LoginPassword, Secret
    from orchestrator.simulator.fixtures import FAKE_KEYS, FAKE_PASSWORD, FAKE_SECURITY_TOKEN, FAKE_TOKEN

    auth = gateway.auth
    if auth.password_login is not None:
        return LoginPassword(Secret(FAKE_PASSWORD))
    if auth.access_key is not None:
        token = None if auth.security_token is None else Secret(FAKE_SECURITY_TOKEN)
        return AccessKeys(Secret(FAKE_KEYS.access), Secret(FAKE_KEYS.secret), token)
    return Secret(FAKE_TOKEN)


def judge_report(
    books: SimulatorBooks,
    account: ReportSource,
    status: ExitStatus,
    *,
    write: Callable[[str], None],
    missing: Collection[str] = (),
) -> ExitStatus:
    """Write both accounts side by side; return ``status``, or BUG where they disagree.

    ``missing`` are the targets that the simulators were not to know.
    """
    from orchestrator.text.columns import align_columns

    lies = list(find_disagreements(books, account, missing))
    for line in align_columns([("", "simulators saw", "report says"), *compare_counts(books, account)]):
        write(line)
    if not lies:
        write("The report agrees with the simulators.")
        return status
    tell(
        "The report disagrees with the simulators. This is a bug of ours; please report it with these lines:"
    )
    for line in lies[:MOST_SHOWN]:
        tell(f"    {line}")
    return ExitStatus.BUG


def compare_counts(books: SimulatorBooks, account: ReportSource) -> Iterator[tuple[str, str, str]]:
    """Yield what both count: what it is, what the simulators saw, what the report says."""
    totals = account.report.totals
    undeploys = sum(gateway.undeploys for gateway in books.gateways.values())
    down = sum(gateway.down for gateway in books.gateways.values())
    claimed = totals.undeployed + totals.already_undeployed
    yield "requests", f"{books.requests:,}", f"{totals.requests:,}"
    yield "undeploy requests", f"{undeploys:,}", f"{sum(map(_count_undeploys, account.targets())):,}"
    yield "targets down", f"{down:,}", f"{claimed:,}"
    yield "requests struck by a fault", f"{sum(gateway.struck for gateway in books.gateways.values()):,}", ""


def find_disagreements(
    books: SimulatorBooks, account: ReportSource, missing: Collection[str] = ()
) -> Iterator[str]:
    """Yield each thing that the report does not tell as it was."""
    from orchestrator.text.characters import make_visible

    if books.requests != account.report.totals.requests:
        yield f"{books.requests:,} requests arrived, the report counts {account.report.totals.requests:,}"
    for target in account.targets():
        facts = books.targets.get(target.id)
        wrong = _find_invention(target, missing) if facts is None else _find_false_claim(facts, target)
        if wrong:
            yield f"{make_visible(target.id)}: {wrong}"
    for destroyed in books.destroyed:
        yield f"{make_visible(destroyed)}: its definition was deleted for good"


def _count_undeploys(target: TargetReport) -> int:
    from orchestrator.model.reading import Act

    return sum(attempt.act is Act.UNDEPLOY for attempt in target.attempts)


def _find_invention(target: TargetReport, missing: Collection[str]) -> str | None:
    from orchestrator.model.outcome import Outcome

    if target.id not in missing:
        return "the simulators do not know it"
    return "the report says undeployed, and it is not there" if target.outcome is Outcome.UNDEPLOYED else None


def _find_false_claim(facts: TargetFacts, target: TargetReport) -> str | None:
    from orchestrator.model.outcome import Outcome

    sent = _count_undeploys(target)
    if sent != facts.undeploys:
        return f"{facts.undeploys} undeploy requests arrived, the report counts {sent}"
    claimed = target.outcome in (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED)
    if claimed and not facts.down:
        return f"the report says {target.outcome.value}, and it is still up"
    if not claimed and target.outcome is not Outcome.UNKNOWN and facts.down_by:
        return f"the report says {target.outcome.value}, and request {facts.down_by} took it down"
    return None
