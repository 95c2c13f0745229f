"""Access keys: who may sign, and when a key is locked. Pure: the time comes with the request."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.simulator.exchange import Asked, Objection, Why, header
from orchestrator.simulator.limits import Lockout
from orchestrator.simulator.signature import Claim, claim_of, is_genuine, signed_at

_LATITUDE = 15 * 60.0
"""How far the signer's clock may be from ours, in seconds."""
_BAD_IN_A_ROW = 5
_LOCKED_FOR = 5 * 60.0


class Key(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access key. A temporary one has a security token, which must come with each of its requests."""

    access: str
    secret: str
    security_token: str | None = None


class Keyring:
    """Checks signatures. More than five bad ones in a row lock their key for five minutes."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = {key.access: key for key in keys}
        self._lockout = Lockout(_BAD_IN_A_ROW + 1, _LOCKED_FOR)

    @property
    def locks(self) -> int:
        """How often a key was locked."""
        return self._lockout.times

    def objection(self, asked: Asked, now: float) -> Objection | None:
        """Why a signed request is not let in, or None."""
        claim = claim_of(header(asked.headers, "authorization") or "")
        if claim is None:
            return Objection(Why.SIGNATURE)
        key = self._keys.get(claim.access)
        if key is None:
            return Objection(Why.NO_KEY, key=claim.access)
        if self._lockout.holds(key.access, now):
            return Objection(Why.LOCKED)
        why = _flaw(claim, key, asked, now)
        self._lockout.tried(key.access, now, well=why is None)
        return None if why is None else Objection(why)


def _flaw(claim: Claim, key: Key, asked: Asked, now: float) -> Why | None:
    date = signed_at(asked.headers)
    if date is None:
        return Why.SIGNATURE
    if abs(now - date) > _LATITUDE:
        return Why.CLOCK
    # A permanent key with somebody's security token is as wrong as a temporary key without its own.
    if header(asked.headers, "x-security-token") != key.security_token:
        return Why.SECURITY_TOKEN
    return None if is_genuine(claim, asked, key.secret) else Why.SIGNATURE
