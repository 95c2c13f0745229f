"""The server of the live page of one run, on an event loop of its own."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestrator.errors import OrchestratorError
from orchestrator.journal.read_types import prepare_read_types
from orchestrator.live.access import AccessGuard
from orchestrator.live.address import PageAddress
from orchestrator.live.connections import serve_connections
from orchestrator.live.page_state import PageState
from orchestrator.live.routes import PageRoutes
from orchestrator.live.run_link import RunLink

# Now, and not when the server starts: that may be on a thread of its own, while the run reads its journal.
prepare_read_types()


def make_guard(address: PageAddress) -> AccessGuard:
    """Return the gate of a server at ``address``, with a new token."""
    names = () if address.is_loopback else (socket.gethostname(),)
    return AccessGuard(address, lambda: secrets.token_urlsafe(32), names)


@asynccontextmanager
async def serve_page(
    listener: socket.socket, guard: AccessGuard, link: RunLink, complain: Callable[[str], None]
) -> AsyncIterator[PageState]:
    """Serve the live page of a run for the block. ``complain`` is told of the server's own faults."""
    state = PageState(link)
    routes = PageRoutes(state, guard, complain)
    async with serve_connections(listener, routes.answer, complain):
        watching = asyncio.create_task(_keep_watching(state, complain))
        try:
            yield state
        finally:
            watching.cancel()
            routes.close()


async def _keep_watching(state: PageState, complain: Callable[[str], None]) -> None:
    while True:
        try:
            await state.watch()
        except OrchestratorError:
            await asyncio.sleep(1.0)
        except Exception as bug:  # noqa: BLE001 - a bug of the page must not end the run, nor the page
            complain(f"the live page: {bug!r}")
            await asyncio.sleep(1.0)
