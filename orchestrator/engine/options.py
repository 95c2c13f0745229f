"""What a caller may say of a run besides its plan."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from orchestrator.model.plan import Window
from orchestrator.plan.protect import ProtectFile


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
