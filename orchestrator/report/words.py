"""What the reports for people say in words: how the run ended, what to do next, times and durations."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome, Reason
from orchestrator.report.values import (
    Consent,
    How,
    Report,
    RunReport,
    SessionReport,
    Totals,
    WayBack,
    WindowReport,
)
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import choose_form, count_noun
from orchestrator.text.formats import format_moment

OUTCOME_WORDS = {
    Outcome.UNDEPLOYED: "undeployed",
    Outcome.ALREADY_UNDEPLOYED: "already undeployed",
    Outcome.RESTORED: "restored",
    Outcome.ALREADY_DEPLOYED: "already deployed",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "unknown",
    Outcome.NOT_STARTED: "not started",
}

WINDOW_OPTION = " --window OPENS/CLOSES"
_LEADS = {
    "complete": "",
    "running": "Still running: ",
    "stopped": "Stopped early: ",
    "interrupted": "Interrupted: ",
    "killed": "Killed: ",
}


REHEARSAL = "Rehearsal"
SIMULATED = "simulators stood in for the gateways, and nothing of it has happened to them"


class Speech(Struct, frozen=True):
    """How an act is spoken of."""

    end: str
    """What its targets are to be."""
    change: str
    """What is sent for each of them."""


SPEECH = {"undeploy": Speech("down", "undeploy"), "restore": Speech("deployed again", "deploy")}


class Advice(Struct, frozen=True):
    """One thing to do next, as a sentence; ``command`` is what to type, empty where nothing is."""

    text: str
    command: str = ""


def in_force(patterns: int) -> str:
    """Return in words how many patterns are in force."""
    return {0: "no pattern is", 1: "1 pattern is"}.get(patterns, f"{patterns:,} patterns are") + " in force"


def guarded(patterns: int, protected: int) -> str:
    """Return in words how many patterns are in force, and how many targets they protect."""
    if not patterns:
        return in_force(patterns)
    return f"{in_force(patterns)}, {count_noun(protected, 'target is', 'targets are')} protected"


def done(totals: Totals) -> int:
    """How many targets are known to be as the run wants them: down, or in a restore deployed again."""
    return totals.undeployed + totals.restored + _already(totals)


def _already(totals: Totals) -> int:
    return totals.already_undeployed + totals.already_deployed


_KEPT_OUT_WORDS = {"filtered": "left out", "protected": "protected", "skipped": "skipped"}


def as_it_is(report: Report) -> Totals:
    """Return the counts of outcomes without the targets that a restore has brought back."""
    less = {name: getattr(report.totals, name) - count for name, count in report.up_again.items()}
    return replace(report.totals, **less)


def headline(report: Report) -> str:
    """How the run ended, and how its targets are now, in one sentence that rounds nothing."""
    rest = ", ".join(_rest(report))
    share = _up_again(report) or _share(as_it_is(report), SPEECH[report.run.act].end)
    lead = _LEADS[report.run.state]
    if report.run.rehearsal:
        lead = f"{REHEARSAL}: {lead[:1].lower()}{lead[1:]}"
    sentence = f"{lead}{share}{'; ' if rest else ''}{rest}."
    return sentence[0].upper() + sentence[1:]


def _share(totals: Totals, end: str) -> str:
    match done(totals), totals.targets:
        case _, 0:
            return "the run had no targets"
        case 1, 1:
            return f"the one target is {end}"
        case 0, 1:
            return f"the one target is not {end}"
        case count, targets if count == targets:
            return f"all {targets:,} targets are {end}"
        case 0, targets:
            return f"none of {targets:,} targets is {end}"
        case count, targets:
            return f"{count:,} of {targets:,} targets {choose_form(count, 'is', 'are')} {end}"


def _up_again(report: Report) -> str:
    """Say that targets are up again, where none is down any more."""
    up, targets = sum(report.up_again.values()), report.totals.targets
    if not up or done(as_it_is(report)):
        return ""
    if up == targets:
        return "the one target is up again" if up == 1 else f"all {up:,} targets are up again"
    return f"{up:,} of {targets:,} targets {choose_form(up, 'is', 'are')} up again"


def _rest(report: Report) -> Iterator[str]:
    totals, up = as_it_is(report), sum(report.up_again.values())
    if up and not _up_again(report):
        yield f"{up:,} {choose_form(up, 'is', 'are')} up again"
    if already := _already(totals):
        yield f"{already:,} already {choose_form(already, 'was', 'were')}"
    if totals.failed:
        yield f"{totals.failed:,} failed"
    if totals.unknown:
        yield f"{totals.unknown:,} {choose_form(totals.unknown, 'is', 'are')} unknown"
    if missed := _missed(report):
        yield f"{missed:,} {choose_form(missed, 'was', 'were')} not started"
    for word, count in report.kept_out.items():
        yield f"{count:,} {_KEPT_OUT_WORDS[word]}"


def _missed(report: Report) -> int:
    """Count what was not started though nobody wanted it kept out."""
    return as_it_is(report).not_started - sum(report.kept_out.values())


def dangers(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the warnings that no reader may miss, with their gateways: verification switched off."""
    return tuple(
        (gateway.name, text)
        for gateway in report.gateways
        for text in gateway.warnings
        if text.startswith("insecure:")
    )


def ending(run: RunReport) -> str:
    """The state, what stopped the run, and the exit status, as far as they are known."""
    cause = f" by {run.stopped_by}" if run.state == "stopped" and run.stopped_by else ""
    status = "" if run.exit_status is None else f", exit status {run.exit_status}"
    return f"{run.state}{cause}{status}"


def advice(report: Report) -> tuple[Advice, ...]:
    """What to do next, in order; never empty."""
    if report.run.state == "running":
        return (Advice("The run is still going on; these numbers will change."),)
    if report.run.rehearsal:
        return (Advice(f"This was a rehearsal: {SIMULATED}."), *_rehearsed(report))
    steps = (*_lanes(report), *_resume(report), *_open_ends(report))
    nothing = Advice("Nothing is left to do.")
    return (*_restored(report), *(steps or (nothing,)), *_lost(report), *_way_back(report))


def _rehearsed(report: Report) -> Iterator[Advice]:
    """What the rehearsal shows; there is nothing to go on with, or to bring back."""
    yield from (step for step in (*_lanes(report), *_open_ends(report)) if not step.command)


def _restored(report: Report) -> Iterator[Advice]:
    """Tell which restore has begun, the newest one by name."""
    if not report.restores:
        return
    newest, up = report.restores[-1], sum(report.up_again.values())
    begun = f"began on {format_moment(newest.begun)}" if newest.begun else "is about to begin"
    going = ", and goes on" if newest.live and newest.begun else ""
    many = f"{len(report.restores):,} restores; the newest, {newest.id}," if len(report.restores) > 1 else ""
    these = f"{up:,} of {report.totals.targets:,} {choose_form(up, 'is', 'are')} up again"
    yield Advice(f"{many or f'Restore {newest.id}'} {begun}{going}: {these}.")


def _lost(report: Report) -> Iterator[Advice]:
    for lost in report.way_back.lost if report.way_back else ():
        yield Advice(f"{lost.count:,} cannot be brought back by a restore, since {lost.since}.")


def _way_back(report: Report) -> Iterator[Advice]:
    back = report.way_back
    if back is not None and report.run.state == "complete" and (these := " and ".join(_returning(back))):
        yield Advice(f"To bring back {these}, when the time comes:", _restore_command(report, report.run.id))
        for accepted, count in back.wants.items():
            yield Advice(
                f"{count:,} of them {choose_form(count, 'comes', 'come')} back only with --accept {accepted}."
            )


def _returning(back: WayBack) -> Iterator[str]:
    if back.kept:
        these = "the one" if back.taken == 1 else f"the {back.taken:,}"
        share = these if back.kept == back.taken else f"{back.kept:,} of {these}"
        yield f"{share} that this run took down"
    if back.doubtful_kept:
        these = "the one" if back.doubtful_kept == 1 else f"the {back.doubtful_kept:,}"
        yield f"{these} that may have gone down"


def _lanes(report: Report) -> Iterator[Advice]:
    closed = [make_visible(gateway.name) for gateway in report.gateways if gateway.lane == "closed"]
    parked = [make_visible(gateway.name) for gateway in report.gateways if gateway.lane == "parked"]
    if closed:
        yield Advice(f"Mend what the warnings say about {_listed(closed)}: closed for the rest of this run.")
    if parked:
        yield Advice(
            f"See whether {_listed(parked)} {choose_form(len(parked), 'is', 'are')} well again:"
            " parked, for want of answers."
        )


def _listed(names: list[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


def _resume(report: Report) -> Iterator[Advice]:
    run, totals = report.run, as_it_is(report)
    if run.state == "complete" and run.exit_status not in {4, 130}:
        return
    text, option = _how_to_resume(report, totals)
    if not text:
        return
    if report.restores:
        text = f"A restore has begun, so only if the rest is still to go down: {text[0].lower()}{text[1:]}"
        option += " --after-restore"
    yield Advice(text, f"undeploy resume {run.id}{option}")


def _how_to_resume(report: Report, totals: Totals) -> tuple[str, str]:
    """Return what to do before a resume and the option that it wants; two empty texts for no resume."""
    stopped_by = report.run.stopped_by or ""
    if stopped_by.startswith(Reason.STOP_RULE):
        return "A stop rule ended the run. Once its cause is understood, go on past it:", " --past-stop"
    if stopped_by.startswith(Reason.WINDOW):
        return "The window closed before all was done. Go on in another one:", WINDOW_OPTION
    if stopped_by.startswith(Reason.DISK):
        return "The journal could not be written. See to the disk that holds it, then go on:", ""
    if totals.unknown or totals.not_started:
        window, option = (", in another window", WINDOW_OPTION) if report.cut_off else ("", "")
        return f"{_before_going_on(report)}{window}; what is unknown is looked at first:", option
    return "", ""


def _before_going_on(report: Report) -> str:
    run = report.run
    if run.state == "stopped" and (run.stopped_by or "").startswith(Reason.INTERRUPT):
        return "Somebody stopped the run. Go on where it ended"
    if any(gateway.lane != "open" for gateway in report.gateways):
        return "Then go on where it ended"
    if (run.stopped_by or "").startswith(Reason.PARKED):
        return "Once the gateway that was not well is well again, go on where it ended"
    return "Go on where it ended"


def _open_ends(report: Report) -> Iterator[Advice]:
    totals, complete = report.totals, report.run.state == "complete"
    if totals.failed:
        yield Advice(f"Read why {totals.failed:,} failed; a resume does not repeat {_them(totals.failed)}.")
    if totals.unknown and complete:
        yield Advice(
            f"Look at the {totals.unknown:,} unknown on the gateway: a request may have arrived, "
            "and no look could settle it."
        )
    if (dependent := report.dependent) and complete:
        end = SPEECH[report.run.act].end
        yield Advice(
            f"{dependent:,} {choose_form(dependent, 'was', 'were')} not started, because what "
            f"{choose_form(dependent, 'it comes', 'they come')} after is not {end}: see to that first."
        )
    if (missed := _missed(report) - dependent) and complete:
        yield Advice(f"Read why {missed:,} {choose_form(missed, 'was', 'were')} not started.")
    if complete and report.run.exit_status == 1 and report.run.act == "undeploy":
        yield Advice(
            "Once the causes are mended, make a plan of what is left:",
            f"undeploy remainder {report.run.id} -o rest.yaml",
        )
    if report.run.act == "restore" and complete:
        yield from _once_more(report)


def _once_more(report: Report) -> Iterator[Advice]:
    """A restore that was not whole is done again: it deploys only what is not up."""
    run, left = report.run, report.kept_out.get(Reason.SKIPPED, 0)
    accepted = tuple(f" --accept {name}" for name in report.accepted)
    more = tuple(f" --accept {name}" for name in report.in_the_way)
    if more:
        these = "it would not come back as it was" if left == 1 else "they would not come back as they were"
        yield Advice(
            f"{left:,} {choose_form(left, 'was', 'were')} left out, because {these}. To accept that:",
            _restore_command(report, run.parent, *sorted((*accepted, *more))),
        )
    elif done(report.totals) < report.totals.targets:
        yield Advice(
            "Once the causes are mended, another restore deploys what is not up yet, and nothing else:",
            _restore_command(report, run.parent, *accepted),
        )
    if report.unseen:
        stays = "1 more stays as it is" if report.unseen == 1 else f"{report.unseen:,} more stay as they are"
        yield Advice(f"{stays}, down or in doubt: no look had seen {_them(report.unseen)} deployed before.")


def _restore_command(report: Report, run: str | None, *options: str) -> str:
    """The command that brings back all that a report is about: a run, or those of a chain."""
    chain = " --chain" if report.chain or report.brings_back > 1 else ""
    return f"undeploy restore {run}{chain}{''.join(options)}"


def _them(count: int) -> str:
    return choose_form(count, "it", "them")


def act_of(run: RunReport) -> str:
    """What was done: ``undeploy``, ``restore``, or the rehearsal of one."""
    return told_act(run.act, rehearsal=run.rehearsal)


def told_act(act: str, *, rehearsal: bool) -> str:
    """The same by its parts."""
    return f"rehearsal of {'an' if act == 'undeploy' else 'a'} {act}" if rehearsal else act


def worked(session: SessionReport) -> str:
    """Who worked on a session, when, and how it ended."""
    by = " on ".join(filter(None, (session.by, session.host))) or "nobody known"
    if session.ended is None:
        return f"{format_moment(session.started)}, by {by}; its end is not known"
    status = "" if session.exit_status is None else f", exit status {session.exit_status}"
    return f"{format_moment(session.started)} to {format_moment(session.ended)}, by {by}{status}"


def agreed(consent: Consent) -> str:
    """How a run was agreed to, by whom and when."""
    return f"{consented(consent)}, {format_moment(consent.at)}"


def consented(consent: Consent) -> str:
    """How a run was agreed to, and by whom."""
    return f"{_HOW[consent.how]}, by {consent.by}"


_HOW: dict[How, str] = {
    "none": "nobody was asked",
    "yes": "--yes",
    "prompt": "digest typed",
    "digest": "digest given",
    "file": "approval file",
    "signed": "signed approval file",
}


def hours(window: WindowReport) -> str:
    """When the run might work, and where that was not the plan's own window."""
    opens = f"from {format_moment(window.opens)} " if window.opens else ""
    until = f"until {format_moment(window.closes)}" if window.closes else "without an end"
    return f"{opens}{until}" + (
        ", by --window or --close-at, not by the plan" if window.origin == "option" else ""
    )
