"""The rules by which a run stops by itself: too much failed, is unknown, or is surprising.

``STOP_RULES`` has one row a rule, and is read by everything that names the rules: the run, the preview, the
words of ``check``, a restore. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.live_status import RuleHeadroom
from orchestrator.model.outcome import HELD_BACK, Counts, Outcome, Reason, is_accepted_loss, is_as_wanted
from orchestrator.model.plan import StopWhen, Threshold
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_percent

SHARES_FROM = 20
"""Shares count from this many ended targets of a wave on, and at any number before the next wave."""

_NO_SIGN = HELD_BACK | {Reason.IN_USE}
"""Reasons that say nothing of a mistake, however many targets have them."""

_NEVER = Threshold(share=1.0)
"""A rule fires strictly above its share, and no share is above 1."""


class StopRule(Struct, frozen=True, kw_only=True):
    """One rule of ``stop_when``, under its key."""

    words: str
    """The description of the targets that the rule counts, after "more than 20% of the ended targets"."""
    counts: Callable[[Outcome, str | None, bool], bool]
    """Returns whether the rule counts a target of this outcome and reason, in a first session or not."""
    in_restore: bool = True
    """Whether the rule makes sense in a restore, too."""


def is_surprising(outcome: Outcome, reason: str | None, *, first_run: bool) -> bool:
    """Return whether an outcome is a sign of a wrong file or a wrong environment."""
    word = (reason or "").partition(":")[0]
    if word in (Reason.ABSENT, Reason.DRIFTED):
        return True
    # On a resume the run itself may have taken the target down in an earlier session.
    return first_run and outcome is Outcome.ALREADY_UNDEPLOYED


STOP_RULES: Mapping[str, StopRule] = MappingProxyType(
    {
        "failed": StopRule(
            words="failed",
            counts=lambda outcome, reason, _first: outcome is Outcome.FAILED and not is_accepted_loss(reason),
        ),
        "unknown": StopRule(
            words="are unknown", counts=lambda outcome, _reason, _first: outcome is Outcome.UNKNOWN
        ),
        "surprising": StopRule(
            words=("are surprising: they do not exist, drifted, or (in a first run) were undeployed already"),
            counts=lambda outcome, reason, first: is_surprising(outcome, reason, first_run=first),
            in_restore=False,
        ),
    }
)
"""The rules by their key under ``stop_when``, in the order in which they are tested; each is a field of
``StopWhen``."""


def list_thresholds(stop_when: StopWhen) -> dict[str, Threshold]:
    """Return the threshold of each rule, by the rule's key."""
    return {key: getattr(stop_when, key) for key in STOP_RULES}


def adapt_to_restore(stop_when: StopWhen) -> StopWhen:
    """Return the thresholds of a restore: a rule that makes no sense there never fires."""
    never = {key: _NEVER for key, rule in STOP_RULES.items() if not rule.in_restore}
    return replace(stop_when, **never)


class StopState(Struct, frozen=True, kw_only=True):
    """The counts of the stop rules, by which another process goes on where a run stands."""

    in_run: dict[str, int] = {}
    """By the rule's key: targets that the rule counts, of the whole run."""
    in_wave: dict[str, int] = {}
    """The same of this wave, or of this step of it."""
    ended: int = 0
    """Ended targets of this wave or step."""
    where: str = "the wave"
    """``wave canary``, ``step 2 of 3 of wave canary``."""


class StopRules:
    """Counts the outcomes of a run, and tells when a stop rule fires.

    Counts are of the whole run, also of the sessions before (``before``); shares are of a wave, and of this
    session. A session that goes on past a stop accepts what was counted before it, and the doubts and drifts
    that it finds again.
    """

    def __init__(
        self, stop_when: StopWhen, before: Counts, *, first_run: bool, past_stop: bool = False
    ) -> None:
        self._thresholds = list_thresholds(stop_when)
        self._first_run = first_run
        self._matching_without_reason = {outcome: self._find_matching(outcome, None) for outcome in Outcome}
        self.past_stop = past_stop
        self._in_run: Counter[str] = Counter()
        for (outcome, word), count in () if past_stop else before.items():
            for key in self._match(outcome, word):
                self._in_run[key] += count
        self._in_wave: Counter[str] = Counter()
        self._ended = 0
        self._where = "the wave"

    @property
    def state(self) -> StopState:
        """The counts as they are now."""
        return StopState(
            in_run=dict(self._in_run), in_wave=dict(self._in_wave), ended=self._ended, where=self._where
        )

    def take_up(self, state: StopState) -> None:
        """Go on from the counts of another process, in the place of what was counted here."""
        self._in_run, self._in_wave = Counter(state.in_run), Counter(state.in_wave)
        self._ended, self._where = state.ended, state.where

    def begin_wave(self, name: str = "", step: str = "") -> None:
        """Count shares afresh, in the wave of that name, or in a step of it (``step 2 of 3``)."""
        self._in_wave.clear()
        self._ended = 0
        self._where = " of ".join(filter(None, (step, f"wave {name}"))) if name else "the wave"

    def count_waiting(self) -> str | None:
        """Count a target as ended that has the vendor's full evidence and waits for the shared look.

        Otherwise early shares would count only targets that were already down, since those wait for no look.
        Returns the rule that fires now, in words, or None.
        """
        self._ended += 1
        return self.find_breach(shares_from=SHARES_FROM) if self._ended == SHARES_FROM else None

    def count_end(
        self, outcome: Outcome, reason: str | None, *, doubted: bool, waited: bool = False
    ) -> str | None:
        """Count a target that has ended; return the rule that fires now, in words, or None.

        ``doubted``: an earlier session sent a request for it. ``waited``: ``count_waiting`` has counted it.
        """
        if doubted and self.past_stop and may_end_so_again(outcome, reason):
            return None
        has_ended = outcome is not Outcome.NOT_STARTED or _has_ended(outcome, reason)
        self._ended += has_ended - waited
        matching = self._match(outcome, reason)
        for key in matching:
            self._in_run[key] += 1
            self._in_wave[key] += 1
        # The target that makes a wave large enough for shares may itself be one that no rule counts.
        is_due = matching or self._ended == SHARES_FROM
        return self.find_breach(shares_from=SHARES_FROM) if is_due else None

    def count_ends(self, outcome: Outcome, word: str, number: int, *, doubted: bool) -> None:
        """Count ended targets that look alike to the rules. ``word`` is as in ``Counts``."""
        if doubted and self.past_stop and may_end_so_again(outcome, word):
            return
        self._ended += number if _has_ended(outcome, word) else 0
        for key in self._match(outcome, word):
            self._in_run[key] += number
            self._in_wave[key] += number

    def find_breach(self, *, shares_from: int = 1) -> str | None:
        """Return the first rule that fires, in words, or None. Shares count from ``shares_from`` ended on."""
        for key, threshold in self._thresholds.items():
            if threshold.count is not None and self._in_run[key] > threshold.count:
                counted = f"{self._in_run[key]:,} {'since this resume' if self.past_stop else 'in the run'}"
                return f"{key}: {counted}, now in {self._where}, limit {threshold.count:,}"
            if threshold.share is not None and self._ended >= max(shares_from, 1):
                share = self._in_wave[key] / self._ended
                if share > threshold.share:
                    in_wave = f"{self._in_wave[key]:,} of {self._ended:,} ({format_percent(share)})"
                    return f"{key}: {in_wave} in {self._where}, limit {format_percent(threshold.share)}"
        return None

    def _match(self, outcome: Outcome, reason: str | None) -> list[str]:
        """Return the keys of the rules that count a target."""
        # Nearly all targets end without a reason, and there are few outcomes.
        return self._find_matching(outcome, reason) if reason else self._matching_without_reason[outcome]

    def _find_matching(self, outcome: Outcome, reason: str | None) -> list[str]:
        return [key for key, rule in STOP_RULES.items() if rule.counts(outcome, reason, self._first_run)]


def measure_headroom(
    thresholds: Mapping[str, Threshold],
    in_run: StoppingScope,
    in_step: StoppingScope,
    *,
    first_run: bool,
) -> Iterator[RuleHeadroom]:
    """Yield how far each rule is from stopping the run; a rule that can never fire is left out.

    ``thresholds`` are by the rules' keys.
    """
    for key, threshold in thresholds.items():
        if threshold != _NEVER:
            scope = in_step if threshold.count is None else in_run
            yield _measure_rule(key, threshold, scope, first_run=first_run)


NEAR = 3
"""So many more targets, or fewer, until a rule stops the run are worth a warning."""


def _measure_rule(key: str, threshold: Threshold, scope: StoppingScope, *, first_run: bool) -> RuleHeadroom:
    counted = _count_matching(key, scope.counts, first_run=first_run)
    ended = sum(count for (outcome, word), count in scope.counts.items() if _has_ended(outcome, word))
    more = _count_until_breach(threshold, counted, ended, scope.left)
    limit = describe_threshold(threshold)
    of_ended = f"{counted:,}" if threshold.count is not None else f"{counted:,} of {ended:,}"
    stops = "" if more is None else f": {count_noun(more, 'more stops', 'more stop')} the run"
    return RuleHeadroom(
        rule=key,
        count=counted,
        of=ended,
        limit=limit,
        more=more,
        near=counted > 0 and more is not None and more <= NEAR,
        text=f"{key}: {of_ended} in {scope.where}, limit {limit}{stops}",
    )


class StoppingScope(Struct, frozen=True, kw_only=True):
    """The targets that a stop rule looks at: those of the run, or of the step of a wave that goes on."""

    where: str
    """``the run``, ``wave canary``, ``step 2 of 3 of wave canary``."""
    counts: Counts
    left: int
    """Targets without an outcome."""


def describe_threshold(threshold: Threshold) -> str:
    """Return a limit as a plan writes it: ``20%``, ``5``."""
    return f"{threshold.count:,}" if threshold.share is None else format_percent(threshold.share)


def _count_matching(key: str, counts: Counts, *, first_run: bool) -> int:
    matches = STOP_RULES[key].counts
    return sum(count for (outcome, word), count in counts.items() if matches(outcome, word, first_run))


def may_end_so_again(outcome: Outcome, reason: str | None) -> bool:
    """Return whether a resume may find a target as the session before left it: in doubt, or drifted.

    ``reason`` may be its first word alone.
    """
    return outcome is Outcome.UNKNOWN or (reason or "").startswith(Reason.DRIFTED)


def _has_ended(outcome: Outcome, reason: str | None) -> bool:
    return outcome is not Outcome.NOT_STARTED or (reason or "").startswith(Reason.DRIFTED)


def _count_until_breach(threshold: Threshold, counted: int, ended: int, left: int) -> int | None:
    """Return how many further targets in a row, fire a rule; None if too few are left."""
    if threshold.count is not None:
        more = max(0, threshold.count + 1 - counted)
        return more if more <= left else None
    # Shares count from some number of ended targets on, and at any number once the step has ended.
    share, least = threshold.share or 0.0, min(SHARES_FROM, ended + left)
    more = max(0, least - ended, math.floor((share * ended - counted) / (1 - share)) if share < 1 else left)
    while more <= left:
        if ended + more and (counted + more) / (ended + more) > share:
            return more
        more += 1
    return None


def is_fruitless(counts: Counts, *, left: int = 0) -> bool:
    """Return whether no target of a wave is down, although some were neither held back nor in use.

    ``left`` counts its targets that have no outcome yet.
    """
    down = sum(count for (outcome, word), count in counts.items() if is_as_wanted(outcome, word))
    wanted = sum(count for (_, word), count in counts.items() if word not in _NO_SIGN)
    return wanted + left > 0 and down == 0
