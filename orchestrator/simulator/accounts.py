"""The users of a simulated gateway: their passwords, and their locks after wrong ones. Pure."""

from __future__ import annotations

import hmac
from enum import Enum, auto

from msgspec import Struct

from orchestrator.simulator.limits import Lockout


class SimulatedUser(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user. ``domain`` is the account that a ROMA user belongs to; Apinizer has none.

    With ``second_factor`` the password alone gives no token.
    """

    name: str
    password: str
    domain: str = ""
    second_factor: bool = False


class PasswordVerdict(Enum):
    """The verdict on a name and a password."""

    PROVEN = auto()
    WRONG = auto()
    HALF = auto()  # the password is right, but the user needs a second factor
    LOCKED = auto()


class UserAccounts:
    """Checks passwords. ``lock_after`` wrong ones in a row lock a user for ``lock_seconds``; 0: never."""

    def __init__(
        self, users: tuple[SimulatedUser, ...], *, lock_after: int = 0, lock_seconds: float = 0.0
    ) -> None:
        self._users = {(user.domain, user.name): user for user in users}
        self._lockout = Lockout(lock_after, lock_seconds)

    @property
    def locks(self) -> int:
        """Number of locks of users."""
        return self._lockout.lock_count

    def check_password(self, name: str, password: str, now: float, *, domain: str = "") -> PasswordVerdict:
        """Judge a name and a password; a wrong password counts towards a lock."""
        user = self._users.get((domain, name))
        if user is None:
            return PasswordVerdict.WRONG
        place = f"{domain}\0{name}"
        if self._lockout.is_locked(place, now):
            return PasswordVerdict.LOCKED
        correct = hmac.compare_digest(_encode(password), _encode(user.password))
        self._lockout.record_attempt(place, now, correct=correct)
        if not correct:
            return PasswordVerdict.WRONG
        return PasswordVerdict.HALF if user.second_factor else PasswordVerdict.PROVEN


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
