"""How the orders of several drivers of one run come together, so that none is lost."""

from __future__ import annotations

from collections.abc import Collection

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


def take_up_limits(known: Limits, there: Limits, ordered: Collection[Limits]) -> Limits:
    """Return the limits of one gateway with which a driver goes on.

    ``known`` are those of its journal, ``there`` those that hold at the server, and ``ordered`` the plan's
    and all that drivers have sent. A limit that was never sent is an order of a driver that was killed
    before: it is still to be sent. Any other one may have been replaced since, by a driver with another
    journal.
    """
    return Limits(
        concurrency=(
            there.concurrency
            if any(known.concurrency == each.concurrency for each in ordered)
            else known.concurrency
        ),
        rate=there.rate if any(known.rate == each.rate for each in ordered) else known.rate,
    )


def _join_limits(before: Limits | None, here: Limits, there: Limits | None) -> Limits:
    """Return the limits of one gateway: one person may have set the rate, and another the concurrency."""
    if before is None or there is None:
        return here
    return Limits(
        concurrency=there.concurrency if here.concurrency == before.concurrency else here.concurrency,
        rate=there.rate if here.rate == before.rate else here.rate,
    )
