"""The next steps after a run, as sentences with the commands to type."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.model.outcome import NO_SERVER, NO_WORKER, NO_WORKER_AT_ALL, Reason
from orchestrator.report.counts import count_current_outcomes, count_done, count_missed
from orchestrator.report.use import name_callers
from orchestrator.report.values import GatewayReport, Report, RestoreOutlook, Totals
from orchestrator.report.words import ACT_WORDS, SIMULATED
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import choose_form, name_first
from orchestrator.text.formats import format_moment

MOST_NAMED = 5
"""Most gateways that a step names; it counts the others."""

WINDOW_OPTION = " --window OPENS/CLOSES"


class NextStep(Struct, frozen=True):
    """One thing to do next, as a sentence; ``command`` is the line to type, empty if there is none."""

    text: str
    command: str = ""


def advise(report: Report) -> tuple[NextStep, ...]:
    """Return what to do next, in order; never empty."""
    if report.run.state == "running":
        return (NextStep("The run is still going on; these numbers will change."), *_advise_takeover(report))
    if report.run.rehearsal:
        return (NextStep(f"This was a rehearsal: {SIMULATED}."), *_advise_after_rehearsal(report))
    # A lane comes first: until its cause is mended, a resume would end as this run did.
    steps = (*_advise_on_lanes(report), *_advise_resume(report), *_advise_on_open_ends(report))
    nothing = NextStep("Nothing is left to do.")
    return (
        *_describe_restores(report),
        *(steps or (nothing,)),
        *_describe_unrestorable(report),
        *_advise_restore(report),
    )


def _advise_takeover(report: Report) -> Iterator[NextStep]:
    """Name the command that takes the results of an engine over, in case no process does any more."""
    if report.engine_options is not None:
        yield NextStep(
            "If its own process has ended, another one takes the results over:",
            f"undeploy resume {report.run.id} {report.engine_options}",
        )


def find_resume(report: Report) -> str:
    """Return the command that goes on with a run that no process works on; empty where there is none."""
    commands = (step.command for step in advise(report))
    return next((command for command in commands if command.startswith("undeploy resume")), "")


def _advise_after_rehearsal(report: Report) -> Iterator[NextStep]:
    # A rehearsal can be neither resumed nor restored: its steps hold no command.
    steps = (*_advise_on_lanes(report), *_advise_on_open_ends(report))
    yield from (step for step in steps if not step.command)


def _describe_restores(report: Report) -> Iterator[NextStep]:
    """Say that a restore has begun, and name the newest one."""
    if not report.restores:
        return
    newest, up = report.restores[-1], sum(report.up_again.values())
    begun = f"began on {format_moment(newest.begun)}" if newest.begun else "is about to begin"
    going = ", and goes on" if newest.live and newest.begun else ""
    many = f"{len(report.restores):,} restores; the newest, {newest.id}," if len(report.restores) > 1 else ""
    these = f"{up:,} of {report.totals.targets:,} {choose_form(up, 'is', 'are')} up again"
    yield NextStep(f"{many or f'Restore {newest.id}'} {begun}{going}: {these}.")


def _describe_unrestorable(report: Report) -> Iterator[NextStep]:
    for lost in report.restore_outlook.unrestorable if report.restore_outlook else ():
        yield NextStep(f"{lost.count:,} cannot be brought back by a restore, since {lost.cause}.")


def _advise_restore(report: Report) -> Iterator[NextStep]:
    back = report.restore_outlook
    if (
        back is not None
        and report.run.state == "complete"
        and (these := " and ".join(_list_restorable(back)))
    ):
        yield NextStep(
            f"To bring back {these}, when the time comes:", _compose_restore(report, report.run.id)
        )
        for accepted, count in back.to_accept.items():
            yield NextStep(
                f"{count:,} of them {choose_form(count, 'comes', 'come')} back only with --accept {accepted}."
            )


def _list_restorable(back: RestoreOutlook) -> Iterator[str]:
    if back.restorable:
        these = "the one" if back.undeployed == 1 else f"the {back.undeployed:,}"
        share = these if back.restorable == back.undeployed else f"{back.restorable:,} of {these}"
        yield f"{share} that this run took down"
    if back.doubtful_restorable:
        these = "the one" if back.doubtful_restorable == 1 else f"the {back.doubtful_restorable:,}"
        yield f"{these} that may have gone down"


def _advise_on_lanes(report: Report) -> Iterator[NextStep]:
    closed = [make_visible(gateway.name) for gateway in report.gateways if gateway.lane == "closed"]
    if _wants_workers(report):
        yield NextStep(
            "Start a worker of each zone, where it reaches its gateways:",
            f"undeploy worker --zone ZONE {report.engine_options}",
        )
    zones = {gateway.name: _find_missing_zone(gateway) for gateway in report.gateways}
    silent = [
        make_visible(gateway.name)
        for gateway in report.gateways
        if gateway.lane == "parked" and zones[gateway.name] is None
    ]
    if closed:
        yield NextStep(
            f"Mend what the warnings say about {name_first(closed, MOST_NAMED)}:"
            " closed for the rest of this run."
        )
    for zone in sorted({zone for zone in zones.values() if zone is not None}):
        yield NextStep(
            f"Start a worker of zone {zone}, where it reaches its gateways:",
            f"undeploy worker --zone {zone} {report.engine_options}",
        )
    if silent:
        yield NextStep(
            # It may have answered: with refusals to take more, or to a login alone.
            f"Check what the warnings say about {name_first(silent, MOST_NAMED)}: parked when the run ended."
        )


def _find_missing_zone(gateway: GatewayReport) -> str | None:
    """Return the zone without a worker for which a lane is parked; None if it is parked for its gateway."""
    begin = f"{Reason.PARKED}: {NO_WORKER} "
    waited = [text.removeprefix(begin) for text in gateway.warnings if text.startswith(begin)]
    return waited[-1].split()[0] if waited and gateway.lane == "parked" else None


def _advise_resume(report: Report) -> Iterator[NextStep]:
    run, totals = report.run, count_current_outcomes(report)
    # A complete run with status 4 or 130 left targets for a resume, for example those of a closed lane.
    if run.state == "complete" and run.exit_status not in {4, 130}:
        return
    text, option = _choose_resume(report, totals)
    if not text:
        return
    if report.restores:
        text = f"A restore has begun, so only if the rest shall still go down: {text[0].lower()}{text[1:]}"
        # Once a restore has begun, a resume without this option is refused.
        option += " --after-restore"
    if report.engine_options is not None:
        # This machine may reach no gateway of it.
        option += f" {report.engine_options}"
    yield NextStep(text, f"undeploy resume {run.id}{option}")


def _choose_resume(report: Report, totals: Totals) -> tuple[str, str]:
    """Return what to do before a resume, and its option; two empty texts if no resume makes sense."""
    stopped_by = report.run.stopped_by or ""
    if stopped_by.startswith(Reason.STOP_RULE):
        return "A stop rule ended the run. Once its cause is understood, go on past it:", " --past-stop"
    if report.stop_rule is not None:
        fired = f"A stop rule had fired before ({report.stop_rule})"
        return f"{fired}. Once its cause is understood, go on past it:", " --past-stop"
    if stopped_by.startswith(Reason.WINDOW):
        return "The window closed before all was done. Go on in another one:", WINDOW_OPTION
    if stopped_by.startswith(Reason.DISK):
        return "The journal could not be written. See to the disk that holds it, then go on:", ""
    if totals.unknown or totals.not_started:
        window, option = (", in another window", WINDOW_OPTION) if report.cut_off else ("", "")
        return f"{_describe_condition(report)}{window}; what is unknown is looked at first:", option
    return "", ""


def _wants_workers(report: Report) -> bool:
    return (report.run.stopped_by or "").startswith(f"{Reason.INTERRUPT}: {NO_WORKER_AT_ALL} ")


def _describe_condition(report: Report) -> str:
    run = report.run
    if _wants_workers(report):
        return "Then go on where it ended"
    if (run.stopped_by or "").startswith(f"{Reason.INTERRUPT}: {NO_SERVER} "):
        return f"Once {NO_SERVER} {run.engine} answers again, go on where it ended"
    if run.state == "stopped" and (run.stopped_by or "").startswith(Reason.INTERRUPT):
        return "A person stopped the run. Go on where it ended"
    if any(gateway.lane != "open" for gateway in report.gateways):
        return "Then go on where it ended"
    if (run.stopped_by or "").startswith(Reason.PARKED):
        return "Once the parked gateway answers again, go on where the run ended"
    return "Go on where it ended"


def _advise_on_open_ends(report: Report) -> Iterator[NextStep]:
    # Before the run is complete a resume may still change these, except for failed targets.
    totals, complete = report.totals, report.run.state == "complete"
    if failed := totals.failed - report.accepted_losses:
        yield NextStep(f"Read why {failed:,} failed; a resume does not repeat {_choose_pronoun(failed)}.")
    if lost := report.accepted_losses:
        yield NextStep(
            f"{lost:,} {choose_form(lost, 'is', 'are')} deployed without what you accepted to lose:"
            " no restore brings that back."
        )
    if totals.unknown and complete:
        yield NextStep(
            f"Look at the {totals.unknown:,} unknown on the gateway: a request may have arrived, "
            "and no look could settle it."
        )
    if (dependent := report.dependent) and complete:
        goal = ACT_WORDS[report.run.act].goal
        yield NextStep(
            f"{dependent:,} {choose_form(dependent, 'was', 'were')} not started, because a target that "
            f"{choose_form(dependent, 'it comes', 'they come')} after is not {goal}: see to that one first."
        )
    used = report.use.left_alone if report.use else 0
    if used and complete:
        yield _advise_on_use(report, used)
    if (missed := count_missed(report) - dependent - used) and complete:
        yield NextStep(f"Read why {missed:,} {choose_form(missed, 'was', 'were')} not started.")
    if complete and report.run.exit_status == 1 and _has_remainder(report):
        yield NextStep(
            "Once the causes are mended, make a plan of what is left:",
            f"undeploy remainder {report.run.id} -o rest.yaml",
        )
    if report.run.act == "restore" and complete:
        yield from _advise_another_restore(report)


def _has_remainder(report: Report) -> bool:
    """Return whether a remainder of a complete run would have targets: one without any is refused."""
    totals = count_current_outcomes(report)
    left = totals.failed + totals.unknown + totals.not_started - report.kept_out.get(Reason.PROTECTED, 0)
    # What comes after a protected target is no more in a remainder than that one.
    return report.run.act == "undeploy" and left > report.dependent


def _advise_on_use(report: Report, used: int) -> NextStep:
    who = name_callers(report.use) if report.use else ""
    ask = f"ask {make_visible(who)}" if who else "ask those who call them"
    called, untold = (report.use.counts.in_use, report.use.counts.not_told) if report.use else (0, 0)
    # No bound lets a target go whose calls nothing tells.
    bound = "raise in_use_over for what may go" if called else "say in_use: warn for what may go"
    both = " (in_use: warn where nothing tells it)" if called and untold else ""
    were = choose_form(used, "was left alone", "were left alone")
    they_are = choose_form(used, "it is", "they are")
    why = f"because {they_are} in use, or because nothing tells it"
    if not called:
        why = f"because nothing tells whether {they_are} in use"
    rest = "leave the rest out with --skip."
    return NextStep(f"{used:,} {were}, {why}: {ask}; then {bound}{both}, and {rest}")


def _advise_another_restore(report: Report) -> Iterator[NextStep]:
    """Advise to repeat a restore that left targets down: the next one deploys only those."""
    run, left = report.run, report.kept_out.get(Reason.SKIPPED, 0)
    accepted = tuple(f" --accept {name}" for name in report.accepted)
    more = tuple(f" --accept {name}" for name in report.unaccepted)
    if more:
        these = "it would not come back as it was" if left == 1 else "they would not come back as they were"
        yield NextStep(
            f"{left:,} {choose_form(left, 'was', 'were')} left out, because {these}. To accept that:",
            _compose_restore(report, run.parent, *sorted((*accepted, *more))),
        )
    elif count_done(report.totals) + report.accepted_losses < report.totals.targets:
        adds = ", creates what is missing" if report.in_part > report.accepted_losses else ""
        yield NextStep(
            "Once the causes are mended, another restore deploys what is not up yet"
            f"{adds}, and nothing else:",
            _compose_restore(report, run.parent, *accepted),
        )
    if report.unseen:
        stays = "1 more stays as it is" if report.unseen == 1 else f"{report.unseen:,} more stay as they are"
        yield NextStep(
            f"{stays}, down or in doubt: no look had seen {_choose_pronoun(report.unseen)} deployed before."
        )


def _compose_restore(report: Report, run: str | None, *options: str) -> str:
    """Return the command that brings back the run, or all runs of its chain."""
    # Several restores in a row would leave a chain half up when one of them fails.
    chain = " --chain" if report.chain or report.brings_back > 1 else ""
    engine = "" if report.engine_options is None else f" {report.engine_options}"
    return f"undeploy restore {run}{chain}{''.join(options)}{engine}"


def _choose_pronoun(count: int) -> str:
    return choose_form(count, "it", "them")
