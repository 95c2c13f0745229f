"""Write and read target ids: ``gateway/part/...``, with ``%25`` for ``%`` and ``%2F`` for ``/`` in a part."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.errors import UnfitError
from orchestrator.model.target import TargetId
from orchestrator.text.characters import quote_text

STRAY = re.compile(r"%(?!25|2F)")
"""A % that no id holds."""


def join_id(gateway: str, parts: Sequence[str]) -> TargetId:
    """Return the id of the target with these coordinates."""
    whole = "/".join(parts)
    # Nearly no id needs an escape, and every target of a plan comes through here.
    if "%" in whole or whole.count("/") != len(parts) - 1:
        # First %, else the % of %2F would be escaped once more.
        whole = "/".join([part.replace("%", "%25").replace("/", "%2F") for part in parts])
    return TargetId(f"{gateway}/{whole}")


def decode_parts(text: str) -> tuple[str, ...]:
    """Return the parts of a valid id, without the gateway's name."""
    parts = text.split("/")[1:]
    if "%" not in text:  # nearly every id: journals of many targets are read with this
        return tuple(parts)
    return tuple(map(_decode, parts))


def _decode(part: str) -> str:
    # First %2F, else %252F would become a slash.
    return part.replace("%2F", "/").replace("%25", "%")


def split_id(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the gateway's name and the parts. Raises ``UnfitError`` for a ``%`` that no id holds."""
    if STRAY.search(text):
        hint = "write %25 for %, %2F for / inside a part, and nothing else so"
        raise UnfitError(f"{quote_text(text)} holds a % that is neither %25 nor %2F", hint)
    gateway, *parts = text.split("/")
    return gateway, tuple(map(_decode, parts))
