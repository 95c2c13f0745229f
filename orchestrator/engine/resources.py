"""The values that a session begins with, and the resources that its parts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from orchestrator.engine.protection import ProtectionSummary
from orchestrator.engine.request import RunRequest
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.sessions import SessionOptions
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.lane import Lane, LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.usage_reader import UsageReader
from orchestrator.model.credentials import Material
from orchestrator.model.events import AnyEvent
from orchestrator.model.plan import Plan, Window
from orchestrator.model.reading import UNDEPLOY, Operation
from orchestrator.rules.stop_rules import StopRules


class SessionSpec(Struct, frozen=True, kw_only=True):
    """The caller's request, and all that was settled before the session's first HTTP request."""

    request: RunRequest
    folder: RunFolder
    plan: Plan
    change: Operation = UNDEPLOY
    """The operation on each target: an undeploy, or in a restore a deploy."""
    number: int
    """1 for the first session of the run."""
    holder: str
    """The process that works on the run, as JSON."""
    window: Window | None
    window_from: Literal["plan", "option"]
    materials: Mapping[str, Material]
    """The credentials by gateway; only of gateways that have open targets."""
    learned: Mapping[str, LearnedLimits] = {}
    """The pace and the limits of each lane from earlier sessions, by gateway."""
    skips: Mapping[str, str] = {}
    """Patterns that an operator skipped in an earlier session, each with that operator's name."""
    expires: float | None = None
    """The Unix time from which the approval file of a new run is void, if no request has left by then."""
    accepted: tuple[str, ...] = ()
    """The words of the obstacles that a person accepted for a restore."""
    is_underway: bool = False
    """Whether an engine works on this session already: its process here was killed, and this one follows."""
    is_followed: bool = False
    """Whether the same command goes on with another session: this one was stopped before it took it over."""
    protection: ProtectionSummary | None = None
    """The patterns that keep targets from the run; None in a restore, from which no pattern keeps any."""

    @property
    def past_stop(self) -> bool:
        """Whether the operator accepts the counts of the stop rules from earlier sessions."""
        return self.number > 1 and self.request.options.past_stop

    @property
    def is_restore(self) -> bool:
        """Whether the session deploys targets again after an undeploy."""
        return self.change != UNDEPLOY

    @property
    def snapshot(self) -> Literal["best", "required", "off"]:
        """Whether to keep each target's state before its undeploy; a restore needs no snapshot of its own."""
        return "off" if self.is_restore else self.plan.snapshot

    @property
    def in_use(self) -> Literal["ignore", "warn", "refuse"]:
        """What becomes of a target that was called lately; a restore does not ask."""
        return "ignore" if self.is_restore else self.plan.in_use

    @property
    def history_note(self) -> str | None:
        """The text for a vendor's history record; None without a reason: an older server knows no text."""
        return f"{self.plan.reason} [{self.folder.id}]" if self.plan.reason else None

    @property
    def options(self) -> SessionOptions:
        """The caller's options as the journal keeps them."""
        options, conductor = self.request.options, self.request.conductor
        return SessionOptions(
            only=options.only,
            skip=options.skip,
            waves=options.waves,
            window=self.window,
            window_from=self.window_from,
            engine=None if conductor is None else conductor.address,
            engine_options=None if conductor is None else conductor.options,
        )

    @property
    def to_engine(self) -> str:
        """The options of a command that reaches the engine of this session; empty without one."""
        return "" if self.request.conductor is None else self.request.conductor.options


class RunResources(Struct, frozen=True, kw_only=True):
    """The resources that the waves, workers, target runs and the controller of one session share."""

    spec: SessionSpec
    environment: Environment
    run_gate: RunGate
    record: SessionRecord
    pending: PendingTargets
    stop_rules: StopRules
    emit: Callable[[AnyEvent], None]
    lanes: dict[str, Lane] = field(default_factory=dict)
    """The lane of each gateway that has open targets; the session opens them before the first wave."""
    usage_readers: dict[str, UsageReader] = field(default_factory=dict)
    """By gateway, where the plan asks how much targets are used."""
    lane_refusals: dict[str, str] = field(default_factory=dict)
    """Why a lane that another machine worked started nothing any more, by gateway, with its ``Reason``."""
    warners: dict[str, Callable[[str], None]] = field(default_factory=dict)
    """Keeps and tells a warning about a gateway, by gateway; of those with targets in this session."""
