"""Tokens, rates and locks of a simulated gateway. Pure: the time is an argument, in Unix seconds."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import LOGIN, AccessDenial, DenialReason
from orchestrator.simulator.faults import FaultScope


class RateLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token bucket: ``per_second`` requests on average, ``burst`` at once. ``on`` says which requests
    count. A login counts only where ``on`` names it, since it goes to another service.

    Without ``retry_after`` the refusal does not say how long the client should wait.
    """

    per_second: Annotated[float, Meta(gt=0)]
    burst: float = 1.0
    on: FaultScope = FaultScope.ANY
    retry_after: bool = True

    def counts(self, purpose: str | None) -> bool:
        """Return whether a request for this purpose takes from the bucket."""
        return self.on.value == purpose or (self.on is FaultScope.ANY and purpose != LOGIN)


_ROUNDING = 1e-6
"""The error of sums of floats; a client that keeps exactly to the rate is not refused for it."""


def parse_rate(text: str) -> RateLimit:
    """Read ``20/s``, ``100/m`` or ``5/h``; the requests of one second may come at once. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)/([smh])", text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{text!r} is no rate; write a number and its time, such as 20/s, 100/m or 5/h")
    per_second = float(found[1]) / {"s": 1, "m": 60, "h": 3600}[found[2]]
    return RateLimit(per_second=per_second, burst=max(1.0, per_second))


def parse_seconds(text: str) -> float:
    """Read ``50ms`` or ``1.5s``. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no time; write a number and its unit, such as 50ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


class TokenBucket:
    """Keeps a rate; the bucket is full at first."""

    def __init__(self, rate: RateLimit) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take one token and return 0; if there is none, return the seconds until there is one."""
        rate = self._rate
        passed = max(0.0, now - self._at) if self._at is not None else 0.0
        self._left = min(rate.burst, self._left + passed * rate.per_second)
        self._at = now
        if self._left >= 1.0 - _ROUNDING:
            self._left = max(0.0, self._left - 1.0)
            return 0.0
        return (1.0 - self._left) / rate.per_second


class TokenExpiry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of the first accepted token: after so many requests, or so many seconds after its first use.

    The other accepted tokens stay valid: they are the renewed credential.
    """

    requests: int | None = None
    seconds: float | None = None


class GrantedToken(Struct, frozen=True):
    """A token that a login gave, and the Unix time at which it ends."""

    token: str
    until: float


GRANTED = re.compile(r"granted-[0-9a-f]{64}")
"""The form of the tokens that a TokenIssuer gives."""


class TokenIssuer:
    """Gives tokens and checks them: those that it always accepts, and those that it gave, until they end.

    Without a token that is always accepted, every token is let in that is not empty and has not ended.
    ``life`` is in seconds; ``name`` makes the tokens of two issuers differ.
    """

    def __init__(
        self, tokens: tuple[str, ...], expiry: TokenExpiry | None, *, life: float = 86_400.0, name: str = ""
    ) -> None:
        self._tokens = frozenset(tokens)
        self._expiring = tokens[0] if tokens and expiry else None
        self._expiry = expiry or TokenExpiry()
        self._life = life
        self._name = name
        self._used = 0
        self._since: float | None = None
        self._granted: dict[str, float] = {}

    def grant(self, now: float) -> GrantedToken:
        """Give a new token; those given before stay valid."""
        text = f"{self._name}\0{now}\0{len(self._granted)}".encode("utf-8", "backslashreplace")
        token = f"granted-{blake2b(text, digest_size=32).hexdigest()}"
        self._granted[token] = now + self._life
        return GrantedToken(token, now + self._life)

    def find_denial(self, token: str | None, now: float) -> AccessDenial | None:
        """Return why this token is denied; None if it is let in."""
        if not token:
            return AccessDenial(DenialReason.MISSING)
        if (until := self._granted.get(token)) is not None:
            return AccessDenial(DenialReason.EXPIRED, until=until) if now >= until else None
        if self._tokens and token not in self._tokens:
            return AccessDenial(DenialReason.WRONG)
        return (
            AccessDenial(DenialReason.EXPIRED, until=now)
            if token == self._expiring and self._has_ended(now)
            else None
        )

    def _has_ended(self, now: float) -> bool:
        self._since = now if self._since is None else self._since
        self._used += 1
        over = self._expiry.requests is not None and self._used > self._expiry.requests
        late = self._expiry.seconds is not None and now - self._since >= self._expiry.seconds
        return over or late


class Lockout:
    """Locks a user or a key for ``seconds`` after so many failures in a row; ``after`` 0 never locks."""

    def __init__(self, after: int, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        self._failures: dict[str, int] = {}
        self._locked: dict[str, float] = {}
        self.lock_count = 0

    def is_locked(self, who: str, now: float) -> bool:
        """Return whether ``who`` is locked; attempts during a lock do not count."""
        return now < self._locked.get(who, now)

    def record_attempt(self, who: str, now: float, *, correct: bool) -> None:
        """Count an attempt of a user or a key that is not locked."""
        failures = 0 if correct else self._failures.get(who, 0) + 1
        if self._after and failures >= self._after:
            self._locked[who] = now + self._seconds
            self.lock_count += 1
            failures = 0
        self._failures[who] = failures
