"""SIGINT, SIGTERM and SIGHUP of this process: who hears them, and what ends it after the second one.

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

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LAST_RESORT = 4.6
"""Seconds after the second signal in which a program ends by itself, before it is ended."""

HANGUP_ECHO = 0.25
"""Seconds in which a second SIGHUP is the first one: where a terminal closes, its shell tells the
programs, and the kernel tells them again when the shell has gone."""

_INTERRUPTED = 130
"""The exit status; ``errors`` is not loaded for it, since --help would wait for that."""
_STDERR = 2
_LAST_WORDS = b"\x1b[?25h\rended at once; a run's journal is intact, `undeploy resume` goes on with it\r\n"
"""A live display may have hidden the cursor."""

_handlers: list[Callable[[str], object]] = []
"""Who hears a signal: the last of them."""
_received: list[int] | None = None
"""The signals so far, where this process is a program that the second one ends."""
_hung_up = -math.inf
"""Monotonic time of the last SIGHUP that counted."""


@contextmanager
def handle_signals(hear: Callable[[str], object]) -> Iterator[None]:
    """Have ``hear`` called with the name of each signal, for the block, on the main thread.

    Inside another such block the inner one alone hears. The handlers of before are put back after it.
    """
    _handlers.append(hear)
    earlier = {number: signal.signal(number, _handle_signal) for number in _list_handled_signals()}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        _handlers.remove(hear)


def _handle_signal(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGHUP and _is_repeated_hangup():
        return
    if _received is not None:
        _received.append(number)
        if len(_received) == 2:
            signal.setitimer(signal.ITIMER_REAL, LAST_RESORT)
    if not _handlers:
        raise KeyboardInterrupt
    _handlers[-1](signal.Signals(number).name)


def _is_repeated_hangup() -> bool:
    """Whether this SIGHUP is of the terminal whose end has just been told."""
    global _hung_up  # noqa: PLW0603 - signals belong to the process
    now = time.monotonic()
    if now - _hung_up < HANGUP_ECHO:
        return True
    _hung_up = now
    return False


def _list_handled_signals() -> list[signal.Signals]:
    """Return the signals that are not ignored."""
    return [number for number in END_SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def end_on_second_signal() -> None:
    """For a whole program: SIGTERM and SIGHUP are as SIGINT, and the second signal ends it whatever it does.

    What does not end by itself then (a look-up of a name, a command, a terminal that takes no more) is left:
    nothing that is durable is in its hands.
    """
    global _received  # noqa: PLW0603 - signals belong to the process
    _received = []
    signal.signal(signal.SIGALRM, _end_process)
    for number in _list_handled_signals():
        signal.signal(number, _handle_signal)


def ignore_signals() -> None:
    """For a whole program whose exit status stands: no further signal changes it while the rest is put away.

    The interpreter gives signals back to the system before it has ended, and the system would kill it.
    """
    for number in _list_handled_signals():
        signal.signal(number, signal.SIG_IGN)


def _end_process(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        if select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, _LAST_WORDS)
    os._exit(_INTERRUPTED)
