"""The targets of a run with their attempts, as a stream: a journal may hold more than fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from orchestrator.journal.database import Database, Row
from orchestrator.journal.ended import EVERY
from orchestrator.journal.schema import API_NAME
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.model.reading import Act
from orchestrator.model.target_id import decode_parts
from orchestrator.report.values import AttemptReport, TargetReport

_TARGETS = """
SELECT seq, id, gateway, wave, outcome, reason, evidence, seconds, {name}
FROM ended WHERE {where} ORDER BY seq
"""
_ATTEMPTS = (
    "SELECT seq, number, act, started, seconds, status, code, message, sent IS NOT 0 FROM attempt{only}"
    " ORDER BY seq, number"
)
# An enum's own look-up by value takes five times as long, once a target and once an attempt.
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_ACTS = {act.value: act for act in Act}
_ONLY = " WHERE seq IN (SELECT seq FROM ended WHERE {where})"


def stream_targets(database: Database, plan: Plan, where: str = EVERY) -> Iterator[TargetReport]:
    """Yield the targets that meet a condition on the view ``ended``, in the plan's order."""
    places = [(gateway.name, gateway.KIND, _list_coordinates(gateway)) for gateway in plan.gateways]
    waves = [wave.name for wave in plan.waves]
    attempts = _AttemptStream(database, where)
    query = _TARGETS.format(where=where, name=API_NAME.format(seq="ended.seq"))
    for seq, name, gateway, wave, outcome, *rest in database.rows(query):
        reason, evidence, seconds, known_as = rest
        gateway_name, kind, coordinates = places[gateway]
        yield TargetReport(
            id=name,
            gateway=gateway_name,
            kind=kind,
            wave=waves[wave],
            coordinates=dict(zip(coordinates, decode_parts(name), strict=True)),
            outcome=_OUTCOMES[outcome],
            reason=reason,
            evidence=evidence,
            seconds=seconds,
            attempts=attempts.read(seq),
            name=known_as,
        )


def _list_coordinates(gateway: Gateway) -> tuple[str, ...]:
    return tuple(part.name for part in gateway.COORDINATES)


class _AttemptStream:
    """The attempts of a stream of targets, read alongside: both come in the order of ``seq``."""

    def __init__(self, database: Database, where: str) -> None:
        only = "" if where == EVERY else _ONLY.format(where=where)
        self._rows = database.rows(_ATTEMPTS.format(only=only))
        self._next: Row | None = next(self._rows, None)

    def read(self, seq: int) -> tuple[AttemptReport, ...]:
        """Return the attempts of the target, which comes after every target that was read before."""
        found: list[AttemptReport] = []
        while self._next is not None and self._next[0] <= seq:
            if self._next[0] == seq:
                found.append(_decode_attempt(self._next))
            self._next = next(self._rows, None)
        return tuple(found)


def _decode_attempt(row: Row) -> AttemptReport:
    _, number, act, started, seconds, status, code, message, sent = row
    return AttemptReport(
        number=number,
        act=_ACTS[act],
        started=datetime.fromtimestamp(started, UTC),
        seconds=seconds,
        status=status,
        code=code,
        message=message,
        sent=bool(sent),
    )
