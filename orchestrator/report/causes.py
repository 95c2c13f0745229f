"""The targets that did not reach the act's goal, grouped by cause, with a few examples of each."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.report.values import TargetReport

EXAMPLES = 5
"""The most ids that a group names."""
_MAX_CAUSES = 200
_OTHER_LABEL = "other causes"
_NO_LABEL = "no reason given"


class CauseGroup(Struct, frozen=True, kw_only=True):
    """Targets with one outcome for one cause.

    ``label`` is the vendor's code, or the first word of the reason. ``text`` is the vendor's message or the
    reason, of the first target; None if there is neither.
    """

    outcome: Outcome
    label: str
    text: str | None
    count: int
    gateways: tuple[str, ...]
    examples: tuple[str, ...]
    """Ids, at most ``EXAMPLES``."""

    @property
    def is_searchable(self) -> bool:
        """Return whether a search for the label finds the targets, because it is one of their texts."""
        return self.label not in {_OTHER_LABEL, _NO_LABEL}

    @property
    def more(self) -> int:
        """Return how many targets are not among the examples."""
        return self.count - len(self.examples)


def group_by_cause(trouble: Iterable[TargetReport]) -> list[CauseGroup]:
    """Group ``trouble`` by outcome and cause: failed, then unknown, then not started, the largest first.

    Memory is bounded: after 200 different causes all others share one group for each outcome.
    """
    collectors: dict[tuple[Outcome, str], _CauseCollector] = {}
    for target in trouble:
        label, text = find_cause(target)
        if (target.outcome, label) not in collectors and len(collectors) >= _MAX_CAUSES:
            label, text = _OTHER_LABEL, None
        key = target.outcome, label
        if key not in collectors:
            collectors[key] = _CauseCollector(*key, text)
        collectors[key].add(target, text)
    groups = [collector.build() for collector in collectors.values()]
    order = tuple(Outcome)
    return sorted(groups, key=lambda group: (order.index(group.outcome), -group.count, group.label))


class _CauseCollector:
    """Collects the targets of one group, and keeps no more of them than a few ids."""

    def __init__(self, outcome: Outcome, label: str, text: str | None) -> None:
        self._outcome = outcome
        self._label = label
        self._text = text
        self._count = 0
        self._gateways: dict[str, None] = {}
        self._examples: list[str] = []

    def add(self, target: TargetReport, text: str | None) -> None:
        # The reasons of targets not started may differ (each names its dependency), and one of them would
        # mislead about the others. A vendor's message stands for its code, even if it names one target.
        if text != self._text and self._outcome is Outcome.NOT_STARTED:
            self._text = None
        self._count += 1
        self._gateways[target.gateway] = None
        if len(self._examples) < EXAMPLES:
            self._examples.append(target.id)

    def build(self) -> CauseGroup:
        return CauseGroup(
            outcome=self._outcome,
            label=self._label,
            text=self._text,
            count=self._count,
            gateways=tuple(self._gateways),
            examples=tuple(self._examples),
        )


def find_cause(target: TargetReport) -> tuple[str, str | None]:
    """Return the label and the text of the cause why ``target`` did not reach the act's goal."""
    word = (target.reason or "").partition(":")[0]
    if target.outcome is Outcome.NOT_STARTED or word == "partial":
        return word or _NO_LABEL, target.reason
    for attempt in reversed(target.attempts):
        if attempt.code:
            return attempt.code, attempt.message or target.reason
    if target.attempts and target.attempts[-1].status is not None:
        return f"HTTP {target.attempts[-1].status}", target.attempts[-1].message or target.reason
    return word or "no reply", target.reason
