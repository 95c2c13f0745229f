"""Where a live run takes demands from: a socket in its folder, which only its own user can open.

One line of JSON in, one line out. Who asks is the kernel's word, not the asker's.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct, field

from orchestrator.engine.control_commands import CommandHandler, ControlCommand, ControlSocket, Operator
from orchestrator.errors import OrchestratorError, RunError, UsageError

SOCKET = "control"
"""The name of the socket in a run's folder."""

LONGEST = 64 * 1024
PATIENCE = 10.0
"""Seconds that either side gives the other one for its line."""

LAST_WORDS = 1.0
"""Seconds in which those who have asked still get their answer when the run has ended."""

_GONE = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.DelimiterNotFound,  # the line is too long
    anyio.EndOfStream,
    anyio.IncompleteRead,  # it hung up in the middle of its line, or before
    TimeoutError,
)
"""What becomes of a connection that asks nothing."""

_LONGEST_PATH = 100
"""Bytes that every system takes as a socket's address."""


class ControlQuestion(Struct, frozen=True, kw_only=True):
    """What is asked, and what the asker says of where it sits."""

    command: ControlCommand = field(name="demand")
    terminal: str = ""
    remote: str = ""
    """The address that it has come from, over SSH."""


class ControlAnswer(Struct, frozen=True, kw_only=True):
    """``done``, and what that amounts to; or why not."""

    done: bool
    text: str


def open_control_socket(folder: Path) -> ControlSocket:
    """Return the desk of the run in ``folder``. Where there can be none, the run is told so and goes on."""

    @asynccontextmanager
    async def control_socket(controller: CommandHandler) -> AsyncIterator[None]:
        path = folder / SOCKET
        listener = await _listen(path, controller.warn_uncontrollable)
        try:
            async with anyio.create_task_group() as meetings, anyio.create_task_group() as listening:
                if listener is not None:
                    listening.start_soon(listener.serve, partial(_serve_connection, controller), meetings)
                yield
                listening.cancel_scope.cancel()
                meetings.cancel_scope.deadline = anyio.current_time() + LAST_WORDS
        finally:
            if listener is not None:
                with anyio.CancelScope(shield=True):
                    await listener.aclose()
                path.unlink(missing_ok=True)

    return control_socket


async def _listen(path: Path, complain: Callable[[str], None]) -> SocketListener | None:
    try:
        with _shorten_address(path) as address:
            # Binding takes over what a killed run has left: the run's lock is ours.
            return await anyio.create_unix_listener(address, mode=0o600)
    except OSError as error:
        complain(f"the run cannot be steered by `undeploy control`: {error.strerror or error}")
        return None


async def _serve_connection(controller: CommandHandler, stream: SocketStream) -> None:
    """Answer one demand. Nothing that goes wrong here is a reason to end the run."""
    async with stream:
        with suppress(*_GONE):
            with anyio.fail_after(PATIENCE):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LONGEST)
            answer = await _answer(line, stream, controller)
            await stream.send(msgspec.json.encode(answer) + b"\n")


async def _answer(line: bytes, stream: SocketStream, controller: CommandHandler) -> ControlAnswer:
    try:
        question = msgspec.json.decode(line, type=ControlQuestion)
        return ControlAnswer(
            done=True, text=await controller.execute(question.command, _identify_operator(stream, question))
        )
    except msgspec.MsgspecError as error:
        return ControlAnswer(done=False, text=f"this is no demand: {error}")
    except OrchestratorError as error:
        return ControlAnswer(done=False, text=str(error))
    except Exception as bug:  # noqa: BLE001 - a bug in steering must not end the run that is steered
        return ControlAnswer(done=False, text=f"a bug of ours: {bug!r}; the run goes on")


def _identify_operator(stream: SocketStream, question: ControlQuestion) -> Operator:
    process, user = _read_peer(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no Django
    told = [socket.gethostname(), f"process {process}", _keep_printable(question.terminal)]
    remote = _keep_printable(question.remote)
    return Operator(
        user=user, origin=", ".join([*filter(None, told), *([f"from {remote}"] if remote else [])])
    )


def _read_peer(connection: socket.socket) -> tuple[int, str]:
    """Return the process and the user at the other end, by the kernel's word."""
    size = struct.calcsize("3i")
    process, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        return process, pwd.getpwuid(user).pw_name
    except KeyError:
        return process, str(user)


def _keep_printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:100]


@contextmanager
def _shorten_address(path: Path) -> Iterator[str]:
    """Yield an address of the socket that is short enough for the system, however deep its folder lies."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def send_command(folder: Path, question: ControlQuestion, *, patience: float = PATIENCE) -> str:
    """Ask something of the run that goes on in ``folder``; return its answer within ``patience`` seconds.

    Raises UsageError where the run will not, RunError where nobody answers.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with _shorten_address(folder / SOCKET) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as reader:
                answer = msgspec.json.decode(reader.readline(LONGEST), type=ControlAnswer)
        except (OSError, msgspec.MsgspecError) as error:
            why = getattr(error, "strerror", None) or "it gave no answer"
            raise RunError(
                f"run {folder.name} does not answer ({why}): it is just starting or ending, or it cannot be"
                " steered"
            ) from error
    if not answer.done:
        raise UsageError(answer.text)
    return answer.text
