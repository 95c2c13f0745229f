"""What a run takes from outside, as far as there is a rule in it: an exchange that never ends is ended."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

import orchestrator
from orchestrator.lanes.environment import compute_exchange_limit, open_connection
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from tests.support.engine import environment, gateway, played


@pytest.mark.promise(10)
@pytest.mark.parametrize(("timeout", "ends"), [(30.0, 45.0), (0.5, 1.0), (150.0, 165.0)])
def test_an_exchange_that_never_ends_is_lost_a_while_after_its_timeout(timeout: float, ends: float) -> None:
    """Whatever the network does with its own timeouts: the lane gets its turn back."""

    @asynccontextmanager
    async def connect(_: Gateway) -> AsyncIterator[Send]:
        async def send(_: Request) -> Reply | Lost:
            await anyio.sleep_forever()
            raise AssertionError

        yield send

    async def main() -> tuple[float, Reply | Lost]:
        entry = gateway(timeout=timeout)
        async with open_connection(replace(environment(), connect=connect), entry) as send:
            answer = await send(Request("GET", "https://gw.example", {}))
        return anyio.current_time(), answer

    at, answer = played(main)
    assert at == ends == compute_exchange_limit(gateway(timeout=timeout))
    assert answer == Lost(sent=True, detail=f"the exchange did not end within {ends:g} s")


def test_every_connection_is_opened_where_the_limit_of_an_exchange_holds() -> None:
    """Every way to a gateway is opened by ``open_connection``; a worker lets it open one with a lease."""
    package = Path(orchestrator.__file__).parent
    callers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if all(name in (text := path.read_text(encoding="utf-8")) for name in ("environment", "connect"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("environment.connect")
    }

    assert callers == {"distributed/kept_lane.py", "lanes/environment.py"}
