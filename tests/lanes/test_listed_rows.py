"""The rows of long lists: each target keeps its own, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from orchestrator.lanes.listed_rows import ListedRows, StateRows, TargetNumbers, WholeRows
from orchestrator.model.reading import Verdict

HEX = "bd42841c20184da6bbf457c6d8a06e37"
ALIKE = [
    (HEX,),
    (HEX.upper(),),
    (" " + HEX[1:],),
    (bytes.fromhex(HEX).decode("latin-1"),),
    (HEX[:31],),
    (HEX + "0",),
    (HEX[:16], HEX[16:31]),
    (HEX[:15], HEX[15:31]),
    ("a", "b", "c"),
    ("ab", "", "c"),
    ("\ud800",),
    ("é" * 16,),
    ("",),
]
"""Names that are no same ones, though some have the same bytes, digits or lengths."""


@pytest.mark.parametrize("make", [lambda: StateRows(TargetNumbers()), WholeRows])
def test_names_that_look_alike_are_told_apart(make: Callable[[], ListedRows]) -> None:
    rows = make()
    for number, parts in enumerate(ALIKE):
        assert rows.add(parts, number)

    assert len(rows) == len(ALIKE)
    assert [rows.get(parts) for parts in ALIKE] == [(number,) for number in range(len(ALIKE))]


@pytest.mark.parametrize("make", [lambda: StateRows(TargetNumbers()), WholeRows])
def test_many_targets_are_found_as_they_were_added(make: Callable[[], ListedRows]) -> None:
    dice = Random(7)
    wanted = {(f"{dice.getrandbits(128):032x}",): dice.choice(list(Verdict)[:4]) for _ in range(5000)}
    rows = make()
    for parts, verdict in wanted.items():
        assert rows.add(parts, verdict)

    assert all(rows.get(parts) == (verdict,) for parts, verdict in wanted.items())
    assert rows.get((f"{dice.getrandbits(128):032x}",), "none") == "none"


@pytest.mark.parametrize("make", [lambda: StateRows(TargetNumbers()), WholeRows])
def test_an_entry_that_is_met_twice_counts_once_and_one_in_two_states_has_two_rows(
    make: Callable[[], ListedRows],
) -> None:
    rows: ListedRows = make()

    assert rows.add(("a",), Verdict.UP)
    assert not rows.add(("a",), Verdict.UP)
    assert rows.add(("a",), Verdict.DOWN)
    assert (len(rows), rows.get(("a",))) == (1, (Verdict.UP, Verdict.DOWN))


def test_two_lists_of_the_same_targets_keep_their_rows_apart() -> None:
    numbers = TargetNumbers()
    before, after = StateRows(numbers), StateRows(numbers)
    before.add(("a",), Verdict.UP)
    before.add(("b",), Verdict.UP)
    after.add(("c",), Verdict.UP)
    after.add(("a",), Verdict.DOWN)

    assert [before.get((name,)) for name in "abc"] == [(Verdict.UP,), (Verdict.UP,), ()]
    assert [after.get((name,)) for name in "abc"] == [(Verdict.DOWN,), (), (Verdict.UP,)]
    assert (len(before), len(after)) == (2, 2)


def test_a_row_that_is_as_it_was_is_kept_once() -> None:
    before = WholeRows()
    before.add(("a",), ["as it was"])
    after = WholeRows(before)
    after.add(("a",), ["as it was"])
    after.add(("b",), ["new"])

    assert after.get(("a",)) is before.get(("a",))
    del before
    assert [after.get((name,)) for name in "ab"] == [(["as it was"],), (["new"],)]


@pytest.mark.long("fills the memory with a long list")
def test_a_state_takes_little_memory_and_a_second_list_hardly_any() -> None:
    """P7: of a million entries. A dictionary takes some 300 bytes for each."""
    numbers, dice, count = TargetNumbers(), Random(3), 50_000
    names = [(f"{dice.getrandbits(128):032x}",) for _ in range(count)]
    tracemalloc.start()
    try:
        first = StateRows(numbers)
        for parts in names:
            first.add(parts, Verdict.UP)
        one = tracemalloc.get_traced_memory()[0]
        second = StateRows(numbers)
        for parts in names:
            second.add(parts, Verdict.DOWN)
        two = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert one / count < 50
    assert (two - one) / count < 2
