"""Credentials that cannot be printed by accident, and the results of a login."""

from __future__ import annotations

from typing import NoReturn, TypeAlias

from msgspec import Struct

SHORTEST_SECRET = 8
"""Characters below which a credential cannot be told from a word."""


class Secret:
    """A text that cannot be printed by accident: ``repr``, ``str`` and ``format`` show ``•••``.

    Only ``reveal`` gives the text; it is called where a request is built and where texts are masked.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "•••"

    def __format__(self, _spec: str) -> str:
        return "•••"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


class AccessKeys(Struct, frozen=True):
    """An access key and its secret key; temporary ones come with a security token.

    Raises ``ValueError`` where one is empty or holds a character that no key has. A line break copied with a
    key would cost five bad signatures, and then the vendor locks the key.
    """

    access: Secret
    secret: Secret
    security_token: Secret | None = None

    def __post_init__(self) -> None:
        _refuse_unfit(self.access, "access key")
        _refuse_unfit(self.secret, "secret key")
        if self.security_token is not None:
            _refuse_unfit(self.security_token, "security token")


def _refuse_unfit(key: Secret, name: str) -> None:
    text = key.reveal()
    if not text or not text.isascii() or any(not letter.isprintable() or letter == " " for letter in text):
        raise ValueError(
            f"the {name} is empty, or holds a space, a line break or a character that is not ASCII"
        )


class LoginPassword(Struct, frozen=True):
    """The password of a login; requests are let in by the token that the login gives."""

    secret: Secret


Access: TypeAlias = Secret | AccessKeys
"""The credential that lets a request in."""


class LoginGranted(Struct, frozen=True):
    """A login was accepted. ``until`` is the Unix time at which the token ends, where that is known."""

    token: Secret
    until: float | None


class LoginRejected(Struct, frozen=True):
    """A login was refused; trying again may lock the account."""

    code: str | None
    message: str


class LoginUnclear(Struct, frozen=True):
    """A login without a usable answer. It may be tried again, after ``wait`` seconds if given."""

    code: str | None
    message: str
    wait: float | None


Material: TypeAlias = Access | LoginPassword
"""The credential that the references of a gateway give: one that lets requests in, or a password."""


class StoreCredential(Struct, frozen=True):
    """The credential of a traffic store."""

    header: Secret
    """The whole value of the ``Authorization`` header; empty where the store wants none."""
    secrets: tuple[Secret, ...] = ()
    """All texts that a reply might repeat, and that nobody may see."""


NO_CREDENTIAL = StoreCredential(Secret(""))
"""For a store without security."""
