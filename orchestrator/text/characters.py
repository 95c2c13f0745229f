"""Tell visible characters from invisible and misleading ones, and write these in a message.

A name may hold an invisible character, or a space that only looks like the ordinary one: two names would look
the same and mean different things. So messages and reports write such characters as ``\\uXXXX``.
"""

from __future__ import annotations

import re
from unicodedata import category, name

UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
"""Of a character class: controls, line breaks, and characters that leave no mark; four digits each."""

INVISIBLE = rf"{UNSEEN}\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
"""The same with halves of surrogate pairs, and with the characters that take more digits."""

STRANGE_SPACES = r"\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Of a character class: every space but the ordinary one. They look the same and are other characters."""

# These join or vary the visible character before them: scripts need them, and so do many pictures.
_SHAPING = "\u200c\u200d\ufe0e\ufe0f"
_NOT_IN_NAMES = re.compile(f"[{INVISIBLE}{STRANGE_SPACES}]")
_NOT_IN_PROSE = re.compile(f"(?![{_SHAPING}])[{INVISIBLE}]")
# Pictures keep their form here, but joiners do not: an id could look like another one.
_MISLEADING = re.compile(f"(?![\ufe0e\ufe0f])[{INVISIBLE}]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line breaks of any kind, and halves of surrogate pairs."""

NO_LINE_FEED = r"(?!\n)"
"""The end of a pattern after ``$``, which Python also lets match before a last line feed."""

_QUOTED = re.compile("[\u201c\u201d\u201e\u2018\u2019\u201a].*[\u201c\u201d\u2018\u2019]", re.DOTALL)
_ENDS = re.compile(rf"\A[ \t{STRANGE_SPACES}]+|[ \t{STRANGE_SPACES}]+\Z")


def why_hidden(text: str) -> str | None:
    """Return, as a clause, which character of a name is invisible or misleading; None without one."""
    found = _NOT_IN_NAMES.search(text)
    return f"holds {describe_character(found[0])}" if found else None


def why_not_prose(text: str) -> str | None:
    """Like ``why_hidden``, for a text for people, which may hold a non-breaking space and pictures."""
    found = _NOT_IN_PROSE.search(text)
    return f"holds {describe_character(found[0])}" if found else None


def describe_character(letter: str) -> str:
    r"""Describe a character that people cannot see: ``an invisible character, \u200b (zero width space)``."""
    if CONTROL.match(letter):
        return f"a control character or a line break, {escape_character(letter)}"
    called = name(letter, "").lower()
    kind = "a space that is no ordinary one" if category(letter) == "Zs" else "an invisible character"
    return f"{kind}, {escape_character(letter)}{f' ({called})' if called else ''}"


def escape_character(letter: str) -> str:
    r"""Return a character as ``\uXXXX``, or ``\UXXXXXXXX`` where four digits are not enough."""
    code = ord(letter)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def make_visible(text: str) -> str:
    r"""Return ``text`` with every character that could mislead the eye written as ``\uXXXX``."""
    return _MISLEADING.sub(lambda found: escape_character(found[0]), text)


def show_briefly(text: str, most: int) -> str:
    """Return ``text`` with its misleading characters written out, cut to ``most`` characters."""
    visible = make_visible(text[: most + 1])
    return visible if len(visible) <= most else f"{cut_between_letters(visible, most - 1)}…"


def cut_between_letters(text: str, most: int) -> str:
    """Return the first ``most`` characters of ``text``, without a letter whose accents would be cut off."""
    end = most
    while 0 < end < len(text) and category(text[end]).startswith("M"):
        end -= 1
    return text[: end or most]


def show_name(text: str) -> str:
    """Return a name with every character escaped that no name may hold, strange spaces included."""
    return _NOT_IN_NAMES.sub(lambda found: escape_character(found[0]), text)


def quote_text(text: str) -> str:
    """Return ``text`` in quotes for a message: at most 60 characters, the invisible ones escaped."""
    cut = text if len(text) <= 60 else f"{cut_between_letters(text, 57)}..."
    return f'"{show_name(cut)}"'


def trim_spaces(cell: str) -> str:
    """Return ``cell`` without the spaces at its ends, of any width."""
    return _ENDS.sub("", cell)


def is_in_curly_quotes(text: str) -> bool:
    """Return whether a text stands in the quotes of a word processor, which YAML takes for its letters."""
    return _QUOTED.fullmatch(text) is not None
