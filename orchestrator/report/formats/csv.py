"""report.csv: a row for each target, for spreadsheets and shell tools."""

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

# A cell that begins with one of these may run as a formula in a spreadsheet (in some locales the full-width
# forms, too). The quote itself is among them, so that a program that removes one leading quote always gets
# the value back.
_DANGEROUS = frozenset("=+-@'\uff1d\uff0b\uff0d\uff20")
# Control characters become visible, so that a target is always one line; no id has any.
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ENCODER = Encoder()


def write(source: ReportSource, out: TextIO) -> None:
    """Write a row for each target under ``COLUMNS``. None is an empty cell."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_build_rows(source))


def _build_rows(source: ReportSource) -> Iterator[tuple[object, ...]]:
    run = source.report.run
    # People put the rows of several runs into one sheet, where each row must tell its run.
    of_run = (_defuse(run.id), run.act, "yes" if run.rehearsal else "no")
    urls = {gateway.name: _defuse(gateway.url) for gateway in source.report.gateways}
    for target in source.targets():
        yield (
            _defuse(target.id),
            _defuse(target.gateway),
            target.kind,
            _defuse(target.wave),
            target.outcome,
            _defuse(target.reason),
            target.evidence,
            *_read_times(target),
            len(target.attempts),
            *_read_last_attempt(target),
            _ENCODER.encode(target.coordinates).decode(),
            urls.get(target.gateway),
            *of_run,
        )


def _defuse(text: str | None) -> str | None:
    if not text:
        return text
    shown = text if text.isprintable() else text.translate(_CONTROLS)
    return f"'{shown}" if shown[0] in _DANGEROUS else shown


def _read_times(target: TargetReport) -> tuple[str | None, float | None]:
    """Return when the first request left, and how many seconds the target took."""
    seconds = round_to_milliseconds(target.seconds)
    if not target.attempts:
        return None, seconds
    started = target.attempts[0].started.astimezone(UTC).isoformat(timespec="milliseconds")
    return started.replace("+00:00", "Z"), seconds


def _read_last_attempt(target: TargetReport) -> tuple[str | int | None, ...]:
    if not target.attempts:
        return None, None, None, None
    last = target.attempts[-1]
    return last.act, last.status, _defuse(last.code), _defuse(last.message)
