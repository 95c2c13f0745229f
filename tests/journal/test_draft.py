"""Targets on their way into a journal."""

import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.journal.database import open_database
from orchestrator.journal.meta import RunMeta, read_meta
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.target_sink import DependencyFault, TargetList
from tests.support.journals import apim, draft, finish, journal, place, plan, roma, target

ONE_PLACE = {"roma": "roma place", "again": "roma place", "apim": "apim place"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["roma/a", "roma/b", "apim/p/a/t"], id="none"),
        pytest.param(["roma/a", "roma/b", "roma/a", "roma/a"], id="three times"),
        pytest.param(["roma/a", "again/a"], id="two names of one place"),
        pytest.param(["again/a", "apim/a/a/a", "roma/b", "roma/a", "again/b", "apim/a/a/a"], id="mixed"),
        pytest.param(["roma/a", "apim/a"], id="two places"),
        pytest.param(["other/a", "other/a"], id="a gateway that the plan lacks"),
        pytest.param(["apim/p/o\u0308/t", "roma/b", "apim/p/\u00f6/t"], id="two forms of an accent"),
        pytest.param([], id="empty"),
    ],
)
def test_duplicates_are_those_that_a_listing_finds(tmp_path: Path, names: list[str]) -> None:
    listing = TargetList()
    targets = [target(seq, name) for seq, name in enumerate(names, 1)]
    for each in targets:
        listing.add(each, place(each.seq))
    with closing(draft(tmp_path / "j", targets)) as made:
        assert list(made.find_duplicates(ONE_PLACE)) == list(listing.find_duplicates(ONE_PLACE))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["roma", "again", "apim"]), st.sampled_from("aAbc")), max_size=30))
def test_duplicates_of_any_plan(tmp_path: Path, names: list[tuple[str, str]]) -> None:
    listing = TargetList()
    targets = [target(seq, f"{gateway}/{name}") for seq, (gateway, name) in enumerate(names, 1)]
    for each in targets:
        listing.add(each, place(each.seq))
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    with closing(draft(path, targets)) as made:
        assert list(made.find_duplicates(ONE_PLACE)) == list(listing.find_duplicates(ONE_PLACE))


def test_a_list_that_was_pasted_twice_is_told_at_once(tmp_path: Path) -> None:
    """Half a second for a comparison of each with each would be enough for a thousand targets."""
    half = 20_000
    targets = (target(seq, f"roma/{seq % half}") for seq in range(half * 2))
    with closing(draft(tmp_path / "j", targets)) as made:
        before = time.monotonic()
        assert sum(1 for _ in made.find_duplicates({})) == half
        assert time.monotonic() - before < 5


def test_gateways_are_numbered_as_the_plan_has_them(tmp_path: Path) -> None:
    of = plan(roma("first"), apim("second"), roma("third"))
    names = ["third/a", "first/a", "second/p/x/t", "third/b"]
    path = journal(tmp_path, of, [target(seq, name) for seq, name in enumerate(names, 1)])
    with closing(open_database(path, write=False)) as database:
        rows = list(database.rows("SELECT id, gateway FROM target ORDER BY seq"))
    assert rows == [("third/a", 2), ("first/a", 0), ("second/p/x/t", 1), ("third/b", 2)]


def test_what_a_target_says_is_kept(tmp_path: Path) -> None:
    said = Target(
        7, target(7, "apim/p/x/t").id, "apim", 1, ("p", "x", "t"), "Stillgelegt: ü", persistent=True
    )
    path = journal(tmp_path, plan(waves=("a", "b")), [said])
    with closing(open_database(path, write=False)) as database:
        row = database.one("SELECT seq, id, wave, file, line, column, description, persistent FROM target")
    assert row == (7, "apim/p/x/t", 1, 0, 17, 5, "Stillgelegt: ü", 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    waves=st.lists(st.integers(0, 2), min_size=1, max_size=8).map(sorted),
    asked=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), max_size=16),
    letters=st.sampled_from([("t", "t"), ("o\u0308", "\u00f6"), ("\u00f6", "\u00f6")]),
)
def test_what_goes_first_in_any_plan(
    tmp_path: Path, waves: list[int], asked: list[tuple[int, int]], letters: tuple[str, str]
) -> None:
    """A draft finds what a listing finds, and every target stands deeper than all that it needs."""
    listing = TargetList()
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    with closing(draft(path, [])) as made:
        for sink in (listing, made):
            for seq, wave in enumerate(waves, 1):
                sink.add(target(seq, f"roma/{letters[0]}{seq % 7}", wave), place(seq))
            for seq, needs in asked:
                sink.add_dependency(
                    1 + seq % len(waves), TargetId(f"roma/{letters[1]}{needs}"), place(100 + seq)
                )
        faults = list(listing.find_dependency_faults())
        assert _in_order(made.find_dependency_faults()) == _in_order(faults)
        if any(fault.why == "cycle" for fault in faults):
            return
        finish(made, plan(waves=("a", "b", "c")))
        needed = {(seq, earlier) for seq, before in listing.needs.items() for earlier in before}
        depths: dict[int, int] = dict(made.database.rows("SELECT seq, depth FROM target"))
        assert set(made.database.rows("SELECT seq, needs FROM dependency")) == needed
        assert {seq: depth for seq, depth in depths.items() if depth} == listing.compute_depths()
        assert all(depths[seq] > depths[earlier] for seq, earlier in needed)


def _in_order(faults: Iterable[DependencyFault]) -> list[DependencyFault]:
    return sorted(
        (replace(fault, among=()) for fault in faults), key=lambda fault: (fault.position, fault.ids)
    )


def test_what_goes_first_is_kept_without_being_asked_what_is_astray(tmp_path: Path) -> None:
    made = draft(tmp_path / "j", [target(1, "roma/a"), target(2, "roma/b")])
    made.add_dependency(1, TargetId("roma/b"), place(1))
    finish(made, plan())
    made.close()
    with closing(open_database(tmp_path / "j", write=False)) as database:
        assert list(database.rows("SELECT seq, needs FROM dependency")) == [(1, 2)]
        assert list(database.rows("SELECT depth FROM target ORDER BY seq")) == [(1,), (0,)]


def test_an_unfinished_draft_is_no_journal_with_targets(tmp_path: Path) -> None:
    made = draft(tmp_path / "j", [target(1, "roma/a")])
    made.close()
    made.close()
    with closing(open_database(tmp_path / "j", write=False)) as database:
        assert database.one("SELECT COUNT(*) FROM target") == (0,)


def test_more_can_be_kept_once_it_is_finished(tmp_path: Path) -> None:
    made = draft(tmp_path / "j", [target(1, "roma/a")])
    finish(made, plan())
    made.keep(RunMeta(approval_ends=2.5))
    made.close()
    with closing(open_database(tmp_path / "j", write=False)) as database:
        assert read_meta(database).approval_ends == 2.5


@pytest.mark.long("writes a large draft")
def test_a_hundred_thousand_targets_take_about_a_second(tmp_path: Path) -> None:
    count = 100_000
    targets = [target(seq, f"roma/{seq:032x}") for seq in range(1, count + 1)]
    before = time.process_time()
    with closing(draft(tmp_path / "j", targets)) as made:
        assert not list(made.find_duplicates({}))
        finish(made, plan())
        assert made.database.one("SELECT COUNT(*) FROM target") == (count,)
    assert time.process_time() - before < 5  # about one on a quiet machine
