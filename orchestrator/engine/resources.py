"""What every target of a session is undeployed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from orchestrator.lanes.environment import Environment
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent
from orchestrator.model.reading import UNDEPLOY, Operation, Reading, Snapshot
from orchestrator.model.target import Target
from orchestrator.rules.precheck import StateAtApproval


class Recording(Protocol):
    """Where intents and results are kept; the journal's record is one."""

    async def intent(self, target: Target, number: int, ask: Operation, at: float) -> None: ...
    def result(
        self, target: Target, number: int, reading: Reading, *, seconds: float, status: int | None, sent: bool
    ) -> None: ...
    def snapshot(self, target: Target, snapshot: Snapshot, at: float) -> None: ...


class RunResources(Struct, frozen=True, kw_only=True):
    """What every target of a session is undeployed with."""

    environment: Environment
    run_gate: RunGate
    record: Recording
    emit: Callable[[AnyEvent], None]
    note: str | None
    """The text for a vendor's history record, where a target has none of its own."""
    change: Operation = UNDEPLOY
    """What is done to the targets: to undeploy them, or in a restore to deploy them."""
    snapshot: Literal["best", "required", "off"] = "off"
    approved: Callable[[int], StateAtApproval | None] = lambda _: None
    """What an approval saw of the target with a number, where there is one."""
