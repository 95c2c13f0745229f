"""The program as processes that begin within a moment: forks of a process that has imported it.

To import the program takes up to two seconds of processor time, and the tests start it thousands of times. A
fork has its own arguments, environment, folder, streams and signals, as a program that was started has. What
begins only with an interpreter of its own begins so: another character set, limits that are set before it.

``python -m tests.support.forked FD SCOPE`` is the process that forks. It ends with the test process.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, Literal, NamedTuple, TypeAlias

import orchestrator

Scope: TypeAlias = Literal["here", "everywhere"]
"""What is imported before: what runs on one machine needs, or the library of Temporal as well."""

ROOT = Path(__file__).parents[2]
START = "from orchestrator.cli import main\nmain()"
_LONGEST = 200_000
"""Bytes of a request at most."""
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_", "COV", "SSLKEYLOGFILE", "MALLOC")
"""Beginnings of the variables that an interpreter, or a library that it imports, reads when it begins."""
_IS_WANTED = hasattr(os, "pidfd_open") and os.environ.get("TESTS_FORK") != "no"
_STREAMS = ("stdin", "stdout", "stderr")


def start_program(
    arguments: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    scope: Scope = "here",
    code: str = START,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start ``code`` with these arguments; ``options`` are those of Popen.

    It is a fork where nothing asks for an interpreter of its own, nor the variable ``TESTS_FORK`` (``no``).
    """
    own = {name: text for name, text in env.items() if name.startswith(_OF_THE_INTERPRETER)}
    if not _IS_WANTED or not options.keys() <= {*_STREAMS} or own != _list_interpreter_variables():
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, cwd=folder, env=env, text=True, **options)
    return _find_template(scope).start(Request([*arguments], str(folder), {**env}, code), **options)


def _list_interpreter_variables() -> dict[str, str]:
    found = {name: text for name, text in os.environ.items() if name.startswith(_OF_THE_INTERPRETER)}
    return found | {"PYTHONPATH": str(ROOT)}


class Request(NamedTuple):
    """What a fork is to do."""

    arguments: list[str]
    folder: str
    env: dict[str, str]
    code: str


class ForkedProgram(subprocess.Popen[str]):
    """A fork, used as any other process. Its parent tells here how it ended."""

    def __init__(self, request: Request, told: socket.socket, streams: Sequence[IO[str] | None]) -> None:
        # Popen's own beginning would start a process.
        self._child_created = False
        self.args = [sys.executable, *request.arguments]
        self.returncode = None
        self._told = told
        self.pid = int(_read_number(told))
        self.stdin, self.stdout, self.stderr = streams
        self._readers: dict[IO[str], tuple[Thread, list[str]]] = {}

    def poll(self) -> int | None:
        """Return the exit status; None while the program goes on."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._take_status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the program has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._take_status()
        return self.returncode  # type: ignore[return-value]  # it was taken

    def _take_status(self) -> None:
        self.returncode = int(_read_number(self._told))
        self._told.close()

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002 - Popen's
        """Write the input; return all that comes on the pipes, once the program has ended."""
        ends = None if timeout is None else time.monotonic() + timeout
        if self.stdin is not None and not self.stdin.closed:
            with suppress(BrokenPipeError):
                self.stdin.write(input or "")
                self.stdin.close()
        for stream in filter(None, (self.stdout, self.stderr)):
            if stream not in self._readers:
                got: list[str] = []
                reader = Thread(target=_read_all, args=(stream, got), daemon=True)
                reader.start()
                self._readers[stream] = reader, got
        for reader, _ in self._readers.values():
            reader.join(None if ends is None else max(0.0, ends - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if ends is None else max(0.0, ends - time.monotonic()))
        out, err = (
            None if stream is None else "".join(self._readers[stream][1])
            for stream in (self.stdout, self.stderr)
        )
        return out, err

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


def _read_all(stream: IO[str], got: list[str]) -> None:
    with suppress(ValueError):  # the stream was closed here
        got.append(stream.read())


def _read_number(told: socket.socket) -> bytes:
    number = told.recv(20)
    if not number:
        raise RuntimeError("the process that forks the program has ended")
    return number


class _Template:
    """The process that forks."""

    def __init__(self, scope: Scope) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LONGEST)
        self._lock = Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), scope],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, request: Request, **options: Any) -> ForkedProgram:
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as stack:
            stack.enter_context(telling)
            given, ours = _open_streams(options, stack)
            with self._lock:
                sent = json.dumps(request).encode()
                socket.send_fds(self._channel, [sent], [*given, telling.fileno()])
        return ForkedProgram(request, told, ours)


def _open_streams(options: Mapping[str, Any], stack: ExitStack) -> tuple[list[int], list[IO[str] | None]]:
    """Return the descriptors that a program gets, and the other ends of its pipes; ``options`` as Popen's."""
    given: list[int] = []
    ours: list[IO[str] | None] = []
    for number, name in enumerate(_STREAMS):
        asked, mine = options.get(name), None
        if asked == subprocess.PIPE:
            reading, writing = os.pipe()
            theirs, kept, mode = (reading, writing, "w") if name == "stdin" else (writing, reading, "r")
            mine = os.fdopen(kept, mode)
            stack.callback(os.close, theirs)
        elif asked == subprocess.DEVNULL:
            theirs = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, theirs)
        elif asked == subprocess.STDOUT:
            theirs = given[1]
        elif asked is None:
            theirs = number
        else:
            theirs = asked if isinstance(asked, int) else asked.fileno()
        given.append(theirs)
        ours.append(mine)
    return given, ours


@cache
def _find_template(scope: Scope) -> _Template:
    return _Template(scope)


# --- the process that forks -----------------------------------------------------------------------------


def _import_program(scope: Scope) -> None:
    """Import the program but for ``distributed``: a test may want other bounds there; and its libraries."""
    for found in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        if "distributed" not in found.name and not found.name.endswith("__main__"):
            with suppress(ImportError):  # what an extra would bring
                import_module(found.name)
    if "temporalio" in sys.modules:
        raise RuntimeError("a module outside of distributed/ has imported temporalio")
    if scope == "everywhere":
        import_module("temporalio.worker")


def _serve(channel: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork for each request. In a fork, return its request and descriptors; None once nobody asks more."""
    forks: dict[int, tuple[int, socket.socket]] = {}
    while True:
        ready, _, _ = select.select([channel.fileno(), *forks], [], [])
        for handle in ready:
            if handle in forks:
                _tell_end(handle, *forks.pop(handle))
                continue
            data, handles, _, _ = socket.recv_fds(channel, _LONGEST, 4)
            if not data:
                return None
            if not (pid := os.fork()):
                return Request(*json.loads(data)), handles[:3]
            teller = socket.socket(fileno=handles[3])
            teller.send(str(pid).encode())
            forks[os.pidfd_open(pid)] = pid, teller
            for each in handles[:3]:
                os.close(each)


def _tell_end(handle: int, pid: int, teller: socket.socket) -> None:
    os.close(handle)
    _, status = os.waitpid(pid, 0)
    with teller, suppress(OSError):  # nobody may want to know
        teller.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: Request, handles: Sequence[int]) -> None:
    """Make this fork a process as ``subprocess`` starts one."""
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    for opened in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if opened > 2:
            with suppress(OSError):  # that of the listing itself
                os.close(opened)
    for number, name in enumerate(_STREAMS):
        before = getattr(sys, name)
        stream = io.TextIOWrapper(
            open(number, "rb" if number == 0 else "wb"),  # noqa: PTH123, SIM115 - a descriptor, for all its life
            encoding=before.encoding,
            errors=before.errors,
            line_buffering=number == 2 or (number == 1 and os.isatty(1)),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["-c", *request.arguments]


def _main() -> None:
    handle, scope = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests, not before their programs
    _import_program("everywhere" if scope == "everywhere" else "here")
    gc.collect()
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(handle)))
    if asked is not None:
        _become(*asked)
        exec(asked[0].code, {"__name__": "__main__"})


if __name__ == "__main__":
    _main()
