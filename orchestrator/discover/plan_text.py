"""The text of the plan that `undeploy discover` writes, with comments about all gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.discover.survey import SurveyResult
from orchestrator.discover.target_lines import TargetLines
from orchestrator.plan.nodes import MappingNode
from orchestrator.plan.template import format_block
from orchestrator.plan.yaml_text import format_comment, format_text
from orchestrator.text.counting import choose_form

EMPTY = "Nothing that is deployed matched: this plan has no targets, and cannot be run."


class PlanOrigin(Struct, frozen=True, kw_only=True):
    """The origin of a discovered plan: its author, the time, the plan that it came from, and the filters."""

    at: str
    who: str
    source: str
    filters: str
    folder: str | None = None
    """The folder where relative paths in the plan begin; None where they begin beside the plan itself."""


class SurveySummary(Struct, frozen=True, kw_only=True):
    """The outcome of the survey of one gateway."""

    gateway: str
    url: str
    result: SurveyResult
    matched: int
    twin: str | None = None
    """The gateway that is the same installation, and was surveyed in place of this one."""


class DiscoveredPlan(Struct, frozen=True, kw_only=True):
    """The parts of the plan."""

    origin: PlanOrigin
    surveys: Sequence[SurveySummary]
    entries: MappingNode
    at_most: int | None
    targets: TargetLines

    @property
    def matched(self) -> int:
        """How many targets the plan has."""
        return self.targets.matched.total()

    @property
    def whole(self) -> bool:
        """Whether every gateway could be read to its end, without a gap."""
        return all(survey.result.whole for survey in self.surveys)

    @property
    def excess(self) -> str | None:
        """Why a run will refuse the plan, None where it will not: there are more targets than ``at_most``."""
        if self.at_most is None or self.matched <= self.at_most:
            return None
        return (
            f"{self.matched:,} targets are more than its at_most: {self.at_most}, so it is refused as it is:"
            " narrow the filters, or raise at_most"
        )


def list_summary(plan: DiscoveredPlan) -> Iterator[str]:
    """Yield a line for each gateway, with its counts, for people."""
    for survey in plan.surveys:
        found = survey.result
        if survey.twin is not None:
            yield f"{survey.gateway}: the same installation as {survey.twin}, which was read"
            continue
        how = f" ({'; '.join(found.remarks)})" if found.remarks else ""
        counts = f"{found.seen:,} looked at, {found.deployed:,} deployed, {survey.matched:,} matched"
        yield f"{survey.gateway}: {counts}{how}"
    if plan.targets.protected:
        count = plan.targets.protected
        yield f"{count:,} of them {choose_form(count, 'is', 'are')} protected, and would not be touched"
    if plan.excess:
        yield plan.excess
    if not plan.matched:
        yield EMPTY


def list_gaps(plan: DiscoveredPlan) -> Iterator[str]:
    """Yield a line for each gap, with the gateway's name."""
    for survey in plan.surveys:
        yield from (f"{survey.gateway}: {gap}" for gap in survey.result.gaps)
        if survey.result.more_gaps:
            yield f"{survey.gateway}: {survey.result.more_gaps:,} more"


def render_plan(plan: DiscoveredPlan) -> Iterator[str]:
    """Yield the lines of the plan."""
    yield from (f"# {format_comment(line)}".rstrip() for line in _list_comments(plan))
    yield ""
    yield from format_block(plan.entries)
    groups = plan.targets.list_waves()
    if len(groups) == 1 and groups[0][1] is None:
        yield "targets:"
        yield from (f"  {line}" for line in plan.targets.read_lines(None))
    elif groups:
        yield "waves:"
        for name, group in groups:
            yield f"  - name: {format_text(name)}"
            yield "    targets:"
            yield from (f"      {line}" for line in plan.targets.read_lines(group))


def _list_comments(plan: DiscoveredPlan) -> Iterator[str]:
    origin = plan.origin
    yield f"Made by undeploy discover at {origin.at}, by {origin.who}, from {origin.source}"
    yield f"Filters: {origin.filters or 'none'}"
    if origin.folder is not None:
        yield f"Relative paths in it begin in {origin.folder}: keep it there"
    for survey in plan.surveys:
        yield f"Gateway {survey.gateway}: {survey.url}"
    yield from list_summary(plan)
    unseen = list(list_gaps(plan))
    # A list with gaps looks like a whole one, so the plan says itself which it is.
    yield "What could NOT be seen:" if unseen else "Nothing was left unseen that the credentials may see."
    yield from (f"  {gap}" for gap in unseen)
