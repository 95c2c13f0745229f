"""Texts from outside show in Markdown as they are, and have no effect in it."""

from __future__ import annotations

import pytest

from orchestrator.text.markdown import escape_markdown, format_code


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, as it is.", "plain, as it is."),
        ("*bold* _it_ ~no~", r"\*bold\* \_it\_ \~no\~"),
        ("[link](https://x)", r"\[link\](`https://x`)"),
        ("see #12, @ops", "see `#12`, `@ops`"),
        ("# 1 of 2", r"\# 1 of 2"),
        ("Ask ops@example.com (www.example.com/a_b)", "Ask `ops@example.com` (`www.example.com/a_b`)"),
        ("FTP://x|y `https://z`", "`FTP://x`&#124;y &#96;`https://z`&#96;"),
        ("team/api#7 gh-7 !7 $x$ :100: 22:00:00", "`team/api#7` `gh-7` `!7` `$x$` `:100:` 22:00:00"),
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
        ("a|https://x", "<code>a&#124;`https://x`</code>"),
    ],
)
def test_backticks_hold_every_text_that_does_not_end_them(text: str, code: str) -> None:
    assert format_code(text) == code
