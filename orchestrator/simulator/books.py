"""The books of the simulators. They keep no headers and no bodies, so that no credential stands in them."""

from __future__ import annotations

import re
from types import MappingProxyType

from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import (
    AccessDenial,
    Delivery,
    DeliveryManner,
    PlatformCall,
    RequestEffect,
    SimulatedPlatform,
    SimulatedTarget,
)
from orchestrator.simulator.limits import GRANTED

_COUNTERS = MappingProxyType(
    {
        Act.UNDEPLOY: "undeploys",
        Act.LOOK: "looks",
        Act.DEPLOY: "deploys",
        Act.PUBLISH: "publishes",
        Act.BIND: "binds",
    }
)
"""The count of a target that each act adds to."""


class SeenRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One request. ``at`` is the Unix time of its arrival; ``status`` is None if a fault withheld the answer.

    ``target`` is None if the request names no known target, ``act`` if it is no undeploy, look, deploy,
    publish or bind; ``login`` marks a login. ``fault`` names the fault that struck it.
    """

    number: int
    at: float
    gateway: str
    method: str
    path: str
    target: str | None
    act: Act | None
    status: int | None
    manner: DeliveryManner
    effect: RequestEffect
    fault: str | None
    login: bool = False


class TargetFacts(Struct, frozen=True, kw_only=True):
    """One target. The counts are those of requests that arrived, whatever their answers were.

    ``down`` is the truth: nothing serves the target. ``down_by`` is the number of the request that took it
    down last, 0 for none, and ``down_at`` the Unix time of that. ``published``: the environments in which its
    front-end API is published, of a kind that has such; ``first_published``: those at first.

    ``hanging``: the things that hang on its front ends now, in words that stay the same when they come back
    to a front end with a new id; ``hung``: those at first. ``repeats`` counts creates of what was there
    already.
    """

    id: str
    down: bool
    undeploys: int
    looks: int
    deploys: int
    down_by: int
    down_at: float
    destroyed: bool
    publishes: int = 0
    published: tuple[str, ...] = ()
    first_published: tuple[str, ...] = ()
    binds: int = 0
    repeats: int = 0
    hanging: tuple[str, ...] = ()
    hung: tuple[str, ...] = ()


class SimulatedGatewayFacts(Struct, frozen=True, kw_only=True):
    """One gateway. ``busy`` counts 429, ``denied`` 401 to any request but a login, ``struck`` requests that a
    fault changed.

    ``together``: the most requests that were open at one moment; ``overlaps``: how often a change began while
    another one of the same proxy (or backend) was open; ``strays``: undeploys, deploys,
    publishes and binds of unknown targets.

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
    publishes: int = 0
    binds: int = 0


class SimulatorBooks(Struct, frozen=True, kw_only=True):
    """All facts. ``destroyed`` names targets whose definition was deleted, which must never happen."""

    requests: int
    gateways: dict[str, SimulatedGatewayFacts]
    targets: dict[str, TargetFacts]
    destroyed: tuple[str, ...]


def list_differences(before: SimulatorBooks, after: SimulatorBooks) -> list[str]:
    """Return in words each target that is not as it was, but for the ids and times of what was made again."""
    found = []
    for name, old in before.targets.items():
        new = after.targets[name]
        if new.down != old.down:
            found.append(f"{name} is {'down' if new.down else 'up'}, and was not")
        if sorted(new.published) != sorted(old.published):
            found.append(
                f"{name} is published in {sorted(new.published)}, and was in {sorted(old.published)}"
            )
        found += [f"{name} lacks {each}" for each in sorted({*old.hanging} - {*new.hanging})]
        found += [f"{name} has in excess {each}" for each in sorted({*new.hanging} - {*old.hanging})]
    return found


class RequestLog:
    """The requests of all gateways in the order of their arrival: all counted, the first ``keep`` kept.

    ``generation`` counts how often the platforms were filled until then.
    """

    def __init__(self, keep: int, secrets: frozenset[str], generation: int) -> None:
        self._keep = keep
        # The longest first: a secret may be the beginning of another one, whose rest would stay visible.
        known = (re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
        self._secret = re.compile("|".join((*known, GRANTED.pattern)))
        self.generation = generation
        self.seen: list[SeenRequest] = []
        self.count = 0

    def number(self) -> int:
        """Return the number of a request that has just arrived, from 1."""
        self.count += 1
        return self.count

    def write(self, gateway: str, method: str, path: str, delivery: Delivery, now: float) -> None:
        """Keep one request, while there is room."""
        if len(self.seen) >= self._keep:
            return
        answer = delivery.answer
        row = delivery.call.row
        self.seen.append(
            SeenRequest(
                number=delivery.number,
                at=now,
                gateway=gateway,
                method=method,
                path=self._mask(path),
                target=row.id if row else None,
                act=delivery.call.act,
                status=answer.status if answer else None,
                manner=delivery.manner,
                effect=delivery.effect,
                fault=delivery.fault,
                login=delivery.call.login,
            )
        )

    def _mask(self, path: str) -> str:
        return self._secret.sub("•••", path)


class GatewayCounter:
    """Counts the requests of one gateway as they arrive and end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._acts = dict.fromkeys(Act, 0)
        self._requests = self._busy = self._denied = self._struck = self._strays = 0
        self._open = self._together = self._overlaps = 0
        self._changing: dict[str, int] = {}
        self._logins = self._bad_signatures = 0
        self._decided = dict.fromkeys((RequestEffect.GRANTED, RequestEffect.REFUSED), 0)

    def count_request(self, call: PlatformCall) -> int:
        """Count a request; return how many with its purpose its target, or its gateway, has had."""
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
        return _count_act(call.row, call.act)

    def count_denial(self, objection: AccessDenial) -> None:
        """Note that a request was denied."""
        self._bad_signatures += objection.concerns_signature

    def begin(self, delivery: Delivery) -> None:
        """Note that an exchange is open, and which fault struck it."""
        status = delivery.answer.status if delivery.answer else 0
        self._busy += status == 429
        self._denied += status == 401 and not delivery.call.login
        if delivery.effect in self._decided:
            self._decided[delivery.effect] += 1
        self._struck += delivery.fault is not None
        self._open += 1
        self._together = max(self._together, self._open)
        if (key := _changed_thing(delivery.call)) is not None:
            self._overlaps += key in self._changing
            self._changing[key] = self._changing.get(key, 0) + 1

    def finish(self, delivery: Delivery) -> None:
        """Note that the answer left, or that the client went away."""
        self._open -= 1
        key = _changed_thing(delivery.call)
        if key is not None and (left := self._changing.pop(key) - 1):
            self._changing[key] = left

    def summarize(self, platform: SimulatedPlatform) -> SimulatedGatewayFacts:
        return SimulatedGatewayFacts(
            name=self._name,
            requests=self._requests,
            undeploys=self._acts[Act.UNDEPLOY],
            looks=self._acts[Act.LOOK],
            deploys=self._acts[Act.DEPLOY],
            publishes=self._acts[Act.PUBLISH],
            binds=self._acts[Act.BIND],
            busy=self._busy,
            denied=self._denied,
            struck=self._struck,
            strays=self._strays,
            together=self._together,
            overlaps=self._overlaps,
            down=sum(row.down for row in platform.rows),
            logins=self._logins,
            logins_accepted=self._decided[RequestEffect.GRANTED],
            logins_refused=self._decided[RequestEffect.REFUSED],
            bad_signatures=self._bad_signatures,
            key_locks=platform.gate.key_locks,
            user_locks=platform.gate.user_locks,
        )


def _count_act(row: SimulatedTarget, act: Act) -> int:
    name = _COUNTERS[act]
    count: int = getattr(row, name) + 1
    setattr(row, name, count)
    return count


def _changed_thing(call: PlatformCall) -> str | None:
    return None if call.act is Act.LOOK else call.shares


def summarize_target(row: SimulatedTarget) -> TargetFacts:
    """Return the facts of a target at this moment."""
    return TargetFacts(
        id=row.id,
        down=row.down,
        undeploys=row.undeploys,
        looks=row.looks,
        deploys=row.deploys,
        down_by=row.down_by,
        down_at=row.down_at,
        destroyed=row.destroyed,
        publishes=row.publishes,
        published=row.published,
        first_published=row.first_published,
        binds=row.binds,
        repeats=row.repeats,
        hanging=row.hanging,
        hung=row.hung,
    )
