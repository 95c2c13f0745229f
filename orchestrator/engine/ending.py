"""The end of a session: an outcome for every target that was not reached, and the session's exit status."""

from __future__ import annotations

from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.resources import RunResources
from orchestrator.engine.standing import describe_standing, list_final_counts
from orchestrator.engine.window import SessionWindow
from orchestrator.errors import DiskError, ExitStatus, OrchestratorError
from orchestrator.model.events import RunEnded
from orchestrator.model.outcome import Counts, Reason
from orchestrator.model.reading import Act
from orchestrator.rules.exit_status import choose_exit_status, find_undone_reason, name_end_state


class SessionResult(Struct, frozen=True, kw_only=True):
    """The end of a session, as its own process knows it."""

    status: ExitStatus
    void: str | None = None
    """Why nothing was sent, if the first session never began in earnest: it leaves nothing to resume."""
    interrupted: bool = False
    """Whether a signal stopped it."""
    cut: bool = False
    """Whether a second signal ended it at once."""
    left: str | None = None
    """Why the session has no end yet, though this process leaves it: its engine has not told what it did."""
    is_kept: bool = True
    """Whether the journal has the end of the session, and all rows before it."""


async def conclude_session(
    resources: RunResources, window: SessionWindow, *, began: float, cut: bool
) -> SessionResult:
    """Give every target that was not reached its outcome, and keep how the session ended.

    ``began`` is the session's beginning in monotonic seconds; ``cut`` says that a second signal ended it.
    Durable when it returns, unless the disk refuses.
    """
    environment, record, run_gate = resources.environment, resources.record, resources.run_gate
    at, is_interrupted = environment.now(), run_gate.stop_kind == "interrupt"
    try:
        _leave_unreached(resources, at)
        await record.flush()
        window.warn_of_left_targets(resources.pending, resources.spec.plan.gateways, resources.warners)
        # Out of the journal, not out of counters: a resume finds the same.
        counts = resources.pending.count_outcomes()
        status = ExitStatus.INTERRUPTED if cut else _choose_status(resources, counts)
        await record.finish(
            at,
            state=name_end_state(status),
            stopped_by=_explain_stop(resources, counts, status),
            exit_status=status,
            seconds=_measure_work(resources, began, at),
        )
    except DiskError:
        # The journal has no end of this session then; ``runs.reporting`` gives the reports one.
        status = ExitStatus.INTERRUPTED if is_interrupted else ExitStatus.STOPPED
        return SessionResult(status=status, interrupted=is_interrupted, cut=cut, is_kept=False)
    return SessionResult(status=status, interrupted=is_interrupted, cut=cut)


def _measure_work(resources: RunResources, began: float, at: float) -> float:
    """Return how many seconds the session worked; ``at`` is when those that it left got their outcome."""
    spec = resources.spec
    if not spec.is_underway:
        return resources.environment.monotonic() - began
    # This process has only followed: it may have come hours after the last target had ended elsewhere.
    return resources.pending.measure_work(spec.number, at)


def describe_end(resources: RunResources, at: float, status: ExitStatus) -> RunEnded:
    """Return the event that ends a session. A journal that cannot be read leaves its counts out."""
    ended = RunEnded(at=at, state=name_end_state(status), exit_status=status)
    try:
        standing = resources.pending.count_standing(at_end=True)
        reasons = tuple(list_final_counts(resources.pending, standing, resources.run_gate.reason))
        return replace(ended, outcomes=describe_standing(resources.spec.plan, standing), reasons=reasons)
    except OrchestratorError:
        return ended


def _leave_unreached(resources: RunResources, at: float) -> None:
    spec, record, run_gate = resources.spec, resources.record, resources.run_gate
    # A skipped target is skipped, also if no worker came to it.
    if run_gate.skips:
        for target in chain.from_iterable(resources.pending.list_untouched()):
            if reason := run_gate.skip_reason(target.id):
                record.leave_target(target.seq, reason, at)
    for index, gateway in enumerate(spec.plan.gateways):
        # The reason of a closed lane comes before the run's own stop: a window, or a signal, came later.
        if reason := _find_refusal(resources, gateway.name):
            record.leave_rest(reason, at, gateway=index)
    rest = run_gate.reason or f"{Reason.INTERRUPT}: the session ended before this target's turn"
    record.leave_rest(rest, at)


def _find_refusal(resources: RunResources, gateway: str) -> str | None:
    """Return why the lane of a gateway starts nothing any more; None if it has no reason of its own."""
    lane = resources.lanes.get(gateway)
    if lane is None:
        return resources.lane_refusals.get(gateway)
    return lane.state.refusal(Act.UNDEPLOY) or lane.refusal()


def _choose_status(resources: RunResources, counts: Counts) -> ExitStatus:
    return choose_exit_status(
        counts,
        interrupted=resources.run_gate.stop_kind == "interrupt",
        restores=resources.spec.is_restore,
    )


def _explain_stop(resources: RunResources, counts: Counts, status: ExitStatus) -> str | None:
    if status not in (ExitStatus.STOPPED, ExitStatus.INTERRUPTED):
        return None
    return resources.run_gate.reason or find_undone_reason(counts)
