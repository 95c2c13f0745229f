"""A discover before a simulated run, judged by the books of that moment, and by no rule of the engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from orchestrator.discover.explore import survey_gateways
from orchestrator.discover.filters import DiscoveryFilters, assign_filters
from orchestrator.discover.survey import SurveyResult
from orchestrator.lanes.announcer import LaneNews
from orchestrator.lanes.environment import Environment
from orchestrator.model.gateway import Gateway
from orchestrator.model.search import FoundTarget
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.looking import LookStage, find_secrets
from tests.simulation.scene import DiscoverScene, SeedScene
from tests.simulation.use import count_calls


class SimulatedDiscovery(NamedTuple):
    """What a discover has found, and what it has told of each gateway."""

    found: frozenset[TargetId]
    results: dict[str, SurveyResult]
    told: str


class _SurveyWitness(Struct):
    """Takes the targets of a discover, and all that it tells meanwhile."""

    found: set[TargetId]
    told: list[str]

    def on_lane_state(self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None) -> None:
        self.told.append(f"{gateway} {state} {reason} {seconds}")

    def keep(self, gateway: Gateway, found: FoundTarget) -> str | None:
        self.found.add(TargetId(join_id(gateway.name, found.parts)))
        self.told += [*found.notes, repr(found.traits)]
        return None


def judge_discovery(stage: LookStage, wanted: DiscoverScene, changed: Collection[TargetId]) -> None:
    """Play the discover of a scene, and judge it. ``changed``: what somebody else changed a moment before."""
    gateways = choose_gateways(stage.scene, wanted)
    played = stage.play(_play_discovery(wanted, gateways, stage.environment))
    if isinstance(played, SimulatedDiscovery):
        stage.broken += check_discovery(stage, wanted, gateways, played, changed)
    elif played is not None:
        stage.broken.append(f"discover was refused: {played}")


def choose_gateways(scene: SeedScene, wanted: DiscoverScene) -> list[Gateway]:
    """Return the gateways that can answer the filter: a kind may list nothing."""
    kind = _KINDS.get(wanted.by)
    searched = [gateway for gateway in scene.plan.gateways if gateway.search is not None]
    return [gateway for gateway in searched if kind in (None, gateway.KIND)]


_KINDS = {"environment": "apinizer", "path": "roma"}
"""The one kind that answers a filter here, where not all do."""

FILTERS = {
    "all": DiscoveryFilters(),
    "name": DiscoveryFilters(texts={"name": ("proxy 1*",)}),
    "environment": DiscoveryFilters(texts={"environment": ("env0",)}),
    "path": DiscoveryFilters(texts={"path": ("/backends/api000*",)}),
    "before": DiscoveryFilters(before="2100-01-01"),
    "early": DiscoveryFilters(before="2026-01-01"),
}
"""By what a scene may search; every target was deployed in November 2026."""


async def _play_discovery(
    wanted: DiscoverScene, gateways: Sequence[Gateway], environment: Environment
) -> SimulatedDiscovery:
    witness = _SurveyWitness(set(), [])
    filters = assign_filters(FILTERS[wanted.by], gateways)
    results = await survey_gateways(
        gateways, filters, environment, witness, witness.keep, unused=wanted.unused
    )
    told = "\n".join([*witness.told, *(repr(result) for result in results.values())])
    return SimulatedDiscovery(frozenset(witness.found), results, told)


def check_discovery(
    stage: LookStage,
    wanted: DiscoverScene,
    gateways: Sequence[Gateway],
    played: SimulatedDiscovery,
    changed: Collection[TargetId],
) -> Iterator[str]:
    """Yield each mistake of a discover, by the books of its time and by what it has sent."""
    yield from find_secrets("discover", played.told)
    names = {gateway.name for gateway in gateways}
    yield from check_found(stage.scene, wanted, names, stage.books, played, changed)
    few, many = len(stage.requests), len(stage.wire.exchanges)
    told = sum(result.requests for result in played.results.values())
    if not few <= told <= many:
        yield f"discover tells of {told} requests; {few} arrived, and {many} were let go"


def check_found(
    scene: SeedScene,
    wanted: DiscoverScene,
    gateways: set[str],
    books: SimulatorBooks,
    played: SimulatedDiscovery,
    changed: Collection[TargetId] = (),
) -> Iterator[str]:
    """Yield each target that is found wrongly, and each that is left out without a word.

    A report that lags still shows as up what somebody has taken down a moment before.
    """
    late = {each.name for each in scene.fixture.gateways if getattr(each, "report_lag", 0.0)}
    for name in sorted(played.found):
        facts = books.targets.get(name)
        if facts is not None and facts.down and name in changed and name.partition("/")[0] in late:
            continue
        if facts is None or facts.down:
            yield f"discover has found {name}, which is {'down' if facts else 'in no book'}"
        elif not is_wanted(scene, wanted, name):
            yield f"discover has found {name}, which its filters leave out"
    hidden = list_hidden(scene)
    for facts in books.targets.values():
        name, gateway = TargetId(facts.id), facts.id.partition("/")[0]
        if facts.down or gateway not in gateways or name in played.found:
            continue
        is_told = bool(played.results[gateway].gaps) or name in hidden
        if is_wanted(scene, wanted, name) and not is_told:
            yield f"discover has left out {name}, and does not say so"


def is_wanted(scene: SeedScene, wanted: DiscoverScene, name: TargetId) -> bool:
    """Return whether the filter of a scene, and its ``--unused``, choose a target that is up."""
    target = next((each for each in scene.targets if each.id == name), None)
    if target is None:
        return False
    is_idle = wanted.unused is None or count_calls(scene, target) == 0
    return is_idle and _is_chosen(wanted, target)


def _is_chosen(wanted: DiscoverScene, target: Target) -> bool:
    parts = target.parts
    match wanted.by:
        case "name":
            return len(parts) == 3 and parts[1].startswith("proxy 1")
        case "environment":
            return len(parts) == 3 and parts[2] == "env0"
        case "path":
            return parts[0].startswith("api000")
        case "early":
            return False
    return True


def list_hidden(scene: SeedScene) -> set[str]:
    """Return the targets that no list shows to this user, which nobody can see from outside."""
    found: set[str] = set()
    for fixture in scene.fixture.gateways:
        if isinstance(fixture, RomaFixture):
            found |= {f"{fixture.name}/{api}" for api in fixture.unlisted}
        if isinstance(fixture, ApinizerFixture) and fixture.report == "allowed":
            found |= {
                target.id
                for target in scene.targets
                if target.gateway == fixture.name and "/".join(target.parts[:2]) in fixture.unreported
            }
    return found
