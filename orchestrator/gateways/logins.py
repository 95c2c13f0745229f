"""The parts that the logins of all vendors share: sendable texts, tokens that fit a header, refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.gateways.envelope import describe_reply, find_text, find_wait, list_levels, parse_seconds
from orchestrator.gateways.text import show_text
from orchestrator.model.credentials import LoginUnclear, Secret
from orchestrator.model.http import Reply

_SENDABLE = re.compile(r"[^\ud800-\udfff]+")  # an environment variable that is not UTF-8 gives surrogates
_TOKEN = re.compile(r"[\x21-\x7e]+")


def refuse_unsendable(text: Secret, name: str) -> None:
    """Raise ``ValueError`` for a text that is empty or no UTF-8; ``name`` says what the text is."""
    # Before any text is encoded: the error of an encoder holds the whole text, and this one is a secret.
    if not _SENDABLE.fullmatch(text.reveal()):
        raise ValueError(f"the {name} of a login is empty, or holds bytes that are not UTF-8")


def make_token(value: object) -> Secret | None:
    """Return a token that a header can carry: any other would fail each request that it is sent with."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value.strip()):
        return None
    return Secret(value.strip())


def make_unclear(reply: Reply, fields: dict[str, Any], otherwise: str) -> LoginUnclear:
    """Return a login without an answer, in the vendor's words, or else in those of ``otherwise``."""
    # A body that is no error's is not quoted, since it may hold a token.
    code, reason = find_reason(reply, fields) if reply.status >= 400 else _find_error(fields)
    return LoginUnclear(
        code, reason or otherwise, parse_seconds(fields.get("retry_after")) or find_wait(reply)
    )


def find_reason(reply: Reply, fields: dict[str, Any]) -> tuple[str | None, str]:
    """Return an error's code and text: the vendor's, or else its status and what its body is."""
    code, text = _find_error(fields)
    return code, text or describe_reply(reply)


def _find_error(fields: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return code and text of either vendor's envelope, which may be one level down, fit to be shown."""
    found = [(_find_code(level), _find_text(level)) for level in list_levels(fields)]
    code = next((code for code, _ in found if code), None)
    text = next((text for _, text in found if text), None) or code
    return code and show_text(code), text and show_text(text)


def _find_code(fields: Mapping[str, Any]) -> str | None:
    return find_text(fields, "error_code", "errorCode", "error", "code")


def _find_text(fields: Mapping[str, Any]) -> str | None:
    return find_text(fields, "error_msg", "errorMsg", "error_description", "resultMessage", "message")
