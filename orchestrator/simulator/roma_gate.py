"""The credentials of a ROMA Connect instance: tokens, IAM's logins that give more of them, and signatures."""

from __future__ import annotations

from orchestrator.simulator.accounts import UserAccounts
from orchestrator.simulator.exchange import AccessDenial, PlatformCall, ReceivedRequest, get_header
from orchestrator.simulator.iam import SimulatedIam
from orchestrator.simulator.keys import SignatureKeyring
from orchestrator.simulator.limits import TokenIssuer
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.simulator.signature import ALGORITHM


class RomaGate:
    """Lets in requests that carry a token or are signed with a known key; IAM gives more tokens."""

    def __init__(self, fixture: RomaFixture) -> None:
        self._issuer = TokenIssuer(fixture.tokens, fixture.expiry, life=fixture.token_life, name=fixture.name)
        self._keyring = SignatureKeyring(fixture.keys)
        self._accounts = UserAccounts(
            fixture.users, lock_after=fixture.lock_after, lock_seconds=fixture.lock_seconds
        )
        self._iam = SimulatedIam(self._accounts, self._issuer, fixture.project_id)

    @property
    def key_locks(self) -> int:
        return self._keyring.locks

    @property
    def user_locks(self) -> int:
        return self._accounts.locks

    def route_login(self, asked: ReceivedRequest) -> PlatformCall:
        return self._iam.route_login(asked)

    def find_denial(self, asked: ReceivedRequest, now: float) -> AccessDenial | None:
        # A signed request may carry a token too; then the vendor checks the signature alone.
        if (get_header(asked.headers, "authorization") or "").startswith(ALGORITHM):
            return self._keyring.find_denial(asked, now)
        return self._issuer.find_denial(get_header(asked.headers, "x-auth-token"), now)
