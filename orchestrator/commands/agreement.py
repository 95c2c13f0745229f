"""What somebody agrees to before a run, and how: by an option, or by typing the plan's digest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.approving import (
    ApprovalOptions,
    current_user,
    keep_approved_states,
    load_approval,
    load_hmac_key,
    preview_with_progress,
)
from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.prompt import can_ask, read_answer
from orchestrator.commands.screen import tell
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.meta import StoredConsent
    from orchestrator.model.plan import Window
    from orchestrator.model.target import Target
    from orchestrator.preview.approval import Approver
    from orchestrator.report.values import ApprovalMethod
    from orchestrator.runs.load import LoadedPlan

SHORT_DIGITS = 8
"""How many digits of a digest are typed by somebody who was shown what it stands for."""
LONG_DIGITS = 32
"""How many digits ``--approve`` wants: of eight, another plan with the same ones is found in a second."""
MOST_NAMED = 5
"""How many targets are named before the question."""
TRIES = 3
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


class ConsentOptions(NamedTuple):
    """How somebody has agreed beforehand."""

    yes: bool
    approve: str | None


consent_options = bundle_options(
    "consent",
    ConsentOptions,
    click.option("--yes", "-y", is_flag=True, help="Do not ask."),
    click.option(
        "--approve", metavar="DIGEST", help="Do not ask, if this begins the plan's digest: 32 digits or more."
    ),
)


def agree(
    loaded: LoadedPlan, options: RunOptions, consent: ConsentOptions, approving: ApprovalOptions
) -> None:
    """Return once somebody has agreed to ``loaded`` in a way that the plan takes, which is kept with the run;
    raises ``UsageError`` where nobody has, and ``PlanError`` where a protect file has problems."""
    from orchestrator.journal.meta import RunMeta
    from orchestrator.runs.selection import refuse_dead_patterns

    refuse_dead_patterns(loaded.plan, options)
    by = current_user()
    if approving.approval is not None:
        how, by = _agree_by_file(loaded, options, consent, approving)
    elif approving.hmac_key is not None:
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
        _agree_by_typing(loaded, options, approving)
        how = "prompt"
    loaded.draft.keep(RunMeta(approved=consent_by(how, by)))


def _agree_by_file(
    loaded: LoadedPlan, options: RunOptions, consent: ConsentOptions, approving: ApprovalOptions
) -> tuple[ApprovalMethod, Approver]:
    """Return how the approval file was given, and who has approved; raises ``UsageError``."""
    from orchestrator.journal.meta import RunMeta

    assert approving.approval is not None  # noqa: S101 - the caller has looked
    if loaded.plan.approval == "signed" and approving.hmac_key is None:
        raise UsageError(_SIGNED_WANTED)
    approval = load_approval(approving.approval, loaded, options, load_hmac_key(approving.hmac_key))
    keep_approved_states(loaded, approval)
    loaded.draft.keep(RunMeta(approval_ends=approval.expires.timestamp()))
    if consent.approve is not None:
        check_digest(consent.approve, loaded.digest)
    return "signed" if approval.hmac else "file", approval.by


def _agree_by_typing(loaded: LoadedPlan, options: RunOptions, approving: ApprovalOptions) -> None:
    if not can_ask():
        raise UsageError(
            "there is no terminal to ask on, and nothing was sent: "
            f"run it with --yes, or with --approve {loaded.digest[:LONG_DIGITS]} to run this very plan"
        )
    from orchestrator.runs.selection import summarize_protection

    counts = count_planned_targets(loaded, options)
    for line in describe_run(loaded, options, counts):
        tell(line)
    if approving.no_preview or not _show_live_state(loaded, options):
        for _, warning in summarize_protection(loaded.draft.database, loaded.plan, options).warnings:
            tell(f"warning: {warning}")
        for line in list_first(_going(loaded, options), counts.going.total()):
            tell(line)
    ask_for_digest(loaded.digest, counts.going.total())


def _going(loaded: LoadedPlan, options: RunOptions) -> Iterator[str]:
    """Yield the ids of the targets that a run would touch, in its order."""
    from orchestrator.runs.selection import make_touch_test

    touched = make_touch_test(loaded.plan, options)
    return (str(target.id) for target in targets_of(loaded) if touched(target.id, target.wave))


def list_first(names: Iterable[str], whole: int) -> Iterator[str]:
    """Yield the first of so many targets by name, and how many more there are."""
    from orchestrator.text.characters import make_visible

    yield from (f"           {make_visible(name)}" for name in islice(names, MOST_NAMED))
    if whole > MOST_NAMED:
        yield f"           … and {whole - MOST_NAMED:,} more"


def _show_live_state(loaded: LoadedPlan, options: RunOptions) -> bool:
    """Tell how the targets are now, and return whether that could be seen; what is agreed to is then what
    was shown, and holds for that alone."""
    from orchestrator.preview.approval import approve
    from orchestrator.preview.lines import render_before_question

    try:
        shown = preview_with_progress(loaded, options, guarded=True, demanding=True)
    except UsageError:
        raise  # the run itself would refuse it, or a gateway gives no answer
    except OrchestratorError as error:
        tell(f"No preview could be made: {error}")
        return False
    for line in render_before_question(shown):
        tell(line)
    keep_approved_states(loaded, approve(shown.preview, current_user(), taken=datetime.now(UTC)))
    return True


def consent_by(how: ApprovalMethod, by: Approver) -> StoredConsent:
    """Return the consent that a person gives now, for the journal."""
    from orchestrator.journal.meta import StoredConsent

    return StoredConsent(how=how, user=by.user, host=by.host, at=time.time())


def check_digest(given: str, digest: str, *, of: str = "plan") -> None:
    """Return if ``given`` means the digest of a plan (or ``of`` something else); raises ``UsageError`` where
    it is too short or another's."""
    given = given.strip().lower()
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
    """Have the short digest typed on the terminal; raises ``UsageError`` when it was not."""
    short, whose = digest[:SHORT_DIGITS], "plan" if verb == "undeploy" else verb
    for _ in range(TRIES):
        answer = read_answer(f"To {verb} {targets:,} targets, type the {whose}'s digest, {short}: ")
        if answer == short:
            return
        if not answer:
            break
        tell("That is not the digest.")
    raise UsageError("not agreed to; nothing was sent")


class PlannedTargets(NamedTuple):
    """What a run would do: how many targets by index of the wave and gateway, and how many it would leave."""

    going: Counter[tuple[int, str]]
    protected: int
    filtered: int


def count_planned_targets(loaded: LoadedPlan, options: RunOptions) -> PlannedTargets:
    """Count what a run of ``loaded`` would touch and what it would leave alone."""
    from orchestrator.runs.selection import list_protections, make_filter

    holds, wanted = list_protections(loaded.plan, options), make_filter(loaded.plan, options)
    going: Counter[tuple[int, str]] = Counter()
    protected = filtered = 0
    for target in targets_of(loaded):
        if any(hold.test(target.id, target.wave) is not None for hold in holds):
            protected += 1
        elif wanted(target.id, target.wave):
            going[target.wave, target.gateway] += 1
        else:
            filtered += 1
    return PlannedTargets(going, protected, filtered)


def targets_of(loaded: LoadedPlan) -> Iterator[Target]:
    """Yield the targets of a plan that was read and not yet run, wave by wave."""
    from orchestrator.journal.pending import START, Pending

    pending = Pending(loaded.draft.database, loaded.plan, resumed=False)
    for wave_step, gateway in pending.left():
        batch, after = pending.batch(wave_step, gateway, START)
        while batch:
            yield from (target for target, _ in batch)
            batch, after = pending.batch(wave_step, gateway, after)


def describe_run(loaded: LoadedPlan, options: RunOptions, counts: PlannedTargets) -> Iterator[str]:
    """Yield what somebody should know before agreeing."""
    from orchestrator.commands.explain import describe_pace
    from orchestrator.report.words import describe_protection
    from orchestrator.runs.selection import prepare_protection
    from orchestrator.text.characters import make_visible
    from orchestrator.text.columns import align_columns

    plan = loaded.plan
    urls = {gateway.name: gateway.url for gateway in plan.gateways}
    yield f"plan       {make_visible(plan.name)}" + (f" ({make_visible(plan.reason)})" if plan.reason else "")
    yield f"window     {describe_window(options.window or plan.window)}"
    rows = [
        (
            make_visible(plan.waves[wave].name),
            make_visible(gateway),
            make_visible(urls[gateway]),
            f"{count:,}",
        )
        for (wave, gateway), count in sorted(counts.going.items(), key=lambda item: item[0][0])
    ]
    yield from align_columns([("wave", "gateway", "", "targets"), *rows], left=3)
    for index, wave in enumerate(plan.waves):
        going = sum(count for (at, _), count in counts.going.items() if at == index)
        if going and (words := describe_pace(wave, going)):
            yield f"pace       {make_visible(wave.name)}: {words}"
    yield f"protect    {describe_protection(len(prepare_protection(plan, options).texts), counts.protected)}"
    if counts.protected:
        yield f"protected  {counts.protected:,}: left alone"
    if counts.filtered:
        yield f"filtered   {counts.filtered:,}: left out by --only, --skip or --wave"


def describe_window(window: Window | None) -> str:
    """Return ``window`` in words, in the machine's own time."""
    if window is None:
        return "none; it starts at once"
    opens = f"from {window.opens.astimezone():%Y-%m-%d %H:%M %z}" if window.opens else "from now"
    closes = f"until {window.closes.astimezone():%Y-%m-%d %H:%M %z}" if window.closes else "without an end"
    return f"{opens} {closes}"
