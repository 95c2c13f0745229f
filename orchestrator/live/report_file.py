"""The report of a run that has ended, as a file that can be sent."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

from orchestrator.journal.folder import RunFolder
from orchestrator.report.formats import FORMATS
from orchestrator.report.writing import are_current, write_report

_HTML = FORMATS["html"]


class ReportFile:
    """The HTML report of one run: the one in its folder, or one made from its journal."""

    def __init__(self) -> None:
        self._found: tuple[tuple[tuple[int, int], ...], Path] | None = None
        self._own: Path | None = None
        """The folder of the file that is not the run's own."""
        self._finding = Lock()

    def find(self, folder: RunFolder) -> Path:
        """Return the file of the report as the journal has the run now. Slow: for a thread.

        Raises the errors of the journal, and OSError if no file can be made.
        """
        with self._finding:  # two viewers who ask for it at once get one file
            # The journal does not change any more: what was made of it stays true until a resume.
            changed = folder.read_journal_stamp()
            if self._found is None or self._found[0] != changed or not self._found[1].is_file():
                self.remove()
                self._found = changed, self._make(folder)
            return self._found[1]

    def _make(self, folder: RunFolder) -> Path:
        with folder.open_source(whole=False) as source:
            if are_current(source, folder.path):
                return folder.path / _HTML.file
            # In a folder of its own: aiohttp would rather send the report.html.gz beside it, which any user
            # of this machine may put into the folder that all of them share.
            self._own = Path(mkdtemp(prefix="undeploy-"))
            made = self._own / _HTML.file
            made.touch(0o600)
            with made.open("w", encoding="utf-8", newline="\n") as out:
                write_report("html", source, out)
        return made

    def remove(self) -> None:
        """Remove the file that was made, if one was."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._own = None
