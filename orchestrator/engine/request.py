"""The request of a caller for a run: its options, its listeners, and the ways for an operator to step in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.control_commands import ControlSocket, no_control
from orchestrator.engine.options import RunOptions
from orchestrator.engine.signals import NoSignals, SignalSource
from orchestrator.engine.storage import Storage
from orchestrator.journal.folder import RunFolder
from orchestrator.model.events import Listener

OnStart: TypeAlias = Callable[[RunFolder], None]

Prompt: TypeAlias = Callable[[str], Awaitable[bool]]
"""Asks the operator whether to continue after the wave of that name; may be cancelled."""

MakeControlSocket: TypeAlias = Callable[[Path], ControlSocket]
"""Makes the place where the run in a folder takes the commands of operators."""


class RunRequest(Struct, frozen=True, kw_only=True):
    """All that a caller says of a run, from a command or from ``api`` to the place where it counts."""

    options: RunOptions
    rehearsal: bool = False
    listeners: Sequence[Listener] = ()
    signals: SignalSource = NoSignals()
    on_start: OnStart = lambda _: None
    """Called with the run's folder before the first request."""
    prompt: Prompt | None = None
    """Called after a wave with ``proceed: ask``; None where no operator sits at a terminal."""
    control_socket: MakeControlSocket = lambda _: no_control
    """Makes the place in a run's folder where the run takes control commands while it works."""
    conductor: Conductor | None = None
    """Has the targets taken down on a distributed engine; None: this process sends the requests itself."""
    storage: Storage = Storage()
