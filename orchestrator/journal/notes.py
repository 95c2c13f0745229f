"""The notes of a journal: the events of lanes, and of the run as a whole, in order.

The text of a note is encoded and decoded here and nowhere else, whatever its kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import Struct, field

from orchestrator.errors import make_damage_error
from orchestrator.journal.database import Database
from orchestrator.model.outcome import PASSING, Reason
from orchestrator.model.plan import WaveStep
from orchestrator.text.characters import quote_text

LaneNote: TypeAlias = Literal["open", "paused", "parked", "closed"]
NoteKind: TypeAlias = (
    LaneNote | Literal["leg", "pace", "control", "request", "warning", "remark", "stopping", "taken"]
)
"""``leg`` says that a step of a wave began, ``request`` that a login or a page of a list was sent; a
``remark`` is on a gateway with which nothing is wrong, ``taken`` that results of another machine are here."""

_TEXTS = "SELECT text FROM note WHERE kind = ? AND text IS NOT NULL ORDER BY number"
_LAST_WAVE_STEP = "SELECT text FROM note WHERE kind = 'leg' ORDER BY number DESC LIMIT 1"
_SESSION_TEXTS = "SELECT text FROM note WHERE kind = ? AND session = ? AND text IS NOT NULL ORDER BY number"
_PACES_AND_CONTROLS = """
SELECT kind, gateway, text FROM note
WHERE kind = 'pace' OR kind = 'control' AND text IS NOT NULL ORDER BY number
"""
_CONTROLS = "SELECT at, text FROM note WHERE kind = 'control' AND text IS NOT NULL ORDER BY number"
_REQUESTS = "SELECT gateway, COUNT(*) FROM note WHERE kind = 'request' GROUP BY gateway"
_LANE = """
SELECT kind FROM note WHERE gateway = ? AND kind IN ('open', 'parked', 'closed')
AND session = (SELECT MAX(number) FROM session) ORDER BY number DESC LIMIT 1
"""
_PASSING = " OR ".join("later.text = ? AND instr(note.text, ?) = 1" for _ in PASSING)
_PASSING_VALUES = tuple(chain.from_iterable(PASSING.items()))
# What is over must not read as if it still were: a lane that was parked and is well again, and what an
# earlier session told and this one does not. Danger is never over.
_TOLD = f"""
    SELECT number, CASE
        WHEN kind = 'parked' AND EXISTS (
            SELECT 1 FROM note AS later
            WHERE later.number > note.number AND later.session = note.session
              AND later.gateway IS note.gateway AND later.kind = 'open'
        ) THEN 'was parked: ' || CASE WHEN text LIKE 'parked: %' THEN substr(text, 9) ELSE text END
            || '; answered again'
        WHEN kind = 'warning' AND gateway IS NULL AND EXISTS (
            SELECT 1 FROM note AS later
            WHERE later.number > note.number AND later.session = note.session AND later.gateway IS NULL
              AND later.kind = 'remark' AND ({_PASSING})
        ) THEN 'for a while: ' || CASE instr(text, ';') WHEN 0 THEN text
            ELSE substr(text, 1, instr(text, ';') - 1) END
        WHEN session < (SELECT MAX(number) FROM session) AND text NOT LIKE 'insecure:%' AND NOT EXISTS (
            SELECT 1 FROM note AS later
            WHERE later.session > note.session AND later.gateway IS note.gateway AND later.text = note.text
        ) THEN 'in session ' || session || ': ' || text
        ELSE text
    END AS told
    FROM note WHERE gateway IS ? AND kind IN ('warning', 'parked', 'closed') AND text IS NOT NULL
"""
MOST_WARNINGS = 20
"""The most warnings about a gateway, or about the run as a whole."""
# After many nights the warnings of the newest session must be among them: a person acts on those.
_WARNINGS = f"""
SELECT told FROM (
    SELECT told, MIN(number) AS place FROM ({_TOLD}) GROUP BY told
    ORDER BY told LIKE 'insecure:%' DESC, MAX(number) DESC LIMIT {MOST_WARNINGS}
) ORDER BY place
"""


class ControlNote(Struct, frozen=True, kw_only=True):
    """A command that a person gave to a live run: in words, by whom, and from where."""

    act: str = ""
    by: str = ""
    origin: str = ""
    """Host, process, terminal."""
    # Kept under the name that earlier journals have.
    command: msgspec.Raw = field(name="demand", default=msgspec.Raw(b"null"))
    """The command itself, as JSON in the words of the control socket."""


def encode_wave_step(wave_step: WaveStep) -> str:
    """Return the text of a ``leg``: the two indices."""
    return f"{wave_step.wave} {wave_step.step}"


def decode_wave_step(text: str) -> WaveStep:
    """Return the step of a wave that a ``leg`` names. Raises JournalError for a text that is none."""
    with _refuse_strange("leg", text):
        wave, step = map(int, text.split())
    return WaveStep(wave, step)


@contextmanager
def _refuse_strange(kind: NoteKind, text: str) -> Iterator[None]:
    """Turn the error of a text that the program cannot have written into JournalError."""
    try:
        yield
    except ValueError as error:
        raise make_damage_error(f"the note `{kind}` cannot be read: {quote_text(text)}") from error


def encode_taken(workflow: str, dispatch: int, segments: int) -> str:
    """Return the text of a ``taken``: the lane's workflow, the dispatch, and how many of its segments."""
    return f"{workflow} {dispatch} {segments}"


class PaceNote(NamedTuple):
    """The bound of one lane from a moment on: that of the gateway, or that of a person if it is lower."""

    gateway: str
    rate: float | None
    """Undeploys a second; None where nothing bounds the lane."""


def encode_pace(rate: float | None) -> str | None:
    """Return the text of a ``pace``: undeploys a second; None where nothing bounds the lane any more."""
    return None if rate is None else f"{rate:.6g}"


def encode_control(note: ControlNote) -> str:
    """Return the text of a ``control``."""
    return msgspec.json.encode(note).decode()


def decode_control(text: str) -> ControlNote:
    """Return the command in a ``control``. A text that is no JSON is the act in words."""
    try:
        return msgspec.json.decode(text, type=ControlNote)
    except (msgspec.DecodeError, UnicodeError):
        return ControlNote(act=text)


def list_begun(database: Database) -> Iterator[WaveStep]:
    """Yield the steps of waves that have begun."""
    return (decode_wave_step(text) for (text,) in database.rows(_TEXTS, ("leg",)))


def list_begun_in(database: Database, session: int) -> Iterator[WaveStep]:
    """Yield the steps of waves that have begun in a session."""
    texts = database.rows(_SESSION_TEXTS, ("leg", session))
    return (decode_wave_step(text) for (text,) in texts)


def read_taken(database: Database, session: int) -> dict[tuple[str, int], int]:
    """Return how many segments of a session's chunks are in the journal, by workflow and dispatch."""
    taken: dict[tuple[str, int], int] = {}
    for (text,) in database.rows(_SESSION_TEXTS, ("taken", session)):
        with _refuse_strange("taken", text):
            workflow, dispatch, segments = text.rsplit(" ", 2)
            taken[workflow, int(dispatch)] = int(segments)
    return taken


def has_heard_engine(database: Database, session: int) -> bool:
    """Return whether anything of another machine's work on a session is in the journal."""
    query = "SELECT EXISTS (SELECT 1 FROM note WHERE session = ? AND kind IN ('leg', 'taken'))"
    return bool(database.one(query, (session,))[0])


def read_stop_rule(database: Database, session: int) -> str | None:
    """Return the stop rule that has fired in a session, with its ``Reason``; None if none has.

    The end of a session may not name it: a killed one has no end, and an interrupt names itself.
    """
    texts = database.rows(_SESSION_TEXTS, ("stopping", session))
    return next((text for (text,) in texts if text.startswith(f"{Reason.STOP_RULE}:")), None)


def read_last_begun(database: Database) -> WaveStep | None:
    """Return the step of a wave that began last; None before the first one."""
    return next((decode_wave_step(text) for (text,) in database.rows(_LAST_WAVE_STEP)), None)


def list_paces_and_controls(database: Database) -> Iterator[PaceNote | ControlNote]:
    """Yield the bounds of the lanes and the commands that people gave to the run, the oldest first."""
    for kind, gateway, text in database.rows(_PACES_AND_CONTROLS):
        if kind == "control":
            yield decode_control(text)
        else:
            yield PaceNote(gateway, None if text is None else _decode_pace(text))


def _decode_pace(text: str) -> float:
    with _refuse_strange("pace", text):
        rate = float(text)
        if not 0 < rate < math.inf:
            raise ValueError(text)
    return rate


def list_controls(database: Database) -> Iterator[tuple[float, ControlNote]]:
    """Yield the commands that people gave to the run, each with its Unix time."""
    return ((at, decode_control(text)) for at, text in database.rows(_CONTROLS))


def count_requests(database: Database) -> dict[str, int]:
    """Count the requests that belong to no single target, by the gateway's name."""
    return dict(database.rows(_REQUESTS))


def read_lane(database: Database, gateway: str) -> Literal["open", "parked", "closed"]:
    """Return how the lane of a gateway stood last, in the newest session."""
    kind = next((kind for (kind,) in database.rows(_LANE, (gateway,))), "open")
    return cast("Literal['open', 'parked', 'closed']", kind)


def list_warnings(database: Database, gateway: str | None) -> tuple[str, ...]:
    """Return the warnings about a gateway, each text once, in the order of their first notes.

    None: those about the run as a whole. Of more than ``MOST_WARNINGS`` the oldest are left out, but never
    one about a verification that is switched off.
    """
    return tuple(text for (text,) in database.rows(_WARNINGS, (*_PASSING_VALUES, gateway)))
