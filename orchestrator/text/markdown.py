"""Put texts from outside into Markdown: they show as they are, and have no effect in it.

A vendor's message may hold a pipe, a link, an ``@mention`` or HTML. None of them may take effect in a ticket.
"""

from __future__ import annotations

import re

from orchestrator.text.characters import make_visible

# Trackers disagree about a backslash inside a table, before a pipe and before HTML: those become entities.
_MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "\\`<>|&@"} | {
    ord(sign): f"\\{sign}" for sign in "*_[]~#"
}

# GitHub and GitLab look for these in the text that comes of the Markdown, where no escape is left. They leave
# alone what stands in backticks, and nothing else that all trackers know.
_ACTIVE = re.compile(
    r"://|www\.|@|\$|[#!%&~]\d|\bGH-\d|:(?:[a-z_+-][\w+-]*|100|1234):", re.IGNORECASE | re.ASCII
)
"""What makes a word an address, a mention, a reference, a formula or a picture."""
_BETWEEN_WORDS = re.compile(r"""([\s`|\\()\[\]<>,;"']+)""")


def escape_markdown(text: str) -> str:
    """Return ``text`` so that no table, emphasis, heading, link, mention, reference or HTML comes of it.

    A word of which a tracker would make a link by itself, such as a bare address, stands in code.
    """
    words = _BETWEEN_WORDS.split(make_visible(text))
    return "".join(f"`{word}`" if _ACTIVE.search(word) else word.translate(_MARKUP) for word in words)


def format_code(text: str) -> str:
    """Return ``text`` as code: in backticks, or in HTML where backticks would not hold it.

    A span in backticks cannot hold a backtick, and inside a table no pipe.
    """
    shown = make_visible(text)
    if not shown.strip() or "|" in shown or "`" in shown or "\\" in shown:
        # Markdown goes on inside of HTML, so a bare address there would be a link.
        return f"<code>{escape_markdown(text)}</code>"
    return f"`{shown}`"


def format_target(target: str, name: str | None) -> str:
    """Return the id of a target as code, with the name that people know it by, if there is one."""
    return f"{format_code(target)} ({escape_markdown(name)})" if name else format_code(target)
