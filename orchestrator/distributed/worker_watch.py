"""Watches whether any worker takes the decisions of a run's workflows: without one, nothing of it moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import anyio
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from orchestrator.distributed.history import HistoryReader
from orchestrator.distributed.lane_tails import find_waiting_task
from orchestrator.distributed.names import list_journal_workflows
from orchestrator.distributed.outage import explain_away, find_longest_park, measure_until_open
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience, is_gone
from orchestrator.distributed.payloads import RunInput
from orchestrator.distributed.session_link import SessionLink
from orchestrator.distributed.silence import WorkerSilence
from orchestrator.engine.conductor import EngineLeftError
from orchestrator.engine.resources import RunResources
from orchestrator.lanes.standstill import StandstillWatch
from orchestrator.model.outcome import NO_SERVER, NO_WORKER_AT_ALL, WORKER_AGAIN
from orchestrator.text.counting import choose_form, join_words
from orchestrator.text.formats import format_span

_PERIOD = 1.0
"""Seconds between two questions to the server."""

_WITHDRAWN_WITHIN = 5.0
"""Seconds for taking back what no worker had: a person waits for the prompt."""


class WorkerWatch:
    """Tells when no worker is there, stops the run after ``park_for``, and ends a wait for nobody.

    ``find_lanes`` returns since when a decision of a lane waits, as ``LaneTails.find_waiting``. With
    ``was_told`` an earlier process of the session has told that no worker is there.
    """

    def __init__(
        self,
        link: SessionLink,
        resources: RunResources,
        find_lanes: Callable[[], int | None],
        *,
        given: RunInput,
        was_told: bool = False,
    ) -> None:
        self._link = link
        self._resources = resources
        self._find_lanes = find_lanes
        self._given = given
        self._park_for = find_longest_park(resources)
        self._silence = WorkerSilence(lease=given.lease, park_for=self._park_for)
        self._was_taken = False
        self._was_told = was_told
        self._is_away = False
        """Whether the server itself gave no answer last time."""

    async def wait_until_hopeless(self) -> None:
        """Return once the run was stopped and no worker takes note of it. Maybe never."""
        silence, monotonic, run_gate = (
            self._silence,
            self._resources.environment.monotonic,
            self._resources.run_gate,
        )
        standstill, due = StandstillWatch(monotonic), math.inf
        while True:
            task = await self._find_waiting()
            now, still = monotonic(), standstill.measure(due)
            # While this process stood still it asked nothing, and the server may have been there. Work that
            # waits there has waited for a worker all the same.
            silence.leave_out(still if self._is_away else 0.0)
            silence.observe(
                task, now, stopped=self._is_stopped_here(), may_start=not measure_until_open(self._resources)
            )
            self._tell(now)
            if silence.has_parked(now):
                after = format_span(self._park_for)
                run_gate.stop("control", f"{self._describe()} for {after} (park_for)")
                if self._resources.spec.is_followed:
                    self._was_taken = True
                    return
            if silence.is_hopeless(now, was_taken=self._was_taken):
                # Asked now only: one was there if it has made any decision.
                self._was_taken = self._was_taken or await self._was_any_there()
                if silence.is_hopeless(now, was_taken=self._was_taken):
                    return
            due = monotonic() + _PERIOD + CALL_TIMEOUT.total_seconds()
            await anyio.sleep(_PERIOD)

    async def end_alone(self) -> None:
        """End the session without its workflow. Raises EngineLeftError if a worker may have sent anything."""
        if not self._was_taken:
            with anyio.move_on_after(_WITHDRAWN_WITHIN):
                await self._withdraw()
                # A worker that came at this very moment has found the stop first, and starts nothing.
                return
        if self._is_away:
            raise explain_away(self._resources, self._link.address)
        spec, folder = self._resources.spec, self._resources.spec.folder
        resume = f"undeploy resume {folder.id} {spec.to_engine}{folder.state_option}"
        advice = f"the run stays stopped, and `{resume}` takes over what there is once a worker is back"
        raise EngineLeftError(f"{self._describe()}, so that what was in flight is not known here", advice)

    async def _withdraw(self) -> None:
        """End the workflows that no worker has seen: one that comes later must not find the run."""
        keepers = list_journal_workflows(self._given.journal.workflow, self._given.journal.pages)
        for name in (self._link.workflow, *keepers):
            with suppress(RPCError):
                handle = self._link.client.get_workflow_handle(name)
                await handle.terminate(reason="stopped before any worker took it", rpc_timeout=CALL_TIMEOUT)

    def _is_stopped_here(self) -> bool:
        """Return whether the run was stopped, and not only before a command that goes on with it."""
        return self._resources.run_gate.stop_kind is not None and not self._resources.spec.is_followed

    async def _find_waiting(self) -> object:
        """Return what tells the decision apart that waits longest; None if none waits.

        While the server is away all waits, and ``ServerPatience`` has told it.
        """
        handle = self._link.client.get_workflow_handle(self._link.workflow)
        try:
            own = find_waiting_task(await handle.describe(rpc_timeout=CALL_TIMEOUT))
        except RPCError as error:
            self._is_away = not is_gone(error)
            return self._link.address if self._is_away else None
        self._is_away = False
        return min((each for each in (own, self._find_lanes()) if each is not None), default=None)

    async def _was_any_there(self) -> bool:
        """Return whether a worker has made any decision of the run; also if the server does not say."""
        with anyio.move_on_after(_WITHDRAWN_WITHIN), suppress(RPCError):
            reader = HistoryReader(self._link.client, self._link.workflow, ServerPatience(), wait=False)
            taken = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            return any(event.event_type == taken for event in await reader.read() or ())
        return True

    def _tell(self, now: float) -> None:
        silence = self._silence
        if self._is_away:
            return
        if silence.is_worth_telling(now) and not silence.is_told:
            silence.is_told = True
            self._link.recorder.warn(None, f"{self._describe()}; start one with {self._advise()}")
        elif (silence.is_told or self._was_told) and silence.is_broken:
            silence.is_told = self._was_told = False
            self._link.recorder.remark(None, WORKER_AGAIN)

    def _describe(self) -> str:
        if self._is_away:
            return f"{NO_SERVER} {self._link.address} does not answer"
        return f"{NO_WORKER_AT_ALL} {self._link.address} takes the run's work"

    def _advise(self) -> str:
        spec = self._resources.spec
        zones = sorted({gateway.zone for gateway in spec.plan.gateways})
        asked = choose_form(len(zones), zones[0], "ZONE")
        each = choose_form(len(zones), "", f", for the zones {join_words(zones)}")
        return f"`undeploy worker --zone {asked} {spec.to_engine}`{each}"
