"""The window of one session: when its undeploys may start, and which warnings follow from that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from orchestrator.errors import UsageError
from orchestrator.journal.pending import PendingTargets
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, RunContinued, RunWaiting
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Window
from orchestrator.rules.forecast import find_last_starts
from orchestrator.rules.window import describe_closed_window, describe_short_window
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_unix_time

CLOCK_PERIOD = 20.0
"""Seconds between two looks at the clock of a run that waits for its window."""


class SessionWindow:
    """When a session may start undeploys. Instants are Unix seconds unless a name says otherwise."""

    def __init__(self, window: Window | None, environment: Environment) -> None:
        self.opens = window.opens.timestamp() if window and window.opens else None
        self.closes = window.closes.timestamp() if window and window.closes else None
        self._environment = environment
        self._told_late: set[str] = set()
        """Gateways whose operator knows already that the window lets none of their targets start."""

    def close_on_monotonic_clock(self) -> float | None:
        """Return when the window closes, on the clock that never jumps; None if it stays open."""
        if self.closes is None:
            return None
        return self._environment.monotonic() + self.closes - self._environment.now()

    async def wait_until_open(self, run_gate: RunGate, emit: Callable[[AnyEvent], None]) -> None:
        """Wait until the window opens, or until the run stops."""
        now = self._environment.now()
        if self.opens is None or now >= self.opens or run_gate.stop_kind is not None:
            return
        emit(RunWaiting(at=now, why="window", until=self.opens))
        await self._wait_for_clock(self.opens, run_gate)
        run_gate.set_close(self.close_on_monotonic_clock())
        emit(RunContinued(at=self._environment.now()))
        # A pause that was asked for meanwhile goes on: tell it again, or a display would show no wait.
        if run_gate.paused:
            emit(RunWaiting(at=self._environment.now(), why="paused"))

    async def _wait_for_clock(self, at: float, run_gate: RunGate) -> None:
        # The clock may be set while the run waits, and the machine may sleep: so it is read again and again.
        while run_gate.stop_kind is None and (left := at - self._environment.now()) > 0.0:
            await run_gate.sleep(min(left, CLOCK_PERIOD))

    def list_warnings(self, lane: Lane) -> Iterator[str]:
        """Yield the warnings about a lane that was just opened."""
        ends = lane.authenticator.active.until if lane.authenticator.active else None
        # No login renews such a credential: after its end the gateway would refuse each undeploy.
        if ends is not None and self.closes is not None and ends < self.closes:
            yield f"the credential says that it ends at {format_unix_time(ends)}, before the window closes"
        last = self._find_last_start(lane.gateway)
        if last is not None and last < self._environment.now():
            self._told_late.add(lane.gateway.name)
            why = self._describe_last_start(lane.gateway)
            yield f"{why}, so nothing of it is started in this session"

    def warn_of_left_targets(
        self,
        pending: PendingTargets,
        gateways: Iterable[Gateway],
        warners: Mapping[str, Callable[[str], None]],
    ) -> None:
        """Warn how many targets of each lane the window has left, unless a warning at the start said so.

        ``warners`` has a function for each lane that the session has opened.
        """
        left = pending.count_not_started(Reason.WINDOW)
        for gateway in gateways:
            name = gateway.name
            if name in left and name in warners and name not in self._told_late:
                targets = count_noun(left[name], "target was", "targets were")
                warners[name](f"{self._describe_last_start(gateway)}; {targets} left")

    def _describe_last_start(self, gateway: Gateway) -> str:
        last = format_unix_time(self._find_last_start(gateway) or 0.0)
        return (
            f"the window lets nothing of it start after {last}: "
            f"one timeout ({gateway.reply_timeout:g} s) no longer fits before it closes"
        )

    def _find_last_start(self, gateway: Gateway) -> float | None:
        """Return the last instant at which a gateway starts an undeploy; None if the window stays open."""
        return find_last_starts(self.closes, {gateway.name: gateway.reply_timeout}).get(gateway.name)


def refuse_outside_window(window: Window | None, now: float, *, wait: bool, takes: float) -> None:
    """Raise UsageError before ``opens``, unless the session may ``wait`` for it, and after ``closes``.

    A session that is to ``wait`` wants a window that opens. ``takes`` is how many seconds the shortest
    undeploy may take.
    """
    # Who waits for a window believes in one: without it the undeploys would begin at once.
    if wait and (window is None or window.opens is None):
        raise UsageError(
            "--wait waits for a window to open, and none is given: write opens in the plan, or give --window"
            " in place of --close-at; or leave --wait out to begin at once. Nothing was sent"
        )
    if window is None:
        return
    if window.opens is not None and now < window.opens.timestamp():
        _refuse_future(window, window.opens, wait=wait, takes=takes)
    if window.closes is not None and (over := describe_closed_window(window, now)) is not None:
        raise UsageError(
            f"{over} (at {window.closes.isoformat()}); give another with --window or --close-at."
            " Nothing was sent"
        )
    if window.closes is not None and now + takes > window.closes.timestamp():
        raise UsageError(
            f"the window closes at {window.closes.isoformat()}, and one timeout ({takes:g} s) no longer fits"
            " before; --window or --close-at gives another one"
        )


def _refuse_future(window: Window, opens: datetime, *, wait: bool, takes: float) -> None:
    """Raise UsageError for a window that is yet to open, unless the session waits for it and can use it."""
    if (short := describe_short_window(window, takes)) is not None:
        raise UsageError(f"{short}; --window or --close-at gives another one")
    if not wait:
        raise UsageError(
            f"the window opens at {opens.isoformat()}; --wait waits for it,"
            " --window or --close-at gives another one"
        )
