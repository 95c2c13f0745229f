"""The exchange on uvloop, which a program that calls the library may run it on."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.settings import Tls
from orchestrator.transport.client import connect
from tests.support.peer import HEADERS, NO_CONTENT, OK, SHORT, gateway, listening, saying, serving, silence

uvloop = pytest.importorskip("uvloop", reason="the extra uvloop is not installed")
pytestmark = pytest.mark.parametrize("client_name", ["exchange"], indirect=True)


def play(main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        await main()

    uvloop.run(body())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_connection_carries_many_requests(tls: bool, tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    lane = gateway(tls=Tls(ca_file="ca.pem"))

    async def main() -> None:
        async with (
            serving(saying(NO_CONTENT, OK), tls=context if tls else None) as peer,
            connect(lane, tmp_path, {}) as send,
        ):
            for _ in range(20):
                assert isinstance(await send(Request("POST", f"{peer.url}/a", HEADERS, b"{}")), Reply)
            assert (len(peer.requests), peer.connections) == (20, 1)

    play(main)


@pytest.mark.promise(3)
def test_a_server_that_speaks_first_is_sent_nothing() -> None:
    received: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        received.append(await reader.read())

    async def main() -> None:
        async with listening(greet) as port, connect(gateway(), Path(), {}) as send:
            answer = await send(Request("POST", f"http://127.0.0.1:{port}/a", HEADERS))
        assert answer == Lost(False, "something came before anything was asked, so nothing was sent")

    play(main)
    assert not any(received)


def test_the_deadline_holds() -> None:
    async def main() -> None:
        async with serving(silence) as peer, connect(gateway(timeout=SHORT), Path(), {}) as send:
            answer = await send(Request("POST", f"{peer.url}/a", HEADERS))
        assert answer == Lost(sent=True, detail="no whole reply in time")

    play(main)
