"""What the simulators saw. Never a credential's text: headers and bodies are not kept at all."""

from __future__ import annotations

import re

from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import Call, Delivery, Effect, Manner, Objection, Platform, Row
from orchestrator.simulator.limits import GRANTED


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    """One request. ``at`` is the Unix time of its arrival; ``status`` is None where no answer was meant to
    come.

    ``target`` is None where no known target was meant, ``act`` where the request is neither undeploy, look
    nor deploy; ``login`` tells a login. ``fault`` names what struck it.
    """

    number: int
    at: float
    gateway: str
    method: str
    path: str
    target: str | None
    act: Act | None
    status: int | None
    manner: Manner
    effect: Effect
    fault: str | None
    login: bool = False


class TargetFacts(Struct, frozen=True, kw_only=True):
    """One target. Counts are of requests that arrived, whatever became of them.

    ``down`` is the truth: nothing serves it. ``down_by`` is the number of the request that took it down last,
    0 for none; ``down_at`` the Unix time of that.
    """

    id: str
    down: bool
    undeploys: int
    looks: int
    deploys: int
    down_by: int
    down_at: float
    destroyed: bool


class GatewayFacts(Struct, frozen=True, kw_only=True):
    """One gateway. ``busy`` counts 429, ``denied`` 401 to anything but a login, ``struck`` requests that a
    fault changed.

    ``together``: the most requests that were open at one moment; ``overlaps``: how often a change began while
    another one of the same proxy (or backend) was open; ``strays``: undeploys and deploys of what is not
    here.

    ``logins`` counts those that arrived; ``logins_accepted`` and ``logins_refused`` those that were decided,
    also where the answer was lost on its way. ``bad_signatures`` counts refused signatures, those of a locked
    key too; ``key_locks`` and ``user_locks`` how often an access key or a user was locked.
    """

    name: str
    requests: int
    undeploys: int
    looks: int
    deploys: int
    busy: int
    denied: int
    struck: int
    strays: int
    together: int
    overlaps: int
    down: int
    logins: int = 0
    logins_accepted: int = 0
    logins_refused: int = 0
    bad_signatures: int = 0
    key_locks: int = 0
    user_locks: int = 0


class Books(Struct, frozen=True, kw_only=True):
    """All of it. ``destroyed`` names targets whose definition was deleted for good: must never happen."""

    requests: int
    gateways: dict[str, GatewayFacts]
    targets: dict[str, TargetFacts]
    destroyed: tuple[str, ...]


class Log:
    """The requests of all gateways in the order of their arrival: all counted, the first ``keep`` kept.

    ``world`` is the number of the seeding whose requests they are.
    """

    def __init__(self, keep: int, secrets: frozenset[str], world: int) -> None:
        self._keep = keep
        # The longest first: one secret may begin as another one does.
        known = (re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
        self._secret = re.compile("|".join((*known, GRANTED.pattern)))
        self.world = world
        self.seen: list[Seen] = []
        self.count = 0

    def number(self) -> int:
        """The number of a request that has just arrived, from 1."""
        self.count += 1
        return self.count

    def write(self, gateway: str, method: str, path: str, delivery: Delivery, now: float) -> None:
        """Keep one request, while there is room."""
        if len(self.seen) >= self._keep:
            return
        answer = delivery.answer
        row = delivery.call.row
        self.seen.append(
            Seen(
                number=delivery.number,
                at=now,
                gateway=gateway,
                method=method,
                path=self._masked(path),
                target=row.id if row else None,
                act=delivery.call.act,
                status=answer.status if answer else None,
                manner=delivery.manner,
                effect=delivery.effect,
                fault=delivery.fault,
                login=delivery.call.login,
            )
        )

    def _masked(self, path: str) -> str:
        return self._secret.sub("•••", path)


class Tally:
    """What one gateway counts as requests come and go."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._acts = dict.fromkeys(Act, 0)
        self._requests = self._busy = self._denied = self._struck = self._strays = 0
        self._open = self._together = self._overlaps = 0
        self._changing: dict[str, int] = {}
        self._logins = self._bad_signatures = 0
        self._decided = dict.fromkeys((Effect.GRANTED, Effect.REFUSED), 0)

    def nth(self, call: Call) -> int:
        """Count a request by its purpose. Returns which one for this it is of its target, or gateway."""
        self._requests += 1
        self._logins += call.login
        if call.login:
            return self._logins
        if call.act is None:
            return 0
        self._acts[call.act] += 1
        if call.row is None:
            self._strays += call.act is not Act.LOOK
            return self._acts[call.act]
        return _count(call.row, call.act)

    def objected(self, objection: Objection) -> None:
        """Note that a request was not let in."""
        self._bad_signatures += objection.is_of_a_signature

    def began(self, delivery: Delivery) -> None:
        """Note that an exchange is open, and what struck it."""
        status = delivery.answer.status if delivery.answer else 0
        self._busy += status == 429
        self._denied += status == 401 and not delivery.call.login
        if delivery.effect in self._decided:
            self._decided[delivery.effect] += 1
        self._struck += delivery.fault is not None
        self._open += 1
        self._together = max(self._together, self._open)
        if (key := _changes(delivery.call)) is not None:
            self._overlaps += key in self._changing
            self._changing[key] = self._changing.get(key, 0) + 1

    def ended(self, delivery: Delivery) -> None:
        """Note that its answer left, or that its client went away."""
        self._open -= 1
        key = _changes(delivery.call)
        if key is not None and (left := self._changing.pop(key) - 1):
            self._changing[key] = left

    def facts(self, platform: Platform) -> GatewayFacts:
        return GatewayFacts(
            name=self._name,
            requests=self._requests,
            undeploys=self._acts[Act.UNDEPLOY],
            looks=self._acts[Act.LOOK],
            deploys=self._acts[Act.DEPLOY],
            busy=self._busy,
            denied=self._denied,
            struck=self._struck,
            strays=self._strays,
            together=self._together,
            overlaps=self._overlaps,
            down=sum(row.down for row in platform.rows),
            logins=self._logins,
            logins_accepted=self._decided[Effect.GRANTED],
            logins_refused=self._decided[Effect.REFUSED],
            bad_signatures=self._bad_signatures,
            key_locks=platform.gate.key_locks,
            user_locks=platform.gate.user_locks,
        )


def _count(row: Row, act: Act) -> int:
    if act is Act.UNDEPLOY:
        row.undeploys += 1
        return row.undeploys
    if act is Act.LOOK:
        row.looks += 1
        return row.looks
    row.deploys += 1
    return row.deploys


def _changes(call: Call) -> str | None:
    return call.shares if call.act in (Act.UNDEPLOY, Act.DEPLOY) else None


def target_facts(row: Row) -> TargetFacts:
    """A target's row as it stands now."""
    return TargetFacts(
        id=row.id,
        down=row.down,
        undeploys=row.undeploys,
        looks=row.looks,
        deploys=row.deploys,
        down_by=row.down_by,
        down_at=row.down_at,
        destroyed=row.destroyed,
    )
