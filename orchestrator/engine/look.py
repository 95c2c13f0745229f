"""One look at the live state of a target, through as many of the vendor's reads as that takes.

The reads of a snapshot, which stand in for the first look, are in ``snapshot.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace

from orchestrator.engine.attempts import TargetAttempts, make_look_request
from orchestrator.lanes.lane import Lane
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.retry import TargetHistory, mirror_reading


async def look_at(
    attempts: TargetAttempts,
    target: Target,
    history: TargetHistory,
    admitted: AdmissionRequest | None,
    seen: Mapping[str, Reading] = MappingProxyType({}),
) -> Reading | str:
    """Return what a look amounts to, or why its lane admits no further read of it.

    The lane has ``admitted`` the first read, if given; the others ask for themselves. ``seen`` holds, by
    ``via``, the readings that are known without a read.
    """
    return await _ReadSequence(attempts, target, history, seen).read(admitted)


def conclude_look(
    lane: Lane, target: Target, history: TargetHistory, seen: Mapping[str, Reading]
) -> Reading | Operation:
    """Return what the readings amount to, by their ``via``; or the read that is still needed."""
    # A restore asks for more: deployed in full is more than deployed at all.
    is_restore = lane.policy.act is Act.DEPLOY
    conclude = lane.gateway.restore.next_proof if is_restore else lane.gateway.next_look
    return conclude(target, seen, lane.offered_looks.lacking, history.reply_to_settle)


class _ReadSequence:
    """The reads of one look so far."""

    def __init__(
        self,
        attempts: TargetAttempts,
        target: Target,
        history: TargetHistory,
        seen: Mapping[str, Reading],
    ) -> None:
        self._attempts = attempts
        self._target = target
        self._history = history
        self._seen = dict(seen)
        self._found = self._conclude()
        """The reading that the reads so far amount to, or the read that is still needed."""

    async def read(self, admission: AdmissionRequest | None) -> Reading | str:
        found = self._found
        while isinstance(found, Operation):
            if admission is None:
                admission = make_look_request(self._target, self._history)
                if refused := await self._attempts.lane.admit(admission):
                    return refused
            reading = await self._attempts.send(
                self._target, admission, found, partial(self._take_in, found.via)
            )
            admission, found = None, self._found
            if isinstance(found, Reading):
                return reading
        return mirror_reading(self._attempts.lane.policy, Act.LOOK, found)

    def _take_in(self, via: str, reading: Reading) -> Reading:
        """Take in the newest reading; return what the journal keeps of it.

        The journal keeps the conclusion with the last of several reads: a resume goes by that row.
        """
        if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
            # The same read is asked again, and only that: starting over would never end at a slow gateway.
            return reading
        if reading.verdict is Verdict.UNSENT:
            self._found = reading
            return reading
        reading = self._attempts.lane.offered_looks.learn(via, reading)
        if reading.verdict is not Verdict.NOT_OFFERED:
            self._seen[via] = reading
        self._found = self._conclude()
        if isinstance(self._found, Reading):
            return self._found
        if self._attempts.lane.policy.act is Act.DEPLOY:
            # Half a look says nothing yet of what is wanted, and a restore would take it for an answer.
            return replace(reading, verdict=Verdict.TOLD)
        return reading

    def _conclude(self) -> Reading | Operation:
        return conclude_look(self._attempts.lane, self._target, self._history, self._seen)
