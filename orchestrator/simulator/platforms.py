"""All simulated gateways of one seed: requests in, deliveries out. No socket, no clock, no die.

Each request meets the same things in the same order: the door (its credential; a login has none), the rate
limit, a fault, the platform.
A request that the door or the rate limit turns away uses up no scripted fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from types import MappingProxyType

from orchestrator.errors import UsageError
from orchestrator.simulator.apinizer import Apinizer
from orchestrator.simulator.books import Books, Log, Seen, Tally, target_facts
from orchestrator.simulator.exchange import (
    TWISTS,
    Answer,
    Asked,
    Call,
    Delivery,
    Done,
    Effect,
    Kind,
    Manner,
    Platform,
    page,
)
from orchestrator.simulator.faults import Fault, Faults, Weather
from orchestrator.simulator.limits import Bucket
from orchestrator.simulator.roma import Roma
from orchestrator.simulator.seed import ApinizerSeed, RomaSeed, Seed

_MANNERS: Mapping[Kind, Manner] = MappingProxyType(
    {
        Kind.HANG: Manner.HANG,
        Kind.RESET: Manner.RESET,
        Kind.GARBAGE: Manner.GARBAGE,
        Kind.CUT: Manner.CUT,
    }
)
_PAGES: Mapping[Kind, Answer] = MappingProxyType(
    {
        Kind.LOGIN_PAGE: page(200, "Sign in"),
        Kind.ERROR_PAGE: page(502, "502 Bad Gateway"),
        Kind.EMPTY: Answer(200),
        Kind.REDIRECT: Answer(302, headers={"Location": "/login"}),
    }
)


class Station:
    """One simulated gateway: its platform behind a door, a rate limit and the weather."""

    def __init__(self, seed: RomaSeed | ApinizerSeed, faults: Faults, log: Log, now: float) -> None:
        self.seed = seed
        self.platform: Platform = Roma(seed, now) if isinstance(seed, RomaSeed) else Apinizer(seed, now)
        self.tally = Tally(seed.name)
        self._bucket = Bucket(seed.rate) if seed.rate else None
        self._log = log
        self.expect(faults)

    def expect(self, faults: Faults) -> None:
        """Replace the faults to come."""
        self._weather = Weather(faults, self.seed.name, self.platform.TWISTS)

    def handle(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Delivery:
        """Take one request. Its effect has happened on return, even if the answer comes late or never."""
        path = raw_path if raw_path.isascii() else raw_path.encode("utf-8", "replace").decode()
        asked = Asked(method, path, headers, body)
        call = self.platform.route(asked)
        nth = self.tally.nth(call)
        number = self._log.number()
        refusal = self._refusal(call, asked, now)
        if refusal is not None:
            delivery = Delivery(
                number=number, world=self._log.world, call=call, answer=refusal, delay=self.seed.latency
            )
        else:
            delivery = self._admitted(call, number, nth, now)
        self.tally.began(delivery)
        self._log.write(self.seed.name, method, path, delivery, now)
        return delivery

    def _refusal(self, call: Call, asked: Asked, now: float) -> Answer | None:
        if call.needs_token and (objection := self.platform.gate.objection(asked, now)):
            self.tally.objected(objection)
            return self.platform.denied(objection)
        rate = self.seed.rate
        if self._bucket is None or rate is None or not rate.counts(call.purpose):
            return None
        wait = self._bucket.take(now)
        return (
            self.platform.busy(max(1, ceil(wait)) if rate.retry_after else 0, rate.per_second)
            if wait
            else None
        )

    def _admitted(self, call: Call, number: int, nth: int, now: float) -> Delivery:
        fault = self._weather.pick(call.row.id if call.row else None, call.purpose, nth)
        done, answer = self._outcome(call, fault, now)
        if done.effect is Effect.DOWN and call.row is not None:
            call.row.down_by, call.row.down_at = number, now
        manner = _MANNERS.get(fault.kind, Manner.WHOLE) if fault else Manner.WHOLE
        return Delivery(
            number=number,
            world=self._log.world,
            call=call,
            manner=manner,
            answer=answer if manner in (Manner.WHOLE, Manner.CUT) else None,
            delay=self.seed.latency + (fault.delay if fault else 0.0),
            effect=done.effect,
            fault=str(fault) if fault else None,
        )

    def _outcome(self, call: Call, fault: Fault | None, now: float) -> tuple[Done, Answer]:
        if fault is None:
            done = call.perform(now, None)
            return done, done.answer
        twist = fault.kind if fault.kind in TWISTS else None
        acts = fault.takes_effect or twist is not None
        done = call.perform(now, twist) if acts else Done(Answer(204))
        return done, self._spoilt(fault, call, done.answer)

    def _spoilt(self, fault: Fault, call: Call, answer: Answer) -> Answer:
        if fault.kind is Kind.STATUS:
            told = self._told(fault, call, fault.status or 500)
            wait = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return Answer(told.status, told.body, {**told.headers, **wait})
        if fault.kind is Kind.ELSEWHERE:
            return self.platform.elsewhere()
        return _PAGES.get(fault.kind, answer)

    def _told(self, fault: Fault, call: Call, status: int) -> Answer:
        if fault.body is None:
            return (call.error or self.platform.error)(status, fault.code, fault.message)
        plain = {"Content-Type": "text/plain;charset=UTF-8"} if fault.body else {}
        return Answer(status, fault.body.encode("utf-8", "replace"), plain)


class Platforms:
    """A whole simulated world. ``now`` is the Unix time at which its targets count as deployed."""

    def __init__(self, seed: Seed, faults: Faults | None = None, *, now: float = 0.0) -> None:
        self._world = 0
        self._fill(seed, faults or Faults(), now)

    def _fill(self, seed: Seed, faults: Faults, now: float) -> None:
        names = [gateway.name for gateway in seed.gateways]
        if not names:
            raise UsageError("the seed has no gateway; a simulator needs one at least")
        if len(set(names)) != len(names):
            raise UsageError("two gateways of the seed have the same name; every name must be its own")
        _check_places(faults, names)
        secrets = frozenset(secret for gateway in seed.gateways for secret in gateway.secrets if secret)
        log = Log(seed.keep, secrets, self._world + 1)
        stations = {gateway.name: Station(gateway, faults, log, now) for gateway in seed.gateways}
        self._world, self._log, self._stations = log.world, log, stations

    @property
    def names(self) -> tuple[str, ...]:
        """The gateways' names, in the seed's order."""
        return tuple(self._stations)

    def handle(
        self,
        gateway: str,
        method: str,
        raw_path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: float,
    ) -> Delivery:
        """Take one request to a gateway. Whoever carries the delivery out tells ``ended`` when it is over."""
        return self._stations[gateway].handle(method, raw_path, headers, body, now=now)

    def ended(self, gateway: str, delivery: Delivery) -> None:
        """The answer left, or the client went away; nothing where the world was seeded anew meanwhile."""
        if delivery.world == self._world:
            self._stations[gateway].tally.ended(delivery)

    def expect(self, faults: Faults) -> None:
        """Replace all faults to come. Raises UsageError, and then changes nothing."""
        _check_places(faults, self.names)
        for station in self._stations.values():
            Weather(faults, station.seed.name, station.platform.TWISTS)
        for station in self._stations.values():
            station.expect(faults)

    def seed(self, seed: Seed, faults: Faults | None = None, *, now: float) -> None:
        """Begin anew: other targets, empty books. The gateways' names must stay. Raises UsageError."""
        if tuple(gateway.name for gateway in seed.gateways) != self.names:
            raise UsageError(f"a new seed must have the gateways {', '.join(self.names)}, in this order")
        self._fill(seed, faults or Faults(), now)

    def books(self) -> Books:
        """What was seen so far, as values that do not change any more."""
        rows = [row for station in self._stations.values() for row in station.platform.rows]
        return Books(
            requests=self._log.count,
            gateways={
                name: station.tally.facts(station.platform) for name, station in self._stations.items()
            },
            targets={row.id: target_facts(row) for row in rows},
            destroyed=tuple(row.id for row in rows if row.destroyed),
        )

    def seen(self, after: int = 0, limit: int | None = None) -> list[Seen]:
        """The requests that are kept, in the order of their arrival, from number ``after`` + 1 on."""
        return self._log.seen[after : None if limit is None else after + limit]


def _check_places(faults: Faults, names: Collection[str]) -> None:
    for place in faults.script:
        if place.partition("/")[0] not in names:
            raise UsageError(f"the faults name {place!r}, but the gateways are {', '.join(names)}")
