"""Looks at a few targets of one gateway, to find out which reads it offers and how its targets are."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.lanes.environment import Environment
from orchestrator.lanes.exchange import read_answer
from orchestrator.model.credentials import Access
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send
from orchestrator.model.reading import Operation, Reading, Verdict
from orchestrator.model.target import Target


class SampleLooks:
    """Looks at targets without a lane: one request at a time, and no second try."""

    def __init__(self, gateway: Gateway, environment: Environment, send: Send, access: Access) -> None:
        self.offered: dict[str, bool] = {}
        """Whether the gateway offers each read, for the reads of which that is known."""
        self._gateway = gateway
        self._environment = environment
        self._send = send
        self._access = access

    async def read_all(self, targets: Sequence[Target]) -> list[Reading]:
        """Return the reading of each target, up to the first that the gateway refuses to read."""
        readings: list[Reading] = []
        for target in targets:
            # The first target is read in every way there is, to find out which reads the gateway offers.
            reading = await self._read(target, self._gateway.LOOKS if not readings else ())
            readings.append(reading)
            if reading.verdict in _REFUSED:
                break
        return readings

    async def _read(self, target: Target, first: Sequence[Operation]) -> Reading:
        """Return the reading of one target, after the ``first`` reads and those that its kind wants."""
        readings: dict[str, Reading] = {}
        left = list(first)
        while True:
            lacking = frozenset(via for via, is_offered in self.offered.items() if not is_offered)
            found = left.pop(0) if left else self._gateway.next_look(target, readings, lacking, None)
            if isinstance(found, Reading):
                return found
            reading = await self._send_look(found, target)
            if reading.verdict in _REFUSED:
                return reading
            readings[found.via] = reading

    async def _send_look(self, operation: Operation, target: Target) -> Reading:
        now = self._environment.now()
        request = self._gateway.build_request(operation, target, self._access, note=None, now=now)
        answer = await self._send(request)
        reading = read_answer(
            self._environment.known.mask, answer, lambda reply: self._gateway.read(operation, target, reply)
        )
        # Neither a refusal nor a passing fault proves that the read is offered, or is not.
        if reading.verdict not in {*_REFUSED, Verdict.UNCLEAR}:
            self.offered[operation.via] = reading.verdict is not Verdict.NOT_OFFERED
        return reading


_REFUSED = frozenset({Verdict.BUSY, Verdict.DENIED})
"""The gateway asks for fewer requests, or no longer accepts the credential: nothing more is read then."""
