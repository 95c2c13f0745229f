"""What others do to some targets between an approval and its run, or in mid-run, and what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random

from msgspec.structs import replace

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.model.credentials import Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import DEPLOY, UNDEPLOY, Operation
from orchestrator.model.target import Target, TargetId
from orchestrator.report.values import TargetReport
from orchestrator.simulator.books import SeenRequest
from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.contradictions import Withdrawal
from tests.simulation.credentials import TOKENS
from tests.simulation.guards import was_sent_after_looks
from tests.simulation.network import find_path
from tests.simulation.scene import SeedScene
from tests.simulation.wire import WireExchange


def change_some(
    random: Random, scene: SeedScene, platforms: SimulatedPlatforms, known: Collection[TargetId], now: float
) -> dict[TargetId, bool]:
    """Take down some of the targets, and deploy some anew; return which, and whether they are up then.

    Nothing of it is in the books.

    A manager deploys again what is up; of the other kinds only what is up is taken down.
    """
    gateways = {gateway.name: gateway for gateway in scene.plan.gateways}
    targets = {target.id: target for target in scene.targets}
    names = sorted(known)
    chosen = random.sample(names, min(len(names), random.randint(1, 5)))
    changed: dict[TargetId, bool] = {}
    for name in chosen:
        target, gateway = targets[name], gateways[targets[name].gateway]
        deploys = isinstance(gateway, Apinizer) and random.random() < 0.6
        if _act(platforms, gateway, target, DEPLOY if deploys else UNDEPLOY, now):
            changed[name] = deploys
    return changed


def withdraw(platforms: SimulatedPlatforms, scene: SeedScene, lost: Withdrawal, now: float) -> int:
    """Take down what a manager takes down by itself; return how many targets. No request of it is counted."""
    gateway = next(each for each in scene.plan.gateways if each.name == lost.gateway)
    targets = (
        # Without the words that a request would have.
        replace(target, description=None, persistent=None)
        for target in scene.targets
        if target.gateway == gateway.name and target.parts[-1] == lost.environment
    )
    return sum(_act(platforms, gateway, target, UNDEPLOY, now) for target in targets)


def _act(
    platforms: SimulatedPlatforms, gateway: Gateway, target: Target, operation: Operation, now: float
) -> bool:
    """Change a target as another user does; return whether it has changed."""
    asked = gateway.build_request(operation, target, Secret(TOKENS[0]), note=None, now=now)
    call = platforms.identify(gateway.name, asked.method, find_path(asked), asked.headers, asked.body or b"")
    if call.row is None or (operation is UNDEPLOY and call.row.down):
        return False
    # A manager may refuse the body that such a request has.
    return call.perform(now, None).effect is not RequestEffect.NONE


def check_changes(
    changed: Mapping[TargetId, bool] | None,
    targets: Sequence[TargetReport],
    requests: Sequence[SeenRequest],
    exchanges: Sequence[WireExchange],
) -> Iterator[str]:
    """Yield each undeploy of a target that changed after its approval, and each drift that was none.

    ``changed``: the targets that somebody else has changed, and whether they are up; all others are as they
    were. None: the run has no approval. ``requests`` are those of the run, as the platforms saw them;
    ``exchanges`` as the program had their replies.
    """
    if changed is None:
        return
    # To undeploy once more what is down already does no harm, where a look could not tell.
    for name in (name for name, is_up in changed.items() if is_up):
        if was_sent_after_looks(name, requests, exchanges):
            yield f"{name} was changed since it was approved, was looked at, and was sent an undeploy"
    for target in targets:
        if (target.reason or "").startswith("drifted") and target.id not in changed:
            yield f"{target.id} is as it was when it was approved, and is reported as {target.reason}"
