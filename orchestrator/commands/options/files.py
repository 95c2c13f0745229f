"""Options that name files, and where the result of a command goes."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO, cast

import click


class _NamedPath(click.Path):
    """A path with a name: an empty text, as of a variable that is not set, would mean this folder."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = _NamedPath(path_type=Path)
FILE = _NamedPath(path_type=Path, dir_okay=False)

output_option = click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    callback=lambda _ctx, _param, given: None if str(given) == "-" else given,
    help="Write it here, whole or not at all.",
)
"""Where the result of a command goes. None is stdout, which ``-`` names, too."""
force_option = click.option("--force", is_flag=True, help="Replace FILE if it is there.")
report_dir_option = click.option(
    "--report-dir", type=PATH, metavar="DIR", help="Write the reports here as well as into the run's folder."
)


def open_output(output: Path | None, *, force: bool) -> AbstractContextManager[TextIO]:
    """Open the file that ``--output`` names, or stdout for None."""
    if output is not None:
        from orchestrator.system.writing import write_whole_file

        return write_whole_file(output, replace=force)
    # Reports hold any letter, also where the locale's encoding does not.
    return cast("AbstractContextManager[TextIO]", click.open_file("-", "w", encoding="utf-8"))
