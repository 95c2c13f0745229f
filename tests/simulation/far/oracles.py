"""The judges of runs beyond one machine, by the wire of all workers and the driver's journal.

``witness`` judges at each first byte; these judge at the end. No rule of the engine is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

from orchestrator.journal.folder import RunFolder
from orchestrator.model.reading import Act
from tests.simulation.far.network import CONNECTING
from tests.simulation.far.scene import FarScene
from tests.simulation.lanes import check_astray
from tests.simulation.timing import compute_longest_rest
from tests.simulation.wire import SessionWire, WireExchange

ON_ITS_WAY = 0.5
"""Seconds in which a request may still leave that was let go before a reply came: it waits for the server."""

STOPS_WITHIN = 3.0
"""Seconds after an interrupt until the last worker knows of it, where all is well."""


def judge_session(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield each promise that the requests of one session of the run broke."""
    yield from check_place(scene, wire)
    yield from check_astray(scene.near, wire)
    yield from check_pauses(scene, wire)
    yield from check_stop(scene, wire)
    yield from check_window(scene, wire)
    yield from check_gaps(scene, wire)


def judge_run(scene: FarScene, wires: dict[int, SessionWire], folder: RunFolder) -> Iterator[str]:
    """Yield each promise that all sessions together broke."""
    changes = [each for wire in wires.values() for each in wire.exchanges if each.act is wire.change]
    yield from check_attempts(scene, changes)
    yield from check_journal(changes, folder)


def check_place(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request that left after another installation had answered an undeploy (promise 4).

    One whose connection was being opened then may still leave.
    """
    for gateway in scene.near.plan.gateways:
        changes = wire.list_changes(gateway.name)
        answers = [each.came for each in changes if each.is_elsewhere and not each.is_untold and each.came]
        told = min(answers, default=None)
        for each in wire.list_of(gateway.name):
            if told is not None and each.left > told + CONNECTING:
                yield f"promise 4: {each} left {each.left - told:.3f} s after another place had answered"


def check_pauses(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request that left while its lane was told to wait, whichever worker heard it (promise 6)."""
    for gateway in scene.near.plan.gateways:
        exchanges = wire.list_of(gateway.name)
        for told in exchanges:
            if not told.is_refusal_to_take_more or told.came is None or told.wait is None or told.login:
                continue
            if told.act is None or told.is_untold:
                continue  # the reads of calls have a limit of their own
            until = told.came + min(told.wait, gateway.park_for) - 0.001
            for each in exchanges:
                waits = told.act is not Act.LOOK or each.act is Act.LOOK
                if waits and told.came + ON_ITS_WAY < each.left < until:
                    early = until - each.left
                    yield f"promise 6: {each} left {early:.3f} s before the end of a {told.status}'s wait"


def check_stop(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield what left long after an interrupt of a run whose server and workers are well (promise 8)."""
    stop = min(wire.signals, default=None)
    if stop is None or not scene.is_calm:
        return
    for each in wire.exchanges:
        if each.left > stop + STOPS_WITHIN:
            yield f"promise 8: {each} left {each.left - stop:.3f} s after the first interrupt"


def check_window(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield each change that left too late for its session's window, by its worker's clock (promise 7)."""
    timeouts = {gateway.name: gateway.reply_timeout for gateway in scene.near.plan.gateways}
    for each in wire.exchanges:
        ends = each.left - each.behind + timeouts[each.gateway]
        is_late = wire.closes is not None and ends > wire.closes + 0.2
        if each.act is wire.change and is_late:
            yield f"promise 7: {each} left too late for the window"


def check_gaps(scene: FarScene, wire: SessionWire) -> Iterator[str]:
    """Yield each time between two exchanges that is longer than all waits together (promise 10)."""
    most = compute_longest_rest(scene.near) + scene.delays
    moments = [each.left for each in wire.exchanges]
    moments += [each.came for each in wire.exchanges if each.came is not None]
    for before, after in pairwise(sorted(moments)):
        if after - before > most:
            idle = f"nothing was done for {after - before:.0f} s from {before:.3f} on"
            yield f"promise 10: {idle}, {most:.0f} s at most"


def check_attempts(scene: FarScene, changes: list[WireExchange]) -> Iterator[str]:
    """Yield each target that was sent more undeploys, or deploys, than its plan allows (promise 7).

    Those of all workers count together.
    """
    allowed = {gateway.name: gateway.retry.attempts for gateway in scene.near.plan.gateways}
    counts = Counter(each.target for each in changes if _counts(each))
    for target, count in counts.items():
        # One that no platform has is in no book, and on no wire.
        if target is not None and count > allowed[target.partition("/")[0]]:
            yield f"promise 7: {target} was sent {count} times, by all workers"


def _counts(each: WireExchange) -> bool:
    return not (each.is_refusal_to_take_more or each.is_denial or each.is_elsewhere or each.is_unsent)


def check_journal(changes: list[WireExchange], folder: RunFolder) -> Iterator[str]:
    """Yield each target of which the driver's journal has fewer changes than have left (promise 2)."""
    left = Counter(each.target for each in changes)
    with closing(folder.open()) as database:
        kept: dict[str, int] = dict(
            database.rows(
                "SELECT id, COUNT(*) FROM attempt JOIN target USING (seq)"
                " WHERE act IN ('undeploy', 'deploy') GROUP BY id"
            )
        )
    for target, count in left.items():
        if target is not None and count > kept.get(target, 0):
            yield f"promise 2: {count} changes of {target} left, and the journal has {kept.get(target, 0)}"
