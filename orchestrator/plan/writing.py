"""Values to the YAML of a plan: what is read again is what was written, whatever the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.plan.nodes import Entries, Items, Node, Scalar

# Words that YAML's readers take for something else than a text; ours does not, an editor's may.
_NO_TEXTS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What a plain value may look like besides, where it was plain before: numbers, shares, times, paths.
_PLAIN_ANYWHERE = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+%:-]*(?<!:)")
# What may not stand in a YAML file as it is, or would not be the same when read again.
_ESCAPED = re.compile(r"[\"\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")

# The same of a comment, and what turns the direction of a text around.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def scalar(text: str) -> str:
    """Return a text as it stands in a plan: bare where nobody takes it for something else, else quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXTS:
        return text
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return f"\\{letter}" if letter in '"\\' else f"\\u{ord(letter):04x}"


def flow(pairs: Mapping[str, str]) -> str:
    """Return a mapping of texts on one line."""
    return f"{{{', '.join(f'{scalar(key)}: {scalar(value)}' for key, value in pairs.items())}}}"


def block(entries: Entries, indent: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping as it was read: what was plain stays so, and a number a number."""
    pad = " " * indent
    for key, node in entries.values.items():
        name = f"{pad}{scalar(key)}:"
        if isinstance(node, Entries) and node.values:
            yield name
            yield from block(node, indent + 2)
        elif isinstance(node, Items) and any(not isinstance(one, Scalar) for one in node.values):
            yield name
            yield from _listed(node, indent + 2)
        else:
            yield f"{name} {_inline(node)}".rstrip()


def _listed(items: Items, indent: int) -> Iterator[str]:
    for node in items.values:
        if isinstance(node, Entries) and node.values:
            first, *rest = block(node, indent + 2)
            yield f"{' ' * indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{' ' * indent}- {_inline(node)}"


def _inline(node: Node | None) -> str:
    match node:
        case Scalar(text, plain) if plain and (not text or _PLAIN_ANYWHERE.fullmatch(text)):
            return text
        case Scalar(text, _):
            return scalar(text) if node.plain else f'"{_ESCAPED.sub(_escape, text)}"'
        case Items():
            return f"[{', '.join(map(_inline, node.values))}]"
        case _:
            return "{}"


def remark(text: str) -> str:
    """Return a text as it may stand in a comment: on one line, with nothing that misleads the eye."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
