"""The credential of a lane: a token, a pair of keys, or the token of a login; one for all of its workers.

A rejected credential costs one refresh for the whole lane, and then the lane. A refused login and a refused
signature are never tried again, since the platforms lock accounts after a handful of those.
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
from orchestrator.lanes.masking import TOO_SHORT, Mask, list_secrets
from orchestrator.model.credentials import (
    SHORTEST_SECRET,
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
from orchestrator.model.http import Lost, Reply, Send, was_sent
from orchestrator.model.reading import Reading
from orchestrator.rules.retry import describe

RENEW_BEFORE = 1800.0
"""Seconds before its end at which a login's token is renewed; half its life if that is less."""

RENEW_AGAIN = 60.0
"""Seconds between two tries to renew a token while the old one still lasts, if a try gets no answer."""

LOGIN_TRIES = 5
"""Logins in a row without an answer before the lane is parked."""

LATEST_END = 253_402_300_799
"""The end of the year 9999 in Unix seconds: no later end can be told."""


class ActiveCredential(Struct):
    """The credential in use."""

    access: Access
    generation: int
    """1 for the first credential of the lane; one more after each renewal."""
    until: float | None = None
    """Unix time of its end, if that is known."""
    renew_at: float | None = None
    """Unix time from which a request logs in first; None if the credential is not renewed by time."""
    worked: bool = False
    """The gateway has answered a request with it by something else than 401."""
    is_rejected: bool = False
    """The gateway has rejected it, and the next login gives another one."""

    def confirm(self) -> None:
        """Keep that the gateway has let it in."""
        self.worked = True

    def expire(self) -> None:
        """Have the next request log in before it leaves, since the gateway has rejected the credential."""
        self.renew_at, self.until, self.is_rejected = 0.0, None, True

    def put_off_renewal(self, until: float) -> None:
        """Use the credential until then, a Unix time, before the next try to renew it."""
        self.renew_at = until


class LoginDenied(Struct, frozen=True):
    """No credential lets this lane in any more."""

    reason: str


class LoginDelayed(Struct, frozen=True):
    """A login went unanswered."""

    reason: str
    wait: float | None
    """Seconds after which the gateway wants to be asked again, if it says so."""
    final: bool
    """So many logins went unanswered that none is tried any more."""


LoginResult: TypeAlias = ActiveCredential | LoginDenied | LoginDelayed


class Authenticator:
    """Keeps one lane's credential fresh."""

    def __init__(
        self,
        gateway: Gateway,
        material: Material,
        environment: Environment,
        send: Send,
        on_login: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_login`` is called after each login that was sent: the report counts them."""
        self._gateway = gateway
        self._material = material
        self._environment = environment
        self._send = send
        self._lock = anyio.Lock()
        self._unanswered = 0
        self._generation = 0
        self._denial: LoginDenied | None = None
        """Why the newest credential cannot be renewed."""
        self.is_renewing = False
        """Whether the references are read again: the gateway has rejected what they gave before."""
        self._on_login = on_login
        self._secrets = frozenset[str]()
        self._keep_secrets(
            (*list_secrets(material), *(each.reveal() for each in environment.passwords(gateway)))
        )
        self.active: ActiveCredential | None = None
        if not isinstance(material, LoginPassword):
            self._issue(material)

    def _keep_secrets(self, secrets: Iterable[str]) -> None:
        self._secrets |= frozenset(filter(None, secrets))
        self._environment.known.add(self._secrets)

    @property
    def mask(self) -> Mask:
        """The mask for every credential that was ever in use, of other gateways and proxies too."""
        return self._environment.known.mask

    @property
    def warning(self) -> str | None:
        """A warning if a credential, or a proxy's password, is so short that masking takes it for a word."""
        return TOO_SHORT if any(len(secret) < SHORTEST_SECRET for secret in self._secrets) else None

    @property
    def must_go_alone(self) -> bool:
        """Whether the lane's first request must go alone.

        Five bad signatures lock an access key: a wrong key must cost one request, not one for each worker.
        """
        return self.keys is not None

    @property
    def keys(self) -> AccessKeys | None:
        """The access key of the lane; None if it has another credential."""
        return self._material if isinstance(self._material, AccessKeys) else None

    @property
    def is_ready(self) -> bool:
        """Whether a request may leave without a login before it."""
        active = self.active
        return active is not None and (active.renew_at is None or self._environment.now() < active.renew_at)

    async def authenticate(self) -> LoginResult:
        """Return the credential for a request that leaves now, after a login if one is due."""
        async with self._lock:
            if self.is_ready and self.active is not None:
                return self.active
            return await self._log_in()

    async def renew(self, generation: int, reading: Reading) -> LoginDenied | None:
        """Get another credential after a 401, once for the whole lane; return why if there is none.

        ``generation`` is that of the credential which the gateway rejected. Another worker may have renewed
        it meanwhile: then there is nothing to do. A credential that never worked is renewed only if it is the
        first one. A renewal that failed holds for all workers who waited for it: the reference is not read
        again, since it may be a command that hangs.
        """
        async with self._lock:
            active = self.active
            # A login that is due, or under way, answers for all 401s to the token before it.
            if active is None or generation != active.generation or active.is_rejected:
                return None
            if self._denial is None:
                self.is_renewing = True
                try:
                    self._denial = await self._renew(active, reading)
                finally:
                    self.is_renewing = False
            return self._denial

    async def wait_until_renewed(self) -> None:
        """Wait for a renewal that goes on: what left meanwhile would get a 401, too."""
        async with self._lock:
            pass

    async def _renew(self, active: ActiveCredential, reading: Reading) -> LoginDenied | None:
        # A wrong signature means a wrong key or a wrong clock, and five of them lock the key: no second try.
        if isinstance(active.access, AccessKeys):
            return LoginDenied(f"the signature was rejected ({describe(reading)})")
        # A renewed credential that never worked proves that the reference itself is wrong.
        if active.generation > 1 and not active.worked:
            return LoginDenied(f"the renewed credential was refused too ({describe(reading)})")
        try:
            material = await self._environment.credential(self._gateway)
        except CredentialError as error:
            return LoginDenied(f"{error} ({describe(reading)})")
        return self._replace(active, material, reading)

    def _replace(self, active: ActiveCredential, material: Material, reading: Reading) -> LoginDenied | None:
        self._material = material
        self._keep_secrets(list_secrets(material))
        if isinstance(material, LoginPassword):
            active.expire()
            return None
        if material == active.access:
            why = "the credential was rejected, and its reference gives no other one"
            return LoginDenied(f"{why} ({describe(reading)})")
        self._issue(material)
        return None

    def confirm(self, generation: int) -> None:
        """Keep that the gateway answered the credential of this generation by something else than 401."""
        if self.active is not None and generation == self.active.generation:
            self.active.confirm()

    async def _log_in(self) -> LoginResult:
        login = self._gateway.login
        # Only the token of a login ends, and only a gateway with a login has a password for material.
        assert isinstance(self._material, LoginPassword) and login is not None  # noqa: S101, PT018
        answer: Reply | Lost | None = None
        try:
            answer = await self._send(login.build_request(self._material.secret))
        finally:
            # A second signal cuts it off here. It is counted all the same: it may have arrived.
            if answer is None or was_sent(answer):
                self._on_login()
        match _read_login(login, answer):
            case LoginGranted(token, until):
                self._unanswered = 0
                self._keep_secrets(list_secrets(token))
                return self._issue(token, until)
            case LoginRejected(code, message):
                return LoginDenied(f"the login was refused ({self._describe(code, message)})")
            # An unanswered renewal is no loss as long as the old token lasts.
            case LoginUnclear() if (active := self._keep_active()) is not None:
                return active
            case LoginUnclear(code, message, wait):
                self._unanswered += 1
                cause = self._describe(code, message)
                return LoginDelayed(f"no token could be had: {cause}", wait, self._unanswered >= LOGIN_TRIES)

    def _keep_active(self) -> ActiveCredential | None:
        """Return the token in use if it still lasts; its renewal is tried again a while later."""
        active, now = self.active, self._environment.now()
        if active is None or active.until is None or now >= active.until:
            return None
        active.put_off_renewal(min(active.until, now + RENEW_AGAIN))
        return active

    def _describe(self, *texts: str | None) -> str:
        return self.mask.clean_text(" ".join(filter(None, texts)))

    def _issue(self, access: Access, until: float | None = None) -> ActiveCredential:
        self._generation += 1
        now = self._environment.now()
        ends = read_token_end(access) if until is None else _keep_tellable(until)
        # A token that ended before it began shows that the clocks differ. Then only a 401 tells of its end.
        lasts = None if until is None or until <= now else until - now
        renew_at = None if lasts is None else now + max(lasts - RENEW_BEFORE, lasts / 2)
        self.active = ActiveCredential(access, self._generation, ends, renew_at)
        return self.active


def _read_login(login: LoginFeature, answer: Reply | Lost) -> LoginGranted | LoginRejected | LoginUnclear:
    if isinstance(answer, Lost):
        return LoginUnclear(None, answer.detail, None)
    return login.read(answer)


def read_token_end(access: Access) -> float | None:
    """Return the Unix time at which a token ends, if it says so itself (the ``exp`` of a JSON Web Token).

    The claim is not verified: it is a hint for people, and only a 401 decides.
    """
    if not isinstance(access, Secret):
        return None
    parts = access.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return _keep_tellable(msgspec.json.decode(claims, type=_TokenClaims).exp)
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        return None


def _keep_tellable(ends: float | None) -> float | None:
    """Return the end of a token, in Unix seconds, if it can be told; a vendor may name any."""
    return ends if ends is not None and 0 <= ends <= LATEST_END else None


class _TokenClaims(Struct):
    exp: float | None = None
