"""What a run is asked to do, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.engine.control import ControlSocket, no_control
from orchestrator.engine.pauses import Prompt
from orchestrator.engine.signals import NoSignals, SignalSource
from orchestrator.engine.storage import Storage
from orchestrator.errors import ExitStatus
from orchestrator.journal.folder import RunFolder
from orchestrator.model.events import Listener
from orchestrator.report.values import Report
from orchestrator.runs.options import RunOptions

OnStart = Callable[[RunFolder], None]


class RunResult(Struct, frozen=True, kw_only=True):
    """How a session ended. ``warnings`` tells what went wrong beside the targets: reports not written."""

    exit_status: ExitStatus
    folder: RunFolder
    report: Report
    warnings: tuple[str, ...] = ()


class RunRequest(Struct, frozen=True, kw_only=True):
    """What a session is asked to do, and who is told of it."""

    options: RunOptions
    listeners: Sequence[Listener] = ()
    signals: SignalSource = NoSignals()
    on_start: OnStart = lambda _: None
    rehearsal: bool = False
    control_socket: Callable[[Path], ControlSocket] = lambda _: no_control
    """Makes where the run in a folder takes demands from while it works."""
    storage: Storage = Storage()
    prompt: Prompt | None = None
    """Asks whether to go on after a wave that wants that; None where nobody can be asked."""
