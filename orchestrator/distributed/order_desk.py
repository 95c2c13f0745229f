"""What people want of a run, as its workflow is told: whenever it has changed, the whole of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace
from temporalio.service import RPCError

from orchestrator.distributed.order_joining import join_orders
from orchestrator.distributed.payloads import Orders, StopOrder
from orchestrator.distributed.run_news import WaitBegun
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.settings import Limits

_NOTICED_WITHIN = 0.5
"""Seconds within which other limits are seen, which change without a word to the run gate."""


def compose_orders(
    run_gate: RunGate, learned: Mapping[str, LearnedLimits], *, number: int, proceed: int = -1
) -> Orders:
    """Return what people want now."""
    stop = None
    if run_gate.stop_kind is not None:
        _, _, text = (run_gate.reason or "").partition(": ")
        stop = StopOrder(kind=run_gate.stop_kind, text=text)
    return Orders(
        number=number,
        paused=run_gate.paused,
        stop=stop,
        skips=dict(run_gate.skips),
        limits={name: each.limits for name, each in learned.items() if each.limits is not None},
        proceed=proceed,
    )


class OrderDesk:
    """Sends the orders of one session to its workflow."""

    def __init__(
        self,
        send: Callable[[Orders], Awaitable[None]],
        run_gate: RunGate,
        learned: Mapping[str, LearnedLimits],
        *,
        planned: Mapping[str, Limits],
        last: Orders,
        read: Callable[[], Awaitable[Orders | None]],
        tell_of_other: Callable[[], None],
    ) -> None:
        """``send`` gives orders to the workflow; it raises RPCError once that is gone.

        ``learned`` changes as an operator sets limits; ``planned`` are those of the plan, by gateway.
        ``last`` are the orders that hold already. ``read`` returns those that hold now, None once the
        workflow is gone; ``tell_of_other`` is called when they are found to be another driver's.
        """
        self._give = send
        self._run_gate = run_gate
        self._learned = learned
        self._planned = planned
        self._last = last
        """What was wanted here when it was last told."""
        self._sent = last
        self._underway: Orders | None = None
        """What is on its way to the workflow, which may have it or not."""
        self._find_wait: Callable[[], WaitBegun | None] = lambda: None
        self._read = read
        self._tell_of_other = tell_of_other

    async def watch(self, find_wait: Callable[[], WaitBegun | None]) -> None:
        """Send the orders after each change, until the workflow has ended.

        ``find_wait`` returns the wait of the run that goes on.
        """
        self._find_wait = find_wait
        while True:
            orders = self._compose(find_wait())
            if not self._is_new(orders):
                await self._run_gate.wait_for_change(_NOTICED_WITHIN)
            elif not await self._send(orders):
                return

    async def tell_last(self) -> None:
        """Send what the workflow may not know yet: the driver ends, and ``watch`` was cut off."""
        orders = self._compose(self._find_wait())
        if self._is_new(orders):
            await self._send(orders)
        elif self._underway is not None:
            # Whether it has arrived is not known; the same orders again change nothing.
            await self._give(self._underway)

    def _is_new(self, orders: Orders) -> bool:
        return replace(orders, number=self._last.number) != self._last

    async def _send(self, orders: Orders) -> bool:
        """Send what is wanted now; return whether the workflow is there and obeys."""
        if (there := await self._read()) is None:
            return False
        if there.number > self._sent.number:
            self._tell_of_other()
        elif there.number < self._sent.number:
            # The workflow has not come to what was sent last, which holds all the same.
            there = self._sent
        joined = join_orders(self._add_planned(self._last), orders, there)
        self._last, self._sent = orders, joined
        # Another driver may have read the same, and send at this moment: then the workflow joins the two.
        joined = self._underway = replace(joined, before=self._add_planned(there))
        try:
            await self._give(joined)
        except RPCError:
            return False
        self._underway = None
        return True

    def _add_planned(self, orders: Orders) -> Orders:
        """Return orders with the limits of each gateway: those of the plan where nobody replaced them."""
        return replace(orders, limits={**self._planned, **orders.limits})

    def _compose(self, wait: WaitBegun | None) -> Orders:
        proceed, run_gate = self._last.proceed, self._run_gate
        # The gate no longer rests, and no stop made it so: a person has ended the wait.
        if wait is not None and wait.why != "window" and not run_gate.rests and run_gate.stop_kind is None:
            proceed = max(proceed, wait.number)
        orders = compose_orders(run_gate, self._learned, number=self._sent.number + 1, proceed=proceed)
        # A stop that holds there may come to this gate later, with the news: it is nothing new to order.
        return replace(orders, stop=orders.stop or self._last.stop)
