"""What a preview and an approval are on the command line: taken, shown, written, and believed."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.files import FILE
from orchestrator.errors import UsageError
from orchestrator.system.writing import whole_file

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.model.credentials import Secret
    from orchestrator.preview.approval import Approval, Approver
    from orchestrator.preview.assessment import AssessedPreview
    from orchestrator.runs.load import LoadedPlan

REDRAWN_EVERY = 0.1
"""Seconds between two looks of the progress line."""


class ApprovalOptions(NamedTuple):
    """How a run is to be approved of by a file, and whether it shows a preview before it asks."""

    approval: Path | None
    hmac_key: str | None
    no_preview: bool


hmac_key_option = click.option(
    "--hmac-key",
    metavar="env:NAME|file:PATH",
    help="Where the key is found that approvals are signed with.",
)
approval_options = bundle_options(
    "approving",
    ApprovalOptions,
    click.option(
        "--approval", type=FILE, metavar="FILE", help="Do not ask, if this file of `preview --save` holds."
    ),
    hmac_key_option,
    click.option("--no-preview", is_flag=True, help="Ask without looking at live state first."),
)


class ProgressLine:
    """A line on a terminal that says how far a preview has come; nothing where there is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._shows = sys.stderr.isatty() and not quiet
        self._drawn = 0.0
        self._note = ""

    def seen(self, done: int, of: int) -> None:
        """So many targets have been looked at."""
        now = time.monotonic()
        if self._shows and now - self._drawn >= REDRAWN_EVERY:
            self._drawn = now
            self._write(f"looked at {done:,} of {of:,}{self._note}")

    def waits(self, gateway: str, reason: str, seconds: float) -> None:
        """A gateway wants fewer requests."""
        from orchestrator.text.characters import make_visible
        from orchestrator.text.formats import format_span

        self._note = (
            f"; {make_visible(gateway)} asked to wait {format_span(seconds)}: {make_visible(reason)}"
            if seconds
            else ""
        )

    def close(self) -> None:
        """Take the line away."""
        if self._shows:
            self._write("")

    def _write(self, text: str) -> None:
        with suppress(OSError):
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            click.echo(f"\r\x1b[K{text[: width - 1]}", nl=False, err=True)


def preview_with_progress(
    loaded: LoadedPlan, options: RunOptions, *, guarded: bool, quiet: bool = False, demanding: bool = False
) -> AssessedPreview:
    """Look at live state, with a line of progress; raises what ``look.take`` does."""
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.preview.assessment import assess_preview
    from orchestrator.preview.look import take_preview
    from orchestrator.runs.machine import real_environment

    progress = ProgressLine(quiet=quiet)
    try:
        look = partial(take_preview, demanding=demanding)
        preview = run_interruptibly(look, loaded, options, real_environment(loaded.folder), progress)
    finally:
        progress.close()
    return assess_preview(loaded.plan, preview, guarded=guarded)


def current_user() -> Approver:
    """Return who sits here: the user of this process, and the host."""
    import getpass
    import socket

    from orchestrator.preview.approval import Approver

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Approver(user=user, host=socket.gethostname())


def load_hmac_key(reference: str | None) -> Secret | None:
    """Return the key that ``--hmac-key`` refers to, None without one; raises ``UsageError``."""
    if reference is None:
        return None
    from orchestrator.model.settings import CredentialReference
    from orchestrator.preview.approval import check_key_length
    from orchestrator.transport.credentials import read_reference

    form, colon, name = reference.partition(":")
    if not (colon and name) or form not in ("env", "file"):
        # Somebody may have typed the key itself: it is not repeated.
        raise UsageError("--hmac-key is neither env:NAME nor file:PATH; a key itself does not belong there")
    found = CredentialReference(env=name) if form == "env" else CredentialReference(file=name)
    return check_key_length(read_reference(found, Path(), "--hmac-key"))


def check_replaceable(path: Path) -> None:
    """Raise ``UsageError`` where an approval would take the place of something else, such as the plan."""
    from orchestrator.preview.approval import is_approval
    from orchestrator.system.reading import FileRefusedError, read_regular

    try:
        replaces = path.exists() and path.stat().st_size > 0 and not is_approval(read_regular(path))
    except FileRefusedError:
        replaces = True
    if replaces:
        raise UsageError(f"{path} exists and is no approval; it is left as it is. Name another file")


def save_approval(shown: AssessedPreview, path: Path, key: Secret | None) -> Approval:
    """Write an approval of what a preview shows: whole or not at all, for its user alone (mode 0600)."""
    from orchestrator.preview.approval import approve, encode_approval

    at = datetime.fromtimestamp(int(shown.preview.taken), UTC)
    approval = approve(shown.preview, current_user(), taken=at, key=key)
    with whole_file(path, streams=False) as out:
        out.write(encode_approval(approval).decode())
    return approval


def load_approval(path: Path, loaded: LoadedPlan, options: RunOptions, key: Secret | None) -> Approval:
    """Return the approval in a file that holds for a run; raises ``UsageError`` that says why it does not."""
    from orchestrator.preview.approval import check_approval, check_names_all, decode_approval
    from orchestrator.system.reading import FileRefusedError, read_regular

    try:
        data = read_regular(path)
    except FileRefusedError as refused:
        raise UsageError(f"--approval {path}: {refused}") from None
    try:
        approval = decode_approval(data)
        check_approval(approval, loaded.digest, now=datetime.now(UTC), key=key)
        check_outlasts_wait(approval, loaded, options)
        check_names_all(approval, _going(loaded, options))
    except UsageError as error:
        raise UsageError(f"--approval {path}: {error}. Nothing was sent") from error
    return approval


def check_outlasts_wait(approval: Approval, loaded: LoadedPlan, options: RunOptions) -> None:
    """Raise ``UsageError`` where a run would wait for a window that opens when the approval has expired."""
    window = options.window or loaded.plan.window
    if options.wait and window is not None and window.opens and window.opens >= approval.expires:
        raise UsageError(
            f"it expires at {approval.expires.isoformat()}, before the window opens at"
            f" {window.opens.isoformat()}; make a new one"
        )


def _going(loaded: LoadedPlan, options: RunOptions) -> list[str]:
    """Return the ids of the targets that a run would take."""
    from orchestrator.commands.agreement import targets_of
    from orchestrator.runs.selection import make_touch_test

    touched = make_touch_test(loaded.plan, options)
    return [str(target.id) for target in targets_of(loaded) if touched(target.id, target.wave)]


def keep_approved_states(loaded: LoadedPlan, approval: Approval) -> None:
    """Keep in the run's journal what was approved of each target: it is undeployed only if it is still so."""
    from orchestrator.preview.states import build_approved

    loaded.draft.approve(
        (one.id, build_approved(one.state, one.revision, one.since)) for one in approval.targets
    )
