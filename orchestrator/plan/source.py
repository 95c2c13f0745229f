"""The bytes of the plan and of the files it includes: bounded, checked and counted while they stream by."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.plan.problems import UnfitError, UnreadableError
from orchestrator.plan.targets import Place

MOST_IN_A_LINE = 1 << 20
"""Bytes. Read past this without a line's end, a file is no plan, and its reader would hold all of it."""

MOST_IN_AN_ENTRY = 8 << 20
"""Bytes of one target's entry or of one key of the plan, which are held while they are read."""

_BLOCK = 1 << 16


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes. Raises ``UnfitError`` that says why it cannot be.

    A pipe is refused before it is opened: the plan may have to be read twice, and an open could wait forever.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnfitError("is a directory, not a file")
        if not stat.S_ISREG(mode):
            raise UnfitError("is not a regular file", "save it to one first")
        return path.open("rb")
    except FileNotFoundError:
        raise UnfitError("does not exist") from None
    except OSError as error:
        raise UnfitError(f"cannot be opened: {error.strerror or 'no reason given'}") from None


class Fingerprint:
    """Digest and length of one file, taken while its bytes stream by."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def take(self, data: bytes) -> None:
        """Take the next bytes in."""
        self.size += len(data)
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the SHA-256 of all bytes so far."""
        return self._hash.digest()


def digest(files: Iterable[Fingerprint], ids: Iterable[str] | None) -> str:
    """Return what the plan's approval is bound to: each file's length and SHA-256, then the given ids."""
    total = hashlib.sha256()
    for file in files:
        total.update(b"file" + file.size.to_bytes(8) + file.digest())
    for text in ids or ():
        data = text.encode("utf-8", "surrogatepass")
        total.update(b"target" + len(data).to_bytes(8) + data)
    return total.hexdigest()


class Source:
    """The stream that libyaml reads the plan from. Raises ``UnreadableError`` where it must stop."""

    def __init__(self, stream: BinaryIO) -> None:
        self.fingerprint = Fingerprint()
        self.held = 0
        """Bytes read since the last entry began; whoever begins one sets it to 0."""
        self.marked = False
        """Whether a byte was read without which there is neither a tag nor an anchor."""
        self._stream = stream
        self._line = 1
        self._line_size = 0
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def read(self, size: int = _BLOCK, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        data = self._stream.read(size)
        try:
            self._decode(data, final=not data)
        except UnicodeDecodeError as error:
            offset = self.fingerprint.size + len(data) - len(error.object) + error.start
            raise self._not_text(offset, error.reason) from None
        self.fingerprint.take(data)
        self._measure(data)
        return data

    def drain(self) -> None:
        """Read to the end, so that the fingerprint covers the whole file."""
        while self.read(_BLOCK):
            self.held = 0

    def _measure(self, data: bytes) -> None:
        ends = data.count(b"\n")
        if ends:
            self._line += ends
            self._line_size = len(data) - data.rfind(b"\n") - 1
        else:
            self._line_size += len(data)
        self.held += len(data)
        self.marked = self.marked or b"!" in data or b"&" in data
        if self._line_size > MOST_IN_A_LINE:
            raise UnreadableError(
                Place(0, self._line, 1), "the line is longer than 1 MB", "a plan is text with line breaks"
            )
        if self.held > MOST_IN_AN_ENTRY:
            hint = "put its targets into a file and name it with from_file"
            raise UnreadableError(Place(0, self._line, 1), "one entry is longer than 8 MB", hint)

    def _not_text(self, offset: int, reason: str) -> UnreadableError:
        self._stream.seek(offset)
        found = f"the byte 0x{self._stream.read(1).hex()} is not UTF-8 ({reason})"
        return UnreadableError(self.place(offset), found, "save the file as UTF-8")

    def place(self, offset: int) -> Place:
        """Return the place of the byte at ``offset``. Moves the stream; only for a message at the end."""
        self._stream.seek(0)
        line, start, position = 1, 0, 0
        while position < offset:
            block = self._stream.read(min(_BLOCK, offset - position))
            if not block:
                break
            line += block.count(b"\n")
            if b"\n" in block:
                start = position + block.rfind(b"\n") + 1
            position += len(block)
        self._stream.seek(start)
        before = self._stream.read(min(position - start, MOST_IN_A_LINE)).decode("utf-8", "replace")
        return Place(0, line, len(before.removeprefix("\ufeff")) + 1)

    def has_tab(self, line: int) -> bool:
        """Say whether line number ``line`` holds a tab. Moves the stream; only for a message at the end."""
        self._stream.seek(0)
        for _ in range(line - 1):
            self._stream.readline(MOST_IN_A_LINE)
        return b"\t" in self._stream.readline(MOST_IN_A_LINE)


def lines(stream: BinaryIO, file: int, fingerprint: Fingerprint) -> Iterator[str]:
    """Yield the lines of an included file with their ends, a byte order mark left out.

    Raises ``UnreadableError`` at a line that is longer than 1 MB or no UTF-8.
    """
    number = 0
    while data := stream.readline(MOST_IN_A_LINE + 1):
        number += 1
        if len(data) > MOST_IN_A_LINE:
            raise UnreadableError(Place(file, number, 1), "the line is longer than 1 MB")
        fingerprint.take(data)
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError as error:
            column = len(data[: error.start].decode("utf-8")) + 1
            message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
            raise UnreadableError(Place(file, number, column), message, "save the file as UTF-8") from None
        yield line.removeprefix("\ufeff") if number == 1 else line


def is_within(folder: Path, name: str) -> bool:
    """Say whether the relative path ``name`` stays inside ``folder``, by its text alone."""
    whole = os.path.abspath(folder / name)  # noqa: PTH100 - resolve() would follow links
    return Path(whole).is_relative_to(os.path.abspath(folder))  # noqa: PTH100
