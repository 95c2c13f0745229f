"""The decisions of a run's workflow: steps, levels, stops, waits, lanes that are over, and many targets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from orchestrator.distributed.bounds import MOST_BROKEN, OPEN_TARGETS, PART_TARGETS
from orchestrator.distributed.payloads import (
    ChunkPlace,
    LaneCarry,
    LaneOver,
    LevelWork,
    Orders,
    StepWork,
    StopOrder,
    StopState,
)
from orchestrator.distributed.run_news import (
    LanePartBegun,
    LanePartOver,
    RunOver,
    RunStopped,
    StepBegun,
    StepOver,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import StopWhen, Threshold, Window
from tests.support.conducted import PlayedRun, count, make_input, make_step

AT = 1000.0


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(AT + seconds, UTC)


def play(*steps: StepWork, **fields: Any) -> PlayedRun:
    run = PlayedRun(make_input(*steps, **fields), AT)
    run.go()
    return run


def test_the_steps_go_one_after_another_and_their_lanes_side_by_side() -> None:
    run = play(make_step(0, targets={"apim": 10, "roma": 20}), make_step(1, targets={"roma": 30}))

    assert run.gateways == ["apim", "roma"]
    first, second = list(run.open)
    run.finish(first)
    assert not run.list_news(StepOver)
    run.finish(second)

    assert run.gateways == ["roma"]
    assert run.open[run.only()].place == ChunkPlace(wave=1, step=0, gateway="roma", first=0, count=30)
    assert [type(item) for item in run.news] == [
        StepBegun,
        LanePartBegun,
        LanePartBegun,
        LanePartOver,
        LanePartOver,
        StepOver,
        StepBegun,
        LanePartBegun,
    ]
    run.finish(run.only())
    assert run.news[-1] == RunOver()
    assert run.conduct.progress == "over, 60 of 60 targets ended"


def test_no_two_gateways_of_one_installation_work_at_the_same_time() -> None:
    run = play(make_step(targets={"a": 5, "b": 5, "other": 5}), one={"a": "same", "b": "same"})

    assert run.gateways == ["a", "other"]
    run.finish(next(iter(run.open)))
    assert run.gateways == ["other", "b"]


def test_a_level_waits_for_the_level_before_it_and_knows_what_broke_in_it() -> None:
    levels = (LevelWork(level=0, targets={"a": 3, "b": 3}), LevelWork(level=1, targets={"a": 4}))
    run = play(make_step(levels=levels))
    first, second = list(run.open)
    run.report(first, count(2), count(1, Outcome.FAILED, "refused"), broken=(7,))
    run.end(first)
    assert run.gateways == ["b"]
    run.report(second, count(1), broken=(9, 8))
    run.report(second, count(2), broken=(8,), dispatch=1)
    run.end(second)

    lane = run.open[run.only()]
    assert lane.place.level == 1
    assert lane.broken == (7, 8), "a later report of the same chunk replaces the earlier one"
    assert not lane.undone
    assert run.only().endswith("/lane/0.0.1/a/0")


def test_a_run_that_keeps_too_many_broken_targets_stops_before_the_server_ends_it() -> None:
    run = play(make_step(targets={"a": 500, "b": 5}))
    first, _ = list(run.open)
    run.report(first, broken=tuple(range(10_000_000, 10_000_000 + MOST_BROKEN)))
    assert not run.conduct.is_overfull
    run.report(first, broken=(1, 2), first=200)
    assert run.conduct.is_overfull
    run.conduct.stop_overfull()
    run.go()
    assert len(run.told) == len(run.open)
    run.conduct.stop_overfull()
    run.go()
    assert len(run.told) == len(run.open), "a run that has stopped tells its lanes nothing new"

    (stopped,) = run.list_news(RunStopped)
    assert stopped.stop.text.startswith(
        "more than 150,000 targets that others wait for did not end as wanted"
    )
    assert {told.orders.stop for told in run.told} == {stopped.stop}
    # It fits all the same into what another execution is given.
    assert len(encode(run.conduct.hand_over())) < 2_000_000


def test_what_waits_for_targets_of_a_lane_that_is_over_is_told_so() -> None:
    levels = (LevelWork(level=0, targets={"a": 500}), LevelWork(level=1, targets={"a": 6, "b": 4}))
    run = play(
        make_step(0, levels=levels), make_step(1, targets={"a": 9, "b": 1}), make_step(2, targets={"b": 1})
    )
    rest = ChunkPlace(wave=0, step=0, gateway="a", first=200, count=300, level=0)
    run.report(run.only(), count(190), broken=(1,))
    run.end(run.only(), refusal="parked: HTTP 503", rest=rest)

    assert run.gateways == ["b"], "the lane that is over gets no further targets"
    assert run.open[run.only()].undone == (rest,)
    run.finish(run.only())
    assert run.gateways == ["b"]
    run.finish(run.only())
    assert run.open[run.only()].undone == (
        rest,
        ChunkPlace(wave=0, step=0, gateway="a", first=0, count=6, level=1),
        ChunkPlace(wave=1, step=0, gateway="a", first=0, count=9),
    )
    assert run.list_news(LanePartOver)[0].refusal == "parked: HTTP 503"


def test_undone_are_those_alone_that_the_lane_that_is_over_had_left() -> None:
    """Not those of the levels before, nor of levels without that gateway; a single target counts."""
    parts = ({"a": 3}, {"a": 500}, {"b": 2}, {"a": 1}, {"b": 1})
    levels = [LevelWork(level=number, targets=targets) for number, targets in enumerate(parts)]
    run = play(make_step(levels=levels))
    run.finish(run.only())
    rest = ChunkPlace(wave=0, step=0, gateway="a", first=200, count=300, level=1)
    run.end(run.only(), refusal="parked: HTTP 503", rest=rest)
    assert run.open[run.only()].undone == (rest,)
    run.finish(run.only())

    single = ChunkPlace(wave=0, step=0, gateway="a", first=0, count=1, level=3)
    assert run.open[run.only()].undone == (rest, single)


def test_a_lane_knows_how_many_of_its_targets_are_ahead_in_the_step_and_later() -> None:
    levels = [LevelWork(level=0, targets={"a": 5}), LevelWork(level=1, targets={"a": 2})]
    run = play(make_step(levels=[*levels, LevelWork(level=2, targets={"b": 3})]))

    assert (run.open[run.only()].ahead, run.open[run.only()].later) == (2, 0)


def test_the_carry_of_a_lane_goes_on_to_its_next_step() -> None:
    run = play(make_step(0), make_step(1), carries={"apim": LaneCarry(rate=9.0)})
    assert run.open[run.only()].carry.rate == 9.0
    run.report(run.only(), count(400))
    run.end(run.only(), carry=LaneCarry(rate=2.5))

    assert run.open[run.only()].carry == LaneCarry(rate=2.5)


def test_a_closed_lane_is_over_even_without_a_refusal() -> None:
    run = play(make_step(0, targets={"a": 1, "b": 1}), make_step(1, targets={"a": 1, "b": 1}))
    first, second = list(run.open)
    run.finish(second)
    run.end(first, carry=LaneCarry(state="closed", reason="denied: 401"))

    assert run.gateways == ["b"]
    assert run.list_news(LanePartOver)[1].refusal == "denied: 401"


@pytest.mark.parametrize(
    ("carry", "refusal", "untold"),
    [
        (LaneCarry(), None, False),
        (LaneCarry(), "window: it closed", False),
        (LaneCarry(), "parked: no worker of zone default answered", True),
        (LaneCarry(state="closed", reason="denied: 401"), "denied: 401", False),
        (LaneCarry(state="parked", reason="parked: HTTP 503", given_up=True), "parked: HTTP 503", False),
    ],
)
def test_a_refusal_is_untold_where_a_lane_was_parked_without_its_worker(
    carry: LaneCarry, refusal: str | None, untold: bool
) -> None:
    run = play(make_step(targets={"a": 4}))
    run.end(run.only(), carry=carry, refusal=refusal)

    assert [(over.refusal, over.untold) for over in run.list_news(LanePartOver)] == [(refusal, untold)]


def test_the_end_of_a_lane_counts_once_and_of_one_that_is_not_known_never() -> None:
    run = play(make_step(targets={"a": 4, "b": 4}))
    ended, open_one = list(run.open)
    run.end(ended)
    run.end(open_one)
    news = list(run.news)
    for workflow in (ended, "another"):
        run.conduct.take_lane_over(
            LaneOver(workflow=workflow, gateway="a", dispatches=1, carry=LaneCarry(), bug="KeyError")
        )
        run.conduct.lose_lane(workflow, "its workflow was terminated")
    run.go()

    assert run.news == news
    assert run.conduct.state.lane_orders.stop is None


# Stop rules.


def test_a_stop_rule_counts_over_all_lanes_and_stops_them() -> None:
    rules = StopWhen(failed=Threshold(count=3))
    run = play(make_step(0, targets={"a": 400, "b": 400}), make_step(1), stop_when=rules)
    first, second = list(run.open)
    run.report(first, count(198), count(2, Outcome.FAILED, "refused"))
    assert not run.told
    run.report(second, count(198), count(2, Outcome.FAILED, "refused"))

    stop = StopOrder(kind="stop_rule", text="failed: 4 in the run, now in wave wave-0, limit 3")
    assert run.list_news(RunStopped) == [RunStopped(stop=stop)]
    assert [(told.workflow, told.orders.stop) for told in run.told] == [(first, stop), (second, stop)]
    assert run.answers[-1].go_on.orders.stop == stop
    run.end(first)
    run.end(second)
    assert run.news[-1] == RunOver()
    assert len(run.list_news(StepBegun)) == 1


def test_lanes_are_told_of_a_breach_once() -> None:
    run = play(make_step(targets={"a": 400}))
    breach = StopOrder(kind="stop_rule", text="failed: 4 in the run, limit 3")
    run.report(run.only(), count(4, Outcome.FAILED, "refused"), breach=breach)
    run.report(run.only(), count(1, Outcome.FAILED, "refused"), breach=breach, first=5)

    assert len(run.told) == len(run.list_news(RunStopped)) == 1
    assert run.conduct.state.lane_orders.number == 1


def test_a_breach_that_a_chunk_found_itself_stops_the_run() -> None:
    run = play(make_step(0), make_step(1))
    breach = StopOrder(kind="stop_rule", text="failed: 5 of 20 (25%) in wave wave-0, limit 20%")
    run.report(run.only(), count(15), count(5, Outcome.FAILED, "refused"), breach=breach)
    run.end(run.only())

    assert run.list_news(RunStopped) == [RunStopped(stop=breach)]
    assert run.conduct.is_over


def test_each_chunk_begins_where_the_stop_rules_stand() -> None:
    run = play(make_step(0, targets={"a": 400}, name="canary"), stop=StopState(in_run={"failed": 1}))
    assert run.open[run.only()].stop == StopState(in_run={"failed": 1}, where="wave canary")
    run.report(run.only(), count(190), count(10, Outcome.UNKNOWN, "spent"), dispatch=4)

    answer = run.answers[-1].go_on
    assert answer.dispatch == 4
    assert answer.stop.ended == 200
    assert answer.stop.in_run == {"failed": 1, "unknown": 10}
    assert answer.stop.in_wave == {"unknown": 10}


def test_shares_count_afresh_in_each_step_and_few_ended_targets_count_between_two() -> None:
    few = make_step(0, targets={"a": 4}, steps=2)
    run = play(few, make_step(0, 1, targets={"a": 100}, steps=2))
    run.report(run.only(), count(3), count(1, Outcome.FAILED, "refused"))
    assert not run.list_news(RunStopped)
    run.end(run.only())

    text = "failed: 1 of 4 (25%) in step 1 of 2 of wave wave-0, limit 20%"
    assert run.list_news(RunStopped) == [RunStopped(stop=StopOrder(kind="stop_rule", text=text))]


def test_a_step_in_which_nothing_came_down_stops_the_run() -> None:
    never = Threshold(share=1.0)
    lax = StopWhen(failed=never, unknown=never, surprising=never)
    cases = {
        "nothing in wave wave-0 was undeployed": make_step(0, targets={"a": 4}),
        "nothing in step 1 of wave wave-0 was undeployed": make_step(0, targets={"a": 4}, steps=3),
    }
    for text, step in cases.items():
        run = play(step, make_step(1), stop_when=lax)
        run.finish(run.only(), Outcome.FAILED, "refused")
        assert run.list_news(RunStopped) == [RunStopped(stop=StopOrder(kind="stop_rule", text=text))]
    fine = {
        "an operator accepted it": make_step(0, targets={"a": 4}, accepted=True),
        "a session before had success": make_step(0, targets={"a": 4}, before=(count(1),)),
    }
    for why, step in fine.items():
        run = play(step, make_step(1), stop_when=lax)
        run.finish(run.only(), Outcome.FAILED, "refused")
        assert not run.list_news(RunStopped), why
    run = play(make_step(0, targets={"a": 4}), make_step(1), stop_when=lax)
    run.finish(run.only(), Outcome.NOT_STARTED, "skipped")
    assert not run.list_news(RunStopped), "what was held back says nothing of a mistake"


# Orders.


def test_a_stop_of_an_operator_ends_the_step_and_starts_nothing() -> None:
    run = play(make_step(0, targets={"a": 400, "b": 400}, pause_after=60.0), make_step(1))
    stop = StopOrder(kind="control", text="stop, by Ada")
    run.order(stop=stop)
    assert {told.workflow for told in run.told} == set(run.open)
    assert all(told.orders.stop == stop for told in run.told)
    for workflow in list(run.open):
        run.end(workflow)

    assert [type(item) for item in run.news[-3:]] == [LanePartOver, StepOver, RunOver]
    assert not run.list_news(WaitBegun)


def test_a_graver_stop_replaces_a_lesser_one_and_no_other_does() -> None:
    run = play(make_step())
    run.order(stop=StopOrder(kind="control", text="first"))
    run.order(stop=StopOrder(kind="stop_rule", text="second"))
    assert run.conduct.state.lane_orders.stop == StopOrder(kind="control", text="first")
    run.order(stop=StopOrder(kind="interrupt", text="SIGINT was received"))

    assert run.conduct.state.lane_orders.stop == StopOrder(kind="interrupt", text="SIGINT was received")
    assert [item.stop.kind for item in run.list_news(RunStopped)] == ["control", "interrupt"]


def test_orders_go_to_the_lanes_that_go_on_and_to_those_that_begin() -> None:
    run = play(make_step(0, targets={"a": 4, "b": 4}), make_step(1, targets={"a": 4}))
    first, second = list(run.open)
    run.finish(first)
    run.order(skips={"a/**": "Ada"}, paused=True)
    assert [told.workflow for told in run.told] == [second]
    run.finish(second)

    assert run.open[run.only()].orders.skips == {"a/**": "Ada"}
    assert run.open[run.only()].orders.paused
    late = Orders(number=1, paused=False)
    run.conduct.take_orders(late)
    assert run.conduct.state.lane_orders.paused, "orders of an earlier number come too late"


def test_of_two_drivers_that_order_in_one_instant_neither_order_is_lost() -> None:
    run = play(make_step(targets={"a": 400}))
    before = run.conduct.shown_orders
    # Both have read the same orders, so both give theirs the same number.
    run.conduct.take_orders(Orders(number=1, paused=True, before=before))
    run.conduct.take_orders(Orders(number=1, skips={"a/**": "Bob"}, before=before))
    run.go()

    wanted = Orders(number=2, paused=True, skips={"a/**": "Bob"})
    assert run.conduct.shown_orders == wanted
    assert replace(run.told[-1].orders, number=2) == wanted
    # The first driver takes its pause back; of the other one's order it has heard nothing yet.
    run.conduct.take_orders(Orders(number=2, before=Orders(number=1, paused=True)))
    assert run.conduct.shown_orders == Orders(number=3, skips={"a/**": "Bob"})


def test_lanes_see_the_numbers_of_orders_rise_also_for_the_stops_of_the_run_itself() -> None:
    run = play(make_step(targets={"a": 400}))
    run.order(paused=True)
    run.order(paused=False)
    run.report(run.only(), breach=StopOrder(kind="stop_rule", text="failed"))

    numbers = [told.orders.number for told in run.told]
    assert numbers == sorted(set(numbers))
    assert run.conduct.shown_orders.number == 2, "a later driver counts on from the driver's"
    assert run.conduct.shown_orders.stop is not None


def test_a_cancel_from_temporal_is_a_stop_and_once_all_is_over_an_acknowledgement() -> None:
    run = play(make_step(), make_step(1))
    run.conduct.cancel()
    run.go()
    assert run.told[0].orders.stop == StopOrder(
        kind="control", text="the run's workflow was cancelled in Temporal"
    )
    workflow = run.only()
    run.end(workflow)
    assert run.conduct.is_over
    assert not run.conduct.is_finished
    run.conduct.cancel()
    run.go()

    assert run.conduct.is_finished
    assert run.released == [workflow]


# Waits.


def test_the_run_waits_for_its_window_and_a_stop_ends_the_wait() -> None:
    window = Window(at(60), at(7200))
    run = play(make_step(), window=window)
    assert run.news == [WaitBegun(why="window", index=-1, until=AT + 60, number=0)]
    assert run.conduct.seconds_until_due(AT) == 60.0
    run.order(proceed=0)
    assert not run.open, "nobody opens a window early"
    run.pass_time(60)
    assert run.gateways == ["apim"]
    assert run.news[1] == WaitOver(index=-1)

    stopped = play(make_step(), window=window)
    stopped.order(stop=StopOrder(kind="interrupt", text="SIGTERM was received"))
    assert not stopped.open
    assert stopped.news[-1] == RunOver()


def test_an_approval_that_expired_during_the_wait_makes_the_session_void() -> None:
    window = Window(at(60), None)
    run = play(make_step(), window=window, expires=AT + 30)
    run.pass_time(60)

    assert not run.open
    assert "the approval expired at " in str(run.list_news(RunOver)[0].void)
    assert play(make_step(), expires=AT + 30).open
    assert not play(make_step(), expires=AT).open, "it expires in this very moment"


def test_a_pause_between_two_waves_ends_by_time_by_a_person_or_with_the_window() -> None:
    steps = (make_step(0, targets={"a": 4}, pause_after=60.0), make_step(1, targets={"a": 4}))
    run = play(*steps)
    run.finish(run.only())
    assert run.news[-1] == WaitBegun(why="pause_after", index=0, until=AT + 60, number=0)
    assert run.conduct.seconds_until_due(run.now) == 60.0
    run.pass_time(59)
    assert not run.open
    run.pass_time(1)
    assert run.gateways == ["a"]

    told = play(*steps)
    told.finish(told.only())
    told.order(proceed=0)
    assert told.gateways == ["a"]

    closed = play(*steps, window=Window(None, at(40)))
    closed.finish(closed.only())
    assert closed.conduct.seconds_until_due(closed.now) == 40.0
    closed.pass_time(40)
    assert closed.news[-1] == RunOver(), "no target could start any more"


def test_a_question_waits_for_a_person_alone_and_an_answer_answers_one_wait() -> None:
    step = make_step(0, targets={"a": 4}, pause_after=60.0, asks=True)
    run = play(step, make_step(1, targets={"a": 4}))
    run.finish(run.only())
    run.order(proceed=0)

    assert run.news[-1] == WaitBegun(why="proceed", index=0, number=1)
    assert run.conduct.seconds_until_due(run.now) is None
    run.pass_time(100_000)
    assert not run.open
    run.order(proceed=1)
    assert run.gateways == ["a"]


def test_nothing_follows_the_last_step() -> None:
    lax = StopWhen(failed=Threshold(share=1.0))
    run = play(make_step(targets={"a": 4}, pause_after=60.0, asks=True), stop_when=lax)
    run.finish(run.only(), Outcome.FAILED, "refused")

    assert run.news[-1] == RunOver()
    assert not run.list_news(WaitBegun)
    assert not run.list_news(RunStopped)


def test_a_run_that_is_to_stop_from_the_beginning_asks_nothing_and_is_over_at_once() -> None:
    stop = StopOrder(kind="control", text="stop, by Ada")
    run = play(make_step(asks_first=True), orders=Orders(number=1, stop=stop))

    assert run.news == [RunOver()]


def test_a_question_of_the_session_before_comes_first() -> None:
    run = play(make_step(asks_first=True))
    assert run.news == [WaitBegun(why="proceed", index=-1, number=0)]
    assert not run.open
    run.order(proceed=0)
    assert run.gateways == ["apim"]


def test_nothing_begins_that_the_window_would_not_let_start() -> None:
    run = play(make_step(0, targets={"a": 4}), make_step(1, targets={"a": 4}), window=Window(None, at(100)))
    run.now += 71
    run.finish(run.only())
    assert run.news[-1] == RunOver()
    assert not run.list_news(RunStopped)

    late = play(make_step(0, targets={"a": 4}), window=Window(None, at(10)))
    assert late.gateways == ["a"], "the lane itself says so of its targets"


@pytest.mark.parametrize(
    ("first", "later", "closes", "goes_on"),
    [
        ({"fast": 4, "slow": 4}, {"slow": 4}, 29, False),  # of the fast one nothing is left
        ({"fast": 4, "slow": 4}, {"slow": 4}, 30, True),  # a reply may come as the window closes
        ({"slow": 4}, {"fast": 1, "slow": 4}, 29, True),  # one lane may still start
        ({"slow": 4}, {"fast": 1, "slow": 4}, 0.5, False),
    ],
)
def test_a_step_begins_as_long_as_some_lane_that_has_targets_left_may_start(
    first: dict[str, int], later: dict[str, int], closes: float, goes_on: bool
) -> None:
    timeouts = {"fast": 1.0, "slow": 30.0}
    steps = make_step(0, targets=first), make_step(1, targets=later)
    run = play(*steps, window=Window(None, at(closes)), timeouts=timeouts)
    for workflow in list(run.open):
        run.finish(workflow)

    assert bool(run.open) is goes_on


# Ends.


def test_a_lane_whose_workflow_is_gone_is_given_up() -> None:
    run = play(make_step(0, targets={"a": 4, "b": 4}), make_step(1, targets={"a": 4, "b": 4}))
    first, second = list(run.open)
    run.conduct.lose_lane(first, "its workflow was terminated")
    del run.open[first]
    run.finish(second)

    assert run.gateways == ["b"]
    over = run.list_news(LanePartOver)[0]
    assert (over.refusal, over.untold) == ("parked: its workflow was terminated", True)
    assert over.dispatches == 0, "no history holds results of it"
    assert run.open[run.only()].undone == (ChunkPlace(wave=0, step=0, gateway="a", first=0, count=4),)


def test_a_credential_that_no_worker_resolves_makes_the_session_void_if_nothing_else_was_sent() -> None:
    run = play(make_step(targets={"a": 4}), make_step(1, targets={"a": 4}))
    run.end(run.only(), no_credential="gateway a: TOKEN is not set")
    assert run.news[-1] == RunOver(void="gateway a: TOKEN is not set")
    over = run.list_news(LanePartOver)[0]
    assert (over.refusal, over.untold) == ("denied: gateway a: TOKEN is not set", True)

    other = play(make_step(targets={"a": 4, "b": 4}))
    first, second = list(other.open)
    other.finish(second)
    other.end(first, no_credential="gateway a: TOKEN is not set")
    assert other.news[-1] == RunOver()


def test_a_fault_of_the_program_stops_the_run_and_is_told() -> None:
    run = play(make_step(0, targets={"a": 4, "b": 4}), make_step(1), zones={"a": "dmz"})
    first, second = list(run.open)
    run.end(first, bug="KeyError: 'x'")
    assert run.told[0].orders.stop == StopOrder(
        kind="control", text="a fault of the program in a worker of zone dmz: KeyError: 'x'"
    )
    run.end(second)
    assert run.news[-1] == RunOver(bug="KeyError: 'x'")


def test_silent_zones_are_told() -> None:
    run = play(make_step())
    silent = ZoneSilent(gateway="apim", zone="dmz", until=1600.0)
    run.conduct.take_zone_news(silent)
    run.conduct.take_zone_news(ZoneAnswers(gateway="apim", zone="dmz"))
    run.go()

    assert run.news[-2:] == [silent, ZoneAnswers(gateway="apim", zone="dmz")]


def test_results_stay_until_a_driver_acknowledges_the_run() -> None:
    run = play(make_step(targets={"a": 4, "b": 4}))
    first, second = list(run.open)
    run.conduct.acknowledge()
    for workflow in (first, "another"):
        run.conduct.take_part_taken(workflow)
    run.go()
    assert not run.conduct.is_finished, "too early: it is not over"
    assert not run.released, "nor is the part"
    run.finish(first)
    run.conduct.take_part_taken(first)
    run.finish(second)
    assert run.released == [first]
    assert not run.conduct.is_finished
    run.conduct.acknowledge()
    run.go()

    assert run.conduct.is_finished
    assert run.released == [first, second]


def test_a_recurring_run_ends_by_itself() -> None:
    run = play(make_step(), scheduled=True, recurs=True)
    workflow = run.only()
    run.finish(workflow)
    run.go()

    assert run.conduct.is_finished
    assert run.released == [workflow]


def test_a_run_without_open_targets_is_over_at_once() -> None:
    assert play().news == [RunOver()]


def test_where_a_run_stands_is_told_in_words() -> None:
    waiting = play(make_step(), window=Window(at(60), None))
    assert waiting.conduct.progress == "0 of 400 targets ended"

    run = play(make_step(0, targets={"a": 4}), make_step(1, 1, targets={"a": 4}, steps=2))
    assert run.conduct.progress == "wave wave-0, 0 of 8 targets ended"
    run.finish(run.only())
    assert run.conduct.progress == "step 2 of 2 of wave wave-1, 4 of 8 targets ended"


# Many targets.


def test_a_large_lane_goes_part_by_part() -> None:
    run = play(make_step(targets={"a": 2 * PART_TARGETS + 5}, later={"a": 3}))
    sizes, aheads = [], []
    while run.open:
        lane = run.open[run.only()]
        sizes.append((lane.place.first, lane.place.count))
        aheads.append(lane.ahead)
        assert lane.later == 3
        run.finish(run.only())

    assert sizes == [(0, PART_TARGETS), (PART_TARGETS, PART_TARGETS), (2 * PART_TARGETS, 5)]
    assert aheads == [PART_TARGETS + 5, 5, 0]
    assert run.news[-1] == RunOver()


def test_a_part_that_ends_early_is_followed_by_one_with_the_rest() -> None:
    run = play(make_step(targets={"a": 500}))
    rest = ChunkPlace(wave=0, step=0, gateway="a", first=200, count=300)
    run.report(run.only(), count(200))
    run.end(run.only(), rest=rest)

    assert run.open[run.only()].place == rest
    assert run.only().endswith("/a/1")


def test_more_than_a_hundred_thousand_targets_wait_for_a_driver_that_takes_them() -> None:
    total = OPEN_TARGETS + 3 * PART_TARGETS
    run = play(make_step(0, targets={"a": total}), make_step(1, targets={"a": 7}))
    ended: list[str] = []
    while run.open:
        ended.append(run.only())
        run.finish(run.only())
    assert len(ended) == OPEN_TARGETS // PART_TARGETS
    assert not run.list_news(StepOver)
    assert run.conduct.seconds_until_due(run.now) is None

    run.conduct.take_part_taken(ended[0])
    run.go()
    assert run.released == ended[:1]
    assert run.open[run.only()].place.first == OPEN_TARGETS
    for workflow in ended[1:]:
        run.conduct.take_part_taken(workflow)
    while run.open:
        run.finish(run.only())
    assert run.news[-1] == RunOver()
    assert run.conduct.progress == f"over, {total + 7:,} of {total + 7:,} targets ended"


def test_a_level_goes_on_while_one_of_its_lanes_waits_for_a_driver() -> None:
    levels = [
        LevelWork(level=0, targets={"a": OPEN_TARGETS + 1, "b": 1}),
        LevelWork(level=1, targets={"b": 1}),
    ]
    run = play(make_step(levels=levels))
    while run.open:
        run.finish(next(iter(run.open)))

    assert not run.list_news(StepOver)
    assert max(part.place.level or 0 for part in run.conduct.state.parts) == 0


def test_a_part_that_is_too_large_for_now_does_not_hold_up_a_small_one_of_the_same_installation() -> None:
    room = OPEN_TARGETS - PART_TARGETS + 1
    run = play(
        make_step(0, targets={"c": room}),
        make_step(1, targets={"a": PART_TARGETS, "b": 3}),
        one={"a": "same", "b": "same"},
    )
    while "b" not in run.gateways:
        assert "a" not in run.gateways
        run.finish(run.only())

    assert run.gateways == ["b"]


def play_through(*, often: bool) -> PlayedRun:
    """Play a run with everything in it; ``often`` hands it over to another workflow at each turn."""
    levels = (LevelWork(level=0, targets={"a": 5, "b": 5}), LevelWork(level=1, targets={"b": 5}))
    steps = (
        make_step(0, levels=levels, pause_after=30.0, asks=True),
        make_step(1, targets={"a": 25_000, "b": 9}),
        make_step(2, targets={"b": 9}),
    )
    run = play(*steps, window=Window(at(10), at(100_000)))
    while not run.conduct.is_over:
        if often:
            run.continue_as_new()
        if run.open:
            workflow = next(iter(run.open))
            run.report(workflow, count(run.open[workflow].place.count), broken=(len(run.news),))
            if often:
                run.continue_as_new()
            run.end(workflow)
        else:
            run.pass_time(30)
            run.order(proceed=run.conduct.state.waits - 1)
    return run


def test_a_run_that_continues_as_new_decides_the_same() -> None:
    once, often = play_through(often=False), play_through(often=True)

    assert often.news == once.news
    assert often.answers == once.answers
    assert len(once.list_news(LanePartBegun)) == 8
    assert [wait.why for wait in once.list_news(WaitBegun)] == ["window", "pause_after", "proceed"]
