"""Options by which a person agrees to a run beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.files import FILE
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.model.credentials import Secret


class ConsentOptions(NamedTuple):
    """How a person agrees beforehand."""

    yes: bool
    approve: str | None


class ApprovalOptions(NamedTuple):
    """The approval file of a run, and whether a preview is shown before the question."""

    approval: Path | None
    hmac_key: str | None
    no_preview: bool = False


consent_options = bundle_options(
    "consent",
    ConsentOptions,
    click.option("--yes", "-y", is_flag=True, help="Do not ask."),
    click.option(
        "--approve",
        metavar="DIGEST",
        help="Do not ask, if this begins the digest of the plan, or of the restore: 32 digits or more.",
    ),
)
hmac_key_option = click.option(
    "--hmac-key",
    metavar="env:NAME|file:PATH",
    help="Where the key is found that approvals are signed with.",
)
_approval_option = click.option(
    "--approval", type=FILE, metavar="FILE", help="Do not ask, if this file of `preview --save` holds."
)
approval_options = bundle_options(
    "approval",
    ApprovalOptions,
    _approval_option,
    hmac_key_option,
    click.option("--no-preview", is_flag=True, help="Ask without looking at live state first."),
)
approval_file_options = bundle_options("approval", ApprovalOptions, _approval_option, hmac_key_option)
"""The same for a command that asks nothing."""


journal_key_option = click.option(
    "--journal-key",
    metavar="env:NAME|file:PATH",
    help="Where the key is found that signs each commit of the journal (`report --verify` tests it).",
)


def load_hmac_key(reference: str | None, option: str = "--hmac-key") -> Secret | None:
    """Return the key that an ``option`` refers to, None without one; raises ``UsageError``."""
    if reference is None:
        return None
    from orchestrator.model.settings import CredentialReference
    from orchestrator.preview.approval import check_key_length
    from orchestrator.transport.credentials import read_reference

    form, colon, name = reference.partition(":")
    if not (colon and name) or form not in ("env", "file"):
        # The value may be the key itself, so no message repeats it.
        raise UsageError(f"{option} is neither env:NAME nor file:PATH; a key itself does not belong there")
    found = CredentialReference(env=name) if form == "env" else CredentialReference(file=name)
    return check_key_length(read_reference(found, Path(), option), option)


def load_journal_key(reference: str | None) -> Secret | None:
    """Return the key that ``--journal-key`` refers to, None without one; raises ``UsageError``."""
    return load_hmac_key(reference, "--journal-key")
