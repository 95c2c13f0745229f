"""A journal as a report's source: counts by query, targets as a stream."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise, starmap
from typing import Any, Literal, NamedTuple, cast

import msgspec
from msgspec import Struct

from orchestrator.gateways import KINDS
from orchestrator.journal.database import Database, Row
from orchestrator.journal.pending import KEPT, WORD, parts_of
from orchestrator.journal.restores import Restore, brings_back, gather_up, told_by
from orchestrator.journal.schema import OPEN_OUTCOME
from orchestrator.journal.taken import still_down, way_back
from orchestrator.model.globs import matcher
from orchestrator.model.outcome import DONE, Outcome, Reason
from orchestrator.model.plan import Plan, RunId, Window
from orchestrator.model.reading import Act
from orchestrator.plan.stored import plan_from_json
from orchestrator.report.values import (
    ApprovalMethod,
    ApprovalReport,
    ApprovedState,
    AttemptReport,
    ControlReport,
    GatewayReport,
    LatencyPercentiles,
    PaceTimeline,
    Report,
    RestoredTarget,
    RestoreReport,
    RunApproval,
    RunReport,
    RunTimeline,
    SessionReport,
    TargetRecord,
    TargetReport,
    Totals,
    WaveReport,
    WindowReport,
)

_ENDED = """
CREATE TEMP VIEW ended AS SELECT seq, id, gateway, wave, evidence, seconds, ended,
    COALESCE(outcome, {open_outcome}) AS outcome,
    CASE WHEN outcome IS NULL THEN {reason} ELSE reason END AS reason
FROM target
"""
_REQUESTS = """
SELECT gateway, wave, SUM(requests), SUM(MAX(undeploys - 1, 0)) FROM (
    SELECT seq, COUNT(*) AS requests, SUM(act <> 'look') AS undeploys
    FROM attempt WHERE sent IS NOT 0 GROUP BY seq
) JOIN target USING (seq) GROUP BY gateway, wave
"""
# What happened between ?1 and ?2, the starts of a session and of the next one, by bucket: ?3 is how long the
# session worked, ?4 how long those before it did, ?5 the width of a bucket, ?6 the index of the last one.
_BUCKET = "MIN(CAST((?4 + MIN({0} - ?1, ?3)) / ?5 AS INTEGER), ?6)"
_BETWEEN = "{0} >= ?1 AND {0} < ?2"
_ENDED_BY_BUCKET = f"""
SELECT {_BUCKET.format("ended")}, outcome, COUNT(*) FROM ended WHERE {_BETWEEN.format("ended")} GROUP BY 1, 2
"""
_SENT_BY_BUCKET = f"""
SELECT {_BUCKET.format("started")}, COUNT(*) FROM attempt
WHERE sent IS NOT 0 AND {_BETWEEN.format("started")} GROUP BY 1
"""
# The gateways whose pace is worth a curve, by index and by name.
_REFUSING = """
SELECT DISTINCT t.gateway FROM attempt AS a JOIN target AS t USING (seq)
WHERE a.verdict = 'busy' AND a.act <> 'look'
"""
_BOUND = "SELECT DISTINCT gateway FROM note WHERE kind = 'pace' AND text IS NOT NULL"
_LAST_BOUNDS = f"""
SELECT {_BUCKET.format("at")}, CAST(text AS REAL), MAX(number) FROM note
WHERE kind = 'pace' AND gateway = ?7 AND {_BETWEEN.format("at")} GROUP BY 1
"""
# Starts and ends of the requests to gateway ?7 by bucket: how many, the sum of their instants, and how many
# of them were an undeploy (that was refused). What has no end lasted as long as its session.
_PLACED = "?4 + MIN({0} - ?1, ?3)"
_STARTS = f"""
SELECT {_BUCKET.format("a.started")}, COUNT(*), SUM({_PLACED.format("a.started")}), SUM(a.act <> 'look')
FROM attempt AS a JOIN target AS t USING (seq)
WHERE t.gateway = ?7 AND a.sent IS NOT 0 AND {_BETWEEN.format("a.started")} GROUP BY 1
"""
_END = "a.started + COALESCE(a.seconds, ?3)"
_ENDS = f"""
SELECT {_BUCKET.format(_END)}, COUNT(*), SUM({_PLACED.format(_END)}),
    SUM(a.act <> 'look' AND a.verdict IS 'busy')
FROM attempt AS a JOIN target AS t USING (seq)
WHERE t.gateway = ?7 AND a.sent IS NOT 0 AND {_BETWEEN.format("a.started")} GROUP BY 1
"""
_LATENCIES = """
SELECT a.seconds FROM attempt AS a JOIN target AS t USING (seq)
WHERE t.gateway = ? AND a.act <> 'look' AND a.status IS NOT NULL ORDER BY a.seconds
"""
_KEPT_OUT = f"""
SELECT {WORD}, COUNT(*) FROM target WHERE outcome = 'not_started' AND {WORD} IN {KEPT} GROUP BY 1 ORDER BY 1
"""
_DEPENDENT = f"SELECT COUNT(*) FROM target WHERE outcome = 'not_started' AND {WORD} = '{Reason.DEPENDENCY}'"
_CUT_OFF = f"SELECT COUNT(*) FROM target WHERE outcome = 'not_started' AND {WORD} = '{Reason.WINDOW}'"
_SNAPSHOTS = "SELECT COUNT(*) FROM snapshot WHERE verdict NOT IN ('unclear', 'not_offered')"
_LEFT_OUT = (
    f"SELECT DISTINCT reason FROM target WHERE outcome = 'not_started' AND {WORD} = '{Reason.SKIPPED}'"
)
_ACCEPT = re.compile(r"--accept ([a-z-]+)")
_CONTROLS = "SELECT at, text FROM note WHERE kind = 'control' AND text IS NOT NULL ORDER BY number"
# A lane that was parked and is well again must not read as if it still were.
_WARNINGS = """
SELECT told FROM (
    SELECT number, CASE
        WHEN kind = 'parked' AND EXISTS (
            SELECT 1 FROM note AS later
            WHERE later.number > note.number AND later.session = note.session
              AND later.gateway = note.gateway AND later.kind = 'open'
        ) THEN 'was parked: ' || CASE WHEN text LIKE 'parked: %' THEN substr(text, 9) ELSE text END
            || '; answered again'
        ELSE text
    END AS told
    FROM note WHERE gateway = ? AND kind IN ('warning', 'parked', 'closed') AND text IS NOT NULL
) GROUP BY told ORDER BY MIN(number) LIMIT 20
"""
_UP_AGAIN = "SELECT outcome, COUNT(*) FROM ended JOIN up_again USING (id) GROUP BY outcome"
_BESIDES = "SELECT gateway, COUNT(*) FROM note WHERE kind = 'request' GROUP BY gateway"
_TROUBLE = f"outcome NOT IN ({', '.join(repr(str(outcome)) for outcome in sorted(DONE))})"

_HELD = "SELECT started, ended, exit_status, holder FROM session ORDER BY number"

_LEG = "SELECT text FROM note WHERE kind = 'leg' ORDER BY number DESC LIMIT 1"
MOST_NAMED = 20
"""So many targets are named where a text means several."""

_KILLED = f"{Reason.INTERRUPT}: the run was killed"

_FAR = 1e12
"""Unix seconds that no session begins after."""


class _Session(NamedTuple):
    """When a session began, when the next one did, and how long it worked, in seconds."""

    started: float
    following: float
    seconds: float


class Ending(NamedTuple):
    """How the newest session ended, in the words of its own process: the journal could not be told."""

    state: Literal["stopped", "interrupted"]
    reason: str
    exit_status: int


class JournalReportSource:
    """Satisfies ``report.values.Account``. ``held`` says whether a process works on the run now.

    ``ending`` stands in for the end of the newest session where the journal has none.
    """

    def __init__(
        self,
        database: Database,
        run: RunId,
        *,
        held: bool,
        ending: Ending | None = None,
        restores: Iterable[Restore] = (),
    ) -> None:
        self._database = database
        self._run = run
        self._held = held
        self._ending = ending
        self._restores = tuple(restores)
        reason = ending.reason if ending else _KILLED
        with database.translated():
            database.run("BEGIN")  # all that follows is one moment of a run that may go on meanwhile
            quoted = "NULL" if held and ending is None else "'{}'".format(reason.replace("'", "''"))
            database.run(_ENDED.format(open_outcome=OPEN_OUTCOME, reason=quoted))
        self._meta: dict[str, Any] = dict(database.rows("SELECT key, value FROM meta"))
        self.plan: Plan = plan_from_json(self._meta["plan"].encode())
        self._sessions = list(
            database.rows(
                "SELECT started, ended, state, stopped_by, exit_status, seconds FROM session ORDER BY number"
            )
        )
        self._consent = consent_of(self._meta.get("approved"))
        gather_up(database, self.plan.gateways, self._restores)
        self.report = self._report()

    def targets(self) -> Iterator[TargetReport]:
        """Yield every target in the plan's order."""
        return self._stream("1")

    def trouble(self) -> Iterator[TargetReport]:
        """Yield the targets that are neither undeployed nor were so before."""
        return self._stream(_TROUBLE)

    def wave_step(self) -> tuple[int, int, int] | None:
        """Return the wave that the run came to last, its step, both from 0, and how many steps it has."""
        for (text,) in self._database.rows(_LEG):
            wave, step = map(int, text.split())
            steps = self._database.one("SELECT MAX(step) + 1 FROM target WHERE wave = ?", (wave,))[0]
            return wave, step, steps or 1
        return None

    def still_down(self) -> Iterator[str]:
        """Yield each place, by installation and what follows the gateway's name in an id, of what is down by
        this run and has a snapshot that brings it back."""
        installations = [gateway.installation for gateway in self.plan.gateways]
        for name, gateway in still_down(self._database):
            yield f"{installations[gateway]}/{name.partition('/')[2]}"

    def find(self, ref: str) -> list[str]:
        """Return the ids of the targets that ``ref`` may mean, ``MOST_NAMED`` of them and one more at most:
        the one of that id, else those that match it as a pattern, else those that end with it, or hold it."""
        return (
            self._ids("id = ?1", ref)
            or self._matching(ref)
            or self._ids("substr(id, -length(?1)) = ?1", ref)
            or self._ids("instr(id, ?1)", ref)
        )

    def _ids(self, where: str, ref: str) -> list[str]:
        query = f"SELECT id FROM target WHERE {where} ORDER BY seq LIMIT {MOST_NAMED + 1}"
        return [name for (name,) in self._database.rows(query, (ref,))]

    def _matching(self, pattern: str) -> list[str]:
        matches = matcher((pattern,))
        names = (name for (name,) in self._database.rows("SELECT id FROM target ORDER BY seq"))
        return list(islice((name for name in names if matches(name)), MOST_NAMED + 1))

    def kept(self, name: str) -> TargetRecord:
        """Return all that is kept about the target with that id, which the run has."""
        seq = self._database.one("SELECT seq FROM target WHERE id = ?", (name,))[0]
        seen = "SELECT taken, value FROM snapshot WHERE seq = ?"
        approved = "SELECT state, revision, since FROM approved WHERE seq = ?"
        return TargetRecord(
            target=next(iter(self._stream(f"seq = {seq}"))),
            snapshot=next(starmap(_snapshot, self._database.rows(seen, (seq,))), None),
            approved=next(starmap(ApprovedState, self._database.rows(approved, (seq,))), None),
            restores=tuple(self._brought_back(name)),
        )

    def _brought_back(self, name: str) -> Iterator[RestoredTarget]:
        for restore in self._restores:
            if (said := told_by(restore, self.plan.gateways, name)) is not None:
                yield RestoredTarget(restore.id, *said)

    def timeline(self, buckets: int) -> RunTimeline:
        """Count what ended and what was sent over the working time of the run, in ``buckets`` parts."""
        width = max(self.report.run.seconds, 0.001) / buckets
        ended: list[Counter[str]] = [Counter() for _ in range(buckets)]
        requests = [0] * buckets
        offset = 0.0
        for session in self._working_times():
            values = (*session, offset, width, buckets - 1)
            for bucket, outcome, count in self._database.rows(_ENDED_BY_BUCKET, values):
                ended[bucket][outcome] += count
            for bucket, count in self._database.rows(_SENT_BY_BUCKET, values):
                requests[bucket] += count
            offset += session.seconds
        return RunTimeline(width=width, ended=tuple(map(dict, ended)), requests=tuple(requests))

    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]:
        """Give the curves of the gateways that had a bound or refused an undeploy, in the plan's order."""
        refusing = {row[0] for row in self._database.rows(_REFUSING)}
        bound = {row[0] for row in self._database.rows(_BOUND)}
        return tuple(
            self._pacing(place, gateway.name, buckets)
            for place, gateway in enumerate(self.plan.gateways)
            if place in refusing or gateway.name in bound
        )

    def _pacing(self, place: int, name: str, buckets: int) -> PaceTimeline:
        width = max(self.report.run.seconds, 0.001) / buckets
        starts, ends = _Instants(buckets), _Instants(buckets)
        bounds: dict[int, float | None] = {}
        offset = 0.0
        for session in self._working_times():
            values = (*session, offset, width, buckets - 1)
            bounds[min(int(offset / width), buckets - 1)] = None  # a session begins without one
            bounds |= {row[0]: row[1] for row in self._database.rows(_LAST_BOUNDS, (*values, name))}
            for row in self._database.rows(_STARTS, (*values, place)):
                starts.add(*row)
            for row in self._database.rows(_ENDS, (*values, place)):
                ends.add(*row)
            offset += session.seconds
        flown = zip(starts.integral(width), ends.integral(width), strict=True)
        return PaceTimeline(
            gateway=name,
            width=width,
            bound=tuple(_held(bounds, buckets)),
            sent=tuple(count / width for count in starts.marked),
            refused=tuple(ends.marked),
            in_flight=tuple(
                max(0.0, after - before) / width
                for before, after in pairwise(started - ended for started, ended in flown)
            ),
        )

    def _report(self) -> Report:
        cells = self._cells()
        besides: dict[str, int] = dict(self._database.rows(_BESIDES))
        gateways = tuple(
            GatewayReport(
                name=gateway.name,
                kind=gateway.KIND,
                url=gateway.url,
                totals=_sum(
                    [
                        *(totals for (index, _), totals in cells.items() if index == place),
                        Totals(requests=besides.get(gateway.name, 0)),
                    ]
                ),
                seconds=self._percentiles(place),
                lane=self._lane(gateway.name),
                warnings=self._warnings(gateway.name),
            )
            for place, gateway in enumerate(self.plan.gateways)
        )
        waves = tuple(
            WaveReport(
                name=wave.name,
                totals=_sum(totals for (_, index), totals in cells.items() if index == place),
            )
            for place, wave in enumerate(self.plan.waves)
        )
        return Report(
            run=self._run_report(),
            totals=_sum([*cells.values(), Totals(requests=sum(besides.values()))]),
            gateways=gateways,
            waves=waves,
            kept_out=dict(self._database.rows(_KEPT_OUT)),
            dependent=self._database.one(_DEPENDENT)[0],
            cut_off=self._database.one(_CUT_OFF)[0],
            controls=tuple(_control(at, text) for at, text in self._database.rows(_CONTROLS)),
            approval=self._consent,
            restores=tuple(map(_restore, self._restores)),
            up_again=dict(self._database.rows(_UP_AGAIN)),
            **self._of_snapshots(),
        )

    def _of_snapshots(self) -> dict[str, Any]:
        """Say what a restore goes by: for a run what it has kept, for a restore what was accepted."""
        if self._meta.get("act", "undeploy") == "restore":
            reasons = "".join(text for (text,) in self._database.rows(_LEFT_OUT))
            unaccepted = tuple(sorted(set(_ACCEPT.findall(reasons))))
            return {
                "accepted": msgspec.json.decode(self._meta["accept"], type=tuple[str, ...]),
                "unaccepted": unaccepted,
                "brings_back": len(brings_back(self._meta)),
                "unseen": self._meta.get("unseen", 0),
            }
        back = None if self._meta.get("rehearsal") else way_back(self._database, self.plan.snapshot)
        known = None if self.plan.snapshot == "off" else self._database.one(_SNAPSHOTS)[0]
        return {"snapshots": known, "restore_outlook": back}

    def _run_report(self) -> RunReport:
        ended, state, stopped_by, exit_status = (None, None, None, None)
        if self._sessions:
            _, ended, state, stopped_by, exit_status, _ = self._sessions[-1]
        if state is None and self._ending:
            state, stopped_by, exit_status = self._ending
        started = self._sessions[0][0] if self._sessions else self._meta["created"]
        parent = self._meta.get("parent")
        return RunReport(
            id=self._run,
            act=self._meta.get("act", "undeploy"),
            parent=parent,
            plan=self.plan.name,
            digest=self._meta["digest"],
            rehearsal=bool(self._meta.get("rehearsal")),
            window=self._window(),
            approval=_approval(self._consent),
            sessions=tuple(starmap(_session, self._database.rows(_HELD))),
            reason=self.plan.reason,
            started=_instant(started),
            ended=None if ended is None else _instant(ended),
            seconds=sum(session.seconds for session in self._working_times()),
            state=self._state(state),
            stopped_by=stopped_by,
            exit_status=exit_status,
        )

    def _window(self) -> WindowReport | None:
        """Return the window of the newest session; before there is one, the plan's."""
        newest = "SELECT options FROM session ORDER BY number DESC LIMIT 1"
        said = next((_Said.of(text) for (text,) in self._database.rows(newest)), None)
        window = self.plan.window if said is None else said.window
        if window is None:
            return None
        origin = said.window_from if said else None
        return WindowReport(
            opens=window.opens,
            closes=window.closes,
            origin=origin or ("plan" if window == self.plan.window else "option"),
        )

    def _state(self, state: object) -> Literal["running", "complete", "stopped", "interrupted", "killed"]:
        if state is None:
            return "running" if self._held else "killed"
        return cast("Literal['complete', 'stopped', 'interrupted']", state)

    def _working_times(self) -> Iterator[_Session]:
        """Yield each session; a killed one lasted until its last sign of life."""
        for (started, *_, seconds), (following, *_) in pairwise([*self._sessions, (_FAR,)]):
            worked = self._until_last_sign(started, following) if seconds is None else seconds
            yield _Session(started, following, worked)

    def _until_last_sign(self, started: float, following: float) -> float:
        query = "SELECT MAX(started + COALESCE(seconds, 0)) FROM attempt WHERE started >= ? AND started < ?"
        last = self._database.one(query, (started, following))[0]
        return max(0.0, (last or started) - started)

    def _cells(self) -> dict[tuple[int, int], Totals]:
        """Count by gateway and wave."""
        counts: dict[tuple[int, int], dict[str, int]] = {}
        query = "SELECT gateway, wave, outcome, COUNT(*) FROM ended GROUP BY gateway, wave, outcome"
        for gateway, wave, outcome, count in self._database.rows(query):
            cell = counts.setdefault((gateway, wave), {"targets": 0})
            cell[outcome] = count
            cell["targets"] += count
        for gateway, wave, requests, retries in self._database.rows(_REQUESTS):
            cell = counts[gateway, wave]
            cell["requests"], cell["retries"] = requests, retries
        return {key: Totals(**cell) for key, cell in counts.items()}

    def _percentiles(self, gateway: int) -> LatencyPercentiles:
        """Give the smallest times that 50, 95 and 99 of a hundred replies did not exceed."""
        seconds = array("d", (row[0] for row in self._database.rows(_LATENCIES, (gateway,))))
        if not seconds:
            return LatencyPercentiles()
        p50, p95, p99 = (seconds[-(-len(seconds) * share // 100) - 1] for share in (50, 95, 99))
        return LatencyPercentiles(p50=p50, p95=p95, p99=p99)

    def _lane(self, gateway: str) -> Literal["open", "parked", "closed"]:
        query = (
            "SELECT kind FROM note WHERE gateway = ? AND kind IN ('open', 'parked', 'closed')"
            " AND session = (SELECT MAX(number) FROM session) ORDER BY number DESC LIMIT 1"
        )
        kinds = [row[0] for row in self._database.rows(query, (gateway,))]
        return cast("Literal['open', 'parked', 'closed']", kinds[0] if kinds else "open")

    def _warnings(self, gateway: str) -> tuple[str, ...]:
        return tuple(row[0] for row in self._database.rows(_WARNINGS, (gateway,)))

    def _stream(self, where: str) -> Iterator[TargetReport]:
        names = [gateway.name for gateway in self.plan.gateways]
        kinds = [KINDS[gateway.KIND] for gateway in self.plan.gateways]
        coordinates = [tuple(part.name for part in kind.COORDINATES) for kind in kinds]
        waves = [wave.name for wave in self.plan.waves]
        attempts = _Attempts(self._database, where)
        query = (
            "SELECT seq, id, gateway, wave, outcome, reason, evidence, seconds"
            f" FROM ended WHERE {where} ORDER BY seq"
        )
        for seq, name, gateway, wave, outcome, reason, evidence, seconds in self._database.rows(query):
            yield TargetReport(
                id=name,
                gateway=names[gateway],
                kind=kinds[gateway].KIND,
                wave=waves[wave],
                coordinates=dict(zip(coordinates[gateway], parts_of(name), strict=True)),
                outcome=Outcome(outcome),
                reason=reason,
                evidence=evidence,
                seconds=seconds,
                attempts=attempts.of(seq),
            )


class _Instants:
    """When requests began, or when they ended, by bucket; ``marked`` counts the undeploys among them."""

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sums = [0.0] * buckets
        self.marked = [0] * buckets

    def add(self, bucket: int, count: int, total: float, marked: int) -> None:
        """Take in a bucket of one session."""
        self.counts[bucket] += count
        self.sums[bucket] += total
        self.marked[bucket] += marked

    def integral(self, width: float) -> Iterator[float]:
        """Yield at each edge of a bucket the seconds since then of all instants before it, added up.

        The requests in flight, integrated up to an edge, are those of the starts less those of the ends.
        """
        count, total = 0, 0.0
        yield 0.0
        for index, (here, sum_here) in enumerate(zip(self.counts, self.sums, strict=True), 1):
            count += here
            total += sum_here
            yield count * index * width - total


def _held(values: dict[int, float | None], buckets: int) -> Iterator[float | None]:
    """Yield each bucket's value, which holds until there is another one."""
    value = None
    for bucket in range(buckets):
        value = values.get(bucket, value)
        yield value


class _Act(Struct):
    """A steering act as its note holds it; a later version may write more."""

    act: str = ""
    by: str = ""
    origin: str = ""


def _control(at: float, text: str) -> ControlReport:
    try:
        said = msgspec.json.decode(text, type=_Act)
    except (msgspec.DecodeError, UnicodeError):
        said = _Act(act=text)
    return ControlReport(at=_instant(at), act=said.act, by=said.by, origin=said.origin)


_HOW: dict[str, ApprovalMethod] = {
    "--yes": "yes",
    "digest typed": "prompt",
    "digest given": "digest",
    "approval file": "file",
}
"""How a consent stands in the journals of older versions, by what it is called now."""


def _restore(restore: Restore) -> RestoreReport:
    begun = None if restore.begun is None else _instant(restore.begun)
    return RestoreReport(id=restore.id, begun=begun, live=restore.live)


def _snapshot(taken: float, value: str) -> dict[str, Any]:
    """Return a snapshot as JSON's types; ``taken`` is null in a restore, whose parent took it."""
    return {"taken": _instant(taken) if taken else None, **msgspec.json.decode(value)}


class _Holder(Struct):
    """Who worked on a session, as the journal holds it."""

    user: str | None = None
    host: str | None = None


def _session(started: float, ended: float | None, exit_status: int | None, holder: str) -> SessionReport:
    try:
        who = msgspec.json.decode(holder, type=_Holder)
    except (msgspec.DecodeError, UnicodeError):
        who = _Holder()
    return SessionReport(
        started=_instant(started),
        ended=None if ended is None else _instant(ended),
        exit_status=exit_status,
        by=who.user,
        host=who.host,
    )


class _Agreed(Struct):
    """A consent as the journal holds it."""

    how: str
    user: str
    host: str
    at: float


class _Said(Struct):
    """What of a session's options a report tells. Older versions did not keep where the window came from."""

    window: Window | None = None
    window_from: Literal["plan", "option"] | None = None

    @classmethod
    def of(cls, text: str | None) -> _Said:
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError):
            return cls()


def _approval(consent: RunApproval | None) -> ApprovalReport:
    return ApprovalReport(how="none") if consent is None else ApprovalReport(how=consent.how, by=consent.by)


def consent_of(text: str | None) -> RunApproval | None:
    """Return how somebody agreed to a run, as its journal's meta ``approved`` holds it."""
    if text is None:
        return None
    try:
        said = msgspec.json.decode(text, type=_Agreed)
        how = msgspec.convert(_HOW.get(said.how, said.how), ApprovalMethod)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError):
        return None
    return RunApproval(how=how, by=f"{said.user} on {said.host}", at=_instant(said.at))


class _Attempts:
    """The attempts of a stream of targets, read alongside: both come in the order of ``seq``."""

    def __init__(self, database: Database, where: str) -> None:
        only = "" if where == "1" else f" WHERE seq IN (SELECT seq FROM ended WHERE {where})"
        self._rows = database.rows(
            "SELECT seq, number, act, started, seconds, status, code, message"
            f" FROM attempt{only} ORDER BY seq, number"
        )
        self._next: Row | None = next(self._rows, None)

    def of(self, seq: int) -> tuple[AttemptReport, ...]:
        """Return the attempts of the target, which comes after all that were asked for before."""
        found: list[AttemptReport] = []
        while self._next is not None and self._next[0] <= seq:
            if self._next[0] == seq:
                found.append(_attempt(self._next))
            self._next = next(self._rows, None)
        return tuple(found)


def _attempt(row: Row) -> AttemptReport:
    _, number, act, started, seconds, status, code, message = row
    return AttemptReport(
        number=number,
        act=Act(act),
        started=_instant(started),
        seconds=seconds,
        status=status,
        code=code,
        message=message,
    )


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _sum(cells: Iterable[Totals]) -> Totals:
    sums = dict.fromkeys(Totals.__struct_fields__, 0)
    for cell in cells:
        for field in sums:
            sums[field] += getattr(cell, field)
    return Totals(**sums)
