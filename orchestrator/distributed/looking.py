"""Has the workers of each zone look, for a preview or a doctor, and puts together what they have seen."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Literal, NamedTuple, TypeVar

import anyio
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed.bounds import LOOK_WAIT
from orchestrator.distributed.history import HistoryReader, decode_payload
from orchestrator.distributed.journal_pages import pack_journal
from orchestrator.distributed.look_answers import unpack_diagnoses, unpack_sights
from orchestrator.distributed.look_payloads import LookBeat, LookInput, LookOver, LookPage, LookTold, ZoneEnd
from orchestrator.distributed.names import ANSWER, LOOK_WORKFLOW, name_look_workflow
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience, make_brief_patience
from orchestrator.distributed.shipping import release_pages, ship_pages, start_workflow
from orchestrator.doctor.findings import Finding, GatewayDiagnosis, complete_findings
from orchestrator.engine.options import RunOptions
from orchestrator.errors import CredentialError, RunError, UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import Snapshot, Verdict
from orchestrator.preview.look import PreparedPreview, prepare_preview
from orchestrator.preview.progress import PreviewListener
from orchestrator.preview.states import GatewaySight, Preview, PreviewedGateway, SeenTarget
from orchestrator.runs.load import LoadedPlan

LOOK_EVERY = 1.0
"""Seconds between two questions how far the workers are."""

LAST_CALLS = 5.0
"""Seconds for clearing up at the server at the end."""

Seen = TypeVar("Seen")


class Looking(NamedTuple):
    """What a look has at hand."""

    client: Client
    tell: Callable[[str], None]
    """Gets a line while the server does not answer."""
    wait: float = LOOK_WAIT
    """Seconds that the workers of a zone get to take the look."""


class _Question(NamedTuple):
    """What all zones are asked; see ``LookInput``."""

    zones: tuple[str, ...]
    ask: Literal["preview", "doctor"]
    guarded: bool = False
    hours: int | None = None


async def preview_on(
    looking: Looking,
    loaded: LoadedPlan,
    options: RunOptions,
    listener: PreviewListener | None = None,
    *,
    guarded: bool = False,
    hours: int | None = None,
) -> Preview:
    """Return the preview that ``preview.look.take_preview`` would, by the looks of each zone's worker.

    The targets of a zone without a worker are unknown. Raises as ``take_preview``, though another zone may
    have looked by then; and RunError where a worker's answer cannot be had.
    """
    prepared = prepare_preview(loaded, options, hours=hours)
    named = {planned.target.gateway for planned in prepared.targets}
    gateways = [gateway for gateway in loaded.plan.gateways if gateway.name in named]
    began, taken = time.monotonic(), time.time()
    progress = _Progress(listener, len(prepared.targets))
    question = _Question(zones=_list_zones(gateways), ask="preview", guarded=guarded, hours=prepared.hours)
    found = await _ask_zones(looking, loaded, question, progress)
    found.raise_refusal()
    seen = {sight.gateway.name: sight for sight in found.unpack(unpack_sights)}
    sights = [
        seen.get(each.name) or _make_unseen(each, prepared, found.explain(each.zone)) for each in gateways
    ]
    return prepared.assemble(sights, taken=taken, seconds=time.monotonic() - began)


async def examine_on(looking: Looking, loaded: LoadedPlan) -> tuple[GatewayDiagnosis, ...]:
    """Return the diagnosis of each gateway by its zone's worker, in the plan's order.

    That of a zone without a worker says so. Raises RunError where a worker's answer cannot be had.
    """
    gateways = loaded.plan.gateways
    question = _Question(zones=_list_zones(gateways), ask="doctor")
    found = await _ask_zones(looking, loaded, question, _Progress(None, 0))
    done = {one.gateway: one for one in found.unpack(unpack_diagnoses)}
    return tuple(done.get(each.name) or _make_silent(each, found.explain(each.zone)) for each in gateways)


def _list_zones(gateways: Iterable[Gateway]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(gateway.zone for gateway in gateways))


async def _ask_zones(
    looking: Looking, loaded: LoadedPlan, question: _Question, progress: _Progress
) -> _Found:
    """Have each zone's worker look; nothing is left to do at the server on return, or after an interrupt."""
    client, workflow = looking.client, name_look_workflow(str(uuid.uuid4()))
    packed = await anyio.to_thread.run_sync(pack_journal, loaded.place, workflow)
    patience = make_brief_patience(looking.tell)
    given = LookInput(journal=packed.journal, wait=looking.wait, **question._asdict())
    async with _clear_up_after(client, workflow, len(packed.pages)):
        await ship_pages(client, workflow, packed.pages, patience)
        await start_workflow(client, LOOK_WORKFLOW, given, workflow, patience)
        # No task group: it would wrap what the server answers.
        telling = asyncio.create_task(progress.watch(client, workflow, patience))
        try:
            return await _read_answers(HistoryReader(client, workflow, patience), client, given)
        finally:
            telling.cancel()


@asynccontextmanager
async def _clear_up_after(client: Client, workflow: str, pages: int) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_CALLS):
            # Terminated, not cancelled: where no worker is, nobody would carry a cancel out. A look that is
            # under way ends with its next sign of life.
            with suppress(RPCError):
                await client.get_workflow_handle(workflow).terminate(
                    "nobody waits for the look any more", rpc_timeout=CALL_TIMEOUT
                )
            await release_pages(client, workflow, pages, ServerPatience())


async def _read_answers(reader: HistoryReader, client: Client, given: LookInput) -> _Found:
    """Return how each zone's look ended, once all have. Without any worker all are silent."""
    pages: list[LookPage] = []
    over: LookOver | None = None
    with anyio.move_on_after(given.wait) as scope:
        while (events := await reader.read()) is not None:
            for event in events:
                # Some worker serves the workflows: it keeps the time for each zone from here on.
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    scope.deadline = math.inf
                pages += await _read_page(client, event)
                over = await _read_over(client, event) or over
    if scope.cancelled_caught:
        over = LookOver(zones=tuple(ZoneEnd(zone=zone, fault="silent") for zone in given.zones))
    if over is None:
        raise RunError("the look was ended at the Temporal server; ask again")
    return _Found(over.zones, pages, given.wait)


async def _read_page(client: Client, event: HistoryEvent) -> list[LookPage]:
    if not event.HasField("workflow_execution_signaled_event_attributes"):
        return []
    signal = event.workflow_execution_signaled_event_attributes
    if signal.signal_name != ANSWER:
        return []
    return [await decode_payload(client, payload, LookPage) for payload in signal.input.payloads]


async def _read_over(client: Client, event: HistoryEvent) -> LookOver | None:
    if not event.HasField("workflow_execution_completed_event_attributes"):
        return None
    (payload,) = event.workflow_execution_completed_event_attributes.result.payloads
    return await decode_payload(client, payload, LookOver)


class _Found(NamedTuple):
    """How each zone's look ended, and what came of it."""

    zones: tuple[ZoneEnd, ...]
    pages: list[LookPage]
    waited: float

    def raise_refusal(self) -> None:
        """Raise CredentialError or UsageError if a worker may not look, as one machine would."""
        for end in self.zones:
            if end.fault == "credential":
                raise CredentialError(f"zone {end.zone}: {end.text}")
            if end.fault == "usage":
                raise UsageError(f"zone {end.zone}: {end.text}")

    def unpack(self, unpack: Callable[[LookTold, Iterable[LookPage]], Iterable[Seen]]) -> list[Seen]:
        """Return what the workers have seen, in the order of the zones. Raises RunError if a part lacks."""
        return [
            seen
            for end in self.zones
            if end.told is not None
            for seen in unpack(end.told, [page for page in self.pages if page.zone == end.zone])
        ]

    def explain(self, zone: str) -> str:
        """Return why nobody has looked in a zone."""
        end = next((end for end in self.zones if end.zone == zone), ZoneEnd(zone=zone, fault="lost"))
        match end.fault:
            case "silent":
                return f"no worker of zone {zone} took the look for {self.waited:g} s"
            case "lost":
                return f"each worker of zone {zone} that took the look was lost"
            case _:
                return f"the worker of zone {zone} could not look: {end.text or 'it did not say why'}"


def _make_unseen(gateway: Gateway, prepared: PreparedPreview, why: str) -> GatewaySight:
    """Return the sight of a gateway that nobody has looked at: its targets are unknown."""
    snapshot = Snapshot(verdict=Verdict.UNCLEAR, message=f"not looked at: {why}")
    return GatewaySight(
        gateway=PreviewedGateway(name=gateway.name, kind=gateway.KIND, requests=0, seconds=()),
        targets=tuple(
            SeenTarget(target=planned.target, step=planned.step, snapshot=snapshot)
            for planned in prepared.targets
            if planned.target.gateway == gateway.name
        ),
        silence=why,
    )


def _make_silent(gateway: Gateway, why: str) -> GatewayDiagnosis:
    """Return the diagnosis of a gateway that nobody has visited."""
    advice = f"see whether `undeploy worker --zone {gateway.zone}` runs there, and what it says"
    return GatewayDiagnosis(
        gateway=gateway.name,
        kind=gateway.KIND,
        url=gateway.url,
        findings=complete_findings([Finding.failure("answer", why, advice)]),
        requests=0,
    )


class _Progress:
    """Asks the server how far the workers are, and tells the listener of a preview, if any."""

    def __init__(self, listener: PreviewListener | None, of: int) -> None:
        self._listener = listener
        self._of = of
        self._beats: dict[str, LookBeat] = {}
        """The last sign of life of each zone's worker."""

    async def watch(self, client: Client, workflow: str, patience: ServerPatience) -> None:
        """Go on until it is cancelled, or the workflow is gone."""
        if self._listener is None:
            return
        self._listener.on_target_seen(0, self._of)
        handle = client.get_workflow_handle(workflow)
        while True:
            await anyio.sleep(LOOK_EVERY)
            try:
                described = await patience.ask(lambda: handle.describe(rpc_timeout=CALL_TIMEOUT))
            except RPCError:
                return  # its end is in its history
            for pending in described.raw_description.pending_activities:
                for payload in pending.heartbeat_details.payloads:
                    beat = await decode_payload(client, payload, LookBeat)
                    self._take(self._listener, pending.activity_id, beat)

    def _take(self, listener: PreviewListener, zone: str, beat: LookBeat) -> None:
        before = self._beats.get(zone, LookBeat())
        self._beats[zone] = beat
        listener.on_target_seen(sum(each.seen for each in self._beats.values()), self._of)
        if beat.pause is not None and beat.pause != before.pause:
            listener.on_pause(*beat.pause)
