"""Writes lines to stdout and stderr, whether or not anyone still reads them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.errors import Problem
    from orchestrator.model.gateway import Gateway


def tell(line: str) -> None:
    """Write a line for people to stderr; a closed stderr is no reason to fail."""
    with suppress(OSError):
        click.echo(line, err=True)


def tell_warnings(warnings: Sequence[Problem]) -> None:
    """Write the warnings about a plan to stderr."""
    from orchestrator.text.characters import make_visible

    for warning in warnings:
        tell(f"warning: {make_visible(str(warning))}")


def tell_of_zones(gateways: Iterable[Gateway]) -> None:
    """Say, for a command without --on, that the zones of a plan change nothing, if it names some."""
    from orchestrator.model.gateway import DEFAULT_ZONE

    if any(gateway.zone != DEFAULT_ZONE for gateway in gateways):
        tell("zones are ignored without --on; all gateways are reached from here")


def print_result(line: str) -> None:
    """Write a line of the command's result to stdout; a reader who has gone does not end a run."""
    try:
        click.echo(line)
    except OSError:  # a closed pipe, or a terminal that was closed
        discard_stdout()


def discard_stdout() -> None:
    """Discard all further output on stdout, so that the interpreter's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
