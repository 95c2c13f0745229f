"""The control socket of a run, apart from the run."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any, NoReturn, cast

import anyio
import pytest

from orchestrator.engine.control_commands import CommandHandler
from orchestrator.runs import control_socket
from orchestrator.runs.control_socket import SOCKET, open_control_socket


class Silent:
    """Hears of no fault and gets no command."""

    def warn_uncontrollable(self, text: str) -> None:
        raise AssertionError(text)


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
