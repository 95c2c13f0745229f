"""How a person agrees to a run: by an option, by an approval file, or by typing the plan's digest."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.options.consent import ApprovalOptions, ConsentOptions, load_hmac_key
from orchestrator.commands.terminal.output import tell
from orchestrator.commands.terminal.preview import preview_with_progress
from orchestrator.commands.terminal.prompt import can_ask, read_answer
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.text.counting import count_noun

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.meta import StoredConsent
    from orchestrator.preview.approval import Approval, Approver
    from orchestrator.report.values import ApprovalMethod
    from orchestrator.runs.load import LoadedPlan

SHORT_DIGITS = 8
"""How many digits of a digest a person types after a look at the counts that it stands for."""
LONG_DIGITS = 32
"""How many digits ``--approve`` wants: another plan with the same eight digits is found in a second."""
MOST_TRIES = 3
"""How often a person may type the digest."""
_SIGNED_WANTED = (
    "this plan wants a signed approval file (approval: signed), and nothing was sent: "
    "`undeploy preview PLAN --save FILE --hmac-key env:NAME` writes one, and --approval FILE with --hmac-key "
    "env:NAME gives it"
)
_FILES_WANTED = {
    "file": "this plan wants an approval file (approval: file), and nothing was sent: "
    "`undeploy preview PLAN --save FILE` writes one, and --approval FILE gives it",
    "signed": _SIGNED_WANTED,
}
_PRINTED_BY = {"plan": "`undeploy check PLAN`", "restore": "`undeploy restore RUN --dry-run`"}


def agree(
    loaded: LoadedPlan, options: RunOptions, consent: ConsentOptions, approval: ApprovalOptions
) -> None:
    """Return once a person has agreed to a run of ``loaded``, and keep the consent in its draft.

    Raises ``UsageError`` where no agreement is given that the plan's ``approval`` takes, and for a filter
    that matches nothing; ``PlanError`` where a protect file has problems.
    """
    from orchestrator.journal.meta import RunMeta
    from orchestrator.runs.selection import refuse_dead_patterns, refuse_idle_filters

    # The run itself would refuse these, too; but no one shall agree in vain.
    refuse_dead_patterns(loaded.plan, options)
    refuse_idle_filters(loaded.draft.database, loaded.plan, options)
    # A file comes first: with --yes beside it, the run is still held to the states that were approved.
    by = identify_approver()
    if approval.approval is not None:
        how, by = _agree_by_file(approval.approval, loaded, options, consent, approval.hmac_key)
    elif approval.hmac_key is not None:
        raise UsageError("--hmac-key is the key of an --approval, and none is given")
    elif loaded.plan.approval in _FILES_WANTED:
        raise UsageError(_FILES_WANTED[loaded.plan.approval])
    elif consent.approve is not None:
        check_digest(consent.approve, loaded.digest)
        how = "digest"
    elif consent.yes:
        if loaded.plan.approval == "digest":
            raise UsageError(
                "this plan wants its digest (approval: digest), so --yes is not enough; nothing was sent: "
                f"--approve {loaded.digest[:LONG_DIGITS]} runs this very plan"
            )
        how = "yes"
    else:
        _agree_by_typing(loaded, options, approval)
        how = "prompt"
    loaded.draft.keep(RunMeta(approved=make_consent(how, by)))


def _agree_by_file(
    path: Path,
    loaded: LoadedPlan,
    options: RunOptions,
    consent: ConsentOptions,
    hmac_key: str | None,
) -> tuple[ApprovalMethod, Approver]:
    """Return the method (a signed file, or an unsigned one) and the approver; raises ``UsageError``."""
    from orchestrator.journal.meta import RunMeta
    from orchestrator.preview.approval_file import guard_run

    # A signature that is not checked proves nothing, so a plan that wants one wants the key, too.
    if loaded.plan.approval == "signed" and hmac_key is None:
        raise UsageError(_SIGNED_WANTED)
    found = _load_approval(path, loaded, options, hmac_key)
    guard_run(loaded, found)
    loaded.draft.keep(RunMeta(approval_ends=found.expires.timestamp()))
    # Both may be given, and then both must hold.
    if consent.approve is not None:
        check_digest(consent.approve, loaded.digest)
    return "signed" if found.hmac else "file", found.by


def _load_approval(path: Path, loaded: LoadedPlan, options: RunOptions, hmac_key: str | None) -> Approval:
    """Return the approval in a file; raises ``UsageError`` where it does not hold for the run."""
    from orchestrator.preview.approval_file import load_approval
    from orchestrator.system.reading import FileRefusedError

    key = load_hmac_key(hmac_key)
    try:
        return load_approval(path, loaded, options, key, now=datetime.now(UTC))
    except FileRefusedError as refused:
        raise UsageError(f"--approval {path}: {refused}") from None
    except UsageError as error:
        raise UsageError(f"--approval {path}: {error}. Nothing was sent") from error


def _agree_by_typing(loaded: LoadedPlan, options: RunOptions, approval: ApprovalOptions) -> None:
    if not can_ask():
        # A plan may want its digest, and then --yes would be refused.
        agreed = "" if loaded.plan.approval == "digest" else "--yes, or with "
        raise UsageError(
            "there is no terminal to ask on, and nothing was sent: "
            f"run it with {agreed}--approve {loaded.digest[:LONG_DIGITS]} to run this very plan"
        )
    from orchestrator.commands.terminal.plan_words import describe_run, render_first
    from orchestrator.preview.planned import count_planned, list_taken_ids
    from orchestrator.runs.selection import summarize_protection

    counts = count_planned(loaded, options)
    for line in describe_run(loaded, options, counts):
        tell(line)
    if approval.no_preview or not _show_live_state(loaded, options):
        for _, warning in summarize_protection(loaded.draft.database, loaded.plan, options).warnings:
            tell(f"warning: {warning}")
        for line in render_first(list_taken_ids(loaded, options), counts.taken.total()):
            tell(line)
    ask_for_digest(loaded.digest, counts.taken.total())


def _show_live_state(loaded: LoadedPlan, options: RunOptions) -> bool:
    """Show the live state of the targets; return whether a preview could be taken.

    The agreement then holds for the shown states: a target that has changed meanwhile is left alone.
    """
    from orchestrator.preview.approval import approve
    from orchestrator.preview.approval_file import guard_run
    from orchestrator.preview.lines import render_before_question

    try:
        shown = preview_with_progress(loaded, options, guarded=True, demanding=True)
    except UsageError:
        raise  # the run itself would be refused, or a gateway gives no answer
    except OrchestratorError as error:
        # A look is an aid to the person, who may still agree by the counts alone.
        tell(f"No preview could be made: {error}")
        return False
    for line in render_before_question(shown):
        tell(line)
    guard_run(loaded, approve(shown.preview, identify_approver(), taken=datetime.now(UTC)))
    return True


def identify_approver() -> Approver:
    """Return the person at this terminal, and the host."""
    import os
    import socket

    from orchestrator.preview.approval import Approver
    from orchestrator.system.users import find_login_name

    user = find_login_name() or str(os.getuid())
    return Approver(user=user, host=socket.gethostname())


def make_consent(how: ApprovalMethod, by: Approver) -> StoredConsent:
    """Return the consent that a person gives now, for the journal."""
    from orchestrator.journal.meta import StoredConsent

    return StoredConsent(how=how, user=by.user, host=by.host, at=time.time())


def check_digest(given: str, digest: str, *, of: str = "plan") -> None:
    """Raise ``UsageError`` where ``given`` is not the beginning of ``digest``, or is too short.

    ``of`` names the owner of the digest: a plan or a restore.
    """
    given = given.strip().lower()
    # Every digest begins with the empty text.
    if not digest.startswith(given) or not given:
        raise UsageError(
            f"--approve {given}: the digest of this {of} is {digest[:SHORT_DIGITS]}…;"
            f" another {of} was approved, or it was changed since. Nothing was sent"
        )
    if len(given) < LONG_DIGITS:
        raise UsageError(
            f"--approve {given}: {len(given)} digits are too few to stand for one {of};"
            f" give {LONG_DIGITS} of its digest, or all 64. {_PRINTED_BY[of]} prints it. Nothing was sent"
        )


def ask_for_digest(digest: str, targets: int, verb: str = "undeploy") -> None:
    """Ask for the short digest on the terminal; raises ``UsageError`` unless it is typed."""
    # The digest, and not a mere "y": else a person could agree to a plan that was changed after the look.
    short, whose = digest[:SHORT_DIGITS], "plan" if verb == "undeploy" else verb
    counted = count_noun(targets, "target")
    for _ in range(MOST_TRIES):
        answer = read_answer(f"To {verb} {counted}, type the {whose}'s digest, {short}: ")
        if answer == short:
            return
        if not answer:
            break
        tell("That is not the digest.")
    raise UsageError("not agreed to; nothing was sent")
