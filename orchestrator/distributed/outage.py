"""Ends the wait for a server that is away while a session begins, when no worker of it is watched yet."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.silence import WorkerSilence
from orchestrator.engine.conductor import EngineLeftError
from orchestrator.engine.resources import RunResources
from orchestrator.lanes.standstill import StandstillWatch
from orchestrator.model.outcome import NO_SERVER
from orchestrator.text.formats import format_span

Answer = TypeVar("Answer")

_PERIOD = 1.0
"""Seconds between two looks at whether the server answers."""


def find_longest_park(resources: RunResources) -> float:
    """Return for how many seconds the plan waits for whoever does its work: the longest ``park_for``."""
    return max(gateway.park_for for gateway in resources.spec.plan.gateways)


def measure_until_open(resources: RunResources) -> float:
    """Return in how many seconds the window opens, 0 if it has; an outage before costs the run nothing."""
    window = resources.spec.window
    opens = None if window is None else window.opens
    return 0.0 if opens is None else max(0.0, opens.timestamp() - resources.environment.now())


def explain_away(resources: RunResources, address: str) -> EngineLeftError:
    """Return what to raise where the server is away, and may have the run at work."""
    folder = resources.spec.folder
    resume = f"undeploy resume {folder.id} {resources.spec.to_engine}{folder.state_option}"
    return EngineLeftError(
        f"{NO_SERVER} {address} does not answer, so that what was in flight is not known here",
        # It has heard of no stop that came since.
        f"once it answers again, the run may go on there: `{resume}` takes it over",
    )


def stop_for_outage(resources: RunResources, address: str) -> None:
    """Stop the run, since the server was away for longer than the plan waits."""
    after = format_span(find_longest_park(resources))
    resources.run_gate.stop("control", f"{NO_SERVER} {address} does not answer for {after} (park_for)")


class OutageWatch:
    """Stops the run of a server that is away for ``park_for``, and waits for one no longer after a stop."""

    def __init__(
        self, patience: ServerPatience, resources: RunResources, *, address: str, lease: float
    ) -> None:
        """``patience`` tells whether the server answers."""
        self._patience = patience
        self._resources = resources
        self._address = address
        self._silence = WorkerSilence(lease=lease, park_for=find_longest_park(resources))

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what ``question`` returns. Raises EngineLeftError if the server is away for too long."""
        answers: list[Answer] = []
        errors: list[Exception] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                try:
                    answers.append(await question())
                except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                    errors.append(error)
                group.cancel_scope.cancel()

            group.start_soon(ask)
            await self._wait_until_hopeless()
            group.cancel_scope.cancel()
        if errors:
            raise errors[0]
        if not answers:
            raise explain_away(self._resources, self._address)
        return answers[0]

    async def _wait_until_hopeless(self) -> None:
        """Return once the run was stopped and the server still gives no answer. Maybe never."""
        spec, run_gate, silence = self._resources.spec, self._resources.run_gate, self._silence
        monotonic, due = self._resources.environment.monotonic, math.inf
        standstill = StandstillWatch(monotonic)
        while True:
            # While this process stood still it asked nothing, and the server may have been there.
            silence.leave_out(standstill.measure(due))
            now = monotonic()
            task = self._address if self._patience.is_away else None
            stopped = run_gate.stop_kind is not None and not spec.is_followed
            silence.observe(task, now, stopped=stopped, may_start=not measure_until_open(self._resources))
            if silence.has_parked(now):
                stop_for_outage(self._resources, self._address)
                if spec.is_followed:
                    return
            if silence.is_hopeless(now, was_taken=True):
                return
            due = now + _PERIOD
            await anyio.sleep(_PERIOD)
