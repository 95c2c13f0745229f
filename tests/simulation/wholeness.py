"""Promise 11 by the books: what a restore calls restored has everything back, and what lacks is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.model.outcome import Outcome
from orchestrator.report.values import TargetReport
from orchestrator.simulator.books import TargetFacts
from orchestrator.simulator.roma_replies import SECOND_WORD

_UP = (Outcome.RESTORED, Outcome.ALREADY_DEPLOYED)
_UNKNOWN = re.compile("never read|could not be|no read|cannot be|not offered|all that hung on it")
"""The words for something that could not be read, so that it may be there or not."""
_MORE = re.compile(r"and [\d,]+ more")
_THING = re.compile(r"(?P<environment>[^:]+): (?P<thing>[^(]+?)(?: \(.*\))?")


def check_whole(target: TargetReport, facts: TargetFacts, hidden: Sequence[str] = ()) -> Iterator[str]:
    """Yield each way in which a restore's report of a target differs from the books.

    ``hidden`` are names of things that the lists of all things do not show to this user: the program finds
    them by sample, and warns, so that a target may have gone by them before.
    """
    missing = [
        *(f"environment {each}" for each in facts.first_published if each not in facts.published),
        *(each for each in facts.hung if each not in facts.hanging and not _is_unseen(each, hidden)),
    ]
    if facts.repeats:
        yield f"promise 11: {target.id} got {facts.repeats} creates of what was there"
    if target.outcome in _UP and missing:
        yield f"promise 11: {target.id} is reported {target.outcome}, and lacks {', '.join(missing)}"
    reason = target.reason or ""
    if target.outcome is Outcome.FAILED and reason.startswith("partial: deployed"):
        is_whole = not missing and all(each in facts.hanging for each in facts.hung)
        if is_whole and not _UNKNOWN.search(reason):
            yield f"promise 11: {target.id} has everything back, and is {reason}"
        yield from _find_unnamed(target, reason, missing)


def _is_unseen(lost: str, hidden: Sequence[str]) -> bool:
    """Return whether no read has to show a lost thing: only the list of all front ends names a second one."""
    return lost.startswith(SECOND_WORD) or any(f" {name} (" in f"{lost} (" for name in hidden)


def _find_unnamed(target: TargetReport, reason: str, missing: Sequence[str]) -> Iterator[str]:
    """Yield each thing that is missing and that the reason does not name."""
    if _MORE.search(reason):
        return
    for each in missing:
        if not _is_named(each, reason):
            yield f"promise 11: {target.id} lacks {each}, and its reason says only: {reason}"


def _is_named(lost: str, reason: str) -> bool:
    """Return whether a reason names a lost thing or environment, or says that such things were not read."""
    if re.search("its front-end API(, if it had one,)? and all that hung on it", reason):
        return True
    if (found := _THING.fullmatch(lost)) is None:
        return lost in reason
    word = found["thing"].rpartition(" ")[0]
    unread = re.search(rf"its {re.escape(word[:-1])}\w+, which were never read", reason)
    return found["thing"] in reason or bool(unread) or "what hung on" in reason
