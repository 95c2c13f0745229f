"""The decisions of a lane's workflow: chunks, orders, lost workers, silent zones."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.json import encode

from orchestrator.distributed.bounds import FAST_CHUNK_BYTES, FAST_CHUNK_TARGETS
from orchestrator.distributed.lane_conduct import (
    MOST_FAILURES,
    ORDER_BYTES,
    PART_BYTES,
    LaneConduct,
)
from orchestrator.distributed.payloads import (
    ChunkBeat,
    ChunkOrder,
    ChunkPlace,
    EndCount,
    GoOn,
    LaneCarry,
    LaneInput,
    Orders,
    StopOrder,
    StopState,
)
from orchestrator.distributed.run_news import ZoneAnswers, ZoneSilent
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Window
from orchestrator.model.settings import Limits
from tests.support.conducted import count, make_end, make_lane

AT = 1000.0
STOP = StopOrder(kind="control", text="stop, by Ada")


def begin(**fields: object) -> tuple[LaneConduct, ChunkOrder]:
    """Return a lane and the first chunk that it has handed out."""
    lane = LaneConduct(make_lane(**fields), "lane")
    return lane, lane.make_order(AT)


def place(first: int, number: int) -> ChunkPlace:
    return ChunkPlace(wave=0, step=0, gateway="apim", first=first, count=number)


def test_the_targets_of_a_part_go_in_chunks_one_after_another() -> None:
    lane = LaneConduct(make_lane(place=place(1000, 450), ahead=7, later=3, lease=4.0), "lane")
    orders = []
    while not lane.is_over:
        order = lane.make_order(AT)
        orders.append(order)
        lane.take_end(make_end(order), AT)

    assert [order.place for order in orders] == [place(1000, 200), place(1200, 200), place(1400, 50)]
    assert [order.dispatch for order in orders] == [0, 1, 2]
    assert [order.ahead for order in orders] == [257, 57, 7]
    assert {(order.later, order.lease, order.lane) for order in orders} == {(3, 4.0, "lane")}
    over = lane.describe_over()
    assert (over.dispatches, over.rest, over.refusal) == (3, None, None)


def list_sizes(
    *ends: tuple[float, tuple[EndCount, ...], int], follows_pace: bool = True, targets: int = 5000
) -> list[int]:
    """Return the sizes of a lane's chunks; each end is seconds, counts (none: all undeployed), and bytes."""
    lane = LaneConduct(make_lane(place=place(0, targets)), "lane")
    lane.follows_pace = follows_pace
    order, now = lane.make_order(AT), AT
    sizes = [order.place.count]
    for seconds, counts, size in ends:
        now += seconds
        lane.take_end(make_end(order, *counts, segments=(b"x" * size,)), now)
        order = lane.make_order(now)
        sizes.append(order.place.count)
    return sizes


def test_a_fast_lane_gets_chunks_that_last_a_second() -> None:
    all_undeployed: tuple[EndCount, ...] = ()
    assert list_sizes((4.0, all_undeployed, 20_000)) == [200, 200], "50 a second"
    assert list_sizes((0.5, all_undeployed, 20_000), (0.4, all_undeployed, 40_000)) == [200, 400, 1000]
    assert list_sizes((0.0, all_undeployed, 20_000)) == [200, FAST_CHUNK_TARGETS]
    assert list_sizes((0.1, all_undeployed, 20_000), targets=700) == [200, 500], "no more than there are"
    assert list_sizes((0.1, all_undeployed, 20_000), follows_pace=False) == [200, 200]


def test_a_chunk_stays_small_where_targets_end_otherwise_or_results_are_large() -> None:
    one_failed = (count(199), count(1, Outcome.FAILED, "refused"))
    assert list_sizes((0.1, one_failed, 20_000)) == [200, 200], "the run judges it soon"
    assert list_sizes((0.1, (), 80_000)) == [200, 200 * FAST_CHUNK_BYTES // 80_000]
    assert list_sizes((0.1, (), 600_000)) == [200, 200]


def test_a_chunk_hands_on_the_lane_s_state_and_what_broke() -> None:
    lane, order = begin(broken=(90,), undone=(place(0, 5),))
    report = lane.take_end(
        make_end(
            order, count(190), count(10, Outcome.FAILED, "refused"), carry=LaneCarry(rate=2.0), broken=(7,)
        ),
        AT,
    )
    assert report.counts == (count(190), count(10, Outcome.FAILED, "refused"))
    assert (report.dispatch, report.first, report.broken) == (0, 0, (7,))
    lane.take_go_on(GoOn(stop=StopState(ended=5), dispatch=0, orders=Orders(number=1, skips={"x": "Ada"})))

    order = lane.make_order(AT)
    assert order.carry == LaneCarry(rate=2.0)
    assert order.stop == StopState(ended=5)
    assert order.broken == (7, 90)
    assert order.undone == (place(0, 5),)
    assert order.orders.skips == {"x": "Ada"}


def test_what_a_chunk_left_is_handed_out_again_with_what_was_written_of_it() -> None:
    lane, order = begin()
    report = lane.take_end(make_end(order, left=30, broken=(4, 5)), AT)
    assert report.counts == (count(170),)
    again = lane.make_order(AT)
    assert (again.place, again.dispatch, again.rows, again.beats) == (order.place, 1, b"left", ())
    lane.take_end(make_end(again, count(30), broken=(5,)), AT)

    following = lane.make_order(AT)
    assert (following.place, following.rows) == (place(200, 200), b"")
    assert following.broken == (5,), "the later report of a chunk replaces the earlier one"


def test_a_refused_lane_ends_and_tells_what_no_chunk_had() -> None:
    lane, order = begin()
    lane.take_end(make_end(order, left=30, refusal="parked: HTTP 503", broken=(3,)), AT)
    assert lane.is_over
    over = lane.describe_over()
    assert over.refusal == "parked: HTTP 503"
    assert over.rest == place(200, 200), "the run knows of the 30 by what broke"

    closed, order = begin()
    closed.take_end(make_end(order, carry=LaneCarry(state="closed", reason="denied: 401")), AT)
    assert closed.is_over


def test_a_part_with_large_results_ends_between_two_chunks_and_leaves_the_rest() -> None:
    lane, order = begin()
    half = b"x" * (PART_BYTES // 2)
    lane.take_end(make_end(order, left=100, segments=(half, half)), AT)
    assert not lane.is_over, "what is begun is ended"
    lane.take_end(make_end(lane.make_order(AT), count(100)), AT)

    assert lane.is_over
    assert lane.describe_over().rest == place(200, 200)
    assert lane.describe_over().refusal is None


def test_a_part_ends_at_the_very_byte_that_is_the_bound() -> None:
    for size, is_over in ((PART_BYTES - 1, False), (PART_BYTES, True)):
        lane, order = begin()
        lane.take_end(make_end(order, segments=(b"x" * size,)), AT)
        assert lane.is_over is is_over, size


def test_what_a_chunk_is_handed_out_with_counts_as_results_do() -> None:
    """Temporal keeps each order in the history of the lane's workflow, and each beat of a lost worker."""
    megabyte = b"x" * 1_000_000
    again, order = begin()
    for _ in range(PART_BYTES // 1_000_000):
        again.take_end(make_end(order, left=30, rows=megabyte, segments=()), AT)
        order = again.make_order(AT)
    again.take_end(make_end(order, count(30), segments=()), AT)
    assert again.is_over
    assert again.describe_over().rest == place(200, 200)

    lost, order = begin()
    for _ in range(PART_BYTES // 2_000_000):
        lost.take_lost(ChunkBeat(segments=(megabyte,)), "the worker was lost")
        order = lost.make_order(AT)
        lost.take_end(make_end(order, left=30, rows=b"", segments=()), AT)
        order = lost.make_order(AT)
    lost.take_end(make_end(order, count(30), segments=()), AT)
    assert lost.is_over


# Orders.


def test_a_chunk_comes_back_for_the_orders_that_concern_it_and_for_no_others() -> None:
    other, own = {"roma": Limits(concurrency=1)}, {"apim": Limits(concurrency=1)}
    cases = {
        "a stop": (Orders(number=1, stop=STOP), True),
        "a pause": (Orders(number=1, paused=True), True),
        "a skip": (Orders(number=1, skips={"apim/**": "Ada"}), True),
        "limits": (Orders(number=1, limits=own), True),
        "limits of another gateway": (Orders(number=1, limits=other), False),
        "an answer to a question": (Orders(number=1, proceed=3), False),
        "nothing new": (Orders(number=0, stop=STOP), False),
    }
    for what, (orders, comes_back) in cases.items():
        lane, _ = begin()
        assert lane.take_orders(orders) is comes_back, what
    lane, _ = begin(orders=Orders(number=1, paused=True))
    assert not lane.take_orders(Orders(number=2)), "an end of a pause"


def test_a_pause_holds_the_lane_and_a_stop_ends_it() -> None:
    lane, order = begin()
    lane.take_orders(Orders(number=1, paused=True))
    lane.take_end(make_end(order, count(20), left=180), AT)
    assert lane.is_held
    assert not lane.is_over
    lane.take_orders(Orders(number=2))
    assert not lane.is_held
    assert lane.make_order(AT).orders.number == 2
    lane.take_orders(Orders(number=3, stop=STOP))

    assert lane.is_over
    assert lane.describe_over().rest == place(200, 200)


def test_a_stop_before_the_first_chunk_hands_nothing_out() -> None:
    lane = LaneConduct(make_lane(orders=Orders(stop=STOP)), "lane")

    assert lane.is_over
    assert lane.describe_over().rest == place(0, 400)


def test_a_cancelled_lane_is_over_for_the_session() -> None:
    lane, order = begin()
    lane.cancel("the lane's workflow was cancelled in Temporal")
    lane.take_end(make_end(order), AT)

    assert lane.is_over
    assert lane.describe_over().refusal == "interrupt: the lane's workflow was cancelled in Temporal"


# Lost workers.


def test_a_lost_chunk_is_handed_out_again_with_all_that_it_had_told() -> None:
    lane, order = begin()
    lane.take_end(make_end(order, left=100), AT)
    lane.make_order(AT)
    lane.take_lost(ChunkBeat(segments=(b"one", b"two")), "the worker was lost")
    assert lane.seconds_until_next == 0.0
    assert lane.make_order(AT).beats == (b"one", b"two")
    lane.take_lost(ChunkBeat(segments=(b"three",)), "the worker was lost")
    order = lane.make_order(AT)

    assert (order.place, order.rows, order.beats) == (place(0, 200), b"left", (b"one", b"two", b"three"))
    assert order.dispatch == 3
    lane.take_end(make_end(order, count(100), left=5), AT)
    assert lane.make_order(AT).beats == (), "the result of the chunk has them"


def test_what_a_lost_worker_had_learned_of_the_lane_holds_for_the_next_one() -> None:
    lane, _ = begin()
    paused, closed = LaneCarry(paused_until=AT + 45.0), LaneCarry(state="closed", reason="denied: 401")

    lane.take_lost(ChunkBeat(carry=paused), "the worker was lost")
    assert lane.make_order(AT).carry == paused
    # A worker of an earlier version tells nothing of it; and a chunk with doubts is handed out once more.
    lane.take_lost(ChunkBeat(), "the worker was lost")
    lane.take_lost(ChunkBeat(carry=closed), "the worker was lost")
    assert not lane.is_over
    assert lane.make_order(AT).carry == paused


def test_a_chunk_that_nobody_ends_is_given_up() -> None:
    lane, _ = begin()
    waits = []
    while not lane.is_over:
        lane.take_lost(None, "the worker was lost")
        waits.append(lane.seconds_until_next)
        lane.make_order(AT)

    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * (MOST_FAILURES - 6)]
    over = lane.describe_over()
    assert over.refusal == ("parked: the workers of zone dmz failed 10 times in a row: the worker was lost")
    assert over.rest == place(0, 400), "nobody knows which targets of the first chunk ended"


def test_a_chunk_that_comes_back_without_a_result_is_given_up_unless_orders_called_it() -> None:
    lane, order = begin()
    for number in range(1, MOST_FAILURES):
        lane.take_end(make_end(order, count(0), left=200, segments=(), counts=()), AT)
        assert not lane.is_over, number
        order = lane.make_order(AT)
    lane.take_orders(Orders(number=1, skips={"apim/x": "Ada"}))
    lane.take_end(make_end(order, left=200, segments=(), counts=()), AT)
    assert not lane.is_over
    assert lane.seconds_until_next == 0.0
    order = lane.make_order(AT)
    for _ in range(MOST_FAILURES):
        lane.take_end(make_end(order, left=200, segments=(), counts=()), AT)

    assert lane.describe_over().refusal is not None


def test_results_that_no_longer_fit_into_an_order_give_the_lane_up() -> None:
    lane, _ = begin()
    for _ in range(2):
        lane.take_lost(ChunkBeat(segments=(b"x" * (ORDER_BYTES // 2),)), "the worker was lost")
        assert not lane.is_over
        lane.make_order(AT)
    lane.take_lost(ChunkBeat(segments=(b"x",)), "the worker was lost")

    assert lane.is_over
    assert str(lane.describe_over().refusal).startswith("parked: ")


def test_broken_targets_that_no_longer_fit_into_an_order_give_the_lane_up() -> None:
    lane, order = begin(broken=tuple(range(200_000)))
    assert len(encode(order)) < 2_000_000
    assert not lane.is_order_too_large
    lane.take_lost(ChunkBeat(segments=(b"x" * 100_000,)), "the worker was lost")
    assert not lane.is_order_too_large
    lane.take_lost(ChunkBeat(segments=(b"x" * 200_000,)), "the worker was lost")
    assert lane.is_order_too_large
    lane.park_broken()

    assert lane.is_over
    assert lane.describe_over().refusal == (
        "parked: too many targets that others wait for did not end as wanted; a resume goes on"
    )


def test_a_credential_and_a_fault_of_the_program_end_the_lane() -> None:
    lane, _ = begin()
    lane.take_no_credential("TOKEN is not set")
    assert lane.is_over
    assert lane.describe_over().no_credential == "TOKEN is not set"

    lane, _ = begin()
    lane.take_bug("KeyError: 'x'")
    assert lane.is_over
    assert lane.describe_over().bug == "KeyError: 'x'"


# Zones.


def test_a_zone_without_a_worker_is_told_and_given_up_after_park_for() -> None:
    lane, order = begin(park_for=60.0)
    assert lane.find_patience(AT) == 60.0
    silent = ZoneSilent(gateway="apim", zone="dmz", until=AT + 60)
    assert lane.notice_silence() == silent
    assert lane.notice_silence() is None, "told once"
    assert lane.take_taken(order.dispatch) == ZoneAnswers(gateway="apim", zone="dmz")
    assert lane.notice_silence() is None

    lane.take_end(make_end(order), AT)
    lane.make_order(AT + 100)
    assert lane.find_patience(AT + 100) == 60.0
    assert lane.notice_silence() == ZoneSilent(gateway="apim", zone="dmz", until=AT + 160), "another silence"
    lane.give_up_zone(AT + 160)
    assert lane.describe_over().refusal == "parked: no worker of zone dmz took its work for 1 min"


def test_a_worker_that_is_there_is_no_news() -> None:
    lane, order = begin()

    assert lane.take_taken(order.dispatch) is None
    assert lane.take_taken(order.dispatch - 1) is None
    assert lane.notice_silence() is None


def test_orders_do_not_give_an_absent_worker_more_time_but_a_pause_does() -> None:
    lane, _ = begin(park_for=60.0)
    lane.take_orders(Orders(number=1, skips={"apim/x": "Ada"}))
    lane.take_untaken()
    lane.make_order(AT + 40)
    assert lane.find_patience(AT + 40) == 20.0
    lane.take_orders(Orders(number=2, paused=True))
    lane.take_untaken()
    lane.take_orders(Orders(number=3))
    lane.make_order(AT + 50)

    assert lane.find_patience(AT + 50) == 60.0


def test_no_worker_is_awaited_past_the_window() -> None:
    window = Window(None, datetime.fromtimestamp(AT + 30, UTC))
    given: LaneInput = make_lane(window=window, park_for=60.0)
    lane = LaneConduct(given, "lane")
    lane.make_order(AT)
    assert lane.find_patience(AT) == 30.0
    assert lane.find_patience(AT + 40) == 1.0
    lane.give_up_zone(AT + 30)

    assert lane.describe_over().refusal == "window: no worker of zone dmz took its work before it closed"
