"""Both catalogs by their samples, and by replies that nobody has recorded: they never raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.discover.filters import DiscoveryFilters, assign_filters
from orchestrator.gateways.roma.listing import BACKENDS
from orchestrator.gateways.roma.search import MOST_PAGES
from orchestrator.model.credentials import AccessKeys, Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.search import QueryResult, SearchQuery, TargetFilter, parse_instant
from tests.gateways.test_contract import replies
from tests.support.recorded import SAMPLES, every_kind, feature, gateway, read_yaml

FOLDERS = sorted(path.parent for path in SAMPLES.glob("*/catalog/*/reply.json"))


def name(folder: Path) -> str:
    return f"{folder.parts[-3]}-{folder.name}"


def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(folder / "expected.yaml")
    return found


def reply(folder: Path) -> Reply:
    fields = msgspec.json.decode((folder / "reply.json").read_bytes())
    body = folder / "body"
    headers = {key.lower(): value for key, value in fields["headers"].items()}
    return Reply(fields["status"], headers, body.read_bytes() if body.exists() else b"", 0.0)


def wanted(kind: str, texts: dict[str, Any]) -> TargetFilter:
    globs = {key: tuple(value) for key, value in texts.items() if key != "deployed-before"}
    filters = DiscoveryFilters(texts=globs, before=texts.get("deployed-before"))
    return assign_filters(filters, [gateway(kind)])["gw"]


def query_of(folder: Path) -> SearchQuery:
    """Go through the samples that come before this one; what follows is always the first that is asked."""
    kind, said = folder.parts[-3], expected(folder)
    query = gateway(kind, **said.get("gateway", {})).search.start(wanted(kind, said.get("wanted", {})))
    for before in said.get("after", ()):
        read = query.read(reply(folder.parent / before))
        if isinstance(read, Reading):
            assert query.failed is not None
            read = query.failed(read)
        query = next(iter(read.queries))
    return query


def told(part: QueryResult) -> dict[str, Any]:
    """What a part says, without what it says nothing of."""
    found = [{"parts": list(one.parts), "notes": list(one.notes), "since": one.since} for one in part.found]
    said = {
        "seen": part.seen,
        "deployed": part.deployed,
        "found": [{key: value for key, value in one.items() if value} for one in found],
        "ask": [query.name for query in part.queries],
        "gaps": list(part.gaps),
        "remarks": list(part.remarks),
    }
    return {key: value for key, value in said.items() if value}


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_sample_is_read_as_it_wants(folder: Path) -> None:
    read, said = query_of(folder).read(reply(folder)), expected(folder)

    if "part" in said:
        assert isinstance(read, QueryResult), read
        assert told(read) == said["part"]
    else:
        assert isinstance(read, Reading), read
        assert (read.verdict, read.hint) == (
            Verdict(said["reading"]["verdict"]),
            said["reading"].get("hint", ""),
        )


ONE_OF_EACH = list({query_of(folder).name: folder for folder in FOLDERS}.values())
"""Samples that lead to each sort of query."""


def reachable(query: SearchQuery, answer: Reply, deep: int = 3) -> Iterator[SearchQuery]:
    """Every kind of query that follows from the same answer, a few of each."""
    yield query
    read = query.read(answer)
    part = read if isinstance(read, QueryResult) else query.failed(read) if query.failed else QueryResult()
    for below in islice(part.queries, 3) if deep else ():
        yield from reachable(below, answer, deep - 1)


@settings(max_examples=40)  # an answer is read by each query, and by each that may follow from it
@given(answer=replies)
def test_no_reply_makes_a_catalog_raise_or_say_what_it_cannot_know(answer: Reply) -> None:
    for query in (query for folder in ONE_OF_EACH for query in reachable(query_of(folder), answer)):
        read = query.read(answer)
        if isinstance(read, QueryResult):
            assert not read.found or answer.status == 200, query.name
            list(islice(read.queries, 10))
        else:
            assert read.verdict not in {Verdict.UP, Verdict.DOWN, Verdict.REMOVED}, query.name


@pytest.mark.promise(9)
@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_query_is_a_read_and_holds_its_credential_in_one_header(folder: Path) -> None:
    request = query_of(folder).request(Secret("marker-token"), 0.0)

    assert (request.method, request.body) == ("GET", None)
    assert "marker-token" not in request.url
    assert sum("marker-token" in value for value in request.headers.values()) == 1


def test_a_query_of_roma_is_signed_where_there_are_keys() -> None:
    keys = AccessKeys(Secret("FAKEAK"), Secret("fakeSk"))
    request = gateway("roma").search.start(TargetFilter()).request(keys, 0.0)

    assert request.headers["Authorization"].startswith("SDK-HMAC-SHA256 Access=FAKEAK")


@pytest.mark.parametrize("kind", every_kind("search"))
def test_a_kind_says_what_it_can_be_filtered_by(kind: str) -> None:
    assert {"name", "path", "type", "deployed-before"} <= set(feature(kind, "search").filters)


@pytest.mark.parametrize("project", ["..", ".", "a/b", "50% off", "Sipariş"])
def test_a_name_that_would_vanish_from_the_path_is_never_asked_for(project: str) -> None:
    rows = msgspec.json.encode({"status": "SUCCESS", "resultList": [{"name": project}], "resultCount": 1})
    first = gateway("apinizer").search.start(TargetFilter())
    part = first.read(Reply(200, {}, rows, 0.0))
    assert isinstance(part, QueryResult)
    (report,) = part.queries
    assert report.failed is not None
    (query,) = report.failed(Reading(verdict=Verdict.REFUSED)).queries

    if project in {".", ".."}:
        with pytest.raises(ValueError, match="cannot be a part"):
            query.request(Secret("t"), 0.0)
    else:
        assert query.request(Secret("t"), 0.0).url.count("/") == 7


@pytest.mark.parametrize(
    ("text", "is_told"),
    [("2026-03-01T09:30:00Z", True), ("2026-03-01T09:30:00.000+03:00", True), ("2026-03-01T09:30:00", False),
     ("2026-03-01T24:00:00Z", False), ("20260301 24Z", False), ("2026-03-24T00:24:24Z", True),
     ("yesterday", False), ("", False), (None, False)],
)  # fmt: skip
def test_a_time_without_its_offset_and_the_hour_24_tell_nothing(text: str | None, is_told: bool) -> None:
    """Python 3.14 reads 24:00 as the next midnight, and 3.11 not at all."""
    assert (parse_instant(text) is not None) == is_told


def page(ids: list[str], total: int) -> Reply:
    apis = [{"id": one, "name": one, "status": 4} for one in ids]
    body = {"size": len(ids), "total": total, "apis": apis}
    return Reply(200, {}, msgspec.json.encode(body), 0.0)


class Moving:
    """An instance whose list changes between two pages; ``size`` entries to a page."""

    def __init__(self, ids: list[str], size: int) -> None:
        self.ids = ids
        self.pages = 0
        self._size = size

    def answer(self, url: str) -> Reply:
        self.pages += 1
        offset = int(url.rpartition("offset=")[2])
        return page(self.ids[offset : offset + self._size], len(self.ids))


def collected(there: Moving, changes: list[Any]) -> tuple[set[str], list[str]]:
    """Read the whole list; after each page the next of ``changes`` is made to it."""
    asked: list[SearchQuery] = [gateway("roma").search.start(TargetFilter())]
    found: set[str] = set()
    gaps: list[str] = []
    while asked:
        query = asked.pop()
        answer = there.answer(query.request(Secret("t"), 0.0).url)
        if changes:
            changes.pop(0)(there.ids)
        part = query.read(answer)
        assert isinstance(part, QueryResult)
        found.update(one.parts[0] for one in part.found)
        gaps += part.gaps
        asked += part.queries
        assert there.pages < 500
    return found, gaps


@settings(deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 7),
    gone=st.lists(st.lists(st.integers(0, 29), max_size=3), max_size=3),
)
def test_a_list_that_shifts_loses_nothing(count: int, size: int, gone: list[list[int]]) -> None:
    """What stays on the list is found, wherever others leave it meanwhile; or it is said that it may not."""
    ids = [f"{number:032x}" for number in range(count)]
    there = Moving(list(ids), size)

    def without(places: list[int]) -> Any:
        def change(listed: list[str]) -> None:
            for place in places:
                if place < len(listed):
                    del listed[place]

        return change

    found, gaps = collected(there, [without(places) for places in gone])

    if size > 1:  # pages of one cannot overlap: there the total alone tells
        assert set(there.ids) <= found or gaps
        assert not gaps or len(gone) > 2


def test_a_list_that_never_stands_still_is_said_to_be_partial() -> None:
    there = Moving([f"{number:032x}" for number in range(40)], 5)
    found, gaps = collected(there, [lambda ids: ids.pop(0)] * 400)

    assert len(gaps) == 1
    assert "changes too fast to be read whole" in gaps[0]
    assert len(found) >= 5


def test_a_server_that_has_no_pages_ends() -> None:
    """It sends the same entries whatever the offset."""
    asked = [gateway("roma").search.start(TargetFilter())]
    pages, gaps = 0, []
    while asked:
        pages += 1
        part = asked.pop().read(page(["a", "b"], 5))
        assert isinstance(part, QueryResult)
        asked += part.queries
        gaps += part.gaps

    assert pages < 20
    assert "2 were seen, and it says that there are 5" in gaps[0]


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("entries", "most"),
    [
        (lambda offset: [f"{number:032x}" for number in range(offset, offset + 500)], 210),
        (lambda offset: [f"{offset:032x}"], MOST_PAGES),
        (lambda offset: ["a"], 10),
        (lambda offset: [None], 10),
    ],
    ids=["long pages", "pages of one", "the same one", "without ids"],
)
@pytest.mark.long("reads very long lists")
def test_a_list_without_an_end_ends(entries: Callable[[int], list[str | None]], most: int) -> None:
    """By its own word it has a thousand million million entries."""
    asked = [gateway("roma").search.start(TargetFilter())]
    pages, gaps = 0, list[str]()
    while asked:
        query, pages = asked.pop(), pages + 1
        offset = int(query.request(Secret("t"), 0.0).url.rpartition("=")[2])
        apis = [{"id": one, "status": 3} for one in entries(offset)]
        body = msgspec.json.encode({"size": len(apis), "total": 10**15, "apis": apis})
        part = query.read(Reply(200, {}, body, 0.0))
        assert isinstance(part, QueryResult)
        asked += part.queries
        gaps += part.gaps

    assert pages <= most
    assert "and it says that there are 1,000,000,000,000,000" in gaps[-1]


@pytest.mark.parametrize("total", [-1, "5", 5.0, True, None, 2**63, 10**300])
def test_a_total_that_counts_nothing_is_no_list(total: object) -> None:
    body = msgspec.json.encode({"size": 0, "total": total, "apis": []})
    found = gateway("roma").listing.read(BACKENDS, Reply(200, {}, body, 0.0), {})

    assert isinstance(found, Reading)
    assert found.verdict is Verdict.UNCLEAR


def test_an_entry_in_two_states_is_named_and_not_taken() -> None:
    apis = [
        {"id": "a", "status": 4},
        {"id": "b", "status": 4},
        {"id": "a", "status": 3},
        {"id": "b", "status": 4},
    ]
    body = msgspec.json.encode({"size": 4, "total": 2, "apis": apis})
    part = gateway("roma").search.start(TargetFilter()).read(Reply(200, {}, body, 0.0))

    assert isinstance(part, QueryResult)
    assert [one.parts for one in part.found] == [("b",)]
    assert part.gaps == ("the backend API a: it is listed twice, in two states",)
