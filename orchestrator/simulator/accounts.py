"""Users who log in with a password, and when one of them is locked out. Pure."""

from __future__ import annotations

import hmac
from enum import Enum, auto

from msgspec import Struct

from orchestrator.simulator.limits import Lockout


class User(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user. ``domain`` is the account that a ROMA user belongs to; Apinizer has none.

    With ``second_factor`` the password alone gives no token.
    """

    name: str
    password: str
    domain: str = ""
    second_factor: bool = False


class Identity(Enum):
    """What came of a name and a password."""

    PROVEN = auto()
    WRONG = auto()
    HALF = auto()  # the password is right, and a second factor is wanted
    LOCKED = auto()


class Accounts:
    """Checks passwords. ``lock_after`` wrong ones in a row lock a user for ``lock_seconds``; 0 never does."""

    def __init__(self, users: tuple[User, ...], *, lock_after: int = 0, lock_seconds: float = 0.0) -> None:
        self._users = {(user.domain, user.name): user for user in users}
        self._lockout = Lockout(lock_after, lock_seconds)

    @property
    def locks(self) -> int:
        """How often a user was locked."""
        return self._lockout.times

    def identify(self, name: str, password: str, now: float, *, domain: str = "") -> Identity:
        """Say who this is; a wrong password counts."""
        user = self._users.get((domain, name))
        if user is None:
            return Identity.WRONG
        place = f"{domain}\0{name}"
        if self._lockout.holds(place, now):
            return Identity.LOCKED
        well = hmac.compare_digest(_bytes(password), _bytes(user.password))
        self._lockout.tried(place, now, well=well)
        if not well:
            return Identity.WRONG
        return Identity.HALF if user.second_factor else Identity.PROVEN


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
