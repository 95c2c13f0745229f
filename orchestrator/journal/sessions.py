"""The sessions of a run: one row for each time that a process worked on it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.journal.database import Database
from orchestrator.journal.holder import LockHolder
from orchestrator.model.plan import Window
from orchestrator.rules.exit_status import EndState

_ROWS = """
SELECT number, started, ended, holder, options, state, stopped_by, exit_status, seconds
FROM session ORDER BY number
"""


class SessionOptions(Struct, frozen=True, kw_only=True):
    """The options of one session on the command line, and the window that the session had."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    window: Window | None = None
    window_from: Literal["plan", "option"] | None = None
    """None in journals of older programs, which did not keep it."""
    engine: str | None = None
    """The address of the distributed engine that worked; None: the process itself did."""
    engine_options: str | None = None
    """The options of a command that reaches that engine, as a shell takes them; None in older journals."""

    @property
    def to_engine(self) -> str | None:
        """The options of a command that reaches the engine; None if the process itself worked."""
        return None if self.engine is None else self.engine_options or f"--on {self.engine}"

    def encode(self) -> str:
        """Return the options as they stand in their row."""
        keys = asdict(self)
        if self.engine_options is None:
            del keys["engine_options"]
        return msgspec.json.encode(keys).decode()


class SessionRow(NamedTuple):
    """One session. Instants are Unix seconds; a session that was killed, or that still works, has no end."""

    number: int
    started: float
    ended: float | None
    holder: LockHolder
    """The process that worked; all None where that cannot be read."""
    options: SessionOptions | None
    """None where they cannot be read."""
    state: EndState | None
    stopped_by: str | None
    exit_status: int | None
    seconds: float | None
    """How long it worked."""


def read_sessions(database: Database) -> list[SessionRow]:
    """Return the sessions of a run, the oldest first."""
    return [
        SessionRow(number, started, ended, _decode_holder(holder), _decode_options(options), *end)
        for number, started, ended, holder, options, *end in database.rows(_ROWS)
    ]


def _decode_holder(text: str) -> LockHolder:
    try:
        return msgspec.json.decode(text, type=LockHolder)
    except (msgspec.DecodeError, UnicodeError):
        return LockHolder()


def _decode_options(text: str) -> SessionOptions | None:
    try:
        return msgspec.json.decode(text, type=SessionOptions)
    except (msgspec.DecodeError, UnicodeError):
        return None


class WorkingTime(NamedTuple):
    """When a session began, when the next one did, and how long it worked, in seconds."""

    started: float
    following: float
    seconds: float


_LAST_SIGN = "SELECT MAX(started + COALESCE(seconds, 0)) FROM attempt WHERE started >= ? AND started < ?"
_UNTIL_LAST_END = (
    "SELECT MAX(0.0, COALESCE((SELECT MAX(ended) FROM target WHERE ended >= started AND ended < ?2), started)"
    " - started) FROM session WHERE number = ?1"
)
_FAR = 1e12
"""Unix seconds that no session begins after."""


def measure_sessions(database: Database, sessions: Sequence[SessionRow]) -> list[WorkingTime]:
    """Return how long each session worked. A session that was killed worked until its last sign of life."""
    starts = [*(session.started for session in sessions), _FAR]
    return [
        WorkingTime(started, following, _measure(database, session, following))
        for session, (started, following) in zip(sessions, pairwise(starts), strict=True)
    ]


def measure_until_last_end(database: Database, session: int, before: float) -> float:
    """Return the seconds from a session's beginning to the last end of a target ``before`` a Unix time."""
    seconds: float = database.one(_UNTIL_LAST_END, (session, before))[0]
    return seconds


def _measure(database: Database, session: SessionRow, following: float) -> float:
    if session.seconds is not None:
        return session.seconds
    last_sign = database.one(_LAST_SIGN, (session.started, following))[0]
    return max(0.0, (last_sign or session.started) - session.started)
