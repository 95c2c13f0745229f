"""The marks of a run on the time axis of its report: sessions, waves, lanes, acts of operators, its stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from orchestrator.journal.database import Database
from orchestrator.journal.notes import decode_control, decode_wave_step
from orchestrator.journal.sessions import SessionRow, WorkingTime
from orchestrator.model.live_status import MarkKind, TimeMark

MOST_READ = 1000
"""The most notes of either sort that are read, the newest; a chart shows far fewer marks."""

# A lane that parks again and again, or an operator's program, must not push the waves and the end out.
_NEWEST = f"SELECT * FROM (SELECT * FROM note WHERE kind IN ({{}}) ORDER BY number DESC LIMIT {MOST_READ})"
_NOTES = f"""
SELECT session, at, gateway, kind, text FROM (
    {_NEWEST.format("'leg', 'closed', 'stopping'")} UNION ALL {_NEWEST.format("'parked', 'open', 'control'")}
) ORDER BY number
"""


def list_marks(
    database: Database,
    waves: Sequence[str],
    sessions: Sequence[SessionRow],
    working_times: Iterable[WorkingTime],
) -> tuple[TimeMark, ...]:
    """Return the marks in order. ``waves`` are the names of the plan's waves."""
    marks = [*_mark_sessions(sessions, working_times), *_mark_notes(database, waves)]
    return tuple(sorted(marks, key=attrgetter("at")))


def _mark_sessions(
    sessions: Sequence[SessionRow], working_times: Iterable[WorkingTime]
) -> Iterator[TimeMark]:
    """Yield where a session began behind another one, and where the window closed while one worked."""
    for place, (session, worked) in enumerate(zip(sessions, working_times, strict=True)):
        if place:
            yield TimeMark(at=session.started, kind="session", text=f"session {place + 1} begins")
        window = session.options.window if session.options else None
        closes = window.closes.timestamp() if window and window.closes else None
        if closes is not None and worked.started <= closes <= worked.started + worked.seconds:
            yield TimeMark(at=closes, kind="close", text="the window closes")


def _mark_notes(database: Database, waves: Sequence[str]) -> Iterator[TimeMark]:
    parked: set[tuple[int, str]] = set()
    wave = None
    for session, at, gateway, kind, text in database.rows(_NOTES):
        if kind == "leg":
            # The steps of a wave, and a session that goes on within one, begin no other wave.
            if wave != (wave := decode_wave_step(text).wave):
                yield TimeMark(at=at, kind="wave", text=f"wave {waves[wave]}")
        elif gateway is None:
            yield TimeMark(at=at, kind=_RUN_KINDS[kind], text=_RUN_WORDS[kind](text))
        elif kind != "open":
            parked.add((session, gateway))
            yield TimeMark(at=at, kind="park", text=f"{gateway} {kind}")
        elif (session, gateway) in parked:
            parked.discard((session, gateway))
            yield TimeMark(at=at, kind="park", text=f"{gateway} answers again")


def _describe_control(text: str) -> str:
    note = decode_control(text)
    return f"{note.by}: {note.act}" if note.by else note.act


_RUN_KINDS: dict[str, MarkKind] = {"control": "steer", "stopping": "stop"}
_RUN_WORDS: dict[str, Callable[[str], str]] = {
    "control": _describe_control,
    "stopping": "stopping: {}".format,
}
