"""Find the cause of an error of YAML's syntax in the text of its lines, and say what to write.

libyaml tells where it gave up, and that place is often behind the slip, or in the line after it. A rule below
gives a hint only where the text proves the slip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

LINES_BEFORE = 200
"""How many lines before the error the rules look at."""
LONGEST_LINE = 1000
"""Characters of a line that the rules look at."""

_DASHES = r" *(?:- +)*"
_KEY = r"[\w.-]+"
_NO_SPACE_BEHIND_DASH = re.compile(r" *(?:- +)*-[A-Za-z{\[\"']")
_NO_SPACE_BEHIND_COLON = re.compile(rf"{_DASHES}[A-Za-z_]\w*:[^\s/:]")
_KEY_AND_TEXT = re.compile(rf"({_DASHES})({_KEY}): +([^\s\"'\[{{&*!|>#%@`].*)")
_KEY_AND_OPENED = re.compile(rf"{_DASHES}{_KEY}: +([\[{{])")
_FIRST_KEY = re.compile(rf"{_DASHES}{_KEY}")
_LEVELS = re.compile(rf"( *)((?:- +)*)(?:{_KEY}|\"[^\"]*\"):(?: |$)|( *)- ")
_SHARE = re.compile(
    r"(?:(?:failed|unknown|surprising):|\bsizes:.*[\[,]) *%([0-9]{1,3}(?:\.[0-9]+)?)[\s,}\]]*\Z"
)
_REPEATED = frozenset({"name", "reason", "description", "project", "environment"})
"""Keys whose texts a hint may repeat. The text of another key may be a credential."""
_LONGEST_REPEATED = 80
_BLOCK_GOES_ON = frozenset({"did not find expected key", "did not find expected '-' indicator"})
"""What libyaml says of anything that is no further entry of a list or a mapping without brackets."""


class YamlError(NamedTuple):
    """Where and why libyaml gave up: ``line`` and ``column`` count from 1; ``begun`` is a line or 0."""

    problem: str
    line: int
    column: int
    begun: int
    """The line in which the construct begins that libyaml could not end."""


Lines = Mapping[int, str]
"""The line of the error and the lines before it, by number, without their ends."""


def explain_yaml_error(error: YamlError, lines: Lines) -> str:
    """Return what to write instead; an empty text if the lines do not prove the cause."""
    return next(filter(None, (rule(error, lines) for rule in _RULES)), "")


def find_missing_space(line: str) -> str:
    """Return a hint if ``line`` is a key without a space behind its colon, else an empty text."""
    return "write a space after the colon" if _NO_SPACE_BEHIND_COLON.match(line) else ""


def _find_line_before(number: int, lines: Lines) -> int:
    """Return the number of the last line before ``number`` that is neither empty nor a comment; 0 if none."""
    before = (n for n in sorted(lines, reverse=True) if n < number)
    return next((n for n in before if lines[n].strip() and not lines[n].lstrip().startswith("#")), 0)


def _list_suspects(error: YamlError, lines: Lines) -> list[int]:
    """Return the lines in which the slip may stand: the one of the error, the one before, where it began."""
    return [error.line, _find_line_before(error.line, lines), error.begun]


def _explain_dash(error: YamlError, lines: Lines) -> str:
    for number in _list_suspects(error, lines)[:2]:
        if _NO_SPACE_BEHIND_DASH.match(lines.get(number, "")):
            return f"write a space after the - that begins line {number}"
    return ""


def _explain_colon(error: YamlError, lines: Lines) -> str:
    for number in _list_suspects(error, lines):
        if found := find_missing_space(lines.get(number, "")):
            return f"{found} of line {number}"
    return ""


def _explain_no_colon(error: YamlError, lines: Lines) -> str:
    line = lines.get(error.begun, "")
    is_bare = "could not find expected ':'" in error.problem and re.search(r":(?: |$)", line) is None
    return f"line {error.begun} has no colon after its key" if is_bare and line.strip() else ""


def _explain_sign(error: YamlError, lines: Lines) -> str:
    """Explain a text without quotes that begins with one of YAML's own signs."""
    line = lines[error.line]
    before, sign = line[: error.column - 1], line[error.column - 1 : error.column]
    if "cannot start any token" in error.problem and sign and sign in "%@`":
        word = re.split(r"[,}\] ]", line[error.column - 1 :])[0]
        share = _SHARE.search(before + word)
        return f"write {share[1]}%" if share else f"a text that begins with {sign} stands in quotes"
    if "alphabetic or numeric character" in error.problem:
        name = re.search(r"([*&])[\w-]*\Z", before)
        what = "a pattern" if name and name[1] == "*" else "a text"
        return f"{what} that begins with {name[1]} stands in quotes" if name else ""
    if error.problem.startswith(("block sequence entries", "mapping keys are")) and sign and sign in "-?":
        is_value = re.search(rf"{_DASHES}{_KEY}: +\Z", before)
        return f"a text that begins with {sign} stands in quotes" if is_value else ""
    if "comment or line break" in error.problem:
        block = re.search(r": +([|>])[^:]*\Z", before)
        return f"a text that begins with {block[1]} stands in quotes" if block else ""
    return ""


def _explain_quote(error: YamlError, lines: Lines) -> str:
    """Explain a quote inside a text in quotes, which ends that text."""
    if not error.problem.startswith("did not find expected"):
        return ""
    line = lines[error.line]
    before, rest = line[: error.column - 1].rstrip(), line[error.column - 1 :]
    is_ended = before[-1:] in ("'", '"') and (before == line[: error.column - 1] or before[-1] in rest)
    if not is_ended or not rest or rest[0] in ",:]}":
        return ""
    return "a ' inside '…' is written ''" if before[-1] == "'" else 'a " inside "…" is written \\"'


def _explain_text(error: YamlError, lines: Lines) -> str:
    """Explain a colon inside a text without quotes."""
    line = lines[error.line]
    if line[error.column - 1 : error.column] != ":":
        return ""
    if error.problem.startswith("did not find expected ','"):
        return _explain_colon_inside(error, line)
    found = _KEY_AND_TEXT.match(line)
    if "mapping values" not in error.problem or found is None or error.column - 1 < found.start(3):
        return ""
    return f'a text that holds ": " stands in quotes{_repeat_in_quotes(found[2], found[3])}'


def _explain_colon_inside(error: YamlError, line: str) -> str:
    """Explain a second colon of one value inside a list or a mapping in brackets."""
    before = line[: error.column - 1]
    if _FIRST_KEY.fullmatch(before) and 0 < error.begun < error.line:
        # The brackets of an earlier line are still open, or its last value goes on here without a comma.
        bracket = "[" if "']'" in error.problem else "{"
        return f"nothing closes the {bracket} of line {error.begun} before this key, or a comma is missing"
    held = 'a text that holds ": " stands in quotes'
    return f"a comma is missing, or {held}" if re.search(r"[^\s,{\[:] +[^\s,{\[:]+\Z", before) else held


def _repeat_in_quotes(key: str, text: str) -> str:
    text = re.split(r"\s#", text)[0].rstrip()
    mark = '"' if '"' not in text and "\\" not in text else "'"
    is_shown = key in _REPEATED and mark not in text and text.isprintable() and len(text) <= _LONGEST_REPEATED
    return f": {key}: {mark}{text}{mark}" if is_shown else ""


def _explain_closer(error: YamlError, lines: Lines) -> str:
    """Explain a bracket behind a list or a mapping that ended before it."""
    sign = lines[error.line][error.column - 1 : error.column]
    is_closer = sign and sign in "]}" and error.problem in _BLOCK_GOES_ON
    return f"the {sign} closes nothing; take it out" if is_closer else ""


def _explain_opened(error: YamlError, lines: Lines) -> str:
    """Explain a text that begins like a list or a mapping, and goes on behind it."""
    line = lines[error.line]
    found = _KEY_AND_OPENED.match(line)
    ends = line[: error.column - 1].rstrip().endswith(("]", "}"))
    if (
        found is None
        or not ends
        or "expected key" not in error.problem
        or not line[error.column - 1 :].strip()
    ):
        return ""
    return f"a text that begins with {found[1]} stands in quotes"


def _explain_indentation(error: YamlError, lines: Lines) -> str:
    """Explain a key or a dash that stands neither at the level of the lines above nor properly below them."""
    line = lines[error.line]
    own = len(line) - len(line.lstrip(" "))
    if "mapping values" in error.problem:
        found, above = _LEVELS.match(line), _find_line_before(error.line, lines)
        levels = _list_levels(lines.get(above, ""))
        is_first_colon = found is not None and line.find(":") == error.column - 1
        return _compare(error.line, own, above, levels[-1]) if is_first_colon and levels else ""
    if error.column - 1 != own or not error.problem.startswith("did not find expected"):
        return ""
    return _find_level_between(error.line, own, lines)


def _find_level_between(number: int, own: int, lines: Lines) -> str:
    """Compare the column ``own`` with the levels that are open above; say nothing if it is one of them."""
    deeper: tuple[int, tuple[int, str]] | None = None
    for above in sorted(lines, reverse=True)[1:]:
        for level in reversed(_list_levels(lines[above])):
            if level[0] == own:
                return ""
            if level[0] > own and (deeper is None or level[0] < deeper[1][0]):
                deeper = above, level
            if level[0] < own:
                is_nearer = deeper is None or own - level[0] < deeper[1][0] - own
                return _compare(number, own, *((above, level) if is_nearer or deeper is None else deeper))
    return ""


def _compare(number: int, own: int, above: int, level: tuple[int, str]) -> str:
    column, what = level
    return "" if own == column else f"line {number} is indented by {own}, line {above}'s {what} by {column}"


def _list_levels(line: str) -> list[tuple[int, str]]:
    """Return the columns, from 0, at which a line's dashes and its key stand, each with its word."""
    found = _LEVELS.match(line)
    if found is None:
        return []
    if found[1] is None:
        return [(len(found[3]), "dash")]
    begin = len(found[1])
    dashes = [(begin + at.start(), "dash") for at in re.finditer("-", found[2])]
    return [*dashes, (begin + len(found[2]), "key")]


_RULES: tuple[Callable[[YamlError, Lines], str], ...] = (
    _explain_dash,
    _explain_colon,
    _explain_no_colon,
    _explain_sign,
    _explain_quote,
    _explain_text,
    _explain_indentation,
    _explain_closer,
    _explain_opened,
)
