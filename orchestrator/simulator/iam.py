"""Huawei's IAM as far as a token for a password goes: ``POST /v3/auth/tokens``, and its own error envelope.

IAM is on the same port as its ROMA instance. The vendor's page leaves three things open, which are made up
here: the texts of a locked user and of a second factor, and the status of a project that is not the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec
from msgspec import Struct

from orchestrator.simulator.accounts import PasswordVerdict, UserAccounts
from orchestrator.simulator.exchange import (
    CallResult,
    HttpAnswer,
    PlatformCall,
    ReceivedRequest,
    RequestEffect,
    get_header,
    json_answer,
)
from orchestrator.simulator.limits import TokenIssuer

PATH = "/v3/auth/tokens"
_TITLES: Mapping[int, str] = MappingProxyType(
    {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }
)
_REFUSALS: Mapping[PasswordVerdict, tuple[int, str]] = MappingProxyType(
    {
        PasswordVerdict.WRONG: (401, "The username or password is wrong."),
        PasswordVerdict.HALF: (401, "Multi-factor authentication is required: the totp method is missing."),
        PasswordVerdict.LOCKED: (403, "The user is locked after too many failed login attempts."),
    }
)


class _IamDomain(Struct):
    name: str


class _IamUser(Struct):
    name: str
    password: str
    domain: _IamDomain


class _IamPassword(Struct):
    user: _IamUser


class _IamIdentity(Struct):
    methods: list[str]
    password: _IamPassword


class _IamProject(Struct):
    id: str


class _IamScope(Struct):
    project: _IamProject


class _IamAuth(Struct):
    identity: _IamIdentity
    scope: _IamScope


class _TokenRequest(Struct):
    auth: _IamAuth


class SimulatedIam:
    """Gives tokens for one project, which its ROMA instance accepts."""

    def __init__(self, accounts: UserAccounts, door: TokenIssuer, project_id: str) -> None:
        self._accounts = accounts
        self._issuer = door
        self._project_id = project_id

    def route_login(self, asked: ReceivedRequest) -> PlatformCall:
        """Return the call that a login asks for."""
        return PlatformCall(
            login=True,
            needs_token=False,
            perform=lambda now, _twist: self._log_in(asked, now),
            error=lambda status, _code, message: error(status, message),
        )

    def _log_in(self, asked: ReceivedRequest, now: float) -> CallResult:
        if not (get_header(asked.headers, "content-type") or "").lower().startswith("application/json"):
            return _refuse(400, "The Content-Type must be application/json.")
        try:
            wish = msgspec.json.decode(asked.body, type=_TokenRequest).auth
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _refuse(400, "The request body is invalid.")
        if "password" not in wish.identity.methods:
            return _refuse(400, "The request body is invalid: the password method is missing.")
        user = wish.identity.password.user
        identity = self._accounts.check_password(user.name, user.password, now, domain=user.domain.name)
        if identity in _REFUSALS:
            return _refuse(*_REFUSALS[identity])
        if wish.scope.project.id != self._project_id:
            return _refuse(404, "Could not find the project.")
        return CallResult(self._word_grant(user, now), RequestEffect.GRANTED)

    def _word_grant(self, user: _IamUser, now: float) -> HttpAnswer:
        grant = self._issuer.grant(now)
        domain = {"name": user.domain.name}
        token = {
            "methods": ["password"],
            "issued_at": format_time(now),
            "expires_at": format_time(grant.until),
            "user": {"name": user.name, "domain": domain},
            "project": {"id": self._project_id, "domain": domain},
            "roles": [],
            "catalog": [],
        }
        answer = json_answer(201, {"token": token})
        # IAM sends the token in this header alone.
        return HttpAnswer(201, answer.body, {**answer.headers, "X-Subject-Token": grant.token})


def error(status: int, message: str | None) -> HttpAnswer:
    """Return an error in IAM's envelope, which is not the instance's."""
    title = _TITLES.get(status, "Error")
    return json_answer(status, {"error": {"code": status, "message": message or title, "title": title}})


def _refuse(status: int, message: str) -> CallResult:
    return CallResult(error(status, message), RequestEffect.REFUSED)


def format_time(seconds: float) -> str:
    """Write a Unix time as IAM writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
