"""Who is let in at each platform: tokens, signatures, and logins that give tokens."""

from __future__ import annotations

from orchestrator.simulator.accounts import Accounts
from orchestrator.simulator.apinizer_login import TokenDesk
from orchestrator.simulator.exchange import Asked, Call, Objection, header
from orchestrator.simulator.iam import Iam
from orchestrator.simulator.keys import Keyring
from orchestrator.simulator.limits import Door
from orchestrator.simulator.seed import ApinizerSeed, RomaSeed
from orchestrator.simulator.signature import ALGORITHM


class RomaGate:
    """Lets in what is signed with a known key, or carries a token; IAM gives more of those."""

    def __init__(self, seed: RomaSeed) -> None:
        self._door = Door(seed.tokens, seed.expiry, life=seed.token_life, name=seed.name)
        self._keyring = Keyring(seed.keys)
        self._accounts = Accounts(seed.users, lock_after=seed.lock_after, lock_seconds=seed.lock_seconds)
        self._iam = Iam(self._accounts, self._door, seed.project_id)

    @property
    def key_locks(self) -> int:
        return self._keyring.locks

    @property
    def user_locks(self) -> int:
        return self._accounts.locks

    def login(self, asked: Asked) -> Call:
        return self._iam.call(asked)

    def objection(self, asked: Asked, now: float) -> Objection | None:
        # A signed request may carry a token as well; then the signature decides.
        if (header(asked.headers, "authorization") or "").startswith(ALGORITHM):
            return self._keyring.objection(asked, now)
        return self._door.objection(header(asked.headers, "x-auth-token"), now)


class ApinizerGate:
    """Lets in what carries a token; the manager itself gives more of those. Nothing is ever locked."""

    key_locks = 0
    user_locks = 0

    def __init__(self, seed: ApinizerSeed) -> None:
        self._door = Door(seed.tokens, seed.expiry, life=seed.token_life, name=seed.name)
        self._control_socket = TokenDesk(Accounts(seed.users), self._door, seed.expires_in)

    def login(self, asked: Asked) -> Call:
        return self._control_socket.call(asked)

    def objection(self, asked: Asked, now: float) -> Objection | None:
        scheme, _, token = (header(asked.headers, "authorization") or "").partition(" ")
        return self._door.objection(token.strip() if scheme == "Bearer" else None, now)
