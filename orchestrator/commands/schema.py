"""undeploy schema: print the JSON Schema of a plan."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.options.files import force_option, open_output, output_option


@click.command("schema")
@output_option
@force_option
def command(output: Path | None, force: bool) -> None:
    """Print the JSON Schema of a plan, for editors.

    It goes to stdout, or to FILE. The first line of a plan of `undeploy init` names the file to editors:
    `# yaml-language-server: $schema=plan.schema.json`.
    """
    import json

    from orchestrator.plan.schema import make_plan_schema

    with open_output(output, force=force) as out:
        out.write(json.dumps(make_plan_schema(), indent=2, ensure_ascii=False) + "\n")
