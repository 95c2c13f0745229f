"""The standard streams in a character set that lacks some letters, and with readers that are slow."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import pytest

from orchestrator.system.streams import PatientOutput, StandardStreams
from tests.support.names import CHINESE, TURKISH


@pytest.mark.parametrize(
    ("charset", "shown"),
    [
        ("utf-8", f"{TURKISH} {CHINESE}"),
        ("iso8859-9", f"{TURKISH} {CHINESE.encode('ascii', 'backslashreplace').decode()}"),
        ("gbk", f"{TURKISH.encode('gbk', 'backslashreplace').decode('gbk')} {CHINESE}"),
        ("ascii", f"{TURKISH} {CHINESE}".encode("ascii", "backslashreplace").decode()),
    ],
)
def test_a_letter_that_a_terminal_lacks_is_written_out_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, charset: str, shown: str
) -> None:
    reader, writer = os.pipe()
    kept = os.dup(1)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=charset, errors="strict"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfdyes\n"), encoding="utf-8"))
    os.dup2(writer, 1)
    try:
        streams = StandardStreams()
        sys.stdout.write(f"{TURKISH} {CHINESE}\n")
        streams.drain()
    finally:
        os.dup2(kept, 1)
        for each in (kept, writer):
            os.close(each)

    with os.fdopen(reader, encoding=charset) as read:
        assert read.read() == f"{shown}\n"


def test_what_is_typed_in_another_character_set_is_no_answer_and_no_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xfd\nyes\n"), encoding="utf-8"))

    StandardStreams()

    assert [sys.stdin.readline(), sys.stdin.readline()] == ["\ufffd\n", "yes\n"]


def _read_to_end(descriptor: int, size: int) -> bytes:
    data = b""
    with suppress(OSError):  # a terminal that was closed
        while len(data) < size and (more := os.read(descriptor, 1 << 16)):
            data += more
    return data


@pytest.mark.parametrize("open_both", [os.pipe, pty.openpty])
def test_a_reader_that_is_slow_gets_all_also_where_the_descriptor_never_blocks(
    open_both: Callable[[], tuple[int, int]],
) -> None:
    reader, writer = open_both()
    os.set_blocking(writer, False)  # as another program on the same terminal may have left it
    output = PatientOutput(writer, strict=True)
    given = b"x" * 1000
    got: list[bytes] = []
    for _ in range(200):  # more than a pipe or a terminal holds
        output.write(given)
    slow = Thread(target=lambda: got.append(_read_to_end(reader, 200 * len(given))), daemon=True)
    slow.start()
    output.drain(5)
    slow.join(5)
    for each in (reader, writer):
        os.close(each)

    assert got == [given * 200]
