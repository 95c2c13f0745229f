"""The targets that did not reach the act's goal, grouped by cause, with a few examples of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.report.values import TargetReport

EXAMPLES = 5
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
    counts: Counter[tuple[Outcome, str]] = Counter()
    texts: dict[tuple[Outcome, str], str | None] = {}
    gateways: defaultdict[tuple[Outcome, str], dict[str, None]] = defaultdict(dict)
    examples: defaultdict[tuple[Outcome, str], list[str]] = defaultdict(list)
    for target in trouble:
        label, text = find_cause(target)
        if (target.outcome, label) not in counts and len(counts) >= _MAX_CAUSES:
            label, text = _OTHER_LABEL, None
        key = target.outcome, label
        counts[key] += 1
        if texts.setdefault(key, text) != text and target.outcome is Outcome.NOT_STARTED:
            texts[key] = None  # these reasons differ, and the first would mislead
        gateways[key][target.gateway] = None
        if len(examples[key]) < EXAMPLES:
            examples[key].append(target.id)
    groups = [
        CauseGroup(
            outcome=key[0],
            label=key[1],
            text=texts[key],
            count=count,
            gateways=tuple(gateways[key]),
            examples=tuple(examples[key]),
        )
        for key, count in counts.items()
    ]
    order = tuple(Outcome)
    return sorted(groups, key=lambda group: (order.index(group.outcome), -group.count, group.label))


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
