"""The targets that are not down, grouped by cause, with a few examples of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.report.values import TargetReport

EXAMPLES = 5
_MOST = 200
_OTHER = "other causes"
_NONE = "no reason given"


class CauseGroup(Struct, frozen=True, kw_only=True):
    """Targets with one outcome for one cause.

    ``label`` is the vendor's code, or the word with which the reason begins; ``text`` is what the first of
    them was told (the vendor's message, or the reason), None where nothing was said.
    """

    outcome: Outcome
    label: str
    text: str | None
    count: int
    gateways: tuple[str, ...]
    examples: tuple[str, ...]
    """Ids, at most ``EXAMPLES``."""

    @property
    def said(self) -> bool:
        """The label stands in the targets themselves, and can be searched for."""
        return self.label not in {_OTHER, _NONE}

    @property
    def more(self) -> int:
        """How many have no place among the examples."""
        return self.count - len(self.examples)


def group_by_cause(trouble: Iterable[TargetReport]) -> list[CauseGroup]:
    """Group ``trouble`` by outcome and cause: failed, then unknown, then not started, the largest first.

    Memory is bounded: beyond 200 different causes the rest share one group an outcome.
    """
    counts: Counter[tuple[Outcome, str]] = Counter()
    texts: dict[tuple[Outcome, str], str | None] = {}
    gateways: defaultdict[tuple[Outcome, str], dict[str, None]] = defaultdict(dict)
    examples: defaultdict[tuple[Outcome, str], list[str]] = defaultdict(list)
    for target in trouble:
        label, text = find_cause(target)
        if (target.outcome, label) not in counts and len(counts) >= _MOST:
            label, text = _OTHER, None
        key = target.outcome, label
        counts[key] += 1
        if texts.setdefault(key, text) != text and target.outcome is Outcome.NOT_STARTED:
            texts[key] = None  # a reason of ours that is not everybody's would mislead
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
    """The label and the text of why ``target`` is not down."""
    word = (target.reason or "").partition(":")[0]
    if target.outcome is Outcome.NOT_STARTED or word == "partial":
        return word or _NONE, target.reason
    for attempt in reversed(target.attempts):
        if attempt.code:
            return attempt.code, attempt.message or target.reason
    if target.attempts and target.attempts[-1].status is not None:
        return f"HTTP {target.attempts[-1].status}", target.attempts[-1].message or target.reason
    return word or "no reply", target.reason
