"""Write the help of every command into docs/commands.md.

python -m docs.commands          write it
python -m docs.commands --check  only tell whether it is as the command line is
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from docs.made_part import MadePart
from orchestrator.cli import PROGRAM, undeploy

PAGE = Path(__file__).parent / "commands.md"
WIDTH = 80


def list_commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield a command and all below it, each with its context."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from list_commands(below, make_context(below, name, context))


def make_context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """Return the context in which a command is called, with the names of its help option."""
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def write_help() -> str:
    """Return a section a command, with what its ``--help`` prints on a terminal of 80 columns."""
    forced, click.formatting.FORCED_WIDTH = click.formatting.FORCED_WIDTH, WIDTH
    try:
        lines: list[str] = []
        for command, context in list_commands(undeploy, make_context(undeploy, PROGRAM, None)):
            path = context.command_path
            lines += [
                f"## {path}",
                "",
                "```text",
                f"$ {path} --help",
                command.get_help(context),
                "```",
                "",
            ]
    finally:
        click.formatting.FORCED_WIDTH = forced
    return "\n".join(lines)


PART = MadePart(PAGE, "docs.commands", write_help)

if __name__ == "__main__":
    PART.run()
