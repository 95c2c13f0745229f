"""undeploy init: write a commented starter plan."""

from __future__ import annotations

import os
import shlex
from datetime import date, datetime, time, timedelta
from pathlib import Path

import click

from orchestrator.commands.options.files import FILE
from orchestrator.errors import UsageError
from orchestrator.system.writing import write_whole_file


@click.command("init")
@click.argument("file", type=FILE, default=Path("plan.yaml"))
def command(file: Path) -> None:
    """Write a commented starter plan.

    FILE (plan.yaml if not given) must not exist; an existing file is never overwritten. - is stdout.
    """
    from orchestrator.plan.starter import compose_starter

    starter = compose_starter(_choose_opening(datetime.now().astimezone().date()))
    if str(file) == "-":
        click.echo(starter, nl=False)
        return
    # lexists sees a link that leads nowhere, too: nothing is written through a link.
    if os.path.lexists(file):
        raise UsageError(f"{file} exists and is left as it is; name another file")
    with write_whole_file(file, replace=False, streams=False) as out:
        out.write(starter)
    click.echo(f"Wrote {file}. Fill it in, then: undeploy check {shlex.quote(str(file))}", err=True)


def _choose_opening(today: date) -> datetime:
    """Return 22:00 in a week, by this machine's clock; a window of a day that is over would be refused."""
    return datetime.combine(today + timedelta(days=7), time(22)).astimezone()
