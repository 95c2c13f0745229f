"""What people want of a run, as it travels to the workflow."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.distributed.order_desk import compose_orders
from orchestrator.distributed.order_joining import join_orders
from orchestrator.distributed.payloads import Orders, StopOrder
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.settings import Limits


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


def test_a_stop_of_either_driver_holds_and_a_pause_is_ended_by_whoever_ends_it() -> None:
    stop = StopOrder(kind="control", text="ada stopped it")
    paused = Orders(number=3, paused=True)

    assert join_orders(Orders(), Orders(number=1, stop=stop), paused) == Orders(
        number=4, paused=True, stop=stop
    )
    assert join_orders(paused, Orders(number=4), replace(paused, stop=stop)) == Orders(number=4, stop=stop)
