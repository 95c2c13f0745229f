"""The key in_use by the books: a target that is called, or of which nothing tells it, is never sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.model.outcome import Outcome
from orchestrator.model.target import Target
from orchestrator.report.values import TargetReport
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SeenRequest, SimulatorBooks
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from tests.simulation.scene import SeedScene

HOURS = 72
"""Of which the calls are asked for."""

QUIET_FOR = 24
"""Hours without a record after which a log is dead."""

_TOLD = re.compile(r"in_use: (?P<calls>[\d,]+) calls? in (?P<hours>\d+) h")


def check_use(
    scene: SeedScene,
    books: SimulatorBooks,
    targets: Sequence[TargetReport],
    requests: Sequence[SeenRequest],
) -> Iterator[str]:
    """Yield each undeploy that the plan's key in_use forbade, and each reason with a wrong number."""
    asks = scene.plan.in_use != "ignore"
    if not asks and any(_tells_calls(seen) for seen in requests):
        yield "calls were read, and the plan does not ask for them"
    over = scene.plan.in_use_over.calls
    for target in targets:
        facts, calls = books.targets.get(target.id), count_calls(scene, target)
        is_in_use = calls is None or calls > over
        if scene.plan.in_use == "refuse" and is_in_use and facts is not None and facts.undeploys:
            yield f"{target.id} was sent, with {'untold' if calls is None else calls} calls over {over}"
        reason = target.reason or ""
        if reason.startswith("in_use") and target.outcome is not Outcome.NOT_STARTED:
            yield f"{target.id} is in use, and {target.outcome}"
        told = _TOLD.match(reason)
        if told and int(told["calls"].replace(",", "")) != calls:
            yield f"{target.id} had {calls} calls, and the report says {told['calls']}"
        if reason.startswith("in_use") and not (told or "cannot be told" in reason):
            yield f"{target.id} was left for its use, and its reason says only: {reason}"


def _tells_calls(seen: SeenRequest) -> bool:
    return "/statistics/" in seen.path or "/_search" in seen.path


def count_calls(scene: SeedScene, target: TargetReport | Target) -> int | None:
    """Return the calls of a target in the last 72 hours; None where its gateway does not tell them."""
    gateway = next(each for each in scene.fixture.gateways if each.name == target.gateway)
    if isinstance(gateway, ApinizerFixture):
        return _count_logged(scene, gateway, target)
    if not isinstance(gateway, RomaFixture) or gateway.statistics in ("forbidden", "absent"):
        return None
    about = gateway.about.get(target.id.partition("/")[2], BackendFixture())
    if not gateway.tells_quiet_hours or about.environments == ():
        return None
    return _add_recent(about.calls)


def _count_logged(scene: SeedScene, gateway: ApinizerFixture, target: TargetReport | Target) -> int | None:
    log, planned = (
        gateway.traffic_log,
        next(each for each in scene.plan.gateways if each.name == gateway.name),
    )
    if log is None or planned.traffic_store is None or log.quiet > QUIET_FOR or log.begins < HOURS:
        return None
    parts = next(each.parts for each in scene.targets if each.id == target.id)
    return _add_recent(log.calls.get("/".join(parts), ()))


def _add_recent(calls: Iterable[tuple[float, int]]) -> int:
    return sum(count for hours, count in calls if hours < HOURS)
