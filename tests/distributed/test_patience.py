"""How long a server is asked that does not answer, and what counts as its answer."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.patience import GONE_AFTER, ServerPatience, make_brief_patience
from tests.support.engine import played

HOUR = 3600.0
RIGHTS = [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED]


def ask(patience: ServerPatience, find_error: Callable[[float], RPCStatusCode | None]) -> tuple[float, str]:
    """Ask for two hours at most; return the second at which that ended, and how."""

    async def call() -> str:
        if (status := find_error(anyio.current_time())) is not None:
            raise RPCError("tcp connect error", status, b"")
        return "an answer"

    async def main() -> tuple[float, str]:
        answer = "none"
        with anyio.move_on_after(2 * HOUR):
            try:
                answer = await patience.ask(call)
            except RPCError as error:
                answer = error.status.name
        return anyio.current_time(), answer

    return played(main)


@pytest.mark.parametrize("status", [RPCStatusCode.UNAVAILABLE, *RIGHTS])
def test_what_is_under_way_is_asked_after_for_as_long_as_it_takes(status: RPCStatusCode) -> None:
    ended_at, answer = ask(ServerPatience(), lambda at: status if at < HOUR else None)

    assert answer == "an answer"
    assert ended_at < HOUR + 6


def test_a_command_with_nothing_under_way_gives_a_silent_server_up() -> None:
    told: list[str] = []

    ended_at, answer = ask(make_brief_patience(told.append), lambda _: RPCStatusCode.UNAVAILABLE)

    assert answer == "UNAVAILABLE"
    assert GONE_AFTER <= ended_at < GONE_AFTER + 6
    assert told == ["the server does not answer: tcp connect error"]


def test_a_server_that_is_back_in_time_has_its_time_again() -> None:
    patience = make_brief_patience(lambda _: None)

    assert ask(patience, lambda at: RPCStatusCode.UNAVAILABLE if at < 100 else None)[1] == "an answer"
    assert ask(patience, lambda at: RPCStatusCode.UNAVAILABLE if at < 100 else None)[1] == "an answer"


@pytest.mark.parametrize("status", RIGHTS)
def test_a_missing_right_is_an_answer_to_a_command_with_nothing_under_way(status: RPCStatusCode) -> None:
    told: list[str] = []

    assert ask(make_brief_patience(told.append), lambda _: status) == (0.0, status.name)
    assert told == [], "the server does answer"
