"""Where a credential stands in a text, whole or in a piece, as it is or in digits. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from orchestrator.lanes.spellings import SPLITS, URL_SAFE, Span, TextView, decode_runs

PIECE_LENGTH = 16
"""Characters of a longer credential that are blotted out alone: a text may be cut inside one."""
GRAM_LENGTH = 8
"""Characters of the pieces by which a cheap test searches a text, before the exact one."""
SHORTEST_CUT = 4
"""Characters of a credential that are blotted out at the end of a text which is marked as cut (``…``)."""
SHORTEST_CODED = 4
"""A shorter credential is not searched for in base64 and hexadecimal digits: chance would put it there."""
_CUT_MARK = re.compile(r"…|\.\.")
_SIGNS = re.compile(r"\W*")
_CAPITALS = str.maketrans("ABCDEF", "abcdef")


class _SearchTexts(Struct, frozen=True):
    """Searches a text for any of several spellings of credentials; for a long spelling, in pieces."""

    whole: tuple[str, ...] = ()
    pieces: frozenset[str] = frozenset()
    grams: frozenset[str] = frozenset()
    heads: tuple[str, ...] = ()

    @classmethod
    def build(cls, *texts: str) -> _SearchTexts:
        long = [text for text in texts if len(text) >= PIECE_LENGTH]
        return cls(
            whole=tuple(text for text in texts if len(text) < PIECE_LENGTH),
            pieces=frozenset(piece for text in long for piece in _cut_pieces(text, PIECE_LENGTH)),
            grams=frozenset(gram for text in long for gram in _cut_pieces(text, GRAM_LENGTH)),
            heads=tuple(
                text[:size] for text in texts for size in range(SHORTEST_CUT, min(PIECE_LENGTH, len(text)))
            ),
        )

    @classmethod
    def join(cls, searches: Sequence[_SearchTexts]) -> _SearchTexts:
        """Return a search that tells whether a text may hold a spelling of any, as fast as one; not where."""
        return cls(
            whole=tuple(text for each in searches for text in each.whole),
            grams=searches[0].grams.union(*(each.grams for each in searches[1:])),
            heads=tuple(head for each in searches for head in each.heads),
        )

    def may_be_in(self, text: str) -> bool:
        """Return cheaply whether ``text`` may hold one of them."""
        # Every piece covers at least one of the places that are tried here, since it is twice as long as the
        # step between two places.
        grams = self.grams
        return any(whole in text for whole in self.whole + self._find_cut_heads(text)) or (
            bool(grams)
            and any(
                text[at : at + GRAM_LENGTH] in grams
                for at in range(0, len(text) - GRAM_LENGTH + 1, GRAM_LENGTH)
            )
        )

    def _find_cut_heads(self, text: str) -> tuple[str, ...]:
        """Return the beginnings of a spelling in which a text ends, if the text is marked as cut."""
        left = _find_text_before_cut(text)
        return tuple(head for head in self.heads if left.endswith(head)) if left.endswith(self.heads) else ()

    def find(self, text: str) -> Iterator[Span]:
        """Yield each place in ``text`` where a spelling stands, or a piece of one."""
        if not self.may_be_in(text):
            return
        for whole in self.whole:
            yield from (each.span() for each in re.finditer(re.escape(whole), text))
        for head in self._find_cut_heads(text):
            end = text.rindex(head) + len(head)
            yield end - len(head), end
        for at in range(len(text) - PIECE_LENGTH + 1):
            if text[at : at + PIECE_LENGTH] in self.pieces:
                yield at, at + PIECE_LENGTH


def _find_text_before_cut(text: str) -> str:
    """Return a text up to the dots that mark it as cut; empty if it does not end with such dots.

    Only signs may stand behind the dots. The end of the text is looked at first: one expression for the dots
    and the signs would try each of a thousand dots as the first one, and share the others in every way.
    """
    signs = _SIGNS.match(text[::-1])
    mark = _CUT_MARK.search(text, len(text) - signs.end()) if signs and signs.end() else None
    return text[: mark.start()] if mark else ""


def _cut_pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


class LongSecret:
    """A credential that is searched for everywhere: as it is, in base64 and in hexadecimal digits."""

    short = False

    def __init__(self, secret: str) -> None:
        data = secret.encode("utf-8", "surrogatepass")
        self.searches: tuple[_SearchTexts, ...] = (
            _SearchTexts.build(lower(SPLITS.sub("", secret) or secret)),
            _SearchTexts.build(*(_encode_inner_digits(data, before) for before in range(3))),
            _SearchTexts.build(data.hex()),
        )
        """One for each of ``_list_readings``."""

    def find(self, view: TextView) -> Iterator[Span]:
        """Yield each place of the credential in the text that a view is of."""
        for search, read in zip(self.searches, _list_readings(view.text), strict=True):
            yield from (view.locate(*span) for span in search.find(read))


class JointSearch:
    """Tells cheaply whether a text may hold any of many long credentials: hundreds cost no more than one."""

    def __init__(self, sought: Iterable[LongSecret] = (), known: JointSearch | None = None) -> None:
        """``known``: what it searches for is searched for as well."""
        parts = [each.searches for each in sought]
        if known is not None and known._searches:
            parts.insert(0, known._searches)
        self._searches: tuple[_SearchTexts, ...] = tuple(map(_SearchTexts.join, zip(*parts, strict=True)))

    def may_be_in(self, text: str) -> bool:
        """Return whether a text without escapes and splits may hold one of the credentials."""
        return any(map(_SearchTexts.may_be_in, self._searches, _list_readings(text)))


def _list_readings(text: str) -> tuple[str, str, str]:
    """Return a text as a credential is searched for in it: as it is, in base64, in hexadecimal digits."""
    return lower(text), text.translate(URL_SAFE), text.translate(_CAPITALS)


def lower(text: str) -> str:
    """Return ``text`` in small letters, since some servers write a header's value so.

    Each letter keeps its place, and has one small form wherever it stands. Two letters would not: ``lower``
    makes two characters of a dotted capital I, and asks what stands beside a sigma.
    """
    return text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()


def _encode_inner_digits(data: bytes, before: int) -> str:
    """Return the base64 digits of ``data`` that are the same whatever stands around it.

    ``before`` is how many other bytes stand before it, modulo 3: base64 groups bytes in threes.
    """
    digits = base64.b64encode(bytes(before) + data).decode()
    return digits[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]


class ShortSecret:
    """A credential that is searched for only as a word: no letter, digit or ``_`` stands beside it."""

    short = True

    def __init__(self, secret: str) -> None:
        self._plain = _compile_word(secret)
        in_bytes = secret.encode("utf-8", "surrogatepass").decode("latin-1")
        self._in_bytes = _compile_word(in_bytes) if len(secret) >= SHORTEST_CODED else None

    def find(self, view: TextView) -> Iterator[Span]:
        """Yield each place of the credential in the text that a view is of."""
        yield from (view.locate(*each.span()) for each in self._plain.finditer(view.text))
        if self._in_bytes is None:
            return
        for at, data, bytes_of, digits in decode_runs(view.text):
            for each in self._in_bytes.finditer(data):
                begin, end = each.start() * digits // bytes_of, -(-each.end() * digits // bytes_of)
                yield view.locate(at + begin, min(at + end, len(view.text)))


def _compile_word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


SoughtSecret: TypeAlias = LongSecret | ShortSecret
