"""The rows that the engine writes while a run goes on: intents, results, outcomes, notes and sessions.

``decode_reading`` makes a reading again from the row of its result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from orchestrator.journal.cells import JsonCells
from orchestrator.journal.ledger import NOTE, OUTCOME, SESSION, SESSION_END, SNAPSHOT, USAGE
from orchestrator.journal.notes import (
    ControlNote,
    NoteKind,
    encode_control,
    encode_pace,
    encode_taken,
    encode_wave_step,
)
from orchestrator.journal.schema import INSERT_INTENT, OPEN_OUTCOME, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.journal.sessions import SessionOptions
from orchestrator.model.http import Lost, Reply
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage
from orchestrator.rules.retry import TargetEnd

if TYPE_CHECKING:
    # The writer needs asyncio, and commands that only read a journal start without it.
    from orchestrator.journal.database import Database, Value
    from orchestrator.journal.writer import RowSink

# A snapshot of an earlier session stays if a later session could see nothing.
_SNAPSHOT = f"""
INSERT INTO snapshot (seq, taken, verdict, value) VALUES (?, ?, ?, ?)
ON CONFLICT (seq) DO UPDATE SET taken = excluded.taken, verdict = excluded.verdict, value = excluded.value
WHERE excluded.verdict NOT IN ('unclear', 'not_offered') OR snapshot.verdict IN ('unclear', 'not_offered')
{SNAPSHOT.returning}
"""
_USAGE = f"INSERT OR REPLACE INTO usage (seq, taken, calls, value) VALUES (?, ?, ?, ?){USAGE.returning}"
_NOTE = f"INSERT INTO note (session, at, gateway, kind, text) VALUES (?, ?, ?, ?, ?){NOTE.returning}"
_BEGIN = f"INSERT INTO session (number, started, holder, options) VALUES (?, ?, ?, ?){SESSION.returning}"
_FINISH = (
    "UPDATE session SET ended = ?, state = ?, stopped_by = ?, exit_status = ?, seconds = ? WHERE number = ?"
    f"{SESSION_END.returning}"
)
_LEAVE = (
    "UPDATE target SET outcome = 'not_started', reason = ?, ended = ? WHERE seq = ? AND outcome IS NULL"
    f"{OUTCOME.returning}"
)
_REST = (
    f"UPDATE target SET outcome = {OPEN_OUTCOME}, reason = ?, ended = ?"
    " WHERE outcome IS NULL{only} AND seq > ? AND seq <= ?"
)
_REST_OF_ALL = f"{_REST.format(only='')}{OUTCOME.returning}"
_REST_OF_GATEWAY = f"{_REST.format(only=' AND gateway = ?')}{OUTCOME.returning}"
IN_PARTS = frozenset((_REST_OF_ALL, _REST_OF_GATEWAY))
"""The statements that may change any number of targets: see ``Database.change_in_parts``."""


def insert_session(
    database: Database, number: int, *, at: float, holder: str, options: SessionOptions
) -> None:
    """Insert a session that another machine began. Call it inside a transaction."""
    database.change(_BEGIN, (number, at, holder, options.encode()))


_SESSION_NOTE = "note"

TRANSFERRED = MappingProxyType(
    {
        "intent": INSERT_INTENT,
        "result": UPDATE_RESULT,
        "outcome": UPDATE_OUTCOME,
        "snapshot": _SNAPSHOT,
        "usage": _USAGE,
        _SESSION_NOTE: _NOTE,
    }
)
"""The statements whose rows may come from another machine, under the names by which they travel."""


class SessionRecord:
    """Writes the rows of one session. Times are Unix seconds."""

    def __init__(self, writing: RowSink, session: int) -> None:
        self._writing = writing
        self.session = session

    async def begin(self, at: float, holder: str, options: SessionOptions) -> None:
        """Write that this session began; durable when this method returns."""
        await self._writing.write(_BEGIN, (self.session, at, holder, options.encode()))

    def keep_intent(self, target: Target, number: int, operation: Operation, at: float) -> Awaitable[None]:
        """Write that a request is about to leave. It may leave only once the result is ready.

        To wait for that raises DiskError where the write failed: then the intent is not in the journal.
        """
        # The request waits for the disk here. That is what leaves at most one doubt a worker after a kill.
        return self._writing.write(INSERT_INTENT, (target.seq, number, str(operation.act), operation.via, at))

    def keep_result(
        self,
        target: Target,
        number: int,
        answer: Reply | Lost,
        reading: Reading,
        *,
        seconds: float,
    ) -> None:
        """Write the result of a request; durable before the next intent of this worker."""
        status, sent = (None, answer.sent) if isinstance(answer, Lost) else (answer.status, True)
        pods = _encode_pods(reading) if reading.pods or reading.pod_count else None
        values = (
            seconds,
            status,
            _replace_surrogates(reading.code),
            _replace_surrogates(reading.message),
            reading.verdict.value,
            sent,
        )
        # No caller waits: a lost result leaves an intent without one, and a resume looks at that target.
        self._writing.post(UPDATE_RESULT, (*values, pods, target.seq, number))

    def keep_snapshot(self, target: Target, snapshot: Snapshot, at: float) -> None:
        """Write the snapshot of a target; durable before the next intent of this worker."""
        value = _replace_surrogates(msgspec.json.encode(snapshot).decode())
        self._writing.post(_SNAPSHOT, (target.seq, at, snapshot.verdict.value, value))

    def keep_usage(self, target: Target, usage: Usage, at: float) -> None:
        """Write how much a target is used; durable before the next intent of this worker."""
        value = _replace_surrogates(msgspec.json.encode(usage).decode())
        self._writing.post(_USAGE, (target.seq, at, usage.calls, value))

    def keep_outcome(self, target: Target, end: TargetEnd, *, seconds: float, at: float) -> None:
        """Write the outcome of a target."""
        self._writing.post(
            UPDATE_OUTCOME,
            (str(end.outcome), _replace_surrogates(end.reason), end.evidence, seconds, at, target.seq),
        )

    def keep_wave_step(self, at: float, wave_step: WaveStep) -> None:
        """Write that a step of a wave began."""
        self.keep_note(at, "leg", text=encode_wave_step(wave_step))

    def keep_pace(self, at: float, gateway: str, rate: float | None) -> None:
        """Write the bound of a lane, in undeploys a second; None says that the bound is gone."""
        self.keep_note(at, "pace", gateway=gateway, text=encode_pace(rate))

    def keep_control(self, at: float, note: ControlNote) -> None:
        """Write a command that a person gave to the run."""
        self.keep_note(at, "control", text=encode_control(note))

    def keep_note(
        self, at: float, kind: NoteKind, *, gateway: str | None = None, text: str | None = None
    ) -> None:
        """Write an event of a lane, or of the run as a whole."""
        self._writing.post(_NOTE, (self.session, at, gateway, kind, _replace_surrogates(text)))

    def keep_taken(self, at: float, workflow: str, dispatch: int, segments: int) -> None:
        """Write that the first ``segments`` segments of a chunk's results are in the journal."""
        self.keep_note(at, "taken", text=encode_taken(workflow, dispatch, segments))

    def take_over(self, rows: Iterable[tuple[str, tuple[Value, ...]]]) -> None:
        """Write rows of another machine: each is the name of a statement in ``TRANSFERRED``, and its values.

        Raises KeyError for another statement.
        """
        for name, values in rows:
            # The other machine has a session of its own.
            own = (self.session, *values[1:]) if name == _SESSION_NOTE else tuple(values)
            self._writing.post(TRANSFERRED[name], own)

    def leave_target(self, seq: int, reason: str, at: float) -> None:
        """End an open target for which nothing was sent."""
        self._writing.post(_LEAVE, (_replace_surrogates(reason), at, seq))

    def leave_rest(self, reason: str, at: float, *, gateway: int | None = None) -> None:
        """End the open targets of one gateway (its index) or of all.

        They are ``not_started``, or ``unknown`` if an earlier session left a doubt.
        """
        if gateway is None:
            self._writing.post(_REST_OF_ALL, (_replace_surrogates(reason), at))
        else:
            self._writing.post(_REST_OF_GATEWAY, (_replace_surrogates(reason), at, gateway))

    async def finish(
        self, at: float, *, state: str, stopped_by: str | None, exit_status: int, seconds: float
    ) -> None:
        """Write how this session ended; all rows are durable when this method returns."""
        await self._writing.write(
            _FINISH, (at, state, _replace_surrogates(stopped_by), exit_status, seconds, self.session)
        )

    async def flush(self) -> None:
        """Return once all rows are on disk."""
        await self._writing.flush()


class _StoredPods(Struct, frozen=True, array_like=True):
    """The pods that a reply named, as a row of ``attempt`` has them; numbers may be missing at the end."""

    names: tuple[str, ...] = ()
    count: int = 0
    more: int = 0


_PODS = JsonCells("the pods of an attempt", _StoredPods)


def _encode_pods(reading: Reading) -> str:
    if not (reading.pods or reading.more_pods):
        return f"[[],{reading.pod_count}]"  # a full success names no pod, and nearly all replies are one
    counts = (reading.pod_count, reading.more_pods) if reading.more_pods else (reading.pod_count,)
    return msgspec.json.encode((list(map(_replace_surrogates, reading.pods)), *counts)).decode()


def _replace_surrogates(text: str | None) -> str | None:
    """Return a text that can be stored: a vendor's JSON may hold half a surrogate pair, which cannot."""
    return text if text is None else text.encode("utf-8", "replace").decode()


def decode_reading(
    act: Act, code: str | None, message: str | None, verdict: str | None, pods: str | None, *, evidence: str
) -> Reading | None:
    """Return the reading in a row of ``attempt``; None if the intent has no result.

    ``evidence`` is the gateway's own word for its proof: a reply that named pods has proved something.
    """
    if verdict is None:
        return None
    found = _PODS.decode(pods) if pods else _StoredPods()
    return Reading(
        verdict=Verdict(verdict),
        code=code,
        message=message,
        evidence=evidence if found.names and act is not Act.LOOK else None,
        pods=found.names,
        more_pods=found.more,
        pod_count=found.count,
    )
