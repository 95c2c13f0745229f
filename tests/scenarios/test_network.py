"""Whole runs through TLS and through a forward proxy, as a company's network has them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.commands import CommandResult
from tests.support.forwarding import Forward, forwarding
from tests.support.stage import Stage, until

pytestmark = pytest.mark.long("starts proxies and TLS servers beside processes")

PASSWORD = "a-password-that-nobody-may-see"
TRUSTED = "tls: {ca_file: trust/ca.pem}"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forward]:
    """A proxy that wants a user and a password."""
    with forwarding(tmp_path_factory.mktemp("forward"), "--basic-auth", f"me:{PASSWORD}") as proxy:
        yield proxy


@pytest.fixture
def stage(staged: Callable[..., Stage], ca: trustme.CA) -> Stage:
    """Three targets of each gateway; the authority's certificate is beside the plan, in another folder."""
    stage = staged(3, 3)
    (stage.folder / "plans" / "trust").mkdir(parents=True)
    ca.cert_pem.write_to_path(str(stage.folder / "plans" / "trust" / "ca.pem"))
    for name in PROXIES:
        stage.env.pop(name, None)
        stage.env.pop(name.upper(), None)
    return stage


@asynccontextmanager
async def behind_tls(urls: Mapping[str, str], ca: trustme.CA) -> AsyncIterator[dict[str, str]]:
    """Put a server before each of ``urls`` that takes TLS off and hands everything on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with contextlib.AsyncExitStack() as fronts:
        secured = {}
        for name, url in urls.items():
            port = urlsplit(url).port
            assert port is not None
            server = await asyncio.start_server(_relay_to(port), "127.0.0.1", 0, ssl=context)
            await fronts.enter_async_context(server)
            secured[name] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield secured


def _relay_to(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(hand_on(reader, inner_writer), hand_on(inner_reader, writer))

    return relay


def write_plan(stage: Stage, urls: Mapping[str, str], keys: str) -> Path:
    """Write the plan into a folder of its own; ``keys`` are of both gateways."""
    written = stage.write_plan(urls=urls, roma=keys, apim=keys)
    return written.rename(stage.folder / "plans" / "plan.yaml")


async def undeploy(stage: Stage, *arguments: str | Path) -> CommandResult:
    return await asyncio.to_thread(stage.undeploy, *arguments)


async def given_up(stage: Stage, plan: Path) -> CommandResult:
    """Run until every lane is parked, and end it: what is wrong may be mended while a run waits."""

    def run() -> CommandResult:
        told = stage.folder / "errors"
        with told.open("w") as errors, stage.started("run", plan, "--yes", stderr=errors) as process:
            until(lambda: told.read_text().count("parked, being probed") == 2)
            process.terminate()
            out, _ = process.communicate(timeout=10)
        return CommandResult(process.returncode, out, told.read_text())

    return await asyncio.to_thread(run)


def everything_left(stage: Stage, *ended: CommandResult) -> str:
    """All that a run wrote, anywhere."""
    files = [path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()]
    told = "".join(each.out + each.err for each in ended)
    return told + b"".join(files).decode(errors="replace")


async def test_a_run_believes_the_authority_beside_its_plan(stage: Stage, ca: trustme.CA) -> None:
    async with behind_tls(stage.platform.urls, ca) as urls:
        plan = write_plan(stage, urls, TRUSTED)
        ended = await undeploy(stage, "run", plan, "--yes")

    assert ended.status == 0, ended.err
    assert set(stage.outcomes().values()) == {"undeployed"}
    assert stage.requests() == 6
    stage.assert_truth()


async def test_a_run_that_does_not_know_the_authority_sends_nothing(stage: Stage, ca: trustme.CA) -> None:
    async with behind_tls(stage.platform.urls, ca) as urls:
        plan = write_plan(stage, urls, "tls: {}")
        ended = await given_up(stage, plan)

    assert ended.status == 130, ended.err
    assert "signed by an authority that is not known here; name that authority's certificate" in ended.err
    assert set(stage.outcomes().values()) == {"not_started"}
    assert stage.requests() == 0


async def test_an_authority_that_is_not_there_ends_the_run_before_it_begins(
    stage: Stage, ca: trustme.CA
) -> None:
    async with behind_tls(stage.platform.urls, ca) as urls:
        plan = write_plan(stage, urls, "tls: {ca_file: ca.pem}")
        ended = await undeploy(stage, "run", plan, "--yes")

    assert (ended.status, ended.out, stage.requests(), stage.has_run) == (2, "", 0, False)
    assert "tls.ca_file ca.pem cannot be read: No such file or directory" in ended.err


@pytest.mark.promise(9)
async def test_a_run_goes_through_the_proxy_and_shows_it_no_credential(
    stage: Stage, ca: trustme.CA, forward: Forward
) -> None:
    stage.env["HTTPS_PROXY"] = f"http://me:{PASSWORD}@{forward.place}"
    async with behind_tls(stage.platform.urls, ca) as urls:
        plan = write_plan(stage, urls, TRUSTED)
        ended = await undeploy(stage, "run", plan, "--yes", "--log-level", "debug")
        log = await forward.said(*(f"CONNECT {urlsplit(url).netloc}" for url in urls.values()))

    assert ended.status == 0, ended.err
    assert stage.requests() == 6
    assert FAKE_TOKEN not in log
    assert PASSWORD not in everything_left(stage, ended)


@pytest.mark.promise(9)
async def test_a_proxy_that_refuses_us_is_told_without_its_password(
    stage: Stage, ca: trustme.CA, forward: Forward
) -> None:
    wrong = "another-password-that-nobody-may-see"
    stage.env["HTTPS_PROXY"] = f"http://me:{wrong}@{forward.place}"

    async with behind_tls(stage.platform.urls, ca) as urls:
        plan = write_plan(stage, urls, TRUSTED)
        ended = await given_up(stage, plan)

    assert ended.status == 130, ended.err
    assert f"the proxy {forward.place} refused the way to 127.0.0.1: 407" in ended.err
    assert stage.requests() == 0
    assert wrong not in everything_left(stage, ended)


async def test_what_no_proxy_spares_is_reached_directly(stage: Stage, forward: Forward) -> None:
    places = ",".join(urlsplit(url).netloc for url in stage.platform.urls.values())
    stage.env |= {"HTTP_PROXY": forward.url, "NO_PROXY": places}
    ended = await undeploy(stage, "run", stage.write_plan(), "--yes")

    assert ended.status == 0, ended.err
    assert stage.requests() == 6


async def test_the_plans_proxy_is_taken_whatever_the_environment_spares(
    stage: Stage, forward: Forward
) -> None:
    stage.env["NO_PROXY"] = "*"
    ended = await given_up(stage, write_plan(stage, {}, f"proxy: '{forward.url}'"))

    assert ended.status == 130, ended.err
    assert f"the proxy {forward.place} refused the way to 127.0.0.1: 407" in ended.err
    assert stage.requests() == 0


async def test_an_environment_that_names_no_proxy_ends_the_run_before_it_begins(stage: Stage) -> None:
    stage.env["HTTP_PROXY"] = f"socks5://me:{PASSWORD}@127.0.0.1:1080"
    ended = await undeploy(stage, "run", stage.write_plan(), "--yes")

    assert (ended.status, ended.out, stage.requests(), stage.has_run) == (2, "", 0, False)
    assert "HTTP_PROXY holds no address of a proxy" in ended.err
    assert PASSWORD not in ended.err


async def test_a_rehearsal_stays_on_this_machine(stage: Stage) -> None:
    """Neither the plan's proxy and certificates nor the environment's proxy have a part in it."""
    stage.env |= {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    urls = {name: f"https://{name}.example.com" for name in stage.platform.urls}
    plan = write_plan(stage, urls, "proxy: 'http://127.0.0.1:9', tls: {ca_file: none.pem}")
    ended = await undeploy(stage, "rehearse", plan)

    assert ended.status == 0, ended.err
    assert stage.requests() == 0
