"""Finds a key that a JSON document gives twice in one object.

Decoders let the last one count, while a person who reads the document may believe the first.
"""

from __future__ import annotations


def find_repeated_key(data: bytes) -> str | None:
    """Return the first key that stands twice in one object of a JSON document; None if there is none.

    Raises ValueError or RecursionError for what is no JSON in UTF-8, or too deep.
    """
    import json  # noqa: PLC0415 - few documents are tested, and it delays the start of every command

    found: list[str] = []

    def note_repeated(pairs: list[tuple[str, object]]) -> None:
        # Nothing is returned, so that a large document is not built a second time.
        known: set[str] = set()
        for key, _ in pairs:
            if key in known:
                found.append(key)
            known.add(key)

    # As text, since Python limits the digits of a number.
    json.loads(data.decode(), object_pairs_hook=note_repeated, parse_int=str, parse_float=str)
    return found[0] if found else None
