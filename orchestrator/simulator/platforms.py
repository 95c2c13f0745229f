"""All simulated gateways of one fixture: they take requests and return deliveries. No socket, clock or dice.

Each request meets the same things in the same order: the check of its credential (a login has none), the rate
limit, a fault, the platform. A request that the check or the rate limit turns away uses up no scripted fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from types import MappingProxyType

from orchestrator.errors import UsageError
from orchestrator.simulator.books import (
    GatewayCounter,
    RequestLog,
    SeenRequest,
    SimulatorBooks,
    summarize_target,
)
from orchestrator.simulator.exchange import (
    TWISTS,
    CallResult,
    Delivery,
    DeliveryManner,
    FaultKind,
    HttpAnswer,
    PlatformCall,
    ReceivedRequest,
    RequestEffect,
    html_page,
)
from orchestrator.simulator.faults import FaultPicker, FaultScenario, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import GatewayFixture
from orchestrator.simulator.limits import TokenBucket

_MANNERS: Mapping[FaultKind, DeliveryManner] = MappingProxyType(
    {
        FaultKind.HANG: DeliveryManner.HANG,
        FaultKind.RESET: DeliveryManner.RESET,
        FaultKind.GARBAGE: DeliveryManner.GARBAGE,
        FaultKind.CUT: DeliveryManner.CUT,
    }
)
_PAGES: Mapping[FaultKind, HttpAnswer] = MappingProxyType(
    {
        FaultKind.LOGIN_PAGE: html_page(200, "Sign in"),
        FaultKind.ERROR_PAGE: html_page(502, "502 Bad Gateway"),
        FaultKind.EMPTY: HttpAnswer(200),
        FaultKind.REDIRECT: HttpAnswer(302, headers={"Location": "/login"}),
    }
)


class SimulatedGateway:
    """One simulated gateway: its platform behind a credential check, a rate limit and the faults."""

    def __init__(self, fixture: GatewayFixture, faults: FaultScenario, log: RequestLog, now: float) -> None:
        self.fixture = fixture
        self.platform = fixture.make_platform(now)
        self.counter = GatewayCounter(fixture.name)
        self._bucket = TokenBucket(fixture.rate) if fixture.rate else None
        self._log = log
        self.expect(faults)

    def expect(self, faults: FaultScenario) -> None:
        """Replace the faults to come."""
        self._faults = FaultPicker(faults, self.fixture.name, self.platform.TWISTS)

    def handle(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Delivery:
        """Take one request. On return its effect has happened, even if the answer comes late or never."""
        path = raw_path if raw_path.isascii() else raw_path.encode("utf-8", "replace").decode()
        asked = ReceivedRequest(method, path, headers, body)
        call = self.platform.route(asked)
        # Counted before any refusal: the books tell every request that arrived.
        nth = self.counter.count_request(call)
        number = self._log.number()
        refusal = self._find_refusal(call, asked, now)
        if refusal is not None:
            delivery = Delivery(
                number=number,
                generation=self._log.generation,
                call=call,
                answer=refusal,
                delay=self.fixture.latency,
            )
        else:
            delivery = self._admit(call, number, nth, now)
        self.counter.begin(delivery)
        self._log.write(self.fixture.name, method, path, delivery, now)
        return delivery

    def _find_refusal(self, call: PlatformCall, asked: ReceivedRequest, now: float) -> HttpAnswer | None:
        if call.needs_token and (objection := self.platform.gate.find_denial(asked, now)):
            self.counter.count_denial(objection)
            return self.platform.answer_denied(objection)
        rate = self.fixture.rate
        if self._bucket is None or rate is None or not rate.counts(call.purpose):
            return None
        wait = self._bucket.take(now)
        return (
            self.platform.answer_busy(max(1, ceil(wait)) if rate.retry_after else 0, rate.per_second)
            if wait
            else None
        )

    def _admit(self, call: PlatformCall, number: int, nth: int, now: float) -> Delivery:
        fault = self._faults.pick(call.row.id if call.row else None, call.purpose, nth)
        done, answer = self._perform(call, fault, now)
        if done.effect is RequestEffect.DOWN and call.row is not None:
            call.row.down_by, call.row.down_at = number, now
        manner = _MANNERS.get(fault.kind, DeliveryManner.WHOLE) if fault else DeliveryManner.WHOLE
        return Delivery(
            number=number,
            generation=self._log.generation,
            call=call,
            manner=manner,
            answer=answer if manner in (DeliveryManner.WHOLE, DeliveryManner.CUT) else None,
            delay=self.fixture.latency + (fault.delay if fault else 0.0),
            effect=done.effect,
            fault=str(fault) if fault else None,
        )

    def _perform(
        self, call: PlatformCall, fault: InjectedFault | None, now: float
    ) -> tuple[CallResult, HttpAnswer]:
        if fault is None:
            done = call.perform(now, None)
            return done, done.answer
        twist = fault.kind if fault.kind in TWISTS else None
        # A twist is the platform's own answer, so the platform must act to give it.
        acts = fault.takes_effect or twist is not None
        done = call.perform(now, twist) if acts else CallResult(HttpAnswer(204))
        return done, self._spoil(fault, call, done.answer)

    def _spoil(self, fault: InjectedFault, call: PlatformCall, answer: HttpAnswer) -> HttpAnswer:
        if fault.kind is FaultKind.STATUS:
            told = self._word_status(fault, call, fault.status or 500)
            wait = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return HttpAnswer(told.status, told.body, {**told.headers, **wait})
        if fault.kind is FaultKind.ELSEWHERE:
            return self.platform.answer_elsewhere()
        return _PAGES.get(fault.kind, answer)

    def _word_status(self, fault: InjectedFault, call: PlatformCall, status: int) -> HttpAnswer:
        if fault.body is None:
            return (call.error or self.platform.error)(status, fault.code, fault.message)
        plain = {"Content-Type": "text/plain;charset=UTF-8"} if fault.body else {}
        return HttpAnswer(status, fault.body.encode("utf-8", "replace"), plain)


class SimulatedPlatforms:
    """All simulated gateways. ``now`` is the Unix time at which their targets count as deployed."""

    def __init__(
        self, fixture: SimulatorFixture, faults: FaultScenario | None = None, *, now: float = 0.0
    ) -> None:
        self._generation = 0
        self._fill(fixture, faults or FaultScenario(), now)

    def _fill(self, fixture: SimulatorFixture, faults: FaultScenario, now: float) -> None:
        names = [gateway.name for gateway in fixture.gateways]
        if not names:
            raise UsageError("the seed has no gateway; a simulator needs one at least")
        if len(set(names)) != len(names):
            raise UsageError("two gateways of the seed have the same name; every name must be its own")
        _check_script(faults, names)
        secrets = frozenset(secret for gateway in fixture.gateways for secret in gateway.secrets if secret)
        log = RequestLog(fixture.keep, secrets, self._generation + 1)
        gateways = {gateway.name: SimulatedGateway(gateway, faults, log, now) for gateway in fixture.gateways}
        self._generation, self._log, self._gateways = log.generation, log, gateways

    @property
    def names(self) -> tuple[str, ...]:
        """The gateways' names, in the fixture's order."""
        return tuple(self._gateways)

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
        """Take one request to a gateway. The caller carries the delivery out, then calls ``finish``."""
        return self._gateways[gateway].handle(method, raw_path, headers, body, now=now)

    def identify(
        self, gateway: str, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> PlatformCall:
        """Return the call that a request to a gateway asks for. It does not arrive: nothing is counted."""
        return self._gateways[gateway].platform.route(ReceivedRequest(method, raw_path, headers, body))

    def finish(self, gateway: str, delivery: Delivery) -> None:
        """Note that the answer left or the client went away; ignored if the platforms were refilled since."""
        if delivery.generation == self._generation:
            self._gateways[gateway].counter.finish(delivery)

    def expect(self, faults: FaultScenario) -> None:
        """Replace all faults to come. Raises UsageError, and then changes nothing."""
        _check_script(faults, self.names)
        for gateway in self._gateways.values():
            # Made only to be judged: an unfit fault must change nothing at any gateway.
            FaultPicker(faults, gateway.fixture.name, gateway.platform.TWISTS)
        for gateway in self._gateways.values():
            gateway.expect(faults)

    def refill(self, fixture: SimulatorFixture, faults: FaultScenario | None = None, *, now: float) -> None:
        """Begin again with other targets and empty books; the gateways stay. Raises UsageError."""
        if tuple(gateway.name for gateway in fixture.gateways) != self.names:
            raise UsageError(f"a new seed must have the gateways {', '.join(self.names)}, in this order")
        self._fill(fixture, faults or FaultScenario(), now)

    def books(self) -> SimulatorBooks:
        """Return what was seen so far, as values that do not change any more."""
        rows = [row for gateway in self._gateways.values() for row in gateway.platform.rows]
        return SimulatorBooks(
            requests=self._log.count,
            gateways={
                name: gateway.counter.summarize(gateway.platform) for name, gateway in self._gateways.items()
            },
            targets={row.id: summarize_target(row) for row in rows},
            destroyed=tuple(row.id for row in rows if row.destroyed),
        )

    def list_requests(self, after: int = 0, limit: int | None = None) -> list[SeenRequest]:
        """Return the kept requests in the order of their arrival, from number ``after`` + 1 on."""
        return self._log.seen[after : None if limit is None else after + limit]


def _check_script(faults: FaultScenario, names: Collection[str]) -> None:
    for place in faults.script:
        if place.partition("/")[0] not in names:
            raise UsageError(f"the faults name {place!r}, but the gateways are {', '.join(names)}")
