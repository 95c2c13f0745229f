"""What keeps a target from its undeploy, by the books: protection, a required snapshot, the drift guard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.report.values import TargetReport
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SeenRequest, TargetFacts
from orchestrator.simulator.exchange import DeliveryManner
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.scene import SeedScene
from tests.simulation.wire import WireExchange

_WITHOUT_EFFECT = (401, 404, 429, 503)
"""The status of an undeploy that is rejected, meets another place, or is to wait: a 503 has a ``Retry-After``
in most of these scenes."""

_LIMITS = ("rate_limit_exceeded", "APIGW.0308", "APIG.0308", "APIC.0308")
"""The codes of a reply that the undeploy is to wait, whatever its status."""

_BAD_TOKENS = ("Token ", "Invalid token", "Empty Key!", "bad token", "no token")
"""The beginnings of what a reply says of a token that is not good, whatever its status."""

_GUARDED = ("protected", "filtered", "snapshot")


def check_guards(scene: SeedScene, target: TargetReport, facts: TargetFacts | None) -> Iterator[str]:
    """Yield each undeploy that a guard of the plan forbade, and each guard that is named without a cause."""
    reason = target.reason or ""
    # An earlier session may have sent one, with its guard in order, that could not take effect.
    undeploying = [each for each in target.attempts if each.act is Act.UNDEPLOY]
    idle = sum(
        each.status in _WITHOUT_EFFECT or each.code in _LIMITS or (each.message or "").startswith(_BAD_TOKENS)
        for each in undeploying
    )
    undeploys = facts.undeploys - idle if facts is not None else 0
    is_protected = target.id in scene.plan.protect
    if is_protected != reason.startswith("protected"):
        yield f"{target.id} is {'' if is_protected else 'not '}protected, and is reported as {reason}"
    is_left_out = target.id in scene.skip and not is_protected
    if is_left_out != reason.startswith("filtered"):
        yield f"{target.id} is {'' if is_left_out else 'not '}left out, and is reported as {reason}"
    if undeploys > 0 and reason.startswith(_GUARDED):
        yield f"{target.id} was sent {undeploys} undeploys, and is reported as {reason}"
    if reason.startswith("drifted") and undeploys and not _was_looked_at_last(target):
        yield f"{target.id} was sent {undeploys} undeploys and no look, and is reported as {reason}"
    if reason.startswith("drifted") and target.id not in scene.approved:
        yield f"{target.id} was never approved, and is reported as {reason}"


def _was_looked_at_last(target: TargetReport) -> bool:
    """Return whether a look with a reply followed the last undeploy: it may show what was deployed since."""
    acts = [each.act for each in target.attempts if each.act is not Act.LOOK or each.status is not None]
    return bool(acts) and acts[-1] is Act.LOOK


def check_drift(
    scene: SeedScene, requests: Sequence[SeenRequest], exchanges: Sequence[WireExchange]
) -> Iterator[str]:
    """Yield each undeploy of a target that was approved as down, and that looks have shown to be up.

    ``requests`` are as the platforms saw them, ``exchanges`` as the program had their replies.
    """
    changed = {name for name, state in scene.approved.items() if state.state == "down"}
    if not changed:
        return
    first = SimulatedPlatforms(scene.fixture).books().targets
    for name in changed:
        facts = first.get(name)
        if facts is None or facts.down or _has_strange_status(scene, name) or _tells_nothing(scene, name):
            continue
        if was_sent_after_looks(name, requests, exchanges):
            yield f"{name} was approved as down, was seen up, and was sent an undeploy"


def _has_strange_status(scene: SeedScene, name: TargetId) -> bool:
    """Return whether an instance calls a backend API by a number of which nobody knows the meaning."""
    fixtures = (each for each in scene.fixture.gateways if isinstance(each, RomaFixture))
    gateway, _, api = name.partition("/")
    return any(each.name == gateway and each.about[api].status for each in fixtures if api in each.about)


def _tells_nothing(scene: SeedScene, name: TargetId) -> bool:
    """Return whether a manager has neither looks nor histories, and its proxies tell no deployments."""
    fixtures = (each for each in scene.fixture.gateways if isinstance(each, ApinizerFixture))
    manager = next((each for each in fixtures if name.startswith(f"{each.name}/")), None)
    return manager is not None and not (manager.looks or manager.histories or manager.deployments)


def was_sent_after_looks(
    name: TargetId, requests: Sequence[SeenRequest], exchanges: Sequence[WireExchange]
) -> bool:
    """Return whether a target was sent an undeploy after looks that all went well."""
    about = [seen for seen in requests if seen.target == name]
    sent = next((index for index, seen in enumerate(about) if seen.act is Act.UNDEPLOY), 0)
    looks = [seen for seen in about[:sent] if seen.act is Act.LOOK]
    told = [each for each in exchanges if each.target == name and each.status is not None]
    # A look that met a fault, or is not offered, proves no change; nor does one that was lost on its way.
    if not looks or not all(_is_clean(seen) and _was_read(seen, told) for seen in looks):
        return False
    before = (each for each in exchanges if each.target == name and each.left <= about[sent].at)
    return all(each.status == 200 for each in before if each.act is Act.LOOK)


def _is_clean(seen: SeenRequest) -> bool:
    return seen.status == 200 and seen.fault is None and seen.manner is DeliveryManner.WHOLE


def _was_read(seen: SeenRequest, told: Sequence[WireExchange]) -> bool:
    return any(each.left <= seen.at <= (each.came or 0.0) for each in told)
