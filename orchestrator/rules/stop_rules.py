"""When a run stops by itself: too much failed, unknown or surprising."""

from __future__ import annotations

from collections import Counter

from orchestrator.model.outcome import DONE, HELD_BACK, Counts, Outcome, Reason
from orchestrator.model.plan import StopWhen, Threshold

SHARES_FROM = 20
"""Shares count from this many ended targets of a wave on, and at any number before the next wave."""


def is_surprising(outcome: Outcome, reason: str | None, *, first_run: bool) -> bool:
    """Tell whether an outcome is a sign of a wrong file or a wrong environment."""
    word = (reason or "").partition(":")[0]
    if word in (Reason.ABSENT, Reason.DRIFTED):
        return True
    return first_run and outcome is Outcome.ALREADY_UNDEPLOYED


class StopRules:
    """What the stop rules count: shares within a wave of this session, counts within the whole run.

    A session that goes on past a stop accepts what was counted before it, and the doubts that were open then.
    """

    def __init__(
        self, stop_when: StopWhen, before: Counts, *, first_run: bool, past_stop: bool = False
    ) -> None:
        self._rules: dict[str, Threshold] = {
            "failed": stop_when.failed,
            "unknown": stop_when.unknown,
            "surprising": stop_when.surprising,
        }
        self._first_run = first_run
        self.past_stop = past_stop
        self._run: Counter[str] = Counter()
        for (outcome, word), count in () if past_stop else before.items():
            for rule in self._match(outcome, word):
                self._run[rule] += count
        self._wave: Counter[str] = Counter()
        self._ended = 0
        self._where = "the wave"

    def next_wave(self, name: str = "", step: str = "") -> None:
        """Begin to count shares afresh, in the wave of that name, or in a step of it (``step 2 of 3``)."""
        self._wave.clear()
        self._ended = 0
        self._where = " of ".join(filter(None, (step, f"wave {name}"))) if name else "the wave"

    def wait(self) -> str | None:
        """Count a target as ended that has the vendor's full evidence and waits for the look that many share.

        Without it those that were down already, which wait for nothing, would be the whole wave for a while.
        Returns which rule fires now, in words, or None.
        """
        self._ended += 1
        return self.find_breach(shares_from=SHARES_FROM) if self._ended == SHARES_FROM else None

    def add(self, outcome: Outcome, reason: str | None, *, doubted: bool, waited: bool = False) -> str | None:
        """Count a target; return which rule fires now, in words, or None.

        ``doubted``: an earlier session had left it in doubt. ``waited``: it was counted by ``wait``.
        """
        if doubted and self.past_stop and outcome is Outcome.UNKNOWN:
            return None
        ended = outcome is not Outcome.NOT_STARTED or (reason or "").startswith(Reason.DRIFTED)
        self._ended += ended - waited
        counted = self._match(outcome, reason)
        for rule in counted:
            self._run[rule] += 1
            self._wave[rule] += 1
        # The target that makes a wave large enough for shares may itself be one that no rule counts.
        return self.find_breach(shares_from=SHARES_FROM) if counted or self._ended == SHARES_FROM else None

    def find_breach(self, *, shares_from: int = 1) -> str | None:
        """Return which rule is broken, in words, or None."""
        for rule, threshold in self._rules.items():
            if threshold.count is not None and self._run[rule] > threshold.count:
                return (
                    f"{rule}: {self._run[rule]:,} in the run, now in {self._where}, limit {threshold.count:,}"
                )
            if threshold.share is not None and self._ended >= max(shares_from, 1):
                share = self._wave[rule] / self._ended
                if share > threshold.share:
                    counted = (
                        f"{self._wave[rule]:,} of {self._ended:,} ({_format_percent(share)}) in {self._where}"
                    )
                    return f"{rule}: {counted}, limit {_format_percent(threshold.share)}"
        return None

    def _match(self, outcome: Outcome, reason: str | None) -> list[str]:
        rules = [rule for rule in ("failed", "unknown") if rule == outcome]
        if is_surprising(outcome, reason, first_run=self._first_run):
            rules.append("surprising")
        return rules


def _format_percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def is_fruitless(counts: Counts, *, left: int = 0) -> bool:
    """Tell whether nothing of a wave is down, though not everything in it was held back.

    ``left`` counts its targets that have no outcome yet.
    """
    down = sum(count for (outcome, _), count in counts.items() if outcome in DONE)
    wanted = sum(count for (_, word), count in counts.items() if word not in HELD_BACK)
    return wanted + left > 0 and down == 0
