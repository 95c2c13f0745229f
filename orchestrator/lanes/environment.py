"""Everything that a lane takes from the outside world: time, chance, the network, credentials.

A real run takes those of the machine. A simulated run takes a virtual clock, a seed and a network of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec import Struct, field

from orchestrator.errors import CredentialError
from orchestrator.lanes.exchange_guard import ExchangeGuard
from orchestrator.lanes.key_trials import KeyTrials
from orchestrator.lanes.masking import KnownSecrets
from orchestrator.model.credentials import Material, Secret, StoreCredential
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send


class StoreAccess(Struct, frozen=True):
    """The way to the traffic stores beside the gateways."""

    connect: Callable[[Gateway], AbstractAsyncContextManager[Send]]
    """Opens a connection to the store of a gateway that has one."""
    credential: Callable[[Gateway], Awaitable[StoreCredential]]
    """Resolves the references of that store, again at each call; raises CredentialError."""


class Environment(Struct, frozen=True, kw_only=True):
    """Where time, chance, connections and credentials come from. Waiting itself is the event loop's."""

    now: Callable[[], float]
    """Unix seconds; may jump."""
    monotonic: Callable[[], float]
    """Seconds from some point; never jumps."""
    roll: Callable[[], float]
    """A number from 0 up to 1."""
    connect: Callable[[Gateway], AbstractAsyncContextManager[Send]]
    """Opens the connections of one lane, as many as its limits allow and with its timeouts."""
    warning: Callable[[], str | None] = lambda: None
    """Returns what a run is to be told of this machine, if there is something; needs a running event loop."""
    check: Callable[[Gateway], None] = lambda _: None
    """Raises UsageError if the plan's certificates or proxy for a gateway cannot be used."""
    passwords: Callable[[Gateway], tuple[Secret, ...]] = lambda _: ()
    """Returns the passwords of the proxies in front of a gateway: replies may repeat them."""
    known: KnownSecrets = field(default_factory=KnownSecrets)
    """The credentials that were in use so far, of all gateways: one may repeat another's."""
    trials: KeyTrials = field(default_factory=KeyTrials)
    """The access keys that were tried so far: several gateways may have one key."""
    credential: Callable[[Gateway], Awaitable[Material]]
    """Resolves a gateway's references, again at each call; raises CredentialError."""
    reach: Callable[[Gateway], Gateway] = lambda gateway: gateway
    """Returns the gateway with the address to use: a rehearsal uses a simulator's."""
    store: StoreAccess | None = None
    """The way to the traffic stores of gateways; None where they are not asked."""


async def resolve_each(
    gateways: Iterable[Gateway], resolve: Callable[[Gateway], Awaitable[Material]]
) -> dict[str, Material]:
    """Return the credential that ``resolve`` finds for each of ``gateways``, by the gateway's name.

    Raises CredentialError with a line for each that cannot be resolved, so that all are mended at once.
    """
    found: dict[str, Material] = {}
    missing: list[str] = []
    for gateway in gateways:
        try:
            found[gateway.name] = await resolve(gateway)
        except CredentialError as error:
            missing.append(str(error))
    if missing:
        # Gateways may share a reference, and its line would stand there twice.
        raise CredentialError("\n".join(dict.fromkeys(missing)))
    return found


GRACE = 15.0
"""Seconds beyond a reply's timeout, for connecting, and for the sender to notice the timeout by itself. A
timeout shorter than this is doubled instead."""


def compute_exchange_limit(gateway: Gateway) -> float:
    """Return how many seconds one exchange with a gateway may take, connecting included."""
    return gateway.reply_timeout + min(GRACE, gateway.reply_timeout)


@asynccontextmanager
async def open_connection(environment: Environment, gateway: Gateway) -> AsyncIterator[Send]:
    """Open the connections of one lane.

    No exchange takes longer than ``compute_exchange_limit``: a request without a reply by then is lost, and
    may have arrived.
    """
    # The transport has timeouts of its own. This one holds whatever the transport does: a worker that hangs
    # would keep its lane, and the run, for ever.
    async with environment.connect(gateway) as send:
        guard = ExchangeGuard(send, compute_exchange_limit(gateway))
        try:
            yield guard.send
        finally:
            guard.close()
