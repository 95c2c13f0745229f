"""Has a session's targets taken down by workers of a Temporal server, and brings the results here."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shlex import quote

import anyio
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed.address import EngineAddress
from orchestrator.distributed.bounds import LEASE
from orchestrator.distributed.conducted_session import ConductedSession
from orchestrator.distributed.connection import (
    EngineTls,
    NamespaceMissingError,
    connect,
    explain_errors,
    is_listening,
)
from orchestrator.distributed.kept_runs import read_session
from orchestrator.distributed.names import name_run_workflow
from orchestrator.distributed.patience import GONE_AFTER, ServerPatience
from orchestrator.distributed.session_lookup import find_engine_session
from orchestrator.distributed.session_start import ServerRefusedError
from orchestrator.distributed.signals import send_signal
from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.controller import Controller
from orchestrator.engine.resources import RunResources
from orchestrator.errors import RunError, UsageError
from orchestrator.journal.engine_mark import remove_engine_mark
from orchestrator.model.plan import RunId

RELEASE_WITHIN = 10.0
"""Seconds for the last word to the server: the run has ended, and a person waits for the prompt."""

LAST_ORDERS = 2.0
"""Seconds for telling the server that the run stops, where a second signal ends the driver at once."""


class TemporalConductor:
    """The conductor of one session. See ``engine.conductor.Conductor``."""

    def __init__(
        self,
        address: EngineAddress,
        tls: EngineTls | None = None,
        *,
        api_key: str | None = None,
        workflow: str | None = None,
        lease: float = LEASE,
        options: str | None = None,
    ) -> None:
        """``workflow`` is the id of the run's workflow where it is not the usual one.

        ``options`` are those of a command that reaches the server; None for ``--on`` alone.
        ``lease``: seconds without a sign of life after which a chunk goes to another worker.
        """
        self._address = address
        self._tls = tls
        self._api_key = api_key
        self._given_workflow = workflow
        self._lease = lease
        self._options = options
        self._connected: Client | None = None

    @property
    def address(self) -> str:
        """The address of the server and its namespace, as ``--on`` takes it."""
        return self._address.url

    @property
    def options(self) -> str:
        """The options of a command that reaches the server, as a shell takes them; without a secret."""
        return self._options or f"--on {quote(self.address)}"

    @property
    def _client(self) -> Client:
        assert self._connected is not None  # noqa: S101 - ``connect`` comes first
        return self._connected

    async def connect(self) -> None:
        """Reach the server. Raises UsageError or RunError if that fails."""
        if self._connected is None:
            self._connected = await connect(self._address, self._tls, api_key=self._api_key)

    async def is_there(self) -> bool:
        """Return whether a server answers that has the namespace; within half a minute.

        Raises UsageError if something listens there that cannot be asked.
        """
        try:
            await self.connect()
        except NamespaceMissingError:
            return False
        except RunError as error:
            if await is_listening(self._address.host, self._address.port):
                raise UsageError(f"something listens at {self._address.target}, but {error}") from None
            return False
        return True

    def _name_workflow(self, run: RunId, session: int) -> str:
        given = self._given_workflow
        # The given one is of one session; a later session of this process has a name of its own.
        return given if given and read_session(given) == (run, session) else name_run_workflow(run, session)

    async def find_session(self, run: RunId, session: int) -> EngineSession | None:
        """Return what the server keeps of a session, be it at work or over; None if it has nothing of it.

        Raises RunError where the server does not say.
        """
        patience = ServerPatience(within=GONE_AFTER)
        with explain_errors(self.address):
            return await find_engine_session(self._client, self._name_workflow(run, session), patience)

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        """Start the workflows of the session, unless they are there, and bring all results here."""
        conducted = ConductedSession(
            self._client,
            self._name_workflow(resources.spec.folder.id, resources.spec.number),
            resources,
            controller,
            address=self.address,
        )
        try:
            if not resources.spec.is_underway and not await conducted.start(self._lease):
                return None
            over = await conducted.follow()
        except ServerRefusedError as refused:
            return str(refused)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_ORDERS):
                await conducted.tell_stop()
            raise
        if over is not None and over.bug is not None:
            # The session has no end then, and what its workers did is here: a resume is another session.
            folder = resources.spec.folder
            await self.release(folder.id, resources.spec.number, folder.path)
            raise ConductedBugError(f"a worker met a fault of this program: {over.bug}")
        return None if over is None else over.void

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        """Let the workflows of a session end. A server that does not answer in time keeps them.

        A later resume of the run tells it again: the mark in the run's ``folder`` stays until then.
        """
        workflow = self._name_workflow(run, session)
        with anyio.move_on_after(RELEASE_WITHIN):
            with suppress(RPCError):  # they may have ended already
                await send_signal(self._client, workflow, "acknowledge", patience=ServerPatience())
            remove_engine_mark(folder)


class ConductedBugError(Exception):
    """A worker met a fault of this program. The session has no end then; a resume is another one."""
