"""A journal as the source of a report: counts by query, targets as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice, starmap
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from orchestrator.journal.cells import SNAPSHOTS
from orchestrator.journal.database import Database
from orchestrator.journal.ended import EVERY, KILLED, create_ended_view
from orchestrator.journal.ledger import read_journal_head
from orchestrator.journal.meta import read_meta, read_plan, read_plan_header
from orchestrator.journal.notes import read_last_begun
from orchestrator.journal.restores import Restore, collect_up_again, read_restored_outcome
from orchestrator.journal.run_report import (
    RunOverview,
    RunSummary,
    SessionEnding,
    build_report,
    count_all,
    count_outcomes,
    count_up_again,
    report_restores,
    report_run,
    to_datetime,
)
from orchestrator.journal.sessions import measure_sessions, read_sessions
from orchestrator.journal.usage import read_usage
from orchestrator.model.outcome import DONE
from orchestrator.model.plan import Plan, RunId, WaveStep
from orchestrator.report.values import (
    ApprovedState,
    OwnReads,
    PaceTimeline,
    Report,
    RestoredTarget,
    RunReport,
    RunTimeline,
    TargetRecord,
    TargetReport,
)
from orchestrator.text.characters import CONTROL
from orchestrator.text.names import to_nfc

if TYPE_CHECKING:
    from orchestrator.journal.timeline import WorkingTimeCurves

_TROUBLE = f"outcome NOT IN ({', '.join(repr(str(outcome)) for outcome in sorted(DONE))})"
_STEPS = "SELECT COALESCE(MAX(step), 0) + 1 FROM target WHERE wave = ?"
_SEQ = "SELECT seq FROM target WHERE id = ?"
_SNAPSHOT = "SELECT taken, value FROM snapshot WHERE seq = ?"
_TAKEN = "SELECT seq, taken FROM snapshot WHERE seq = ? AND taken > 0"
# The reads of a snapshot end before it is kept; an earlier session may have taken another one.
_OWN_READS = """
SELECT via FROM attempt WHERE seq = ? AND act = 'look' AND started <= ?
  AND started >= COALESCE((SELECT MAX(started) FROM session WHERE started <= ?), 0)
"""
_APPROVED = "SELECT state, revision, since FROM approved WHERE seq = ?"
_IDS = "SELECT id FROM target ORDER BY seq"
_IDS_WHERE = "SELECT id FROM target WHERE {where} ORDER BY seq LIMIT {most}"

MOST_NAMED = 20
"""So many targets are named if a text means several."""


class JournalReportSource:
    """Satisfies ``report.values.ReportSource`` for one run.

    ``held`` says whether a process works on the run now. ``ending`` stands in for the end of the newest
    session where the journal has none.
    """

    def __init__(
        self,
        database: Database,
        run: RunId,
        *,
        held: bool,
        ending: SessionEnding | None = None,
        restores: Iterable[Restore] = (),
    ) -> None:
        self._database = database
        self._restores = tuple(restores)
        with database.translate_errors():
            database.run("BEGIN")  # all that follows is one moment of a run that may go on meanwhile
        create_ended_view(database, _explain_open_targets(held=held, ending=ending))
        sessions = read_sessions(database)
        self._working_times = measure_sessions(database, sessions)
        collect_up_again(database, self.plan.gateways if self._restores else (), self._restores)
        self._summary = RunSummary(
            run=run,
            header=read_plan_header(database),
            meta=read_meta(database),
            sessions=sessions,
            working_times=self._working_times,
            held=held,
            ending=ending,
            restores=self._restores,
            journal_head=read_journal_head(database),
        )

    @cached_property
    def plan(self) -> Plan:
        """The plan of the run. Only a restore and the whole report need its gateways."""
        return read_plan(self._database)

    @cached_property
    def report(self) -> Report:
        """The whole report but its targets, which takes several scans of the journal."""
        return build_report(self._database, self._summary, self.plan)

    def read_run(self) -> RunReport:
        """Return the facts about the run itself, which needs no scan."""
        return report_run(self._summary)

    def read_overview(self, *, requests: bool = False) -> RunOverview:
        """Return the run with its counts, as a list of runs shows it; ``requests`` counts them as well."""
        return RunOverview(
            run=self.read_run(),
            totals=(count_all if requests else count_outcomes)(self._database),
            restores=report_restores(self._restores),
            up_again=sum(count_up_again(self._database).values()),
        )

    def targets(self) -> Iterator[TargetReport]:
        """Yield every target in the plan's order."""
        return self._stream_targets()

    def trouble(self) -> Iterator[TargetReport]:
        """Yield the targets that are not as the run wants them."""
        return self._stream_targets(_TROUBLE)

    def _stream_targets(self, where: str = EVERY) -> Iterator[TargetReport]:
        from orchestrator.journal.target_reports import stream_targets

        return stream_targets(self._database, self.plan, where)

    def timeline(self, buckets: int) -> RunTimeline:
        """Count ended targets and sent requests over the working time of the run, in ``buckets`` parts."""
        from orchestrator.journal.time_marks import list_marks

        waves = [wave.name for wave in self.plan.waves]
        marks = list_marks(self._database, waves, self._summary.sessions, self._working_times)
        return self._open_curves(buckets).count_events(marks)

    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]:
        """Return the curves of the gateways that had a bound or refused an undeploy, in the plan's order."""
        return self._open_curves(buckets).trace_pacings()

    def _open_curves(self, buckets: int) -> WorkingTimeCurves:
        from orchestrator.journal.timeline import WorkingTimeCurves

        names = [gateway.name for gateway in self.plan.gateways]
        return WorkingTimeCurves(self._database, names, self._working_times, buckets)

    def read_wave_step(self) -> tuple[WaveStep, int] | None:
        """Return the step of a wave that the run came to last, and how many steps that wave has."""
        if (begun := read_last_begun(self._database)) is None:
            return None
        return begun, self._database.one(_STEPS, (begun.wave,))[0]

    def list_still_down(self) -> Iterator[str]:
        """Yield the place of each target that only a restore of this run would bring back.

        A place is the target's installation, and the rest of its id behind the gateway's name.
        """
        from orchestrator.journal.taken_down import list_still_down

        installations = [gateway.installation for gateway in self.plan.gateways]
        for name, gateway in list_still_down(self._database):
            yield f"{installations[gateway]}/{name.partition('/')[2]}"

    def find_ids(self, ref: str) -> list[str]:
        """Return the ids of the targets that ``ref`` may mean, at most ``MOST_NAMED`` and one more.

        An equal id goes before a match of ``ref`` as a pattern, and that before an id that ends with ``ref``,
        or holds it.
        """
        if CONTROL.search(ref):
            return []  # no id holds such a character, and no query takes bytes that are no UTF-8
        plain = to_nfc(ref)
        # An ASCII text is in every id as it stands. For another one each id is put into the form of names.
        name = "id" if ref.isascii() else "nfc(id)"
        return (
            self._list_ids("id = ?1", ref)
            or self._list_matching(plain)
            or self._list_ids(f"substr({name}, -length(?1)) = ?1", plain)
            or self._list_ids(f"instr({name}, ?1)", plain)
        )

    def _list_ids(self, where: str, ref: str) -> list[str]:
        query = _IDS_WHERE.format(where=where, most=MOST_NAMED + 1)
        return [name for (name,) in self._database.rows(query, (ref,))]

    def _list_matching(self, pattern: str) -> list[str]:
        from orchestrator.model.globs import make_matcher

        matches = make_matcher((pattern,))
        names = (name for (name,) in self._database.rows(_IDS))
        return list(islice((name for name in names if matches(to_nfc(name))), MOST_NAMED + 1))

    def read_target(self, name: str) -> TargetRecord:
        """Return all that is kept about the target with that id, which the run has."""
        seq = self._database.one(_SEQ, (name,))[0]
        kept = read_usage(self._database, seq)
        return TargetRecord(
            target=next(self._stream_targets(f"seq = {seq}")),
            snapshot=next(starmap(_report_snapshot, self._database.rows(_SNAPSHOT, (seq,))), None),
            own_reads=next(starmap(self._count_own_reads, self._database.rows(_TAKEN, (seq,))), None),
            approved=next(starmap(ApprovedState, self._database.rows(_APPROVED, (seq,))), None),
            restores=tuple(self._list_restored(name)),
            usage=kept and kept.usage,
            usage_read=kept and to_datetime(kept.taken),
        )

    def _count_own_reads(self, seq: int, taken: float) -> OwnReads:
        features = (gateway.bindings for gateway in self.plan.gateways)
        types = {name for feature in features if feature is not None for name in feature.names}
        vias = [via for (via,) in self._database.rows(_OWN_READS, (seq, taken, taken))]
        bound = sum(via.partition("/")[0] in types for via in vias)
        return OwnReads(target=len(vias) - bound, bound=bound)

    def _list_restored(self, name: str) -> Iterator[RestoredTarget]:
        for restore in self._restores:
            if (outcome := read_restored_outcome(restore, self.plan.gateways, name)) is not None:
                yield RestoredTarget(restore.id, *outcome)


def _explain_open_targets(*, held: bool, ending: SessionEnding | None) -> str | None:
    """Return why a target has no outcome: the run's own words, that it was killed, or None while it works."""
    if ending is not None:
        return ending.stopped_by
    return None if held else KILLED


def _report_snapshot(taken: float, value: str) -> dict[str, Any]:
    """Return a snapshot as JSON's types; ``taken`` is null in a restore, whose parent took it."""
    return {"taken": to_datetime(taken) if taken else None, **_list_keys(SNAPSHOTS.decode(value))}


def _list_keys(struct: Struct) -> dict[str, Any]:
    """Return a struct as JSON's types, with each of its keys: a journal leaves some out, to be small."""
    return {name: _simplify(getattr(struct, name)) for name in struct.__struct_fields__}


def _simplify(value: object) -> Any:
    if isinstance(value, Struct):
        return _list_keys(value)
    if isinstance(value, list | tuple):
        return [_simplify(each) for each in value]
    return to_builtins(value)
