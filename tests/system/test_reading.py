"""Files that a person names: regular files, pipes, and devices that look like files."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.system.reading import (
    LARGEST,
    FileRefusedError,
    open_regular,
    read_any,
    read_handle,
    read_regular,
)

READERS = [read_regular, read_any]


@pytest.mark.parametrize("read", READERS)
def test_a_regular_file_and_a_link_to_one_are_read(tmp_path: Path, read: Callable[[Path], bytes]) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "link").symlink_to("a")

    assert read(tmp_path / "a") == read(tmp_path / "link") == b"text"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder", "is a directory, not a file"),
        ("none", "does not exist"),
        ("socket", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("huge", "is larger than 64 MB"),
    ],
)
def test_a_path_that_is_no_such_file_is_refused_at_once(
    tmp_path: Path, read: Callable[[Path], bytes], name: str, why: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 5 << 30)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        before = time.monotonic()
        with pytest.raises(FileRefusedError) as caught:
            read(tmp_path / name)

    assert caught.value.message == why
    assert time.monotonic() - before < 1


def test_a_regular_file_may_be_as_large_as_said_and_no_byte_larger(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)

    assert read_regular(tmp_path / "a", largest=10) == b"x" * 10
    with pytest.raises(FileRefusedError, match="is larger than 9 bytes"):
        open_regular(tmp_path / "a", largest=9)


def test_a_file_that_grows_is_not_followed() -> None:
    """The kernel says that this one has no bytes."""
    with pytest.raises(FileRefusedError, match="is larger than 10 bytes"):
        read_regular(Path("/proc/self/status"), largest=10)


def test_a_pipe_is_read_only_where_a_pipe_is_allowed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x" * 200_000,))

    with pytest.raises(FileRefusedError, match="is not a regular file; save it to one first"):
        read_regular(tmp_path / "pipe")
    writer.start()
    assert read_any(tmp_path / "pipe") == b"x" * 200_000
    writer.join()


def test_a_pipe_without_a_writer_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(FileRefusedError, match=r"has not come to its end within 0\.2 seconds"):
        read_any(tmp_path / "pipe", patience=0.2)


def test_a_pipe_that_drips_is_given_up_and_one_without_end_is_cut() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a")
    with pytest.raises(FileRefusedError, match=r"has not come to its end within 0\.2 seconds"):
        read_handle(reading, patience=0.2)
    os.close(reading)
    os.close(writing)

    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout is not None
        with pytest.raises(FileRefusedError, match="is larger than 1 MB"):
            read_handle(endless.stdout.fileno(), largest=1 << 20)
        endless.stdout.close()
        endless.kill()


def test_an_open_file_is_read_from_where_it_stands_and_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab")
    with (tmp_path / "a").open("rb") as stream:
        assert read_handle(stream.fileno()) == b"ab"
        assert stream.tell() == 2


def test_an_open_device_is_refused() -> None:
    with (
        Path("/dev/zero").open("rb") as device,
        pytest.raises(FileRefusedError, match="is neither a file nor a pipe"),
    ):
        read_handle(device.fileno())


def test_the_bound_is_the_one_in_the_documentation() -> None:
    assert LARGEST == 64 * 1024 * 1024
