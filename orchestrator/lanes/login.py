"""What lets a lane's requests in: a token, a pair of keys, or a login's token; one for all of its workers.

A rejected credential costs one refresh for the whole lane and then the lane: a login that was refused, or a
signature that was, is not tried again, since both lock accounts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeAlias

import anyio
import msgspec
from msgspec import Struct

from orchestrator.errors import CredentialError
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.masking import TOO_SHORT, Mask
from orchestrator.model.credentials import (
    SHORT,
    Access,
    AccessKeys,
    LoginGranted,
    LoginPassword,
    LoginRejected,
    LoginUnclear,
    Material,
    Secret,
)
from orchestrator.model.features import LoginFeature
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Send
from orchestrator.model.reading import Reading
from orchestrator.rules.retry import describe

RENEW_BEFORE = 1800.0
"""Seconds before its end at which a login's token is renewed, or half its life where that is less."""

RENEW_AGAIN = 60.0
"""Seconds until a renewal that was not answered is tried again, while the token in use still lasts."""

LOGIN_TRIES = 5
"""Logins in a row that may go unanswered before the lane is parked."""


class ActiveCredential(Struct):
    """The credential in use. ``worked``: the gateway has answered it with something else than 401."""

    access: Access
    generation: int
    until: float | None = None
    """Unix time of its end, where that is known."""
    renew_at: float | None = None
    worked: bool = False


class LoginDenied(Struct, frozen=True):
    """Nothing lets this lane in any more."""

    reason: str


class LoginDelayed(Struct, frozen=True):
    """A login went unanswered; ``final`` where it has been tried often enough."""

    reason: str
    wait: float | None
    final: bool


LoginResult: TypeAlias = ActiveCredential | LoginDenied | LoginDelayed


class Authenticator:
    """One lane's credential. ``on_login`` is told of each login before it is sent, for the report."""

    def __init__(
        self,
        gateway: Gateway,
        material: Material,
        environment: Environment,
        send: Send,
        on_login: Callable[[], None] = lambda: None,
    ) -> None:
        self._gateway = gateway
        self._material = material
        self._environment = environment
        self._send = send
        self._lock = anyio.Lock()
        self._unanswered = 0
        self._generation = 0
        self._refused: LoginDenied | None = None
        """Why the newest credential cannot be renewed."""
        self._on_login = on_login
        self._secrets = frozenset[str]()
        self._keep((*list_secrets(material), *(each.reveal() for each in environment.passwords(gateway))))
        self.active: ActiveCredential | None = None
        if not isinstance(material, LoginPassword):
            self._issue(material)

    def _keep(self, secrets: Iterable[str]) -> None:
        self._secrets |= frozenset(filter(None, secrets))
        self._environment.known.add(self._secrets)

    @property
    def mask(self) -> Mask:
        """What takes out of texts from outside every credential ever in use, the other gateways' and the
        proxies' among them."""
        return self._environment.known.mask

    @property
    def warning(self) -> str | None:
        """What is to be said of a credential, or a proxy's password, that masking takes for a word."""
        return TOO_SHORT if any(len(secret) < SHORT for secret in self._secrets) else None

    @property
    def alone(self) -> bool:
        """Whether the first request must go alone: five bad signatures lock an access key."""
        return isinstance(self._material, AccessKeys)

    @property
    def ready(self) -> bool:
        """Whether a request may leave without a login before it."""
        active = self.active
        return active is not None and (active.renew_at is None or self._environment.now() < active.renew_at)

    async def enter(self) -> LoginResult:
        """Return what lets a request in now, after a login where one is due."""
        async with self._lock:
            if self.ready and self.active is not None:
                return self.active
            return await self._log_in()

    async def renew(self, generation: int, reading: Reading) -> LoginDenied | None:
        """Get another credential after a 401, once for the whole lane, or say that none lets us in.

        A worker whose credential is not the newest any more has nothing to do. A credential that never
        worked is renewed only if it is the first one. Whoever waited for a renewal in vain is told what it
        came to: the reference is not read again, since it may be a command that hangs.
        """
        async with self._lock:
            active = self.active
            if active is None or generation != active.generation:
                return None
            if self._refused is None:
                self._refused = await self._renew(active, reading)
            return self._refused

    async def _renew(self, active: ActiveCredential, reading: Reading) -> LoginDenied | None:
        if isinstance(active.access, AccessKeys):
            return LoginDenied(f"the signature was rejected ({describe(reading)})")
        if active.generation > 1 and not active.worked:
            return LoginDenied(f"the renewed credential was refused too ({describe(reading)})")
        try:
            material = await self._environment.credential(self._gateway)
        except CredentialError as error:
            return LoginDenied(f"{error} ({describe(reading)})")
        return self._replace(active, material, reading)

    def _replace(self, active: ActiveCredential, material: Material, reading: Reading) -> LoginDenied | None:
        self._material = material
        self._keep(list_secrets(material))
        if isinstance(material, LoginPassword):
            active.renew_at, active.until = 0.0, None  # whoever is admitted next logs in
            return None
        if material == active.access:
            why = "the credential was rejected, and its reference gives no other one"
            return LoginDenied(f"{why} ({describe(reading)})")
        self._issue(material)
        return None

    def confirm(self, generation: int) -> None:
        """Keep that the credential of this generation was answered with something else than 401."""
        if self.active is not None and generation == self.active.generation:
            self.active.worked = True

    async def _log_in(self) -> LoginResult:
        login = self._gateway.login
        # Only the token of a login ends, and only a gateway with a login has a password for material.
        assert isinstance(self._material, LoginPassword) and login is not None  # noqa: S101, PT018
        self._on_login()
        answer = await self._send(login.build_request(self._material.secret))
        match _read_login(login, answer):
            case LoginGranted(token, until):
                self._unanswered = 0
                self._keep(list_secrets(token))
                return self._issue(token, until)
            case LoginRejected(code, message):
                return LoginDenied(f"the login was refused ({self._told(code, message)})")
            case LoginUnclear() if (active := self._kept()) is not None:
                return active
            case LoginUnclear(code, message, wait):
                self._unanswered += 1
                told = self._told(code, message)
                return LoginDelayed(f"no token could be had: {told}", wait, self._unanswered >= LOGIN_TRIES)

    def _kept(self) -> ActiveCredential | None:
        """Return the token in use where it is not over yet: its renewal is tried again a while later."""
        active, now = self.active, self._environment.now()
        if active is None or active.until is None or now >= active.until:
            return None
        active.renew_at = min(active.until, now + RENEW_AGAIN)
        return active

    def _told(self, *texts: str | None) -> str:
        return self.mask.text(" ".join(filter(None, texts)))

    def _issue(self, access: Access, until: float | None = None) -> ActiveCredential:
        self._generation += 1
        now = self._environment.now()
        ends = until if until is not None else read_token_end(access)
        # A token that is over before it has begun says that the clocks differ: then a 401 is what tells.
        lasts = None if until is None or until <= now else until - now
        renew_at = None if lasts is None else now + max(lasts - RENEW_BEFORE, lasts / 2)
        self.active = ActiveCredential(access, self._generation, ends, renew_at)
        return self.active


def _read_login(login: LoginFeature, answer: Reply | Lost) -> LoginGranted | LoginRejected | LoginUnclear:
    if isinstance(answer, Lost):
        return LoginUnclear(None, answer.detail, None)
    return login.read(answer)


def list_secrets(material: Material) -> tuple[str, ...]:
    """Return what of a credential may not be repeated. An access key's id is no secret: texts may name it."""
    match material:
        case Secret():
            found = (material,)
        case LoginPassword(secret):
            found = (secret,)
        case AccessKeys(_, secret, security_token):
            found = (secret, *((security_token,) if security_token else ()))
    return tuple(each.reveal() for each in found)


def read_token_end(access: Access) -> float | None:
    """Return the Unix time at which a token ends, where it says so itself (the ``exp`` of a JSON Web Token).

    What it says is not checked: it is a hint for people, and a 401 is the only truth.
    """
    if not isinstance(access, Secret):
        return None
    parts = access.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_TokenClaims).exp
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None


class _TokenClaims(Struct):
    exp: float | None = None
