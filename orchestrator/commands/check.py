"""undeploy check: validate a plan offline."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from orchestrator.commands.options import Chosen, plan_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.api import LoadedPlan
    from orchestrator.plan.reader import Loaded


@click.command("check")
@plan_options
def command(chosen: Chosen) -> None:
    """Validate a plan offline and print its counts and digest.

    Resolves no credential and sends nothing. Every problem is told at once, with its file, line and column.
    """
    # Not through orchestrator.api, which brings the whole engine with it.
    from orchestrator.journal.draft import Draft
    from orchestrator.plan.reader import read_plan

    with TemporaryDirectory(prefix="undeploy-") as folder, closing(Draft(Path(folder) / "draft")) as draft:
        loaded = read_plan(chosen.plan, draft, instead=chosen.targets())
    for line in counted(loaded):
        click.echo(line)
    click.echo(f"digest: {loaded.digest}")


def counted(loaded: Loaded | LoadedPlan) -> Iterator[str]:
    """Yield the counts of a plan as lines: how many targets, by gateway and by wave."""
    from orchestrator.report.words import visible
    from orchestrator.summary import aligned

    yield f"plan: {visible(loaded.plan.name)}"
    yield f"targets: {loaded.targets}"
    kinds = {gateway.name: gateway.KIND for gateway in loaded.plan.gateways}
    rows = [("gateway", visible(name), kinds[name], str(count)) for name, count in loaded.by_gateway.items()]
    rows += [("wave", visible(name), "", str(count)) for name, count in loaded.by_wave.items()]
    yield from aligned(rows, left=3)
