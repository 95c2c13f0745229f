"""What a worker says of a server that it has lost."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.server_watch import PERIOD, watch_server
from orchestrator.distributed.silence import TOLD_AFTER
from tests.support.engine import played

URL = "temporal://127.0.0.1:7233/default"


class Server:
    """A client of a server that answers with an error, or not, at each second."""

    def __init__(self, find_error: Callable[[float], RPCStatusCode | None]) -> None:
        self.workflow_service = self
        self._find_error = find_error

    async def get_system_info(self, *_: object, **__: object) -> None:
        if (status := self._find_error(anyio.current_time())) is not None:
            raise RPCError("tcp connect error", status, b"")


def watch(find_error: Callable[[float], RPCStatusCode | None]) -> list[tuple[float, str]]:
    """Return what is told within five minutes, each with its second."""
    told: list[tuple[float, str]] = []

    async def main() -> None:
        with anyio.move_on_after(300.0):
            await watch_server(
                Server(find_error),  # type: ignore[arg-type]
                URL,
                lambda line: told.append((anyio.current_time(), line)),
            )

    played(main)
    return told


def test_a_lost_server_is_told_once_after_a_while_and_once_when_it_is_back() -> None:
    (lost_at, lost), (back_at, back) = watch(lambda at: RPCStatusCode.UNAVAILABLE if 20 < at < 120 else None)

    assert (
        lost
        == f"the Temporal server at {URL} does not answer (tcp connect error); nothing is sent until it does"
    )
    assert 20 + TOLD_AFTER <= lost_at <= 20 + TOLD_AFTER + 2 * PERIOD
    assert back == f"the Temporal server at {URL} answers again"
    assert 120 <= back_at <= 120 + PERIOD


def test_a_server_that_is_away_for_a_moment_is_no_news() -> None:
    assert watch(lambda at: RPCStatusCode.UNAVAILABLE if 20 < at < 24 else None) == []


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED])
def test_a_server_that_refuses_the_question_has_answered(status: RPCStatusCode) -> None:
    assert watch(lambda _: status) == []
