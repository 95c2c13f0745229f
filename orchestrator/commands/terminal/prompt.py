"""Questions at the terminal. Text that was typed before a question is no answer to it."""

from __future__ import annotations

import select
import signal
import socket
import sys
import termios
from contextlib import suppress

import click

from orchestrator.commands.terminal.output import tell

GO_ON = frozenset({"y", "yes"})
STOP = frozenset({"n", "no"})


def can_ask() -> bool:
    """Return whether a person at a terminal can see a question and answer it."""
    # Questions go to stderr, since stdout may lead into a file or a pipe.
    return sys.stdin.isatty() and sys.stderr.isatty()


def read_answer(question: str) -> str:
    """Ask on the terminal; return the answer in small letters, without spaces at its ends; empty for none.

    It is asked before a run begins: Ctrl-C says so, and raises ``click.Abort``.
    """
    try:
        drop_typed_input()
        click.echo(question, nl=False, err=True)
        _wait_for_line()
        return sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        tell("\nNothing was changed.")
        raise click.Abort from None


def _wait_for_line() -> None:
    """Wait until the terminal has a line, or its end. A signal ends the wait through its handler.

    A plain read would miss a signal that comes in the instant before it blocks: Python runs the handler only
    after the read. The byte that Python writes for each signal ends ``select`` whenever the signal comes.
    """
    wakes, rings = socket.socketpair()
    with wakes, rings:
        rings.setblocking(False)
        earlier = signal.set_wakeup_fd(rings.fileno(), warn_on_full_buffer=False)
        try:
            while sys.stdin not in select.select([sys.stdin, wakes], [], [])[0]:
                wakes.recv(64)  # the handler has run and raised nothing, so the question stands
        finally:
            signal.set_wakeup_fd(earlier)


def drop_typed_input() -> None:
    """Drop the text typed so far, which cannot be meant for a question that is not yet shown."""
    with suppress(termios.error, OSError):  # the terminal was closed meanwhile
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


async def ask_to_continue(_wave: str) -> bool:
    """Return whether to go on, once the person has typed that; the display shows the question.

    A closed terminal never answers; the run then waits for `undeploy control`.
    """
    import anyio  # here, so that --help loads no event loop

    drop_typed_input()
    while True:
        # Not read in a thread: Python waits for its threads, so the run could not end before a line is typed.
        await anyio.wait_readable(sys.stdin)
        line = sys.stdin.readline()
        if not line:
            await anyio.sleep_forever()
        answer = line.strip().lower()
        if answer in GO_ON | STOP:
            return answer in GO_ON
        tell("type y to go on, or n to stop the run; then Enter")
