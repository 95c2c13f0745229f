"""Getting a token for a password, at IAM for ROMA Connect and at Apinizer's manager: requests and readings.

After Huawei Cloud's IAM page "Obtaining a User Token Through Password Authentication" and Apinizer's page
"Authentication API".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from orchestrator.gateways.envelope import first_text, json_object, nature, seconds, wait_asked
from orchestrator.gateways.naming import names_another
from orchestrator.gateways.text import shown
from orchestrator.model.credentials import LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply, Request

NO_SECOND_FACTOR = "multi-factor authentication is not supported; use a token or access keys"

_SENDABLE = re.compile(r"[^\ud800-\udfff]+")  # an environment variable that is not UTF-8 gives surrogates
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SECOND_FACTOR = re.compile(r"\b(?:v?mfa|totp|multi-?factor)\b", re.IGNORECASE)


def iam_request(url: str, user: str, domain: str, password: Secret, project_id: str) -> Request:
    """Return the login of ``user`` of the account ``domain`` at IAM, whose base is ``url``.

    Its token is for one project, as ROMA Connect wants it. Raises ``ValueError`` for an empty or unsendable
    name or password.
    """
    for name in (user, domain, project_id):
        _refuse(Secret(name), "user, the domain or the project_id")
    _refuse(password, "password")
    body = msgspec.json.encode(
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {"name": user, "password": password.reveal(), "domain": {"name": domain}}
                    },
                },
                "scope": {"project": {"id": project_id}},
            }
        }
    )
    headers = {"Content-Type": "application/json;charset=utf8", "Accept": "application/json"}
    # Without nocatalog the answer lists every service of every region.
    return Request("POST", f"{url.rstrip('/')}/v3/auth/tokens?nocatalog=true", headers, body)


def apinizer_request(url: str, user: str, password: Secret) -> Request:
    """Return the login of ``user`` at the manager whose address is ``url``, without ``/apiops``.

    Raises ``ValueError`` for an empty or unsendable name or password.
    """
    _refuse(Secret(user), "user")
    _refuse(password, "password")
    body = urlencode(
        {"grant_type": "client_credentials", "client_id": user, "client_secret": password.reveal()}
    ).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    # No slash at the end, unlike all of the manager's other addresses.
    return Request("POST", f"{url.rstrip('/')}/apiops/auth/token", headers, body)


def _refuse(text: Secret, name: str) -> None:
    """Before any text is encoded: the encoder's own error holds the whole of what it could not encode."""
    if not _SENDABLE.fullmatch(text.reveal()):
        raise ValueError(f"the {name} of a login is empty, or holds bytes that are not UTF-8")


def read_iam(reply: Reply, project_id: str) -> LoginGranted | LoginRejected | LoginUnclear:
    """Return what IAM's answer means. Never raises, whatever the bytes; only a 201 with a token grants, and
    none that is for another project than ``project_id``."""
    fields = json_object(reply) or {}
    if reply.status == 201:
        token = _token(reply.headers.get("x-subject-token"))
        if names_another(_project(fields.get("token")), project_id):
            return LoginUnclear(
                None, f"IAM answered with a token that is not for the project {project_id}", None
            )
        if token is not None:
            return LoginGranted(token, _ends(fields.get("token")))
        return _unclear(reply, fields, "IAM answered 201 without a token in X-Subject-Token")
    if reply.status not in {400, 401, 403, 404}:
        return _unclear(reply, fields, f"{nature(reply)} is not how IAM answers a login; check its url")
    code, reason = _reason(reply, fields)
    if "required_auth_methods" in fields or _SECOND_FACTOR.search(f"{code} {reason}"):
        return LoginRejected(code, f"{NO_SECOND_FACTOR} ({reason})")
    return LoginRejected(code, reason)


def read_apinizer(reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
    """Return what the manager's answer means. Never raises, whatever the bytes.

    Only a 200 with a typed token grants.
    """
    fields = json_object(reply) or {}
    if reply.status == 200:
        token = _token(fields.get("access_token"))
        if token is not None:
            # expires_in is documented as 3600, as a time in milliseconds, and as a number without a unit: to
            # believe one of them is to renew at every request, or never, by the others. A 401 tells it.
            return LoginGranted(token, until=None)
        return _unclear(reply, fields, "the manager answered 200 without a token in access_token")
    limited = fields.get("error") == "rate_limit_exceeded"  # documented without a status of its own
    if reply.status in {400, 401, 403} and not limited:
        return LoginRejected(*_reason(reply, fields))
    return _unclear(reply, fields, f"{nature(reply)} is not how the manager answers a login; check url")


def _token(value: object) -> Secret | None:
    """Return a token that a header can carry: any other would fail each request that it is sent with."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value.strip()):
        return None
    return Secret(value.strip())


def _project(token: object) -> object:
    project = token.get("project") if isinstance(token, dict) else None
    return project.get("id") if isinstance(project, dict) else None


def _ends(token: object) -> float | None:
    """Return ``expires_at`` in Unix seconds; None unless it is a time with its zone."""
    text = first_text(token, "expires_at") if isinstance(token, dict) else None
    try:
        end = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return end.timestamp() if end.tzinfo is not None else None


def _unclear(reply: Reply, fields: dict[str, Any], otherwise: str) -> LoginUnclear:
    """A body that is no error's is not quoted, since it may hold a token; ``otherwise`` stands for it."""
    code, reason = _reason(reply, fields) if reply.status >= 400 else _said(fields)
    return LoginUnclear(code, reason or otherwise, seconds(fields.get("retry_after")) or wait_asked(reply))


def _reason(reply: Reply, fields: dict[str, Any]) -> tuple[str | None, str]:
    """Return an error's code and text: the vendor's, or else its status and what its body is."""
    code, text = _said(fields)
    return code, text or nature(reply)


def _said(fields: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return code and text of either vendor's envelope, which may be one level down, fit to be shown."""
    found = [(_code(level), _text(level)) for level in _levels(fields)]
    code = next((code for code, _ in found if code), None)
    text = next((text for _, text in found if text), None) or code
    return code and shown(code), text and shown(text)


def _levels(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield fields
    yield from (value for value in fields.values() if isinstance(value, dict))


def _code(fields: dict[str, Any]) -> str | None:
    return first_text(fields, "error_code", "errorCode", "error", "code")


def _text(fields: dict[str, Any]) -> str | None:
    return first_text(fields, "error_msg", "errorMsg", "error_description", "resultMessage", "message")
