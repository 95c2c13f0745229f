"""The control socket of a live run: a socket in the run's folder, which only the run's own user can open.

One line of JSON in, one line out. The kernel, and not the asker, names the user and the process.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct, field

from orchestrator.engine.control_commands import CommandHandler, ControlCommand, ControlSocket, Operator
from orchestrator.errors import OrchestratorError, RunError, UsageError
from orchestrator.system.peers import has_hung_up, is_suspended
from orchestrator.system.users import find_user_name

SOCKET = "control"
"""The name of the socket in a run's folder."""

LONGEST = 64 * 1024
"""Bytes of the longest question."""

LONGEST_ANSWER = 1024 * 1024
"""Bytes of the longest answer: a status is bounded, and far shorter as a rule."""

PATIENCE = 10.0
"""Seconds that each side waits for the line of the other one."""

LIVE_PAGE = "live page"
"""Stands for the terminal of a command that a viewer gave by the live page."""

ACCEPT_AGAIN = 1.0
"""Seconds until the next connection is taken after one that the system could not give to this process."""

LAST_WORDS = 1.0
"""Seconds in which a question that has come still gets its answer when the run ends."""

_GONE = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.DelimiterNotFound,  # the line is too long
    anyio.EndOfStream,
    anyio.IncompleteRead,  # it hung up in the middle of its line, or before
    TimeoutError,
)
"""The errors of a connection without a question: there is no one left to answer."""

_LONGEST_PATH = 100
"""Bytes of a socket's address that every system accepts."""


class ControlQuestion(Struct, frozen=True, kw_only=True):
    """A command, and the place where its program runs, in the words of that program."""

    # Earlier programs and their journals know the command under this name.
    command: ControlCommand = field(name="demand")
    terminal: str = ""
    remote: str = ""
    """The address that the operator logged in from, over SSH; with the live page, that of the browser."""
    preview: bool = False
    """Answer what the command would do, and do nothing."""


class ControlAnswer(Struct, frozen=True, kw_only=True):
    """Whether the command was carried out; and its effect, or the reason of the refusal."""

    done: bool
    text: str


def open_control_socket(folder: Path) -> ControlSocket:
    """Return the control socket of the run in ``folder``. A run that can have none is warned, and goes on."""

    @asynccontextmanager
    async def control_socket(handler: CommandHandler) -> AsyncIterator[None]:
        path = folder / SOCKET
        listener = await _listen(path, handler.warn_uncontrollable)
        try:
            async with anyio.create_task_group() as conversations, anyio.create_task_group() as listening:
                if listener is not None:
                    listening.start_soon(_accept_all, listener, handler, conversations)
                yield
                # No new questions now; those that have come get their answers first.
                listening.cancel_scope.cancel()
                conversations.cancel_scope.deadline = anyio.current_time() + LAST_WORDS
        finally:
            if listener is not None:
                with anyio.CancelScope(shield=True):
                    await listener.aclose()
                with suppress(OSError):  # a disk that became read-only keeps it; a later session replaces it
                    path.unlink(missing_ok=True)

    return control_socket


async def _listen(path: Path, warn: Callable[[str], None]) -> SocketListener | None:
    try:
        with _shorten_address(path) as address:
            # Binding replaces a socket that a killed process left: this process holds the run's lock.
            return await anyio.create_unix_listener(address, mode=0o600)
    except OSError as error:
        warn(f"the run cannot be steered by `undeploy control`: {error.strerror or error}")
        return None


async def _accept_all(listener: SocketListener, handler: CommandHandler, conversations: TaskGroup) -> None:
    """Serve each connection. A process without a free descriptor lets the connections wait."""
    while True:
        try:
            conversations.start_soon(_serve_connection, handler, await listener.accept())
        except anyio.BrokenResourceError:
            await anyio.sleep(ACCEPT_AGAIN)


async def _serve_connection(handler: CommandHandler, stream: SocketStream) -> None:
    """Answer one question. No error of a connection may end the run."""
    async with stream:
        with suppress(*_GONE):
            with anyio.fail_after(PATIENCE):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LONGEST)
            # The asker was told that its command was not taken. A suspended process finds such commands when
            # it goes on.
            if has_hung_up(stream.extra(SocketAttribute.raw_socket)):  # noqa: S610 - no Django
                return
            answer = await _answer(line, stream, handler)
            await stream.send(msgspec.json.encode(answer) + b"\n")


async def _answer(line: bytes, stream: SocketStream, handler: CommandHandler) -> ControlAnswer:
    try:
        question = msgspec.json.decode(line, type=ControlQuestion)
        if question.preview:
            return ControlAnswer(done=True, text=await handler.preview(question.command))
        answer = await handler.execute(question.command, _identify_operator(stream, question))
        return ControlAnswer(done=True, text=answer)
    except (msgspec.MsgspecError, RecursionError) as error:
        return ControlAnswer(done=False, text=f"this is no demand: {error}")
    except OrchestratorError as error:
        return ControlAnswer(done=False, text=str(error))
    except Exception as bug:  # noqa: BLE001 - a bug in a command must not end the run
        return ControlAnswer(done=False, text=f"a bug of ours: {bug!r}; the run goes on")


def _identify_operator(stream: SocketStream, question: ControlQuestion) -> Operator:
    process, user = _read_peer(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no Django
    return Operator(user=user, origin=describe_origin(process, question.terminal, question.remote))


def describe_origin(process: int | None, terminal: str, remote: str) -> str:
    """Return in words from where a command comes: this host, a process of it, its terminal, a far address."""
    terminal, remote = _keep_printable(terminal), _keep_printable(remote)
    asker = "" if process is None else f"process {process}"
    places = [socket.gethostname(), asker, terminal, remote and f"from {remote}"]
    return ", ".join(filter(None, places))


def _read_peer(connection: socket.socket) -> tuple[int | None, str]:
    """Return the process and the user at the other end, as the kernel knows them.

    Where it tells of neither (it is no Linux) the process is None, and the user is this one: the socket's
    folder lets in nobody else.
    """
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None, find_user_name(os.getuid()) or str(os.getuid())
    process, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    )
    return process, find_user_name(user) or str(user)


def _keep_printable(text: str) -> str:
    # The text goes into the journal and onto terminals: no control characters, and a bounded length.
    return "".join(letter for letter in text if letter.isprintable())[:100]


@contextmanager
def _shorten_address(path: Path) -> Iterator[str]:
    """Yield an address of the socket that the system accepts, however long the path of its folder is."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    # The kernel follows the descriptor, so that the address has no folder in it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def send_command(folder: Path, question: ControlQuestion, *, patience: float = PATIENCE) -> str:
    """Send a command to the live run in ``folder``; return its answer within ``patience`` seconds.

    Raises UsageError if the run refuses, and RunError if it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with _shorten_address(folder / SOCKET) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as reader:
                answer = msgspec.json.decode(reader.readline(LONGEST_ANSWER), type=ControlAnswer)
        except (OSError, msgspec.MsgspecError) as error:
            raise RunError(
                f"run {folder.name} does not answer {_explain_silence(connection, error)}"
            ) from error
    if not answer.done:
        raise UsageError(answer.text)
    return answer.text


def _explain_silence(connection: socket.socket, error: Exception) -> str:
    """Return why a run gives no answer, as far as that can be told."""
    with suppress(OSError):  # nobody listens there
        process, _ = _read_peer(connection)
        if process is not None and is_suspended(process):
            return (
                f"(its process {process} is suspended, as by Ctrl-Z): `fg` in its terminal lets it go on, and"
                f" so does `kill -CONT {process}`"
            )
    why = getattr(error, "strerror", None) or "it gave no answer"
    return f"({why}): it is just starting or ending, or it cannot be steered"
