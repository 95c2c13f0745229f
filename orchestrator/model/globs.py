"""Match texts with patterns: ``*`` stays inside one part, ``**`` crosses parts, ``?`` is one character.

Case counts. Every other character means itself. A pattern comes from a person and must not take forever,
whatever it holds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

_STARS = re.compile(r"(\*+)")
WILD = re.compile(r"[*?]+")
"""The signs of a pattern that stand for other text."""
_TOKENS = re.compile(r"\*\*+|.", re.DOTALL)

FEW = 8
"""With so few patterns, trying each one is faster than looking up which may match."""
_GRAM = 3


class Globs:
    """Many patterns, and a search for those that match a text as a whole.

    Each pattern is filed under one of its fragments of three characters: the one that the fewest patterns
    share. A text is only tried on patterns whose fragment it holds. So thousands of patterns are as fast as a
    few, unless most of them share all their fragments.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        self._exact: dict[str, int] = {}
        self._loose: list[int] = []
        """Patterns without such a fragment: each text is tried on them."""
        # One large alternation took 31 s for 2,000 patterns and 20,000 targets.
        self._filed: dict[str, list[int]] = defaultdict(list)
        self._tests: dict[int, Callable[[str], object]] = {}
        self._file()
        self._fragments = frozenset(self._filed)

    def _file(self) -> None:
        wild: list[int] = []
        for index, pattern in enumerate(self.patterns):
            if WILD.search(pattern):
                wild.append(index)
            else:
                self._exact[pattern] = index
        if len(wild) <= FEW:
            self._loose = wild
            return
        fragments = {index: _cut_fragments(self.patterns[index]) for index in wild}
        shared = Counter(fragment for found in fragments.values() for fragment in found)
        for index, found in fragments.items():
            if found:
                # By the fragment too, so that the choice does not depend on the order of a set.
                self._filed[min(found, key=lambda each: (shared[each], each))].append(index)
            else:
                self._loose.append(index)

    def find_matches(self, text: str) -> Iterator[int]:
        """Yield the index of each pattern that matches: an equal one first, the others in any order."""
        if (exact := self._exact.get(text)) is not None:
            yield exact
        for index in self._loose:
            if self._find_test(index)(text):
                yield index
        if self._fragments:
            for fragment in _cut_grams(text) & self._fragments:
                for index in self._filed[fragment]:
                    if self._find_test(index)(text):
                        yield index

    def _find_test(self, index: int) -> Callable[[str], object]:
        test = self._tests.get(index)
        if test is None:
            test = self._tests[index] = re.compile(_translate(self.patterns[index]), re.DOTALL).match
        return test


def make_matcher(patterns: Iterable[str]) -> Callable[[str], str | None]:
    """Return a function that returns the pattern that matches a text as a whole; None if none does.

    If several match, the function returns one without ``*`` and ``?``, else the first as given.
    """
    globs = Globs(patterns)

    def match(text: str) -> str | None:
        found = list(globs.find_matches(text))
        if not found:
            return None
        exact = globs.patterns[found[0]] == text
        return globs.patterns[found[0] if exact else min(found)]

    return match


def match_beginning(pattern: str, start: str) -> Iterator[str]:
    """Match the beginning of ``pattern`` with ``start``; yield patterns for the rest of a text.

    A text that begins with ``start`` matches ``pattern`` if its rest matches one of them.
    """
    tokens = _TOKENS.findall(pattern)
    states = _skip_stars(tokens, {0})
    for letter in start:
        states = _skip_stars(tokens, {after for state in states for after in _advance(tokens, state, letter)})
    for state in sorted(states):
        # The state at the star before this one covers it, since a star may match nothing.
        if not (state and state - 1 in states and tokens[state - 1].startswith("*")):
            yield "".join(tokens[state:])


def _advance(tokens: list[str], state: int, letter: str) -> Iterator[int]:
    """Yield the positions in the pattern after one more letter of the text."""
    sign = tokens[state] if state < len(tokens) else ""
    if sign.startswith("**") or (sign == "*" and letter != "/"):
        yield state
    # A question mark and a single star never cross into another part of the id.
    elif sign == letter or (sign == "?" and letter != "/"):
        yield state + 1


def _skip_stars(tokens: list[str], states: set[int]) -> set[int]:
    """Add the positions behind stars, since a star may match nothing."""
    reached = set(states)
    for state in states:
        place = state
        while place < len(tokens) and tokens[place].startswith("*"):
            place += 1
            reached.add(place)
    return reached


def _cut_grams(text: str) -> set[str]:
    return {text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1)}


def _cut_fragments(pattern: str) -> set[str]:
    return {gram for run in WILD.split(pattern) for gram in _cut_grams(run)}


def _translate(pattern: str) -> str:
    """Return ``pattern`` as a regular expression that takes no more than quadratic time.

    A text between two stars is taken where it first occurs, and never sought again (an atomic group). That is
    safe: the earliest occurrence leaves most to the rest, so a later one cannot match where this one does
    not. Only the text after the last star of its sort is sought up to the end of the id.
    """
    spans = [""]  # texts with single stars, between two double stars
    for piece in _STARS.split(pattern):
        if piece.startswith("**"):
            spans.append("")
        else:
            spans[-1] += piece
    if len(spans) == 1:
        return _translate_last(spans[0])
    middle = "".join(f"(?>.*?{_translate_span(span)})" for span in spans[1:-1])
    return (
        f"{_translate_span(spans[0])}{middle}.*?{_translate_last(spans[-1])}"
        if spans[-1]
        else f"{_translate_span(spans[0])}{middle}.*\\Z"
    )


def _translate_span(span: str) -> str:
    """Return the expression of a span before another one."""
    first, *rest = span.split("*")
    return _translate_text(first) + "".join(f"(?>[^/]*?{_translate_text(text)})" for text in rest)


def _translate_last(span: str) -> str:
    """Return the expression of the span that ends with the id."""
    before, star, last = span.rpartition("*")
    if not star:
        return f"{_translate_text(last)}\\Z"
    return f"{_translate_span(before)}[^/]*{_translate_text(last)}\\Z"


def _translate_text(text: str) -> str:
    return "[^/]".join(map(re.escape, text.split("?")))
