"""What a run is asked to do, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.engine.control import Desk, no_desk
from orchestrator.engine.pauses import Prompt
from orchestrator.engine.signals import NoSignals, Signals
from orchestrator.engine.storage import Storage
from orchestrator.errors import ExitStatus
from orchestrator.journal.folder import RunFolder
from orchestrator.model.events import Listener
from orchestrator.model.plan import Window
from orchestrator.plan.protect import ProtectFile
from orchestrator.report.values import Report

OnStart = Callable[[RunFolder], None]


class RunResult(Struct, frozen=True, kw_only=True):
    """How a session ended. ``warnings`` tells what went wrong beside the targets: reports not written."""

    exit_status: ExitStatus
    folder: RunFolder
    report: Report
    warnings: tuple[str, ...] = ()


class Order(Struct, frozen=True, kw_only=True):
    """What a session is asked to do, and who is told of it."""

    options: RunOptions
    listeners: Sequence[Listener] = ()
    signals: Signals = NoSignals()
    on_start: OnStart = lambda _: None
    rehearsal: bool = False
    desk: Callable[[Path], Desk] = lambda _: no_desk
    """Makes where the run in a folder takes demands from while it works."""
    storage: Storage = Storage()
    prompt: Prompt | None = None
    """Asks whether to go on after a wave that wants that; None where nobody can be asked."""


class RunOptions(Struct, frozen=True, kw_only=True):
    """What a caller may say of a run besides its plan. Globs are those of target ids."""

    state: Path = Path(".undeploy")
    report_dir: Path | None = None
    """Where the reports are written as well; the run's folder always has them."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    window: Window | None = None
    """Replaces the plan's."""
    wait: bool = False
    """Wait for the window to open."""
    past_stop: bool = False
    """Resume a run that a stop rule has stopped."""
    after_restore: bool = False
    """Resume a run of which a restore has begun."""
    protect: tuple[str, ...] = ()
    """Patterns of ids that are never touched, besides those of the plan and of ``protect_files``."""
    protect_files: tuple[ProtectFile, ...] = ()

    @property
    def site(self) -> tuple[str, ...]:
        """The patterns that hold besides the plan's own."""
        return (*(text for file in self.protect_files for text in file.patterns), *self.protect)
