"""Tells the person at a worker's machine when the Temporal server is lost, and when it is back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import anyio
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed.patience import NO_ANSWER
from orchestrator.distributed.server_words import clean_words
from orchestrator.distributed.silence import TOLD_AFTER
from orchestrator.model.outcome import NO_SERVER

PERIOD = 2.0
"""Seconds between two questions."""

_PATIENCE = timedelta(seconds=5)


async def watch_server(client: Client, url: str, tell: Callable[[str], None]) -> None:
    """Give ``tell`` a line when the server at ``url`` has not answered for a while, and one when it does.

    Never returns.
    """
    lost_at: float | None = None
    is_told = False
    while True:
        why = await _ask(client)
        now = anyio.current_time()
        if why is None:
            if is_told:
                tell(f"{NO_SERVER} {url} answers again")
            lost_at, is_told = None, False
        elif lost_at is None:
            lost_at = now
        elif now - lost_at >= TOLD_AFTER and not is_told:
            is_told = True
            tell(f"{NO_SERVER} {url} does not answer ({why}); nothing is sent until it does")
        await anyio.sleep(PERIOD)


async def _ask(client: Client) -> str | None:
    """Return why the server gives no answer; None if it does."""
    try:
        await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=_PATIENCE)
    except RPCError as error:
        return clean_words(error.message) if error.status in NO_ANSWER else None
    return None
