"""Starts the workflow of a session: sends the journal, unless the run stops before."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import anyio.to_thread
from temporalio.service import RPCError

from orchestrator.distributed.journal_pages import pack_journal
from orchestrator.distributed.order_desk import compose_orders
from orchestrator.distributed.outage import find_longest_park, measure_until_open, stop_for_outage
from orchestrator.distributed.patience import ServerPatience, is_refusal
from orchestrator.distributed.payloads import RunInput
from orchestrator.distributed.run_start import has_search_attributes, start_run
from orchestrator.distributed.server_words import clean_words
from orchestrator.distributed.session_link import SessionLink
from orchestrator.distributed.shipping import ship_pages
from orchestrator.distributed.work_plan import make_run_input
from orchestrator.engine.resources import RunResources
from orchestrator.errors import DiskError, OrchestratorError
from orchestrator.journal.engine_mark import EngineMark, remove_engine_mark, write_engine_mark
from orchestrator.lanes.lane import LearnedLimits


class ServerRefusedError(Exception):
    """The server refuses to start the workflows of a session. The text says why; nothing was sent."""


class SessionStart:
    """The start of one session on a Temporal server."""

    def __init__(
        self, link: SessionLink, resources: RunResources, learned: Mapping[str, LearnedLimits]
    ) -> None:
        """``learned``: by gateway, what is known of its lane."""
        self._link = link
        self._resources = resources
        self._learned = learned
        self.given: RunInput | None = None
        """The input of the workflow, once the server may have it."""

    async def start(self, lease: float) -> bool:
        """Send the journal and start the workflow; return whether it was started.

        A stop that comes before leaves the session without a workflow. Raises ServerRefusedError, and
        EngineLeftError where the server is lost at the last moment, so that it may have the workflow.
        """
        spec, run_gate = self._resources.spec, self._resources.run_gate
        try:
            mark = EngineMark(address=self._link.address, session=spec.number, options=spec.to_engine)
            write_engine_mark(spec.folder.path, mark)
            await self._resources.record.flush()
        except DiskError as error:
            run_gate.stop("disk", str(error))
            return False
        try:
            if (given := await self._ship_unless_disk_full(lease)) is None:
                remove_engine_mark(spec.folder.path)
                return False
            # From here on the server may have the workflow although no answer came.
            self.given = given
            await self._link.watch_outage(lease).ask(
                lambda: start_run(self._link.client, given, self._link.workflow, self._link.patience)
            )
        except RPCError as error:
            if is_refusal(error):
                raise ServerRefusedError(self._explain_refusal(error)) from error
            remove_engine_mark(spec.folder.path)
            stop_for_outage(self._resources, self._link.address)
            return False
        return True

    def _explain_refusal(self, error: RPCError) -> str:
        why = clean_words(error.message)[:300]
        return (
            f"the Temporal server at {self._link.address} refuses the run ({error.status.name}):"
            f" {why.removesuffix('.')}. Nothing was sent"
        )

    async def _ship_unless_disk_full(self, lease: float) -> RunInput | None:
        """Return as ``_ship_unless_stopped``; stop the run if the journal cannot be copied for its way."""
        try:
            return await self._ship_unless_stopped(lease)
        except DiskError as error:
            self._resources.run_gate.stop("disk", str(error))
            return None

    async def _ship_unless_stopped(self, lease: float) -> RunInput | None:
        """Return the workflow's input once the server has the journal; None if a stop comes before."""
        run_gate = self._resources.run_gate
        shipped: list[RunInput] = []
        refused: list[RPCError | OrchestratorError] = []
        async with anyio.create_task_group() as group:

            async def ship() -> None:
                try:
                    shipped.append(await self._ship(lease))
                except (RPCError, OrchestratorError) as error:  # raised below, where no group wraps it
                    refused.append(error)
                group.cancel_scope.cancel()

            group.start_soon(ship)
            while run_gate.stop_kind is None:
                await run_gate.wait_for_change(60.0)
            group.cancel_scope.cancel()
        if refused:
            raise refused[0]
        return shipped[0] if shipped else None

    async def _ship(self, lease: float) -> RunInput:
        packed = await anyio.to_thread.run_sync(
            pack_journal, self._resources.spec.folder.path, self._link.workflow
        )
        # Nothing is under way yet: a server that stays away is no reason to wait for longer than for workers.
        within = measure_until_open(self._resources) + find_longest_park(self._resources)
        patience = ServerPatience(self._link.tell_of_server, within=within)
        await ship_pages(self._link.client, self._link.workflow, packed.pages, patience)
        return make_run_input(
            self._resources,
            packed.journal,
            orders=compose_orders(self._resources.run_gate, self._learned, number=0),
            learned=self._learned,
            searchable=await has_search_attributes(self._link.client),
            lease=lease,
        )
