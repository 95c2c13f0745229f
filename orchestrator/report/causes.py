"""The targets that did not reach the act's goal, grouped by cause, with a few examples of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.model.causes import NO_CAUSE, OTHER_CAUSES, CauseGroup
from orchestrator.model.outcome import Outcome
from orchestrator.report.values import ReportSource, TargetReport
from orchestrator.report.words import shorten_name

EXAMPLES = 5
"""The most ids that a group names."""
_MAX_CAUSES = 200


class LastAnswers(NamedTuple):
    """The answers to a target's requests that tell its cause. The first has its vendor's code."""

    code: str | None = None
    code_message: str | None = None
    status: int | None = None
    """Of the last request; None if no reply came, or no request was sent."""
    message: str | None = None


def group_causes(source: ReportSource) -> list[CauseGroup]:
    """Group the targets of a run that did not reach its goal, as ``group_by_cause`` does.

    While the run goes on, its open targets have no cause yet, and are in no group.
    """
    trouble = source.trouble()
    if source.report.run.state == "running":
        trouble = (target for target in trouble if not _is_open(target))
    return group_by_cause(trouble)


def _is_open(target: TargetReport) -> bool:
    """Return whether a target of a run that goes on has not ended: an outcome with a reason is kept."""
    return target.reason is None and target.outcome in (Outcome.NOT_STARTED, Outcome.UNKNOWN)


def group_by_cause(trouble: Iterable[TargetReport]) -> list[CauseGroup]:
    """Group ``trouble`` by outcome and cause: failed, then unknown, then not started, the largest first."""
    counter = CauseCounter()
    for target in trouble:
        label, text = find_cause(target)
        counter.count_target(target.outcome, label, text, target.gateway, target.id, target.name)
    return counter.list_groups()


class CauseCounter:
    """Counts targets by outcome and cause.

    Memory is bounded: after 200 different causes all others share one group for each outcome.
    """

    def __init__(self) -> None:
        self._collectors: dict[tuple[Outcome, str], _CauseCollector] = {}

    def count_target(
        self,
        outcome: Outcome,
        label: str,
        text: str | None,
        gateway: str,
        target: str,
        name: str | None = None,
    ) -> None:
        """Count one target of the id ``target``, which people know by ``name`` where a look told it."""
        self._find_collector(outcome, label, text).add(1, text, (gateway,), ((target, name),))

    def count_group(self, group: CauseGroup) -> None:
        """Count the targets of a group, which was made elsewhere."""
        collector = self._find_collector(group.outcome, group.label, group.text)
        collector.add(group.count, group.text, group.gateways, tuple(group.list_examples()))

    def take_away(self, outcome: Outcome, label: str | None, count: int) -> None:
        """Take ``count`` targets away from the group with this label; None: from the newest of the outcome.

        A group keeps its first examples, and one that has no target left is gone.
        """
        for key in reversed(self._collectors):
            if key[0] is outcome and label in (key[1], None):
                count -= self._collectors[key].take_away(count)
        kept = {key: collector for key, collector in self._collectors.items() if collector.count}
        self._collectors = kept

    def _find_collector(self, outcome: Outcome, label: str, text: str | None) -> _CauseCollector:
        if (outcome, label) not in self._collectors and len(self._collectors) >= _MAX_CAUSES:
            label, text = OTHER_CAUSES, None
        if (outcome, label) not in self._collectors:
            # Another thread may list the groups: the dictionary is replaced, never changed.
            added = {(outcome, label): _CauseCollector(outcome, label, text)}
            self._collectors = {**self._collectors, **added}
        return self._collectors[outcome, label]

    def list_groups(self) -> list[CauseGroup]:
        """Return the groups: failed, then unknown, then not started, the largest first."""
        groups = [collector.build() for collector in self._collectors.values()]
        order = tuple(Outcome)
        return sorted(groups, key=lambda group: (order.index(group.outcome), -group.count, group.label))


class _CauseCollector:
    """Collects the targets of one group, and keeps no more of them than a few ids."""

    def __init__(self, outcome: Outcome, label: str, text: str | None) -> None:
        self._outcome = outcome
        self._label = label
        self._text = text
        self.count = 0
        self._gateways: dict[str, None] = {}
        self._examples: tuple[tuple[str, str | None], ...] = ()

    def add(
        self,
        count: int,
        text: str | None,
        gateways: Iterable[str],
        targets: tuple[tuple[str, str | None], ...],
    ) -> None:
        # The reasons of targets not started may differ (each names its dependency), and one of them would
        # mislead about the others. A vendor's message stands for its code, even if it names one target.
        if text != self._text and self._outcome is Outcome.NOT_STARTED:
            self._text = None
        self.count += count
        self._gateways |= dict.fromkeys(gateways)
        if len(self._examples) < EXAMPLES:
            self._examples = (*self._examples, *targets)[:EXAMPLES]

    def take_away(self, count: int) -> int:
        """Take at most ``count`` targets away; return how many there were."""
        taken = min(count, self.count)
        self.count -= taken
        self._examples = self._examples[: self.count]
        return taken

    def build(self) -> CauseGroup:
        return CauseGroup(
            outcome=self._outcome,
            label=self._label,
            text=self._text,
            count=self.count,
            gateways=tuple(self._gateways),
            examples=tuple(target for target, _ in self._examples),
            names=tuple(shorten_name(name) for _, name in self._examples),
        )


def find_cause(target: TargetReport) -> tuple[str, str | None]:
    """Return the label and the text of the cause why ``target`` did not reach the act's goal."""
    coded = next((attempt for attempt in reversed(target.attempts) if attempt.code), None)
    last = target.attempts[-1] if target.attempts else None
    answers = LastAnswers(
        code=coded.code if coded else None,
        code_message=coded.message if coded else None,
        status=last.status if last else None,
        message=last.message if last else None,
    )
    return name_cause(target.outcome, target.reason, answers)


def name_cause(outcome: Outcome, reason: str | None, answers: LastAnswers) -> tuple[str, str | None]:
    """Return the label and the text of the cause of an outcome."""
    word = (reason or "").partition(":")[0]
    if outcome is Outcome.NOT_STARTED or word == "partial":
        return word or NO_CAUSE, reason
    if answers.code:
        return answers.code, answers.code_message or reason
    # A success that says nothing, as the reply to a look does, names no cause.
    if answers.status is not None and (answers.message or answers.status >= 300):
        return f"HTTP {answers.status}", answers.message or reason
    return word or "no reply", reason
