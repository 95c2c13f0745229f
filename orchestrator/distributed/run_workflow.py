"""The workflow of one session of a run: it carries out what ``run_conduct`` decides.

Its code must decide the same when a history is replayed, also by a later version of the program: a run that
is under way meets that one. A change of what is done, or of its order, therefore goes behind
``workflow.patched("its name")``, and the recorded histories of tests/distributed/histories/ prove it.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError

from orchestrator.distributed.journal_workflow import UndeployJournal
from orchestrator.distributed.lane_workflow import UndeployLane
from orchestrator.distributed.names import MEMO_NEWS, MEMO_ORDERS, RUN_WORKFLOW, list_journal_workflows
from orchestrator.distributed.payloads import ChunkReport, LaneInput, LaneOver, Orders, RunInput
from orchestrator.distributed.run_conduct import RunConduct
from orchestrator.distributed.run_decisions import Action, LetGoOn, Release, StartLane, TellOrders
from orchestrator.distributed.run_news import RunNews, ZoneAnswers, ZoneSilent
from orchestrator.distributed.scheduled_input import settle_scheduled
from orchestrator.distributed.showing import describe_lane, name_started, search_lane, summarize_lane

LONGEST_HISTORY = 10_000
"""Events after which the workflow continues as new though the server does not ask for it."""

HEARS_LATE_CANCELS = "hears-late-cancels"
"""The mark, in histories that continue as new, of a program that lets a cancel come in before."""

BOUNDS_BROKEN = "bounds-broken"
"""The mark, in the histories of runs that keep too many broken targets, of a program that stops them."""

LAST_MOMENT = 0.1
"""Seconds for that. Any timer would do: what waits for one goes on after all that came in the same task."""

MOST_MOMENTS = 3
"""How often it waits so. In a busy run something else comes in each time, and its history only grows."""


@workflow.defn(name=RUN_WORKFLOW)
class UndeployRun:
    """Leads a session: starts lanes, judges chunks, waits, and keeps the end until a driver has it."""

    @workflow.init
    def __init__(self, given: RunInput) -> None:
        info = workflow.info()
        settled = given if given.state else settle_scheduled(given, info.workflow_id, info.start_time)
        self._conduct = RunConduct(settled, info.workflow_id)
        self._has_changed = False
        self._moments = 0
        self._shown: dict[str, object] = {}
        self._watches: list[asyncio.Task[None]] = []

    @workflow.run
    async def run(self, given: RunInput) -> str:  # noqa: ARG002 -- __init__ has it
        """Lead the session to its end. Returns in one line how far it came.

        A cancel stops the run as ``undeploy control stop`` does; once all is over, it ends the workflow.
        """
        work = asyncio.create_task(self._work())
        while True:
            try:
                # Unlike asyncio.shield, it does not log how the work of a workflow ends that was cancelled.
                await asyncio.wait([work])
                return work.result()
            except asyncio.CancelledError:
                # Then the worker forgets the workflow, which another one goes on with: nobody cancelled it.
                if work.done():
                    raise
                self._conduct.cancel()
                self._has_changed = True

    @workflow.signal(name="orders")
    def take_orders(self, orders: Orders) -> None:
        """Obey what people want now."""
        self._conduct.take_orders(orders)
        self._has_changed = True

    @workflow.signal(name="part_taken")
    def take_part_taken(self, lane_workflow: str) -> None:
        """Release a part of a lane: a driver has its results."""
        self._conduct.take_part_taken(lane_workflow)
        self._has_changed = True

    @workflow.signal
    def acknowledge(self) -> None:
        """End: a driver has everything."""
        self._conduct.acknowledge()
        self._has_changed = True

    @workflow.signal(name="chunk_over")
    def take_report(self, report: ChunkReport) -> None:
        """Judge a chunk of a lane."""
        self._conduct.take_report(report)
        if self._conduct.is_overfull and workflow.patched(BOUNDS_BROKEN):
            self._conduct.stop_overfull()
        self._has_changed = True

    @workflow.signal(name="lane_over")
    def take_lane_over(self, over: LaneOver) -> None:
        """Note that a part of a lane is over."""
        self._conduct.take_lane_over(over)
        self._has_changed = True

    @workflow.signal(name="lane_lost")
    def take_lane_lost(self, lane_workflow: str) -> None:
        """Give a lane up: a driver has read its history to an end of which the lane did not tell."""
        self._lose(lane_workflow, "its workflow has ended in Temporal")

    @workflow.signal(name="zone_silent")
    def take_zone_silent(self, news: ZoneSilent) -> None:
        """Tell that no worker of a zone takes its work."""
        self._conduct.take_zone_news(news)
        self._has_changed = True

    @workflow.signal(name="zone_answers")
    def take_zone_answers(self, news: ZoneAnswers) -> None:
        """Tell that a worker of a zone has taken its work after all."""
        self._conduct.take_zone_news(news)
        self._has_changed = True

    async def _work(self) -> str:
        conduct = self._conduct
        if conduct.given.scheduled and not conduct.given.state:
            self._name_scheduled(conduct.given)
        while True:
            self._has_changed = False
            conduct.advance(workflow.time())
            actions = conduct.take_actions()
            # Told before it is done: a driver reads of a lane before that has results.
            self._publish()
            await asyncio.gather(*(self._carry_out(action) for action in actions))
            if conduct.is_finished:
                await self._release_journal()
                return conduct.progress
            if not self._has_changed:
                await self._continue_if_long()
            if not self._has_changed:
                await self._wait()

    async def _wait(self) -> None:
        """Wait until something happens, or a decision is due."""
        seconds = self._conduct.seconds_until_due(workflow.time())
        try:
            await workflow.wait_condition(lambda: self._has_changed, timeout=seconds)
        except TimeoutError:
            return

    async def _continue_if_long(self) -> None:
        """Go on as a new workflow of the same id if the history has grown long. Lanes go on meanwhile."""
        info = workflow.info()
        if not info.is_continue_as_new_suggested() and info.get_current_history_length() <= LONGEST_HISTORY:
            return
        if self._moments < MOST_MOMENTS and workflow.patched(HEARS_LATE_CANCELS):
            self._moments += 1
            await self._hear_cancel()
        if not self._has_changed:
            workflow.continue_as_new(self._conduct.hand_over())

    async def _hear_cancel(self) -> None:
        """Let a cancel come in that is in the present task, or in the next one.

        Temporal lets the code hear of the signals of a task first. A cancel of the same task would be lost
        with an execution that ends by then: the next one does not hear of it.
        """
        await asyncio.sleep(LAST_MOMENT)
        # A cancel that came together with the timer has its turn now.
        await asyncio.sleep(0)

    def _name_scheduled(self, given: RunInput) -> None:
        """Show which run it is: the schedule that started it could not know."""
        workflow.upsert_memo({"run": given.run})
        if names := name_started(given):
            workflow.upsert_search_attributes(names)

    def _publish(self) -> None:
        """Tell the driver the news, and people the progress; the memo needs no worker to be read."""
        conduct, memo = self._conduct, dict[str, object]()
        for key, value in (("progress", conduct.progress), (MEMO_ORDERS, conduct.shown_orders)):
            if self._shown.get(key) != value:
                memo[key] = self._shown[key] = value
        if news := conduct.take_news():
            memo[MEMO_NEWS] = RunNews(items=news)
        if memo:
            workflow.upsert_memo(memo)
            workflow.set_current_details(conduct.progress)

    async def _carry_out(self, action: Action) -> None:
        match action:
            case StartLane(lane, given):
                await self._start_lane(lane, given)
            case TellOrders(lane, orders):
                await self._tell(lane, "orders", orders)
            case LetGoOn(lane, go_on):
                await self._tell(lane, "go_on", go_on)
            case Release(lane):
                await _release(lane)

    async def _start_lane(self, lane: str, given: LaneInput) -> None:
        handle = await workflow.start_child_workflow(
            UndeployLane.run,
            given,
            id=lane,
            # Any other policy would end the lanes when the run continues as new, too. If the run is
            # terminated, its lanes end by themselves: they find nobody to report to.
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            memo=describe_lane(given),
            search_attributes=search_lane(given),
            static_summary=summarize_lane(given),
        )
        # The event loop itself keeps no strong reference.
        self._watches.append(asyncio.create_task(self._watch(lane, handle)))

    async def _watch(self, lane: str, handle: workflow.ChildWorkflowHandle[UndeployLane, LaneOver]) -> None:
        """Give a lane up if its workflow ends otherwise than by its own."""
        try:
            await handle
        except ChildWorkflowError as error:
            self._lose(lane, f"its workflow has ended in Temporal: {error.cause or error}")

    async def _tell(self, lane: str, signal: str, value: object) -> None:
        try:
            await workflow.get_external_workflow_handle(lane).signal(signal, value)
        except ApplicationError:
            self._lose(lane, "its workflow is gone in Temporal")

    def _lose(self, lane: str, why: str) -> None:
        self._conduct.lose_lane(lane, why)
        self._has_changed = True

    async def _release_journal(self) -> None:
        """Release the pages of the journal, unless another run of the same schedule wants them."""
        journal = self._conduct.given.journal
        if not self._conduct.given.recurs:
            names = list_journal_workflows(journal.workflow, journal.pages)
            await asyncio.gather(*(_release(name) for name in names))


async def _release(name: str) -> None:
    """Let a workflow end; nothing if it has ended."""
    try:
        await workflow.get_external_workflow_handle(name).signal(UndeployJournal.release)
    except ApplicationError:
        workflow.logger.info("%s has ended already", name)
