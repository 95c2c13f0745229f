"""Access keys: the check of their signatures, and their locks. Pure: the caller gives the time."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.simulator.exchange import AccessDenial, DenialReason, ReceivedRequest, get_header
from orchestrator.simulator.limits import Lockout
from orchestrator.simulator.signature import SignatureClaim, is_genuine, parse_claim, parse_signing_time

_LATITUDE = 15 * 60.0
"""Seconds by which the signer's clock may differ from ours."""
_BAD_IN_A_ROW = 5
_LOCKED_FOR = 5 * 60.0


class AccessKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access key. A temporary one has a security token, which each of its requests must carry."""

    access: str
    secret: str
    security_token: str | None = None


class SignatureKeyring:
    """Checks signatures. More than five bad ones in a row lock their key for five minutes."""

    def __init__(self, keys: tuple[AccessKey, ...]) -> None:
        self._keys = {key.access: key for key in keys}
        # The vendor locks a key after more than five.
        self._lockout = Lockout(_BAD_IN_A_ROW + 1, _LOCKED_FOR)

    @property
    def locks(self) -> int:
        """Number of locks of keys."""
        return self._lockout.lock_count

    def find_denial(self, asked: ReceivedRequest, now: float) -> AccessDenial | None:
        """Return why a signed request is denied; None if it is let in."""
        claim = parse_claim(get_header(asked.headers, "authorization") or "")
        if claim is None:
            return AccessDenial(DenialReason.SIGNATURE)
        key = self._keys.get(claim.access)
        if key is None:
            return AccessDenial(DenialReason.NO_KEY, key=claim.access)
        if self._lockout.is_locked(key.access, now):
            return AccessDenial(DenialReason.LOCKED)
        why = _find_flaw(claim, key, asked, now)
        self._lockout.record_attempt(key.access, now, correct=why is None)
        return None if why is None else AccessDenial(why)


def _find_flaw(
    claim: SignatureClaim, key: AccessKey, asked: ReceivedRequest, now: float
) -> DenialReason | None:
    date = parse_signing_time(asked.headers)
    if date is None:
        return DenialReason.SIGNATURE
    if abs(now - date) > _LATITUDE:
        return DenialReason.CLOCK
    # A permanent key with any security token is as wrong as a temporary key without its own.
    if get_header(asked.headers, "x-security-token") != key.security_token:
        return DenialReason.SECURITY_TOKEN
    return None if is_genuine(claim, asked, key.secret) else DenialReason.SIGNATURE
