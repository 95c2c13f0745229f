"""The listener that writes the events of a run as JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from io import RawIOBase
from typing import BinaryIO

import msgspec

from orchestrator.model.events import AnyEvent, StreamBegun
from orchestrator.model.plan import RunId

BEGINNING = b'{"event":'
"""How each line begins."""


class JsonLinesWriter:
    """Listener: writes each event as a line of JSON. ``begin`` writes the first line, before any event.

    Each line is flushed at once, so that a program that follows the lines is never behind. If ``out`` fails,
    ``complain`` gets one message, further events are dropped, and the run goes on.
    """

    def __init__(self, out: BinaryIO | RawIOBase, complain: Callable[[str], None]) -> None:
        self._out: BinaryIO | RawIOBase | None = out
        self._complain = complain
        self._encode = msgspec.json.Encoder().encode

    def begin(self, run: RunId) -> None:
        """Write the line that names the schema and the run, so that a reader knows both before any event."""
        self._write_line(StreamBegun(run=run))

    def __call__(self, event: AnyEvent) -> None:
        """Write ``event``."""
        self._write_line(event)

    def _write_line(self, value: object) -> None:
        if self._out is None:
            return
        try:
            self._out.write(self._encode(value) + b"\n")
            self._out.flush()
        except OSError as error:
            self._out = None
            self._complain(f"--events: no more events are written ({error.strerror}); the run goes on")
