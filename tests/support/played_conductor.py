"""A session that another engine works on, with the engine played by a function of the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from orchestrator.api import RunOptions, load_plan, resume, run
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
    """Has a session conducted by a function of the test; ``at_work``: the engine knows it already."""

    def __init__(self, conduct: Conduct, *, at_work: bool = False, address: str = ADDRESS) -> None:
        self.address = address
        self.told: list[str] = []
        self._conduct = conduct
        self._at_work = at_work

    async def connect(self) -> None:
        self.told.append("connect")

    async def is_at_work(self, run: RunId, session: int) -> bool:
        self.told.append(f"is session {session} at work")
        return self._at_work

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        self.told.append(f"conduct session {resources.spec.number}")
        return await self._conduct(resources, controller)

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


def resume_conducted(folder: RunFolder, conductor: PlayedConductor | None, **options: object) -> RunResult:
    """Resume a run of ``run_conducted``."""
    given = RunOptions(state=folder.path.parent.parent, **options)  # type: ignore[arg-type]

    async def play() -> RunResult:
        return await resume(folder, given, conductor=conductor)

    return anyio.run(play)
