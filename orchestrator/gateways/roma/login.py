"""The login at Huawei Cloud's IAM, which gives a token for ROMA Connect.

After IAM's page "Obtaining a User Token Through Password Authentication".
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from msgspec import Struct

from orchestrator.gateways.envelope import describe_reply, find_text, parse_object
from orchestrator.gateways.logins import find_reason, make_token, make_unclear, refuse_unsendable
from orchestrator.gateways.naming import names_another
from orchestrator.model.credentials import LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply, Request
from orchestrator.model.settings import IamLogin

NO_SECOND_FACTOR = "multi-factor authentication is not supported; use a token or access keys"

_SECOND_FACTOR = re.compile(r"\b(?:v?mfa|totp|multi-?factor)\b", re.IGNORECASE)


class RomaLoginFeature(Struct, frozen=True):
    """The login feature of one instance: its IAM user, and the project that the token is for."""

    user: IamLogin
    project_id: str

    def build_request(self, password: Secret) -> Request:
        """Build the login of the user at IAM.

        Raises ``ValueError`` for an empty or unsendable name or password.
        """
        for name in (self.user.user, self.user.domain, self.project_id):
            refuse_unsendable(Secret(name), "user, the domain or the project_id")
        refuse_unsendable(password, "password")
        user = {
            "name": self.user.user,
            "password": password.reveal(),
            "domain": {"name": self.user.domain},
        }
        body = msgspec.json.encode(
            {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": {"id": self.project_id}},
                }
            }
        )
        headers = {"Content-Type": "application/json;charset=utf8", "Accept": "application/json"}
        # Without nocatalog the answer lists every service of every region.
        url = f"{self.user.url.rstrip('/')}/v3/auth/tokens?nocatalog=true"
        return Request("POST", url, headers, body)

    def read(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Read IAM's answer. Only a 201 with a token grants, unless the token is for another project."""
        fields = parse_object(reply) or {}
        if reply.status == 201:
            # IAM sends the token in this header alone; the body only describes it.
            token = make_token(reply.headers.get("x-subject-token"))
            # ROMA Connect belongs to one project, and would refuse a token of another one at every request.
            if names_another(_find_project(fields.get("token")), self.project_id):
                text = f"IAM answered with a token that is not for the project {self.project_id}"
                return LoginUnclear(None, text, None)
            if token is not None:
                return LoginGranted(token, _find_end(fields.get("token")))
            return make_unclear(reply, fields, "IAM answered 201 without a token in X-Subject-Token")
        if reply.status not in {400, 401, 403, 404}:
            text = f"{describe_reply(reply)} is not how IAM answers a login; check its url"
            return make_unclear(reply, fields, text)
        code, reason = find_reason(reply, fields)
        if "required_auth_methods" in fields or _SECOND_FACTOR.search(f"{code} {reason}"):
            return LoginRejected(code, f"{NO_SECOND_FACTOR} ({reason})")
        return LoginRejected(code, reason)


def _find_project(token: object) -> object:
    project = token.get("project") if isinstance(token, dict) else None
    return project.get("id") if isinstance(project, dict) else None


def _find_end(token: object) -> float | None:
    """Return ``expires_at`` in Unix seconds; None unless it is a time with its zone."""
    text = find_text(token, "expires_at") if isinstance(token, dict) else None
    try:
        end = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return end.timestamp() if end.tzinfo is not None else None
