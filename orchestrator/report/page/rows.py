"""The targets as the page's script reads them: compact JSON, each text once, safe in a script element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any

from msgspec.json import Encoder

from orchestrator.model.outcome import DONE
from orchestrator.report.counts import count_done
from orchestrator.report.values import AttemptReport, ReportSource, TargetReport, round_to_milliseconds

_ENCODER = Encoder()


def choose_targets(source: ReportSource, cap: int) -> tuple[Iterable[TargetReport], int, int]:
    """Choose the targets to embed. Return them, their number, and how many of them are not down.

    Up to ``cap`` targets are all embedded, in the plan's order. Of more targets, those that are not down come
    first.
    """
    totals = source.report.totals
    trouble = totals.targets - count_done(totals)
    if totals.targets <= cap:
        return source.targets(), totals.targets, trouble
    fine = (target for target in source.targets() if target.outcome in DONE)
    return islice(chain(source.trouble(), fine), cap), cap, min(trouble, cap)


def encode_document(targets: Iterable[TargetReport], started: datetime) -> Iterator[str]:
    """Yield the JSON, a target at a time. ``rows`` refer to ``texts`` by index.

    A row is ``[id, gateway, wave, outcome, reason, evidence, seconds, attempts]``, an attempt
    ``[act, milliseconds after the run's start, seconds, status, code, message]``.
    """
    # Thousands of targets share a gateway, a wave and often a reason: each text stands in the page once.
    texts: dict[str, int] = {}
    separator = ""
    yield f'{{"start":{round(started.timestamp() * 1000)},"rows":[\n'
    for target in targets:
        yield separator + encode_for_script(_build_row(target, texts, started))
        separator = ",\n"
    yield f'\n],"texts":{encode_for_script(list(texts))}}}'


def encode_for_script(value: object) -> str:
    """Encode ``value`` so that nothing in it can end the script element or open a comment in it."""
    return _ENCODER.encode(value).decode().replace("<", "\\u003c")


def _build_row(target: TargetReport, texts: dict[str, int], started: datetime) -> list[Any]:
    return [
        target.id,
        _index_text(target.gateway, texts),
        _index_text(target.wave, texts),
        _index_text(target.outcome.value, texts),
        _index_text(target.reason, texts),
        _index_text(target.evidence, texts),
        round_to_milliseconds(target.seconds),
        [_build_attempt(attempt, texts, started) for attempt in target.attempts],
    ]


def _build_attempt(attempt: AttemptReport, texts: dict[str, int], started: datetime) -> list[Any]:
    return [
        _index_text(attempt.act.value, texts),
        round((attempt.started - started).total_seconds() * 1000),
        round_to_milliseconds(attempt.seconds),
        attempt.status,
        _index_text(attempt.code, texts),
        _index_text(attempt.message, texts),
    ]


def _index_text(text: str | None, texts: dict[str, int]) -> int | None:
    return None if text is None else texts.setdefault(text, len(texts))
