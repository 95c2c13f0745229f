"""The formats of a report: a module each, and the table of them all.

A new format is a module here with a ``write``, and a row in ``FORMATS``. Every format tells the run's id, its
gateways' URLs, and whether it was a rehearsal: people read a report without its folder beside it. All but a
mere table of targets tell the sessions, the approval and the rule that stopped the run, too.

A ``write`` is a generator that is sent the targets, so that one read of the journal serves all formats::

    def write(source: ReportSource, out: TextIO) -> ReportStream:
        out.write("the beginning")
        while targets := (yield):
            out.writelines(map(format_target, targets))
        out.write("the end")

A format's module is imported when a report in that format is first written: ``--help`` lists the formats, and
must not wait for jinja2.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO, TypeAlias, cast

if TYPE_CHECKING:
    from orchestrator.report.values import ReportSource, TargetReport

ReportStream: TypeAlias = "Generator[None, Sequence[TargetReport], None]"
"""A report that is being written: it is sent the targets in the plan's order, a batch at a time.

An empty batch says that there are no more. A format that wants no more targets may end before that one.
"""


class ReportWriter(Protocol):
    """Writes one report to ``out``, batch by batch; never holds all targets."""

    def __call__(self, source: ReportSource, out: TextIO, /) -> ReportStream: ...


class ReportFormat(NamedTuple):
    """One format: the module whose ``write`` makes its file, and the endings that such a file may have."""

    module: str
    endings: tuple[str, ...]
    """The usual one first, each with its dot and in small letters."""

    @property
    def file(self) -> str:
        """Return the name of the file in a run's folder."""
        return f"report{self.endings[0]}"

    def load_writer(self) -> ReportWriter:
        """Import the format's module and return its ``write``."""
        return cast("ReportWriter", import_module(self.module).write)


# In the order in which --help names them and a run writes them.
FORMATS: Mapping[str, ReportFormat] = {
    "json": ReportFormat("orchestrator.report.formats.json", (".json",)),
    "junit": ReportFormat("orchestrator.report.formats.junit", (".xml",)),
    "html": ReportFormat("orchestrator.report.formats.html", (".html", ".htm")),
    "markdown": ReportFormat("orchestrator.report.formats.markdown", (".md", ".markdown")),
    "csv": ReportFormat("orchestrator.report.formats.csv", (".csv",)),
}


def find_format(ending: str) -> str | None:
    """Return the name of the format whose files end so, whatever the case of ``ending``; None without one."""
    return next((name for name, form in FORMATS.items() if ending.lower() in form.endings), None)
