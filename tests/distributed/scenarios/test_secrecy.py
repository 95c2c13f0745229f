"""A credential is looked for in all that the server keeps, and TLS to the server keeps it from listeners."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.scenarios.test_secrets import MARKERS, spellings_of
from tests.support.histories import read_everything
from tests.support.stage import roma_id
from tests.support.temporal import TemporalServer
from tests.support.zone_proxy import run_beside
from tests.support.zones import EAST, WEST, ZoneStage, kill

pytestmark = [
    pytest.mark.long("workers, drivers and a server are processes of their own"),
    pytest.mark.timeout(300),
]


@pytest.mark.promise(9)
def test_the_server_keeps_a_credential_in_no_spelling_of_it(zoned: Callable[..., ZoneStage]) -> None:
    """Each target of a zone is refused in words that repeat its credential in another spelling."""
    spelt = spellings_of(MARKERS[1])
    stage = zoned(len(spelt), 6, tokens=())
    stage.secrets = {EAST: MARKERS[1], WEST: MARKERS[0]}
    stage.expect(
        {
            roma_id(number): (InjectedFault(kind=FaultKind.STATUS, status=403, message=f"no: <{text}>."),)
            for number, text in enumerate(spelt)
        }
    )
    workers = stage.start_workers()
    plan = stage.write_plan(top="stop_when: {failed: 100%}")
    ended = stage.drive("run", plan, "--yes", "--events", "events", "--log-level", "debug")
    kept = asyncio.run(read_everything(stage.server.address.target, stage.namespace))
    left = {
        "stdout": [ended.out.encode()],
        "stderr": [ended.err.encode()],
        **{f"worker {at}": [stage.read_log(one, "err").encode()] for at, one in enumerate(workers)},
        **{str(path): [path.read_bytes()] for path in stage.folder.rglob("*") if path.is_file()},
        **kept,
    }
    whole = b"".join(data for each in kept.values() for data in each)
    forms = {text.encode() for text in (*spelt, *spellings_of(MARKERS[0]))}
    forms |= {text[8:-8] for text in forms if len(text) >= 28}

    assert ended.status == 1, ended.err
    assert all("•••" in reason for name, reason in stage.reasons().items() if name.startswith("roma"))
    assert len(kept) >= 4, "a run, two lanes, a journal"
    assert "•••".encode() in whole, "the search does not reach the results"
    assert b"SQLite format 3" in whole, "the search does not reach the journal"
    assert [name for name, each in left.items() for data in each for form in forms if form in data] == []


@pytest.fixture
def encrypted(temporal: TemporalServer, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """TLS in front of the server, which wants a certificate of the client.

    Yields its port, and the options that reach it.
    """
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("temporal.example.com").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.set_alpn_protocols(["h2"])
    ours = authority.issue_cert("driver@example.com")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        down, up = await asyncio.open_connection(temporal.address.host, temporal.address.port)
        ways = [asyncio.create_task(_pass_on(reader, up)), asyncio.create_task(_pass_on(down, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    with run_beside(forward, server) as port:
        files = ("--tls-ca", "ca.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
        yield (str(port), *files, "--tls-server-name", "temporal.example.com")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_everybody_reaches_the_server_by_tls_with_certificates_and_a_lost_worker_s_chunk_goes_on(
    zoned: Callable[..., ZoneStage], encrypted: tuple[str, ...]
) -> None:
    port, *options = encrypted
    stage = zoned(120, 10)
    stage.lease = 5.0
    stage.url = f"temporal://127.0.0.1:{port}/{stage.namespace}"
    plan = stage.write_plan(roma="limits: {concurrency: 6, rate: 40/s}")
    stage.tls = tuple(options[:2])
    stranger = stage.drive("run", plan, "--yes")
    stage.tls = ("--tls-ca", str(stage.folder / "ca.pem"), *options[2:])
    lost, _ = stage.start_workers()
    with stage.started("run", plan, "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 20)
        kill(lost)
        before = stage.settled()
        stage.start_worker(EAST)
        ended = stage.finish(driver)

    assert stranger.status == 2, stranger.err
    assert "tls" in stranger.err.lower()
    assert ended.status == 0, ended.err
    assert before < 130
    assert set(stage.outcomes().values()) <= {"undeployed", "already_undeployed"}
    stage.assert_sound(losses=1)
