"""Has a session's targets taken down by workers of a Temporal server, and brings the results here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import anyio
import anyio.to_thread
from msgspec.structs import replace
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError

from orchestrator.distributed.address import EngineAddress
from orchestrator.distributed.connection import (
    EngineTls,
    NamespaceMissingError,
    connect,
    explain_errors,
    is_listening,
)
from orchestrator.distributed.history import decode_payload
from orchestrator.distributed.journal_pages import pack_journal
from orchestrator.distributed.kept_runs import name_state, read_session
from orchestrator.distributed.lane_tails import LaneTails
from orchestrator.distributed.names import LEASE, MEMO_ORDERS, name_run_workflow
from orchestrator.distributed.order_desk import OrderDesk, compose_orders
from orchestrator.distributed.order_joining import take_up_limits
from orchestrator.distributed.outage import (
    OutageWatch,
    find_longest_park,
    measure_until_open,
    stop_for_outage,
)
from orchestrator.distributed.patience import GONE_AFTER, ServerPatience, is_refusal
from orchestrator.distributed.payloads import NewsItem, Orders, RunInput, RunOver
from orchestrator.distributed.run_start import has_search_attributes, start_run
from orchestrator.distributed.server_words import clean_words
from orchestrator.distributed.session_lookup import (
    SessionPast,
    describe_workflow,
    find_engine_session,
    find_first_execution,
    read_beginning,
    read_news,
    read_past,
)
from orchestrator.distributed.session_news import SessionNews
from orchestrator.distributed.shipping import ship_pages
from orchestrator.distributed.signals import send_signal
from orchestrator.distributed.takeover import ResultTaker
from orchestrator.distributed.work_plan import make_run_input
from orchestrator.distributed.worker_watch import WorkerWatch
from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.controller import Controller
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.resources import RunResources
from orchestrator.errors import DiskError, OrchestratorError, RunError, UsageError
from orchestrator.journal.engine_mark import EngineMark, remove_engine_mark, write_engine_mark
from orchestrator.journal.notes import list_begun_in, list_warnings, read_taken
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.model.events import RunWaiting
from orchestrator.model.outcome import NO_SERVER, NO_WORKER_AT_ALL, SERVER_AGAIN
from orchestrator.model.plan import RunId, WaveStep
from orchestrator.model.reading import Act

RELEASE_WITHIN = 10.0
"""Seconds for the last word to the server: the run has ended, and a person waits for the prompt."""

LAST_ORDERS = 2.0
"""Seconds for telling the server that the run stops, where a second signal ends the driver at once."""

_FLUSH_PERIOD = 1.0
"""Seconds between two questions whether the journal still takes rows."""


class TemporalConductor:
    """The conductor of one session. See ``engine.conductor.Conductor``."""

    def __init__(
        self,
        address: EngineAddress,
        tls: EngineTls | None = None,
        *,
        api_key: str | None = None,
        workflow: str | None = None,
        lease: float = LEASE,
        options: str | None = None,
    ) -> None:
        """``workflow`` is the id of the run's workflow where it is not the usual one.

        ``options`` are those of a command that reaches the server; None for ``--on`` alone.
        ``lease``: seconds without a sign of life after which a chunk goes to another worker.
        """
        self._address = address
        self._tls = tls
        self._api_key = api_key
        self._given_workflow = workflow
        self._lease = lease
        self._options = options
        self._connected: Client | None = None

    @property
    def address(self) -> str:
        """The address of the server and its namespace, as ``--on`` takes it."""
        return self._address.url

    @property
    def options(self) -> str:
        """The options of a command that reaches the server, as a shell takes them; without a secret."""
        return self._options or f"--on {quote(self.address)}"

    @property
    def _client(self) -> Client:
        assert self._connected is not None  # noqa: S101 - ``connect`` comes first
        return self._connected

    async def connect(self) -> None:
        """Reach the server. Raises UsageError or RunError if that fails."""
        if self._connected is None:
            self._connected = await connect(self._address, self._tls, api_key=self._api_key)

    async def is_there(self) -> bool:
        """Return whether a server answers that has the namespace; within half a minute.

        Raises UsageError if something listens there that cannot be asked.
        """
        try:
            await self.connect()
        except NamespaceMissingError:
            return False
        except RunError as error:
            if await is_listening(self._address.host, self._address.port):
                raise UsageError(f"something listens at {self._address.target}, but {error}") from None
            return False
        return True

    def _name_workflow(self, run: RunId, session: int) -> str:
        given = self._given_workflow
        # The given one is of one session; a later session of this process has a name of its own.
        return given if given and read_session(given) == (run, session) else name_run_workflow(run, session)

    async def find_session(self, run: RunId, session: int) -> EngineSession | None:
        """Return what the server keeps of a session, be it at work or over; None if it has nothing of it.

        Raises RunError where the server does not say.
        """
        patience = ServerPatience(within=GONE_AFTER)
        with explain_errors(self.address):
            return await find_engine_session(self._client, self._name_workflow(run, session), patience)

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        """Start the workflows of the session, unless they are there, and bring all results here."""
        conducted = ConductedSession(
            self._client,
            self._name_workflow(resources.spec.folder.id, resources.spec.number),
            resources,
            controller,
            address=self.address,
        )
        try:
            if not resources.spec.is_underway and not await conducted.start(self._lease):
                return None
            over = await conducted.follow()
        except ServerRefusedError as refused:
            return str(refused)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_ORDERS):
                await conducted.tell_stop()
            raise
        if over is not None and over.bug is not None:
            # The session has no end then, and what its workers did is here: a resume is another session.
            folder = resources.spec.folder
            await self.release(folder.id, resources.spec.number, folder.path)
            raise ConductedBugError(f"a worker met a fault of this program: {over.bug}")
        return None if over is None else over.void

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        """Let the workflows of a session end. A server that does not answer in time keeps them.

        A later resume of the run tells it again: the mark in the run's ``folder`` stays until then.
        """
        workflow = self._name_workflow(run, session)
        with anyio.move_on_after(RELEASE_WITHIN):
            with suppress(RPCError):  # they may have ended already
                await send_signal(self._client, workflow, "acknowledge", patience=ServerPatience())
            remove_engine_mark(folder)


class ServerRefusedError(Exception):
    """The server refuses to start the workflows of a session. The text says why; nothing was sent."""


class _BegunSession(NamedTuple):
    """What the server has of a session, as a driver finds it."""

    found: WorkflowExecutionDescription
    first: str
    """The first execution of its workflow."""
    given: RunInput
    past: SessionPast


class ConductedSession:
    """One session on a Temporal server: its start, and the way of its results to this machine."""

    def __init__(
        self,
        client: Client,
        workflow: str,
        resources: RunResources,
        controller: Controller,
        *,
        address: str,
    ) -> None:
        self._client = client
        self._workflow = workflow
        self._resources = resources
        self._controller = controller
        self._address = address
        self._recorder = LaneRecorder(resources.record, resources.emit, resources.environment.now)
        self._patience = ServerPatience(self._tell_of_server)
        self._given: RunInput | None = None
        """The input of the workflow that this process starts, once it may be there."""
        self._desk: OrderDesk | None = None

    def _tell_of_server(self, why: str | None) -> None:
        """Tell that the server is away, or is back."""
        if why is not None:
            told = f"{NO_SERVER} {self._address} does not answer ({why}); asked until it does"
            self._recorder.warn(None, told)
        else:
            self._recorder.remark(None, SERVER_AGAIN)

    def _tell_of_other(self) -> None:
        told = "another undeploy command steers this run, too; what is ordered there and here holds together"
        self._recorder.warn(None, told)

    async def start(self, lease: float) -> bool:
        """Send the journal and start the workflow; return whether it was started.

        A stop that comes before leaves the session without a workflow. Raises ServerRefusedError, and
        EngineLeftError where the server is lost at the last moment, so that it may have the workflow.
        """
        spec, run_gate = self._resources.spec, self._resources.run_gate
        try:
            mark = EngineMark(address=self._address, session=spec.number, options=spec.to_engine)
            write_engine_mark(spec.folder.path, mark)
            await self._resources.record.flush()
        except DiskError as error:
            run_gate.stop("disk", str(error))
            return False
        try:
            if (given := await self._ship_unless_disk_full(lease)) is None:
                remove_engine_mark(spec.folder.path)
                return False
            # From here on the server may have the workflow although no answer came.
            self._given = given
            await self._watch_outage(lease).ask(
                lambda: start_run(self._client, given, self._workflow, self._patience)
            )
        except RPCError as error:
            if is_refusal(error):
                raise ServerRefusedError(self._explain_refusal(error)) from error
            remove_engine_mark(spec.folder.path)
            stop_for_outage(self._resources, self._address)
            return False
        return True

    def _watch_outage(self, lease: float) -> OutageWatch:
        return OutageWatch(self._patience, self._resources, address=self._address, lease=lease)

    def _explain_refusal(self, error: RPCError) -> str:
        why = clean_words(error.message)[:300]
        return (
            f"the Temporal server at {self._address} refuses the run ({error.status.name}):"
            f" {why.removesuffix('.')}. Nothing was sent"
        )

    async def _ship_unless_disk_full(self, lease: float) -> RunInput | None:
        """Return as ``_ship_unless_stopped``; stop the run if the journal cannot be copied for its way."""
        try:
            return await self._ship_unless_stopped(lease)
        except DiskError as error:
            self._resources.run_gate.stop("disk", str(error))
            return None

    async def _ship_unless_stopped(self, lease: float) -> RunInput | None:
        """Return the workflow's input once the server has the journal; None if a stop comes before."""
        run_gate = self._resources.run_gate
        shipped: list[RunInput] = []
        refused: list[RPCError | OrchestratorError] = []
        async with anyio.create_task_group() as group:

            async def ship() -> None:
                try:
                    shipped.append(await self._ship(lease))
                except (RPCError, OrchestratorError) as error:  # raised below, where no group wraps it
                    refused.append(error)
                group.cancel_scope.cancel()

            group.start_soon(ship)
            while run_gate.stop_kind is None:
                await run_gate.wait_for_change(60.0)
            group.cancel_scope.cancel()
        if refused:
            raise refused[0]
        return shipped[0] if shipped else None

    async def _ship(self, lease: float) -> RunInput:
        packed = await anyio.to_thread.run_sync(
            pack_journal, self._resources.spec.folder.path, self._workflow
        )
        # Nothing is under way yet: a server that stays away is no reason to wait for longer than for workers.
        within = measure_until_open(self._resources) + find_longest_park(self._resources)
        patience = ServerPatience(self._tell_of_server, within=within)
        await ship_pages(self._client, self._workflow, packed.pages, patience)
        return make_run_input(
            self._resources,
            packed.journal,
            orders=compose_orders(self._resources.run_gate, self._controller.learned, number=0),
            learned=self._controller.learned,
            searchable=await has_search_attributes(self._client),
            lease=lease,
        )

    async def follow(self) -> RunOver | None:
        """Bring all results here; return how the workflow ended, None if something else ended it."""
        begun = await self._watch_outage(LEASE).ask(self._read_begun)
        if begun is None:
            await self._stop_without_workflow()
            return None
        found, first, given, past = begun
        warned = self._recall_warnings()
        if any(text.startswith(NO_SERVER) for text in warned):
            self._recorder.remark(None, SERVER_AGAIN)
        last = await self._read_orders(found, past)
        async with anyio.create_task_group() as group:
            lanes = LaneTails(self._client, self._workflow, self._make_taker(), self._patience, group)
            news = SessionNews(
                self._resources,
                given,
                lanes,
                group,
                announced=self._find_announced(given),
                heard=past.news,
            )
            desk = self._desk = OrderDesk(
                self._send_orders,
                self._resources.run_gate,
                self._controller.learned,
                planned={each.name: each.limits for each in self._resources.spec.plan.gateways},
                last=last,
                read=lambda: self._read_present_orders(last),
                tell_of_other=self._tell_of_other,
            )
            watch, listening = self._make_watch(given, lanes, warned), anyio.CancelScope()
            group.start_soon(desk.watch, lambda: news.told_wait)
            group.start_soon(lanes.watch_beats)
            group.start_soon(self._watch_disk)
            group.start_soon(_cancel_after, watch.wait_until_hopeless, listening)
            with listening:
                await self._listen(first, news, lanes)
            group.cancel_scope.cancel()
        if listening.cancelled_caught:
            await watch.end_alone()
        self._leave_to_window()
        return news.over

    async def _read_begun(self) -> _BegunSession | None:
        """Return what the server has of the session so far; None if it has no such workflow."""
        found = await describe_workflow(self._client, self._workflow, self._patience)
        if found is None:
            return None
        first = await find_first_execution(self._client, self._workflow, self._patience)
        given = await self._read_input(first)
        past = SessionPast(0, given.orders, (given.orders,))
        if self._resources.spec.is_underway:
            past = await read_past(
                self._client, self._workflow, self._patience, execution=first, given=given.orders
            )
        return _BegunSession(found, first, given, past)

    async def tell_stop(self) -> None:
        """Tell the workflow that the run stops, if it may not know. What it does then is a later driver's."""
        run_gate, learned = self._resources.run_gate, self._controller.learned
        if run_gate.stop_kind is None:
            return
        with suppress(RPCError):
            if self._desk is not None:
                await self._desk.tell_last()
            elif self._given is not None:
                orders = compose_orders(run_gate, learned, number=self._given.orders.number + 1)
                await self._send_orders(replace(orders, before=self._given.orders))

    async def _listen(self, first: str, news: SessionNews, lanes: LaneTails) -> None:
        """Take the news over until the run is over, and then all results that are missing."""
        async for item in self._read_news(first):
            await news.tell(item)
            if news.over is not None:
                break
        if news.over is None and not await self._stop_without_workflow():
            await lanes.call_back()
        await lanes.finish()

    def _recall_warnings(self) -> tuple[str, ...]:
        """Return what an earlier process of this session has warned of the run as a whole."""
        spec = self._resources.spec
        if not spec.is_underway:
            return ()
        with closing(spec.folder.open(whole=False)) as database:
            return list_warnings(database, None)

    def _make_watch(self, given: RunInput, lanes: LaneTails, warned: Sequence[str]) -> WorkerWatch:
        return WorkerWatch(
            self._client,
            self._workflow,
            self._resources,
            self._recorder,
            lanes.find_waiting,
            address=self._address,
            given=given,
            was_told=any(text.startswith(NO_WORKER_AT_ALL) for text in warned),
        )

    async def _read_input(self, execution: str) -> RunInput:
        """Return the input with which the session began."""
        begun = await read_beginning(self._client, self._workflow, self._patience, execution=execution)
        payload = begun.workflow_execution_started_event_attributes.input.payloads[0]
        return await decode_payload(self._client, payload, RunInput)

    async def _read_orders(self, found: WorkflowExecutionDescription, past: SessionPast) -> Orders:
        """Return the orders that hold; those of a process before this one are taken up here.

        Of those that drivers have given the workflow may not have heard the last ones.
        """
        ordered = past.orders
        orders = await self._decode_orders(found) or ordered
        if ordered.number > orders.number:
            orders = replace(ordered, stop=ordered.stop or orders.stop)
        run_gate = self._resources.run_gate
        for pattern, operator in orders.skips.items():
            run_gate.skip(pattern, operator)
        self._take_up_limits(orders, past.sent)
        if orders.paused and self._resources.spec.is_underway:
            run_gate.pause()
            self._resources.emit(RunWaiting(at=self._resources.environment.now(), why="paused"))
        return orders

    def _take_up_limits(self, orders: Orders, sent: Sequence[Orders]) -> None:
        """Take up the limits that hold at the server, and keep those that were never sent there."""
        learned = self._controller.learned
        planned = Orders(limits={each.name: each.limits for each in self._resources.spec.plan.gateways})
        for name, there in orders.limits.items():
            known = learned.get(name, LearnedLimits())
            ordered = [each.limits[name] for each in (planned, *sent) if name in each.limits]
            holds = there if known.limits is None else take_up_limits(known.limits, there, ordered)
            learned[name] = replace(known, limits=holds)

    async def _read_present_orders(self, first: Orders) -> Orders | None:
        """Return the orders that hold now, ``first`` ones at first; None if the workflow is gone."""
        found = await describe_workflow(self._client, self._workflow, self._patience)
        return None if found is None else await self._decode_orders(found) or first

    async def _send_orders(self, orders: Orders) -> None:
        await send_signal(self._client, self._workflow, "orders", orders, patience=self._patience)

    async def _decode_orders(self, found: WorkflowExecutionDescription) -> Orders | None:
        memo = found.raw_description.workflow_execution_info.memo.fields
        return await decode_payload(self._client, memo[MEMO_ORDERS], Orders) if MEMO_ORDERS in memo else None

    def _read_news(self, execution: str) -> AsyncIterator[NewsItem]:
        return read_news(self._client, self._workflow, self._patience, execution=execution)

    def _make_taker(self) -> ResultTaker:
        resources, taken = self._resources, dict[tuple[str, int], int]()
        if resources.spec.is_underway:
            with closing(resources.spec.folder.open(whole=False)) as database:
                taken = read_taken(database, resources.spec.number)
        return ResultTaker(resources.record, resources.emit, resources.environment.now, taken)

    def _find_announced(self, given: RunInput) -> int:
        """Return the index of the last step of which an earlier process of this session told; else -1."""
        spec = self._resources.spec
        if not spec.is_underway:
            return -1
        with closing(spec.folder.open(whole=False)) as database:
            begun = set(list_begun_in(database, spec.number))
        places = [WaveStep(step.wave, step.step) for step in given.steps]
        return max((index for index, place in enumerate(places) if place in begun), default=-1)

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
        found = await describe_workflow(self._client, self._workflow, self._patience)
        how = "is gone" if found is None else f"was {name_state(found.status)} there, not by this program"
        self._resources.run_gate.stop("control", f"its workflow on {self._address} {how}")
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


class ConductedBugError(Exception):
    """A worker met a fault of this program. The session has no end then; a resume is another one."""
