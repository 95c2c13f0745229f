"""What somebody at the terminal is asked: nothing that was typed before a question is an answer to it."""

from __future__ import annotations

import sys
import termios
from contextlib import suppress

import click

from orchestrator.commands.terminal.screen import tell

GO_ON = frozenset({"y", "yes"})
STOP = frozenset({"n", "no"})


def can_ask() -> bool:
    """Whether somebody sits at a terminal and sees what is asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def read_answer(question: str) -> str:
    """Ask on the terminal; return the answer in small letters without spaces at its ends, or nothing."""
    drop_typed_input()
    click.echo(question, nl=False, err=True)
    return sys.stdin.readline().strip().lower()


def drop_typed_input() -> None:
    """Drop what was typed so far: whoever typed it has not seen the question that comes now."""
    with suppress(termios.error, OSError):  # a terminal that was closed meanwhile
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


async def ask_to_continue(_wave: str) -> bool:
    """Return whether to go on, once that was typed; what was typed before the question is no answer.

    The display says what is asked. A terminal that is closed never answers: `undeploy control` still can.
    """
    import anyio  # here, so that --help loads no event loop

    drop_typed_input()
    while True:
        await anyio.wait_readable(sys.stdin)
        line = sys.stdin.readline()
        if not line:
            await anyio.sleep_forever()
        answer = line.strip().lower()
        if answer in GO_ON | STOP:
            return answer in GO_ON
        tell("type y to go on, or n to stop the run; then Enter")
