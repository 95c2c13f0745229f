"""undeploy status: tell where a run stands, be it live or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.options.display import format_option
from orchestrator.commands.options.runs import run_or_none_argument, state_option
from orchestrator.commands.terminal.output import tell
from orchestrator.errors import ExitStatus, OrchestratorError
from orchestrator.system.state_folder import format_state_option

if TYPE_CHECKING:
    from orchestrator.journal.folder import RunFolder
    from orchestrator.journal.report_source import JournalReportSource
    from orchestrator.model.causes import CauseGroup
    from orchestrator.model.live_status import LaneStatus, LiveStatus
    from orchestrator.report.values import Report

_LANE_INSTANTS = ("since", "until", "probe_at", "gives_up_at", "done_by")

PATIENCE = 2.0
"""Seconds that a live run has for its answer; after that its journal is read instead."""


@click.command("status")
@run_or_none_argument
@format_option("text", "json", help_text="text, or JSON, one run a line.")
@state_option
def command(run: str | None, form: str, state: Path) -> int:
    """Tell where a run stands, and what it waits for.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name; without RUN all
    live runs are told of, or `latest` if none is live. A live run is asked itself; if it does not answer, its
    journal is read.
    """
    status = ExitStatus.DONE
    for number, folder in enumerate(choose_runs(run, state)):
        try:
            _tell_status(folder, form, state, is_first=not number)
        except OrchestratorError as error:
            if run is not None:
                raise
            # One run that cannot be read must not hide the others.
            tell(f"{folder.id}: {error}")
            status = ExitStatus.NOTHING_SENT
    return status


def _tell_status(folder: RunFolder, form: str, state: Path, *, is_first: bool) -> None:
    live, option = ask_live_status(folder), format_state_option(state)
    with folder.open_source() as source:
        if form == "json":
            click.echo(render_json(source, live, state=option))
            return
        if not is_first:
            click.echo()
        for line in render_text(source, live, held=folder.describe_holder(), state=option):
            click.echo(line)


def choose_runs(run: str | None, state: Path) -> list[RunFolder]:
    """Return the run that is named; without a name all live runs, or the latest where none is live."""
    from orchestrator.journal.run_lookup import find_run, list_runs

    if run is not None:
        return [find_run(state, run)]
    kept = (*list_runs(state), *list_runs(state, rehearsals=True))
    return [folder for folder in kept if _may_be_live(folder)] or [find_run(state, "latest")]


def _may_be_live(folder: RunFolder) -> bool:
    """Return whether a process works on a run; also where that cannot be read, which is told later."""
    try:
        return folder.read_holder() is not None
    except OrchestratorError:
        return True


def ask_live_status(folder: RunFolder) -> LiveStatus | None:
    """Ask a live run where it stands; return None for a run that is not live here, or gives no answer."""
    import msgspec

    from orchestrator.engine.control_commands import ReadStatus
    from orchestrator.model.live_status import LiveStatus
    from orchestrator.runs.control_socket import ControlQuestion, send_command

    holder = folder.read_holder()
    if holder is None or holder.engine is not None:
        return None
    try:
        return msgspec.json.decode(
            send_command(folder.path, ControlQuestion(command=ReadStatus()), patience=PATIENCE),
            type=LiveStatus,
        )
    except (OrchestratorError, OSError, msgspec.MsgspecError) as error:
        # A run that is starting or ending has no socket, and its journal still tells most of it.
        tell(f"{folder.id} goes on and was asked in vain ({error}); this is what its journal says")
        return None


def render_json(source: JournalReportSource, live: LiveStatus | None, *, state: str = "") -> str:
    """Return where a run stands as one JSON object: the keys of report.json but its targets, and more."""
    import msgspec

    from orchestrator.display.status import choose_causes
    from orchestrator.report.causes import group_causes
    from orchestrator.report.formats.json import encode_head
    from orchestrator.report.values import SCHEMA

    found: dict[str, Any] = {"schema": SCHEMA, **encode_head(source.report)}
    found["waits_for"] = live.waits_for if live else _describe_wait(source.report, state)
    found["until"] = _format_instant(live.until) if live else None
    found["forecast"] = _describe_forecast(live) if live else None
    found["wave"] = _describe_wave(source, live)
    found["lanes"] = [_describe_lane(lane) for lane in live.lanes] if live else []
    found["causes"] = live.causes if live else list(choose_causes(group_causes(source)))
    found["headroom"] = live.headroom if live else []
    found["question"] = live.question if live else None
    return msgspec.json.encode(found).decode()


def _format_instant(at: float | None) -> str | None:
    from datetime import UTC, datetime

    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}Z"


def _describe_forecast(live: LiveStatus) -> dict[str, Any] | None:
    from orchestrator.rules.forecast import encode_forecast

    return None if live.forecast is None else encode_forecast(live.forecast)


def _describe_lane(lane: LaneStatus) -> dict[str, Any]:
    from msgspec.structs import asdict

    instants = {name: _format_instant(getattr(lane, name)) for name in _LANE_INSTANTS}
    return {**asdict(lane), **instants}


def _describe_wave(source: JournalReportSource, live: LiveStatus | None) -> dict[str, Any] | None:
    """Return the wave that the run has reached, counted from 1; None before the first wave."""
    if (wave_step := source.read_wave_step()) is None:
        return None
    (wave, step), steps = wave_step
    number = {"number": wave + 1, "of": len(source.plan.waves)}
    going = next((wave for wave in live.waves if wave.state == "going"), None) if live else None
    if going and going.step is not None:
        step, steps = going.step - 1, going.steps
    return {"name": source.plan.waves[wave].name, **number, "step": step + 1, "steps": steps}


def _describe_wait(report: Report, state: str) -> str | None:
    """Return the command that goes on with a run that has ended early; None where there is none."""
    from orchestrator.report.advice import find_resume

    command = find_resume(report)
    return f"somebody who goes on with it: {command}{state}" if command else None


def render_text(
    source: JournalReportSource, live: LiveStatus | None, *, held: str | None, state: str = ""
) -> Iterator[str]:
    """Yield where a run stands as lines for people. ``held`` names the process that works on the run."""
    from orchestrator.report.headline import compose_headline
    from orchestrator.report.words import describe_act, describe_session, describe_window
    from orchestrator.text.characters import make_visible

    report = source.report
    plan = make_visible(report.run.plan)
    yield f"run       {report.run.id}: {describe_act(report.run)} of {plan}, {report.run.state}"
    if held and report.run.state == "running":
        yield f"session   {len(report.run.sessions)}, {held}"
    elif report.run.sessions:
        yield f"session   {len(report.run.sessions)}, {describe_session(report.run.sessions[-1])}"
    # The journal of a live run is a moment behind the run itself.
    yield f"targets   {live.verdict.headline if live else compose_headline(report)}"
    if wave := _describe_wave(source, live):
        step = f", step {wave['step']} of {wave['steps']}" if wave["steps"] > 1 else ""
        yield f"wave      {wave['number']} of {wave['of']}, {make_visible(wave['name'])}{step}"
    if report.run.window:
        yield f"window    {describe_window(report.run.window)}"
    yield from _render_live(live) if live else _render_ended(source, state)


def _render_live(live: LiveStatus) -> Iterator[str]:
    yield from _render_lanes(live)
    for number, cause in enumerate(live.causes):
        yield f"{'' if number else 'causes':<10}{describe_cause(cause)}"
    for number, room in enumerate(live.headroom):
        yield f"{'' if number else 'stops if':<10}{room.text}"
    if live.waits_for:
        yield _render_wait(live.waits_for)
    if live.question:
        yield f"asks      {live.question}"
    if live.stopping:
        yield f"stopping  {live.stopping}"
    yield from _render_forecast(live)


def _render_wait(told: str) -> str:
    """Return what the run waits for; of a run that an operator has paused, how it goes on."""
    if told.startswith("paused; "):
        return f"paused    {told.removeprefix('paused; ')}"
    return f"waits for {told.removeprefix('waits for ')}"


def _render_lanes(live: LiveStatus) -> Iterator[str]:
    for lane in live.lanes:
        at_most = f", at most {lane.bound:.1f}/s" if lane.bound is not None else ""
        yield (
            f"lane      {lane.name} is {lane.state_words}; {lane.left:,} left, {lane.in_flight} in flight,"
            f" {lane.repeating} to be repeated{at_most}"
        )
        if lane.list_asked:
            yield f"          it {lane.list_asked}"
    if live.lanes_left_out:
        yield f"          and {live.lanes_left_out:,} more"


def describe_cause(cause: CauseGroup) -> str:
    """Return a cause and its targets in one line: ``12 failed: APIG.9999: System error (roma-eu)``."""
    from orchestrator.report.words import OUTCOME_WORDS

    text = cause.text or cause.label
    # A reason of ours begins with its label; a vendor's message stands beside its code.
    said = text if text.startswith(cause.label) else f"{cause.label}: {text}"
    where = f" ({', '.join(cause.gateways)})" if cause.gateways else ""
    return f"{cause.count:,} {OUTCOME_WORDS[cause.outcome]}: {said}{where}"


def _render_forecast(live: LiveStatus) -> Iterator[str]:
    from orchestrator.display.phrases import describe_done, describe_window_fit, list_late_gateways

    if ahead := live.forecast:
        done = describe_done(ahead, live.at).removeprefix("forecast: ")
        yield f"forecast  {', '.join(filter(None, (done, describe_window_fit(ahead))))}"
        yield from (f"          {text}" for text in list_late_gateways(ahead))


def _render_ended(source: JournalReportSource, state: str) -> Iterator[str]:
    from orchestrator.display.summary import list_next_steps
    from orchestrator.text.characters import make_visible

    report = source.report
    for gateway in report.gateways:
        yield f"lane      {make_visible(gateway.name)} is {gateway.lane}"
        # The next steps send a person to the warnings of such a lane.
        if gateway.lane != "open":
            yield from (f"          {make_visible(warning)}" for warning in gateway.warnings)
    yield from _render_causes(source)
    yield from list_next_steps(report, state=state)


def _render_causes(source: JournalReportSource) -> Iterator[str]:
    from orchestrator.model.live_status import MOST_CAUSES
    from orchestrator.report.causes import group_causes
    from orchestrator.text.characters import make_visible

    causes = group_causes(source)
    for number, cause in enumerate(causes[:MOST_CAUSES]):
        yield f"{'' if number else 'causes':<10}{make_visible(describe_cause(cause))}"
    if len(causes) > MOST_CAUSES:
        yield f"          and {len(causes) - MOST_CAUSES:,} more, in the reports"
