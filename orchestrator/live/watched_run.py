"""The run of another process, as ``undeploy watch`` has it: by its control socket, and by its journal."""

from __future__ import annotations

import time

import anyio.to_thread
import msgspec

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.engine.control_commands import ControlCommand, ReadStatus
from orchestrator.errors import OrchestratorError, RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.live.state_feed import JsonObject
from orchestrator.report.headline import compose_headline, describe_end
from orchestrator.report.values import Report
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
        self._newest: JsonObject | None = None
        """The state that the run told last, or how it ended."""
        self._ended: tuple[float, JsonObject] | None = None
        """The end, and when the journal was written that tells it."""

    async def read_status(self) -> JsonObject:
        """Return the state of the run: what its process says, else the last that it said."""
        status = await anyio.to_thread.run_sync(self._read_status)
        return status | {"at": time.time()}

    def _read_status(self) -> JsonObject:
        try:
            is_live = self.folder.read_holder() is not None
            status = self._ask() if is_live else self._read_end()
        except (OrchestratorError, OSError, msgspec.MsgspecError) as error:
            return self._tell(self._newest or _make_blank(), str(error))
        self.shows_report = not is_live
        self._newest = status
        return status

    def _ask(self) -> JsonObject:
        question = ControlQuestion(command=ReadStatus())
        answer = send_command(self.folder.path, question, patience=STATUS_PATIENCE)
        status: JsonObject = msgspec.json.decode(answer)
        self.is_over = False
        return status

    def _read_end(self) -> JsonObject:
        written = self.folder.journal.stat().st_mtime
        if self._ended is None or self._ended[0] != written:
            with self.folder.open_source(among=(), whole=False) as source:
                report = source.report
            self._ended = written, self._describe_end(report)
            self.is_over = report.run.state != "killed"
        return self._ended[1]

    def _describe_end(self, report: Report) -> JsonObject:
        status, run = self._newest or _make_blank(), report.run
        headline = make_visible(compose_headline(report))
        killed = run.state == "killed"
        go_on = f"; `undeploy resume {run.id}` goes on with it, and this page follows" if killed else ""
        verdict = status["verdict"] | {
            "state": "interrupted" if killed else run.state,
            "tone": "good" if run.exit_status == 0 else "bad",
            "headline": headline,
            "sentence": f"{make_visible(describe_end(run))}{go_on}",
            "done_by": "",
            "against_close": "",
        }
        ended = {
            "at": time.time() if run.ended is None else run.ended.timestamp(),
            "state": verdict["state"],
            "exit_status": run.exit_status,
            "headline": headline,
            "reports": str(self.folder.path),
        }
        facts = status["run"] | {"id": run.id}
        return status | {
            "run": facts,
            "verdict": verdict,
            "ended": None if killed else ended,
            "waits_for": None,
            "until": None,
            "question": None,
            "forecast": None,
        }

    def _tell(self, status: JsonObject, why: str) -> JsonObject:
        """Return a state that says that nothing newer is known, and why."""
        sentence = f"the run does not tell where it stands: {make_visible(why)}"
        return status | {"verdict": status["verdict"] | {"sentence": sentence}}

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


def _make_blank() -> JsonObject:
    """Return the state of a run that has told nothing yet."""
    blank: JsonObject = msgspec.to_builtins(read_status(RunProgress(), time.time()))
    return blank
