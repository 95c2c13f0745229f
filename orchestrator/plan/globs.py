"""Patterns of target ids: ``*`` stays inside one part of an id, ``**`` crosses parts, ``?`` is one character
inside a part. Case counts; everything else means itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_STARS = re.compile(r"(\*+)")


def matcher(patterns: Iterable[str]) -> Callable[[str], str | None]:
    """Return what says which of ``patterns`` matches an id as a whole; ``None`` where none does.

    Patterns without ``*`` and ``?`` are looked up; where several match, one of those is told first, else
    the first as given.
    """
    given = tuple(dict.fromkeys(patterns))
    exact = frozenset(pattern for pattern in given if "*" not in pattern and "?" not in pattern)
    wild = tuple(pattern for pattern in given if pattern not in exact)
    search = re.compile("|".join(f"({_expression(pattern)})" for pattern in wild), re.DOTALL).match

    def match(target: str) -> str | None:
        if target in exact:
            return target
        found = search(target) if wild else None
        return wild[found.lastindex - 1] if found and found.lastindex else None

    return match


def _expression(pattern: str) -> str:
    """Return ``pattern`` as a regular expression that takes no more than quadratic time.

    Between two stars a text is found at its first place and never looked for again (an atomic group): an
    earlier end leaves more to what follows, so a later one could not match where the first does not. Only
    the text after the last star of its sort is sought to the end of the id.
    """
    spans = [""]  # what stands between two double stars: texts with single stars
    for piece in _STARS.split(pattern):
        if piece.startswith("**"):
            spans.append("")
        else:
            spans[-1] += piece
    if len(spans) == 1:
        return _last(spans[0])
    middle = "".join(f"(?>.*?{_span(span)})" for span in spans[1:-1])
    return (
        f"{_span(spans[0])}{middle}.*?{_last(spans[-1])}" if spans[-1] else f"{_span(spans[0])}{middle}.*\\Z"
    )


def _span(span: str) -> str:
    """Return the expression of a span that something follows."""
    first, *rest = span.split("*")
    return _text(first) + "".join(f"(?>[^/]*?{_text(text)})" for text in rest)


def _last(span: str) -> str:
    """Return the expression of the span that ends with the id."""
    before, star, last = span.rpartition("*")
    if not star:
        return f"{_text(last)}\\Z"
    return f"{_span(before)}[^/]*{_text(last)}\\Z"


def _text(text: str) -> str:
    return "[^/]".join(map(re.escape, text.split("?")))
