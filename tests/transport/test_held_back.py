"""A request whose right to leave ends while its connection is opened: no byte of it arrives."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from orchestrator.model.http import HELD_BACK, Reply, Request
from orchestrator.model.settings import Tls
from orchestrator.transport import client
from tests.support.late_server import LateServer, make_tls
from tests.support.peer import HEADERS, NO_CONTENT, gateway, saying, serving

connect = partial(client.connect, folder=Path(), environment={})


@pytest.mark.promise(2)
@pytest.mark.parametrize("body", [None, b"{}"], ids=["no body", "a body"])
async def test_a_right_that_ends_within_the_tls_handshake_lets_no_byte_leave(
    body: bytes | None, tmp_path: Path
) -> None:
    tls = make_tls(tmp_path / "ca.pem")
    trusting = gateway(url="https://127.0.0.1", tls=Tls(ca_file=str(tmp_path / "ca.pem")))
    has_right, asked = True, 0

    def may_leave() -> bool:
        nonlocal asked
        asked += 1
        return has_right

    async with (
        serving(saying(NO_CONTENT), tls=tls) as peer,
        LateServer(int(peer.url.rpartition(":")[2])).serve() as late,
        connect(trusting) as send,
    ):
        request = Request("POST", f"https://127.0.0.1:{late.port}/a", HEADERS, body, may_leave=may_leave)
        sending = asyncio.create_task(send(request))
        await late.knocked.wait()
        has_right = False
        late.may_go_on.set()

        assert await sending is HELD_BACK
        assert (peer.requests, asked) == ([], 1)  # it was asked, so the connection stood

        has_right = True
        assert isinstance(await send(request), Reply)
        assert len(peer.requests) == 1


async def test_a_right_is_asked_for_on_a_connection_that_rests_too() -> None:
    has_right = True
    async with serving(saying(NO_CONTENT)) as peer, connect(gateway()) as send:
        request = Request("POST", f"{peer.url}/a", HEADERS, may_leave=lambda: has_right)
        assert isinstance(await send(request), Reply)
        has_right = False

        assert await send(request) is HELD_BACK
        assert len(peer.requests) == 1
