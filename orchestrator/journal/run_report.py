"""The report of a run without its targets: counts by query, and the facts about the run itself."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from orchestrator.errors import make_damage_error
from orchestrator.journal.database import Database
from orchestrator.journal.meta import RunMeta, StoredConsent
from orchestrator.journal.notes import (
    ControlNote,
    count_requests,
    list_controls,
    list_warnings,
    read_lane,
    read_stop_rule,
)
from orchestrator.journal.restores import Restore
from orchestrator.journal.schema import IS_MAIN_ACT, KEPT, WORD
from orchestrator.journal.sessions import SessionOptions, SessionRow, WorkingTime
from orchestrator.journal.usage import report_use
from orchestrator.model.outcome import ACCEPTED_LOSS, DEPLOYED_IN_PART, Reason
from orchestrator.model.plan import Plan, PlanHeader, RunId
from orchestrator.report.values import (
    ApprovalReport,
    ControlReport,
    GatewayReport,
    LatencyPercentiles,
    Report,
    RestoreReport,
    RunApproval,
    RunReport,
    SessionReport,
    Totals,
    WaveReport,
    WindowReport,
)
from orchestrator.rules.exit_status import EndState
from orchestrator.text.characters import quote_text

if TYPE_CHECKING:
    from orchestrator.model.gateway import Gateway

_CELLS = "SELECT gateway, wave, outcome, COUNT(*) FROM ended GROUP BY gateway, wave, outcome"
_REQUESTS = f"""
SELECT gateway, wave, SUM(requests), SUM(MAX(undeploys - 1, 0)) FROM (
    SELECT seq, COUNT(*) AS requests, SUM({IS_MAIN_ACT}) AS undeploys
    FROM attempt WHERE sent IS NOT 0 GROUP BY seq
) JOIN target USING (seq) GROUP BY gateway, wave
"""
_LATENCIES = f"""
SELECT t.gateway, a.seconds FROM attempt AS a JOIN target AS t USING (seq)
WHERE a.{IS_MAIN_ACT} AND a.status IS NOT NULL AND a.seconds IS NOT NULL ORDER BY t.gateway, a.seconds
"""
_OUTCOMES = "SELECT outcome, COUNT(*) FROM ended GROUP BY outcome"
_NOT_STARTED = (
    f"SELECT {WORD}, {WORD} IN {KEPT}, COUNT(*) FROM target WHERE outcome = 'not_started'"
    " AND id NOT IN (SELECT id FROM up_again) GROUP BY 1 ORDER BY 1"
)
_NONE = (0, 0)
_SNAPSHOTS = "SELECT COUNT(*) FROM snapshot WHERE verdict NOT IN ('unclear', 'not_offered')"
_IN_PART = (
    f"SELECT COUNT(*), COUNT(*) FILTER (WHERE reason LIKE '{ACCEPTED_LOSS}%')"
    f" FROM ended WHERE outcome = 'failed' AND reason LIKE '{DEPLOYED_IN_PART}%'"
)
_UP_AGAIN = "SELECT outcome, COUNT(*) FROM ended JOIN up_again USING (id) GROUP BY outcome"
_LEFT_OUT = (
    f"SELECT DISTINCT reason FROM target WHERE outcome = 'not_started' AND {WORD} = '{Reason.SKIPPED}'"
)
_ACCEPT_OPTION = re.compile(r"--accept ([a-z-]+)")


class SessionEnding(NamedTuple):
    """The end of a session, as the journal keeps it."""

    state: EndState
    stopped_by: str | None
    exit_status: int | None


class RunSummary(Struct, frozen=True, kw_only=True):
    """The sources of a run's report beside the rows of its targets."""

    run: RunId
    header: PlanHeader
    meta: RunMeta
    sessions: Sequence[SessionRow]
    working_times: Sequence[WorkingTime]
    held: bool
    """A process works on the run now."""
    ending: SessionEnding | None
    """The newest session's end in the words of its own process, which could not write it to the journal."""
    restores: tuple[Restore, ...]
    journal_head: str | None
    """The hash of the newest commit in the ledger."""


class RunOverview(Struct, frozen=True, kw_only=True):
    """A run as a list of runs shows it."""

    run: RunReport
    totals: Totals
    """Without requests and retries, unless they were asked for."""
    restores: tuple[RestoreReport, ...]
    up_again: int
    """Number of targets that a restore has brought back."""


def build_report(database: Database, summary: RunSummary, plan: Plan) -> Report:
    """Return the report. ``database`` has the view ``ended`` and the table ``up_again``."""
    cells = _count_cells(database)
    besides = count_requests(database)
    in_part, accepted_losses = database.one(_IN_PART)
    not_started = {word: (count, kept) for word, kept, count in database.rows(_NOT_STARTED)}
    newest = summary.sessions[-1] if summary.sessions else None
    return Report(
        run=report_run(summary),
        plan=plan,
        totals=_add([*cells.values(), Totals(requests=sum(besides.values()))]),
        gateways=tuple(_report_gateways(database, plan.gateways, cells, besides)),
        waves=tuple(
            WaveReport(
                name=wave.name,
                totals=_add(totals for (_, index), totals in cells.items() if index == place),
            )
            for place, wave in enumerate(plan.waves)
        ),
        kept_out={word: count for word, (count, kept) in not_started.items() if kept},
        dependent=not_started.get(Reason.DEPENDENCY, _NONE)[0],
        use=report_use(database),
        cut_off=not_started.get(Reason.WINDOW, _NONE)[0],
        stop_rule=read_stop_rule(database, summary.sessions[-1].number) if summary.sessions else None,
        warnings=list_warnings(database, None),
        controls=tuple(_report_control(at, note) for at, note in list_controls(database)),
        approval=report_consent(summary.meta.approved),
        engine_options=None if newest is None or newest.options is None else newest.options.to_engine,
        restores=report_restores(summary.restores),
        up_again=count_up_again(database),
        in_part=in_part,
        accepted_losses=accepted_losses,
        **_report_snapshots(database, summary, plan.gateways),
    )


def report_consent(approved: StoredConsent | None) -> RunApproval | None:
    """Return a consent as a report tells it."""
    if approved is None:
        return None
    return RunApproval(how=approved.how, by=approved.by, at=to_datetime(approved.at))


def to_datetime(at: float) -> datetime:
    """Return a Unix time as a report tells it."""
    return datetime.fromtimestamp(at, UTC)


def count_outcomes(database: Database) -> Totals:
    """Count the targets by outcome, and leave the requests at 0: to count those takes three times as long."""
    counts: dict[str, int] = dict(database.rows(_OUTCOMES))
    return _make_totals({"targets": sum(counts.values())} | counts)


def count_all(database: Database) -> Totals:
    """Count the targets by outcome, and the requests."""
    besides = Totals(requests=sum(count_requests(database).values()))
    return _add([*_count_cells(database).values(), besides])


def count_up_again(database: Database) -> dict[str, int]:
    """Count the targets that a restore has brought back, by their outcome in this run."""
    return dict(database.rows(_UP_AGAIN))


def _count_cells(database: Database) -> dict[tuple[int, int], Totals]:
    """Count by gateway and wave."""
    counts: dict[tuple[int, int], dict[str, int]] = {}
    for gateway, wave, outcome, count in database.rows(_CELLS):
        cell = counts.setdefault((gateway, wave), {"targets": 0})
        cell[outcome] = count
        cell["targets"] += count
    for gateway, wave, requests, retries in database.rows(_REQUESTS):
        cell = counts[gateway, wave]
        cell["requests"], cell["retries"] = requests, retries
    return {key: _make_totals(cell) for key, cell in counts.items()}


def _make_totals(counts: Mapping[str, int]) -> Totals:
    """Return the totals. Raises JournalError for an outcome that the program cannot have written."""
    if strange := counts.keys() - set(Totals.__struct_fields__):
        raise make_damage_error(f"a target has the outcome {quote_text(str(min(strange, key=str)))}")
    return Totals(**counts)


def _report_gateways(
    database: Database,
    gateways: Sequence[Gateway],
    cells: Mapping[tuple[int, int], Totals],
    besides: Mapping[str, int],
) -> Iterator[GatewayReport]:
    """``besides`` counts the requests to each gateway that belong to no single target."""
    seconds = _measure_replies(database)
    for place, gateway in enumerate(gateways):
        own = [totals for (index, _), totals in cells.items() if index == place]
        yield GatewayReport(
            name=gateway.name,
            kind=gateway.KIND,
            url=gateway.url,
            totals=_add([*own, Totals(requests=besides.get(gateway.name, 0))]),
            seconds=seconds.get(place, LatencyPercentiles()),
            lane=read_lane(database, gateway.name),
            warnings=list_warnings(database, gateway.name),
        )


def _measure_replies(database: Database) -> dict[int, LatencyPercentiles]:
    """Return for each gateway that answered the smallest times that 50, 95 and 99 of 100 replies kept to."""
    rows = groupby(database.rows(_LATENCIES), key=itemgetter(0))
    return {gateway: _find_percentiles(array("d", (row[1] for row in replies))) for gateway, replies in rows}


def _find_percentiles(seconds: array[float]) -> LatencyPercentiles:
    p50, p95, p99 = (seconds[-(-len(seconds) * share // 100) - 1] for share in (50, 95, 99))
    return LatencyPercentiles(p50=p50, p95=p95, p99=p99)


def report_run(summary: RunSummary) -> RunReport:
    """Return the facts about the run itself, which need no row of its targets."""
    meta, plan = summary.meta, summary.header
    consent = report_consent(meta.approved)
    newest = summary.sessions[-1] if summary.sessions else None
    end = _find_end(newest, summary.ending)
    began = summary.sessions[0].started if summary.sessions else meta.created
    return RunReport(
        id=summary.run,
        act=meta.act,
        parent=meta.parent,
        plan=plan.name,
        digest=meta.digest,
        rehearsal=meta.rehearsal,
        window=_report_window(plan, newest),
        approval=ApprovalReport(how="none") if consent is None else _report_approval(consent),
        sessions=tuple(map(_report_session, summary.sessions)),
        reason=plan.reason,
        started=to_datetime(began),
        ended=None if newest is None or newest.ended is None else to_datetime(newest.ended),
        seconds=sum(session.seconds for session in summary.working_times),
        state=("running" if summary.held else "killed") if end is None else end.state,
        stopped_by=None if end is None else end.stopped_by,
        exit_status=None if end is None else end.exit_status,
        journal_head=summary.journal_head,
        engine=None if newest is None or newest.options is None else newest.options.engine,
    )


def _find_end(newest: SessionRow | None, ending: SessionEnding | None) -> SessionEnding | None:
    """Return how the newest session ended; None where it was killed, or still works."""
    if newest is not None and newest.state is not None:
        return SessionEnding(newest.state, newest.stopped_by, newest.exit_status)
    return ending


def _report_approval(consent: RunApproval) -> ApprovalReport:
    return ApprovalReport(how=consent.how, by=consent.by)


def _report_window(plan: PlanHeader, newest: SessionRow | None) -> WindowReport | None:
    """Return the window of the newest session; before there is one, the plan's."""
    options = None if newest is None else newest.options
    window = (plan if newest is None else options or SessionOptions()).window
    if window is None:
        return None
    origin = options.window_from if options else None
    return WindowReport(
        opens=window.opens,
        closes=window.closes,
        origin=origin or ("plan" if window == plan.window else "option"),
    )


def _report_session(session: SessionRow) -> SessionReport:
    return SessionReport(
        started=to_datetime(session.started),
        ended=None if session.ended is None else to_datetime(session.ended),
        exit_status=session.exit_status,
        by=session.holder.user,
        host=session.holder.host,
    )


def _report_control(at: float, note: ControlNote) -> ControlReport:
    return ControlReport(at=to_datetime(at), act=note.act, by=note.by, origin=note.origin)


def report_restores(restores: Iterable[Restore]) -> tuple[RestoreReport, ...]:
    """Return the restores as a report tells them."""
    return tuple(
        RestoreReport(
            id=restore.id,
            begun=None if restore.begun is None else to_datetime(restore.begun),
            live=restore.live,
        )
        for restore in restores
    )


def _report_snapshots(database: Database, summary: RunSummary, gateways: Sequence[Gateway]) -> dict[str, Any]:
    """Return the snapshots of a run, and a restore's outlook; of a restore the accepted obstacles."""
    from orchestrator.journal.taken_down import assess_restore  # noqa: PLC0415 - no list of runs needs it

    meta, plan = summary.meta, summary.header
    if meta.act == "restore":
        return {
            "accepted": meta.accept,
            "unaccepted": _list_obstacles(database) if meta.unaccepted is None else meta.unaccepted,
            "brings_back": len(meta.restored_runs),
            "unseen": meta.unseen,
        }
    return {
        "snapshots": None if plan.snapshot == "off" else database.one(_SNAPSHOTS)[0],
        "restore_outlook": None if meta.rehearsal else assess_restore(database, plan.snapshot, gateways),
    }


def _list_obstacles(database: Database) -> tuple[str, ...]:
    """Return the obstacles that left targets out of a restore whose journal has them in its reasons alone."""
    reasons: Iterator[str] = (text for (text,) in database.rows(_LEFT_OUT))
    return tuple(sorted({obstacle for text in reasons for obstacle in _ACCEPT_OPTION.findall(text)}))


def _add(cells: Iterable[Totals]) -> Totals:
    sums = dict.fromkeys(Totals.__struct_fields__, 0)
    for cell in cells:
        for key in sums:
            sums[key] += getattr(cell, key)
    return Totals(**sums)
