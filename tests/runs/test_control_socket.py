"""The control socket of a run, apart from the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from orchestrator.engine.control_commands import CommandHandler
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
