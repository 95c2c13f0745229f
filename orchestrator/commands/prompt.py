"""Whether to go on after a wave that asks for that, as somebody at the terminal says."""

from __future__ import annotations

import sys
import termios

import anyio

from orchestrator.commands.screen import tell

GO_ON = frozenset({"y", "yes"})
STOP = frozenset({"n", "no"})


def can_ask() -> bool:
    """Whether somebody sits at a terminal and sees what is asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def go_on_after(_wave: str) -> bool:
    """Return whether to go on, once that was typed; what was typed before the question is no answer.

    The display says what is asked. A terminal that is closed never answers: `undeploy control` still can.
    """
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    while True:
        await anyio.wait_readable(sys.stdin)
        line = sys.stdin.readline()
        if not line:
            await anyio.sleep_forever()
        answer = line.strip().lower()
        if answer in GO_ON | STOP:
            return answer in GO_ON
        tell("type y to go on, or n to stop the run; then Enter")
