"""undeploy completion: print the script that teaches a shell the commands and options."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  eval "$(undeploy completion bash)"     in ~/.bashrc
    zsh   eval "$(undeploy completion zsh)"      in ~/.zshrc
    fish  undeploy completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"No completion for {shell}.", ctx)
    root = ctx.find_root()
    # The console script's own name, since a shell completes nothing for `python -m orchestrator`.
    click.echo(completion(root.command, {}, "undeploy", "_UNDEPLOY_COMPLETE").source())
