"""Warn of placeholders that no template has filled, of words for no value, and of texts in curly quotes.

They are allowed, since a real name may look so.
"""

from __future__ import annotations

from orchestrator.plan.keys import is_secret
from orchestrator.plan.nodes import ListNode, MappingNode, Node, ScalarNode, join_path
from orchestrator.plan.problems import Problems
from orchestrator.text.characters import is_in_curly_quotes, quote_text
from orchestrator.text.names import EMPTY_WORDS, find_placeholder

LOOKS_UNFILLED = "looks like a placeholder that nobody has filled"
IS_A_TEXT = "is read as a text, and programs write it where they have none"
IN_CURLY_QUOTES = "stands in the quotes of a word processor, which belong to it; write straight quotes if not"


def warn_of_placeholders(node: Node | None, path: str, problems: Problems) -> None:
    """Warn of each text under ``node`` that looks like a placeholder or no value, or is in curly quotes.

    Does not warn of a command's arguments.
    """
    match node:
        case ScalarNode():
            _warn_of_placeholder(node, path, problems)
        case ListNode():
            for index, value in enumerate(node.values):
                warn_of_placeholders(value, f"{path}[{index}]", problems)
        case MappingNode():
            for key, value in node.values.items():
                if key != "command":
                    warn_of_placeholders(value, join_path(path, key), problems)


def _warn_of_placeholder(scalar: ScalarNode, path: str, problems: Problems) -> None:
    found = find_placeholder(scalar.text)
    if found:
        problems.warn(scalar.at, path, f"{'this' if is_secret(path) else quote_text(found)} {LOOKS_UNFILLED}")
    elif scalar.plain and scalar.text in EMPTY_WORDS:
        hint = "leave the key out if nothing is meant"
        shown = "this" if is_secret(path) else quote_text(scalar.text)
        problems.warn(scalar.at, path, f"{shown} {IS_A_TEXT}", hint)
    elif is_in_curly_quotes(scalar.text):
        shown = "this" if is_secret(path) else quote_text(scalar.text)
        problems.warn(scalar.at, path, f"{shown} {IN_CURLY_QUOTES}")
