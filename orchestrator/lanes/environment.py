"""Everything that a lane takes from outside, handed in: time, chance, the network, credentials.

A real run takes those of the machine; a simulated one takes a virtual clock, a seed and a network of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from msgspec import Struct, field

from orchestrator.lanes.masking import KnownSecrets
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send


class Environment(Struct, frozen=True, kw_only=True):
    """Where time, chance and the rest come from. Waiting itself is the event loop's."""

    now: Callable[[], float]
    """Unix seconds; may jump."""
    monotonic: Callable[[], float]
    """Seconds from some point; never jumps."""
    roll: Callable[[], float]
    """A number from 0 up to 1."""
    connect: Callable[[Gateway], AbstractAsyncContextManager[Send]]
    """Opens what one lane sends through, sized to its limits and with its timeouts."""
    check: Callable[[Gateway], None] = lambda _: None
    """Raises where a gateway cannot be connected to as the plan says: a certificate, a proxy."""
    passwords: Callable[[Gateway], tuple[Secret, ...]] = lambda _: ()
    """What else lets requests through to a gateway: the passwords of its proxies."""
    known: KnownSecrets = field(default_factory=KnownSecrets)
    """The credentials that were in use so far, of all gateways."""
    credential: Callable[[Gateway], Awaitable[Material]]
    """Resolves a gateway's references, anew at each call; raises CredentialError."""
    reach: Callable[[Gateway], Gateway] = lambda gateway: gateway
    """Where a gateway is reached: a rehearsal puts a simulator's address in its place."""


GRACE = 15.0
"""Seconds beyond a reply's timeout (or as long again, where that is shorter) in which a connection must stand
and the sender itself must have noticed that no reply has come."""


def exchange_within(gateway: Gateway) -> float:
    """Return the seconds that one exchange with a gateway may take, connecting included, whoever sends it."""
    return gateway.reply_timeout + min(GRACE, gateway.reply_timeout)


@asynccontextmanager
async def open_connection(environment: Environment, gateway: Gateway) -> AsyncIterator[Send]:
    """Open what one lane sends through. No exchange outlasts ``exchange_within``: a request that does is
    lost, and may have arrived."""
    seconds = exchange_within(gateway)
    async with environment.connect(gateway) as send:

        async def send_within(request: Request) -> Reply | Lost:
            with anyio.move_on_after(seconds):
                return await send(request)
            return Lost(sent=True, detail=f"the exchange did not end within {seconds:g} s")

        yield send_within
