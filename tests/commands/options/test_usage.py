"""The hours of ``--usage`` and ``--unused``, which may be left out anywhere on a command line."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from orchestrator.commands.options.usage import UsageCommand, hours_option


@click.command(cls=UsageCommand)
@click.argument("plan")
@hours_option("--usage", "How often.")
def command(plan: str, hours: int | None) -> None:
    click.echo(f"{plan} {hours}")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["p.yaml"], "p.yaml None"),
        (["p.yaml", "--usage"], "p.yaml 72"),
        (["--usage", "p.yaml"], "p.yaml 72"),
        (["--usage", "24h", "p.yaml"], "p.yaml 24"),
        (["p.yaml", "--usage=1h"], "p.yaml 1"),
    ],
)
def test_the_hours_may_be_left_out(args: list[str], told: str) -> None:
    assert CliRunner().invoke(command, args).output == f"{told}\n"


@pytest.mark.parametrize("hours", ["73h", "0h", "3d", "90m", "24"])
def test_hours_that_no_vendor_tells_are_refused(hours: str) -> None:
    ended = CliRunner().invoke(command, ["p.yaml", "--usage", hours])

    assert ended.exit_code == 2
    assert "write 1h to 72h" in ended.output
