"""The standard streams in a character set that lacks some letters."""

from __future__ import annotations

import io
import os
import sys

import pytest

from orchestrator.system.streams import StandardStreams
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
