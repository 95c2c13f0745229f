"""report.csv: one row a target, for spreadsheets and shell tools."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC
from typing import TextIO

from msgspec.json import Encoder

from orchestrator.report.values import ReportSource, TargetReport, round_to_milliseconds

COLUMNS = (
    "id", "gateway", "kind", "wave", "outcome", "reason", "evidence", "started", "seconds", "attempts",
    "last_act", "last_status", "last_code", "last_message", "coordinates", "url", "run", "act",
    "rehearsal",
)  # fmt: skip

# A cell that begins so may run as a formula in a spreadsheet (full-width forms in some locales). The quote
# itself is among them, so that taking one leading quote away always gives the value back.
_DANGEROUS = frozenset("=+-@'\uff1d\uff0b\uff0d\uff20")
# Control characters become visible, so that a target is always one line; no id has any.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ENCODER = Encoder()


def write(source: ReportSource, out: TextIO) -> None:
    """Write one row a target under ``COLUMNS``; a value that is None is an empty cell."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_rows(source))


def _rows(source: ReportSource) -> Iterator[tuple[object, ...]]:
    run = source.report.run
    # The same in each row: rows of several runs are put into one sheet, and must not be mistaken there.
    same = (_safe(run.id), run.act, "yes" if run.rehearsal else "no")
    urls = {gateway.name: _safe(gateway.url) for gateway in source.report.gateways}
    for target in source.targets():
        yield (
            _safe(target.id),
            _safe(target.gateway),
            target.kind,
            _safe(target.wave),
            target.outcome,
            _safe(target.reason),
            target.evidence,
            *_times(target),
            len(target.attempts),
            *_last(target),
            _ENCODER.encode(target.coordinates).decode(),
            urls.get(target.gateway),
            *same,
        )


def _safe(text: str | None) -> str | None:
    if not text:
        return text
    shown = text if text.isprintable() else text.translate(_CONTROLS)
    return f"'{shown}" if shown[0] in _DANGEROUS else shown


def _times(target: TargetReport) -> tuple[str | None, float | None]:
    """When the first request left, and how long the target took."""
    seconds = round_to_milliseconds(target.seconds)
    if not target.attempts:
        return None, seconds
    started = target.attempts[0].started.astimezone(UTC).isoformat(timespec="milliseconds")
    return started.replace("+00:00", "Z"), seconds


def _last(target: TargetReport) -> tuple[str | int | None, ...]:
    if not target.attempts:
        return None, None, None, None
    last = target.attempts[-1]
    return last.act, last.status, _safe(last.code), _safe(last.message)
