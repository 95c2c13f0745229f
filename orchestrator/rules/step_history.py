"""The past of one step that completes a restored target, such as the publish in one environment."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.reading import Reading, Verdict

_UNCHARGED = (Verdict.BUSY, Verdict.DENIED, Verdict.UNSENT, Verdict.ELSEWHERE)
WITHOUT_EFFECT = (Verdict.REFUSED, Verdict.CONTESTED, Verdict.ABSENT)
"""The verdicts of a gateway that has refused a step, and changed nothing."""


class StepHistory(Struct, frozen=True, kw_only=True):
    """The requests of one step so far."""

    charged: int = 0
    """Requests that count against ``attempts``. 401s, 429s and unsent ones do not."""
    may_have_arrived: bool = False
    """Some request of ours may have taken effect."""
    reply: Reading | None = None
    """The reading of the newest request that counts; None too if that one has no result."""


def take_in_step(history: StepHistory, reading: Reading | None) -> StepHistory:
    """Take in one request of a step; ``reading`` is None where an intent has no result."""
    verdict = reading.verdict if reading else Verdict.DOUBT
    if verdict in _UNCHARGED:
        return history
    return StepHistory(
        charged=history.charged + 1,
        may_have_arrived=history.may_have_arrived or verdict not in WITHOUT_EFFECT,
        reply=reading,
    )
