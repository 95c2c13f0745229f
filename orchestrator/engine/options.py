"""The options of a run, which a caller gives besides its plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from orchestrator.engine.conductor import Conductor
from orchestrator.model.credentials import Secret
from orchestrator.model.plan import Window
from orchestrator.plan.protect import ProtectFile
from orchestrator.system.state_folder import DEFAULT_STATE


class RunOptions(Struct, frozen=True, kw_only=True):
    """The options of a run. Patterns are those of target ids."""

    state: Path = DEFAULT_STATE
    report_dir: Path | None = None
    """A second folder for the reports; the run's own folder always has them."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    window: Window | None = None
    """Replaces the window of the plan."""
    wait: bool = False
    """Whether to wait for the window to open."""
    past_stop: bool = False
    """Whether to resume a run that a stop rule has stopped."""
    after_restore: bool = False
    """Whether to resume a run of which a restore has begun."""
    engine_gone: bool = False
    """Whether to resume a run here whose distributed engine is gone for good, with what it had not told."""
    reach_engine: Callable[[str], Conductor] | None = None
    """Makes the conductor by which an engine is asked that ``engine_gone`` says is gone, by its address.

    None: the caller knows.
    """
    take_over_only: bool = False
    """Whether to leave it at what a distributed engine has done of the run, and begin no session after it."""
    signing_key: Secret | None = None
    """Signs each commit of the journal; None leaves them unsigned."""
    protect: tuple[str, ...] = ()
    """Patterns of targets that no run touches, besides those of the plan and of ``protect_files``."""
    protect_files: tuple[ProtectFile, ...] = ()

    @property
    def site(self) -> tuple[str, ...]:
        """The protect patterns of this place: of the files, then of the caller."""
        return (*(text for file in self.protect_files for text in file.patterns), *self.protect)
