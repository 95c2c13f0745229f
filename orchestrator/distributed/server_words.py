"""The words of a Temporal server as they may be shown and kept.

They come from outside like those of a gateway: they may repeat the API key, and steer a terminal.
"""

from __future__ import annotations

from orchestrator.lanes.masking import KnownSecrets
from orchestrator.text.characters import make_visible

# Every call of a process carries the same key, and most of those who tell of a fault know no key.
_keys = KnownSecrets()


def hide_key(key: str) -> None:
    """Take an API key out of all words of the server from now on."""
    _keys.add((key,))


def clean_words(text: str) -> str:
    """Return what the server, or a proxy before it, has said: on one visible line, without the key."""
    return make_visible(" ".join(_keys.mask.clean_text(text).split()))
