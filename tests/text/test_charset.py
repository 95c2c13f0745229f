"""What a terminal's character set lacks has a stand-in of the same width."""

from __future__ import annotations

import pytest

from orchestrator.text.cells import measure_width
from orchestrator.text.charset import fit_charset
from tests.support.names import ACCENTS_APART, CHINESE, GERMAN, NAMES, REASON, TURKISH

CHARSETS = ["ascii", "latin-1", "iso8859-9", "gbk", "koi8-r", "utf-8"]


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_fits_each_character_set_in_as_many_cells(name: str, charset: str) -> None:
    fitted = fit_charset(NAMES[name], charset)

    assert fitted.encode(charset).decode(charset) == fitted
    assert measure_width(fitted) == measure_width(NAMES[name])


@pytest.mark.parametrize(
    ("text", "charset", "shown"),
    [
        (TURKISH, "ascii", "Odeme Islemleri igusoc"),
        (TURKISH, "iso8859-9", TURKISH),
        (GERMAN, "latin-1", "Prüfstelle Straßenverkehr ?"),
        (CHINESE, "latin-1", "????????-????????????????"),
        (CHINESE, "gbk", CHINESE),
        (ACCENTS_APART, "ascii", "Cafe Odeme guven"),
        ("█✗ 支…", "ascii", "#x ??~"),
        ("a\tb\x1b[1m", "ascii", "a\tb\x1b[1m"),
    ],
)
def test_a_letter_without_its_accent_is_better_than_none(text: str, charset: str, shown: str) -> None:
    assert fit_charset(text, charset) == shown


def test_a_reason_fits_too() -> None:
    assert fit_charset(REASON, "ascii").isascii()
