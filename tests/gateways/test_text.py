"""Texts that cross the border."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.gateways.text import NAMED, SHOWN, encode_segment, keep_whole, list_first, show_text
from orchestrator.text.names import why_vanishing


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("a+b&c=d", "a%2Bb%26c%3Dd"),
        ("ödeme-şubesi_İ.\u0131~", "%C3%B6deme-%C5%9Fubesi_%C4%B0.%C4%B1~"),
        ("...", "..."),
        ("{environment}", "%7Benvironment%7D"),
    ],
)
def test_a_segment_is_encoded_by_itself(text: str, encoded: str) -> None:
    assert encode_segment(text) == encoded


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: not why_vanishing(t)))
def test_a_segment_comes_back_whole_and_holds_no_separator(text: str) -> None:
    assert unquote(encode_segment(text)) == text
    assert not set(encode_segment(text)) & set("/?#+ &")


@pytest.mark.parametrize("text", ["", ".", "..", "a/", "a/../b", "..;x", "%2e", "%252e%252e"])
def test_what_would_vanish_from_a_path_is_no_segment(text: str) -> None:
    with pytest.raises(ValueError, match="would name something else"):
        encode_segment(text)


@given(st.text())
def test_what_is_shown_is_one_short_printable_line(text: str) -> None:
    short = show_text(text)

    assert short is None or (0 < len(short) <= SHOWN and short.isprintable())


def test_control_characters_become_visible() -> None:
    assert show_text("a\x1b[31mb\r\nc\u202ed") == "a\\x1b[31mb\\r\\nc\\u202ed"


@given(st.text("ab \n<", max_size=SHOWN + 40), st.integers(20, 3000))
def test_no_cut_leaves_half_a_credential(before: str, length: int) -> None:
    """A token that a vendor repeats is masked later, as a whole; half of it would slip through."""
    token = ("K" + "j2-_.~+/=" * length)[:length]
    short = show_text(f"{before} {token} is not valid") or ""

    assert token in short or "K" not in short


def test_a_text_that_fits_is_not_cut() -> None:
    assert show_text("x" * SHOWN) == "x" * SHOWN
    assert show_text("  ") is None


@pytest.mark.parametrize("text", ["x" * (SHOWN + 1), " x", "a\nb", "", "\u200b"])
def test_what_would_be_cut_or_changed_is_not_kept_for_sending(text: str) -> None:
    assert keep_whole(text) is None
    assert keep_whole("2026-03-01T09:30:00Z") == "2026-03-01T09:30:00Z"


def test_of_many_names_some_are_told_and_the_others_counted() -> None:
    many = [f"pod-{number}" for number in range(7000)]

    assert list_first(many) == (tuple(many[:NAMED]), 7000 - NAMED)
    assert list_first(["a", "b", "a"]) == (("a", "b"), 0)
    assert list_first(["x" * 10**6])[0][0].endswith("…")
