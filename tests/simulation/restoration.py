"""The restore of a simulated run: made from its journal, under its own faults, judged by the books."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace

from orchestrator.errors import RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.model.outcome import Outcome
from orchestrator.model.target import Target, TargetId
from orchestrator.report.values import TargetReport
from orchestrator.runs.restore import Choice, Restoration, build_restoration
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SimulatorBooks
from orchestrator.simulator.exchange import TWISTS, RequestEffect
from orchestrator.simulator.faults import FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.kinds import AnyFixture
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.promises import offers_look
from tests.simulation.scene import SeedScene, make_interrupts
from tests.simulation.wholeness import check_whole

_ALL = ("new-front-end-id", "lost-bindings", "unpublished-edits", "missing-history")
_CHANGES = (RequestEffect.UP, RequestEffect.DOWN, RequestEffect.PART)
_STEPS = ("publish", "bind")
_TWISTS = frozenset(kind.value for kind in TWISTS)
_UP = (Outcome.RESTORED, Outcome.ALREADY_DEPLOYED)
_MAY_HAVE_ARRIVED = (None, "doubt", "strange", "removed", "partial")


class SimulatedRestore:
    """The restore of one seed: its choice, and the scene in which it is played."""

    def __init__(self, number: int, scene: SeedScene, parent: RunFolder, folder: Path) -> None:
        """Raises RunError if no target of the parent can be restored."""
        self.parent = parent
        self._folder = folder
        random = Random(-number)
        self.choice = Choice(
            accept=frozenset(_ALL) if random.random() < 0.7 else frozenset(), roll_back=random.random() < 0.2
        )
        ready = self.build()
        try:
            self.scene = _make_scene(scene, ready, parent, random)
        finally:
            ready.forget()

    def build(self) -> Restoration:
        """Build the restoration, again for each process: one may die before its run has a folder."""
        return build_restoration(self.parent, self.choice, Path(tempfile.mkdtemp(dir=self._folder)))


def _make_scene(scene: SeedScene, ready: Restoration, parent: RunFolder, random: Random) -> SeedScene:
    rows = list(ready.draft.database.rows("SELECT seq, id, wave FROM target ORDER BY seq"))
    targets = tuple(Target(seq, TargetId(name), name.partition("/")[0], wave, ()) for seq, name, wave in rows)
    crashes = tuple(random.randint(1, 12 + len(targets) * 6) for _ in range(random.randint(1, 3)))
    return replace(
        scene,
        plan=ready.plan,
        targets=targets,
        needs=_reverse_needs(targets, parent),
        faults=_turn_to_deploys(scene.faults),
        crashes=crashes if random.random() < 0.6 else (),
        full=range(0),
        interrupts=make_interrupts(random, 0.2),
        acts=(),
        approved={},
        freeze=None,
        skip=(),
    )


def _reverse_needs(targets: Sequence[Target], parent: RunFolder) -> dict[int, tuple[TargetId, ...]]:
    """Return the targets that each target comes after: those that the run took down after it."""
    numbers = {target.id: target.seq for target in targets}
    database = parent.open()
    try:
        query = (
            "SELECT first.id, after.id FROM dependency JOIN target AS after ON after.seq = dependency.seq"
            " JOIN target AS first ON first.seq = dependency.needs"
        )
        pairs = list(database.rows(query))
    finally:
        database.close()
    needs: dict[int, tuple[TargetId, ...]] = {}
    for first, after in pairs:
        if first in numbers and after in numbers:
            needs[numbers[first]] = (*needs.get(numbers[first], ()), after)
    return needs


def _turn_to_deploys(faults: FaultScenario) -> FaultScenario:
    """Return the same faults for deploys and their steps in place of undeploys; those of looks stay."""
    storm = faults.storm and replace(faults.storm, kinds=tuple(_turn_to_changes(faults.storm.kinds)))
    script = {place: tuple(map(_turn_to_deploy, faults)) for place, faults in faults.script.items()}
    return FaultScenario(storm=storm, script=script)


def _turn_to_changes(kinds: Sequence[InjectedFault | str]) -> Iterator[InjectedFault | str]:
    """Yield each fault of a storm as one of deploys, and if any change may meet it, as one of their steps."""
    for kind in map(_turn_to_deploy, kinds):
        yield kind
        act, _, name = kind.partition(":") if isinstance(kind, str) else ("", "", "")
        if act == "deploy" and name not in _TWISTS:
            yield f"publish:{name}"
            yield f"bind:{name}"


def _turn_to_deploy(fault: InjectedFault | str) -> InjectedFault | str:
    if isinstance(fault, InjectedFault):
        return replace(fault, on=FaultScope.DEPLOY) if fault.on is FaultScope.UNDEPLOY else fault
    act, colon, name = fault.partition(":")
    return f"deploy:{name if colon else act}" if not colon or act == "undeploy" else fault


def check_refused_restore(
    scene: SeedScene, books: SimulatorBooks, parent: RunFolder, refused: RunError
) -> Iterator[str]:
    """Yield each mistake of a restore that was refused because there is nothing to restore."""
    if "can be restored" not in str(refused):
        yield f"the restore was refused: {refused}"
    yield from _find_left_out(scene, books, parent, frozenset())


def check_restored(
    way: SimulatedRestore,
    before: SimulatorBooks,
    platforms: SimulatedPlatforms,
    counted: int,
    runs: Sequence[RunFolder],
) -> Iterator[str]:
    """Yield each broken promise of a restore that has reached its end.

    The first ``counted`` requests are of the run before.
    """
    if not runs:
        yield "no restore was made"
        return
    with runs[0].open_source() as account:
        report, targets = account.report, list(account.targets())
    if (report.run.act, report.run.parent) != ("restore", way.parent.id):
        yield "the restore does not say what it is, or of which run"
    if [target.id for target in targets] != [target.id for target in way.scene.targets]:
        yield "promise 1: the restore's report does not hold each target once, in its order"
    last: dict[str, RequestEffect] = {}
    for seen in platforms.list_requests(counted):
        if seen.target is not None and seen.effect in _CHANGES:
            last[seen.target] = seen.effect
    after = platforms.books()
    for target in targets:
        facts = after.targets[target.id]
        yield from _check_target(way.scene, target, last.get(target.id), down=facts.down)
        yield from check_whole(target, facts, _list_hidden(way.scene, target.gateway))
    yield from _find_left_out(way.scene, before, way.parent, frozenset(target.id for target in targets))
    touched = {target.id for target in targets}
    for name, facts in after.targets.items():
        if name not in touched and facts.deploys:
            yield f"{name} was deployed, and the run had not taken it down"
    yield from _find_blind_deploys(way.scene, runs[0])


def _check_target(
    scene: SeedScene, target: TargetReport, last: RequestEffect | None, *, down: bool
) -> Iterator[str]:
    # A version without route-health has its record alone: it cannot tell that a pod, or the only one, did
    # not obey.
    blind = last is RequestEffect.PART and not offers_look(scene, target.gateway)
    if target.outcome in _UP and not blind and (down or last is RequestEffect.PART):
        yield f"promise 3: {target.id} is reported {target.outcome}, and is not up everywhere"
    if target.outcome is Outcome.NOT_STARTED and last is not None:
        yield f"{target.id} is reported as not started, and we deployed it"
    if target.outcome not in _UP and not target.reason:
        yield f"{target.id} is {target.outcome}, and nobody says why"
    if target.outcome in (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED):
        yield f"{target.id} is reported {target.outcome} by a restore"


def _list_hidden(scene: SeedScene, gateway: str) -> tuple[str, ...]:
    fixture = next(each for each in scene.fixture.gateways if each.name == gateway)
    return fixture.foreign if isinstance(fixture, RomaFixture) else ()


def _find_left_out(
    scene: SeedScene, before: SimulatorBooks, parent: RunFolder, brought: frozenset[str]
) -> Iterator[str]:
    """Yield each target that the run took down by its own account and that its restore left out."""
    database = parent.open()
    try:
        query = (
            "SELECT id, outcome FROM target JOIN snapshot USING (seq)"
            " WHERE verdict = 'up' AND outcome IN ('undeployed', 'unknown', 'failed')"
        )
        late = {entry.name for entry in scene.fixture.gateways if getattr(entry, "lag", 0.0)}
        # A look that is late has told the run that the target is still up.
        seen_up = {
            name
            for name, outcome in database.rows(query)
            if outcome != "failed" or name.partition("/")[0] not in late
        }
    finally:
        database.close()
    for name in seen_up - brought:
        facts = before.targets.get(name)
        if facts is not None and facts.down and facts.down_by:
            yield f"{name} went down, was deployed before, and is left out of the restore"


def _find_blind_deploys(scene: SeedScene, run: RunFolder) -> Iterator[str]:
    """Yield each target that was deployed without a look before that showed it to be down."""
    database = run.open()
    try:
        query = "SELECT id, act, verdict FROM attempt JOIN target USING (seq) ORDER BY seq, number"
        rows: list[tuple[Any, ...]] = list(database.rows(query))
    finally:
        database.close()
    # A list is a look that is no attempt of any one target.
    listed = len(scene.targets) >= scene.worth_listing
    lists = {entry.name for entry in scene.fixture.gateways if _shows_list(entry)}
    looked = {name: listed and name.partition("/")[0] in lists for name, _, _ in rows}
    lacking = {name for name, act, verdict in rows if act == "look" and verdict == "not_offered"}
    blind = {name.partition("/")[0] for name in lacking}
    for name, act, verdict in rows:
        if act in _STEPS:
            continue  # it follows a deploy that a look has confirmed
        if act == "look":
            looked[name] |= verdict in ("up", "partial")
        elif verdict in _MAY_HAVE_ARRIVED:
            if not looked[name] and name.partition("/")[0] not in blind:
                yield f"{name} was deployed without a look that showed it to be down"
            looked[name] = False


def _shows_list(fixture: AnyFixture) -> bool:
    if isinstance(fixture, RomaFixture):
        return fixture.lists != "none"
    return isinstance(fixture, ApinizerFixture) and fixture.report == "allowed"
