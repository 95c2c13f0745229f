"""The pages of a journal's targets: every target once, in their order, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Literal
from unicodedata import normalize

import msgspec
import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.target_pages import (
    MOST_ROWS,
    OPEN,
    TargetQuery,
    TargetRow,
    read_target_page,
    read_target_report,
)
from orchestrator.text.characters import make_visible
from tests.support.journals import apim, journal, plan, roma, target
from tests.support.names import ACCENTS_APART, NAMES

PLAN = plan(roma("roma"), apim("apim"), waves=("canary", "rest", "rest"))
RANKS = ["failed", "unknown", "not_started", None, "undeployed", "restored", "already_undeployed"]


class MadeUpRow(msgspec.Struct, frozen=True):
    seq: int
    id: str
    wave: int
    outcome: str | None
    reason: str | None
    attempts: int


def make_rows(random: Random, count: int) -> list[MadeUpRow]:
    return [
        MadeUpRow(
            seq,
            f"apim/Retail/x%_{seq}/test" if seq % 3 else f"roma/a{seq}",
            random.randrange(3),
            outcome := random.choice(RANKS),
            random.choice([None, "refused: APIG.1 ÄÖ", "spent: 50% of_it"]) if outcome else None,
            random.randrange(4),
        )
        for seq in range(1, count + 1)
    ]


def make_folder(path: Path, rows: list[MadeUpRow]) -> RunFolder:
    made = journal(path, PLAN, (target(row.seq, row.id, row.wave) for row in rows))
    with closing(open_database(made, write=True)) as database, database.transaction():
        for row in rows:
            ended = None if row.outcome is None else 1000.0 + row.seq
            database.run(
                "UPDATE target SET outcome = ?, reason = ?, seconds = 0.5, ended = ? WHERE seq = ?",
                (row.outcome, row.reason, ended, row.seq),
            )
            for number in range(1, row.attempts + 1):
                database.run(
                    "INSERT INTO attempt (seq, number, act, via, started) VALUES (?, ?, 'look', 'x', 1.0)",
                    (row.seq, number),
                )
    path.chmod(0o700)
    return RunFolder(path)


def read_all(folder: RunFolder, **asked: Any) -> Iterator[TargetRow]:
    """Read page by page; the first page tells how many there are."""
    after, total, seen = "", None, 0
    while True:
        page = read_target_page(folder, TargetQuery(**asked, after=after))
        total = page.total if not after else total
        assert (page.total is None) == bool(after)
        seen += len(page.rows)
        yield from page.rows
        if page.next is None:
            break
        after = page.next
    assert seen == total


def order(rows: list[MadeUpRow]) -> list[str]:
    return [row.id for row in sorted(rows, key=lambda row: (RANKS.index(row.outcome), row.seq))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 7, 100])
def test_the_pages_hold_every_target_once_and_failures_first(tmp_path: Path, seed: int, n: int) -> None:
    rows = make_rows(Random(seed), 40)
    folder = make_folder(tmp_path, rows)

    found = list(read_all(folder, n=n))

    assert [row.id for row in found] == order(rows)
    by_id = {row.id: row for row in rows}
    waves = [wave.name for wave in PLAN.waves]
    assert [
        (row.outcome, row.reason, row.attempts, row.wave, row.gateway, row.ended is None) for row in found
    ] == [
        (
            made.outcome,
            made.reason,
            made.attempts,
            waves[made.wave],
            made.id.split("/")[0],
            made.outcome is None,
        )
        for made in (by_id[row.id] for row in found)
    ]


@pytest.mark.parametrize(
    "outcome", ["failed", "unknown,failed", "not_started", "undeployed", OPEN, f"{OPEN},failed"]
)
@pytest.mark.parametrize(("gateway", "wave"), [("", ""), ("apim", ""), ("", "rest"), ("roma", "canary")])
def test_pages_of_one_outcome_one_gateway_one_wave(
    tmp_path: Path, outcome: str, gateway: str, wave: str
) -> None:
    rows = make_rows(Random(7), 60)
    folder = make_folder(tmp_path, rows)
    wanted = [
        row
        for row in rows
        if (row.outcome or OPEN) in outcome.split(",")
        and gateway in ("", row.id.split("/")[0])
        and wave in ("", PLAN.waves[row.wave].name)
    ]

    found = [row.id for row in read_all(folder, n=3, outcome=outcome, gateway=gateway, wave=wave)]

    assert found == order(wanted)


@pytest.mark.parametrize(
    "text", ["apig.1", "X%_1", "50%", "of_", "%", "_", "\\", "a3", "nothing like it", "'"]
)
def test_a_filter_finds_its_text_in_ids_and_reasons(tmp_path: Path, text: str) -> None:
    rows = make_rows(Random(3), 60)
    folder = make_folder(tmp_path, rows)
    wanted = [
        row for row in rows if text.lower() in row.id.lower() or text.lower() in (row.reason or "").lower()
    ]

    assert [row.id for row in read_all(folder, n=5, filter=text)] == order(wanted)


@pytest.mark.parametrize("asked", [{"gateway": "nowhere"}, {"wave": "never"}, {"filter": "zzz"}])
def test_what_matches_nothing_is_an_empty_page(tmp_path: Path, asked: dict[str, str]) -> None:
    page = read_target_page(make_folder(tmp_path, make_rows(Random(1), 9)), TargetQuery(**asked))

    assert (page.rows, page.next, page.total) == ((), None, 0)


@pytest.mark.parametrize(
    "asked",
    [
        {"n": 0},
        {"n": MOST_ROWS + 1},
        {"n": "many"},
        {"outcome": "lost"},
        {"outcome": "failed,lost"},
        {"after": "1"},
        {"after": "1-2-3"},
        {"after": "1-9999999999999999999"},
        {"after": "1-1\n"},
        {"filter": "x" * 201},
    ],
)
def test_what_no_page_can_be_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(asked, TargetQuery, strict=False)


@pytest.mark.parametrize("after", ["99-1", "7-999999999999999999"])
def test_a_place_beyond_the_end_is_an_empty_page(tmp_path: Path, after: str) -> None:
    page = read_target_page(make_folder(tmp_path, make_rows(Random(1), 9)), TargetQuery(after=after))

    assert (page.rows, page.next) == ((), None)


def test_a_target_comes_with_its_attempts(tmp_path: Path) -> None:
    rows = make_rows(Random(2), 20)
    folder = make_folder(tmp_path, rows)
    row = next(row for row in rows if row.attempts == 3 and row.outcome)

    found = read_target_report(folder, row.id)

    assert found is not None
    assert (found.id, found.outcome, len(found.attempts)) == (row.id, row.outcome, 3)
    assert read_target_report(folder, "apim/no/such/one") is None


def test_the_journal_is_only_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, make_rows(Random(2), 20))
    before = folder.journal.read_bytes()
    with closing(open_database(folder.journal, write=True)) as database:
        database.begin()  # a writer in the middle of its work
        database.run("UPDATE target SET outcome = 'failed'")
        page = read_target_page(folder, TargetQuery(outcome="failed"))
        database.roll_back()

    assert len(page.rows) < 20
    assert folder.journal.read_bytes()[:16] == before[:16]


def test_a_run_that_was_removed_says_so(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, make_rows(Random(2), 3))
    folder.journal.unlink()

    with pytest.raises(JournalError, match="there is no journal here"):
        read_target_page(folder, TargetQuery())


def test_a_read_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path, make_rows(Random(1), 400))
    monkeypatch.setattr("orchestrator.journal.target_pages.LONGEST_READ", 0.0)
    monkeypatch.setattr("orchestrator.journal.database.STEPS_BETWEEN_LOOKS", 10)

    with pytest.raises(JournalError, match="interrupted"):
        read_target_page(folder, TargetQuery(filter="zzz"))
    with pytest.raises(JournalError, match="interrupted"):
        read_target_report(folder, "no such target")


def test_a_wave_is_found_by_its_name_as_it_is_shown(tmp_path: Path) -> None:
    made = journal(tmp_path, plan(roma("roma"), waves=("a\u202eb",)), [target(1, "roma/a1")])
    tmp_path.chmod(0o700)

    for name in ("a\u202eb", make_visible("a\u202eb")):
        assert read_target_page(RunFolder(made.parent), TargetQuery(wave=name)).total == 1


def make_named(folder: Path) -> RunFolder:
    """Return a run of one target for each name, with that name in all its parts."""
    targets = (target(seq, f"apim/{name}/{name}/test") for seq, name in enumerate(NAMES.values(), 1))
    made = journal(folder, plan(apim("apim")), targets)
    folder.chmod(0o700)
    return RunFolder(made.parent)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ödeme", {"Turkish", "accents apart"}),
        ("ODEME", {"Turkish", "accents apart"}),
        ("\u0130\u015fLEM", {"Turkish"}),
        ("i\u015flem", {"Turkish"}),
        ("islem", {"Turkish"}),
        ("IGU", {"Turkish"}),
        (normalize("NFC", ACCENTS_APART), {"accents apart"}),
        ("STRA\u1e9eE", {"German"}),
        ("网关", {"Chinese", "long Chinese"}),
        ("\U00020bb7", {"rare Chinese"}),
        ("\uff08生产", {"Chinese"}),
    ],
)
def test_a_filter_goes_neither_by_case_nor_by_accents(tmp_path: Path, text: str, names: set[str]) -> None:
    found = {row.id.split("/")[1] for row in read_all(make_named(tmp_path), filter=text)}

    assert found == {NAMES[name] for name in names}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_target_is_found_with_its_accents_as_they_are_typed(
    tmp_path: Path, name: str, form: Literal["NFC", "NFD"]
) -> None:
    given = f"apim/{NAMES[name]}/{NAMES[name]}/test"

    found = read_target_report(make_named(tmp_path), normalize(form, given))

    assert found is not None
    assert found.id == given
