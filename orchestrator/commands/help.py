"""undeploy help: show the help of a command, as its --help does."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = _find_table(ctx).list_commands(ctx)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("help")
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=_complete)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command."""
    assert ctx.parent is not None  # noqa: S101 - the command has a group above it
    if name is None:
        click.echo(ctx.parent.get_help())
        return
    _, meant, _ = _find_table(ctx).resolve_command(ctx.parent, [name])
    assert meant is not None  # noqa: S101 - an unknown name has raised
    # A context of its own, so that the usage names the command and not `help`.
    with click.Context(meant, info_name=name, parent=ctx.parent) as its:
        click.echo(its.get_help())


def _find_table(ctx: click.Context) -> click.Group:
    assert ctx.parent is not None  # noqa: S101
    table = ctx.parent.command
    assert isinstance(table, click.Group)  # noqa: S101
    return table
