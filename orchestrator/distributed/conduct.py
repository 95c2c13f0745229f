"""The decisions of a run's workflow: which lanes begin, what stops the run, how long it waits.

``Conduct`` is told what has happened and what time it is, and answers with what is to be done and told. It
has no clock and no network, and knows nothing of Temporal: each decision follows from the values alone, as
the replay of a workflow demands. Its whole state is one value, so that a long run can continue as new.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.distributed.names import MOST_BROKEN, OPEN_TARGETS, PART_TARGETS, name_lane_workflow
from orchestrator.distributed.order_joining import take_up_orders
from orchestrator.distributed.payloads import (
    ChunkPlace,
    ChunkReport,
    EndCount,
    GoOn,
    LaneCarry,
    LaneInput,
    LaneOver,
    LanePartBegun,
    LanePartOver,
    LevelWork,
    NewsItem,
    Orders,
    RunInput,
    RunOver,
    RunStopped,
    StepBegun,
    StepOver,
    StepWork,
    StopOrder,
    StopState,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.lanes.run_gate import STOP_RANK
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.rules.stop_rules import SHARES_FROM, StopRules, is_fruitless
from orchestrator.text.formats import format_unix_time

CANCELLED = StopOrder(kind="control", text="the run's workflow was cancelled in Temporal")
"""What a cancel from Temporal's own tools means: the same as ``undeploy control stop``."""


class StartLane(Struct, frozen=True):
    """Start the workflow of a part of a lane."""

    workflow: str
    given: LaneInput


class TellOrders(Struct, frozen=True):
    """Signal ``orders`` to a lane."""

    workflow: str
    orders: Orders


class LetGoOn(Struct, frozen=True):
    """Signal ``go_on`` to a lane: the run has judged its chunk."""

    workflow: str
    go_on: GoOn


class Release(Struct, frozen=True):
    """Signal ``release`` to a lane: its results are wanted no longer."""

    workflow: str


Action: TypeAlias = StartLane | TellOrders | LetGoOn | Release


class PartState(Struct, kw_only=True):
    """A lane workflow that was started and is not released yet."""

    workflow: str
    gateway: str
    place: ChunkPlace
    over: bool = False
    """It dispatches no more chunks."""
    taken: bool = False
    """A driver has taken all of its results over."""


class LostLane(Struct, frozen=True, kw_only=True):
    """Where a lane was when it took no targets any more."""

    step: int
    level: int
    """Both as indices in the input."""
    first: int
    """Targets of that level before the first that was not done."""


class RunState(Struct, kw_only=True):
    """All that the decisions depend on beside the input."""

    phase: Literal["window", "first", "next", "step", "pause", "question", "over"] = "window"
    index: int = -1
    """The step that is under way, or was last."""
    level: int = 0
    wait: WaitBegun | None = None
    waits: int = 0
    """Waits that have begun."""
    orders: Orders = Orders()
    """As the driver gave them."""
    stop_order: StopOrder | None = None
    """The gravest stop, whoever ordered it."""
    serial: int = 0
    """The number of the orders that hold, as lanes are told them."""
    counts: StopState = StopState()
    carries: dict[str, LaneCarry] = {}
    refusals: dict[str, str] = {}
    """By gateway: why its lane takes no targets any more."""
    lost: dict[str, LostLane] = {}
    """By gateway: from where on its lane did nothing."""
    handed: dict[str, int] = {}
    """By gateway: targets of this level that parts had."""
    numbers: dict[str, int] = {}
    """By gateway: parts of this level."""
    parts: list[PartState] = []
    in_step: list[EndCount] = []
    """What ended in this step."""
    left: dict[str, int] = {}
    """By gateway: targets of all steps without an outcome."""
    ended: int = 0
    broken: dict[str, tuple[int, ...]] = {}
    """By chunk."""
    has_sent: bool = False
    """Some worker has begun with its targets."""
    void: str | None = None
    bug: str | None = None
    acknowledged: bool = False


class Conduct:
    """Leads one session of a run through its steps. Times are Unix seconds."""

    def __init__(self, given: RunInput, workflow: str) -> None:
        """``workflow`` is the id of the run's workflow. With a ``given.state`` it goes on from there."""
        self.given = given
        self.state = msgspec.json.decode(given.state, type=RunState) if given.state else _begin(given)
        self._workflow = workflow
        self._opens, self._closes = _read_window(given)
        self._rules = StopRules(given.stop_when, {}, first_run=given.first_run, past_stop=given.past_stop)
        self._rules.take_up(self.state.counts)
        self._total = sum(sum(_count_targets(step).values()) for step in given.steps)
        self._actions: list[Action] = []
        self._news: list[NewsItem] = []

    # What has happened.

    def take_orders(self, orders: Orders) -> None:
        """Obey the orders of a driver, joined to those that another one has given since it knew them."""
        if (joined := take_up_orders(orders, self.state.orders)) is None:
            return
        self.state.orders = joined
        if orders.stop is not None:
            self._stop(orders.stop)
        self._tell_orders()

    def cancel(self) -> None:
        """Stop, since somebody cancelled the workflow; if all is over, wait for no driver any more."""
        if self.is_over:
            self.acknowledge()
            return
        self._stop(CANCELLED)
        self._tell_orders()

    def take_report(self, report: ChunkReport) -> None:
        """Count what ended in a chunk, judge it, and let its lane go on."""
        state = self.state
        state.has_sent = True
        state.broken.pop(chunk := f"{report.workflow}:{report.first}", None)
        if report.broken:  # a run of many chunks continues as new with all of them
            state.broken[chunk] = report.broken
        for end in report.counts:
            self._rules.count_ends(end.outcome, end.word, end.count, doubted=end.doubted)
            state.ended += end.count
            state.left[report.gateway] = state.left.get(report.gateway, 0) - end.count
        state.in_step = _add_up([*state.in_step, *report.counts])
        state.counts = self._rules.state
        breach = self._rules.find_breach(shares_from=SHARES_FROM)
        stop = report.breach or (None if breach is None else StopOrder(kind="stop_rule", text=breach))
        if stop is not None and self._stop(stop):
            self._tell_orders()
        go_on = GoOn(stop=state.counts, dispatch=report.dispatch, orders=self.orders)
        self._actions.append(LetGoOn(report.workflow, go_on))

    @property
    def is_overfull(self) -> bool:
        """Whether more targets are kept, since others wait for them in vain, than Temporal may take."""
        return sum(map(len, self.state.broken.values())) > MOST_BROKEN

    def stop_overfull(self) -> None:
        """Stop: what is kept would not fit into another order, or into another execution of the workflow."""
        why = (
            f"more than {MOST_BROKEN:,} targets that others wait for did not end as wanted; a resume goes on"
        )
        if self._stop(StopOrder(kind="control", text=why)):
            self._tell_orders()

    def take_lane_over(self, over: LaneOver) -> None:
        """Note that a part of a lane hands out no more chunks."""
        part = self._find_part(over.workflow)
        if part is None or part.over:
            return
        part.over, state, gateway = True, self.state, over.gateway
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
            self._tell_orders()
        self._end_part(part, over.dispatches, refusal, over.rest, untold=untold)

    def lose_lane(self, workflow: str, why: str) -> None:
        """Give a lane up whose workflow is gone: somebody terminated it in Temporal."""
        part = self._find_part(workflow)
        if part is not None and not part.over:
            part.over = True
            self._end_part(part, 0, f"{Reason.PARKED}: {why}", part.place, untold=True)

    def take_zone_news(self, news: ZoneSilent | ZoneAnswers) -> None:
        """Tell that no worker of a zone takes its work, or that one does again."""
        self._news.append(news)

    def take_part_taken(self, workflow: str) -> None:
        """Release a part whose results a driver has; a further part may begin in its place."""
        part = self._find_part(workflow)
        if part is not None and part.over:
            self.state.parts.remove(part)
            self._actions.append(Release(workflow))

    def acknowledge(self) -> None:
        """End: a driver has everything. Before the run is over it is not heard."""
        if self.is_over and not self.state.acknowledged:
            self.state.acknowledged = True
            self._actions += [Release(part.workflow) for part in self.state.parts]
            self.state.parts = []

    # What follows.

    @property
    def orders(self) -> Orders:
        """The orders that hold: the driver's, with the gravest stop, numbered as lanes see them."""
        return replace(self.state.orders, number=self.state.serial, stop=self.state.stop_order)

    @property
    def shown_orders(self) -> Orders:
        """The orders that hold, under the number of the driver's last ones: a later driver counts on."""
        return replace(self.state.orders, stop=self.state.stop_order)

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
        ended = f"{self.state.ended:,} of {self._total:,} targets ended"
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
        actions, self._actions = self._actions, []
        return actions

    def take_news(self) -> tuple[NewsItem, ...]:
        """Return what is to be told since this was asked last."""
        news, self._news = self._news, []
        return tuple(news)

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
        state.index, state.level, state.phase, state.in_step = following, 0, "step", []
        state.handed, state.numbers = {}, {}
        step = self.given.steps[following]
        self._rules.begin_wave(step.name, f"step {step.step + 1} of {step.steps}" if step.steps > 1 else "")
        state.counts = self._rules.state
        self._news.append(StepBegun(index=following))
        return True

    def _work(self, now: float) -> bool:
        """Start the lanes that may start. Once all of a level are over, go to the next one."""
        state, step = self.state, self.given.steps[self.state.index]
        level = step.levels[state.level]
        if state.stop_order is None:
            self._start_lanes(level)
        if any(not part.over for part in state.parts) or self._may_follow(level):
            return False
        if state.level + 1 < len(step.levels) and state.stop_order is None:
            state.level, state.handed, state.numbers = state.level + 1, {}, {}
            return True
        self._end_step(step, now)
        return True

    def _end_step(self, step: StepWork, now: float) -> None:
        state = self.state
        self._news.append(StepOver(index=state.index))
        is_last = state.index + 1 >= len(self.given.steps)
        if is_last or state.stop_order is not None:
            state.phase = "next"
            return
        fault = self._find_fault(step, now)
        if fault is not None:
            self._stop(StopOrder(kind="stop_rule", text=fault))
        state.phase = "pause" if fault is None else "next"

    def _find_fault(self, step: StepWork, now: float) -> str | None:
        """Return why the run must stop before the next step, since this one shows that something is wrong."""
        if breach := self._rules.find_breach():
            return breach
        # An operator who resumed past a stop saw how the earlier steps ended.
        if step.accepted or self._is_too_late(now):
            return None
        counts = Counter[tuple[Outcome, str]]()
        for end in (*step.before, *self.state.in_step):
            counts[end.outcome, end.word] += end.count
        left = sum(_count_targets(step).values()) - sum(end.count for end in self.state.in_step)
        if not is_fruitless(counts, left=left):
            return None
        done = "restored" if self.given.act == "restore" else "undeployed"
        where = f"wave {step.name}" if step.steps == 1 else f"step {step.step + 1} of wave {step.name}"
        return f"nothing in {where} was {done}"

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
        self._news.append(RunOver(void=void, bug=state.bug))
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
            self._news.append(state.wait)
        return True

    def _end_wait(self, now: float) -> bool:
        """End the present wait if it has an end now. Returns whether it has."""
        state, wait = self.state, self.state.wait
        assert wait is not None  # noqa: S101 -- the caller asks only while one is under way
        is_told = wait.why != "window" and state.orders.proceed >= wait.number
        if state.stop_order is None and not is_told and self.seconds_until_due(now) != 0.0:
            return False
        state.wait = None
        self._news.append(WaitOver(index=wait.index))
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

    # Lanes.

    def _start_lanes(self, level: LevelWork) -> None:
        """Start a part of each lane that has targets and whose installation is free."""
        gateways, parts = self.given.gateways, self.state.parts
        busy = {gateways[part.gateway].installation for part in parts if not part.over}
        for name in level.targets:
            installation = gateways[name].installation
            if installation not in busy and self._has_more(level, name) and self._start_part(level, name):
                busy.add(installation)

    def _has_more(self, level: LevelWork, gateway: str) -> bool:
        state = self.state
        return state.handed.get(gateway, 0) < level.targets[gateway] and gateway not in state.refusals

    def _may_follow(self, level: LevelWork) -> bool:
        """Return whether parts of this level are still to be started: they wait for the driver."""
        is_stopped = self.state.stop_order is not None
        return not is_stopped and any(self._has_more(level, name) for name in level.targets)

    def _start_part(self, level: LevelWork, gateway: str) -> bool:
        """Start the next part of a lane, unless too many results wait for a driver already."""
        state = self.state
        first = state.handed.get(gateway, 0)
        count = min(level.targets[gateway] - first, PART_TARGETS)
        waiting = sum(part.place.count for part in state.parts)
        if state.parts and waiting + count > OPEN_TARGETS:
            return False
        step, number = self.given.steps[state.index], state.numbers.get(gateway, 0)
        place = ChunkPlace(
            wave=step.wave, step=step.step, gateway=gateway, first=first, count=count, level=level.level
        )
        workflow = name_lane_workflow(self._workflow, _name_place(place), gateway, number)
        state.handed[gateway], state.numbers[gateway] = first + count, number + 1
        state.parts.append(PartState(workflow=workflow, gateway=gateway, place=place))
        self._actions.append(StartLane(workflow, self._describe_part(step, level, place)))
        self._news.append(LanePartBegun(workflow=workflow, gateway=gateway, index=state.index))
        return True

    def _describe_part(self, step: StepWork, level: LevelWork, place: ChunkPlace) -> LaneInput:
        given, state, gateway = self.given, self.state, place.gateway
        zoned = given.gateways[gateway]
        further = sum(other.targets.get(gateway, 0) for other in step.levels[state.level + 1 :])
        return LaneInput(
            run_workflow=self._workflow,
            run=given.run,
            session=given.session,
            plan=given.plan,
            act=given.act,
            journal=given.journal,
            place=place,
            zone=zoned.zone,
            park_for=zoned.park_for,
            window=given.window,
            stop=state.counts,
            orders=self.orders,
            carry=state.carries.get(gateway, LaneCarry()),
            first_run=given.first_run,
            past_stop=given.past_stop,
            searchable=given.searchable,
            broken=tuple(sorted({number for numbers in state.broken.values() for number in numbers})),
            undone=tuple(self._list_undone()),
            ahead=level.targets[gateway] - place.first - place.count + further,
            later=step.later.get(gateway, 0),
            accepted=given.accepted,
            lease=given.lease,
        )

    def _list_undone(self) -> Iterator[ChunkPlace]:
        """Yield the targets up to this level that no lane will take any more."""
        for gateway, lost in self.state.lost.items():
            for index in range(lost.step, self.state.index + 1):
                step = self.given.steps[index]
                levels = step.levels if index < self.state.index else step.levels[: self.state.level]
                for number, level in enumerate(levels):
                    at = (index, number)
                    first = lost.first if at == (lost.step, lost.level) else 0
                    count = level.targets.get(gateway, 0) - first
                    if at >= (lost.step, lost.level) and count > 0:
                        yield ChunkPlace(
                            wave=step.wave,
                            step=step.step,
                            gateway=gateway,
                            first=first,
                            count=count,
                            level=level.level,
                        )

    def _end_part(
        self,
        part: PartState,
        dispatches: int,
        refusal: str | None,
        rest: ChunkPlace | None,
        *,
        untold: bool,
    ) -> None:
        state, gateway = self.state, part.gateway
        first = state.handed[gateway] if rest is None else rest.first
        if refusal is not None and gateway not in state.refusals:
            state.refusals[gateway] = refusal
            state.lost[gateway] = LostLane(step=state.index, level=state.level, first=first)
        state.handed[gateway] = first
        self._news.append(
            LanePartOver(
                workflow=part.workflow,
                gateway=gateway,
                dispatches=dispatches,
                refusal=refusal,
                untold=untold,
            )
        )

    def _find_part(self, workflow: str) -> PartState | None:
        return next((part for part in self.state.parts if part.workflow == workflow), None)

    # Stops.

    def _stop(self, stop: StopOrder) -> bool:
        """Let nothing new start. Returns whether that is new: of equally grave stops the first one stays."""
        before = self.state.stop_order
        if before is not None and STOP_RANK[stop.kind] <= STOP_RANK[before.kind]:
            return False
        self.state.stop_order = stop
        self._news.append(RunStopped(stop=stop))
        return True

    def _tell_orders(self) -> None:
        self.state.serial += 1
        for part in self.state.parts:
            if not part.over:
                self._actions.append(TellOrders(part.workflow, self.orders))

    @property
    def _step_now(self) -> StepWork | None:
        return self.given.steps[self.state.index] if self.state.index >= 0 else None


def _begin(given: RunInput) -> RunState:
    left = Counter[str]()
    for step in given.steps:
        left.update(_count_targets(step))
    return RunState(
        orders=given.orders,
        stop_order=given.orders.stop,
        counts=given.stop,
        carries=dict(given.carries),
        left=dict(left),
    )


def _read_window(given: RunInput) -> tuple[float, float]:
    """Return when the window opens and closes, as Unix times."""
    window = given.window
    opens = window.opens.timestamp() if window and window.opens else -math.inf
    closes = window.closes.timestamp() if window and window.closes else math.inf
    return opens, closes


def _count_targets(step: StepWork) -> Counter[str]:
    targets = Counter[str]()
    for level in step.levels:
        targets.update(level.targets)
    return targets


def _add_up(ends: list[EndCount]) -> list[EndCount]:
    """Return the counts with one entry for ends that look alike."""
    counts = Counter[EndCount]()
    for end in ends:
        counts[replace(end, count=0)] += end.count
    return [replace(end, count=count) for end, count in counts.items()]


def _name_step(step: StepWork) -> str:
    return (
        f"step {step.step + 1} of {step.steps} of wave {step.name}" if step.steps > 1 else f"wave {step.name}"
    )


def _name_place(place: ChunkPlace) -> str:
    where = f"{place.wave}.{place.step}"
    return where if place.level is None else f"{where}.{place.level}"
