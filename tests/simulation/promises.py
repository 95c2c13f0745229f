"""Checks the promises after every seed, by the books of the platforms and the requests that reached them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.engine.control_commands import SetLimits
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.schema import UPDATE_OUTCOME
from orchestrator.journal.writer import RowEntry
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome, is_as_wanted
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.report.values import TargetReport
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SeenRequest, SimulatorBooks, TargetFacts
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from orchestrator.simulator.roma_replies import ENVIRONMENT
from tests.simulation.credentials import SECRETS
from tests.simulation.guards import check_guards
from tests.simulation.scene import SeedScene

RATE_SPAN = 10.0

ANSWERED_WITHIN = 100.0
"""Seconds within which the operator has said ``continue``."""

READS = 100
"""Requests that may be made about one target beside its changes: state, front ends, bindings and calls."""

LOOKS_PER_DOUBT = 3
"""Looks that one doubt may cost."""

MORE = 15.0
"""Seconds that an exchange may take beyond its timeout, for connecting."""

ON_THE_WAY = timedelta(seconds=1)
"""The longest way of a request to a platform."""

SLOWEST = 5.0
"""Seconds between two requests at the slowest pace that a scene sets."""


class PromiseWitness:
    """Sees each commit and each request of a run, and keeps the promises that they break."""

    def __init__(self, scene: SeedScene, act: Act = Act.UNDEPLOY) -> None:
        self._act = act
        self._ids = {target.seq: target.id for target in scene.targets}
        self._closes: float | None = None
        self._timeouts = {gateway.name: gateway.reply_timeout for gateway in scene.plan.gateways}
        self._intents: Counter[str] = Counter()
        self._arrivals: Counter[str] = Counter()
        self._first: dict[str, Act] = {}
        self._done: set[str] = set()
        """The targets that ended as the run aims at: what comes after them may go."""
        self._needs: dict[str, tuple[TargetId, ...]] = {
            self._ids[seq]: ids for seq, ids in scene.needs.items()
        }
        self._rates = {gateway.name: gateway.limits.rate for gateway in scene.plan.gateways}
        for _, demand in scene.acts:
            if isinstance(demand, SetLimits):
                self._rates[demand.gateway] = None
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self.broken: list[str] = []

    def begin(self, closes: float | None) -> None:
        """Begin a new session, whose window closes at ``closes`` (virtual Unix seconds)."""
        self._closes = closes
        self._first.clear()

    def commit(self, entry: RowEntry) -> None:
        """Note that a row is on disk."""
        statement, values = entry
        if statement.startswith("INSERT INTO attempt"):
            self._intents.update(["any"])
            if values[2] == self._act:
                self._intents.update([self._ids[int(values[0] or 0)]])
        elif statement == UPDATE_OUTCOME:
            target = self._ids[int(values[-1] or 0)]
            is_done = is_as_wanted(Outcome(str(values[0])), None if values[1] is None else str(values[1]))
            (self._done.add if is_done else self._done.discard)(target)

    def note_arrival(self, target: str, act: Act, at: float) -> None:
        """Note that a request has reached its platform."""
        self._arrivals.update(["any", target] if act is self._act else ["any"])
        self._first.setdefault(target, act)
        if self._arrivals["any"] > self._intents["any"] or self._arrivals[target] > self._intents[target]:
            self.broken.append(f"promise 2: {act} of {target} left before its intent was on disk")
        gateway = target.partition("/")[0]
        # A request may take a moment from its admission to its arrival; 0.2 s is more than ours ever takes.
        late = self._closes is not None and at + self._timeouts[gateway] > self._closes + 0.2
        if act is self._act and late:
            self.broken.append(f"promise 7: {target} was {act}ed too late for the window")
        if act is self._act:
            self._check_order(target)
            self._check_rate(gateway, at)

    def note_shared_look(self, targets: Iterable[str]) -> None:
        """Note that one look at several targets has reached its platform."""
        for target in targets:
            self._first.setdefault(target, Act.LOOK)

    def _check_order(self, target: str) -> None:
        for before in self._needs.get(target, ()):
            if before not in self._done:
                self.broken.append(
                    f"{target} was {self._act}ed before {before}, which comes first, had ended"
                )

    def _check_rate(self, gateway: str, at: float) -> None:
        """Check that no more requests than the plan's rate allows reach a gateway in ten seconds.

        Tolerates the time of the way, and one probe.
        """
        rate, times = self._rates[gateway], self._times[gateway]
        if rate is None:
            return
        times.append(at)
        while times[0] < at - RATE_SPAN:
            times.popleft()
        if len(times) > rate * (RATE_SPAN + 0.3) + 2:
            self.broken.append(f"{gateway} got {len(times)} {self._act}s in {RATE_SPAN:g} s at {rate:g}/s")

    def first_act(self, target: str) -> Act | None:
        """Return the act of this session's first request for a target."""
        return self._first.get(target)


def compute_most_in_flight(scene: SeedScene) -> int:
    """Return how many requests may be in flight at once, also under the limits that the operator sets."""
    most = {gateway.name: gateway.concurrency for gateway in scene.plan.gateways}
    for _, demand in scene.acts:
        if isinstance(demand, SetLimits) and demand.concurrency is not None:
            most[demand.gateway] = max(most[demand.gateway], demand.concurrency)
    return sum(most.values())


def compute_longest_session(scene: SeedScene) -> float:
    """Return the virtual seconds within which any session ends, whatever the gateways do (promise 10).

    The sum of all that the plan allows, one after another: each request with its timeout, the longest pause
    and the slowest pace before it; a few times ``park_for`` for each gateway; the pauses between waves, and
    the time until the operator says ``continue``.
    """
    rests = sum(
        ((wave.pause_after or 0.0) + ANSWERED_WITHIN) * max(1, len(wave.sizes)) for wave in scene.plan.waves
    )
    rests += scene.freeze.seconds if scene.freeze is not None else 0.0
    return rests + sum(_compute_longest(scene, gateway) for gateway in scene.plan.gateways)


def _compute_longest(scene: SeedScene, gateway: Gateway) -> float:
    targets = sum(target.gateway == gateway.name for target in scene.targets)
    each = gateway.reply_timeout + MORE + gateway.retry.ceiling + SLOWEST
    changes = (gateway.retry.attempts + 1) * (1 + LOOKS_PER_DOUBT) * (1 + _count_steps(scene, gateway))
    return 4 * gateway.park_for + targets * (READS + changes) * each


def _count_steps(scene: SeedScene, gateway: Gateway) -> int:
    """Return the most publishes and binds that may follow one deploy."""
    fixture = next(each for each in scene.fixture.gateways if each.name == gateway.name)
    if not isinstance(fixture, RomaFixture):
        return 0
    return max((_count_things(each) for each in fixture.about.values()), default=0)


def _count_things(about: BackendFixture) -> int:
    return len(about.environments or (ENVIRONMENT,)) * (1 + len(about.bound or ()))


def list_in_doubt(folder: RunFolder, *, newest: bool = False) -> list[TargetId]:
    """Return the targets with an undeploy (or deploy) whose intent has no result.

    With ``newest`` only those of the newest session: one that was killed early may not have reached all.
    """
    database = folder.open()
    try:
        query = (
            "SELECT id FROM attempt AS a JOIN target USING (seq)"
            " WHERE act <> 'look' AND verdict IS NULL AND outcome IS NULL"
            " AND number = (SELECT MAX(number) FROM attempt AS b WHERE b.seq = a.seq)"
        )
        if newest:
            query += " AND a.started >= (SELECT MAX(started) FROM session)"
        return [row[0] for row in database.rows(query)]
    finally:
        database.close()


def list_targets(folder: RunFolder) -> list[TargetReport]:
    """Return the targets of a run as its report has them."""
    with folder.open_source() as account:
        return list(account.targets())


def check_end(
    scene: SeedScene, books: SimulatorBooks, folder: RunFolder, requests: Sequence[SeenRequest]
) -> Iterator[str]:
    """Yield each broken promise of a run that has reached its end, and that has sent these requests."""
    silent, unreached = (
        _list_unshown(scene, requests, fault) for fault in (FaultKind.POD_SILENT, FaultKind.POD_UNREACHED)
    )
    with folder.open_source() as account:
        targets = list(account.targets())
        report = account.report
    if [target.id for target in targets] != [target.id for target in scene.targets]:
        yield "promise 1: the report does not hold each target once, in the plan's order"
    outcomes = Counter(target.outcome for target in targets)
    for outcome in Outcome:
        if getattr(report.totals, outcome) != outcomes[outcome]:
            yield f"the totals count {outcome} wrongly"
    for target in targets:
        is_unshown = _is_unshown(
            scene, target, is_silent=target.id in silent, is_unreached=target.id in unreached
        )
        yield from _check_target(scene, books, target, is_unshown=is_unshown)
    if books.destroyed:
        yield f"a definition was deleted for good: {books.destroyed}"
    for facts in books.gateways.values():
        if facts.overlaps:
            yield f"{facts.name}: two changes of one proxy overlapped"
        if facts.key_locks or facts.user_locks:
            yield f"promise 5: {facts.name} has locked an access key or a user"


def _is_unshown(scene: SeedScene, target: TargetReport, *, is_silent: bool, is_unreached: bool) -> bool:
    """Return whether a pod may serve the target that no reply has named as one that did not obey.

    A look that lists a pod out of reach is believed, but after a reply that said ``false``.
    """
    if target.evidence != "look":
        return False
    lost = any(
        each.act is Act.UNDEPLOY and each.sent and (each.status is None or each.status >= 500)
        for each in target.attempts
    )
    return (is_unreached and lost) or (is_silent and (lost or not _names_pods(scene, target.gateway)))


def _list_unshown(scene: SeedScene, requests: Sequence[SeenRequest], fault: FaultKind) -> set[str | None]:
    """Return the targets of which a look did not show one pod, and no other look of the run showed it.

    Where replies or their rows may be lost on the way, that other look may be one of them.
    """
    asked = [seen for seen in requests if seen.path.endswith("/route-health/")]
    unshown = {seen.target for seen in asked if seen.fault == fault.value}
    loses = (
        scene.crashes,
        scene.full,
        scene.interrupts,
        scene.freeze,
        scene.stray,
        scene.stuck,
        scene.outages,
    )
    if any(loses):
        return unshown
    shown = (seen for seen in asked if seen.fault in (None, FaultKind.SLOW.value) and seen.status == 200)
    return unshown - {seen.target for seen in shown}


def _check_target(
    scene: SeedScene, books: SimulatorBooks, target: TargetReport, *, is_unshown: bool
) -> Iterator[str]:
    """Yield each broken promise about one target; ``is_unshown``: no reply and no look shows a pod of it."""
    facts = books.targets.get(target.id)
    yield from _check_absence(scene, target, facts)
    yield from check_guards(scene, target, facts)
    seen = target.evidence == "look"
    # A version without route-health cannot tell that a pod did not obey; its record is all there is to see.
    blind = is_unshown or (seen and not offers_look(scene, target.gateway))
    # A proxy, or a revision, that was never deployed to an environment is down there, and in no book.
    gateway = next(entry for entry in scene.plan.gateways if entry.name == target.gateway)
    never = facts is None and gateway.KIND != "roma" and target.evidence in ("look", "deployments")
    absent = gateway.absent == "ok" and (target.reason or "").startswith("absent")
    is_down = never or (facts is not None and facts.down)
    if target.outcome is Outcome.UNDEPLOYED and not (blind or is_down):
        yield f"promise 3: {target.id} is reported undeployed, and still up"
    if target.outcome is Outcome.ALREADY_UNDEPLOYED and not (absent or is_unshown or is_down):
        yield f"promise 3: {target.id} is reported as undeployed before, and still up"
    if target.outcome is Outcome.NOT_STARTED and facts is not None and facts.down_by:
        if was_seen_late(scene, target, facts):
            return
        yield f"{target.id} is reported as not started, and we took it down"


def _check_absence(scene: SeedScene, target: TargetReport, facts: TargetFacts | None) -> Iterator[str]:
    """Yield a line for a target that exists, and is reported as one that does not."""
    if facts is None or not (target.reason or "").startswith("absent"):
        return
    # By the vendor's own words a project that is closed to the user may not exist: a failure, and no success.
    if not is_closed(scene, target.id):
        yield f"promise 4: {target.id} exists, and is reported as {target.reason}"
    elif target.outcome is Outcome.ALREADY_UNDEPLOYED:
        yield f"promise 4: {target.id} may not be seen by this user, and is reported as gone"


def is_closed(scene: SeedScene, name: str) -> bool:
    """Return whether a target stands in a project that its user may not look into."""
    target = next(each for each in scene.targets if each.id == name)
    fixture = next(entry for entry in scene.fixture.gateways if entry.name == target.gateway)
    return isinstance(fixture, ApinizerFixture) and target.parts[0] in fixture.closed


def was_seen_late(scene: SeedScene, target: TargetReport, facts: TargetFacts) -> bool:
    """Return whether a list that lags has shown the target as up after the undeploy that took it down."""
    fixture = next(entry for entry in scene.fixture.gateways if entry.name == target.gateway)
    lag = timedelta(seconds=getattr(fixture, "lag", 0.0))
    if not lag or scene.jumps:
        return bool(lag)  # the times of the attempts may be those of a clock that has jumped
    # Later undeploys may have followed, which changed nothing: the list lags behind the one that did.
    down = datetime.fromtimestamp(facts.down_at, UTC)
    looks = (each for each in target.attempts if each.act is Act.LOOK and each.status is not None)
    return any(down < look.started < down + ON_THE_WAY + lag for look in looks)


def _names_pods(scene: SeedScene, gateway: str) -> bool:
    """Return whether the reply to an undeploy names each pod, and not only the environment."""
    fixture = next(entry for entry in scene.fixture.gateways if entry.name == gateway)
    return isinstance(fixture, ApinizerFixture) and fixture.shape == "b" and fixture.rows != "environment"


def offers_look(scene: SeedScene, gateway: str) -> bool:
    """Return whether a platform shows what its pods serve, not only what its manager has on record."""
    fixture = next(entry for entry in scene.fixture.gateways if entry.name == gateway)
    return bool(getattr(fixture, "looks", True))


def check_attempts(scene: SeedScene, folder: RunFolder) -> Iterator[str]:
    """Yield each target that was sent more undeploys, deploys or publishes than its plan allows."""
    query = (
        "SELECT id, COUNT(*) FROM attempt JOIN target USING (seq) WHERE act <> 'look'"
        " AND (verdict IS NULL OR verdict NOT IN ('busy', 'denied', 'unsent', 'elsewhere'))"
        " GROUP BY seq, act, via"
    )
    allowed = {gateway.name: gateway.retry.attempts for gateway in scene.plan.gateways}
    database = folder.open()
    try:
        for name, count in database.rows(query):
            if count > allowed[name.partition("/")[0]]:
                yield f"promise 7: {name} was sent {count} times"
    finally:
        database.close()


def find_leaks(folder: Path) -> Iterator[str]:
    """Yield each file of the run that holds a credential."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in folder.iterdir():
        held = path.read_bytes()
        for token in SECRETS:
            if token.encode() in held:
                found[path.name].append(token)
    for name in found:
        yield f"promise 9: {name} holds a credential"
