"""The command table, and the one place where an exception becomes a message and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from orchestrator.system.streams import StandardStreams

PROGRAM = "undeploy"


# The help line stands here as well as in the command's module, so that --help imports no module; a test
# compares the two.
COMMANDS: Mapping[str, str] = {
    "check": "Validate a plan offline and print its counts and digest.",
    "doctor": "Ask a plan's gateways how they are; changes nothing.",
    "discover": "Write a plan from what is live; changes nothing.",
    "preview": "Look at live state and show what a run would do.",
    "run": "Undeploy what a plan names.",
    "resume": "Go on with a run that ended early.",
    "schedule": "Have a Temporal server start a plan's run later.",
    "attach": "Take over a run on a Temporal server.",
    "worker": "Send the requests of runs on a Temporal server, in one zone.",
    "status": "Tell where a run stands, and what it waits for.",
    "watch": "Serve the live page of a run, or its report.",
    "control": "Steer a run that goes on.",
    "restore": "Bring back what a run took down.",
    "report": "Make any report of a run again from its journal.",
    "show": "Show everything that a run keeps about one target.",
    "remainder": "Write a plan of what a run did not finish.",
    "runs": "List the runs kept here, or remove old ones.",
    "rehearse": "Run a plan against built-in simulators, with faults.",
    "simulator": "Serve the simulators of the platforms on loopback.",
    "init": "Write a commented starter plan.",
    "schema": "Print the JSON Schema of a plan, for editors.",
    "completion": "Print the completion script of a shell.",
    "help": "Show the help of a command.",
}
"""The subcommands, each with its line in ``undeploy --help``, which docs/commands.md shows.

The command is in ``commands/NAME.py``.
"""


RUNNING = frozenset({"run", "resume", "restore", "attach", "rehearse", "worker"})
"""The subcommands under which a run goes on. Only there can a disk stop one, which a resume goes on with."""

KEY_LOG = "SSLKEYLOGFILE"
"""Where this variable names a file, Python's ssl writes the keys of each TLS connection into that file."""

INTERRUPTED_PATIENCE = 0.5
"""Seconds that a reader of the output has to take the rest of it after an interrupt."""


_EMPTY = "{} wants a value, and the one that it has is empty"


class CommandTable(click.Group):
    """The subcommands of ``COMMANDS``; each is imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"orchestrator.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        from orchestrator.errors import DiskError, JournalError

        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would turn the error into an exit status of its own
            return _end_without_reader()
        except DiskError as error:
            if ctx.invoked_subcommand in RUNNING:
                raise
            raise JournalError(str(error)) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {name}.{hint}", ctx)
        found, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:  # a shell may complete an unfinished line
            _refuse_missing_values(click.Context(command, parent=ctx, info_name=found), rest)
        return found, command, rest


def _refuse_missing_values(ctx: click.Context, args: Sequence[str]) -> None:
    """Raise ``UsageError`` for an option whose value is empty, or that would take the next option for it.

    ``--close-at "$CLOSE"`` would start a run without an end where no such variable is set; ``--only --yes``
    would filter by the pattern ``--yes`` and agree to nothing.
    """
    # Not the arguments, which are called like a folder or a file may be: PLAN is plan.
    found = [each for each in ctx.command.get_params(ctx) if isinstance(each, click.Option)]
    options = {name: option for option in found for name in option.opts}
    for name, value in _list_doubtful_values(options, args):
        if not value:
            raise click.UsageError(_EMPTY.format(name), ctx)
        if value in options:
            meant = f"{name}{'=' if name.startswith('--') else ''}{value}"
            raise click.UsageError(
                f"{name} wants a value, and {value} is an option; {meant} if that is meant", ctx
            )


def _list_doubtful_values(
    options: Mapping[str, click.Option], args: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the options of a command line, each with the word behind it, or with an empty value in ``=``."""
    words = iter(args)
    for word in words:
        if word == "--":
            return
        name, is_joined, joined = word.partition("=") if word.startswith("--") else (word, "", "")
        option = options.get(name)
        if option is None or option.is_flag or option.count:
            continue
        if is_joined and not joined:
            yield name, joined
        # A value whose name is in brackets may be left out.
        may_lack = is_joined or (option.metavar or "").startswith("[")
        if not may_lack and (following := next(words, None)) is not None:
            yield name, following


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from orchestrator.system.source_commit import describe_commit
    from orchestrator.version import __version__

    commit = describe_commit()
    click.echo(f"{PROGRAM} {__version__}" + (f" ({commit})" if commit else ""))
    ctx.exit()


@click.command(
    PROGRAM,
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit statuses: 0 done; 1 something failed or is unknown; 2 nothing was sent; 3 a bug of ours; "
    "4 stopped early, can be resumed; 130 interrupted, can be resumed.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="The version, and the commit it is from.",
)
@click.option(
    "--state",
    envvar="UNDEPLOY_STATE",
    metavar="DIR",
    help="Where runs are kept, for every command; UNDEPLOY_STATE does the same.  [default: .undeploy]",
)
@click.pass_context
def undeploy(ctx: click.Context, state: str | None) -> None:
    """Take many APIs offline on Huawei ROMA Connect and Apinizer: concurrent, resumable, with one report.

    Start with `undeploy init plan.yaml`, then `undeploy check plan.yaml` and `undeploy rehearse plan.yaml`.
    """
    if state == "":
        raise click.UsageError(_EMPTY.format("--state"), ctx)
    if state is not None:  # a --state behind the subcommand takes precedence
        ctx.default_map = {name: {"state": state} for name in COMMANDS}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and exit with its status. None stands for the arguments of the process."""
    from orchestrator.system.interrupts import end_on_second_signal
    from orchestrator.system.streams import StandardStreams, hold_descriptors

    hold_descriptors()
    streams = StandardStreams()
    end_on_second_signal()
    status = execute(sys.argv[1:] if arguments is None else arguments)
    _exit_process(streams, status)


def _exit_process(streams: StandardStreams, status: int) -> NoReturn:
    """Write the rest of the output, and end the process.

    Some threads may still wait for an answer: the look-up of a name, the command of a credential, a terminal.
    The process ends without them, since everything that must last is written. Temporal's library has threads
    that Python does not count, and they crash an interpreter that is taken down below them.
    """
    import os
    from threading import active_count

    from orchestrator.system.interrupts import ignore_signals
    from orchestrator.system.streams import PATIENCE

    try:
        streams.drain(INTERRUPTED_PATIENCE if status == 130 else PATIENCE)
    except OSError:
        pass  # ``execute`` has told about it already
    except KeyboardInterrupt:
        status = 130
    ignore_signals()
    if active_count() > 1 or "temporalio" in sys.modules:
        os._exit(status)
    sys.exit(status)


def execute(arguments: Sequence[str]) -> int:
    """Run the command line, with its messages on stderr; return its exit status."""
    try:
        status = undeploy.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except KeyboardInterrupt as error:  # it came while click was not there to catch it
        status = _report_error(error)
    except Exception as error:  # noqa: BLE001 - the last resort: every error gets a message and a status
        status = _report_error(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _end_without_reader()
    except OSError as error:
        status = status or _report_error(error)
    return int(status or 0)


def _report_error(error: BaseException) -> int:
    """Write what went wrong to stderr, and return the exit status of that error."""
    import os

    from orchestrator.errors import DiskError, ExitStatus, OrchestratorError
    from orchestrator.system.streams import WriteError

    match error:
        case click.Abort() | KeyboardInterrupt():  # a run handles its signals by itself
            _tell("Interrupted.")
            return ExitStatus.INTERRUPTED
        case click.ClickException():
            error.show()
            return ExitStatus.NOTHING_SENT
        case OrchestratorError():
            _tell(str(error))
            return ExitStatus.STOPPED if isinstance(error, DiskError) else ExitStatus.NOTHING_SENT
        case BrokenPipeError():
            return _end_without_reader()
        case OSError(filename=str(name)) if name == os.environ.get(KEY_LOG):  # as aiohttp is imported
            _tell(
                f"{KEY_LOG} names a file that cannot be written: {error.strerror}; unset it. Nothing was sent"
            )
            return ExitStatus.NOTHING_SENT
        case WriteError():
            _tell(f"cannot write to the standard output: {error.strerror}")
            return ExitStatus.NOTHING_SENT
        case _:
            _tell(_mask_secrets(_format_traceback(error)))
            _tell(
                "This is a bug of ours, not a mistake of yours; please report it with the lines above.\n"
                "The journal is intact: `undeploy resume` can go on with a run."
            )
            return ExitStatus.BUG


def _tell(message: str) -> None:
    from orchestrator.text.characters import make_visible

    with suppress(OSError):  # stderr is closed, and the exit status tells enough
        for line in message.splitlines():
            click.echo(make_visible(line), err=True)


def _end_without_reader() -> int:
    """Return the status of a command whose reader (``head``, a pager) has seen enough: that is no failure."""
    from orchestrator.commands.terminal.output import discard_stdout

    discard_stdout()
    return 0


def _format_traceback(error: BaseException) -> str:
    from traceback import format_exception

    return "".join(format_exception(error))


def _mask_secrets(text: str) -> str:
    """Mask every credential that this process holds: a library may have put one into its message."""
    import gc
    import os

    from orchestrator.errors import UsageError
    from orchestrator.lanes.masking import Mask
    from orchestrator.model.credentials import Secret
    from orchestrator.transport.proxy import list_passwords

    # After a bug, the objects that held the secrets are unknown; the frames of the traceback keep them alive.
    objects = gc.get_objects()
    held = [found for found in objects if isinstance(found, Secret)]
    with suppress(UsageError):
        held += list_passwords(None, os.environ)
    # A token that was renewed is in masks alone.
    sought = frozenset[str]().union(*(found.secrets for found in objects if isinstance(found, Mask)))
    return Mask([*(found.reveal() for found in held), *sought]).clean_text(text)
