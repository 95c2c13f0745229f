"""The options of ``undeploy report --verify``."""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.consent import journal_key_option

_HEAD = re.compile("[0-9a-f]{64}")


class VerifyOptions(NamedTuple):
    """Whether to audit the journal, and by what."""

    verify: bool
    head: str | None
    journal_key: str | None


def _check_head(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    if given is None or _HEAD.fullmatch(given.lower()):
        return given and given.lower()
    raise click.BadParameter("a head is the 64 hexadecimal digits of run.journal_head", ctx, param)


verify_options = bundle_options(
    "verification",
    VerifyOptions,
    click.option("--verify", is_flag=True, help="Only say whether the journal was changed since, and where."),
    click.option(
        "--head",
        metavar="HEX",
        callback=_check_head,
        help="With --verify: a run.journal_head that was noted; the journal must still hold it.",
    ),
    journal_key_option,
)
