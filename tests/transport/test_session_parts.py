"""The parts of aiohttp that the guards of the session replace: of this signature, or nothing is sent."""

import inspect
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from orchestrator.errors import UsageError
from tests.support.peer import NO_CONTENT, ask, saying, serving

pytestmark = pytest.mark.parametrize("client_name", ["session"], indirect=True)


@pytest.mark.parametrize(
    ("part", "parameters"),
    [
        (aiohttp.TCPConnector._get, ["self", "key", "traces"]),
        (aiohttp.TCPConnector._create_connection, ["self", "req", "traces", "timeout"]),
        (aiohttp.TCPConnector.connect, ["self", "req", "traces", "timeout"]),
        (aiohttp.ClientRequest.write_bytes, ["self", "writer", "conn", "content_length"]),
        (ResponseHandler.start_timeout, ["self"]),
        (ResponseHandler.data_received, ["self", "data"]),
    ],
)
def test_a_part_that_a_guard_replaces_has_the_same_signature(
    part: Callable[..., object], parameters: list[str]
) -> None:
    assert list(inspect.signature(part).parameters) == parameters


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (aiohttp.BaseConnector, "_get"),
        (aiohttp.TCPConnector, "clear_dns_cache"),
        (aiohttp.ClientRequest, "write_bytes"),
        (ResponseHandler, "start_timeout"),
    ],
)
async def test_without_a_guard_nothing_is_sent(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, name)
    async with serving(saying(NO_CONTENT)) as peer:
        with pytest.raises(
            UsageError, match=f"since it has no {name}; install a version .* Nothing was sent"
        ):
            await ask(f"{peer.url}/a")
        assert peer.connections == 0
