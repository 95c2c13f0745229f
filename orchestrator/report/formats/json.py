"""report.json, schema 1, for other programs. Each target has a line of its own, for grep and diff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from msgspec import Struct
from msgspec.json import Encoder
from msgspec.structs import asdict, replace

from orchestrator.report.formats import ReportStream
from orchestrator.report.values import (
    GOOD_OUTCOMES,
    SCHEMA,
    AttemptReport,
    ChainedRun,
    GatewayReport,
    LatencyPercentiles,
    Report,
    ReportSource,
    RunReport,
    SessionReport,
    TargetReport,
    Totals,
    WaveReport,
    WindowReport,
    round_to_milliseconds,
)

_ENCODER = Encoder()


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write the report as JSON (schema 1). Times are UTC with ``Z``, seconds are rounded to milliseconds."""
    _write_head(source.report, out)
    separator = '"targets":[\n'
    while targets := (yield):
        out.write(separator + _encode_lines([encode_target(target) for target in targets]))
        separator = ",\n"
    out.write('"targets":[]}\n' if separator.startswith('"') else "\n]}\n")


def _write_head(report: Report, out: TextIO) -> None:
    """Write all that comes before the targets."""
    head = encode_head(report)
    out.write(f'{{"schema":{SCHEMA},\n"run":{_encode_text(head["run"])},\n')
    if report.chain:
        out.write('"chain":')
        _write_lines([_encode_chained(each) for each in report.chain], out)
        out.write(",\n")
    out.write(f'"totals":{_encode_text(head["totals"])},\n"gateways":')
    _write_lines(head["gateways"], out)
    out.write(',\n"waves":')
    _write_lines(head["waves"], out)
    out.write(',\n"controls":')
    _write_lines([replace(control, at=_convert_to_utc(control.at)) for control in report.controls], out)
    out.write(f',\n"warnings":{_encode_text(report.warnings)},\n')


def encode_head(report: Report) -> dict[str, Any]:
    """Return the run, the totals, the waves and the gateways as report.json has them."""
    act = report.run.act
    return {
        "run": encode_run(report.run),
        "totals": encode_totals(report.totals, act),
        "waves": [_encode_group(wave, act) for wave in report.waves],
        "gateways": [
            _encode_group(replace(gateway, seconds=_round_percentiles(gateway.seconds)), act)
            for gateway in report.gateways
        ],
    }


def _write_lines(values: Sequence[Struct | dict[str, Any]], out: TextIO) -> None:
    """Write a list with a line for each value."""
    lines = _encode_lines(values)
    out.write(f"[\n{lines}\n]" if lines else "[]")


def _encode_lines(values: Sequence[Struct | dict[str, Any]]) -> str:
    """Return the values with a comma and a line break between them; empty for no value."""
    # A sequence, since msgspec never lets go of an iterator that it was given.
    # No line break of a text is in the JSON as such, so each one is between two values.
    return _ENCODER.encode_lines(values).rstrip(b"\n").replace(b"\n", b",\n").decode()


def _encode_text(value: Struct | dict[str, Any] | Sequence[str]) -> str:
    return _ENCODER.encode(value).decode()


def encode_totals(totals: Totals, act: str) -> dict[str, int]:
    """Return the counts without the two outcomes of the other act, which are always 0."""
    foreign = {name.value for name in GOOD_OUTCOMES["restore" if act == "undeploy" else "undeploy"]}
    return {name: count for name, count in asdict(totals).items() if name not in foreign}


def _encode_group(value: GatewayReport | WaveReport, act: str) -> dict[str, Any]:
    return {**asdict(value), "totals": encode_totals(value.totals, act)}


def encode_run(run: RunReport) -> RunReport:
    """Return a run as report.json has it: times in UTC, seconds rounded."""
    ended = None if run.ended is None else _convert_to_utc(run.ended)
    return replace(
        run,
        window=None if run.window is None else _encode_window(run.window),
        sessions=tuple(map(_encode_session, run.sessions)),
        started=_convert_to_utc(run.started),
        ended=ended,
        seconds=round_to_milliseconds(run.seconds) or 0.0,
    )


def _encode_session(session: SessionReport) -> SessionReport:
    ended = None if session.ended is None else _convert_to_utc(session.ended)
    return replace(session, started=_convert_to_utc(session.started), ended=ended)


def _encode_window(window: WindowReport) -> WindowReport:
    opens = None if window.opens is None else _convert_to_utc(window.opens)
    return replace(
        window, opens=opens, closes=None if window.closes is None else _convert_to_utc(window.closes)
    )


def _encode_chained(each: ChainedRun) -> dict[str, Any]:
    return {**asdict(encode_run(each.run)), "totals": encode_totals(each.totals, each.run.act)}


def _round_percentiles(seconds: LatencyPercentiles) -> LatencyPercentiles:
    return LatencyPercentiles(
        p50=round_to_milliseconds(seconds.p50),
        p95=round_to_milliseconds(seconds.p95),
        p99=round_to_milliseconds(seconds.p99),
    )


def encode_target(target: TargetReport) -> dict[str, Any]:
    """Return a target as report.json has it."""
    return {
        "id": target.id,
        "gateway": target.gateway,
        "kind": target.kind,
        "wave": target.wave,
        **target.coordinates,
        "outcome": target.outcome,
        "reason": target.reason,
        "evidence": target.evidence,
        "seconds": round_to_milliseconds(target.seconds),
        "attempts": [_encode_attempt(attempt) for attempt in target.attempts],
    }


def _encode_attempt(attempt: AttemptReport) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": attempt.number,
        "act": attempt.act,
        "started": _convert_to_utc(attempt.started),
        "seconds": round_to_milliseconds(attempt.seconds),
        "status": attempt.status,
        "code": attempt.code,
        "message": attempt.message,
    }
    # Nearly all were sent, so the key is a mark of the others.
    return told if attempt.sent else told | {"sent": False}


def _convert_to_utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)
