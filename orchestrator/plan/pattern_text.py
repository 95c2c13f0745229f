"""The text of a pattern of target ids: the meaning of its signs, and the texts that can match no id."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.errors import UnfitError
from orchestrator.model.target_id import STRAY
from orchestrator.text.characters import quote_text, why_hidden
from orchestrator.text.names import to_nfc

_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_KEPT = {"%": "%25", "/": "%2F", "*": "%2A", "?": "%3F"}
"""Signs with a meaning of their own in a pattern. A decoded ``%XX`` stays encoded if it is one of them."""
# A bare % in front of an encoded digit would begin a new %XX once the digit is decoded: "%%325" is no "%25".
_BARE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEVER_IN_A_FILE = re.compile(r"[{},^$\\\"'#]")


def canonicalize(pattern: str) -> str:
    """Return a pattern in NFC, with each ``%XX`` decoded that does not stand for a sign of patterns."""
    return to_nfc(_ENCODED.sub(_decode, pattern) if "%" in pattern else pattern)


def _decode(found: re.Match[str]) -> str:
    try:
        text = bytes.fromhex(found[0].replace("%", "")).decode()
    except UnicodeDecodeError:
        # Bytes that are no UTF-8 stay as written, and `find_text_fault` then refuses their % as a stray one.
        return found[0]
    return "".join(_KEPT.get(letter, letter) for letter in text)


def find_text_fault(pattern: str, *, in_file: bool = False) -> UnfitError | None:
    """Return why a pattern can match no id in any plan; None if its text is sound.

    A line of a protect file (``in_file``) must also look like nothing but a pattern: a comma or a comment at
    its end would become part of the pattern, which then protects nothing.
    """
    plain = canonicalize(pattern)
    if hidden := why_hidden(plain):
        return UnfitError(f"{quote_text(pattern)} {hidden}, and no id does", "remove it")
    if in_file and (sign := _NEVER_IN_A_FILE.search(pattern)):
        hint = f"a line is one pattern and nothing else; in a name it is written %{ord(sign[0]):02X}"
        return UnfitError(
            f"{quote_text(pattern)}: the character {sign[0]} may not stand in a protect file", hint
        )
    if "://" in pattern:
        return UnfitError(
            f"{quote_text(pattern)} is a URL, and matches no target's id",
            "a pattern begins with a gateway's name or with a host alone",
        )
    if stray := _BARE.search(pattern) or STRAY.search(plain):
        hint = "%25 is a %, %2F a / inside a part; ? stands for any one character"
        return UnfitError(f'{quote_text(pattern)} matches no target\'s id: no id holds "{stray[0]}"', hint)
    return _find_part_fault(pattern, plain.split("/"))


def write_for_file(pattern: str) -> str:
    """Return a pattern as a line of a protect file: with the signs encoded that may not stand there."""
    return _NEVER_IN_A_FILE.sub(lambda sign: f"%{ord(sign[0]):02X}", pattern)


def _find_part_fault(pattern: str, parts: Sequence[str]) -> UnfitError | None:
    if "" in parts:
        where = "begins with a /" if not parts[0] else "ends with a /" if not parts[-1] else "holds //"
        hint = f'write "{pattern}**" for all below' if where.startswith("ends") and len(pattern) < 60 else ""
        return UnfitError(f"{quote_text(pattern)} {where}, and no part of an id is empty", hint)
    if any(part != part.strip() for part in parts):
        return UnfitError(f"{quote_text(pattern)} holds a part with a space at an end, which no id has")
    if len(parts) == 1 and "**" not in parts[0]:
        hint = f'an id is gateway/part/...; "{pattern}/**" is all of a gateway of that name'
        return UnfitError(f"{quote_text(pattern)} matches no target's id", hint if len(pattern) < 60 else "")
    return None
