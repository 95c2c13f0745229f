"""Texts from outside show in Markdown as they are, and have no effect in it."""

from __future__ import annotations

import pytest

from orchestrator.text.markdown import escape_markdown, format_code


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, as it is.", "plain, as it is."),
        ("*bold* _it_ ~no~", r"\*bold\* \_it\_ \~no\~"),
        ("[link](https://x)", r"\[link\](https://x)"),
        ("see #12, @ops", r"see \#12, &#64;ops"),
        ("<b>|a`b\\", "&#60;b&#62;&#124;a&#96;b&#92;"),
        ("&lt;", "&#38;lt;"),
        ("a\u202eb\n", "a\\u202eb\\u000a".replace("\\", "&#92;")),
    ],
)
def test_a_text_has_no_effect_in_markdown(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("apim/a/b", "`apim/a/b`"),
        ("*a* <b> @ops #12", "`*a* <b> @ops #12`"),
        ("a|b", "<code>a&#124;b</code>"),
        ("a`b", "<code>a&#96;b</code>"),
        (" ", "<code> </code>"),
        ("a\u200bb", "<code>a&#92;u200bb</code>"),
    ],
)
def test_backticks_hold_every_text_that_does_not_end_them(text: str, code: str) -> None:
    assert format_code(text) == code
