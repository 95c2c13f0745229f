"""Huawei's IAM as far as a token for a password goes: ``POST /v3/auth/tokens``, and its own error envelope.

It is on the same port as its ROMA instance. What the vendor's page leaves open is made up: the texts of a
locked user and of a second factor, and the status of a project that is not the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec
from msgspec import Struct

from orchestrator.simulator.accounts import Accounts, Identity
from orchestrator.simulator.exchange import Answer, Asked, Call, Done, Effect, header, json_answer
from orchestrator.simulator.limits import Door

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
_REFUSALS: Mapping[Identity, tuple[int, str]] = MappingProxyType(
    {
        Identity.WRONG: (401, "The username or password is wrong."),
        Identity.HALF: (401, "Multi-factor authentication is required: the totp method is missing."),
        Identity.LOCKED: (403, "The user is locked after too many failed login attempts."),
    }
)


class _Domain(Struct):
    name: str


class _User(Struct):
    name: str
    password: str
    domain: _Domain


class _Password(Struct):
    user: _User


class _Identity(Struct):
    methods: list[str]
    password: _Password


class _Project(Struct):
    id: str


class _Scope(Struct):
    project: _Project


class _Auth(Struct):
    identity: _Identity
    scope: _Scope


class _Wish(Struct):
    auth: _Auth


class Iam:
    """Gives tokens for one project, at the door of its instance."""

    def __init__(self, accounts: Accounts, door: Door, project_id: str) -> None:
        self._accounts = accounts
        self._door = door
        self._project_id = project_id

    def call(self, asked: Asked) -> Call:
        """What a login asks for."""
        return Call(
            login=True,
            needs_token=False,
            perform=lambda now, _twist: self._log_in(asked, now),
            error=lambda status, _code, message: error(status, message),
        )

    def _log_in(self, asked: Asked, now: float) -> Done:
        if not (header(asked.headers, "content-type") or "").lower().startswith("application/json"):
            return _refused(400, "The Content-Type must be application/json.")
        try:
            wish = msgspec.json.decode(asked.body, type=_Wish).auth
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _refused(400, "The request body is invalid.")
        if "password" not in wish.identity.methods:
            return _refused(400, "The request body is invalid: the password method is missing.")
        user = wish.identity.password.user
        identity = self._accounts.identify(user.name, user.password, now, domain=user.domain.name)
        if identity in _REFUSALS:
            return _refused(*_REFUSALS[identity])
        if wish.scope.project.id != self._project_id:
            return _refused(404, "Could not find the project.")
        return Done(self._granted(user, now), Effect.GRANTED)

    def _granted(self, user: _User, now: float) -> Answer:
        grant = self._door.grant(now)
        domain = {"name": user.domain.name}
        token = {
            "methods": ["password"],
            "issued_at": instant(now),
            "expires_at": instant(grant.until),
            "user": {"name": user.name, "domain": domain},
            "project": {"id": self._project_id, "domain": domain},
            "roles": [],
            "catalog": [],
        }
        answer = json_answer(201, {"token": token})
        return Answer(201, answer.body, {**answer.headers, "X-Subject-Token": grant.token})


def error(status: int, message: str | None) -> Answer:
    """An error in IAM's envelope, which is not the instance's."""
    title = _TITLES.get(status, "Error")
    return json_answer(status, {"error": {"code": status, "message": message or title, "title": title}})


def _refused(status: int, message: str) -> Done:
    return Done(error(status, message), Effect.REFUSED)


def instant(seconds: float) -> str:
    """A Unix time as IAM writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
