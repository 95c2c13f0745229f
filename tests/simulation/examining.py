"""A doctor before a simulated run, judged by the books of that moment and by the wire.

Names, ports and certificates, which the simulated network does not have, are taken for good.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import msgspec

from orchestrator.doctor import lines, visit
from orchestrator.doctor.examine import examine_gateways
from orchestrator.doctor.route import RouteCheck
from orchestrator.runs.load import LoadedPlan
from orchestrator.simulator.books import SimulatorBooks
from tests.simulation.looking import LookStage, find_secrets
from tests.simulation.scene import SeedScene
from tests.simulation.wire import SessionWire

MOST_REQUESTS = 12
"""Requests to one gateway, by docs/doctor.md; its traffic log is another server."""

GIVES_UP_AFTER = 60.0
"""Seconds that a gateway may owe its answers; then its traffic log has as many as one reply may take."""

STORE_WITHIN = 15.0

_GREETED = ("roma", "apinizer")
"""The kinds that are asked without a credential first."""

_SEEN = re.compile(r"(?P<seen>\d+) of (?P<total>[\d,]+) looked at: (?P<counts>[^(]*)")
_WORDS = {"deployed": False, "not deployed": True, "not found": None}
"""Whether a target is down, by the words for it; None if there is no such target."""


def judge_doctor(stage: LookStage, loaded: LoadedPlan) -> None:
    """Play a doctor of all gateways, and judge it."""

    async def check_route(*_: object, **__: object) -> RouteCheck:
        return RouteCheck((), whole=True)

    with patch.object(visit, "check_route", check_route):
        played = stage.play(examine_gateways(loaded, stage.environment))
    if not isinstance(played, tuple):
        stage.broken += [f"doctor was refused: {played}"] if played is not None else []
        return
    shown = lines.render_json(stage.scene.plan.name, played, at=stage.wire.began).decode()
    told = "\n".join([shown, *lines.list_summaries(played), *map(str, lines.list_rows(played))])
    stage.broken += find_secrets("doctor", told)
    stage.broken += check_doctor_wire(stage.scene, stage.wire, stage.seconds)
    for one in msgspec.json.decode(shown)["gateways"]:
        stage.broken += check_diagnosis(stage.scene, one, stage.books)
        stage.broken += _check_requests(one, stage.wire)


def check_doctor_wire(scene: SeedScene, wire: SessionWire, seconds: float) -> Iterator[str]:
    """Yield what a doctor asked too often, side by side, too long, or with a credential too early."""
    for gateway in scene.plan.gateways:
        asked = wire.list_of(gateway.name)
        if len(asked) > MOST_REQUESTS:
            yield f"doctor sent {len(asked)} requests to {gateway.name}"
        if sum(each.login for each in asked) > 1:
            yield f"promise 5: doctor logged in to {gateway.name} more than once"
        for before, after in pairwise(asked):
            if before.came is None or after.left < before.came:
                yield f"doctor sent {after} beside another one"
        if gateway.KIND not in _GREETED or not asked:
            continue
        if asked[0].credential:
            yield f"doctor showed {gateway.name} a credential before it had answered as that gateway would"
        if len(asked) > 1 and asked[0].status is None:
            yield f"doctor went on at {gateway.name}, which had not answered"
    if seconds > GIVES_UP_AFTER + STORE_WITHIN + 1.0:
        yield f"promise 10: doctor took {seconds:.1f} s"


def _check_requests(shown: dict[str, Any], wire: SessionWire) -> Iterator[str]:
    sent = sum(each.gateway == shown["name"] for each in wire.exchanges)
    if shown["requests"] > sent:
        yield f"doctor tells of {shown['requests']} requests to {shown['name']}, and sent {sent}"


def check_diagnosis(scene: SeedScene, shown: dict[str, Any], books: SimulatorBooks) -> Iterator[str]:
    """Yield what doctor tells of a gateway's targets, and not its books; and a state without a cause."""
    checks = {each["check"]: each for each in shown["checks"]}
    states = {each["state"] for each in shown["checks"]}
    worst = next((state for state in ("fail", "warn") if state in states), "ok")
    if shown["state"] != worst:
        yield f"doctor calls {shown['name']} {shown['state']}, and a check {worst}"
    for each in shown["checks"]:
        if each["state"] in ("fail", "warn") and not each["advice"]:
            yield f"doctor gives no advice on {each['check']} of {shown['name']}"
    told = _SEEN.match(checks["targets"]["text"])
    if told is not None:
        yield from _check_samples(shown["name"], told, _choose_samples(scene, shown["name"]), books)


def _choose_samples(scene: SeedScene, gateway: str) -> list[str]:
    """Return the first, the middle and the last target of a gateway."""
    names = [target.id for target in scene.targets if target.gateway == gateway]
    return [*dict.fromkeys((names[0], names[len(names) // 2], names[-1]))] if names else []


def _check_samples(
    gateway: str, told: re.Match[str], samples: Sequence[str], books: SimulatorBooks
) -> Iterator[str]:
    facts = [books.targets.get(name) for name in samples]
    true = Counter(None if each is None else each.down for each in facts)
    if int(told["seen"]) > len(samples):
        yield f"doctor tells of {told['seen']} samples of {gateway}, and there are {len(samples)}"
    for part in told["counts"].split(", "):
        count, _, words = part.strip().partition(" ")
        if words not in _WORDS:
            continue
        # What was never deployed to an environment is down there, and in no book.
        most = true[_WORDS[words]] + (true[None] if words == "not deployed" else 0)
        if int(count) > most:
            yield f"doctor tells that {count} of {gateway} are {words}, and {most} are"
