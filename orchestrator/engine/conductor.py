"""The place of a session whose waves another engine carries out: see ``distributed``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.model.plan import RunId

if TYPE_CHECKING:  # a request holds a conductor, and the resources hold the request
    from orchestrator.engine.controller import Controller
    from orchestrator.engine.resources import RunResources


class EngineLeftError(Exception):
    """The session was stopped, and the engine does not say what became of it. It has no end here yet.

    What the engine knows is taken over by a later resume. The text says what is missing, and what to do.
    """


class Conductor(Protocol):
    """Has the targets of a session taken down elsewhere, and brings their rows and events here."""

    @property
    def address(self) -> str:
        """The address of the engine, as a person gives it; without a secret."""
        ...

    async def connect(self) -> None:
        """Reach the engine. Raises UsageError if that fails; nothing was sent then."""
        ...

    async def is_at_work(self, run: RunId, session: int) -> bool:
        """Return whether the engine has the work or the results of a session. Raises UsageError as above."""
        ...

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        """Have the work done, and return once all of its rows and events are here.

        Returns why nothing was sent at all, None if something may have been. The outcomes of targets that
        were not reached are the caller's; ``resources.lane_refusals`` gets the reasons. Raises
        EngineLeftError.
        """
        ...

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        """Let the engine forget a session: the journal in ``folder`` has all results, and its end."""
        ...
