"""The status of a run on which no process works: from its journal, in the shape that a live run tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import asdict

from orchestrator.display.status import choose_causes
from orchestrator.model.live_status import (
    MOST_CONTROLS,
    MOST_LANES,
    ControlStatus,
    EndStatus,
    LaneStatus,
    LiveStatus,
    OverTime,
    RunFacts,
    RunPhase,
    RunVerdict,
    WaveStatus,
)
from orchestrator.report.advice import find_resume
from orchestrator.report.causes import group_causes
from orchestrator.report.headline import compose_headline, describe_end, judge_end
from orchestrator.report.values import (
    ControlReport,
    Report,
    ReportSource,
    Totals,
    WaveReport,
    list_outcomes,
)
from orchestrator.report.words import ACT_WORDS, describe_approval, name_act
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import find_utc_offset, list_utc_offsets


def read_ended_status(
    source: ReportSource,
    now: float,
    *,
    reports: str,
    over_time: OverTime | None = None,
    state_option: str = "",
) -> LiveStatus:
    """Return the status of a run that has ended, or was killed, at the Unix time ``now``.

    ``reports`` is the folder of its reports; ``over_time`` is what the run itself told before. Commands to
    type end in ``state_option``.
    """
    report = source.report
    facts = _read_facts(report, now)
    verdict = _give_verdict(report, state_option)
    return LiveStatus(
        at=now,
        run=facts,
        verdict=verdict,
        waves=tuple(_read_waves(report)),
        waves_left_out=max(0, len(report.waves) - MOST_LANES),
        lanes=tuple(_read_lanes(report)),
        lanes_left_out=max(0, len(report.gateways) - MOST_LANES),
        causes=tuple(choose_causes(group_causes(source))),
        over_time=over_time or OverTime(start=facts.started, seconds=1.0),
        controls=tuple(map(_read_control, report.controls[-MOST_CONTROLS:])),
        warnings=tuple(_list_warnings(report)),
        closes=facts.closes,
        ended=_read_end(report, verdict.headline, reports),
    )


def _read_facts(report: Report, now: float) -> RunFacts:
    run = report.run
    window = run.window
    started = run.sessions[-1].started if run.sessions else run.started
    return RunFacts(
        id=run.id,
        plan=make_visible(run.plan),
        act=run.act,
        act_words=name_act(run.act, rehearsal=run.rehearsal),
        goal=ACT_WORDS[run.act].goal,
        rehearsal=run.rehearsal,
        reason=run.reason and make_visible(run.reason),
        targets=report.totals.targets,
        session=max(1, len(run.sessions)),
        resumed=len(run.sessions) > 1,
        started=started.timestamp(),
        opens=None if window is None else _to_unix(window.opens),
        closes=None if window is None else _to_unix(window.closes),
        approval=make_visible(describe_approval(report.approval)) if report.approval else "",
        protect="",
        utc_offset=find_utc_offset(now),
        utc_offsets=list_utc_offsets(now),
    )


def _to_unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _give_verdict(report: Report, state_option: str) -> RunVerdict:
    run = report.run
    command = find_resume(report) if run.state == "killed" else ""
    go_on = f"; `{command}{state_option}` goes on with it, and this page follows" if command else ""
    return RunVerdict(
        state=_name_phase(report),
        tone=judge_end(report).tone,
        headline=make_visible(compose_headline(report)),
        sentence=f"{make_visible(describe_end(report))}{go_on}",
        done_by="",
        against_close="",
        counts=_count(report.totals, report),
    )


def _name_phase(report: Report) -> RunPhase:
    match report.run.state:
        case "running":  # another process took it up a moment ago
            return "starting"
        case "killed":
            return "interrupted"
        case ended:
            return ended


def _count(totals: Totals, report: Report) -> dict[str, int]:
    counts = _count_outcomes(totals, report)
    return {"targets": totals.targets, "ended": _count_ended(totals, report), **counts}


def _count_outcomes(totals: Totals, report: Report) -> dict[str, int]:
    found = asdict(totals)
    return {outcome.value: found[outcome.value] for outcome in list_outcomes(report.run.act)}


def _count_ended(totals: Totals, report: Report) -> int:
    """Return how many targets have ended: what a run that ended early has not started has not."""
    return totals.targets if report.run.state == "complete" else totals.targets - totals.not_started


def _read_waves(report: Report) -> Iterator[WaveStatus]:
    for number, wave in enumerate(report.waves[:MOST_LANES], 1):
        yield _read_wave(wave, number, report)


def _read_wave(wave: WaveReport, number: int, report: Report) -> WaveStatus:
    ended = _count_ended(wave.totals, report)
    return WaveStatus(
        name=make_visible(wave.name),
        number=number,
        state="ended" if ended or not wave.totals.targets else "to come",
        total=wave.totals.targets,
        ended=ended,
        counts=_count_outcomes(wave.totals, report),
    )


def _read_lanes(report: Report) -> Iterator[LaneStatus]:
    for gateway in report.gateways[:MOST_LANES]:
        ended = _count_ended(gateway.totals, report)
        open_words = "done" if ended == gateway.totals.targets else "stopped"
        yield LaneStatus(
            name=make_visible(gateway.name),
            kind=gateway.kind,
            url=make_visible(gateway.url),
            state=gateway.lane,
            state_words=open_words if gateway.lane == "open" else gateway.lane,
            total=gateway.totals.targets,
            ended=ended,
            counts=_count_outcomes(gateway.totals, report),
            given_up=gateway.lane == "parked",
            warning=make_visible(gateway.warnings[-1]) if gateway.warnings else None,
        )


def _list_warnings(report: Report) -> list[str]:
    texts = [f"{gateway.name}: {text}" for gateway in report.gateways for text in gateway.warnings]
    texts += report.warnings
    return [make_visible(text) for text in texts[-MOST_LANES:]]


def _read_control(control: ControlReport) -> ControlStatus:
    return ControlStatus(
        at=control.at.timestamp(),
        act=make_visible(control.act),
        by=make_visible(control.by),
        origin=make_visible(control.origin),
    )


def _read_end(report: Report, headline: str, reports: str) -> EndStatus | None:
    run = report.run
    # A killed run has no end of its own, and may go on.
    if run.state == "killed" or run.state == "running" or run.exit_status is None:  # noqa: PLR1714 - narrows
        return None
    ended = run.started if run.ended is None else run.ended
    return EndStatus(
        at=ended.timestamp(),
        state=run.state,
        exit_status=run.exit_status,
        headline=headline,
        reports=reports,
    )
