"""The command table, and the one place where an exception becomes a message and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

if TYPE_CHECKING:
    from orchestrator.system.streams import Standard

PROGRAM = "undeploy"


class CommandEntry(NamedTuple):
    """A subcommand: the module whose ``command`` it is, and its line in ``undeploy --help``."""

    module: str
    help: str


# The line stands here as well as in the module, so that --help imports none of them; a test compares the two.
COMMANDS: Mapping[str, CommandEntry] = {
    "check": CommandEntry(
        "orchestrator.commands.check", "Validate a plan offline and print its counts and digest."
    ),
    "doctor": CommandEntry(
        "orchestrator.commands.doctor", "Ask a plan's gateways how they are; changes nothing."
    ),
    "discover": CommandEntry(
        "orchestrator.commands.discover", "Write a plan from what is live; changes nothing."
    ),
    "preview": CommandEntry(
        "orchestrator.commands.preview", "Look at live state and show what a run would do."
    ),
    "run": CommandEntry("orchestrator.commands.run", "Undeploy what a plan names."),
    "resume": CommandEntry("orchestrator.commands.resume", "Go on with a run that ended early."),
    "status": CommandEntry("orchestrator.commands.status", "Tell where a run stands, and what it waits for."),
    "control": CommandEntry("orchestrator.commands.control", "Steer a run that goes on."),
    "restore": CommandEntry("orchestrator.commands.restore", "Bring back what a run took down."),
    "report": CommandEntry(
        "orchestrator.commands.report", "Make any report of a run again from its journal."
    ),
    "show": CommandEntry("orchestrator.commands.show", "Show everything that a run keeps about one target."),
    "remainder": CommandEntry(
        "orchestrator.commands.remainder", "Write a plan of what a run did not finish."
    ),
    "runs": CommandEntry("orchestrator.commands.runs", "List the runs kept here, or remove old ones."),
    "rehearse": CommandEntry(
        "orchestrator.commands.rehearse", "Run a plan against built-in simulators, with faults."
    ),
    "simulator": CommandEntry(
        "orchestrator.commands.simulator", "Serve the simulators of both platforms on loopback."
    ),
    "init": CommandEntry("orchestrator.commands.init", "Write a commented starter plan."),
    "schema": CommandEntry("orchestrator.commands.schema", "Print the JSON Schema of a plan, for editors."),
    "completion": CommandEntry("orchestrator.commands.completion", "Print the completion script of a shell."),
    "help": CommandEntry("orchestrator.commands.help", "Show the help of a command."),
}


INTERRUPTED_PATIENCE = 0.5
"""Seconds that whoever reads the output gets, where the program was interrupted."""

PLANNED_COMMANDS = frozenset(("watch", "worker", "attach", "schedule"))
"""Commands that are fixed and not there yet; one that comes to COMMANDS leaves this list."""


class CommandTable(click.Group):
    """The subcommands of ``COMMANDS``, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # caught here, since click would make an exit status of its own of it
            return _end_without_reader()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            if name in PLANNED_COMMANDS:
                raise click.UsageError(f"The command {name} is not supported yet.", ctx)
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {name}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from orchestrator.version import __version__

    click.echo(f"{PROGRAM} {__version__}")
    ctx.exit()


@click.command(
    PROGRAM,
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit statuses: 0 done; 1 something failed or is unknown; 2 nothing was sent; 3 a bug of ours; "
    "4 stopped early, can be resumed; 130 interrupted, can be resumed.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="The version."
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
    if state:  # a --state behind the subcommand goes before it
        ctx.default_map = {name: {"state": state} for name in COMMANDS}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status. ``arguments`` are those of the process if None."""
    from orchestrator.system.interrupts import end_on_second_signal
    from orchestrator.system.streams import Standard, hold_descriptors

    hold_descriptors()
    streams = Standard()
    end_on_second_signal()
    status = execute(sys.argv[1:] if arguments is None else arguments)
    _exit_process(streams, status)


def _exit_process(streams: Standard, status: int) -> NoReturn:
    """Write what is left, and end. A thread that still waits for somebody else (a look-up of a name, a
    credential's command, a terminal) is not waited for: all that must last is written."""
    import os
    from threading import active_count

    from orchestrator.system.interrupts import ignore_signals
    from orchestrator.system.streams import PATIENCE

    try:
        streams.drain(INTERRUPTED_PATIENCE if status == 130 else PATIENCE)
    except OSError:
        pass  # execute has told
    except KeyboardInterrupt:
        status = 130
    ignore_signals()
    if active_count() > 1:
        os._exit(status)
    sys.exit(status)


def execute(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit status, with its messages on stderr."""
    try:
        status = undeploy.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except KeyboardInterrupt as error:  # while nothing of click's was there to catch it
        status = _report_error(error)
    except Exception as error:  # noqa: BLE001 - the last resort: nothing is hidden, all has its status
        status = _report_error(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _end_without_reader()
    except OSError as error:
        status = status or _report_error(error)
    return int(status or 0)


def _report_error(error: BaseException) -> int:
    """Tell what went wrong, and return the exit status that it has."""
    from orchestrator.errors import DiskError, ExitStatus, OrchestratorError
    from orchestrator.system.streams import WriteError

    match error:
        case click.Abort() | KeyboardInterrupt():  # click's word for it; a run heeds its signals by itself
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

    with suppress(OSError):  # nobody reads stderr any more; the exit status still tells
        for line in message.splitlines():
            click.echo(make_visible(line), err=True)


def _end_without_reader() -> int:
    """Whoever read stdout (``head``, a pager) has seen enough: that is no failure."""
    from orchestrator.commands.screen import discard_stdout

    discard_stdout()
    return 0


def _format_traceback(error: BaseException) -> str:
    from traceback import format_exception

    return "".join(format_exception(error))


def _mask_secrets(text: str) -> str:
    """Take out every credential that this process holds: a library may have put one into its message."""
    import gc
    import os

    from orchestrator.errors import UsageError
    from orchestrator.lanes.masking import Mask
    from orchestrator.model.credentials import Secret
    from orchestrator.transport.proxy import passwords

    # Where a bug happened nobody can say who holds them; the frames of the traceback keep them alive.
    held = [found for found in gc.get_objects() if isinstance(found, Secret)]
    with suppress(UsageError):
        held += passwords(None, os.environ)
    return Mask(found.reveal() for found in held).text(text)
