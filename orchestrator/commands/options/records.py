"""Options about the record of a run: its folder, a second place for reports, and the key that signs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.consent import journal_key_option, load_journal_key
from orchestrator.commands.options.files import report_dir_option
from orchestrator.commands.options.runs import state_option

if TYPE_CHECKING:
    from orchestrator.model.credentials import Secret


class RecordOptions(NamedTuple):
    """Where a run is kept, where its reports go besides, and what its journal is signed with."""

    state: Path
    """The folder in which runs are kept."""
    report_dir: Path | None
    journal_key: str | None

    def load_key(self) -> Secret | None:
        """Return the key that signs the journal, None without one; raises ``UsageError``."""
        return load_journal_key(self.journal_key)


record_options = bundle_options("records", RecordOptions, state_option, report_dir_option, journal_key_option)
