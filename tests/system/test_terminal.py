"""A terminal that is taken over comes back: its echo, and before and after a suspension."""

import os
import pty
import signal
import termios
from collections.abc import Iterator
from threading import Thread

import pytest

from orchestrator.system.terminal import (
    Keyboard,
    handle_suspension,
    is_in_foreground,
    restore_keyboards,
)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Our side of a terminal, and the program's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def echoes(descriptor: int) -> bool:
    return bool(termios.tcgetattr(descriptor)[3] & termios.ECHO)


def test_the_echo_is_off_until_it_is_restored_and_what_was_typed_unseen_is_dropped(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    os.set_blocking(theirs, False)
    keyboard = Keyboard(theirs)
    keyboard.silence()
    keyboard.silence()
    silent = echoes(theirs)
    os.write(ours, b"rm -r something\n")
    keyboard.restore()
    keyboard.restore()

    assert (silent, echoes(theirs)) == (False, True)
    with pytest.raises(BlockingIOError):
        os.read(theirs, 100)


def test_a_terminal_without_echo_keeps_none(terminal: tuple[int, int]) -> None:
    attributes = termios.tcgetattr(terminal[1])
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal[1], termios.TCSANOW, attributes)
    keyboard = Keyboard(terminal[1])
    keyboard.silence()
    keyboard.restore()

    assert not echoes(terminal[1])


def test_the_last_resort_restores_every_keyboard(terminal: tuple[int, int]) -> None:
    others = pty.openpty()
    for each in (terminal[1], others[1]):
        Keyboard(each).silence()

    assert restore_keyboards()
    assert echoes(terminal[1])
    assert echoes(others[1])
    assert not restore_keyboards()
    for each in others:
        os.close(each)


def test_what_is_no_terminal_has_no_echo_and_no_background() -> None:
    keyboard = Keyboard(-1)
    keyboard.silence()
    keyboard.restore()

    assert not restore_keyboards()
    assert is_in_foreground(-1)


def test_a_suspension_is_told_before_and_after_and_stops_the_process() -> None:
    told, written = os.pipe()
    if not (child := os.fork()):
        os.setpgid(0, 0)  # a job of its own, whose parent may continue it
        with handle_suspension(lambda: os.write(written, b"before "), lambda: os.write(written, b"after ")):
            os.kill(os.getpid(), signal.SIGTSTP)
        os._exit(signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL)
    _, stopped = os.waitpid(child, os.WUNTRACED)
    before = os.read(told, 100)
    os.kill(child, signal.SIGCONT)
    _, ended = os.waitpid(child, 0)

    assert os.WIFSTOPPED(stopped)
    assert (before, os.read(told, 100)) == (b"before ", b"after ")
    assert os.waitstatus_to_exitcode(ended) == 0
    os.close(told)
    os.close(written)


def test_outside_of_the_main_thread_and_where_it_is_ignored_a_suspension_is_left_alone() -> None:
    seen = []

    def look() -> None:
        with handle_suspension(lambda: None, lambda: None):
            seen.append(signal.getsignal(signal.SIGTSTP))

    thread = Thread(target=look)
    thread.start()
    thread.join()
    earlier = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        look()
    finally:
        signal.signal(signal.SIGTSTP, earlier)

    assert seen == [signal.SIG_DFL, signal.SIG_IGN]
