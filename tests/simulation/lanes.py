"""Promises 4 to 7 by the wire: what each lane sent, against the replies that it had got by then.

No rule of the engine is used here: the judges know the replies, the plan and the words of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import Act
from orchestrator.runs.result import RunResult
from orchestrator.simulator.gateway_fixture import GatewayFixture
from tests.simulation.scene import SeedScene
from tests.simulation.wire import DENIED, SessionWire, WireExchange, sort_by_end

ON_ITS_WAY = 0.05
"""Seconds in which a request that was let go before a reply came may still leave: it waits for the disk."""

FAULTY = 5
"""A lane parks after faults of this many different targets with no answered undeploy between."""

BUDGET, BY_SUCCESS, BY_SECOND = 50, 0.5, 1.0
"""The repeats that a lane may make at once, and what successes and time add to them."""

PROBES_BY_SECOND = 0.2
"""Probes are repeats that no budget pays for; none comes sooner than five seconds after the last one."""

STANDSTILL = 45.0
"""Seconds without a request after which a lane that is well, and has work, counts as held up."""


def check_place(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request that left after another installation had answered an undeploy (promise 4)."""
    for gateway in scene.plan.gateways:
        changes = wire.list_changes(gateway.name)
        told = min((each.came for each in changes if each.is_elsewhere and each.came), default=None)
        for each in wire.list_of(gateway.name):
            if told is not None and each.left > told:
                yield f"promise 4: {each} left {each.left - told:.3f} s after another place had answered"


def check_closed(result: RunResult, wire: SessionWire) -> Iterator[str]:
    """Yield each lane that another installation has answered, and that is not closed (promise 4)."""
    if len(wire.signals) > 1:
        return  # the session may have ended before the reply was read
    if (result.report.run.stopped_by or "").startswith("disk"):
        return  # what was read last has no row
    lanes = {gateway.name: gateway.lane for gateway in result.report.gateways}
    for name in dict.fromkeys(each.gateway for each in wire.exchanges if each.is_elsewhere):
        is_told = any(each.is_elsewhere for each in wire.list_changes(name))
        if is_told and lanes.get(name) != "closed":
            yield f"promise 4: {name} is {lanes.get(name)}, and another place had answered"


def check_astray(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request, with its credential, to another host or where a redirect points (promise 9)."""
    for each in wire.exchanges:
        if each.is_astray:
            yield f"promise 9: {each} went to another host, or where a redirect had pointed"


def check_credentials(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield what a rejected credential cost beyond one refresh (promise 5)."""
    for gateway, fixture in zip(scene.plan.gateways, scene.fixture.gateways, strict=True):
        exchanges = wire.list_of(gateway.name)
        rejected = _find_rejections(exchanges)
        for each in exchanges:
            told = rejected.get(each.credential)
            if told is not None and wire.measure(told, each.left) > ON_ITS_WAY:
                late = each.left - told
                yield f"promise 5: {each} left with a credential that was rejected {late:.3f} s ago"
        causes = _find_rejections(exchanges, perhaps=True)
        yield from _check_renewals(gateway, wire, rejected, len(causes), fixture.token_life)
        yield from _check_logins(fixture, wire, exchanges, len(causes))
        if gateway.auth.access_key is not None:
            yield from _check_first_alone(exchanges)


def _find_rejections(exchanges: Sequence[WireExchange], *, perhaps: bool = False) -> dict[str, float]:
    """Return when the program first learned that a credential is rejected, by the credential.

    ``perhaps``: also by a 401 to a report or a list, which may be about a role.
    """
    found: dict[str, float] = {}
    for at, each in sort_by_end([*exchanges]):
        if not each.credential:
            continue  # a doctor asks without one first
        if each.is_rejection or (perhaps and each.is_report and each.status == DENIED):
            found.setdefault(each.credential, at)
    return found


def _check_renewals(
    gateway: Gateway, wire: SessionWire, rejected: dict[str, float], causes: int, life: float
) -> Iterator[str]:
    """Check that references are read once, and once more for each cause; and that the lane closes.

    ``life``: the seconds for which a token of a login is good.
    """
    name, exchanges = gateway.name, wire.list_of(gateway.name)
    read = wire.resolved.count(name)
    if read > 1 + causes:
        yield f"promise 5: {name}: a credential was read {read} times after {causes} rejections"
    order = list(dict.fromkeys(each.credential for each in exchanges if each.credential))
    for credential, told in rejected.items():
        worked = any(each.credential == credential and each.is_let_in for each in exchanges)
        # A token that has ended before its first use was not refused at once.
        granted = max(
            (each.came for each in exchanges if each.login and each.came and each.came < told), default=told
        )
        is_last = credential != order[0] and not worked and told < granted + life
        if is_last or gateway.auth.access_key is not None:
            for each in exchanges:
                if wire.measure(told, each.left) > ON_ITS_WAY:
                    yield f"promise 5: {each} left after the renewed credential was refused at once"


def _check_logins(
    fixture: GatewayFixture, wire: SessionWire, exchanges: Sequence[WireExchange], causes: int
) -> Iterator[str]:
    """Check that logins are made one at a time, each for a cause, and none after one was refused."""
    logins = [each for each in exchanges if each.login]
    for before, after in pairwise(logins):
        if before.came is None or after.left < before.came:
            yield f"promise 5: {after} left beside another one"
    refused = min((each.came for each in logins if each.is_login_refused and each.came), default=None)
    for each in exchanges:
        if refused is not None and wire.measure(refused, each.left) > ON_ITS_WAY:
            yield f"promise 5: {each} left after a login was refused"
    if not logins:
        return
    granted = sum(each.status is not None and each.status < 300 for each in logins)
    seconds = exchanges[-1].left - exchanges[0].left
    # A token that ends soon is renewed at half its life, and no other one before half an hour of its end.
    ends = seconds / min(fixture.token_life / 2, max(fixture.token_life - 1800.0, 1.0))
    if granted > 1 + causes + ends:
        yield f"promise 5: {fixture.name}: {granted} logins in {seconds:.0f} s, and {causes} rejections"


def _check_first_alone(exchanges: Sequence[WireExchange]) -> Iterator[str]:
    """Check that nothing leaves beside the first request with an access key until one was let in."""
    let_in = min((at for at, each in sort_by_end([*exchanges]) if each.is_let_in), default=None)
    for before, after in pairwise(exchanges):
        if let_in is not None and after.left > let_in:
            return
        if before.is_open_at(after.left):
            yield f"promise 5: {after} left beside another one before its access key was ever let in"


def check_pauses(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each request that left while its lane was told to wait (promise 6)."""
    for gateway in scene.plan.gateways:
        exchanges = wire.list_of(gateway.name)
        for told in exchanges:
            if not told.is_refusal_to_take_more or told.came is None or told.wait is None or told.login:
                continue
            if told.act is None:
                continue  # the reads of calls have a limit of their own
            until = told.came + min(told.wait, gateway.park_for) - 0.001
            looks_only = told.act is Act.LOOK
            for each in exchanges:
                waits = not looks_only or each.act is Act.LOOK
                if waits and each.left < until and wire.measure(told.came, each.left) > ON_ITS_WAY:
                    early = until - each.left
                    yield f"promise 6: {each} left {early:.3f} s before the end of a {told.status}'s wait"


def check_parking(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield what a lane sent beside its probe while it was ill, and after it was given up (promise 6)."""
    for gateway in scene.plan.gateways:
        if gateway.auth.login is None and gateway.auth.iam is None:
            for first, parked, ends in _list_illnesses(wire, gateway.name):
                yield from _check_ill(gateway, wire, first, parked, ends)


def _list_illnesses(wire: SessionWire, gateway: str) -> Iterator[tuple[float, float, float]]:
    """Yield the times at which a lane was ill without any doubt: its first fault, its fifth, and its end.

    The first one may be that of a look: before a deploy, it counts as well. So the lane may be parked before
    the fifth undeploy or deploy with a fault, and what may be an answer then may have left it ill.
    """
    faulty: set[str] = set()
    perhaps: set[str] = set()
    first = parked = doubtful = None
    for at, each in sort_by_end([each for each in wire.list_of(gateway) if each.act is not None]):
        if each.act is not Act.LOOK and (each.may_be_answer or each.is_elsewhere):
            if first is not None and parked is not None:
                yield first, parked, at
            # The lane may have taken it for no answer, and is ill since then.
            doubtful = first if len(perhaps) >= FAULTY else None
            faulty, perhaps, first, parked = set(), set(), None, None
        elif each.is_fault:
            first = (at if doubtful is None else doubtful) if first is None else first
            if each.act is wire.change and each.target is not None:
                faulty.add(each.target)
            if each.act is wire.change or (each.act is Act.LOOK and wire.change is Act.DEPLOY):
                perhaps.add(each.target or str(each))
            if len(faulty) >= FAULTY and parked is None:
                parked = at
    if first is not None and parked is not None:
        yield first, parked, float("inf")


def _check_ill(
    gateway: Gateway, wire: SessionWire, first: float, parked: float, ends: float
) -> Iterator[str]:
    later = (each for each in wire.list_of(gateway.name) if each.left > parked)
    exchanges = [each for each in later if wire.measure(parked, each.left) > ON_ITS_WAY]
    # It may have been parked at the first fault already: then it is given up so much sooner.
    given_up = min(ends, first + gateway.park_for)
    for before, after in pairwise(exchanges):
        if after.left < given_up and before.is_open_at(after.left):
            yield f"promise 6: {after} left beside the probe of a parked lane"
    longest = 2 * (2 * gateway.reply_timeout + gateway.retry.ceiling)
    waits = [min(each.wait or 0.0, gateway.park_for) for each in wire.list_of(gateway.name)]
    last = parked + gateway.park_for + longest + max(waits, default=0.0)
    if wire.frozen is not None and wire.frozen[1] > parked:
        last = max(last, wire.frozen[1] + longest)  # who has slept may try once more
    for each in exchanges:
        if each.act is wire.change and last < each.left < ends:
            yield f"promise 6: {each} left {each.left - parked:.0f} s after its lane was parked"


def check_repeats(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each gateway that got more repeats than all its targets may make together (promise 7)."""
    for gateway in scene.plan.gateways:
        changes = wire.list_changes(gateway.name)
        ends = {
            each.target: each.came for each in reversed(changes) if each.is_fault and each.came is not None
        }
        first = dict(ends)
        repeats = [
            each for each in changes if each.target in first and each.left > (first[each.target] or 0.0)
        ]
        if not repeats:
            continue
        answered = sum(each.status is not None and each.status < 300 for each in changes)
        seconds = changes[-1].left - changes[0].left
        most = BUDGET + BY_SUCCESS * answered + (BY_SECOND + PROBES_BY_SECOND) * seconds + 5
        if len(repeats) > most:
            yield f"promise 7: {gateway.name} got {len(repeats)} repeats in {seconds:.0f} s"


def check_neighbours(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each standstill of a lane that was well and had targets to take (promise 6).

    Such a target stands in the wave that is under way, comes after no other target, and is taken only after
    the standstill, though the lane had met no fault and no refusal until then.
    """
    if scene.acts:
        return  # an operator may pause the run
    waves: dict[str, int] = {target.id: target.wave for target in scene.targets}
    free: set[str] = {
        target.id
        for target in scene.targets
        if not scene.plan.waves[target.wave].sizes and not scene.needs.get(target.seq)
    }
    begun: dict[int, float] = {}
    # One list of a control plane shows all targets of an API, and some of these stand in a later wave.
    shared = {gateway.name for gateway in scene.plan.gateways if gateway.KIND == "wso2"}
    looked_at = _find_first_waves(scene)
    for each in wire.exchanges:
        if each.target in waves and not (each.act is Act.LOOK and each.gateway in shared):
            begun.setdefault((looked_at if each.act is Act.LOOK else waves)[each.target], each.left)
    for gateway in scene.plan.gateways:
        yield from _find_standstills(wire, gateway.name, waves, free, begun)


def _find_first_waves(scene: SeedScene) -> dict[str, int]:
    """Return by target the first wave in which a look may name it: one read tells of all environments."""
    together: dict[tuple[str, ...], int] = {}
    for target in scene.targets:
        thing = (target.gateway, *(target.parts[:-1] or target.parts))
        together[thing] = min(together.get(thing, target.wave), target.wave)
    return {
        target.id: together[target.gateway, *(target.parts[:-1] or target.parts)] for target in scene.targets
    }


def _find_standstills(
    wire: SessionWire,
    gateway: str,
    waves: dict[str, int],
    free: set[str],
    begun: dict[int, float],
) -> Iterator[str]:
    # Its traffic log is a part of it: a run may wait for that as well.
    exchanges = [each for each in wire.exchanges if each.gateway == gateway]
    seen: set[str] = set()
    last: float | None = None
    for each in exchanges:
        target = each.target
        if target is not None and target in free and target not in seen:
            since = begun.get(waves[target], each.left)
            waited = wire.measure(max(since, last or 0.0), each.left)
            if waited > STANDSTILL and not _is_unwell(exchanges, each.left):
                yield f"promise 6: {each} was left for {waited:.0f} s by a lane that is well"
        if target is not None:
            seen.add(target)
        last = max(last or 0.0, each.left, each.came or float("inf"))


def _is_unwell(exchanges: Sequence[WireExchange], at: float) -> bool:
    """Return whether a lane has met something by then that may make it wait by itself."""
    return any(
        each.came is None or each.is_fault or each.is_denial or each.is_refusal_to_take_more
        for each in exchanges
        if each.left < at
    )
