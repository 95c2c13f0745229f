"""A text may be a name unless a server on its way could read another one."""

from __future__ import annotations

import time
import unicodedata
from posixpath import normpath
from unicodedata import normalize
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.text.characters import describe_character, show_name, trim_spaces, why_hidden, why_not_prose
from orchestrator.text.names import find_placeholder, is_name, to_nfc, why_no_name, why_vanishing

VANISHING = [
    "", ".", "..", "/", "\\", "//", "a/", "/a", "a//b", "a\\", "\\a", "a\\\\b", "../", "../..", "a/..",
    "a/../b", "a/./b", "a\\..\\b", "a/..\\b", "..;x", ".;", ";", ";x", "a/;b", "a/..;v=1/b", "..;/..;",
    "%2e", "%2E%2e", ".%2e", "%2e.", "%252e", "%252e%252E", "%25%32%65", "%2f", "%5C", "a%2f",
    "%2fa", "a%2f%2fb",
    "%2f..%2f", "a%2f..%2fb", "a%5c..", "a%252f..", "%2e%2e%3bx", "..%3b", "..%253b", "%3b", "a/%3Bb",
    "%c0%ae", "%c0%ae%c0%ae", "a%c0%af", "%e0%80%ae", "%f0%80%80%ae%f0%80%80%ae", "%c1%9c..", "%25c0%25ae",
    "..\u037e", "..%CD%BE",
]  # fmt: skip
ALLOWED = [
    "a", "a/b", "a\\b", "a/b/c", "...", "..a", "a..", ".a", "a.b", "a/...", ".known/x", "%", "100%", "a%zz",
    "5%2", "100%ff", "%25", "a;b", "a;", "a;b/c;d", "%25252e", "a%2fb", "a%5Cb", "\uff0e\uff0e", "a b",
    "ödeme", "支付", "😀", "a?b#c", "{x}",
]  # fmt: skip


@pytest.mark.parametrize("text", VANISHING)
def test_a_piece_that_could_vanish_makes_no_name(text: str) -> None:
    assert why_vanishing(text)
    assert not is_name(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_slashes_and_percents_that_lead_nowhere_are_allowed(text: str) -> None:
    assert is_name(text), why_no_name(text)


def test_the_reason_names_the_piece_and_its_decoding() -> None:
    assert why_no_name("..") == "would vanish from an address; it cannot be a name"
    assert why_no_name("a/../b") == (
        'holds the piece ".."; on its way it could turn into the address of something else'
    )
    assert 'the piece ".", once % is decoded;' in str(why_no_name("%2e"))
    assert 'the piece "..", once % is decoded twice;' in str(why_no_name("%252e."))
    assert "an empty piece, between slashes, at an end" in str(why_no_name("a/"))


PIECES = st.lists(
    st.sampled_from(
        ["a", ".", "..", "/", "\\", ";", "%", "2e", "2F", "5c", "3b", "25", "%2e", "%2f", "%252e"]
    ),
    max_size=8,
).map("".join)


@given(PIECES)
def test_a_name_stays_where_it_is_put_however_it_is_decoded(text: str) -> None:
    """The far side's view: up to two decodings, either slash, parameters cut off, then dots resolved."""
    if why_vanishing(text):
        return
    for decoded in (text, unquote(text), unquote(unquote(text))):
        pieces = [piece.partition(";")[0] for piece in decoded.replace("\\", "/").split("/")]
        path = "/".join(pieces)
        assert normpath(f"/a/b/{path}/c") == f"/a/b/{path}/c"


HIDDEN = {
    "zero width space": "a\u200bb",
    "at an end": "a\u200b",
    "no-break space": "a\u00a0b",
    "narrow no-break space": "a\u202fb",
    "ideographic space": "a\u3000b",
    "soft hyphen": "a\u00adb",
    "byte order mark": "\ufeffa",
    "word joiner": "a\u2060b",
    "right-to-left override": "a\u202eb",
    "joiner": "a\u200db",
    "variation selector": "a\ufe0f",
    "hangul filler": "\u3164",
    "braille blank": "a\u2800",
    "tag": "a\U000e0041",
    "control": "a\x07",
    "line break": "a\n",
    "next line": "a\x85",
    "half a character": "a\ud83d",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_name_holds_no_invisible_character(name: str) -> None:
    text = HIDDEN[name]

    assert not is_name(text)
    assert why_hidden(text)
    assert show_name(text).isprintable()
    assert show_name(text) != text


@pytest.mark.parametrize("text", [" a", "a ", " "])
def test_a_name_has_no_space_at_an_end(text: str) -> None:
    assert "with a space" in str(why_no_name(text))


def test_every_character_that_python_will_not_print_is_refused_but_private_and_unknown_ones() -> None:
    for code in range(0x110000):
        kind = unicodedata.category(chr(code))
        if kind in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} and chr(code) != " " and code not in VISIBLE_FORMATS:
            assert why_hidden(f"a{chr(code)}b"), hex(code)


VISIBLE_FORMATS = frozenset(
    code
    for first, last in ((0x600, 0x605), (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2),
                        (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F))
    for code in range(first, last + 1)
)  # fmt: skip
"""Signs of Arabic, Syriac, Kaithi and Egyptian writing that Unicode calls formats, and that are seen."""


def test_an_invisible_character_is_described() -> None:
    assert describe_character("\u200b") == "an invisible character, \\u200b (zero width space)"
    assert describe_character("\u00a0") == "a space that is no ordinary one, \\u00a0 (no-break space)"
    assert (
        describe_character("\U000e0041") == "an invisible character, \\U000e0041 (tag latin capital letter a)"
    )
    assert show_name("x\u00a0") == "x\\u00a0"


def test_prose_may_hold_pictures_and_non_breaking_spaces() -> None:
    for text in ("⚠\ufe0f CHG-1042", "👩\u200d💻", "CHG\u00a01042 :", "a\u3000b"):
        assert why_not_prose(text) is None
    for text in ("a\u200bb", "a\u202eb", "a\nb", "a\ufeff"):
        assert why_not_prose(text)


def test_both_forms_of_an_accent_are_one_name() -> None:
    assert to_nfc("o\u0308deme") == to_nfc("ödeme") == "ödeme"


def test_a_name_with_many_accents_on_one_letter_is_compared_as_it_is() -> None:
    most, more = ("a" * 40 + "o\u0308" + "\u0301\u0316" * number for number in (14, 15))

    assert to_nfc(most) == normalize("NFC", most) != most
    assert to_nfc(f"{most}e\u0308") == normalize("NFC", f"{most}e\u0308")
    assert to_nfc(more) == more


@pytest.mark.promise(10)
def test_no_text_takes_long_to_compare() -> None:
    began = time.process_time()
    for text in ("a" + "\u0301\u0316" * 200_000, "a\u0301\u0316" * 200_000, "ö" * 400_000):
        to_nfc(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "text",
    ["${PROJECT}", "x-${ENV:-test}", "{{proxy}}", "{{ proxy }}-v1", "__PROXY__", "__A_B__", "<%= env %>",
     "$[[ inputs.x ]]", "#{ENV}#"],
)  # fmt: skip
def test_an_unfilled_placeholder_is_found(text: str) -> None:
    assert find_placeholder(text)


@pytest.mark.promise(10)
def test_no_text_takes_long_to_search_for_a_placeholder() -> None:
    began = time.process_time()
    for opened in ("{", "<%", "$[[", "${", "#{", "$(", "<a", "@a", "__a", "%A"):
        find_placeholder(opened * 100_000)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("text", ["a__b", "__a", "a__", "{id}", "$5", "a_b_c", "____", "100%"])
def test_a_text_that_only_resembles_a_placeholder_is_none(text: str) -> None:
    assert find_placeholder(text) is None


def test_a_cell_loses_the_spaces_at_its_ends() -> None:
    assert trim_spaces("\u00a0 a b\t\u3000") == "a b"
