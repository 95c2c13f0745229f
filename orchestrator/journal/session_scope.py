"""The scope of a session: which targets are open in it, and in which steps they go.

Each function changes rows, before the session's first request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from orchestrator.journal.database import Database
from orchestrator.journal.ended import KILLED
from orchestrator.journal.ledger import OUTCOME
from orchestrator.journal.schema import KEPT, OPEN_OUTCOME, WORD
from orchestrator.model.outcome import Reason

_PROVISIONAL = (
    "SELECT seq, id, wave FROM target WHERE outcome IN ('unknown', 'not_started')"
    f" AND NOT (outcome = 'not_started' AND {WORD} IN {KEPT})"
)
_REOPEN = (
    "UPDATE target SET outcome = NULL, reason = NULL, evidence = NULL, seconds = NULL, ended = NULL"
    f" WHERE seq = ?{OUTCOME.returning}"
)
_HOLD = f"UPDATE target SET outcome = {OPEN_OUTCOME}, reason = ? WHERE seq = ?{OUTCOME.returning}"
_BEYOND = """
UPDATE target SET step = ?1 WHERE seq IN (
    SELECT seq FROM target WHERE wave = ?2 AND outcome IS NULL ORDER BY depth, seq LIMIT -1 OFFSET ?3
)
"""
_LEFT_UP = (
    "SELECT seq, id FROM target JOIN touched_again USING (id) WHERE outcome IN ('unknown', 'not_started')"
)
_TELL_LEFT_UP = (
    "UPDATE target SET reason = ? || COALESCE(reason, outcome)"
    f" WHERE seq = ? AND COALESCE(reason, '') NOT LIKE 'left up, since %'{OUTCOME.returning}"
)
_END_OPEN = (
    f"UPDATE target SET outcome = {OPEN_OUTCOME}, reason = ?"
    f" WHERE outcome IS NULL AND seq > ? AND seq <= ?{OUTCOME.returning}"
)


class HoldRule(Struct, frozen=True):
    """A rule that keeps targets out of a run: the word of the reason, and the test."""

    word: Reason
    test: Callable[[str, int], str | None]
    """Takes a target's id and the index of its wave; returns the pattern that matches, else None."""


def hold_back(database: Database, holds: Iterable[HoldRule]) -> int:
    """Give each open target that a rule matches its outcome; the first rule that matches counts.

    A target that an undeploy of an earlier session may have reached stays in doubt. Returns the number of
    targets that were held back. Call it inside a transaction.
    """
    holds = list(holds)
    if not holds:
        return 0
    rows: list[tuple[str, int]] = []
    for seq, name, wave in database.rows("SELECT seq, id, wave FROM target WHERE outcome IS NULL"):
        for hold in holds:
            why = hold.test(name, wave)
            if why is not None:
                rows.append((f"{hold.word}: {why}", seq))
                break
    for row in rows:
        database.change(_HOLD, row)
    return len(rows)


def split_into_steps(database: Database, sizes: Iterable[tuple[int, Callable[[int], Iterable[int]]]]) -> None:
    """Split waves into steps.

    ``sizes`` gives the index of a wave, and the function that returns the bounds of its steps for a number of
    open targets. No target comes in an earlier step than one that it waits for.
    """
    with database.transaction():
        for wave, bounds_of in sizes:
            count = database.one("SELECT COUNT(*) FROM target WHERE wave = ? AND outcome IS NULL", (wave,))[0]
            for step, bound in enumerate(bounds_of(count)):
                database.run(_BEYOND, (step + 1, wave, bound))


def end_open(database: Database, reason: str) -> None:
    """Give an outcome to the targets that a session left without one. Call it inside a transaction."""
    database.change_in_parts(_END_OPEN, (reason,))


def reopen(database: Database, wanted: Callable[[str, int], bool]) -> int:
    """Open again the ``wanted`` targets whose outcome is provisional, and return their number.

    ``wanted`` takes a target's id and the index of its wave. A target that a killed session left open first
    gets an outcome that says so. A target that was held back stays so. Call it inside a transaction.
    """
    end_open(database, KILLED)
    again = [(seq,) for seq, name, wave in database.rows(_PROVISIONAL) if wanted(name, wave)]
    for row in again:
        database.change(_REOPEN, row)
    return len(again)


def leave_up(database: Database, restore: str) -> frozenset[str]:
    """Return the ids of the unfinished targets in ``touched_again``, which a resume leaves alone.

    A target that got no outcome in the session before gets one now. Its reason names the ``restore``. Call it
    inside a transaction.
    """
    end_open(database, KILLED)
    rows = list(database.rows(_LEFT_UP))
    told = f"left up, since restore {restore} brought it back or may have; before that "
    for seq, _ in rows:
        database.change(_TELL_LEFT_UP, (told, seq))
    return frozenset(name for _, name in rows)
