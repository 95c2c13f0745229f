"""The journal of a session at the server: shipped, fetched by others, and forgotten."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace
from temporalio.client import Client

from orchestrator.api import load_plan
from orchestrator.distributed import journal_pages, shipping
from orchestrator.distributed.bounds import PAGES_TOGETHER
from orchestrator.distributed.connection import connect
from orchestrator.distributed.journal_pages import PackedJournal, pack_journal
from orchestrator.distributed.names import name_journal_workflow
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.shipping import PAGE, fetch_journal, ship_pages
from orchestrator.distributed.signals import send_signal
from orchestrator.errors import JournalError
from tests.support.temporal import TemporalServer

pytestmark = [pytest.mark.long("starts a server")]

PLAN = """\
version: 1
name: far
gateways:
  a: {kind: apinizer, url: https://a.example.com, auth: {token: {env: NOT_SET_HERE}}}
targets:
  - {gateway: a, project: P, proxies: [%s], environment: e}
"""


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await connect(temporal.address)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The empty folder of another machine."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackedJournal:
    """A journal of more pages than one workflow keeps."""
    (tmp_path / "plan.yaml").write_text(PLAN % ", ".join(f"proxy-{number}" for number in range(300)))
    with load_plan(tmp_path / "plan.yaml") as loaded:
        monkeypatch.setattr(journal_pages, "PAGE_BYTES", 300)
        return pack_journal(loaded.place, f"undeploy/{uuid4().hex}/1")


async def test_pages_come_back_as_they_were_sent(
    client: Client, packed: PackedJournal, elsewhere: Path
) -> None:
    assert len(packed.pages) > PAGES_TOGETHER
    await ship_pages(client, packed.journal.workflow, packed.pages, ServerPatience())

    await fetch_journal(client, packed.journal, elsewhere, ServerPatience())

    again = pack_journal(elsewhere, packed.journal.workflow)
    assert (elsewhere / "plan.yaml").read_text().startswith("version: 1\nname: far\n")
    assert again.journal.size == packed.journal.size


async def test_pages_that_the_server_holds_back_are_waited_for(
    client: Client, packed: PackedJournal, elsewhere: Path
) -> None:
    """A server holds signals back while a worker has a task of the workflow: here the last one is late."""
    patience, last = ServerPatience(), name_journal_workflow(packed.journal.workflow, 1)
    assert PAGES_TOGETHER + 1 < len(packed.pages) < 2 * PAGES_TOGETHER
    await ship_pages(client, packed.journal.workflow, packed.pages[:-1], patience)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetch_journal, client, packed.journal, elsewhere, patience)
        await anyio.sleep(1)
        assert not (elsewhere / "plan.yaml").exists()
        await send_signal(client, last, PAGE, packed.pages[-1], patience=patience)

    assert (elsewhere / "plan.yaml").read_text().startswith("version: 1\nname: far\n")


async def test_a_page_that_never_comes_is_said_so(
    client: Client, packed: PackedJournal, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_QUIET_POLLS", 1)
    await ship_pages(client, packed.journal.workflow, packed.pages[:-1], ServerPatience())
    there = len(packed.pages) - PAGES_TOGETHER - 1

    with pytest.raises(JournalError, match=f"holds {there} of {there + 1} pages"):
        await fetch_journal(client, packed.journal, elsewhere, ServerPatience())


async def test_other_pages_than_those_that_were_sent_are_refused(
    client: Client, packed: PackedJournal, elsewhere: Path
) -> None:
    await ship_pages(client, packed.journal.workflow, packed.pages, ServerPatience())
    other = replace(packed.journal, digest="0" * 64)

    with pytest.raises(JournalError, match="not those that were sent"):
        await fetch_journal(client, other, elsewhere, ServerPatience())


async def test_pages_that_the_server_has_forgotten_are_said_so(
    client: Client, packed: PackedJournal, elsewhere: Path
) -> None:
    with pytest.raises(JournalError, match=r"has forgotten the journal.*retention"):
        await fetch_journal(client, packed.journal, elsewhere, ServerPatience())
