"""Who is let in, and how fast. Pure: the time is an argument, in seconds."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import LOGIN, Objection, Why
from orchestrator.simulator.faults import On


class Rate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token bucket: ``per_second`` requests on average, ``burst`` at once. ``on`` says which requests
    count; a login counts only where it is named, since it goes to another service.

    Without ``retry_after`` the refusal does not say how long to wait.
    """

    per_second: Annotated[float, Meta(gt=0)]
    burst: float = 1.0
    on: On = On.ANY
    retry_after: bool = True

    def counts(self, purpose: str | None) -> bool:
        """Whether a request for this takes from the bucket."""
        return self.on.value == purpose or (self.on is On.ANY and purpose != LOGIN)


_ROUNDING = 1e-6
"""What sums of floats may lack: who keeps exactly to the rate is not refused."""


def parse_rate(text: str) -> Rate:
    """Read ``20/s``, ``100/m`` or ``5/h``; a second's worth may come at once. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)/([smh])", text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{text!r} is no rate; write a number and its time, such as 20/s, 100/m or 5/h")
    per_second = float(found[1]) / {"s": 1, "m": 60, "h": 3600}[found[2]]
    return Rate(per_second=per_second, burst=max(1.0, per_second))


def parse_seconds(text: str) -> float:
    """Read ``50ms`` or ``1.5s``. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no time; write a number and its unit, such as 50ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


class Bucket:
    """How full a token bucket is; full at first."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take one request's share and return 0; or take none, and return the seconds until there is one."""
        rate = self._rate
        passed = max(0.0, now - self._at) if self._at is not None else 0.0
        self._left = min(rate.burst, self._left + passed * rate.per_second)
        self._at = now
        if self._left >= 1.0 - _ROUNDING:
            self._left = max(0.0, self._left - 1.0)
            return 0.0
        return (1.0 - self._left) / rate.per_second


class Expiry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When the first accepted token dies: after so many requests, or so many seconds after its first use.

    The other accepted tokens live on: they are the renewed credential.
    """

    requests: int | None = None
    seconds: float | None = None


class Grant(Struct, frozen=True):
    """A token that a login gave, and the Unix time at which it ends."""

    token: str
    until: float


GRANTED = re.compile(r"granted-[0-9a-f]{64}")
"""What the tokens look like that a door gives."""


class Door:
    """Checks tokens: those that it always accepts, and those that it gave, while they live.

    With no token that is always accepted every one that is not empty is let in, but not one that has ended.
    ``life`` is in seconds; ``name`` makes the tokens of two doors differ.
    """

    def __init__(
        self, tokens: tuple[str, ...], expiry: Expiry | None, *, life: float = 86_400.0, name: str = ""
    ) -> None:
        self._tokens = frozenset(tokens)
        self._mortal = tokens[0] if tokens and expiry else None
        self._expiry = expiry or Expiry()
        self._life = life
        self._name = name
        self._used = 0
        self._since: float | None = None
        self._granted: dict[str, float] = {}

    def grant(self, now: float) -> Grant:
        """Give another token; those given before live on."""
        text = f"{self._name}\0{now}\0{len(self._granted)}".encode("utf-8", "backslashreplace")
        token = f"granted-{blake2b(text, digest_size=32).hexdigest()}"
        self._granted[token] = now + self._life
        return Grant(token, now + self._life)

    def objection(self, token: str | None, now: float) -> Objection | None:
        """Why this token is not let in, or None."""
        if not token:
            return Objection(Why.MISSING)
        if (until := self._granted.get(token)) is not None:
            return Objection(Why.EXPIRED, until=until) if now >= until else None
        if self._tokens and token not in self._tokens:
            return Objection(Why.WRONG)
        return Objection(Why.EXPIRED, until=now) if token == self._mortal and self._is_dead(now) else None

    def _is_dead(self, now: float) -> bool:
        self._since = now if self._since is None else self._since
        self._used += 1
        over = self._expiry.requests is not None and self._used > self._expiry.requests
        late = self._expiry.seconds is not None and now - self._since >= self._expiry.seconds
        return over or late


class Lockout:
    """Locks who fails ``after`` times in a row (0: never) for so many ``seconds``."""

    def __init__(self, after: int, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        self._failures: dict[str, int] = {}
        self._locked: dict[str, float] = {}
        self.times = 0

    def holds(self, who: str, now: float) -> bool:
        """Whether this one is locked; what is tried meanwhile does not count."""
        return now < self._locked.get(who, now)

    def tried(self, who: str, now: float, *, well: bool) -> None:
        """Note a try of one who is not locked."""
        failures = 0 if well else self._failures.get(who, 0) + 1
        if self._after and failures >= self._after:
            self._locked[who] = now + self._seconds
            self.times += 1
            failures = 0
        self._failures[who] = failures
