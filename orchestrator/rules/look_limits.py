"""How a lane's looks are held back by the pauses that concern looks alone. No clock."""

from __future__ import annotations

from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.rules.pacing import bound_stated_rate
from orchestrator.rules.retry import RetryPolicy, choose_pause
from orchestrator.rules.shared_pace import SharedPace

UNSENT_IN_A_ROW = 5
"""So many requests in a row that could not even be sent count as an ill gateway."""


class LookLimits:
    """The pauses of one lane's looks. All times are monotonic seconds.

    A look that is refused for a while, or could not be sent, costs its target nothing. So without a bound of
    its own a lane that sends nothing but looks could go on for ever.
    """

    def __init__(self, policy: RetryPolicy, park_for: float, pace: SharedPace) -> None:
        """``pace`` is the lane's."""
        self._pace = pace
        self.paused_until = 0.0
        self.refusal: str | None = None
        """Why no look may leave any more, though undeploys may; None while looks may."""
        self._policy = policy
        self._park_for = park_for
        self._busy_since: float | None = None
        self._unsent_since: float | None = None
        self._unsent = 0

    def pause_until(self, at: float) -> None:
        """Let no look leave before ``at``."""
        self.paused_until = max(self.paused_until, at)

    def begin_anew(self) -> None:
        """Count refused and unsent looks from the next one on: for a while none could be asked."""
        self._busy_since = self._unsent_since = None

    def leave_out(self, seconds: float) -> None:
        """Leave seconds that have passed out of the time of refused looks, and out of that of unsent ones."""
        if self._busy_since is not None:
            self._busy_since += seconds
        if self._unsent_since is not None:
            self._unsent_since += seconds

    def observe(self, reading: Reading, began: float, now: float, *, crowded: bool) -> None:
        """Take in a look that left at ``began``. ``crowded``: a proxy said that it takes no more."""
        match reading.verdict:
            case Verdict.BUSY:
                self._observe_busy(reading, began, now)
            case Verdict.UNSENT:
                self._observe_unsent(now)
            case _:
                self._busy_since = self._unsent_since = None
                if crowded:
                    self._pace.observe_refusal(Act.LOOK, began, now, wait=0.0)
                else:
                    self._pace.observe_answer(Act.LOOK, began, now)

    def observe_undeploy(self) -> None:
        """Take in that an undeploy was answered: the gateway can be reached."""
        self._unsent_since = None

    def are_unsendable(self, now: float) -> bool:
        """Return whether no look could be sent for ``park_for`` seconds, though several were tried."""
        since = self._unsent_since
        return since is not None and now - since >= self._park_for and self._unsent >= UNSENT_IN_A_ROW

    def _observe_busy(self, reading: Reading, began: float, now: float) -> None:
        # A 429 to a look pauses the looks alone: the gateway may well have a limit for reads only.
        self._unsent_since = None
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since >= self._park_for:
            self.refusal = f"{Reason.PARKED}: nothing but refusals to be looked at more"
        wait = choose_pause(self._policy, reading, 1, most=self._park_for)
        stated = bound_stated_rate(reading.rate, self._park_for)
        self._pace.observe_refusal(Act.LOOK, began, now, wait=wait, hint=stated)
        self.pause_until(now + wait)
        self._pace.hold(Act.LOOK, self.paused_until)

    def _observe_unsent(self, now: float) -> None:
        if self._unsent_since is None:
            self._unsent_since, self._unsent = now, 0
        self._unsent += 1
