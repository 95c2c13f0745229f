"""Options about how a command shows its result."""

from __future__ import annotations

from typing import Literal, NamedTuple

import click

from orchestrator.commands.options.bundles import Command, bundle_options

_VERBOSE = f"{__name__}.verbose"


class DisplayOptions(NamedTuple):
    """How a run is shown while it goes on."""

    events: str | None
    quiet: bool
    log_level: str | None
    log_format: Literal["text", "json"] | None
    no_color: bool
    serve: str | None = None
    """The address of the live page."""
    notify: tuple[str, ...] = ()
    """The references of the addresses that are told what happens."""


def format_option(*forms: str, help_text: str, show_default: bool = False) -> Command:
    """Return the option ``--format``, which gives one of ``forms`` as ``form``; the first is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=show_default,
        help=help_text,
    )


no_color_option = click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
_log_level_option = click.option(
    "--log-level",
    callback=lambda ctx, _, given: given or ("info" if ctx.meta.get(_VERBOSE) else None),
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log to stderr from this level on; debug tells of each request.",
)
_log_format_option = click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="Log to stderr in this form."
)


def log_options(command: Command) -> Command:
    """Give a command ``--log-level`` and ``--log-format``, which shows nothing else of what goes on."""
    return _log_level_option(_log_format_option(command))


display_options = bundle_options(
    "display",
    DisplayOptions,
    click.option("--events", metavar="-|FILE", help="Write each event as a line of JSON to stdout or FILE."),
    click.option("--quiet", "-q", is_flag=True, help="Tell only what goes wrong."),
    click.option(
        "-v",
        is_flag=True,
        # Read before --log-level, whose callback asks whether -v was given.
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, _, given: ctx.meta.update({_VERBOSE: given}),
        help="The same as --log-level info.",
    ),
    _log_level_option,
    _log_format_option,
    no_color_option,
    click.option(
        "--serve",
        metavar="HOST:PORT",
        help="Serve a live page of the run; 127.0.0.1:0 takes a free port, and the URL is told.",
    ),
    click.option(
        "--notify",
        multiple=True,
        metavar="env:NAME|file:PATH",
        help="Where an apprise URL is found that is told how the run goes; may be repeated.",
    ),
)
