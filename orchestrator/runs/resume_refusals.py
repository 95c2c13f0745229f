"""What keeps a run from being resumed: an edited plan, a stop rule, a restore. Nothing was sent by then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from orchestrator.engine.options import RunOptions
from orchestrator.errors import OrchestratorError, RunError, UsageError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.restores import Restore, find_unreadable
from orchestrator.report.advice import find_resume
from orchestrator.runs.load import digest_file
from orchestrator.runs.start import make_slug
from orchestrator.runs.stopped_run import StoppedRun
from orchestrator.text.formats import format_unix_time


def refuse_edited_or_stopped(stopped: StoppedRun) -> None:
    """Raise RunError for a plan that was edited, UsageError for a stop rule that the operator must accept."""
    run, plan_file = stopped.folder.id, stopped.folder.plan
    if digest_file(plan_file) != stopped.meta.source:
        raise RunError(
            f"{plan_file} was edited after run {run} began; a run goes on with the plan that was"
            " approved. Put the file back, or start a new run with the edited plan"
        )
    stopped_by = stopped.find_stop_rule()
    if stopped_by is not None and not stopped.options.past_stop:
        raise UsageError(f"run {run} was stopped ({stopped_by}); --past-stop goes on all the same")


def refuse_unread_restore(stopped: StoppedRun) -> None:
    """Raise RunError if a later run that is named as a restore of this plan cannot be read.

    What such a restore brought back would go down again.
    """
    mark = f"-{make_slug(f'restore-{stopped.plan.name}')}-"
    for place in sorted(stopped.list_places()) if stopped.meta.act == "undeploy" else ():
        for run, error in find_unreadable(place, mark):
            if run > stopped.folder.id:
                raise RunError(
                    f"run {stopped.folder.id} is not resumed: {run} may be a restore of it, and cannot be"
                    f" read: {error}. Nothing was sent. If it has brought nothing back, move its folder away"
                )


def refuse_restored(folder: RunFolder, restores: Sequence[Restore], options: RunOptions) -> None:
    """Raise UsageError if a restore of the run has begun, unless ``--after-restore`` accepts that."""
    if not restores or options.after_restore:
        return
    newest = restores[-1]
    if newest.begun is None:
        state = f"restore {newest.id} of it is about to begin"
    else:
        began = format_unix_time(newest.begun)
        state = f"restore {newest.id} of it began on {began}"
    raise UsageError(
        f"run {folder.id} is not resumed: {state}, so that what this run took down is coming up again."
        " Nothing was sent. --after-restore goes on all the same, with what was not started or is unknown;"
        f" what the restore brought back stays up{_advise_on_restore(newest, folder.state_option)}"
    )


def _advise_on_restore(restore: Restore, state_option: str) -> str:
    if restore.whole or restore.live:
        return ""
    command = ""
    with suppress(OrchestratorError), RunFolder(restore.journal.parent).open_source(whole=False) as source:
        command = find_resume(source.report)  # it may want its server, or --past-stop
    return f". `{command or f'undeploy resume {restore.id}'}{state_option}` goes on with the restore"
