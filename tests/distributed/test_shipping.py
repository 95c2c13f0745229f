"""The journal of a session at the server: shipped, fetched by others, and forgotten."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from temporalio.client import Client

from orchestrator.api import load_plan
from orchestrator.distributed import journal_pages
from orchestrator.distributed.connection import connect
from orchestrator.distributed.journal_pages import PackedJournal, pack_journal
from orchestrator.distributed.names import PAGES_TOGETHER
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.shipping import fetch_journal, ship_pages
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
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackedJournal:
    """A journal of more pages than one workflow keeps."""
    (tmp_path / "plan.yaml").write_text(PLAN % ", ".join(f"proxy-{number}" for number in range(300)))
    with load_plan(tmp_path / "plan.yaml") as loaded:
        monkeypatch.setattr(journal_pages, "PAGE_BYTES", 300)
        return pack_journal(loaded.place, f"undeploy/{uuid4().hex}/1")


async def test_pages_come_back_as_they_were_sent(
    client: Client, packed: PackedJournal, tmp_path: Path
) -> None:
    assert len(packed.pages) > PAGES_TOGETHER
    await ship_pages(client, packed.journal.workflow, packed.pages, ServerPatience())

    await fetch_journal(client, packed.journal, tmp_path, ServerPatience())

    again = pack_journal(tmp_path, packed.journal.workflow)
    assert (tmp_path / "plan.yaml").read_text().startswith("version: 1\nname: far\n")
    assert again.journal.size == packed.journal.size


async def test_other_pages_than_those_that_were_sent_are_refused(
    client: Client, packed: PackedJournal, tmp_path: Path
) -> None:
    await ship_pages(client, packed.journal.workflow, packed.pages, ServerPatience())
    other = replace(packed.journal, digest="0" * 64)

    with pytest.raises(JournalError, match="not those that were sent"):
        await fetch_journal(client, other, tmp_path / "nowhere", ServerPatience())


async def test_pages_that_the_server_has_forgotten_are_said_so(
    client: Client, packed: PackedJournal, tmp_path: Path
) -> None:
    with pytest.raises(JournalError, match=r"has forgotten the journal.*retention"):
        await fetch_journal(client, packed.journal, tmp_path, ServerPatience())
