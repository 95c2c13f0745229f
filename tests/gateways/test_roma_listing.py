"""ROMA's two lists as the reads of a target: what they stand for, and what a row of them keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from orchestrator.gateways.roma.definition import find_newest, is_untouched
from orchestrator.gateways.roma.listing import BACKENDS
from orchestrator.gateways.roma.requests import DEFINITION, HISTORY
from orchestrator.gateways.roma.snapshot import FRONTS
from orchestrator.model.http import Reply
from orchestrator.model.reading import ListPage, Operation, Reading, Snapshot, Verdict
from tests.support.recorded import PARTS, gateway, samples, target
from tests.support.unbound import follow_reads

ROMA = gateway("roma")
OURS = target(*PARTS["roma"])
READ = {sample.name.removeprefix("roma/"): sample.read() for sample in samples("roma")}
FRONT: dict[str, Any] = dict(READ["front-200"].kept or {}) | {"publish_time": "2026-03-01T09:31:00Z"}
API: dict[str, Any] = dict(READ["definition-deployed"].kept or {})


def read(name: str, *apis: Mapping[str, Any], earlier: Any = None) -> ListPage:
    body = msgspec.json.encode({"size": len(apis), "total": len(apis), "apis": apis})
    assert ROMA.listing is not None
    page = ROMA.listing.read(name, Reply(200, {}, body, 0.0), earlier)
    assert isinstance(page, ListPage)
    return page


def list_reads(backend: Mapping[str, Any], *fronts: Mapping[str, Any]) -> Mapping[str, Reading]:
    """The reads that the lists stand for, front ends first, as a lane reads them."""
    rows = {FRONTS: {OURS.parts: tuple(row for _, row in read(FRONTS, *fronts).rows)}}
    backends = tuple(row for _, row in read(BACKENDS, backend, earlier=rows).rows)
    assert ROMA.listing is not None
    return ROMA.listing.read_target(OURS, {BACKENDS: backends, FRONTS: rows[FRONTS][OURS.parts]})


def follow(reads: Mapping[str, Reading], **more: Reading) -> Operation | Snapshot:
    return follow_reads(ROMA, OURS, {**reads, **more})


@pytest.mark.promise(11)
def test_an_unedited_api_needs_no_further_read_and_gives_the_very_snapshot() -> None:
    alone = follow(
        {},
        definition=READ["definition-deployed"],
        history=READ["history-v2"],
        **{f"front/{FRONT['id']}": msgspec.structs.replace(READ["front-200"], kept=FRONT)},
    )

    assert isinstance(alone, Snapshot)
    assert follow(list_reads(API, FRONT)) == alone


@pytest.mark.parametrize(
    ("modified", "published", "untouched"),
    [
        ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z", True),
        ("2026-03-01T09:30:01Z", "2026-03-01T09:30:00Z", False),
        ("2026-03-01T09:30:00Z", "2026-03-01T17:30:00+08:00", True),
        ("2026-03-01T09:30:00Z", "2026-03-01T10:00:00+08:00", False),
        ("2026-03-01T09:30:00", "2026-03-01T09:31:00Z", False),
        ("2026-03-01T09:30:00Z", "2026-03-01T09:31:00", False),
        ("yesterday", "2026-03-01T09:31:00Z", False),
        (None, "2026-03-01T09:31:00Z", False),
        ("2026-03-01T09:30:00Z", None, False),
        ("2026-03-01T09:30:00Z", 1772357400, False),
        ("2026-03-01T09:30:00Z", "2026-03-01T09:31:00Z|2026-03-02T00:00:00Z", True),
        ("2026-03-01T12:00:00Z", "2026-03-01T09:31:00Z|2026-03-02T00:00:00Z", False),
        ("2026-03-01T09:30:00Z", "2026-03-01T09:31:00Z|soon", False),
    ],
)
def test_only_what_is_surely_older_than_its_publication_is_untouched(
    modified: str | None, published: Any, untouched: bool
) -> None:
    assert is_untouched({"modified_time": modified}, published) is untouched
    front = FRONT | {"publish_time": published}
    found = follow(list_reads(API | {"modified_time": modified}, front))
    assert isinstance(found, Snapshot) is untouched
    assert untouched or found == HISTORY


@pytest.mark.parametrize("edited", ["path", "scripts"])
def test_a_digest_tells_an_edit_from_the_definition_that_was_deployed(edited: str) -> None:
    later = API | {"modified_time": "2026-03-05T00:00:00Z"}
    same = follow(list_reads(later, FRONT), history=READ["history-v2"])
    other = follow(list_reads(later | {edited: "changed"}, FRONT), history=READ["history-v2"])

    assert isinstance(same, Snapshot)
    assert isinstance(other, Snapshot)
    assert (same.facts.edited, other.facts.edited) == (False, True)
    assert "unpublished-edits" in other.obstacles


@pytest.mark.parametrize("fronts", [(), (FRONT, FRONT | {"id": "1b" * 16})], ids=["none", "two"])
def test_without_exactly_one_front_end_the_history_decides(fronts: tuple[dict[str, Any], ...]) -> None:
    assert follow(list_reads(API, *fronts)) == HISTORY


def test_a_row_keeps_no_script_and_an_untouched_one_no_digest() -> None:
    large = API | {"scripts": [{"content": "x" * 100_000}]}
    (untouched,) = (
        row
        for _, row in read(
            BACKENDS, large, earlier={FRONTS: {OURS.parts: tuple(row for _, row in read(FRONTS, FRONT).rows)}}
        ).rows
    )
    (compared,) = (row for _, row in read(BACKENDS, large, earlier={FRONTS: {}}).rows)

    assert set(untouched.kept) == {"name", "roma_app_id", "modified_time"}
    assert set(compared.kept) == set(API)
    assert "xxx" not in repr(compared)


@pytest.mark.parametrize(
    "more",
    [{"name": "n" * 32_000}, {f"field-{number}": number for number in range(2_500)}, {"k" * 32_000: 1}],
    ids=["long name", "many fields", "long field"],
)
def test_a_definition_that_is_too_large_to_keep_is_read_alone(more: dict[str, Any]) -> None:
    """A list may have 100,000 entries: what each of them may take is bounded."""
    (row,) = (row for _, row in read(BACKENDS, API | more, earlier={}).rows)

    assert len(msgspec.json.encode(row.kept)) < 5_000
    assert follow(list_reads(API | more)) == DEFINITION


def test_what_can_be_no_target_is_not_kept() -> None:
    assert read(BACKENDS, {"id": "x" * 32_000, "status": 4}, {"id": "../a", "status": 4}).rows == []


@pytest.mark.parametrize(
    "other", [{"id": "../../other"}, {"req_uri": "/" * 2_100}], ids=["no id of a front end", "too long"]
)
def test_a_front_end_that_cannot_be_kept_counts_all_the_same(other: dict[str, Any]) -> None:
    """Of two front ends, the one that can be kept is not the only one."""
    reads = list_reads(API, FRONT, FRONT | other)

    assert FRONTS not in reads
    assert follow(reads) == HISTORY


def test_where_only_looks_want_the_list_a_row_is_a_state() -> None:
    rows = [
        row for _, row in read(BACKENDS, API, API | {"id": "0a" * 16}, API | {"id": "0b", "status": 3}).rows
    ]

    assert rows[0] is rows[1]
    assert [row.verdict for row in rows] == [Verdict.UP, Verdict.UP, Verdict.DOWN]


def test_the_newest_publication_is_named_as_the_vendor_wrote_it() -> None:
    assert find_newest("2026-03-01T23:00:00Z|2026-03-02T06:00:00+08:00") == "2026-03-01T23:00:00Z"
    assert find_newest("soon|2026-03-02T06:00:00Z") == "soon | 2026-03-02T06:00:00Z"
    assert find_newest("") is find_newest(None) is None


def test_under_an_approval_the_definition_alone_is_asked() -> None:
    reads = {
        via: reading for via, reading in list_reads(API, FRONT).items() if reading.verdict is Verdict.TOLD
    }

    assert follow(reads) == DEFINITION
    assert isinstance(follow(reads, definition=READ["definition-deployed"]), Snapshot)
