"""The control socket of a run, apart from the run."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn, cast

import anyio
import pytest

from orchestrator.engine.control_commands import CommandHandler, ContinueRun, ControlCommand, Operator
from orchestrator.errors import RunError
from orchestrator.runs import control_socket
from orchestrator.runs.control_socket import SOCKET, ControlQuestion, open_control_socket, send_command
from orchestrator.system.users import find_user_name


class Silent:
    """Hears of no fault and gets no command."""

    def warn_uncontrollable(self, text: str) -> None:
        raise AssertionError(text)


class Counting(Silent):
    """Counts the commands that it carries out."""

    def __init__(self) -> None:
        self.executed = 0

    async def execute(self, command: ControlCommand, operator: Operator) -> str:
        assert (command, operator.user) == (ContinueRun(), find_user_name(os.getuid()))
        self.executed += 1
        return "it goes on"


async def test_the_socket_is_gone_after_the_run(tmp_path: Path) -> None:
    async with open_control_socket(tmp_path)(cast("CommandHandler", Silent())):
        assert (tmp_path / SOCKET).is_socket()

    assert not (tmp_path / SOCKET).exists()


async def test_a_disk_that_has_become_read_only_does_not_end_the_run_as_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async with open_control_socket(tmp_path)(cast("CommandHandler", Silent())):
        monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.undo()

    async with open_control_socket(tmp_path)(cast("CommandHandler", Silent())):
        assert (tmp_path / SOCKET).is_socket()


async def test_a_process_without_a_free_descriptor_goes_on_and_answers_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, refused = socket.socket.accept, [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

    def accept_later(listener: socket.socket) -> Any:
        if refused:
            raise refused.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    monkeypatch.setattr(control_socket, "ACCEPT_AGAIN", 0.01)

    async with (
        open_control_socket(tmp_path)(cast("CommandHandler", Silent())),
        await anyio.connect_unix(tmp_path / SOCKET) as operator,
    ):
        await operator.send(b"what\n")
        with anyio.fail_after(10):
            answer = await operator.receive()

    assert not refused
    assert b"this is no demand" in answer


CONTINUE = ControlQuestion(command=ContinueRun())


@pytest.mark.parametrize("system", ["Linux", "another"])
async def test_a_command_whose_sender_was_told_that_it_failed_is_not_carried_out_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """A run that was suspended finds the commands of that time when it goes on."""
    if system == "another":
        monkeypatch.delattr(socket, "SO_PEERCRED")
        monkeypatch.delattr(select, "POLLRDHUP")
    handler = Counting()
    async with open_control_socket(tmp_path)(cast("CommandHandler", handler)):
        # It blocks this loop, as a suspended process does nothing.
        with pytest.raises(RunError, match="does not answer"):
            send_command(tmp_path, CONTINUE, patience=0.05)
        answer = await anyio.to_thread.run_sync(send_command, tmp_path, CONTINUE)

    assert answer == "it goes on"
    assert handler.executed == 1


_LISTENING = """
import socket, sys
with socket.socket(socket.AF_UNIX) as door:
    door.bind(sys.argv[1])
    door.listen()
    print("listens", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_suspended_is_told_as_such(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _LISTENING, str(tmp_path / SOCKET)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"listens\n"
        with pytest.raises(RunError, match=r"\(it gave no answer\): it is just starting or ending"):
            send_command(tmp_path, CONTINUE, patience=0.05)
        run.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            with pytest.raises(
                RunError, match=rf"its process {run.pid} is suspended.* `kill -CONT {run.pid}`"
            ):
                send_command(tmp_path, CONTINUE, patience=0.05)
        finally:
            run.send_signal(signal.SIGCONT)
