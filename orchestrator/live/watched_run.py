"""The run of another process, as ``undeploy watch`` has it: by its control socket, and by its journal."""

from __future__ import annotations

import time

import anyio.to_thread
import msgspec
from msgspec.structs import replace

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.engine.control_commands import ControlCommand, ReadStatus
from orchestrator.errors import OrchestratorError, RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.live.ended_status import read_ended_status
from orchestrator.live.state_feed import JsonObject
from orchestrator.model.live_status import LiveStatus
from orchestrator.runs.control_socket import LIVE_PAGE, ControlQuestion, send_command
from orchestrator.text.characters import make_visible

STATUS_PATIENCE = 2.0
"""Seconds that a run has for the answer where it stands."""


class WatchedRun:
    """Satisfies ``RunLink``. Once a killed run is resumed, the next state is the new process's."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.is_over = False
        self.shows_report = False
        self._newest = read_status(RunProgress(), time.time())
        """The state that the run told last, or how it ended."""
        self._ended: tuple[tuple[tuple[int, int], ...], LiveStatus] | None = None
        """The end, and the stamp of the journal that tells it."""

    async def read_status(self) -> JsonObject:
        """Return the state of the run: what its process says, else the last that it said."""
        status = await anyio.to_thread.run_sync(self._read_status)
        found: JsonObject = msgspec.to_builtins(replace(status, at=time.time()))
        return found

    def _read_status(self) -> LiveStatus:
        try:
            holder = self.folder.read_holder()
            # No process here answers for a run that an engine works on alone.
            is_live = holder is not None and holder.engine is None
            status = self._ask() if is_live else self._read_end()
        except FileNotFoundError:
            return self._tell_why("the run's folder is gone")
        except (OrchestratorError, OSError, msgspec.MsgspecError) as error:
            return self._tell_why(str(error))
        self.shows_report = not is_live
        self._newest = status
        return status

    def _tell_why(self, why: str) -> LiveStatus:
        """Return the newest state, with the reason why there is no newer one as its sentence."""
        known = "nothing newer is known" if self._newest.run.id else "nothing is known yet"
        verdict = replace(self._newest.verdict, sentence=make_visible(f"{known}: {why}"))
        return replace(self._newest, verdict=verdict)

    def _ask(self) -> LiveStatus:
        question = ControlQuestion(command=ReadStatus())
        answer = send_command(self.folder.path, question, patience=STATUS_PATIENCE)
        status = msgspec.json.decode(answer, type=LiveStatus)
        self.is_over = False
        return status

    def _read_end(self) -> LiveStatus:
        written = self.folder.read_journal_stamp()
        if self._ended is None or self._ended[0] != written:
            with self.folder.open_source(among=(), whole=False) as source:
                status = read_ended_status(
                    source,
                    time.time(),
                    reports=str(self.folder.path),
                    over_time=self._newest.over_time,
                    state_option=self.folder.state_option,
                )
            self._ended = written, status
        self.is_over = self._ended[1].ended is not None
        return self._ended[1]

    async def preview(self, command: ControlCommand) -> str:
        """Return what a command would do. Raises UsageError if the run would refuse it."""
        return await self._send(ControlQuestion(command=command, preview=True))

    async def execute(self, command: ControlCommand, peer: str) -> str:
        """Send the command of a viewer at the address ``peer``. Raises UsageError if it is refused."""
        return await self._send(ControlQuestion(command=command, terminal=LIVE_PAGE, remote=peer))

    async def _send(self, question: ControlQuestion) -> str:
        if self.shows_report:
            raise RunError("no process works on the run, so it takes no commands")
        return await anyio.to_thread.run_sync(send_command, self.folder.path, question)
