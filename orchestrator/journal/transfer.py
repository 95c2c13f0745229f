"""Rows and events on their way from the machine that made them to the journal of the run.

A segment holds what was written since the segment before: the rows with the short names of their statements,
and the events. The numbers of targets are those of the run's journal everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator.errors import JournalError
from orchestrator.journal.database import Value
from orchestrator.journal.record import TRANSFERRED
from orchestrator.model.events import AnyEvent

MOST_BYTES = 256 * 1024 * 1024
"""Bytes of one segment as it was written. A program of ours sends a small part of that."""

_NAMES = {statement: name for name, statement in TRANSFERRED.items()}


class NamedRow(NamedTuple):
    """A row under the short name of the statement that writes it; see ``record.TRANSFERRED``."""

    name: str
    values: tuple[Any, ...]


class Segment(NamedTuple):
    """Rows and events, each in their order."""

    rows: list[NamedRow]
    events: list[AnyEvent]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Segment).decode


def name_row(statement: str, values: tuple[Value, ...]) -> NamedRow:
    """Return a row as it travels. Raises KeyError for a statement that no other machine may use."""
    return NamedRow(_NAMES[statement], values)


def encode_segment(rows: Sequence[NamedRow], events: Sequence[AnyEvent]) -> bytes:
    """Return rows and events as compressed bytes."""
    return zlib.compress(_encode((rows, events)))


def decode_segment(segment: bytes) -> Segment:
    """Return the rows and events of a segment. Raises JournalError for other bytes."""
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(segment, MOST_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise JournalError("a segment of results is cut, or too large")
        return _decode(plain)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise JournalError(f"a segment of results cannot be read: {error}") from error
