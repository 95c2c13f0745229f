"""Promise 7's jitter by the wire: what met a fault at one moment does not come back at one moment.

By docs/running.md the first repeat waits a random part of ``first``, from none of it to all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.model.gateway import Gateway
from tests.simulation.scene import SeedScene
from tests.simulation.wire import BUSY, UNAVAILABLE, SessionWire, WireExchange

MOMENT = 0.25
"""Seconds within which faults count as one moment."""

MANY = 12
"""Targets that meet a fault in it. Fewer may leave nearly in step by chance."""

SPREAD = 0.2
"""The least part of ``first`` over which the repeats of so many targets are spread.

Of twelve waits, each of them any part of ``first`` with the same chance, all lie within a fifth of it once in
5 million times: 12 * 0.2**11 - 11 * 0.2**12.
"""

FAULTY = 5
"""Faults of so many targets in a row park a lane, and then all wait for its probe."""


def check_jitter(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each moment of faults after which the repeats left in step (promise 7)."""
    if scene.acts or wire.frozen is not None:
        return  # a pause ends for all at one moment
    for gateway in scene.plan.gateways:
        repeats = sorted(_list_first_repeats(wire, gateway), key=lambda pair: pair[0].came or 0.0)
        if len(repeats) >= MANY and not _may_have_waited_together(wire, gateway):
            yield from _find_steps(gateway, repeats)


def _list_first_repeats(wire: SessionWire, gateway: Gateway) -> Iterator[tuple[WireExchange, WireExchange]]:
    """Yield the first change of each target, if it met a fault, with the next request for that target."""
    by_target: dict[str, list[WireExchange]] = {}
    for each in wire.list_of(gateway.name):
        if each.target is not None:
            by_target.setdefault(each.target, []).append(each)
    for exchanges in by_target.values():
        sent = [number for number, each in enumerate(exchanges) if each.act is wire.change]
        if not sent or sent[0] + 1 == len(exchanges):
            continue
        first, after = exchanges[sent[0]], exchanges[sent[0] + 1]
        if first.is_fault and first.came is not None and after.act is wire.change:
            yield first, after


def _may_have_waited_together(wire: SessionWire, gateway: Gateway) -> bool:
    """Return whether something else than their own waits may have held back the targets of a lane.

    It was told to wait, slowed down, was perhaps parked, or lost its credential; or the plan bounds its pace.
    """
    faulty: set[str] = set()
    for each in sorted(wire.list_of(gateway.name), key=lambda each: each.came or float("inf")):
        if each.status in (BUSY, UNAVAILABLE, 401) or each.login:
            return True
        if each.act is wire.change and each.is_fault:
            faulty.add(each.target or "")
        elif each.act is wire.change:
            faulty.clear()
        if len(faulty) >= FAULTY:
            return True
    return gateway.limits.rate is not None


def _find_steps(gateway: Gateway, repeats: Sequence[tuple[WireExchange, WireExchange]]) -> Iterator[str]:
    """Yield the moments of which all repeats left in step: only the first group of a moment is judged."""
    began = 0
    while began < len(repeats):
        start = repeats[began][0].came or 0.0
        group = [pair for pair in repeats[began:] if (pair[0].came or 0.0) <= start + MOMENT]
        began += len(group)
        if len(group) < MANY:
            continue
        waits = [after.left - (first.came or 0.0) for first, after in group]
        spread = max(waits) - min(waits)
        if spread < SPREAD * gateway.retry.first:
            yield (
                f"promise 7: {gateway.name} got the repeats of {len(group)} targets in step, within"
                f" {spread:.3f} s of {gateway.retry.first:g} s"
            )
