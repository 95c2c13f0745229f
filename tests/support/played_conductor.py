"""A session that another engine works on, with the engine played by a function of the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio

from orchestrator.api import RunOptions, load_plan, resume, run
from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.controller import Controller
from orchestrator.engine.request import Prompt
from orchestrator.engine.resources import RunResources
from orchestrator.journal.folder import RunFolder
from orchestrator.model.events import AnyEvent
from orchestrator.model.plan import RunId
from orchestrator.runs.result import RunResult

ADDRESS = "temporal://127.0.0.1:7233/default"

Conduct = Callable[[RunResources, Controller], Awaitable[str | None]]


class PlayedConductor:
    """Has sessions conducted by functions of the test; the engine knows the ``sessions`` already."""

    def __init__(
        self,
        *conducts: Conduct,
        sessions: Mapping[int, EngineSession] | None = None,
        address: str = ADDRESS,
        answers: bool = True,
        options: str = "",
    ) -> None:
        """Each of ``conducts`` is for one session, the last one for all that follow."""
        self.address = address
        self.options = options or f"--on {address}"
        self.answers = answers
        self.sessions = dict(sessions or {})
        self.told: list[str] = []
        self._conducts = list(conducts)

    async def connect(self) -> None:
        self.told.append("connect")

    async def is_there(self) -> bool:
        self.told.append("is it there")
        return self.answers

    async def find_session(self, run: RunId, session: int) -> EngineSession | None:
        self.told.append(f"find session {session}")
        return self.sessions.get(session)

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        self.told.append(f"conduct session {resources.spec.number}")
        conduct = self._conducts.pop(0) if len(self._conducts) > 1 else self._conducts[0]
        return await conduct(resources, controller)

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        self.told.append(f"release session {session}")


def run_conducted(
    path: Path,
    conductor: PlayedConductor,
    *,
    events: list[AnyEvent] | None = None,
    prompt: Prompt | None = None,
    **options: object,
) -> RunResult:
    """Run the plan at ``path``; the state folder is beside it."""
    listeners: Sequence[Callable[[AnyEvent], None]] = () if events is None else (events.append,)
    given = RunOptions(state=path.parent / "state", **options)  # type: ignore[arg-type]

    async def play() -> RunResult:
        with load_plan(path) as loaded:
            return await run(loaded, given, listeners=listeners, conductor=conductor, prompt=prompt)

    return anyio.run(play)


def resume_conducted(
    folder: RunFolder,
    conductor: PlayedConductor | None,
    *,
    witness: PlayedConductor | None = None,
    events: list[AnyEvent] | None = None,
    told: list[str] | None = None,
    signals: bool = False,
    **options: object,
) -> RunResult:
    """Resume a run of ``run_conducted``. ``witness`` is asked whether the engine is gone.

    ``told`` gets the remarks at the start. With ``signals`` those of this process stop the run.
    """
    listeners: Sequence[Callable[[AnyEvent], None]] = () if events is None else (events.append,)

    def start(run: RunFolder) -> None:
        if told is not None:
            told.extend(run.remarks)

    reach = None if witness is None else lambda _: witness
    state = folder.path.parent.parent
    given = RunOptions(state=state, reach_engine=reach, **options)  # type: ignore[arg-type]

    async def play() -> RunResult:
        return await resume(
            folder, given, listeners=listeners, conductor=conductor, on_start=start, signals=signals
        )

    return anyio.run(play)
