"""undeploy rehearse: the plan against the built-in simulators, and whether its report tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.agreement import targets_of
from orchestrator.commands.options import (
    FILE,
    Chosen,
    Selection,
    View,
    bundled,
    plan_options,
    report_dir_option,
    selection_options,
    state_option,
    view_options,
)
from orchestrator.commands.run import run_options
from orchestrator.commands.screen import drive, print_result, tell
from orchestrator.errors import ExitStatus

if TYPE_CHECKING:
    from orchestrator.model import Gateway
    from orchestrator.report.values import Account, TargetReport
    from orchestrator.simulator.books import Books, TargetFacts
    from orchestrator.simulator.faults import Faults
    from orchestrator.world import Material

# Without 429: each would rightly pause its whole gateway, and a large plan would take all day.
DEFAULT_STORM = "15%:500,500-after,502,reset,reset-after,garbage"
SHOWN = 10
"""How many disagreements are told; one is enough to report."""


class Weather(NamedTuple):
    """What is to go wrong."""

    storm: str | None
    seed: int
    faults: Path | None

    def forecast(self) -> Faults:
        """Return the faults asked for; a storm of our own only where none were. Raises ``UsageError``."""
        from msgspec import structs

        from orchestrator.simulator.faults import Faults, parse_storm
        from orchestrator.simulator.seed import read_json

        faults = read_json(self.faults, Faults, "faults") if self.faults else Faults()
        text = self.storm or (None if self.faults else DEFAULT_STORM)
        return structs.replace(faults, storm=parse_storm(text, self.seed)) if text else faults


weather_options = bundled(
    "weather",
    Weather,
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
@weather_options
@selection_options
@state_option
@report_dir_option
@view_options
def command(
    chosen: Chosen,
    weather: Weather,
    selection: Selection,
    state: Path,
    report_dir: Path | None,
    view: View,
) -> int:
    """Run a plan against built-in simulators, with faults.

    Needs no credential and no network, and asks nothing; the plan's window and pauses do not hold. At the
    end it puts what the simulators saw beside what the report claims; if they disagree it exits with 3.
    """
    from orchestrator.api import load_plan, rehearse
    from orchestrator.simulator.process import simulators
    from orchestrator.simulator.seed import Seed

    options = run_options(selection, state, report_dir)
    with (
        load_plan(chosen.plan, targets=chosen.targets()) as loaded,
        simulators(Seed.from_plan(loaded.plan, targets_of(loaded)), weather.forecast()) as running,
    ):
        result = drive(
            lambda listeners, started: rehearse(
                loaded,
                options,
                urls=running.urls,
                credential=rehearsal_credential,
                listeners=listeners,
                signals=True,
                on_start=started,
            ),
            view,
            state=state,
        )
        books = running.books()
    with result.folder.account() as account:
        write = tell if view.events == "-" else print_result
        return verdict(books, account, result.exit_status, write=write)


def rehearsal_credential(gateway: Gateway) -> Material:
    """Return what the simulators of a plan's gateway accept, in the plan's own way of letting us in."""
    from orchestrator.simulator.seed import FAKE_KEYS, FAKE_PASSWORD, FAKE_SECURITY_TOKEN, FAKE_TOKEN
    from orchestrator.wire import Keys, Password, Secret

    auth = gateway.auth
    if auth.iam is not None or auth.login is not None:
        return Password(Secret(FAKE_PASSWORD))
    if auth.access_key is not None:
        token = None if auth.security_token is None else Secret(FAKE_SECURITY_TOKEN)
        return Keys(Secret(FAKE_KEYS.access), Secret(FAKE_KEYS.secret), token)
    return Secret(FAKE_TOKEN)


def verdict(
    books: Books, account: Account, status: ExitStatus, *, write: Callable[[str], None]
) -> ExitStatus:
    """Write both accounts side by side; return ``status``, or BUG where they disagree."""
    from orchestrator.summary import aligned

    lies = list(disagreements(books, account))
    for line in aligned([("", "simulators saw", "report says"), *side_by_side(books, account)]):
        write(line)
    if not lies:
        write("The report agrees with the simulators.")
        return status
    tell(
        "The report disagrees with the simulators. This is a bug of ours; please report it with these lines:"
    )
    for line in lies[:SHOWN]:
        tell(f"    {line}")
    return ExitStatus.BUG


def side_by_side(books: Books, account: Account) -> Iterator[tuple[str, str, str]]:
    """Yield what both count: what it is, what the simulators saw, what the report says."""
    totals = account.report.totals
    undeploys = sum(gateway.undeploys for gateway in books.gateways.values())
    down = sum(gateway.down for gateway in books.gateways.values())
    claimed = totals.undeployed + totals.already_undeployed
    yield "requests", f"{books.requests:,}", f"{totals.requests:,}"
    yield "undeploy requests", f"{undeploys:,}", f"{sum(map(_undeploys, account.targets())):,}"
    yield "targets down", f"{down:,}", f"{claimed:,}"
    yield "requests struck by a fault", f"{sum(gateway.struck for gateway in books.gateways.values()):,}", ""


def disagreements(books: Books, account: Account) -> Iterator[str]:
    """Yield each thing that the report does not tell as it was."""
    from orchestrator.report.words import visible

    if books.requests != account.report.totals.requests:
        yield f"{books.requests:,} requests arrived, the report counts {account.report.totals.requests:,}"
    for target in account.targets():
        facts = books.targets.get(target.id)
        wrong = "the simulators do not know it" if facts is None else _lie(facts, target)
        if wrong:
            yield f"{visible(target.id)}: {wrong}"
    for destroyed in books.destroyed:
        yield f"{visible(destroyed)}: its definition was deleted for good"


def _undeploys(target: TargetReport) -> int:
    from orchestrator.model import Act

    return sum(attempt.act is Act.UNDEPLOY for attempt in target.attempts)


def _lie(facts: TargetFacts, target: TargetReport) -> str | None:
    from orchestrator.model import Outcome

    sent = _undeploys(target)
    if sent != facts.undeploys:
        return f"{facts.undeploys} undeploy requests arrived, the report counts {sent}"
    claimed = target.outcome in (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED)
    if claimed and not facts.down:
        return f"the report says {target.outcome.value}, and it is still up"
    if not claimed and target.outcome is not Outcome.UNKNOWN and facts.down_by:
        return f"the report says {target.outcome.value}, and request {facts.down_by} took it down"
    return None
