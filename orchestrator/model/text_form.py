"""The form of a text that a program made, such as an id: an expression for the reader, words for people."""

from __future__ import annotations

import re

from msgspec import Meta, Struct

from orchestrator.errors import UnfitError
from orchestrator.text.characters import NO_LINE_FEED, quote_text


class TextForm(Struct, frozen=True, kw_only=True):
    """What a text of this form is called, and how it is written. No message shows an expression."""

    pattern: str
    """The regular expression that the whole text matches."""
    noun: str
    """What such a text is: ``the UUID of an API``."""
    words: str
    """How to write one, as a request: ``write 1 to 64 of A to Z, digits, _ and -``."""
    piece: str = ""
    """The regular expression of any characters of such a text, in their order; ``pattern`` if not given."""

    @property
    def meta(self) -> Meta:
        """What makes a field of a plan a text of this form, in an ``Annotated``."""
        return Meta(pattern=f"^(?:{self.pattern})${NO_LINE_FEED}", extra={"form": self})

    def may_hold(self, characters: str) -> bool:
        """Return whether a text of this form may hold these characters, with others between them."""
        return not characters or re.fullmatch(self.piece or self.pattern, characters) is not None

    def check(self, text: str) -> str:
        """Return ``text``. Raises ``UnfitError`` unless it has this form."""
        if re.fullmatch(self.pattern, text) is None:
            raise UnfitError(f"{quote_text(text)} is not {self.noun}", self.words)
        return text
