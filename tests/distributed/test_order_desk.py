"""What people want of a run, as it travels to the workflow."""

from __future__ import annotations

from orchestrator.distributed.order_desk import compose_orders
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
