"""How an Apinizer manager gives a token for a password: ``POST /apiops/auth/token``.

It speaks OAuth whatever the manager's other errors look like.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs

from orchestrator.simulator.accounts import Accounts, Identity
from orchestrator.simulator.apinizer_replies import JSON
from orchestrator.simulator.apinizer_words import Words
from orchestrator.simulator.exchange import Answer, Asked, Call, Done, Effect, header, json_answer
from orchestrator.simulator.limits import Door, Grant

ExpiresIn = Literal["3600", "epoch", "milliseconds"]
"""What ``expires_in`` is, as documented at one time or another: always 3600, whatever the truth; the end as a
Unix time in milliseconds; the life in milliseconds."""

_OAUTH = Words("a", "old")
_FORM = "application/x-www-form-urlencoded"


class TokenDesk:
    """Gives tokens at the manager's door."""

    def __init__(self, accounts: Accounts, door: Door, expires_in: ExpiresIn) -> None:
        self._accounts = accounts
        self._door = door
        self._expires_in = expires_in

    def call(self, asked: Asked) -> Call:
        """What a login asks for."""
        return Call(
            login=True,
            needs_token=False,
            perform=lambda now, _twist: self._log_in(asked, now),
            error=lambda status, code, message: _OAUTH.error(status, message, code),
        )

    def _log_in(self, asked: Asked, now: float) -> Done:
        if (header(asked.headers, "content-type") or "").partition(";")[0].strip().lower() != _FORM:
            return _refused(400, "invalid_request", f"Content-Type must be {_FORM}!")
        form = parse_qs(asked.body.decode("utf-8", "replace"), keep_blank_values=True)
        if form.get("grant_type") != ["client_credentials"]:
            return _refused(400, "unsupported_grant_type", "GrantType value must be client_credentials!")
        name, password = (form.get(field, [""])[-1] for field in ("client_id", "client_secret"))
        if self._accounts.identify(name, password, now) is not Identity.PROVEN:
            return _refused(401, "unauthorized_client", "Bad credentials")
        return Done(self._granted(self._door.grant(now), now), Effect.GRANTED)

    def _granted(self, grant: Grant, now: float) -> Answer:
        told = {"epoch": grant.until, "milliseconds": grant.until - now}.get(self._expires_in)
        body: dict[str, object] = {"access_token": grant.token, "token_type": "Bearer"}
        return json_answer(200, body | {"expires_in": 3600 if told is None else round(told * 1000)}, JSON)


def _refused(status: int, code: str, message: str) -> Done:
    return Done(_OAUTH.error(status, message, code), Effect.REFUSED)
