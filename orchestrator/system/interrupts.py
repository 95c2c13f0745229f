"""The handlers of SIGINT, SIGTERM and SIGHUP of this process, and its end after the second signal.

A signal that was ignored when the process began (``nohup``, a script's job in the background) stays ignored.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from orchestrator.system.terminal import LEAVE_SCREEN, restore_keyboards

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A second interrupt must end a run within 5 s.
LAST_RESORT = 4.6
"""Seconds that a program has after the second signal to end by itself, before an alarm ends it."""

HANGUP_ECHO = 0.25
"""Seconds in which a second SIGHUP counts as the first one. When a terminal closes, its shell sends one to
the programs, and the kernel sends one more when the shell has gone."""

_INTERRUPTED = 130
"""The exit status. A copy of the one in ``errors``: to load that module would slow ``--help`` down."""
_STDERR = 2
_LAST_WORDS = b"\rended at once; a run's journal is intact, `undeploy resume` goes on with it\r\n"

_handlers: list[Callable[[str], object]] = []
"""The handlers of the blocks that are open; the last one gets the signals."""
_received: list[int] | None = None
"""The signals so far, if this process is a program that the second signal ends."""
_hung_up = -math.inf
"""Monotonic time of the last SIGHUP that counted."""


@contextmanager
def handle_signals(handler: Callable[[str], object]) -> Iterator[None]:
    """Call ``handler`` with the name of each signal, for the block, on the main thread.

    Inside another such block only the inner handler is called. After the block the earlier handlers are in
    place again.
    """
    _handlers.append(handler)
    earlier = {number: signal.signal(number, _handle_signal) for number in _list_handled_signals()}
    try:
        yield
    finally:
        for number, previous in earlier.items():
            signal.signal(number, previous)
        _handlers.remove(handler)


def _handle_signal(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGHUP and _is_repeated_hangup():
        return
    if _received is not None:
        _received.append(number)
        if len(_received) == 2:
            # The kernel's timer: Python waits for its threads, and one may wait for a name or a program.
            signal.setitimer(signal.ITIMER_REAL, LAST_RESORT)
    if not _handlers:
        raise KeyboardInterrupt
    _handlers[-1](signal.Signals(number).name)


def _is_repeated_hangup() -> bool:
    """Return whether this SIGHUP comes from the same closing terminal as the one before."""
    global _hung_up  # noqa: PLW0603 - signals belong to the process
    now = time.monotonic()
    if now - _hung_up < HANGUP_ECHO:
        return True
    _hung_up = now
    return False


def _list_handled_signals() -> list[signal.Signals]:
    """Return the signals that are not ignored."""
    # None: a library has installed its own handler, and not through Python.
    return [number for number in END_SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def end_on_second_signal() -> None:
    """Have the second signal end this program, whatever it does; SIGTERM and SIGHUP act like SIGINT.

    Work that does not end by itself then is abandoned: the look-up of a name, a command, a terminal that
    takes no more output. Nothing durable depends on such work.
    """
    global _received  # noqa: PLW0603 - signals belong to the process
    _received = []
    signal.signal(signal.SIGALRM, _end_process)
    for number in _list_handled_signals():
        signal.signal(number, _handle_signal)


def ignore_signals() -> None:
    """Keep further signals from changing the exit status of a program whose work is done.

    Before the interpreter has ended it gives signals back to the system, and the system would kill it.
    """
    for number in _list_handled_signals():
        signal.signal(number, signal.SIG_IGN)


def find_time_left() -> float:
    """Return the seconds until the alarm of a second signal ends this program; infinity without one."""
    return signal.getitimer(signal.ITIMER_REAL)[0] or math.inf


def _end_process(_number: int, _frame: FrameType | None) -> None:
    # A live picture may be on the screen, and the keyboard's echo off.
    before = LEAVE_SCREEN.encode() if restore_keyboards() else b""
    with suppress(OSError):
        # Only if the terminal takes output: a write that blocks would keep the process alive.
        if select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, before + _LAST_WORDS)
    os._exit(_INTERRUPTED)
