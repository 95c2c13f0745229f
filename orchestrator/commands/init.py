"""undeploy init: a commented starter plan."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.options import FILE
from orchestrator.errors import UsageError


@click.command("init")
@click.argument("file", type=FILE, default=Path("plan.yaml"))
def command(file: Path) -> None:
    """Write a commented starter plan.

    FILE (plan.yaml if not given) must not exist; an existing file is never overwritten.
    """
    from orchestrator.plan.starter import STARTER

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except FileExistsError:
        raise UsageError(f"{file} exists and is left as it is; name another file") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    click.echo(f"Wrote {file}. Fill it in, then: undeploy check {file}", err=True)
