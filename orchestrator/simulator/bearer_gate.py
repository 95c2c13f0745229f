"""The credentials of a gateway that lets in whoever carries one of its bearer tokens."""

from __future__ import annotations

from orchestrator.simulator.exchange import AccessDenial, ReceivedRequest, get_header
from orchestrator.simulator.gateway_fixture import GatewayFixture
from orchestrator.simulator.limits import TokenIssuer


class BearerGate:
    """Lets in requests that carry a token in ``Authorization``. Nothing is ever locked."""

    key_locks = 0
    user_locks = 0

    def __init__(self, fixture: GatewayFixture) -> None:
        self.issuer = TokenIssuer(fixture.tokens, fixture.expiry, life=fixture.token_life, name=fixture.name)

    def find_denial(self, asked: ReceivedRequest, now: float) -> AccessDenial | None:
        scheme, _, token = (get_header(asked.headers, "authorization") or "").partition(" ")
        return self.issuer.find_denial(token.strip() if scheme == "Bearer" else None, now)
