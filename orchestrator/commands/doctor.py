"""undeploy doctor: ask a plan's gateways how they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.commands.options.display import format_option, no_color_option
from orchestrator.commands.options.engine import EngineOptions, engine_options
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.terminal.output import tell, tell_of_zones
from orchestrator.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from orchestrator.commands.options.engine import EngineAccess
    from orchestrator.doctor.findings import GatewayDiagnosis
    from orchestrator.runs.load import LoadedPlan

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "bright_black"}


@click.command("doctor")
@plan_options
@click.option("--table", is_flag=True, help="Every check of every gateway, as a table.")
@format_option("text", "json", help_text="JSON holds every check.", show_default=True)
@no_color_option
@engine_options
def command(
    plan: PlanOptions, table: bool, form: Literal["text", "json"], no_color: bool, engine: EngineOptions
) -> int:
    """Ask a plan's gateways how they are; changes nothing.

    Asks whether each gateway can be reached, whether its certificate is believed and its clock right, whether
    it accepts the credential and for how long, which version of its API answers, which looks it offers, and
    how up to three of its targets stand. Writes one line a gateway: ok, warn or fail, what matters most, and
    what to do. Exits with 1 if one of them fails, or if something could not be read; other warnings are 0.
    With --on the worker of each gateway's zone asks, with credentials of its own.
    """
    if table and form == "json":
        raise UsageError("--table and --format json are two forms of the same; give one of them")
    from orchestrator.engine.signals import run_interruptibly

    access = engine.find()
    with plan.load() as loaded:
        if access is None and form != "json":
            tell_of_zones(loaded.plan.gateways)
        diagnoses = run_interruptibly(_examine, loaded, access)
        _show(loaded.plan.name, diagnoses, "table" if table else form, color=not no_color)
    return ExitStatus.DONE if all(one.is_known for one in diagnoses) else ExitStatus.UNFINISHED


async def _examine(loaded: LoadedPlan, access: EngineAccess | None) -> tuple[GatewayDiagnosis, ...]:
    if access is None:
        from orchestrator.doctor.examine import examine_gateways
        from orchestrator.runs.machine import make_real_environment

        return await examine_gateways(loaded, make_real_environment(loaded.folder))
    from orchestrator.distributed.looking import Looking, examine_on

    async with access.open() as client:
        return await examine_on(Looking(client, tell), loaded)


def _show(
    plan: str, diagnoses: Sequence[GatewayDiagnosis], form: Literal["text", "json", "table"], *, color: bool
) -> None:
    from orchestrator.doctor import lines
    from orchestrator.text.columns import align_columns

    if form == "json":
        click.echo(lines.render_json(plan, diagnoses, at=time.time()))
    elif form == "text":
        for line in lines.list_summaries(diagnoses):
            click.echo(line)
    elif sys.stdout.isatty():
        _draw(diagnoses, color=color)
    else:
        table = [lines.HEADINGS, *lines.list_rows(diagnoses)]
        for line in align_columns(table, left=len(lines.HEADINGS)):
            click.echo(line)


def _draw(diagnoses: Sequence[GatewayDiagnosis], *, color: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from orchestrator.doctor.lines import HEADINGS, list_rows

    table = Table(box=box.SIMPLE_HEAD, header_style="bright_black", pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading in HEADINGS[:3])
    for name, check, state, found, advice in list_rows(diagnoses):
        # A text from a gateway may hold brackets, which rich would take for its own markup.
        cells = (name, check, Text(state, STYLES[state]), Text(found), Text(advice))
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    Console(highlight=False, markup=False, emoji=False, no_color=None if color else True).print(table)
