"""One session on a Temporal server, as its driver conducts it: its start, and the way of its results here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from orchestrator.distributed.bounds import LEASE
from orchestrator.distributed.kept_runs import name_state
from orchestrator.distributed.lane_tails import LaneTails
from orchestrator.distributed.order_desk import OrderDesk, compose_orders
from orchestrator.distributed.order_joining import take_up_limits
from orchestrator.distributed.payloads import Orders, RunInput
from orchestrator.distributed.run_news import NewsItem, RunOver
from orchestrator.distributed.session_link import BegunSession, SessionLink
from orchestrator.distributed.session_lookup import read_news
from orchestrator.distributed.session_news import SessionNews
from orchestrator.distributed.session_start import SessionStart
from orchestrator.distributed.takeover import ResultTaker
from orchestrator.distributed.worker_watch import WorkerWatch
from orchestrator.engine.controller import Controller
from orchestrator.engine.resources import RunResources, SessionSpec
from orchestrator.errors import DiskError
from orchestrator.journal.notes import list_begun_in, list_warnings, read_taken
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.model.events import RunWaiting
from orchestrator.model.outcome import NO_SERVER, NO_WORKER_AT_ALL, SERVER_AGAIN
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import Act
from orchestrator.model.settings import Limits

_FLUSH_PERIOD = 1.0
"""Seconds between two questions whether the journal still takes rows."""


class _EarlierWork(NamedTuple):
    """What earlier processes of a session have left in the journal here."""

    warnings: tuple[str, ...]
    """Of the run as a whole."""
    taken: Mapping[tuple[str, int], int]
    """As ``ResultTaker`` takes it."""
    begun: frozenset[WaveStep]
    """The wave steps of which they told."""


class ConductedSession:
    """Conducts one session: has its workflow started, sends it orders, and brings its results here."""

    def __init__(
        self,
        client: Client,
        workflow: str,
        resources: RunResources,
        controller: Controller,
        *,
        address: str,
    ) -> None:
        """``workflow`` is the id of the run's workflow."""
        self._resources = resources
        self._learned = controller.learned
        self._link = SessionLink(client, workflow, resources, address=address)
        self._start = SessionStart(self._link, resources, self._learned)
        self._desk: OrderDesk | None = None

    async def start(self, lease: float) -> bool:
        """Start the workflow: see ``SessionStart.start``."""
        return await self._start.start(lease)

    async def follow(self) -> RunOver | None:
        """Bring all results here; return how the workflow ended, None if something else ended it."""
        begun = await self._link.watch_outage(LEASE).ask(self._link.read_begun)
        if begun is None:
            await self._stop_without_workflow()
            return None
        earlier = _recall_earlier(self._resources.spec)
        if any(text.startswith(NO_SERVER) for text in earlier.warnings):
            self._link.recorder.remark(None, SERVER_AGAIN)
        last = await self._take_up_orders(begun)
        async with anyio.create_task_group() as group:
            lanes = self._make_tails(earlier, group)
            news = SessionNews(
                self._resources,
                begun.given,
                lanes,
                group,
                announced=_find_last_step(begun.given, earlier),
                heard=begun.past.news,
            )
            self._desk = self._open_desk(last)
            watch, listening = self._make_watch(begun.given, lanes, earlier), anyio.CancelScope()
            group.start_soon(self._desk.watch, lambda: news.told_wait)
            group.start_soon(lanes.watch_beats)
            group.start_soon(self._watch_disk)
            group.start_soon(_cancel_after, watch.wait_until_hopeless, listening)
            with listening:
                await self._listen(begun.first, news, lanes)
            group.cancel_scope.cancel()
        if listening.cancelled_caught:
            await watch.end_alone()
        self._leave_to_window()
        return news.over

    async def tell_stop(self) -> None:
        """Tell the workflow that the run stops, if it may not know. What it does then is a later driver's."""
        run_gate, given = self._resources.run_gate, self._start.given
        if run_gate.stop_kind is None:
            return
        with suppress(RPCError):
            if self._desk is not None:
                await self._desk.tell_last()
            elif given is not None:
                orders = compose_orders(run_gate, self._learned, number=given.orders.number + 1)
                await self._link.send_orders(replace(orders, before=given.orders))

    async def _listen(self, first: str, news: SessionNews, lanes: LaneTails) -> None:
        """Take the news over until the run is over, and then all results that are missing."""
        async for item in self._read_news(first):
            await news.tell(item)
            if news.over is not None:
                break
        if news.over is None and not await self._stop_without_workflow():
            await lanes.call_back()
        await lanes.finish()

    def _read_news(self, execution: str) -> AsyncIterator[NewsItem]:
        link = self._link
        return read_news(link.client, link.workflow, link.patience, execution=execution)

    def _make_tails(self, earlier: _EarlierWork, group: TaskGroup) -> LaneTails:
        resources, link = self._resources, self._link
        taker = ResultTaker(resources.record, resources.emit, resources.environment.now, earlier.taken)
        return LaneTails(link.client, link.workflow, taker, link.patience, group)

    def _open_desk(self, last: Orders) -> OrderDesk:
        """Return the desk of the orders that are given here; ``last`` are those that hold."""
        return OrderDesk(
            self._link.send_orders,
            self._resources.run_gate,
            self._learned,
            planned=self._list_planned_limits(),
            last=last,
            read=lambda: self._link.read_orders(last),
            tell_of_other=self._link.tell_of_other,
        )

    def _make_watch(self, given: RunInput, lanes: LaneTails, earlier: _EarlierWork) -> WorkerWatch:
        return WorkerWatch(
            self._link,
            self._resources,
            lanes.find_waiting,
            given=given,
            was_told=any(text.startswith(NO_WORKER_AT_ALL) for text in earlier.warnings),
        )

    async def _take_up_orders(self, begun: BegunSession) -> Orders:
        """Return the orders that hold; those of a process before this one are taken up here.

        Of those that drivers have given the workflow may not have heard the last ones.
        """
        ordered = begun.past.orders
        orders = await self._link.decode_orders(begun.found) or ordered
        if ordered.number > orders.number:
            orders = replace(ordered, stop=ordered.stop or orders.stop)
        run_gate = self._resources.run_gate
        for pattern, operator in orders.skips.items():
            run_gate.skip(pattern, operator)
        self._take_up_limits(orders, begun.past.sent)
        if orders.paused and self._resources.spec.is_underway:
            run_gate.pause()
            self._resources.emit(RunWaiting(at=self._resources.environment.now(), why="paused"))
        return orders

    def _take_up_limits(self, orders: Orders, sent: Sequence[Orders]) -> None:
        """Take up the limits that hold at the server, and keep those that were never sent there."""
        all_limits = [self._list_planned_limits(), *(each.limits for each in sent)]
        for name, there in orders.limits.items():
            known = self._learned.get(name, LearnedLimits())
            ordered = [limits[name] for limits in all_limits if name in limits]
            holds = there if known.limits is None else take_up_limits(known.limits, there, ordered)
            self._learned[name] = replace(known, limits=holds)

    def _list_planned_limits(self) -> dict[str, Limits]:
        """Return the limits of the plan by gateway."""
        return {gateway.name: gateway.limits for gateway in self._resources.spec.plan.gateways}

    async def _watch_disk(self) -> None:
        """Stop the run once the journal takes no more rows. Never returns before."""
        while True:
            await anyio.sleep(_FLUSH_PERIOD)
            try:
                await self._resources.record.flush()
            except DiskError as error:
                self._resources.run_gate.stop("disk", str(error))
                return

    async def _stop_without_workflow(self) -> bool:
        """Stop the run, since nothing more is heard of its workflow; return whether that is open yet."""
        found = await self._link.describe()
        how = "is gone" if found is None else f"was {name_state(found.status)} there, not by this program"
        self._resources.run_gate.stop("control", f"its workflow on {self._link.address} {how}")
        return found is not None and found.status is WorkflowExecutionStatus.RUNNING

    def _leave_to_window(self) -> None:
        """Say of each lane that the window lets nothing of it start any more, if that is why it is over."""
        resources = self._resources
        now, run_gate = resources.environment.monotonic(), resources.run_gate
        for gateway in resources.spec.plan.gateways:
            late = run_gate.refusal(Act.UNDEPLOY, now, takes=gateway.reply_timeout)
            if run_gate.stop_kind is None and late is not None:
                resources.lane_refusals.setdefault(gateway.name, late)


async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _recall_earlier(spec: SessionSpec) -> _EarlierWork:
    if not spec.is_underway:
        return _EarlierWork((), {}, frozenset())
    with closing(spec.folder.open(whole=False)) as database:
        return _EarlierWork(
            list_warnings(database, None),
            read_taken(database, spec.number),
            frozenset(list_begun_in(database, spec.number)),
        )


def _find_last_step(given: RunInput, earlier: _EarlierWork) -> int:
    """Return the index of the last step of which an earlier process of this session told; else -1."""
    places = [WaveStep(step.wave, step.step) for step in given.steps]
    return max((index for index, place in enumerate(places) if place in earlier.begun), default=-1)
