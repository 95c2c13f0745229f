"""The activity by which a zone's worker looks at its gateways, for a preview or a doctor.

It sends logins and reads alone, so that another worker may begin it anew.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import anyio
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from orchestrator.distributed.chunk_activity import LONGEST_TEXT, describe_bug, find_cause
from orchestrator.distributed.look_answers import Diagnoses, Sights, pack_answer
from orchestrator.distributed.look_payloads import LookBeat, LookOrder, LookTold
from orchestrator.distributed.names import ANSWER, LOOK_ACTIVITY
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.shipping import fetch_journal
from orchestrator.distributed.signals import send_signal
from orchestrator.doctor.examine import GatewaySamples, examine_samples, read_samples
from orchestrator.errors import CredentialError, OrchestratorError, UsageError
from orchestrator.journal.database import open_database
from orchestrator.journal.meta import read_plan
from orchestrator.lanes.environment import Environment
from orchestrator.model.plan import Plan
from orchestrator.preview.look import LookQuestion, look_at_gateways
from orchestrator.preview.planned import PlannedTarget, list_planned
from orchestrator.preview.progress import LookProgress

BEAT_EVERY = 1.0
"""Seconds between two signs of life."""


class LookWorker:
    """Looks at the gateways of a zone, whichever plan they are of."""

    def __init__(self, client: Client, environment: Environment, folder: Path) -> None:
        """``environment`` is that of the chunks, so that what it refuses there is refused here, too.

        ``folder`` exists, and is this process's alone.
        """
        self._client = client
        self._environment = environment
        self._folder = folder

    @activity.defn(name=LOOK_ACTIVITY)
    async def look(self, order: LookOrder) -> LookTold:
        """Look, and send what was seen to the workflow. A cancel ends it."""
        fault: Exception
        try:
            return await self._look(order)
        except Exception as error:  # noqa: BLE001 - no text of this machine leaves it unmasked
            fault = find_cause(error)
        raise self._mask(fault)  # outside of the block, so that nothing of the error goes with it

    def _mask(self, error: Exception) -> ApplicationError:
        match error:
            case CredentialError():
                kind = "credential"
            case UsageError():
                kind = "usage"
            case _:
                kind = "trouble"
        text = str(error) if isinstance(error, OrchestratorError) else describe_bug(error)
        clean = self._environment.known.mask.clean_text(text)[:LONGEST_TEXT]
        # Whoever asked hears of these; the worker's log is for its own troubles.
        category = (
            ApplicationErrorCategory.UNSPECIFIED if kind == "trouble" else ApplicationErrorCategory.BENIGN
        )
        return ApplicationError(clean, type=kind, non_retryable=True, category=category)

    async def _look(self, order: LookOrder) -> LookTold:
        beats = _Beats(self._environment)
        # No task group: it would wrap what the look raises.
        telling = asyncio.create_task(beats.go_on())
        place = Path(mkdtemp(prefix="look-", dir=self._folder))
        try:
            await fetch_journal(self._client, order.journal, place, ServerPatience())
            answer = await self._ask(order, place / "journal.sqlite", beats)
            return await self._send(order.zone, answer)
        finally:
            telling.cancel()
            shutil.rmtree(place, ignore_errors=True)

    async def _ask(self, order: LookOrder, journal: Path, beats: _Beats) -> Sights | Diagnoses:
        if order.ask == "doctor":
            plan, samples = await anyio.to_thread.run_sync(_read_samples, journal, order.zone)
            return await examine_samples(plan, samples, self._environment, Path())
        planned = await anyio.to_thread.run_sync(_read_targets, journal, order.zone)
        question = LookQuestion(guarded=order.guarded, hours=order.hours)
        gateways = [each for each in planned.plan.gateways if each.zone == order.zone]
        progress = LookProgress(beats, len(planned.targets))
        return tuple(await look_at_gateways(gateways, planned.targets, self._environment, progress, question))

    async def _send(self, zone: str, answer: Sights | Diagnoses) -> LookTold:
        told, pages = await anyio.to_thread.run_sync(pack_answer, zone, answer)
        workflow = activity.info().workflow_id
        assert workflow is not None  # noqa: S101 - nothing but the look's workflow starts it
        for page in pages:
            await send_signal(self._client, workflow, ANSWER, page, patience=ServerPatience())
        return told


class _Beats:
    """Tells the server how far the look is; hears that as the listener of a preview."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._seen = 0
        self._pause: tuple[str, str, float] | None = None

    def on_target_seen(self, done: int, _of: int) -> None:
        self._seen = done

    def on_pause(self, gateway: str, reason: str, seconds: float) -> None:
        self._pause = gateway, self._environment.known.mask.clean_text(reason), seconds

    async def go_on(self) -> None:
        """Tell it until the look is over."""
        while True:
            activity.heartbeat(LookBeat(seen=self._seen, pause=self._pause))
            await anyio.sleep(BEAT_EVERY)


class _Planned(NamedTuple):
    plan: Plan
    targets: list[PlannedTarget]


def _read_targets(journal: Path, zone: str) -> _Planned:
    """Return the plan, and the targets of a zone's gateways that are not held back."""
    with closing(open_database(journal, write=False)) as database:
        plan = read_plan(database)
        here = {gateway.name for gateway in plan.gateways if gateway.zone == zone}
        return _Planned(plan, [each for each in list_planned(database, plan) if each.target.gateway in here])


def _read_samples(journal: Path, zone: str) -> tuple[Plan, list[GatewaySamples]]:
    """Return the plan, and a zone's gateways, each with a few targets."""
    with closing(open_database(journal, write=False)) as database:
        plan = read_plan(database)
        return plan, [one for one in read_samples(database, plan) if one.gateway.zone == zone]
