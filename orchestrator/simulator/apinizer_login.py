"""The login of an Apinizer manager, a token for a password: ``POST /apiops/auth/token``.

Its errors are OAuth's, whatever the manager's other errors look like.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs

from orchestrator.simulator.accounts import PasswordVerdict, UserAccounts
from orchestrator.simulator.apinizer_replies import JSON
from orchestrator.simulator.apinizer_words import ApinizerWording
from orchestrator.simulator.exchange import (
    CallResult,
    HttpAnswer,
    PlatformCall,
    ReceivedRequest,
    RequestEffect,
    get_header,
    json_answer,
)
from orchestrator.simulator.limits import GrantedToken, TokenIssuer

ExpiresIn = Literal["3600", "epoch", "milliseconds"]
"""The documented meanings of ``expires_in``: always 3600, whatever the truth; the end as a Unix time in
milliseconds; the life in milliseconds."""

# The vendor's login keeps OAuth's error form, also where all other errors have the new one.
_OAUTH = ApinizerWording("a", "old")
_FORM = "application/x-www-form-urlencoded"


class ApinizerLogin:
    """Gives tokens that the manager accepts."""

    def __init__(self, accounts: UserAccounts, door: TokenIssuer, expires_in: ExpiresIn) -> None:
        self._accounts = accounts
        self._issuer = door
        self._expires_in = expires_in

    def route_login(self, asked: ReceivedRequest) -> PlatformCall:
        """Return the call that a login asks for."""
        return PlatformCall(
            login=True,
            needs_token=False,
            perform=lambda now, _twist: self._log_in(asked, now),
            error=lambda status, code, message: _OAUTH.error(status, message, code),
        )

    def _log_in(self, asked: ReceivedRequest, now: float) -> CallResult:
        # The vendor accepts no JSON here.
        if (get_header(asked.headers, "content-type") or "").partition(";")[0].strip().lower() != _FORM:
            return _refuse(400, "invalid_request", f"Content-Type must be {_FORM}!")
        form = parse_qs(asked.body.decode("utf-8", "replace"), keep_blank_values=True)
        if form.get("grant_type") != ["client_credentials"]:
            return _refuse(400, "unsupported_grant_type", "GrantType value must be client_credentials!")
        name, password = (form.get(field, [""])[-1] for field in ("client_id", "client_secret"))
        if self._accounts.check_password(name, password, now) is not PasswordVerdict.PROVEN:
            return _refuse(401, "unauthorized_client", "Bad credentials")
        return CallResult(self._word_grant(self._issuer.grant(now), now), RequestEffect.GRANTED)

    def _word_grant(self, grant: GrantedToken, now: float) -> HttpAnswer:
        told = {"epoch": grant.until, "milliseconds": grant.until - now}.get(self._expires_in)
        body: dict[str, object] = {"access_token": grant.token, "token_type": "Bearer"}
        return json_answer(200, body | {"expires_in": 3600 if told is None else round(told * 1000)}, JSON)


def _refuse(status: int, code: str, message: str) -> CallResult:
    return CallResult(_OAUTH.error(status, message, code), RequestEffect.REFUSED)
