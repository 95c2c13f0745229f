"""The credentials of an Apinizer manager: bearer tokens, and its login that gives more of them."""

from __future__ import annotations

from orchestrator.simulator.accounts import UserAccounts
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.apinizer_login import ApinizerLogin
from orchestrator.simulator.bearer_gate import BearerGate
from orchestrator.simulator.exchange import PlatformCall, ReceivedRequest


class ApinizerGate(BearerGate):
    """Lets in requests that carry a token; the manager itself gives more tokens."""

    def __init__(self, fixture: ApinizerFixture) -> None:
        super().__init__(fixture)
        self._login = ApinizerLogin(UserAccounts(fixture.users), self.issuer, fixture.expires_in)

    def route_login(self, asked: ReceivedRequest) -> PlatformCall:
        return self._login.route_login(asked)
