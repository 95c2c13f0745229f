"""What the live page needs of its run: the state, the commands, and the folder. Two links satisfy it."""

from __future__ import annotations

from typing import Protocol

from orchestrator.engine.control_commands import ControlCommand
from orchestrator.journal.folder import RunFolder
from orchestrator.live.state_feed import JsonObject


class RunLink(Protocol):
    """A run, in this process or in another one."""

    @property
    def folder(self) -> RunFolder | None:
        """The folder of the run; None as long as the run has none."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the run has ended. One that was killed has not: a resume goes on with it."""
        ...

    @property
    def shows_report(self) -> bool:
        """Whether no process works on the run, so that the page of the run is its report."""
        ...

    async def read_status(self) -> JsonObject:
        """Return the state of the run, as JSON has it (``LiveStatus``)."""
        ...

    async def preview(self, command: ControlCommand) -> str:
        """Return what a command would do. Raises an ``OrchestratorError`` if the run would refuse it."""
        ...

    async def execute(self, command: ControlCommand, peer: str) -> str:
        """Carry out the command of a viewer at the address ``peer``; return its effect. Raises likewise."""
        ...
