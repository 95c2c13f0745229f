"""How the orders of several drivers of one run come together, so that none is lost."""

from __future__ import annotations

from orchestrator.distributed.payloads import Orders
from orchestrator.model.settings import Limits


def join_orders(before: Orders, here: Orders, there: Orders) -> Orders:
    """Return the orders ``there``, which another driver may have given, with what changed ``here`` since.

    ``before`` are the orders from which ``here`` was made.
    """
    limits = {
        name: _join_limits(before.limits.get(name), each, there.limits.get(name))
        for name, each in here.limits.items()
    }
    return Orders(
        number=max(here.number, there.number + 1),
        paused=there.paused if here.paused == before.paused else here.paused,
        stop=here.stop or there.stop,
        skips={**there.skips, **here.skips},
        limits={**there.limits, **limits},
        proceed=max(here.proceed, there.proceed),
    )


def take_up_orders(orders: Orders, there: Orders) -> Orders | None:
    """Return what holds once ``orders`` come to where ``there`` hold; None if they change nothing.

    A driver of an earlier version does not say what it knew, so its orders count by their number.
    """
    if orders.before is not None:
        return join_orders(orders.before, orders, there)
    return orders if orders.number > there.number else None


def _join_limits(before: Limits | None, here: Limits, there: Limits | None) -> Limits:
    """Return the limits of one gateway: one person may have set the rate, and another the concurrency."""
    if before is None or there is None:
        return here
    return Limits(
        concurrency=there.concurrency if here.concurrency == before.concurrency else here.concurrency,
        rate=there.rate if here.rate == before.rate else here.rate,
    )
