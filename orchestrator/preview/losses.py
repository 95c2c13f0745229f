"""The losses of a run, foreseen: all that goes with its targets, and how much a restore brings back. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from orchestrator.model.plan import PlanHeader
from orchestrator.model.reading import FrontEnd, Verdict
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget
from orchestrator.preview.use import is_left_for_use
from orchestrator.report.bindings import BindingCounts, count_bindings
from orchestrator.report.values import RestoreOutlook


def list_deleted_front_ends(
    plan: PlanHeader, seen_targets: Iterable[SeenTarget]
) -> Iterator[tuple[SeenTarget, FrontEnd]]:
    """Yield the front-end APIs that an undeploy deletes, each with the target for which it is published."""
    for seen in list_going(plan, seen_targets):
        yield from ((seen, front) for front in seen.snapshot.fronts)


def count_lost_bindings(plan: PlanHeader, preview: Preview) -> Iterator[tuple[str, BindingCounts]]:
    """Yield the gateways at which front-end APIs are deleted, with the counts of what hangs on these."""
    going = list(list_going(plan, preview.targets))
    for gateway in preview.gateways:
        counts = count_bindings(seen.snapshot for seen in going if seen.target.gateway == gateway.name)
        if counts.front_ends:
            yield gateway.name, counts


def foresee_restore(plan: PlanHeader, preview: Preview) -> RestoreOutlook:
    """Return what a restore could bring back of the targets that a run would take down now."""
    going = list(list_going(plan, preview.targets))
    # A restore deploys only what a snapshot saw deployed.
    kept = [seen for seen in going if plan.snapshot != "off" and seen.snapshot.verdict is Verdict.UP]
    wanted = Counter(word for seen in kept for word in seen.snapshot.obstacles)
    return RestoreOutlook(undeployed=len(going), restorable=len(kept), to_accept=dict(sorted(wanted.items())))


def list_going(plan: PlanHeader, seen_targets: Iterable[SeenTarget]) -> Iterator[SeenTarget]:
    """Yield the targets that a run would take down; by ``in_use: refuse`` it leaves others up."""
    return (
        seen
        for seen in seen_targets
        if seen.group is PreviewGroup.WILL_CHANGE and not is_left_for_use(plan, seen)
    )
