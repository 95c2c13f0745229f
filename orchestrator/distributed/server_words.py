"""The words of a Temporal server as they may be shown and kept: without the API key, which it may repeat."""

from __future__ import annotations

from orchestrator.lanes.masking import KnownSecrets

# Every call of a process carries the same key, and most of those who tell of a fault know no key.
_keys = KnownSecrets()


def hide_key(key: str) -> None:
    """Take an API key out of all words of the server from now on."""
    _keys.add((key,))


def clean_words(text: str) -> str:
    """Return what the server, or a proxy before it, has said, on one line and without the key."""
    return " ".join(_keys.mask.clean_text(text).split())
