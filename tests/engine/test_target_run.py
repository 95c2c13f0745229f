"""One target to its outcome, on a virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.engine.attempts import make_change_request
from orchestrator.engine.target_run import TargetRun
from orchestrator.errors import DiskError
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.state_list import StateList
from orchestrator.model.credentials import Secret
from orchestrator.model.events import AnyEvent, AttemptEnded, AttemptStarted, RetryPlanned
from orchestrator.model.http import Lost
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act, LookFacts, Reading, Verdict
from orchestrator.model.settings import Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.pacing import RetryBudget
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.engine import (
    EPOCH,
    Answer,
    Journal,
    NothingPending,
    Wire,
    environment,
    gateway,
    lane,
    played,
    resources,
    script,
    target,
)
from tests.support.readings import reading

REMOVED = reading(Verdict.REMOVED, evidence="204")
DOUBT = reading(Verdict.DOUBT, message="HTTP 502")
UP, DOWN, UNCLEAR = reading(Verdict.UP), reading(Verdict.DOWN), reading(Verdict.UNCLEAR)
DENIED = reading(Verdict.DENIED, message="bad token")
IN_DOUBT = TargetHistory(requests=3, charged=1, may_have_arrived=True, in_doubt=True, unsettled_reply=DOUBT)
CLOSED = "window: one timeout no longer fits before it closes"


class _PlayedPending(NothingPending):
    """The open targets of a run, each approved in the same state, if in any."""

    def __init__(self, approved: StateAtApproval | None) -> None:
        self.has_approvals = approved is not None
        self._approved = approved

    def read_approved(self, seq: int) -> StateAtApproval | None:
        return self._approved


class _PlayedList:
    """Stands for a lane's lists, of which no entry shows the target."""

    defers_looks = False

    def __init__(self, one_lane: Lane, read: Callable[[Lane], Awaitable[dict[str, Reading]]]) -> None:
        self._lane = one_lane
        self._read = read

    async def read_before_look(self, _: Target) -> dict[str, Reading]:
        return await self._read(self._lane)

    def note_single_look(self, _: Target, __: Reading) -> None:
        return None


class Played(NamedTuple):
    """How a course went: its end, the second of it, its wire, its journal and its events."""

    end: TargetEnd
    at: float
    wire: Wire
    journal: Journal
    events: list[AnyEvent]


def target_run(
    undeploys: list[Answer],
    looks: list[Answer] | None = None,
    *,
    history: TargetHistory | None = None,
    takes: float = 0.0,
    closes: float | None = None,
    stop: tuple[float, str] | None = None,
    recall: float | None = None,
    pause: tuple[float, float] | None = None,
    journal: Journal | None = None,
    credentials: tuple[str, ...] = ("the-token",),
    snapshot: Literal["best", "off"] = "off",
    read_list: Callable[[Lane], Awaitable[dict[str, Reading]]] | None = None,
    approved: StateAtApproval | None = None,
    **fields: Any,
) -> Played:
    """Take one target through a session whose replies are scripted; ``stop`` is when, and of which kind.

    ``pause`` is from when to when the run is paused; ``recall`` is when its worker is told to end.

    ``read_list`` is what the lane's lists do when they are asked before a look.
    """
    wire, kept, events = Wire(script(undeploys, looks), takes), journal or Journal(), list[AnyEvent]()
    given = iter([*credentials, *credentials[-1:] * 9])

    async def main() -> tuple[TargetEnd, float]:
        here = environment(lambda _: Secret(next(given)))
        first = Secret(next(given))
        run_gate = RunGate(closes=closes)
        one_lane = lane(gateway(**fields), here, run_gate, material=first, send=wire.send)
        one_lane.begin_step(1000)
        plan = Plan(name="p", gateways=(one_lane.gateway,), waves=(Wave(name="w"),), snapshot=snapshot)
        one = TargetRun(
            target(),
            history or TargetHistory(),
            one_lane,
            resources(here, run_gate, kept, events.append, plan=plan, pending=_PlayedPending(approved)),
            state_list=read_list and cast("StateList", _PlayedList(one_lane, read_list)),
        )
        async with anyio.create_task_group() as group:

            async def stopper() -> None:
                if stop is not None:
                    await anyio.sleep(stop[0])
                    run_gate.stop(stop[1], "now")  # type: ignore[arg-type]
                if recall is not None:
                    await anyio.sleep(recall)
                    run_gate.recall("this worker ends", lets_look=False)

            async def pauser(begins: float, ends: float) -> None:
                await anyio.sleep(begins)
                run_gate.pause()
                await anyio.sleep(ends - begins)
                run_gate.go_on()

            group.start_soon(stopper)
            if pause is not None:
                group.start_soon(pauser, *pause)
            end = await one.run()
            at = anyio.current_time()
            group.cancel_scope.cancel()
        return end, at

    end, at = played(main)
    return Played(end, at, wire, kept, events)


@pytest.mark.promise(2)
def test_an_intent_is_kept_before_its_request_and_its_result_after_it() -> None:
    went = target_run([DOUBT, REMOVED], journal=Journal(takes=0.25), takes=1.0)

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert went.journal.rows == [
        ("intent", 1, Act.UNDEPLOY),
        ("result", 1, Verdict.DOUBT),
        ("intent", 2, Act.UNDEPLOY),
        ("result", 2, Verdict.REMOVED),
    ]
    assert went.wire.times() == [0.25, 0.25 + 1.0 + 0.5 + 0.25]


@pytest.mark.promise(6)
def test_a_look_that_has_waited_for_a_list_waits_for_a_pause_that_began_meanwhile() -> None:
    other = make_change_request(target(2), Act.UNDEPLOY, TargetHistory())

    async def read_list(one_lane: Lane) -> dict[str, Reading]:
        began = anyio.current_time()
        await anyio.sleep(0.5)
        one_lane.observe(other, reading(Verdict.BUSY, wait=20.0), began, 429)
        await anyio.sleep(0.5)
        return {}

    went = target_run([REMOVED], [UP, DOWN], read_list=read_list, look="always")

    assert went.end.outcome is Outcome.UNDEPLOYED
    assert went.wire.times(Act.LOOK)[0] == pytest.approx(20.5)


@pytest.mark.promise(2)
def test_without_its_intent_on_disk_no_request_leaves() -> None:
    journal = Journal(fails_at=1, fault=DiskError("full"))
    with pytest.raises(ExceptionGroup) as caught:
        target_run([], journal=journal)

    assert caught.group_contains(DiskError, match="full")
    assert journal.rows == []


@pytest.mark.promise(7)
def test_doubts_are_repeated_with_growing_waits_and_then_looked_at() -> None:
    went = target_run([DOUBT] * 5, [UP])

    assert went.wire.times() == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert went.wire.times(Act.LOOK) == [7.5]
    assert went.end.outcome is Outcome.FAILED
    assert went.end.reason == "spent: still deployed after 5 undeploy requests; last: HTTP 502"


@pytest.mark.promise(7)
def test_once_the_gateway_s_budget_is_spent_a_repeat_waits_for_it() -> None:
    went = target_run([DOUBT] * 60, [UP], retry=Retry(attempts=60, first=0.001, ceiling=0.001))
    times, free = went.wire.times(), int(RetryBudget.SIZE)

    assert times[free] < 0.1
    assert all(later - before >= 0.9 for before, later in pairwise(times[free + 1 :]))
    assert went.end.reason == "spent: still deployed after 60 undeploy requests; last: HTTP 502"


def test_what_is_told_of_a_request_has_its_status_and_whether_the_gateway_refused_it() -> None:
    went = target_run([reading(Verdict.BUSY, wait=1.0), Lost(sent=True, detail="reset"), REMOVED])
    ended = [event for event in went.events if isinstance(event, AttemptEnded)]

    assert [(each.status, each.refused) for each in ended] == [(200, True), (None, False), (200, False)]


def test_looks_that_tell_nothing_end_unknown() -> None:
    went = target_run([DOUBT], [UNCLEAR] * 3, retry=Retry(attempts=1, first=2.0))

    assert went.wire.times(Act.LOOK) == [0.0, 2.0, 6.0]
    assert went.end.outcome is Outcome.UNKNOWN


def test_a_request_that_was_lost_is_doubt_only_if_it_was_sent() -> None:
    unsent = Lost(sent=False, detail="refused")
    sent = Lost(sent=True, detail="reset")
    went = target_run([unsent, unsent, sent, REMOVED])

    assert [verdict for kind, _, verdict in went.journal.rows if kind == "result"] == [
        Verdict.UNSENT,
        Verdict.UNSENT,
        Verdict.DOUBT,
        Verdict.REMOVED,
    ]
    assert went.wire.times() == [0.0, 0.5, 1.5, 2.0]


@pytest.mark.promise(10)
def test_a_look_that_could_not_be_sent_costs_none_of_three_and_ends_after_park_for() -> None:
    refused = Lost(sent=False, detail="refused")
    settled = target_run(
        [], [*[refused] * 9, UNCLEAR, refused, UNCLEAR, DOWN], history=replace(IN_DOUBT, charged=5)
    )
    assert settled.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")

    ended = target_run([], [refused] * 1000, history=replace(IN_DOUBT, charged=5), park_for=60.0)
    assert ended.end == TargetEnd(Outcome.UNKNOWN, "parked: refused")
    assert 60.0 <= ended.at <= 95.0


@pytest.mark.promise(4)
@pytest.mark.parametrize("how", [{"snapshot": "best"}, {"look": "always"}])
def test_what_was_just_seen_is_not_gone_by_one_word(how: dict[str, Any]) -> None:
    gone = reading(Verdict.ABSENT, code="E.3084", message="no such API")
    up, absent = (target_run([gone], [UP, last], absent="ok", **how) for last in (UP, gone))

    reason = "absent: E.3084 no such API; but a look says that it is deployed"
    assert up.end == TargetEnd(Outcome.FAILED, reason, "code")
    assert absent.end == TargetEnd(Outcome.ALREADY_UNDEPLOYED, "absent: E.3084 no such API", "code")
    assert len(up.wire.times(Act.LOOK)) == len(absent.wire.times(Act.LOOK)) == 2


def test_a_snapshot_that_could_not_be_read_holds_no_target_up() -> None:
    """Before anything was sent an unsent look tells what a fault tells: three of them, then the undeploy."""
    went = target_run([REMOVED], [Lost(sent=False, detail="refused")] * 3 + [DOWN], look="always")

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")
    assert went.at < 5.0


@pytest.mark.promise(6)
def test_a_429_is_waited_out_and_costs_no_attempt() -> None:
    busy = reading(Verdict.BUSY, wait=12.0)
    went = target_run([busy, busy, REMOVED], retry=Retry(attempts=1))

    assert went.wire.times() == [0.0, 12.0, 24.0]
    assert went.end.outcome is Outcome.UNDEPLOYED


@pytest.mark.promise(2)
def test_a_doubt_of_an_earlier_session_is_looked_at_before_anything_is_sent() -> None:
    went = target_run([], [DOWN], history=IN_DOUBT)

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")
    assert went.journal.rows == [("intent", 4, Act.LOOK), ("result", 4, Verdict.DOWN)]


def test_look_always_looks_before_and_after() -> None:
    went = target_run([REMOVED], [UP, DOWN], look="always")

    assert [act for _, act, _ in went.wire.told] == [Act.LOOK, Act.UNDEPLOY, Act.LOOK]
    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")


def test_what_is_down_already_is_not_sent_to() -> None:
    went = target_run([], [DOWN], look="always")

    assert went.end == TargetEnd(Outcome.ALREADY_UNDEPLOYED, evidence="look")


# --- where the run may not go on ------------------------------------------------------------------------


@pytest.mark.promise(7)
def test_no_repeat_is_scheduled_past_the_close_and_a_look_settles_the_doubt_at_once() -> None:
    """Down: it was us. Up: it was not started, and the reason says why."""
    went = target_run([DOUBT], [DOWN], closes=30.4)
    assert (went.end, went.at) == (TargetEnd(Outcome.UNDEPLOYED, evidence="look"), 0.0)

    went = target_run([DOUBT], [UP], closes=30.4)
    assert (went.end, went.at) == (TargetEnd(Outcome.NOT_STARTED, CLOSED), 0.0)
    assert went.wire.times() == [0.0]


@pytest.mark.promise(7)
def test_a_repeat_that_still_fits_the_window_is_sent() -> None:
    went = target_run([DOUBT, REMOVED], closes=30.6)

    assert went.wire.times() == [0.0, 0.5]


def test_a_doubt_that_no_look_settles_keeps_the_reason_of_the_window() -> None:
    """So that it counts as left undone, and a resume goes on with it."""
    went = target_run([DOUBT], [UNCLEAR] * 3, closes=30.4)

    assert went.end == TargetEnd(Outcome.UNKNOWN, CLOSED)
    assert went.wire.times(Act.LOOK) == [0.0, 0.5, 1.5]


def test_a_doubt_that_the_window_has_left_to_looks_goes_on_elsewhere_when_its_worker_ends() -> None:
    went = target_run([DOUBT], [UNCLEAR] * 2, closes=30.4, recall=1.0)

    assert (went.end, went.at) == (TargetEnd(Outcome.UNKNOWN, "interrupt: this worker ends"), 1.0)


def test_a_doubt_where_no_look_is_offered_ends_with_the_window() -> None:
    went = target_run([DOUBT], [reading(Verdict.NOT_OFFERED)], closes=30.4)

    assert went.end == TargetEnd(Outcome.UNKNOWN, CLOSED)


def test_looks_run_thirty_seconds_past_the_close_and_no_longer() -> None:
    """The reply comes at 29 s, one second before the close."""
    went = target_run([DOUBT], [UNCLEAR, UNCLEAR, DOWN], takes=29.0, closes=30.0)

    assert went.wire.times(Act.LOOK) == [29.0, 58.5]
    assert went.end == TargetEnd(Outcome.UNKNOWN, CLOSED)


def test_a_stop_rule_lets_a_doubt_be_settled() -> None:
    went = target_run([DOUBT], [UP], takes=2.0, stop=(1.0, "stop_rule"))

    assert went.wire.times(Act.LOOK) == [2.0]
    assert went.end == TargetEnd(Outcome.NOT_STARTED, "stop_rule: now")


@pytest.mark.promise(8)
def test_an_interrupt_lets_land_what_is_in_flight_and_leaves_its_doubt() -> None:
    went = target_run([DOUBT], takes=2.0, stop=(1.0, "interrupt"))

    assert (went.end, went.at) == (TargetEnd(Outcome.UNKNOWN, "interrupt: now"), 2.0)
    assert went.journal.rows[-1] == ("result", 1, Verdict.DOUBT)


@pytest.mark.promise(8)
def test_an_interrupt_ends_a_wait_at_once() -> None:
    went = target_run([DOUBT, DOUBT], retry=Retry(first=20.0), stop=(3.0, "interrupt"))

    assert (went.end, went.at) == (TargetEnd(Outcome.UNKNOWN, "interrupt: now"), 3.0)


def test_a_first_request_that_may_not_leave_is_not_started() -> None:
    went = target_run([], closes=29.0)

    assert went.end == TargetEnd(Outcome.NOT_STARTED, CLOSED)
    assert went.journal.rows == []


@pytest.mark.promise(4)
def test_a_wrong_place_ends_the_target_unsent() -> None:
    went = target_run([reading(Verdict.ELSEWHERE, code="E.3030", message="no instance")])

    assert went.end == TargetEnd(Outcome.NOT_STARTED, "wrong_place: E.3030 no instance")


# --- the credential -------------------------------------------------------------------------------------


@pytest.mark.promise(5)
def test_a_rejected_credential_is_renewed_and_the_same_request_sent_again() -> None:
    went = target_run([DENIED, REMOVED], credentials=("one", "two"))

    assert went.wire.tokens == ["one", "two"]
    assert went.end.outcome is Outcome.UNDEPLOYED


@pytest.mark.promise(5)
def test_a_credential_rejected_twice_ends_the_target_after_two_requests() -> None:
    went = target_run([DENIED, DENIED], credentials=("one", "two", "three"))

    assert went.wire.tokens == ["one", "two"]
    assert went.end.outcome is Outcome.NOT_STARTED
    assert (went.end.reason or "").startswith("denied: the renewed credential was refused too")


@pytest.mark.promise(5)
def test_a_look_that_is_denied_follows_the_same_rule_and_keeps_the_doubt() -> None:
    went = target_run([], [DENIED], history=IN_DOUBT)

    assert went.wire.tokens == ["the-token"]
    assert went.end.outcome is Outcome.UNKNOWN
    assert (went.end.reason or "").startswith("denied: ")


@pytest.mark.promise(9)
def test_what_is_read_of_a_reply_holds_no_credential() -> None:
    went = target_run([reading(Verdict.REFUSED, message="the-token is not welcome")])

    assert went.end.reason == "refused: ••• is not welcome"


# --- what listeners are told ----------------------------------------------------------------------------


def test_each_attempt_is_told_with_its_number_and_each_wait_before_it() -> None:
    went = target_run([DOUBT, REMOVED], takes=1.0)
    told = [event for event in went.events if isinstance(event, RetryPlanned | AttemptStarted | AttemptEnded)]

    assert [(type(event).__name__, event.at - EPOCH) for event in told] == [
        ("AttemptStarted", 0.0),
        ("AttemptEnded", 1.0),
        ("RetryPlanned", 1.0),
        ("AttemptStarted", 1.5),
        ("AttemptEnded", 2.5),
    ]
    assert {event.target for event in told} == {TargetId("gw/t1")}
    assert [event.number for event in told if isinstance(event, AttemptStarted)] == [1, 2]
    assert [event.wait for event in told if isinstance(event, RetryPlanned)] == [0.5]


def test_what_was_deployed_since_its_approval_gets_no_second_undeploy() -> None:
    """The first one was lost, and the look after it shows a deployment that nobody has approved."""
    approved = StateAtApproval(state="up", since="2026-11-29T10:00:00Z")
    newer = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T11:00:00Z"))

    played = target_run([], [newer], history=IN_DOUBT, approved=approved)

    assert played.end.outcome is Outcome.NOT_STARTED
    assert (played.end.reason or "").startswith("drifted: its last deploy was 2026-11-29T10:00:00Z")
    assert played.wire.times() == []


def test_what_is_still_as_it_was_approved_gets_a_second_undeploy() -> None:
    approved = StateAtApproval(state="up", since="2026-11-29T10:00:00Z")
    same = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T11:00:00+01:00"))

    played = target_run([REMOVED], [same], history=IN_DOUBT, approved=approved)

    assert played.end.outcome is Outcome.UNDEPLOYED


SETTLED = TargetHistory(requests=2, charged=1, may_have_arrived=True, exists=True)
"""The undeploy of an earlier session was lost, and a look after it saw the target deployed."""


def test_a_resume_looks_once_more_at_what_was_approved_before_it_repeats_an_undeploy() -> None:
    """It may have been deployed since, or the look of the session before has found it drifted already."""
    approved = StateAtApproval(state="up", since="2026-11-29T10:00:00Z")
    newer = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T11:00:00Z"))
    same = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T10:00:00Z"))

    drifted = target_run([], [newer], history=SETTLED, approved=approved)
    repeated = target_run([REMOVED], [same], history=SETTLED, approved=approved)
    unapproved = target_run([REMOVED], [], history=SETTLED)

    assert (drifted.end.reason or "").startswith("drifted: its last deploy was 2026-11-29T10:00:00Z")
    assert drifted.wire.times() == []
    assert repeated.end.outcome is unapproved.end.outcome is Outcome.UNDEPLOYED


def test_a_resume_that_cannot_read_what_was_approved_repeats_no_undeploy() -> None:
    """The look of the session before may have found it drifted. Where there are no looks, it has not."""
    approved = StateAtApproval(state="up", since="2026-11-29T10:00:00Z")
    unread = target_run([], [UNCLEAR] * 3, history=SETTLED, approved=approved)
    unoffered = target_run([REMOVED], [reading(Verdict.NOT_OFFERED)], history=SETTLED, approved=approved)

    assert unread.end.outcome is Outcome.NOT_STARTED
    assert (unread.end.reason or "").startswith("spent: the looks could not tell")
    assert unread.wire.times() == []
    assert unoffered.end.outcome is Outcome.UNDEPLOYED


def test_a_pause_between_the_look_and_the_undeploy_has_the_target_looked_at_again() -> None:
    approved = StateAtApproval(state="up", since="2026-11-29T10:00:00Z")
    newer = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T11:00:00Z"))
    same = reading(Verdict.UP, facts=LookFacts(since="2026-11-29T10:00:00Z"))
    pause = (0.5, 100.0)

    drifted = target_run([], [same, newer], approved=approved, pause=pause, takes=1.0)
    undeployed = target_run([REMOVED], [same, same], approved=approved, pause=pause, takes=1.0)
    gone = target_run([], [UP, DOWN], snapshot="best", pause=pause, takes=1.0)
    repeated = target_run([REMOVED], [UP, UP, DOWN], look="always", pause=pause, takes=1.0)
    plain = target_run([REMOVED], [], pause=(0.0, 100.0), takes=1.0)

    assert (drifted.end.reason or "").startswith("drifted: ")
    assert undeployed.end.outcome is repeated.end.outcome is plain.end.outcome is Outcome.UNDEPLOYED
    assert undeployed.wire.times(Act.LOOK) == [0.0, 100.0]
    assert gone.end.outcome is Outcome.ALREADY_UNDEPLOYED


UNTOLD = TargetHistory(requests=1, may_have_arrived=True, in_doubt=True, unsettled_reply=DOUBT)
"""An engine that was lost had the target, and told nothing of it."""


@pytest.mark.promise(1)
@pytest.mark.parametrize("snapshot", ["best", "off"])
def test_what_a_lost_engine_may_have_taken_down_is_undeployed_once_a_look_sees_it_down(
    snapshot: Literal["best", "off"],
) -> None:
    played = target_run([], [DOWN], history=UNTOLD, snapshot=snapshot)

    assert played.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")


@pytest.mark.parametrize("snapshot", ["best", "off"])
def test_what_a_lost_engine_left_up_goes_down_with_all_of_its_attempts(
    snapshot: Literal["best", "off"],
) -> None:
    once = Retry(attempts=1)
    played = target_run([REMOVED], [UP], history=UNTOLD, snapshot=snapshot, retry=once)

    assert played.end.outcome is Outcome.UNDEPLOYED
    assert [act for _, _, act in played.journal.rows if act in (Act.LOOK, Act.UNDEPLOY)] == [
        Act.LOOK,
        Act.UNDEPLOY,
    ]


@pytest.mark.parametrize(("lost", "sent"), [
    (Lost(sent=False, detail="connection refused"), False), (Lost(sent=True, detail="no reply"), True),
])  # fmt: skip
def test_the_end_of_an_attempt_tells_whether_it_was_sent(lost: Lost, sent: bool) -> None:
    went = target_run([lost, REMOVED])

    ended = [event for event in went.events if isinstance(event, AttemptEnded)]
    assert [(event.number, event.status, event.sent) for event in ended] == [(1, None, sent), (2, 200, True)]
