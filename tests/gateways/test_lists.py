"""The lists that spare single reads, by their samples, and by replies that nobody has recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from orchestrator.model.credentials import Secret
from orchestrator.model.http import LARGEST_BODY, Reply
from orchestrator.model.reading import ListPage, Reading, Verdict
from tests.gateways.test_contract import replies
from tests.support.recorded import PARTS, SAMPLES, every_kind, feature, gateway, read_yaml, target

FOLDERS = sorted(path.parent for path in SAMPLES.glob("*/lists/*/reply.json"))


def _name(folder: Path) -> str:
    return f"{folder.parts[-3]}-{folder.name}"


def _read_reply(folder: Path) -> Reply:
    fields = msgspec.json.decode((folder / "reply.json").read_bytes())
    headers = {key.lower(): value for key, value in fields["headers"].items()}
    return Reply(fields["status"], headers, (folder / "body").read_bytes(), 0.0)


def _convert(fields: dict[str, Any]) -> Reading:
    return msgspec.convert({**fields, "verdict": Verdict(fields["verdict"])}, Reading)


@pytest.mark.promise(3)
@pytest.mark.parametrize("folder", FOLDERS, ids=_name)
def test_a_sample_is_read_as_it_wants(folder: Path) -> None:
    said = read_yaml(folder / "expected.yaml")
    listing = gateway(folder.parts[-3]).listing
    assert listing is not None
    page = listing.read(said["list"], _read_reply(folder), {})

    if "reading" in said:
        assert isinstance(page, Reading), page
        wanted = _convert(said["reading"])
        assert (page.verdict, page.code, page.wait) == (wanted.verdict, wanted.code, wanted.wait)
        assert wanted.message in (page.message, None)
        return
    assert isinstance(page, ListPage), page
    ours = target(*said["target"])
    rows = list(dict.fromkeys(row for parts, row in page.rows if parts == ours.parts))
    found = listing.read_target(ours, {said["list"]: rows})
    assert page.size == said["entries"]
    assert found == {via: _convert(fields) for via, fields in said["readings"].items()}


@pytest.mark.parametrize("kind", every_kind("listing"))
@settings(deadline=None)
@given(reply=replies)
def test_no_reply_makes_a_list_raise_or_say_what_it_cannot_know(kind: str, reply: Reply) -> None:
    listing = feature(kind, "listing")
    for name in listing.names:
        page = listing.read(name, reply, {})
        if isinstance(page, ListPage):
            assert reply.status == 200
        else:
            assert page.verdict in {Verdict.BUSY, Verdict.DENIED, Verdict.NOT_OFFERED, Verdict.UNCLEAR}


@pytest.mark.parametrize("kind", every_kind("listing"))
def test_a_list_is_a_read_with_a_bound_of_its_own(kind: str) -> None:
    listing = feature(kind, "listing")
    for name in listing.names:
        request = listing.build_request(name, 0, listing.page_size, Secret("marker-token"), now=0.0)

        assert (request.method, request.body) == ("GET", None)
        assert request.largest > LARGEST_BODY
        assert "marker-token" not in request.url


@pytest.mark.parametrize("kind", every_kind("listing"))
def test_a_list_that_leaves_a_target_out_says_nothing_of_it(kind: str) -> None:
    listing = feature(kind, "listing")

    assert listing.read_target(target(*PARTS[kind]), dict.fromkeys(listing.state_names, ())) == {}
