"""The connection to a Temporal server: what a person reads where it cannot be made."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.address import EngineAddress
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.connection import EngineTls, connect, read_tls
from orchestrator.distributed.patience import ServerPatience
from orchestrator.errors import RunError, UsageError
from orchestrator.lanes.masking import BLOT
from tests.support.late_server import make_tls
from tests.support.peer import listening
from tests.support.ports import find_free_port
from tests.support.temporal import TemporalServer


@pytest.mark.long("starts a server")
async def test_a_server_is_reached(temporal: TemporalServer) -> None:
    client = await connect(temporal.address)

    assert client.namespace == "default"


@pytest.mark.long("starts a server")
async def test_a_namespace_that_does_not_exist_is_named(temporal: TemporalServer) -> None:
    with pytest.raises(UsageError, match="has no namespace nowhere"):
        await connect(replace(temporal.address, namespace="nowhere"))


@pytest.mark.long("starts a server")
async def test_a_server_without_tls_is_told_from_one_that_is_away(temporal: TemporalServer) -> None:
    with pytest.raises(RunError, match=r"no Temporal server can be reached at 127\.0\.0\.1:.*--tls-ca"):
        await connect(temporal.address, EngineTls())


async def test_nobody_at_the_address_is_said_so() -> None:
    port = find_free_port()

    for tls in (None, EngineTls()):
        with pytest.raises(RunError) as refused:
            await connect(EngineAddress(host="127.0.0.1", port=port), tls)
        assert str(refused.value) == (
            f"no Temporal server can be reached at 127.0.0.1:{port}: Connection refused;"
            " is it started, and are host and port right?"
        )


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


@pytest.mark.parametrize("tls", [True, False], ids=["it wants TLS", "it hangs up"])
async def test_a_server_that_ends_a_connection_in_clear_may_want_tls(tls: bool, tmp_path: Path) -> None:
    context = make_tls(tmp_path / "ca.pem") if tls else None
    async with listening(hang_up, tls=context) as port:
        with pytest.raises(RunError, match=r"; is it encrypted[?] then give --tls"):
            await connect(EngineAddress(host="127.0.0.1", port=port))
        with pytest.raises(RunError, match="; look at --tls-ca and --tls-server-name"):
            await connect(EngineAddress(host="127.0.0.1", port=port), EngineTls())


KEY = "an-api-key-that-nobody-may-see"


def make_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


async def refuse_with_key(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each call in HTTP/2 as a proxy that refuses an API key, and repeats it."""
    told = {"content-type": "application/grpc", "grpc-status": "16", "grpc-message": f"no Bearer\n{KEY} here"}
    fields = ((name.encode(), value.replace("\n", "%0A").encode()) for name, value in told.items())
    head = b"\x88" + b"".join(
        b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in fields
    )
    await reader.readexactly(24)
    writer.write(make_frame(4, 0, 0))
    with suppress(asyncio.IncompleteReadError):
        while True:
            size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + await reader.readexactly(9))
            await reader.readexactly(size)
            if kind == 4 and not flags & 1:
                writer.write(make_frame(4, 1, 0))
            if kind in (0, 1) and flags & 1:
                writer.write(make_frame(1, 5, stream, head))


@pytest.mark.promise(9)
async def test_a_server_that_repeats_the_api_key_is_told_without_it() -> None:
    told: list[str | None] = []
    async with listening(refuse_with_key) as port:
        with pytest.raises(RunError, match="no Bearer") as refused:
            await connect(EngineAddress(host="127.0.0.1", port=port), api_key=KEY)

    async def ask() -> None:
        if told:
            return
        raise RPCError(f"no \x1b]0;Bearer {KEY}", RPCStatusCode.UNAUTHENTICATED, b"")

    await ServerPatience(told.append).ask(ask)

    assert KEY not in str(refused.value)
    assert told == [f"no \\u001b]0;Bearer {BLOT}", None]


def test_certificates_are_read_and_judged(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("client.example.com")
    paths = {name: tmp_path / name for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])

    config = read_tls(
        EngineTls(ca_file=paths["ca"], cert_file=paths["cert"], key_file=paths["key"], server_name="other")
    )

    assert config.server_root_ca_cert == authority.cert_pem.bytes()
    assert config.client_private_key == issued.private_key_pem.bytes()
    assert config.domain == "other"
    bad = {
        "give both": EngineTls(cert_file=paths["cert"]),
        "holds no certificate in PEM": EngineTls(ca_file=paths["key"]),
        "holds no private key in PEM": EngineTls(cert_file=paths["cert"], key_file=paths["cert"]),
        "cannot be read": EngineTls(ca_file=tmp_path / "absent"),
        "Is a directory": EngineTls(ca_file=tmp_path),
    }
    for why, tls in bad.items():
        with pytest.raises(UsageError, match=why):
            read_tls(tls)


async def test_an_engine_is_gone_only_where_nothing_listens() -> None:
    gone = TemporalConductor(EngineAddress(host="127.0.0.1", port=find_free_port()))
    assert not await gone.is_there()

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(hang_up) as port:
        unclear = TemporalConductor(EngineAddress(host="127.0.0.1", port=port))
        with pytest.raises(UsageError, match=f"something listens at 127.0.0.1:{port}"):
            await unclear.is_there()
