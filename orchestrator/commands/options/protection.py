"""The options that name protect files, and the problems in these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.options.files import FILE
from orchestrator.errors import PlanError

if TYPE_CHECKING:
    from orchestrator.plan.protect import ProtectFile

PROTECT_FILE_VARIABLE = "UNDEPLOY_PROTECT_FILE"
protect_file_option = click.option(
    "--protect-file",
    "protect_files",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help=f"Patterns never to be touched, one a line, besides those of {PROTECT_FILE_VARIABLE}.",
)


def read_protect_files(files: Sequence[Path]) -> tuple[ProtectFile, ...]:
    """Read the site's own protect file, then ``files``; raises ``UsageError`` for one that cannot be read."""
    from orchestrator.plan.protect import read_protect_file

    # The option adds to the site's own file, so that naming another file cannot unprotect anything.
    site = os.environ.get(PROTECT_FILE_VARIABLE)
    return tuple(read_protect_file(file) for file in ([Path(site)] if site else []) + list(files))


@contextmanager
def merge_protect_problems(files: Sequence[ProtectFile]) -> Iterator[None]:
    """Add the problems in the lines of protect files to the ``PlanError`` that the block raises."""
    from orchestrator.plan.protect import refuse_dead_lines

    try:
        yield
    except PlanError as error:
        try:
            # The plan could not be read, so its gateways are unknown: only the text of the lines is judged.
            refuse_dead_lines(files, None)
        except PlanError as more:
            raise PlanError(error.problems + more.problems) from None
        raise
