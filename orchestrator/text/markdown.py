"""Put texts from outside into Markdown: they show as they are, and have no effect in it.

A vendor's message may hold a pipe, a link, an ``@mention`` or HTML. None of them may take effect in a ticket.
"""

from __future__ import annotations

from orchestrator.text.characters import make_visible

# Trackers disagree about a backslash inside a table, before a pipe and before HTML: those become entities.
_MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "\\`<>|&@"} | {
    ord(sign): f"\\{sign}" for sign in "*_[]~#"
}


def escape_markdown(text: str) -> str:
    """Return ``text`` so that no table, emphasis, heading, link, mention, reference or HTML comes of it.

    Trackers may still make a link of a bare address: it leads where it says.
    """
    return make_visible(text).translate(_MARKUP)


def format_code(text: str) -> str:
    """Return ``text`` as code: in backticks, or in HTML where backticks would not hold it.

    A span in backticks cannot hold a backtick, and inside a table no pipe.
    """
    shown = make_visible(text)
    if not shown.strip() or "|" in shown or "`" in shown or "\\" in shown:
        return f"<code>{shown.translate(_MARKUP)}</code>"
    return f"`{shown}`"


def format_target(target: str, name: str | None) -> str:
    """Return the id of a target as code, with the name that people know it by, if there is one."""
    return f"{format_code(target)} ({escape_markdown(name)})" if name else format_code(target)
