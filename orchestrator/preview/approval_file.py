"""Writes the approval of a preview to a file, and reads it again for the run that it is to guard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from orchestrator.engine.options import RunOptions
from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.preview.approval import (
    Approval,
    Approver,
    approve,
    check_approval,
    check_names_all,
    decode_approval,
    encode_approval,
    is_approval,
)
from orchestrator.preview.planned import list_taken_ids
from orchestrator.preview.states import Preview, build_approved
from orchestrator.runs.load import LoadedPlan
from orchestrator.system.reading import FileRefusedError, read_regular
from orchestrator.system.writing import write_whole_file


def check_replaceable(path: Path) -> None:
    """Raise ``UsageError`` where an approval would take the place of something else, such as the plan."""
    try:
        replaces = path.exists() and path.stat().st_size > 0 and not is_approval(read_regular(path))
    except FileRefusedError:
        replaces = True
    if replaces:
        raise UsageError(f"{path} exists and is no approval; it is left as it is. Name another file")


def save_approval(preview: Preview, path: Path, by: Approver, key: Secret | None) -> Approval:
    """Write an approval of a preview: whole or not at all, for its user alone (mode 0600)."""
    at = datetime.fromtimestamp(int(preview.taken), UTC)
    approval = approve(preview, by, taken=at, key=key)
    # No stream: people must be able to look at an approval afterwards.
    with write_whole_file(path, streams=False) as out:
        out.write(encode_approval(approval).decode())
    return approval


def load_approval(
    path: Path, loaded: LoadedPlan, options: RunOptions, key: Secret | None, *, now: datetime
) -> Approval:
    """Return the approval in a file, if it holds for a run of ``loaded`` with ``options``.

    Raises ``FileRefusedError`` where the file cannot be read, and ``UsageError`` with the reason where it
    holds no approval, or one that does not hold for this run. ``now`` is aware.
    """
    approval = decode_approval(read_regular(path))
    check_approval(approval, loaded.digest, now=now, key=key)
    _check_outlasts_wait(approval, loaded, options)
    check_names_all(approval, list_taken_ids(loaded, options))
    return approval


def _check_outlasts_wait(approval: Approval, loaded: LoadedPlan, options: RunOptions) -> None:
    """Raise ``UsageError`` where the run would wait for a window that opens after the approval expires."""
    window = options.window or loaded.plan.window
    # The run tests the expiry again, but only after its wait: a refusal now spares that.
    if options.wait and window is not None and window.opens and window.opens >= approval.expires:
        raise UsageError(
            f"it expires at {approval.expires.isoformat()}, before the window opens at"
            f" {window.opens.isoformat()}; make a new one"
        )


def guard_run(loaded: LoadedPlan, approval: Approval) -> None:
    """Keep the approved state of each target in the draft: the run undeploys a target only in that state."""
    loaded.draft.approve(
        (target.id, build_approved(target.state, target.revision, target.since))
        for target in approval.targets
    )
