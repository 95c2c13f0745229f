"""The lease of a chunk: until when its worker may send, as far as the server has heard of it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from orchestrator.distributed.bounds import LEASE_MARGIN
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.http import HELD_BACK, Lost, Reply, Request, Send

LAPSED = Lost(sent=False, detail="the server has not heard of this worker for too long, so nothing was sent")
"""The answer to a request that was held back."""


class Lease:
    """Counts from the beginning of the last heartbeat that the server has acknowledged.

    Until its end no other worker gets the chunk. ``monotonic`` must count the time that the machine sleeps.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """``seconds``: after so many without a heartbeat the server gives the chunk to another worker."""
        self._lasts = max(seconds - LEASE_MARGIN, seconds / 2)
        self._monotonic = monotonic
        self._until = -1.0
        self._changed = Wakeup()
        self.is_lost = False
        """The server says that the chunk is no longer this worker's."""

    @property
    def is_alive(self) -> bool:
        """Whether a request may leave now."""
        return not self.is_lost and self._monotonic() < self._until

    def renew(self, began: float) -> None:
        """Take in that a heartbeat which began at ``began`` was acknowledged."""
        self._until = max(self._until, began + self._lasts)
        self._changed.ring()

    def lose(self) -> None:
        """Let nothing leave any more."""
        self.is_lost = True
        self._changed.ring()

    async def wait(self) -> None:
        """Return once the lease is alive, or lost for good."""
        while not (self.is_lost or self.is_alive):
            await self._changed.wait(1.0)


class LeasedSend:
    """Sends requests of a lane while the lease of its present chunk is alive."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        """Of the present chunk; nothing leaves without one."""

    def may_leave(self) -> bool:
        """Return whether bytes of a request may leave at this moment."""
        return self.lease is not None and self.lease.is_alive

    def guard(self, send: Send) -> Send:
        """Return a ``send`` that waits until the lease is alive. Once it is lost, nothing leaves.

        A request that was held back at the last moment (``LAPSED``) waits for the lease again.
        """

        async def send_leased(request: Request) -> Reply | Lost:
            while (lease := self.lease) is not None and not lease.is_lost:
                if not lease.is_alive:
                    await lease.wait()
                    continue
                answer = await send(request)
                if answer is not LAPSED:
                    return answer
            return LAPSED

        return send_leased

    def hold_back(self, send: Send) -> Send:
        """Return a ``send`` that answers ``LAPSED`` at once where nothing may leave.

        Before it opens a connection, and once more when the connection stands.
        """

        async def send_at_once(request: Request) -> Reply | Lost:
            if not self.may_leave():
                return LAPSED
            answer = await send(replace(request, may_leave=self.may_leave))
            return LAPSED if answer is HELD_BACK else answer

        return send_at_once
