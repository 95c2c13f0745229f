"""undeploy control: steer a live run, from another terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.errors import RunError, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.control_commands import ControlCommand, SetLimits
    from orchestrator.journal.folder import RunFolder

ACTS = ("pause", "continue", "stop", "skip", "limits")


def _complete_act(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(act) for act in ACTS if act.startswith(incomplete)]


@click.command("control")
@run_argument
@click.argument("act", metavar="ACT", shell_complete=_complete_act)
@click.argument("arguments", nargs=-1, metavar="[ARGUMENTS]...")
@state_option
def command(run: str, act: str, arguments: tuple[str, ...], state: Path) -> None:
    """Steer a run that goes on.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. Each act takes effect at
    once. The journal keeps it with the user who gave it and from where, and the report shows it.

    \b
    pause                  start nothing new; what is in flight lands
    continue               go on after a pause, a pause_after, or where a wave asks
    stop                   end the run as a stop rule would; resume goes on
    skip GLOB              pass over the targets that match and are untouched
    limits GATEWAY concurrency=N rate=N/s
                           other limits from now on; rate=none for no fixed rate
    """
    from orchestrator.journal.run_lookup import find_run
    from orchestrator.runs.control_socket import ControlQuestion, send_command

    command = parse_control(act, arguments)
    folder = find_run(state, run)
    _check_is_live(folder)
    question = ControlQuestion(command=command, terminal=_find_terminal(), remote=_find_remote_address())
    click.echo(f"{folder.id}: {send_command(folder.path, question)}")


def _check_is_live(folder: RunFolder) -> None:
    """Raise ``RunError``, with advice, where no process of this host works on the run."""
    from orchestrator.report.advice import find_resume

    if (holder := folder.read_holder()) is None:
        with folder.open_source(whole=False) as source:
            report = source.report
        state = report.run.state
        told = "was killed" if state == "killed" else f"has ended ({state})"
        command = "" if state == "complete" else find_resume(report)
        resume = f"; `{command}{folder.state_option}` goes on with it" if command else ""
        raise RunError(f"run {folder.id} {told}{resume}")
    if holder.engine is not None:
        raise RunError(
            f"run {folder.id} is {holder}; `undeploy resume {folder.id} {holder.engine_options}"
            f"{folder.state_option}` takes it over, and then it can be steered"
        )
    # A Unix socket does not lead to another host, even where the run's folder does.
    if holder.host is not None and not holder.is_here:
        raise RunError(f"run {folder.id} is {holder}; a run is steered on its own host, use {holder.host}")


def parse_control(act: str, arguments: tuple[str, ...]) -> ControlCommand:
    """Return the command that an act and its arguments mean; raises ``UsageError``."""
    _refuse_unsayable(act, arguments)
    from orchestrator.engine.control_commands import ContinueRun, PauseRun, SkipTargets, StopRun

    match act, arguments:
        case "pause", ():
            return PauseRun()
        case "continue", ():
            return ContinueRun()
        case "stop", ():
            return StopRun()
        case "skip", (pattern,) if pattern:
            return SkipTargets(pattern)
        case "skip", _:
            raise UsageError("skip: give one pattern of target ids, in quotes: skip 'apim/Retail/**'")
        case "limits", (gateway, _, *_):
            return _parse_limits(gateway, arguments[1:])
        case "limits", _:
            raise UsageError("limits: give a gateway and its limits: limits roma-eu concurrency=4 rate=5/s")
        case (("pause" | "continue" | "stop"), _):
            raise UsageError(f"{act} takes no arguments; found {' '.join(arguments)}")
    from difflib import get_close_matches

    near = get_close_matches(act, ACTS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the acts are {', '.join(ACTS)}"
    raise UsageError(f"there is no act {act!r}; {hint}")


def _refuse_unsayable(act: str, arguments: tuple[str, ...]) -> None:
    """Refuse what no name holds, and what could not be told to the run: bytes that are no UTF-8."""
    from orchestrator.text.characters import CONTROL, describe_character, quote_text

    for text in arguments:
        if found := CONTROL.search(text):
            raise UsageError(f"{act}: {quote_text(text)} holds {describe_character(found[0])}")


def _parse_limits(gateway: str, settings: tuple[str, ...]) -> SetLimits:
    from orchestrator.engine.control_commands import SetLimits
    from orchestrator.errors import UnfitError
    from orchestrator.plan.scalars import parse_rate

    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in ("concurrency", "rate") or name in given:
            raise UsageError(
                f"limits: found {setting!r}; write concurrency=N, rate=N/s or rate=none, each once"
            )
        given[name] = value
    concurrency, rate = given.get("concurrency"), given.get("rate")
    number = None if concurrency is None else _parse_concurrency(concurrency)
    try:
        per_second = None if rate in (None, "none") else parse_rate(rate)
    except UnfitError as unfit:
        raise UsageError(f"limits: rate={rate}: {unfit.message}; {unfit.hint}") from None
    return SetLimits(gateway, number, per_second, rate == "none")


def _parse_concurrency(text: str) -> int:
    from orchestrator.model.settings import MOST_IN_FLIGHT

    # isdigit alone takes the digits of other scripts, too.
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"limits: concurrency={text} is no whole number")
    # Python converts no text of thousands of digits, and none of more than these is within bounds.
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(MOST_IN_FLIGHT)) or not 1 <= int(digits) <= MOST_IN_FLIGHT:
        raise UsageError(f"limits: concurrency={text} is out of bounds; 1 to {MOST_IN_FLIGHT}")
    return int(digits)


def _find_terminal() -> str:
    with suppress(OSError):
        return os.ttyname(sys.stderr.fileno()).removeprefix("/dev/")
    return ""


def _find_remote_address() -> str:
    """Return the address from which this shell was entered over SSH; empty for a local shell."""
    return os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
