"""undeploy schema: print the JSON Schema of a plan."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a plan, for editors.

    Save it, and put `# yaml-language-server: $schema=plan.schema.json` at the top of a plan.
    """
    import json

    from orchestrator.plan.schema import make_plan_schema

    click.echo(json.dumps(make_plan_schema(), indent=2, ensure_ascii=False))
