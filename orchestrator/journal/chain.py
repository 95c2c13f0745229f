"""Runs that continue one another, merged into one journal, whose report is the report of them all.

The journals stream one after the other into a database in a temporary folder, so that memory grows neither
with targets nor with attempts, and a chain may be as long as it likes (SQLite attaches ten files at most).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.errors import JournalError, UsageError
from orchestrator.journal.database import Database, Row, Value, create_database, open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta, insert_meta, insert_plan, read_meta
from orchestrator.journal.notes import decode_wave_step, encode_wave_step
from orchestrator.journal.report_source import JournalReportSource
from orchestrator.journal.restores import Restore, drop_changed_since
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, RunId, Wave, WaveStep
from orchestrator.report.values import ChainedRun, PaceTimeline, Report, RunTimeline, TargetReport
from orchestrator.system.temporary import make_temporary_folder

_WAVE = 1 << 32
"""The numbers of one wave: targets are numbered wave by wave, also those that only a later run has."""

_TABLES = (
    # `place` is the installation, and what follows the gateway's name in an id.
    "CREATE TEMP TABLE known (place TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID",
    """
    CREATE TEMP TABLE arrival (
        seq INTEGER PRIMARY KEY, place TEXT, id TEXT, gateway INTEGER, wave INTEGER,
        outcome TEXT, reason TEXT, evidence TEXT, seconds REAL, ended REAL, up INTEGER, persistent INTEGER,
        whole INTEGER, numbered INTEGER
    )
    """,
)
# `up` is 1 if a look of that run saw the target deployed, or a list that stood for its look.
_TARGETS = """
SELECT ended.seq, target.id, target.gateway, target.wave, ended.outcome, ended.reason, ended.evidence,
    ended.seconds, ended.ended,
    EXISTS (SELECT 1 FROM attempt WHERE attempt.seq = target.seq AND act = 'look' AND verdict = 'up')
        OR EXISTS (SELECT 1 FROM snapshot WHERE snapshot.seq = target.seq AND verdict = 'up'),
    persistent
FROM target CROSS JOIN ended USING (seq) ORDER BY target.seq
"""
_ARRIVE = (
    "INSERT INTO arrival"
    " (seq, place, id, gateway, wave, outcome, reason, evidence, seconds, ended, up, persistent)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NUMBER = (
    f"""
    INSERT OR IGNORE INTO known
    SELECT place, wave * {_WAVE} + ?1 + ROW_NUMBER() OVER (ORDER BY seq) FROM arrival
    """,
    "UPDATE arrival SET whole = (SELECT known.seq FROM known WHERE known.place = arrival.place)",
    "UPDATE arrival SET numbered = COALESCE((SELECT MAX(number) FROM attempt WHERE attempt.seq = whole), 0)",
    """
    INSERT OR IGNORE INTO target (seq, id, gateway, wave, file, line, column, persistent)
    SELECT whole, id, gateway, wave, 0, 0, 0, persistent FROM arrival
    """,
)
# A run that did not start a target says nothing about it, unless one of its looks saw the target deployed. So
# its outcome does not replace the outcome of an earlier run.
_SETTLE = f"""
UPDATE target SET outcome = new.outcome, reason = new.reason, evidence = new.evidence, seconds = new.seconds,
    ended = new.ended
FROM arrival AS new WHERE target.seq = new.whole AND (
    target.outcome IS NULL OR target.outcome = '{Outcome.NOT_STARTED}'
    OR new.outcome <> '{Outcome.NOT_STARTED}' OR new.up
)
"""
_ATTEMPTS = "SELECT seq, number, {columns} FROM attempt"
_ATTEMPT = """
INSERT INTO attempt (seq, number, {columns}) SELECT whole, numbered + ?2, {values} FROM arrival WHERE seq = ?1
"""
# A restore needs the newest snapshot that saw the target deployed, else the newest that could tell.
_SNAPSHOTS = "SELECT seq, taken, verdict, value FROM snapshot"
_SNAPSHOT = """
INSERT INTO snapshot SELECT whole, ?2, ?3, ?4 FROM arrival WHERE seq = ?1
ON CONFLICT (seq) DO UPDATE SET taken = excluded.taken, verdict = excluded.verdict, value = excluded.value
WHERE excluded.verdict = 'up' OR (
    snapshot.verdict <> 'up' AND (
        excluded.verdict NOT IN ('unclear', 'not_offered') OR snapshot.verdict IN ('unclear', 'not_offered')
    )
)
"""
_USAGES = "SELECT seq, taken, calls, value FROM usage"
_USAGE = "INSERT OR REPLACE INTO usage SELECT whole, ?2, ?3, ?4 FROM arrival WHERE seq = ?1"
_DEPENDENCIES = "SELECT seq, needs FROM dependency"
_DEPENDENCY = """
INSERT OR IGNORE INTO dependency SELECT after.whole, first.whole
FROM arrival AS after, arrival AS first WHERE after.seq = ?1 AND first.seq = ?2
"""
_SESSIONS = "SELECT number, {columns} FROM session"
_SESSION = "INSERT INTO session (number, {columns}) VALUES (?1, {values})"
_SESSIONS_OF_A_RUN = 1 << 20
# The sessions of two runs that continue the same run may alternate.
_ORDER_SESSIONS = (
    """
    CREATE TEMP TABLE turn AS
    SELECT number, ROW_NUMBER() OVER (ORDER BY started, number) AS turn FROM session
    """,
    "UPDATE note SET session = (SELECT turn FROM turn WHERE turn.number = note.session)",
    "UPDATE session SET number = -(SELECT turn FROM turn WHERE turn.number = session.number)",
    "UPDATE session SET number = -number",
)
_NOTES = "SELECT session, at, gateway, kind, text FROM note ORDER BY number"
_NOTE = "INSERT INTO note (session, at, gateway, kind, text) VALUES (?, ?, ?, ?, ?)"


class RunChain(NamedTuple):
    """The runs of a chain in the order in which they began, and remarks for people."""

    runs: tuple[RunFolder, ...]
    remarks: tuple[str, ...]


def find_chain(folder: RunFolder, state: Path) -> RunChain:
    """Return the runs that ``folder`` continues and those that continue it, all from the same first one.

    The runs are looked for in the state folder of ``folder``; in ``state`` if it lies outside of any.
    """
    home = folder.find_state_folder(state)
    folders = {run.id: run for run in list_runs(home)} | {folder.id: folder}
    remarks: list[str] = []
    parents: dict[RunId, RunId | None] = {}
    for run in folders.values():
        try:
            meta = _read_meta_of(run)
        except JournalError as error:
            if run is folder:
                raise
            remarks.append(f"run {run.id} may belong to this and cannot be read: {error}")
            continue
        if meta.rehearsal:
            if run is folder:
                raise UsageError(f"run {run.id} was a rehearsal; it continues no run")
            continue
        if meta.act != "undeploy":
            if run is folder:
                raise UsageError(f"run {run.id} is a restore and continues no run; name {meta.parent}")
            continue
        parents[run.id] = meta.parent
    first = _find_first(folder.id, parents)
    if (lost := parents[first]) is not None and lost not in parents:
        remarks.insert(0, f"run {lost}, which {first} continues, is not in {home}: what it did is not told")
    runs = sorted(_find_descendants(first, parents))
    return RunChain(tuple(folders[run] for run in runs), tuple(remarks))


def _read_meta_of(run: RunFolder) -> RunMeta:
    with closing(open_database(run.journal, write=False, whole=False)) as database:
        return read_meta(database)


def _find_first(run: RunId, parents: Mapping[RunId, RunId | None]) -> RunId:
    """Return the first run of the chain of ``run``, as far back as runs are kept."""
    # A person may edit `parent` in a plan, so two runs can name each other.
    passed = {run}
    while (parent := parents[run]) is not None and parent in parents and parent not in passed:
        run = parent
        passed.add(run)
    return run


def _find_descendants(first: RunId, parents: Mapping[RunId, RunId | None]) -> set[RunId]:
    children: dict[RunId, list[RunId]] = {}
    for run, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(run)
    found, following = {first}, [first]
    while following:
        new = [run for run in children.get(following.pop(), ()) if run not in found]
        found.update(new)
        following += new
    return found


class ChainReportSource:
    """Satisfies ``report.values.ReportSource`` for all ``runs`` of a chain, each target once."""

    def __init__(self, source: JournalReportSource, runs: tuple[ChainedRun, ...]) -> None:
        self._source = source
        first, newest, whole = runs[0].run, runs[-1].run, source.report
        run = replace(
            newest,
            parent=first.parent,
            started=first.started,
            seconds=whole.run.seconds,
            sessions=whole.run.sessions,
        )
        if any(each.run.state == "running" for each in runs):
            run = replace(run, state="running", ended=None, stopped_by=None, exit_status=None)
        self.report: Report = replace(whole, run=run, chain=runs)

    def targets(self) -> Iterator[TargetReport]:
        """Yield every target of the runs, in the order of the first run's plan."""
        return self._source.targets()

    def trouble(self) -> Iterator[TargetReport]:
        """Yield the targets that are not down after all of the runs."""
        return self._source.trouble()

    def timeline(self, buckets: int) -> RunTimeline:
        """Count ended targets and sent requests over the working time of all runs, in ``buckets`` parts."""
        return self._source.timeline(buckets)

    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]:
        """Return the curves of the gateways over the same time."""
        return self._source.pace_timelines(buckets)


@contextmanager
def open_chain_source(folders: Iterable[RunFolder]) -> Iterator[ChainReportSource]:
    """Merge the journals of runs, in their order, and open the whole for a report."""
    folders = list(folders)
    with merge_journals(folders) as (whole, runs):
        source = JournalReportSource(
            whole, RunId(runs[-1].run.id), held=False, restores=_list_restores(folders)
        )
        # A later run of the chain may have taken down again what a restore of an earlier one brought back.
        drop_changed_since(whole)
        yield ChainReportSource(source, runs)


@contextmanager
def merge_journals(folders: Iterable[RunFolder]) -> Iterator[tuple[Database, tuple[ChainedRun, ...]]]:
    """Merge the journals of runs, in their order, into one journal that lasts for the block."""
    with make_temporary_folder() as place:
        whole = create_database(place / "chain.sqlite")
        try:
            yield whole, _merge(whole, folders)
        finally:
            whole.close()


def _list_restores(folders: Iterable[RunFolder]) -> tuple[Restore, ...]:
    """Return the restores of all the runs, each once, the oldest first."""
    found = {restore.id: restore for folder in folders for restore in folder.list_restores()}
    return tuple(found[name] for name in sorted(found))


def _merge(whole: Database, folders: Iterable[RunFolder]) -> tuple[ChainedRun, ...]:
    runs: list[ChainedRun] = []
    merged = _ChainPlan()
    plan: Plan | None = None
    newest = RunMeta()
    with whole.transaction():
        for statement in _TABLES:
            whole.run(statement)
        for index, folder in enumerate(folders):
            with closing(folder.open(checked=True)) as database:
                held = folder.describe_holder() is not None
                ending = None if held else folder.find_unkept_ending(database)
                source = JournalReportSource(database, folder.id, held=held, ending=ending)
                runs.append(ChainedRun(run=source.report.run, totals=source.report.totals))
                plan = source.plan
                newest = read_meta(database)
                _add_run(whole, database, merged.add(plan), index * _SESSIONS_OF_A_RUN)
        for statement in _ORDER_SESSIONS:
            whole.run(statement)
        assert plan is not None  # noqa: S101 - a chain has one run at least
        insert_plan(whole, merged.complete(plan))
        insert_meta(
            whole,
            RunMeta(
                digest=newest.digest,
                folder=newest.folder,
                created=runs[0].run.started.timestamp(),
                approved=newest.approved,
            ),
        )
        whole.run(AFTER_LOADING)
    return tuple(runs)


def _add_run(whole: Database, database: Database, places: _RunPlaces, sessions: int) -> None:
    """Add the journal of one more run, whose sessions are numbered behind ``sessions``."""
    whole.run("DELETE FROM arrival")
    whole.run_many(_ARRIVE, (places.make_arrival(row) for row in database.rows(_TARGETS)))
    (known,) = whole.one("SELECT COUNT(*) FROM known")
    for statement in _NUMBER:
        whole.run(statement, (known,) if "?1" in statement else ())
    whole.run(_SETTLE)
    query, insertion = _name_columns(whole, "attempt", (_ATTEMPTS, _ATTEMPT), ("seq", "number"))
    whole.run_many(insertion, database.rows(query))
    whole.run_many(_SNAPSHOT, database.rows(_SNAPSHOTS))
    whole.run_many(_USAGE, database.rows(_USAGES))
    whole.run_many(_DEPENDENCY, database.rows(_DEPENDENCIES))
    query, insertion = _name_columns(whole, "session", (_SESSIONS, _SESSION), ("number",))
    whole.run_many(insertion, ((sessions + number, *row) for number, *row in database.rows(query)))
    notes = database.rows(_NOTES)
    whole.run_many(
        _NOTE,
        (
            (sessions + number, at, places.names.get(name, name), kind, places.translate_note(kind, text))
            for number, at, name, kind, text in notes
        ),
    )


def _name_columns(
    whole: Database, table: str, statements: tuple[str, str], keys: tuple[str, ...]
) -> tuple[str, str]:
    """Return the query and the insertion with the columns of a table that are copied as they are.

    These are all but its ``keys``, which come first, and which the chain numbers anew.
    """
    # Named, because a journal that was converted has its newest columns at the end.
    copied = [column for column in whole.list_columns(table) if column not in keys]
    values = ", ".join(f"?{len(keys) + place}" for place in range(1, len(copied) + 1))
    query, insertion = (each.format(columns=", ".join(copied), values=values) for each in statements)
    return query, insertion


class _RunPlaces(NamedTuple):
    """The places of one run's gateways and waves among those of all runs: by index, and by name."""

    gateways: tuple[int, ...]
    names: Mapping[str | None, str]
    waves: tuple[int, ...]
    installations: tuple[str, ...]

    def make_arrival(self, row: Row) -> tuple[Value, ...]:
        """Return a row of ``arrival`` for a target of the run."""
        seq, name, gateway, wave, *ended = row
        known_as, _, parts = name.partition("/")
        place = f"{self.installations[gateway]}/{parts}"
        whole_id = f"{self.names[known_as]}/{parts}"
        return (seq, place, whole_id, self.gateways[gateway], self.waves[wave], *ended)

    def translate_note(self, kind: str, text: str | None) -> str | None:
        """Return the text of a note of the run; the beginning of a wave names the wave by its place."""
        if kind != "leg" or text is None:
            return text
        begun = decode_wave_step(text)
        return encode_wave_step(WaveStep(self.waves[begun.wave], begun.step))


class _ChainPlan:
    """The gateways and waves of all runs, in the order in which they first appear."""

    def __init__(self) -> None:
        self._gateways: list[Gateway] = []
        self._waves: dict[str, Wave] = {}

    def add(self, plan: Plan) -> _RunPlaces:
        """Add the gateways and waves of ``plan``, and return their places."""
        gateways = tuple(map(self._find_or_add, plan.gateways))
        names = [self._gateways[index].name for index in gateways]
        for wave in plan.waves:
            self._waves.setdefault(wave.name, wave)
        places = list(self._waves)
        return _RunPlaces(
            gateways=gateways,
            names={gateway.name: name for gateway, name in zip(plan.gateways, names, strict=True)},
            waves=tuple(places.index(wave.name) for wave in plan.waves),
            installations=tuple(gateway.installation for gateway in plan.gateways),
        )

    def _find_or_add(self, gateway: Gateway) -> int:
        """Return the index of the gateway with the same installation, first that of the same name.

        If there is none, it is added. Its name gets a number if it means another installation already.
        """
        same = [i for i, one in enumerate(self._gateways) if one.installation == gateway.installation]
        if same:
            found = next((i for i in same if self._gateways[i].name == gateway.name), same[0])
            # The newest plan knows best how to reach the gateway.
            self._gateways[found] = replace(gateway, name=self._gateways[found].name)
            return found
        taken = {one.name for one in self._gateways}
        name = next(n for n in self._names(gateway.name) if n not in taken)
        self._gateways.append(replace(gateway, name=name))
        return len(self._gateways) - 1

    def _names(self, name: str) -> Iterator[str]:
        yield name
        yield from (f"{name}~{number}" for number in count(2))

    def complete(self, plan: Plan) -> Plan:
        """Return ``plan`` with the gateways and waves of all runs."""
        return replace(plan, gateways=tuple(self._gateways), waves=tuple(self._waves.values()))
