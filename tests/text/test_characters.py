"""Characters that people cannot see, or that mislead them."""

from __future__ import annotations

from orchestrator.text.characters import cut_between_letters, make_visible, quote_text, show_briefly
from tests.support.names import ACCENTS_APART


def test_misleading_characters_are_made_visible() -> None:
    assert make_visible("a\u202eb\x00\x1b\n\u200b\ufeff") == "a\\u202eb\\u0000\\u001b\\u000a\\u200b\\ufeff"
    assert make_visible("müşteri 顧客 \U0001f600") == "müşteri 顧客 \U0001f600"


def test_a_cut_takes_no_accent_from_its_letter() -> None:
    for most in range(1, len(ACCENTS_APART)):
        cut = cut_between_letters(ACCENTS_APART, most)
        assert len(cut) <= most
        assert not ACCENTS_APART.removeprefix(cut).startswith(("\u0301", "\u0308"))


def test_a_letter_with_more_accents_than_there_is_room_for_is_cut_all_the_same() -> None:
    assert cut_between_letters("e" + "\u0301" * 50, 10) == "e" + "\u0301" * 9


def test_messages_cut_between_letters() -> None:
    assert quote_text("a" * 56 + "e\u0301" * 8) == f'"{"a" * 56}..."'
    assert show_briefly("a" * 8 + "e\u0301bcd", 10) == f"{'a' * 8}…"
    assert show_briefly("支付网关", 4) == "支付网关"
