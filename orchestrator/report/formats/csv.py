"""report.csv: a row for each target, for spreadsheets and shell tools."""

from __future__ import annotations

import csv
import re
from datetime import UTC
from functools import lru_cache
from typing import TextIO

from msgspec.json import Encoder

from orchestrator.report.formats import ReportStream
from orchestrator.report.values import ReportSource, TargetReport, round_to_milliseconds

COLUMNS = (
    "id", "gateway", "kind", "wave", "outcome", "reason", "evidence", "started", "seconds", "attempts",
    "last_act", "last_status", "last_code", "last_message", "coordinates", "url", "run", "act",
    "rehearsal",
)  # fmt: skip

# A cell that begins with one of these may run as a formula in a spreadsheet (in some locales the full-width
# forms, too). The quote itself is among them, so that a program that removes one quote from each such place
# always gets the value back.
_DANGEROUS = "=+-@'\uff1d\uff0b\uff0d\uff20"
# Where the comma belongs to numbers, as in Turkish and German, Excel opens the file with the semicolon as its
# separator: it begins a cell behind each one, and no quotes keep it from that.
_CELL_SEPARATOR = ";"
_quote_beginnings = re.compile(f"(^|{_CELL_SEPARATOR})(?=[{re.escape(_DANGEROUS)}])").sub
# Control characters become visible, so that a target is always one line; no id has any.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ENCODER = Encoder()


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write a row for each target under ``COLUMNS``. None is an empty cell."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    run = source.report.run
    # People put the rows of several runs into one sheet, where each row must tell its run.
    of_run = (_defuse(run.id), run.act, "yes" if run.rehearsal else "no")
    urls = {gateway.name: _defuse(gateway.url) for gateway in source.report.gateways}
    while targets := (yield):
        rows.writerows((*_build_cells(target), urls.get(target.gateway), *of_run) for target in targets)


def _build_cells(target: TargetReport) -> tuple[object, ...]:
    """Return the cells of a target, without those of its gateway and its run."""
    coordinates = _ENCODER.encode(target.coordinates).decode()
    if _CELL_SEPARATOR in coordinates:
        # In JSON a quote would be a part of the name; an escape is none.
        coordinates = coordinates.replace(_CELL_SEPARATOR, "\\u003b")
    return (
        _defuse(target.id),
        _defuse_again(target.gateway),
        target.kind,
        _defuse_again(target.wave),
        target.outcome,
        _defuse_again(target.reason),
        target.evidence,
        *_read_times(target),
        target.requests,
        *_read_last_attempt(target),
        coordinates,
    )


def _defuse(text: str | None) -> str | None:
    if not text:
        return text
    shown = text if text.isprintable() else text.translate(_CONTROLS)
    if shown[0] in _DANGEROUS or _CELL_SEPARATOR in shown:
        return _quote_beginnings(r"\1'", shown)
    return shown


_defuse_again = lru_cache(maxsize=500)(_defuse)
"""``_defuse`` for texts that many targets share: the names of gateways and waves, reasons, messages."""


def _read_times(target: TargetReport) -> tuple[str | None, float | None]:
    """Return when the first request left, and how many seconds the target took."""
    seconds = round_to_milliseconds(target.seconds)
    started = next((attempt.started for attempt in target.attempts if attempt.sent), None)
    if started is None:
        return None, seconds
    # A journal's times are in UTC, and to convert them all the same takes longer than to write them.
    in_utc = started if started.tzinfo is UTC else started.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"), seconds


def _read_last_attempt(target: TargetReport) -> tuple[str | int | None, ...]:
    if not target.attempts:
        return None, None, None, None
    last = target.attempts[-1]
    return last.act, last.status, _defuse_again(last.code), _defuse_again(last.message)
