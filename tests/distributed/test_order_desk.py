"""What people want of a run, as it travels to the workflow."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.distributed.order_desk import OrderDesk, compose_orders
from orchestrator.distributed.order_joining import join_orders, take_up_limits, take_up_orders
from orchestrator.distributed.payloads import Orders, StopOrder
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.settings import Limits
from tests.support.engine import played


def test_nothing_is_wanted_at_first() -> None:
    assert compose_orders(RunGate(), {"a": LearnedLimits(rate=2.0)}, number=0) == Orders()


def test_all_that_people_want_goes_together() -> None:
    gate = RunGate()
    gate.pause()
    gate.skip("a/**", "ada")
    gate.stop("stop_rule", "failed: 3 in the run, now in the wave, limit 2")
    limits = Limits(concurrency=2, rate=5.0)

    orders = compose_orders(gate, {"a": LearnedLimits(limits=limits)}, number=7, proceed=3)

    assert orders == Orders(
        number=7,
        paused=True,
        stop=StopOrder(kind="stop_rule", text="failed: 3 in the run, now in the wave, limit 2"),
        skips={"a/**": "ada"},
        limits={"a": limits},
        proceed=3,
    )


def test_a_stop_that_travelled_is_the_same_stop() -> None:
    here, there = RunGate(), RunGate()
    here.stop("interrupt", "SIGINT was received")

    order = compose_orders(here, {}, number=1).stop
    assert order is not None
    there.stop(order.kind, order.text)

    assert (there.stop_kind, there.reason) == (here.stop_kind, here.reason)


def test_what_changed_here_joins_what_another_driver_ordered_meanwhile() -> None:
    few, many = Limits(concurrency=2, rate=5.0), Limits(concurrency=9)
    before = Orders(number=1, skips={"a/**": "ada"}, limits={"a": few})
    there = Orders(number=4, paused=True, skips={"b/**": "bob"}, limits={"a": many, "b": many}, proceed=2)

    skipped = replace(before, number=2, skips={"a/**": "ada", "c/**": "ada"})
    assert join_orders(before, skipped, there) == Orders(
        number=5,
        paused=True,
        skips={"a/**": "ada", "b/**": "bob", "c/**": "ada"},
        limits={"a": many, "b": many},
        proceed=2,
    )
    limited = replace(before, number=2, limits={"a": Limits(concurrency=3)})
    assert join_orders(before, limited, there).limits == {"a": Limits(concurrency=3), "b": many}


def test_one_driver_may_set_the_rate_of_a_gateway_and_another_one_its_concurrency() -> None:
    before = Orders(number=1, limits={"a": Limits(concurrency=8, rate=20.0)})
    here = replace(before, number=2, limits={"a": Limits(concurrency=8, rate=5.0)})
    there = replace(before, number=2, limits={"a": Limits(concurrency=2, rate=20.0)})

    assert join_orders(before, here, there).limits == {"a": Limits(concurrency=2, rate=5.0)}


PLANNED = Limits(concurrency=8)
SET_HERE = Limits(concurrency=8, rate=5.0)


@pytest.mark.parametrize(
    ("sent", "holds"),
    [
        # Another driver has replaced what this one had sent.
        ([SET_HERE, Limits(concurrency=8, rate=1.0)], Limits(concurrency=8, rate=1.0)),
        ([SET_HERE, PLANNED], PLANNED),
        # This one was killed before it could send its rate, and the other one has set the concurrency.
        ([Limits(concurrency=2)], Limits(concurrency=2, rate=5.0)),
        ([Limits(concurrency=2, rate=1.0)], Limits(concurrency=2, rate=5.0)),
        ([SET_HERE], SET_HERE),
    ],
)
def test_a_driver_that_goes_on_keeps_those_limits_of_its_journal_that_were_never_sent(
    sent: list[Limits], holds: Limits
) -> None:
    assert take_up_limits(SET_HERE, sent[-1], [PLANNED, *sent]) == holds


def test_orders_are_taken_up_in_turn_also_those_of_a_driver_that_does_not_say_what_it_knew() -> None:
    stop = StopOrder(kind="interrupt", text="SIGINT was received")
    paused = Orders(number=1, paused=True)

    assert take_up_orders(paused, Orders()) == paused
    assert take_up_orders(paused, Orders(number=2)) is None
    # Two drivers gave their first orders at once: both hold, and they count as two.
    ordered = Orders(number=1, stop=stop, before=Orders())
    assert take_up_orders(ordered, paused) == Orders(number=2, paused=True, stop=stop)


def test_a_stop_that_an_earlier_process_had_ordered_is_not_ordered_again() -> None:
    gate, sent, others = RunGate(), list[Orders](), list[str]()
    known = Orders(number=1, stop=StopOrder(kind="interrupt", text="SIGINT was received"))

    async def send(orders: Orders) -> None:
        sent.append(orders)

    async def read() -> Orders:
        return known

    desk = OrderDesk(
        send,
        gate,
        {},
        planned={},
        last=known,
        read=read,
        tell_of_other=lambda: others.append("another driver"),
    )

    async def steer() -> None:
        await anyio.sleep(1.0)
        gate.stop("interrupt", "SIGINT was received")  # the news of that stop come
        await anyio.sleep(1.0)
        assert sent == []
        gate.skip("a/**", "ada")
        await anyio.sleep(1.0)

    async def main() -> None:
        with anyio.move_on_after(5.0):
            async with anyio.create_task_group() as group:
                group.start_soon(desk.watch, lambda: None)
                await steer()
                group.cancel_scope.cancel()

    played(main)
    assert [(orders.number, orders.skips, orders.stop) for orders in sent] == [
        (2, {"a/**": "ada"}, known.stop)
    ]
    assert others == []


def test_a_stop_of_either_driver_holds_and_a_pause_is_ended_by_whoever_ends_it() -> None:
    stop = StopOrder(kind="control", text="ada stopped it")
    paused = Orders(number=3, paused=True)

    assert join_orders(Orders(), Orders(number=1, stop=stop), paused) == Orders(
        number=4, paused=True, stop=stop
    )
    assert join_orders(paused, Orders(number=4), replace(paused, stop=stop)) == Orders(number=4, stop=stop)


def test_what_a_driver_that_is_cut_off_has_not_sent_for_certain_is_sent_at_last() -> None:
    """A second signal may come in the very moment of the first one, or while that is on its way."""
    stop = StopOrder(kind="interrupt", text="SIGINT was received")

    def cut_off_after(seconds: float) -> list[Orders]:
        gate, arrived = RunGate(), list[Orders]()

        async def send(orders: Orders) -> None:
            await anyio.sleep(1.0)
            arrived.append(orders)

        async def read() -> Orders:
            return Orders()

        desk = OrderDesk(send, gate, {}, planned={}, last=Orders(), read=read, tell_of_other=lambda: None)

        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(desk.watch, lambda: None)
                await anyio.sleep(5.0)
                gate.stop("interrupt", "SIGINT was received")
                await anyio.sleep(seconds)
                group.cancel_scope.cancel()
            await desk.tell_last()

        played(main)
        return arrived

    for seconds in (0.0, 0.7, 3.0):
        assert [orders.stop for orders in cut_off_after(seconds)] == [stop]
