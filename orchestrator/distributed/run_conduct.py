"""The decisions of a run's workflow: which lanes begin, what stops the run, how long it waits.

``RunConduct`` is told what has happened and what time it is, and answers with what is to be done and told.
It has no clock and no network, and knows nothing of Temporal: each decision follows from the values alone, as
the replay of a workflow demands. Its whole state is one value, so that a long run can continue as new.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from msgspec.structs import replace

from orchestrator.distributed.bounds import MOST_BROKEN
from orchestrator.distributed.order_joining import take_up_orders
from orchestrator.distributed.payloads import (
    ChunkReport,
    GoOn,
    LaneOver,
    Orders,
    RunInput,
    StepWork,
    StopOrder,
)
from orchestrator.distributed.run_counts import RunCounts
from orchestrator.distributed.run_decisions import Action, LetGoOn, RunDecisions
from orchestrator.distributed.run_lanes import RunLanes
from orchestrator.distributed.run_news import (
    NewsItem,
    RunOver,
    RunStopped,
    StepBegun,
    StepOver,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.distributed.run_state import RunState, begin_state
from orchestrator.lanes.run_gate import STOP_RANK
from orchestrator.model.outcome import Reason
from orchestrator.text.formats import format_unix_time

CANCELLED = StopOrder(kind="control", text="the run's workflow was cancelled in Temporal")
"""What a cancel from Temporal's own tools means: the same as ``undeploy control stop``."""


class RunConduct:
    """Leads one session of a run through its steps. Times are Unix seconds."""

    def __init__(self, given: RunInput, workflow: str) -> None:
        """``workflow`` is the id of the run's workflow. With a ``given.state`` it goes on from there."""
        self.given = given
        self.state = msgspec.json.decode(given.state, type=RunState) if given.state else begin_state(given)
        self._opens, self._closes = _read_window(given)
        self._decisions = RunDecisions()
        self._counts = RunCounts(given, self.state)
        self._lanes = RunLanes(given, self.state, workflow, self._decisions)

    # What has happened.

    def take_orders(self, orders: Orders) -> None:
        """Obey the orders of a driver, joined to those that another one has given since it knew them."""
        if (joined := take_up_orders(orders, self.state.orders)) is None:
            return
        self.state.orders = joined
        if orders.stop is not None:
            self._stop(orders.stop)
        self._lanes.tell_orders()

    def cancel(self) -> None:
        """Stop, since somebody cancelled the workflow; if all is over, wait for no driver any more."""
        if self.is_over:
            self.acknowledge()
            return
        self._stop(CANCELLED)
        self._lanes.tell_orders()

    def take_report(self, report: ChunkReport) -> None:
        """Count what ended in a chunk, judge it, and let its lane go on."""
        stop = self._counts.take_report(report)
        if stop is not None and self._stop(stop):
            self._lanes.tell_orders()
        state = self.state
        go_on = GoOn(stop=state.counts, dispatch=report.dispatch, orders=state.lane_orders)
        self._decisions.act(LetGoOn(report.workflow, go_on))

    @property
    def is_overfull(self) -> bool:
        """Whether more targets are kept, since others wait for them in vain, than Temporal may take."""
        return self._counts.is_overfull

    def stop_overfull(self) -> None:
        """Stop: what is kept would not fit into another order, or into another execution of the workflow."""
        why = (
            f"more than {MOST_BROKEN:,} targets that others wait for did not end as wanted; a resume goes on"
        )
        if self._stop(StopOrder(kind="control", text=why)):
            self._lanes.tell_orders()

    def take_lane_over(self, over: LaneOver) -> None:
        """Note that a part of a lane hands out no more chunks."""
        part = self._lanes.close_part(over.workflow)
        if part is None:
            return
        state, gateway = self.state, over.gateway
        state.carries[gateway] = over.carry
        refusal = over.refusal or (over.carry.reason or Reason.PARKED if over.carry.is_over else None)
        # A lane that its worker parked or closed says so in its carry, and has told its listeners.
        untold = not over.carry.is_over and (over.refusal or "").startswith(f"{Reason.PARKED}:")
        if over.no_credential is not None:
            refusal = f"{Reason.DENIED}: {over.no_credential}"
            untold = True
            state.void = state.void or over.no_credential
        if over.bug is not None:
            state.bug = state.bug or over.bug
            where = f"a worker of zone {self.given.gateways[gateway].zone}"
            self._stop(StopOrder(kind="control", text=f"a fault of the program in {where}: {over.bug}"))
            self._lanes.tell_orders()
        self._lanes.end_part(part, over.dispatches, refusal, over.rest, untold=untold)

    def lose_lane(self, workflow: str, why: str) -> None:
        """Give a lane up whose workflow is gone: somebody terminated it in Temporal."""
        part = self._lanes.close_part(workflow)
        if part is not None:
            self._lanes.end_part(part, 0, f"{Reason.PARKED}: {why}", part.place, untold=True)

    def take_zone_news(self, news: ZoneSilent | ZoneAnswers) -> None:
        """Tell that no worker of a zone takes its work, or that one does again."""
        self._decisions.tell(news)

    def take_part_taken(self, workflow: str) -> None:
        """Release a part whose results a driver has; a further part may begin in its place."""
        self._lanes.release_part(workflow)

    def acknowledge(self) -> None:
        """End: a driver has everything. Before the run is over it is not heard."""
        if self.is_over and not self.state.acknowledged:
            self.state.acknowledged = True
            self._lanes.release_all()

    # What follows.

    @property
    def shown_orders(self) -> Orders:
        """The orders that hold, as later drivers read them."""
        return self.state.shown_orders

    @property
    def is_over(self) -> bool:
        """Whether all that this session may do is done."""
        return self.state.phase == "over"

    @property
    def is_finished(self) -> bool:
        """Whether nobody waits for the results any more."""
        return self.state.acknowledged

    @property
    def progress(self) -> str:
        """Where the run stands, for a person: ``wave canary, 120 of 4,000 targets ended``."""
        ended = f"{self.state.ended:,} of {self._counts.total:,} targets ended"
        if self.is_over:
            return f"over, {ended}"
        step = self._step_now
        return ended if step is None else f"{_name_step(step)}, {ended}"

    def advance(self, now: float) -> None:
        """Decide everything that can be decided now."""
        while self._advance_once(now):
            pass

    def seconds_until_due(self, now: float) -> float | None:
        """Return after how long ``advance`` is due though nothing happens; None if never."""
        wait = self.state.wait
        if wait is None:
            return None
        until = math.inf if wait.until is None else wait.until
        due = until if wait.why == "window" else min(until, self._closes)
        return None if math.isinf(due) else max(0.0, due - now)

    def hand_over(self) -> RunInput:
        """Return the input with which another workflow goes on. All actions and news were taken before."""
        return replace(self.given, state=msgspec.json.encode(self.state))

    def take_actions(self) -> list[Action]:
        """Return what is to be done since this was asked last."""
        return self._decisions.take_actions()

    def take_news(self) -> tuple[NewsItem, ...]:
        """Return what is to be told since this was asked last."""
        return self._decisions.take_news()

    # Phases.

    def _advance_once(self, now: float) -> bool:
        """Take one step of the decisions. Returns whether another one may follow."""
        if self.state.wait is not None and not self._end_wait(now):
            return False
        match self.state.phase:
            case "window":
                return self._open_window(now)
            case "first":
                return self._ask_first()
            case "next":
                return self._begin_step(now)
            case "step":
                return self._work(now)
            case "pause":
                return self._pause(now)
            case "question":
                return self._ask()
            case "over":
                return False

    def _open_window(self, now: float) -> bool:
        state = self.state
        if state.stop_order is None and now < self._opens:
            return self._wait("window", self._opens)
        # Only now, after the wait for the window: an approval counts when the first request may leave.
        expires = self.given.expires
        if expires is not None and now >= expires and state.stop_order is None:
            at = format_unix_time(expires)
            state.void = f"the approval expired at {at}, before anything was sent; make a new one"
            return self._finish()
        state.phase = "first"
        return True

    def _ask_first(self) -> bool:
        """Ask whether to continue, if the session before ended between two steps without an answer."""
        self.state.phase = "next"
        steps = self.given.steps
        return self._wait("proceed", None) if steps and steps[0].asks_first else True

    def _begin_step(self, now: float) -> bool:
        state, following = self.state, self.state.index + 1
        is_last = following >= len(self.given.steps)
        if is_last or state.stop_order is not None or (state.index >= 0 and self._is_too_late(now)):
            return self._finish()
        state.index, state.phase = following, "step"
        self._lanes.begin_level(0)
        self._counts.begin_step(self.given.steps[following])
        self._decisions.tell(StepBegun(index=following))
        return True

    def _work(self, now: float) -> bool:
        """Start the lanes that may start. Once all of a level are over, go to the next one."""
        state, step = self.state, self.given.steps[self.state.index]
        if state.stop_order is None:
            self._lanes.start_parts()
        if self._lanes.are_at_work:
            return False
        if state.level + 1 < len(step.levels) and state.stop_order is None:
            self._lanes.begin_level(state.level + 1)
            return True
        self._end_step(step, now)
        return True

    def _end_step(self, step: StepWork, now: float) -> None:
        state = self.state
        self._decisions.tell(StepOver(index=state.index))
        is_last = state.index + 1 >= len(self.given.steps)
        if is_last or state.stop_order is not None:
            state.phase = "next"
            return
        fault = self._counts.find_fault(step, is_too_late=self._is_too_late(now))
        if fault is not None:
            self._stop(StopOrder(kind="stop_rule", text=fault))
        state.phase = "pause" if fault is None else "next"

    def _pause(self, now: float) -> bool:
        self.state.phase = "question"
        pause = self.given.steps[self.state.index].pause_after
        return True if pause is None else self._wait("pause_after", now + pause)

    def _ask(self) -> bool:
        self.state.phase = "next"
        return self._wait("proceed", None) if self.given.steps[self.state.index].asks else True

    def _finish(self) -> bool:
        state = self.state
        state.phase = "over"
        # A worker without a credential sent nothing; if others worked, the run is no void one.
        void = None if state.has_sent else state.void
        self._decisions.tell(RunOver(void=void, bug=state.bug))
        if self.given.recurs:
            self.acknowledge()
        return False

    # Waits.

    def _wait(self, why: Literal["window", "pause_after", "proceed"], until: float | None) -> bool:
        """Begin a wait, unless the run stops. Returns True: it may be over at once."""
        state = self.state
        if state.stop_order is None:
            state.wait = WaitBegun(why=why, index=state.index, until=until, number=state.waits)
            state.waits += 1
            self._decisions.tell(state.wait)
        return True

    def _end_wait(self, now: float) -> bool:
        """End the present wait if it has an end now. Returns whether it has."""
        state, wait = self.state, self.state.wait
        assert wait is not None  # noqa: S101 -- the caller asks only while one is under way
        is_told = wait.why != "window" and state.orders.proceed >= wait.number
        if state.stop_order is None and not is_told and self.seconds_until_due(now) != 0.0:
            return False
        state.wait = None
        self._decisions.tell(WaitOver(index=wait.index))
        return True

    def _is_too_late(self, now: float) -> bool:
        """Return whether the window lets no open target start any more."""
        gateways = self.given.gateways
        timeouts = [gateways[name].reply_timeout for name, left in self.state.left.items() if left > 0]
        return (
            self.state.stop_order is None
            and bool(timeouts)
            and all(now + timeout > self._closes for timeout in timeouts)
        )

    # Stops.

    def _stop(self, stop: StopOrder) -> bool:
        """Let nothing new start. Returns whether that is new: of equally grave stops the first one stays."""
        before = self.state.stop_order
        if before is not None and STOP_RANK[stop.kind] <= STOP_RANK[before.kind]:
            return False
        self.state.stop_order = stop
        self._decisions.tell(RunStopped(stop=stop))
        return True

    @property
    def _step_now(self) -> StepWork | None:
        return self.given.steps[self.state.index] if self.state.index >= 0 else None


def _read_window(given: RunInput) -> tuple[float, float]:
    """Return when the window opens and closes, as Unix times."""
    window = given.window
    opens = window.opens.timestamp() if window and window.opens else -math.inf
    closes = window.closes.timestamp() if window and window.closes else math.inf
    return opens, closes


def _name_step(step: StepWork) -> str:
    return (
        f"step {step.step + 1} of {step.steps} of wave {step.name}" if step.steps > 1 else f"wave {step.name}"
    )
