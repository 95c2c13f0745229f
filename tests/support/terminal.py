"""The program on a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from typing import Self

from orchestrator.cli import main
from tests.support.emulator import TerminalEmulator

QUESTION = re.compile(rb"type the \w+'s digest, \w{8}: |\[y/N\] ")


def on_a_terminal(
    typed: str, *arguments: str | Path, interrupt: bool = False, ahead: str = ""
) -> tuple[int, str]:
    """Run ``undeploy`` on a terminal of its own; each line of ``typed`` answers the next question.

    ``ahead`` is typed before anything is shown. With ``interrupt`` it gets SIGINT once it has asked.
    """
    ours, theirs = pty.openpty()
    os.write(ours, ahead.encode())
    answers = typed.splitlines(keepends=True)
    program = _fork_program([str(argument) for argument in arguments], theirs)
    os.close(theirs)
    patience = Timer(20, os.kill, (program, signal.SIGKILL))
    patience.start()
    shown, asked = b"", 0
    while piece := _read(ours):
        shown += piece
        while len(QUESTION.findall(shown)) > asked:
            if interrupt:
                os.kill(program, signal.SIGINT)
            elif asked < len(answers):
                os.write(ours, answers[asked].encode())
            asked += 1
    patience.cancel()
    _, status = os.waitpid(program, 0)
    os.close(ours)
    return os.waitstatus_to_exitcode(status), shown.decode()


def _fork_program(arguments: list[str], terminal: int) -> int:
    """Start the program on a terminal; return its process id.

    The child is a copy of the tests' process, where the modules are imported for all such programs: to import
    them takes longer than all that such a test does.
    """
    for name in (
        "api",
        "commands.run",
        "display.plain",
        "notify.channel",
        "preview.planned",
        "report.writing",
    ):
        import_module(f"orchestrator.{name}")
    if child := os.fork():
        return child
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(TERM="xterm", COLUMNS="100")
        for source, place in ((terminal, 0), (os.open(os.devnull, os.O_WRONLY), 1), (terminal, 2)):
            os.dup2(source, place)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        main(arguments)
    finally:
        os._exit(70)  # the program has ended the process, unless it failed


class ShellSession:
    """A shell with job control on a terminal of its own, and what that terminal shows."""

    def __init__(self, columns: int, rows: int, folder: Path, env: Mapping[str, str] = os.environ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        # The shell leads the session of the terminal, so it can stop and continue its jobs.
        lead = "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execlp('sh', 'sh', '-i')"
        self._process = subprocess.Popen(
            [sys.executable, "-c", lead],
            env={
                **env,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TERM": "xterm",
                "PS1": "$ ",
                "ENV": "",
            },
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for job in (*self._list_jobs(), self._process.pid):
            with suppress(ProcessLookupError):
                os.killpg(job, signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def _list_jobs(self) -> list[int]:
        """Return the process group in the foreground, which is the shell's own between two jobs."""
        with suppress(OSError):
            # 0 once the shell has left its terminal. A signal to group 0 would go to the tests themselves.
            return [group for group in [os.tcgetpgrp(self._ours)] if group > 0]
        return []

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; ``shown`` has that size, too, and begins empty."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        before = getattr(self, "shown", None)
        self.shown = TerminalEmulator(columns, rows)
        self.shown.is_alternate = before is not None and before.is_alternate

    def type(self, text: str) -> None:
        """Type ``text``."""
        os.write(self._ours, text.encode())

    def undeploy(self, *arguments: str) -> None:
        """Type a command of the program."""
        self.type(f"{sys.executable} -m orchestrator {' '.join(map(shlex.quote, arguments))}\n")

    def wait_for(self, holds: Callable[[TerminalEmulator], object], seconds: float = 60.0) -> None:
        """Take what the terminal is written until ``holds`` is true; fail after ``seconds``."""
        until = time.monotonic() + seconds
        while not holds(self.shown):
            left = until - time.monotonic()
            assert left > 0, "\n".join(self.shown.lines)
            # Not select.select: a process of many tests may have more than its 1,024 descriptors.
            reader = select.poll()
            reader.register(self._ours, select.POLLIN)
            if reader.poll(min(left, 0.1) * 1000):
                self.shown.feed(_read(self._ours).decode(errors="replace"))

    def wait(self, seconds: float) -> None:
        """Take what the terminal is written for ``seconds``."""
        until = time.monotonic() + seconds
        self.wait_for(lambda _: time.monotonic() >= until, seconds + 30)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side was closed
        return b""
