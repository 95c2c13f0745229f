"""The requests about the targets of one gateway, counted by their replies and by their seconds."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from orchestrator.model.live_status import SECONDS_BOUNDS, RequestCounts

_STATUSES = {status.value: str(status.value) for status in HTTPStatus}


def name_answer(status: int | None) -> str:
    """Return the status of a reply as a label: ``204``, ``no_reply``, ``unknown_status``."""
    if status is None:
        return "no_reply"
    # A hostile gateway may answer with a new status each time, and each would be a series of its own.
    return _STATUSES.get(status, "unknown_status")


class RequestTally:
    """The requests of one act. ``LaneProgress`` counts them, without a call for each."""

    __slots__ = ("answers", "seconds", "within")

    def __init__(self) -> None:
        # By number, which is named once it is read: a status has three digits, so these are not many.
        self.answers: dict[int | None, int] = {}
        self.seconds = 0.0
        self.within = [0] * (len(SECONDS_BOUNDS) + 1)

    def describe(self, gateway: str, act: str) -> RequestCounts:
        """Return the counts for the status of the run."""
        answers = Counter[str]()
        for status, count in dict(self.answers).items():  # another thread may count meanwhile
            answers[name_answer(status)] += count
        return RequestCounts(
            gateway=gateway,
            act=act,
            answers=dict(answers),
            seconds=round(self.seconds, 6),
            within=tuple(self.within),
        )
