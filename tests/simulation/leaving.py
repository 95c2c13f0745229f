"""What a run leaves: its remainder is a plan of the targets that are not down, as the run's plan has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from msgspec.structs import replace

from orchestrator.errors import PlanError, RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.remainder import open_remainder
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.report.values import TargetReport
from orchestrator.runs.remainder import write_remainder
from tests.simulation.scene import SeedScene

_DOWN = (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED)


def check_remainder(
    scene: SeedScene, run: RunFolder, targets: Sequence[TargetReport], folder: Path
) -> Iterator[str]:
    """Yield each way in which the remainder of an ended run is not what its report says is left."""
    try:
        written = _write(run, folder)
    except RunError as error:  # a session that has hung holds its run
        yield f"no remainder can be written: {error}"
        return
    left = _list_left(scene, targets)
    if written is None or not left:
        if written is not None or left:
            yield f"{'a' if written else 'no'} remainder was written, and {len(left)} targets are left"
        return
    sink = TargetList()
    try:
        plan = read_plan(written, sink).plan
    except PlanError as error:
        yield f"the remainder is no plan: {error}"
        return
    told = [_describe(target, plan) for target in sink.targets]
    if told != (wanted := [_describe(target, scene.plan) for target in left]):
        yield f"the remainder has {told}, and left are {wanted}"
    if plan != _expect_header(scene.plan, run, left):
        yield f"the remainder has another header than its run: {plan}"
    if (order := _list_order(sink)) != (needs := _expect_order(scene, left)):
        yield f"the remainder has the order {order}, and its run has {needs}"


def _write(run: RunFolder, folder: Path) -> Path | None:
    """Write the remainder into a folder; return None where nothing is left."""
    text = StringIO()
    with open_remainder(run) as rest:
        if not rest.count:
            return None
        write_remainder(rest, run.id, text, folder=folder)
    written = folder / "remainder.yaml"
    written.write_text(text.getvalue(), encoding="utf-8")
    return written


def _list_left(scene: SeedScene, targets: Sequence[TargetReport]) -> list[Target]:
    """Return the targets that are neither down nor protected, nor come after one that is protected."""
    protected = {each.id for each in targets if (each.reason or "").startswith("protected")}
    down = {each.id for each in targets if each.outcome in _DOWN}
    stuck: set[TargetId] = set()
    by_id = {target.id: target for target in scene.targets}

    def is_stuck(name: TargetId) -> bool:
        if name not in stuck and any(
            each not in down and (each in protected or is_stuck(each))
            for each in scene.needs.get(by_id[name].seq, ())
        ):
            stuck.add(name)
        return name in stuck

    open_targets = (each for each in scene.targets if each.id not in down | protected)
    return [each for each in open_targets if not is_stuck(each.id)]


def _describe(target: Target, plan: Plan) -> tuple[object, ...]:
    wave = plan.waves[target.wave].name
    return target.id, target.gateway, target.parts, wave, target.description, target.persistent


def _expect_header(plan: Plan, run: RunFolder, left: Sequence[Target]) -> Plan:
    waves = {target.wave for target in left}
    return replace(
        plan,
        parent=run.id,
        window=None,
        waves=tuple(wave for number, wave in enumerate(plan.waves) if number in waves),
    )


def _list_order(sink: TargetList) -> dict[str, set[str]]:
    by_seq = {target.seq: target.id for target in sink.targets}
    return {by_seq[seq]: {by_seq[each] for each in needs} for seq, needs in sink.needs.items()}


def _expect_order(scene: SeedScene, left: Sequence[Target]) -> dict[str, set[str]]:
    names = {target.id for target in left}
    needs = {target.id: names.intersection(scene.needs.get(target.seq, ())) for target in left}
    return {name: set(before) for name, before in needs.items() if before}
