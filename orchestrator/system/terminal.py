"""The terminal that this process draws on: its keyboard's echo, its foreground, and its suspension."""

from __future__ import annotations

import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

ENTER_SCREEN = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The alternate screen, without a cursor, and without wrapping lines at its edge."""
LEAVE_SCREEN = "\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"
"""The normal screen again, as it was. The first sequence ends an update that was cut off."""

_silenced: list[Keyboard] = []
"""The keyboards whose echo is off now."""


class Keyboard:
    """The keyboard of the terminal ``descriptor``, which can be kept from echoing what is typed.

    What is typed would stand in the middle of a live picture, and Enter would move the picture up.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._earlier: list[Any] | None = None

    def silence(self) -> None:
        """Switch the echo off; interrupts and whole lines work as before."""
        if self._earlier is not None:
            return
        with suppress(termios.error, OSError, ValueError):  # no terminal
            earlier = termios.tcgetattr(self._descriptor)
            quiet = [*earlier]
            quiet[3] &= ~(termios.ECHO | termios.ECHONL)
            self._earlier = earlier
            _silenced.append(self)
            self._set(quiet)

    def restore(self) -> None:
        """Switch the echo on again, if it was on before, and drop what was typed without being seen.

        Otherwise the shell would run it as a command.
        """
        earlier, self._earlier = self._earlier, None
        if earlier is not None:
            _silenced.remove(self)
            with suppress(termios.error, OSError):  # the terminal may be gone by now
                self._set(earlier)
                termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def _set(self, attributes: list[Any]) -> None:
        # A job in the background would be stopped here, and the terminal would keep its wrong mode.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def restore_keyboards() -> bool:
    """Switch every echo on again; return whether one was off: then a picture is on the screen, too."""
    was_silenced = bool(_silenced)
    for keyboard in tuple(_silenced):  # each leaves the list
        keyboard.restore()
    return was_silenced


def is_in_foreground(descriptor: int) -> bool:
    """Return whether this process may draw: it is no job that its shell has put into the background."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # not the terminal of this session, so no shell lends it to its jobs by turns


@contextmanager
def handle_suspension(before: Callable[[], object], after: Callable[[], object]) -> Iterator[None]:
    """Call ``before`` ahead of each stop of this process by Ctrl-Z (SIGTSTP), and ``after`` once it goes on.

    The kernel then stops the process as it would have done. Outside of the main thread, and where the
    signal is ignored, the block changes nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield
        return

    def suspend(number: int, _frame: FrameType | None) -> None:
        before()
        # The kernel's own way to stop: it stops no process that no shell could continue.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, suspend)
        after()

    signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
