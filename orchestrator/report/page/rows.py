"""The targets as the page's script reads them: compact JSON, each text once, safe in a script element."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TextIO

from msgspec.json import Encoder

from orchestrator.report.values import AttemptReport, TargetReport, round_to_milliseconds

_ENCODER = Encoder()
_LINE = 57 * 64
"""Bytes of a line of base64, a multiple of three: each line is whole by itself."""


class PackedWriter:
    """Compresses a text by gzip and writes it as lines of base64, as much as there is at a time.

    The page unpacks it by ``DecompressionStream``. A row is packed into about a tenth of its JSON.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        # Level 6 takes three times as long as level 1, for a sixth less.
        self._gzip = zlib.compressobj(level=1, wbits=31)
        self._rest = b""

    def write(self, text: str) -> None:
        """Pack ``text``."""
        self._write_lines(self._rest + self._gzip.compress(text.encode()))

    def end(self) -> None:
        """Write what is left; nothing can be written afterwards."""
        self._write_lines(self._rest + self._gzip.flush())
        self._out.write(b64encode(self._rest).decode() + "\n")

    def _write_lines(self, data: bytes) -> None:
        whole = len(data) - len(data) % _LINE
        for first in range(0, whole, _LINE):
            self._out.write(b64encode(data[first : first + _LINE]).decode() + "\n")
        self._rest = data[whole:]


class RowWriter:
    """Writes the JSON in pieces: ``begin``, then the targets, then ``end``.

    ``rows`` refer to ``texts`` by index.
    A row is ``[id, gateway, wave, outcome, reason, evidence, seconds, attempts]``, with the name that people
    know behind it where there is one, an attempt
    ``[act, milliseconds after the run's start, seconds, status, code, message]``, with 1 behind it where
    nothing was sent.
    """

    def __init__(self, write: Callable[[str], object], started: datetime) -> None:
        self._write = write
        self._started = started
        # Thousands of targets share a gateway, a wave and often a reason: each text stands in the page once.
        self._texts: dict[str, int] = {}
        self._separator = ""

    def begin(self) -> None:
        """Write what comes before the first row."""
        self._write(f'{{"start":{round(self._started.timestamp() * 1000)},"rows":[\n')

    def write(self, targets: Iterable[TargetReport]) -> None:
        """Write a row for each of the targets."""
        # A list, since msgspec never lets go of an iterator that it was given.
        rows = [self._build_row(target) for target in targets]
        # No line break of a text is in the JSON as such, so each one is between two rows.
        lines = _make_safe(_ENCODER.encode_lines(rows)).rstrip("\n")
        if lines:
            self._write(self._separator + lines.replace("\n", ",\n"))
            self._separator = ",\n"

    def end(self) -> None:
        """Write what comes behind the last row."""
        self._write(f'\n],"texts":{encode_for_script(list(self._texts))}}}')

    def _build_row(self, target: TargetReport) -> list[Any]:
        index = self._index_text
        named = [] if target.name is None else [target.name]
        return [
            target.id,
            index(target.gateway),
            index(target.wave),
            index(str(target.outcome)),
            index(target.reason),
            index(target.evidence),
            round_to_milliseconds(target.seconds),
            [self._build_attempt(attempt) for attempt in target.attempts],
            *named,
        ]

    def _build_attempt(self, attempt: AttemptReport) -> list[Any]:
        return [
            self._index_text(str(attempt.act)),
            round((attempt.started - self._started).total_seconds() * 1000),
            round_to_milliseconds(attempt.seconds),
            attempt.status,
            self._index_text(attempt.code),
            self._index_text(attempt.message),
            *(() if attempt.sent else (1,)),
        ]

    def _index_text(self, text: str | None) -> int | None:
        return None if text is None else self._texts.setdefault(text, len(self._texts))


def encode_for_script(value: object) -> str:
    """Encode ``value`` so that nothing in it can end the script element or open a comment in it."""
    return _make_safe(_ENCODER.encode(value))


def _make_safe(text: bytes) -> str:
    return text.decode().replace("<", "\\u003c")
