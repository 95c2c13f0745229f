"""Read the bytes of a plan and of its target files: bounded, checked and hashed while they stream by."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from unicodedata import name

from orchestrator.errors import UnfitError
from orchestrator.plan.problems import FilePosition, UnreadableError
from orchestrator.plan.surrogates import SurrogateJoiner
from orchestrator.system import reading
from orchestrator.system.reading import LARGEST, FileRefusedError
from orchestrator.text.characters import STRANGE_SPACES, why_hidden, why_not_prose

MOST_IN_A_LINE = 1 << 20
"""Bytes. A file with a longer line is no plan, and its reader would have to hold all of that line."""

MOST_IN_AN_ENTRY = 8 << 20
"""Bytes of one target's entry, or of one key of the plan: the reader holds them while it reads them."""

LARGEST_LIST = 1 << 30
"""Bytes of a file of targets: about ten million rows. The reader holds one row at a time."""

_BLOCK = 1 << 16
_LONGEST_SHOWN = 1 << 16
"""Characters of a line in which the cause of an error is looked for."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of a spreadsheet's own files: .xlsx and .ods, and .xls."""


_IN_EXCEL = 'in Excel: "CSV UTF-8 (Comma delimited)"'
"""The format of a spreadsheet that keeps every letter."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes. Raises ``UnfitError`` with the reason why it cannot be read.

    Refuses a pipe before opening it: the plan may have to be read twice, and an open could wait forever.
    """
    try:
        return reading.open_regular(path)
    except FileRefusedError as refused:
        raise UnfitError(refused.message, refused.hint) from None


def open_list(path: Path) -> BinaryIO:
    """Open a file of targets. Reads a pipe to its end first. Raises ``UnfitError``."""
    try:
        # Lists come out of other programs. A plan may be read twice, so only its lists may be pipes.
        if reading.is_pipe(path):
            return io.BytesIO(reading.read_any(path))
        return reading.open_regular(path, largest=LARGEST_LIST)
    except FileRefusedError as refused:
        raise UnfitError(refused.message, refused.hint) from None


class Fingerprint:
    """The length and the SHA-256 of one file, computed while its bytes stream by."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Add the next bytes."""
        self.size += len(data)
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the SHA-256 of all bytes so far."""
        return self._hash.digest()


def compute_digest(files: Iterable[Fingerprint], ids: Iterable[str] | None) -> str:
    """Return the digest that an approval names: over each file's length and SHA-256, then the given ids."""
    total = hashlib.sha256()
    # Words and lengths stand between the parts, so that no two lists of files and ids give the same bytes.
    for file in files:
        total.update(b"file" + file.size.to_bytes(8) + file.digest())
    for text in ids or ():
        # Python keeps bytes of the command line that are no UTF-8 as lone surrogates.
        data = text.encode("utf-8", "surrogatepass")
        total.update(b"target" + len(data).to_bytes(8) + data)
    return total.hexdigest()


class PlanSource:
    """The stream from which libyaml reads the plan. Raises ``UnreadableError`` for bytes that are no plan."""

    def __init__(self, stream: BinaryIO) -> None:
        self.fingerprint = Fingerprint()
        self.held = 0
        """Bytes read since the last entry began."""
        self.marked = False
        """Whether the file holds ! or & so far. Without them no entry has a tag or an anchor to look for."""
        self._stream = stream
        self._line = 1
        self._line_size = 0
        self._joiner = SurrogateJoiner()
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def read(self, size: int = _BLOCK, /) -> bytes:
        """Return about ``size`` bytes, none at the end, with surrogate pairs joined."""
        while data := self._read(size):
            if joined := self._joiner.feed(data):
                return joined
        return self._joiner.finish()

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        try:
            self._decode(data, final=not data)
        except UnicodeDecodeError as error:
            offset = self.fingerprint.size + len(data) - len(error.object) + error.start
            raise self._explain_no_text(offset, error.reason) from None
        self.fingerprint.add(data)
        self._measure(data)
        return data

    def drain(self) -> None:
        """Read to the end, so that the fingerprint covers the whole file."""
        while self._read(_BLOCK):
            self.begin_entry()

    def begin_entry(self) -> None:
        """Count the bytes of an entry from here: one entry has a bound, and a plan has none."""
        self.held = 0

    def _measure(self, data: bytes) -> None:
        if self.fingerprint.size > LARGEST:  # the file has grown since it was opened
            raise UnreadableError(
                FilePosition(0, self._line, 1),
                reading.make_too_large_error(LARGEST).message,
                is_exact=True,
            )
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
                FilePosition(0, self._line, 1),
                "the line is longer than 1 MB",
                "a plan is text with line breaks",
                is_exact=True,
            )
        if self.held > MOST_IN_AN_ENTRY:
            hint = "put its targets into a file and name it with from_file"
            raise UnreadableError(
                FilePosition(0, self._line, 1), "one entry is longer than 8 MB", hint, is_exact=True
            )

    def _explain_no_text(self, offset: int, reason: str) -> UnreadableError:
        self._stream.seek(0)
        if self._stream.read(2) in _UTF_16:
            found = f"the byte 0x{self._read_first_byte().hex()} is not UTF-8: the file is UTF-16"
            return UnreadableError(FilePosition(0, 1, 1), found, "save the file as UTF-8", is_exact=True)
        self._stream.seek(offset)
        found = f"the byte 0x{self._stream.read(1).hex()} is not UTF-8 ({reason})"
        return UnreadableError(self.find_position(offset), found, "save the file as UTF-8", is_exact=True)

    def _read_first_byte(self) -> bytes:
        self._stream.seek(0)
        return self._stream.read(1)

    def find_position(self, offset: int) -> FilePosition:
        """Return the position of the byte at ``offset``. Moves the stream: only for a last message."""
        self._stream.seek(0)
        line, begun, before = 1, 0, b""
        # Lines end as libyaml and editors end them: a file may have CR alone.
        for number, data in enumerate(split_lines(self._stream), 1):
            line, before = number, data[: offset - begun]
            if offset < begun + len(data):
                break
            begun += len(data)
        return FilePosition(0, line, len(before.decode("utf-8", "replace").removeprefix("\ufeff")) + 1)

    def find_odd_character(self, line: int) -> str:
        """Describe a character in the line ``line``, or the one before, that only looks like YAML's own.

        Moves the stream, so call it only for a last message.
        """
        lines = self.read_lines_before(line, 1)
        return _find_odd_character(lines.get(line, "")) or _find_odd_character(lines.get(line - 1, ""))

    def read_lines_before(self, line: int, count: int) -> dict[int, str]:
        """Return the line ``line`` and ``count`` lines before it, by number, without their ends.

        Moves the stream, so call it only for a last message.
        """
        self._stream.seek(0)
        # libyaml may give up in a line behind the last one.
        found = dict.fromkeys(range(max(1, line - count), line + 1), "")
        for number, data in enumerate(islice(split_lines(self._stream), line), 1):
            if number in found:
                text = data[: 4 * _LONGEST_SHOWN].decode("utf-8", "replace")
                text = text.rstrip("\r\n")
                # Behind the first line a byte order mark is a slip, which a hint is to name.
                found[number] = text.removeprefix("\ufeff") if number == 1 else text
        return found


# YAML's own characters, as keyboards, word processors and chats replace them.
_LOOKS_LIKE = {
    "\uff1a": ":", "\uff0c": ",", "\uff0d": "-", "\uff5b": "{", "\uff5d": "}", "\uff3b": "[", "\uff3d": "]",
    "\uff03": "#", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u2013": "-", "\u2014": "-",
}  # fmt: skip


# An apostrophe or a dash of a word processor inside a text is no slip.
_INSIDE = re.compile(r"(?<=\w)[\u2018\u2019](?=\w)|(?<=\S )[\u2013\u2014](?= )|(?<=\w)[\u2013\u2014](?=\w)")


# YAML ends a line, and so a comment, at three further characters.
_COMMENT = re.compile(r"(?<!\S)#[^\x85\u2028\u2029]*")
_STRANGE_SPACE = re.compile(f"[{STRANGE_SPACES}]")
_TO_VALUE = re.compile(r".*?:(?: +|$)[^ -~]*")
"""A line up to the value of its first key, with the characters beyond ASCII that the value begins with."""


def _find_odd_character(line: str) -> str:
    """Describe a character of a line that looks like another, with its remedy; an empty text without one.

    Passes over comments, and over the tabs, spaces and pictures that a text for people may hold.
    """
    text = _COMMENT.sub("", line)
    if "\t" in text[: len(text) - len(text.lstrip(" \t-"))]:
        return "the line holds a tab; indent with spaces"
    text = text.replace("\t", " ")
    before = _TO_VALUE.match(text)
    if hidden := why_not_prose(text) or _find_strange_space(before[0] if before else text):
        return f"the line {hidden}; write ordinary spaces"
    for letter in _INSIDE.sub("", text):
        if letter in _LOOKS_LIKE:
            called = f"U+{ord(letter):04X}, {name(letter).lower()}"
            return f"the line holds {letter} ({called}); write {_LOOKS_LIKE[letter]}"
    return ""


def _find_strange_space(text: str) -> str | None:
    found = _STRANGE_SPACE.search(text)
    return why_hidden(found[0]) if found else None


def read_lines(stream: BinaryIO, file: int, fingerprint: Fingerprint) -> Iterator[str]:
    """Yield the lines of a file of targets with their ends, without a byte order mark.

    A line ends as on any system: LF, CR LF, or CR alone. Raises ``UnreadableError`` at a line that is longer
    than 1 MB or no UTF-8, and after ``LARGEST_LIST`` bytes.
    """
    for number, data in enumerate(split_lines(stream), 1):
        fingerprint.add(data)
        if len(data) > MOST_IN_A_LINE:
            raise UnreadableError(FilePosition(file, number, 1), "the line is longer than 1 MB")
        if fingerprint.size > LARGEST_LIST:  # it has grown since it was opened
            raise UnreadableError(
                FilePosition(file, number, 1), reading.make_too_large_error(LARGEST_LIST).message
            )
        line = _decode_line(data, FilePosition(file, number, 1))
        yield line.removeprefix("\ufeff") if number == 1 else line


def split_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream; of a line that is too long, only the beginning."""
    rest = b""
    while block := stream.read(_BLOCK):
        parts = (rest + block).splitlines(keepends=True)
        # The last line may go on in the next block, and a CR at its end may be half of a CR LF.
        rest = b"" if parts[-1].endswith(b"\n") else parts.pop()
        yield from parts
        if len(rest) > MOST_IN_A_LINE:
            break
    yield from rest.splitlines(keepends=True)


def _decode_line(data: bytes, at: FilePosition) -> str:
    if at.line == 1 and data.startswith(_UTF_16):
        raise UnreadableError(at, "the file is UTF-16", f"save it as UTF-8 ({_IN_EXCEL})")
    if at.line == 1 and data.startswith(_WORKBOOKS):
        raise UnreadableError(
            at, "this is a workbook, not a table of text", f"export it as CSV, in UTF-8 ({_IN_EXCEL})"
        )
    try:
        line = data.decode("utf-8")
    except UnicodeDecodeError as error:
        column = len(data[: error.start].decode("utf-8")) + 1
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise UnreadableError(
            FilePosition(at.file, at.line, column), message, f"save the file as UTF-8 ({_IN_EXCEL})"
        ) from None
    if "\0" in line:
        raise UnreadableError(at, "the line holds the character U+0000", "is this UTF-16? Save it as UTF-8")
    return line


def is_within(folder: Path, path: str) -> bool:
    """Return whether the relative ``path`` stays inside ``folder``, by its text alone."""
    whole = os.path.abspath(folder / path)  # noqa: PTH100 - resolve() would follow links
    return Path(whole).is_relative_to(os.path.abspath(folder))  # noqa: PTH100
