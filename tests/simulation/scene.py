"""Makes the scene of a seed: a plan with its targets, the platforms, and everything that goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.control_commands import (
    ContinueRun,
    ControlCommand,
    PauseRun,
    SetLimits,
    SkipTargets,
    StopRun,
)
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.lanes.state_list import WORTH_LISTING
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, StepSize, StopWhen, Threshold, Wave
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    IamLogin,
    Limits,
    ManagerLogin,
    Retry,
    UsageSources,
)
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import STORM_FAULTS, FaultScenario, FaultStorm, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.kinds import AnyFixture
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from orchestrator.simulator.wso2 import Wso2Fixture
from tests.simulation.contradictions import Withdrawal, contradict
from tests.simulation.credentials import PASSWORD, TOKENS, CredentialTrouble, choose_troubles, sign_some
from tests.simulation.hanging import call_fronts, choose_gate, hang_things, log_traffic, make_access
from tests.simulation.notifying import ReceiverScene, choose_receivers
from tests.simulation.surge import strike_at_once
from tests.simulation.third_kind import add_third_kind, deploy_others, make_control_plane
from tests.simulation.wall_clock import ClockJump, choose_jumps

ECHO = "{credential}"
"""Stands in a vendor's text where the gateway repeats the credential that it got."""

_TWISTS = ("inner-false", "partial", "quoted", "no-result", "empty-rows", "refused-with-result", "no-pods")
_UGLY = (
    *STORM_FAULTS, *_TWISTS, "hang", "hang-after", "login-page", "error-page", "empty", "redirect",
    "403", "409", "400", "408-after", "504-after", "look:partial", "look:no-pods", "login:503",
    "login:hang", "login:garbage",
)  # fmt: skip


Illness = Literal["502", "refused", "silent", "login"]
"""How a gateway is ill: it answers only 502, cannot be reached, gives no answer, or gives no login."""


class GatewayOutage(Struct, frozen=True):
    """The time in which a gateway is ill, in seconds of the whole run."""

    start: float
    end: float
    how: Illness


class ProcessFreeze(Struct, frozen=True):
    """A time in which the process does nothing, while everything else goes on: in seconds of its session."""

    at: float
    seconds: float


class PreviewScene(Struct, frozen=True, kw_only=True):
    """A preview before the run."""

    hours: int | None
    """The calls of so many hours are asked for; None asks nobody."""
    is_approved: bool
    """Its approval guards the run."""
    is_signed: bool


class DiscoverScene(Struct, frozen=True, kw_only=True):
    """A discover before the run."""

    by: Literal["all", "name", "environment", "path", "before", "early"]
    """The filter."""
    unused: int | None
    """Only what nobody called in so many hours; None asks nobody."""


class SeedScene(Struct, frozen=True, kw_only=True):
    """The plan, the platforms and the faults of one seed. Times are seconds."""

    plan: Plan
    targets: tuple[Target, ...]
    fixture: SimulatorFixture
    faults: FaultScenario
    unsent: float
    """The share of requests that cannot be sent at all."""
    stuck: float
    """The share of requests whose sending never returns, whatever timeouts it has."""
    stray: float
    """The share of replies that cannot be read, since unsolicited bytes came before them."""
    outages: dict[str, GatewayOutage]
    crashes: tuple[int, ...]
    """The steps at which the process of each session dies; the sessions after these live on."""
    full: range
    """The steps of the first session in which the disk is full."""
    interrupts: tuple[float, ...]
    """When the first session is asked to stop, and when for the second time."""
    closes: float | None
    """When the first session's window closes."""
    needs: dict[int, tuple[TargetId, ...]]
    """The targets that a target comes after, by its number."""
    worth_listing: int
    """The targets that are worth a list here: most plans are far too short for the program's own number."""
    acts: tuple[tuple[float, ControlCommand], ...]
    """The commands of the operator in the first session, each with its time."""
    freeze: ProcessFreeze | None
    """When the process of the first session is stopped, and goes on."""
    skip: tuple[TargetId, ...]
    """The targets that the run's own ``--skip`` leaves out."""
    troubles: dict[str, CredentialTrouble]
    """The gateways whose references fail."""
    approved: dict[TargetId, StateAtApproval]
    """The states of targets that a person has approved, not all of them as they are; empty without one."""
    preview: PreviewScene | None = None
    discover: DiscoverScene | None = None
    has_doctor: bool = False
    """Whether a doctor comes before the run."""
    receivers: tuple[ReceiverScene, ...] = ()
    """The places that are told of the run."""
    jumps: tuple[ClockJump, ...] = ()
    """When the wall clock of the first session is put forward or back."""
    withdrawal: Withdrawal | None = None
    """What a manager takes down by itself in the first session."""

    def calm_down(self) -> SeedScene:
        """Return the scene without any misfortune, so that one can be looked at alone."""
        return replace(
            self,
            faults=FaultScenario(),
            outages={},
            unsent=0.0,
            stuck=0.0,
            stray=0.0,
            crashes=(),
            full=range(0),
            interrupts=(),
            closes=None,
            needs={},
            acts=(),
            freeze=None,
            troubles={},
            withdrawal=None,
        )


def make_scene(number: int) -> SeedScene:
    """Make the scene of a seed; the same number always makes the same scene."""
    random = Random(number)
    gateways = _make_gateways(random)
    waves = tuple(_make_wave(random, index) for index in range(random.randint(1, 3)))
    targets = _make_targets(random, gateways, len(waves))
    # What was drawn before goes on with the gateways that it knew.
    every, targets = add_third_kind(Random(f"third kind of {number}"), gateways, targets)
    plan = Plan(
        name=f"seed-{number}",
        reason=random.choice([None, "CHG-1042"]),
        gateways=sign_some(Random(f"keys of {number}"), every),
        stop_when=_make_stop_when(random),
        waves=waves,
    )
    names = [target.id for target in targets]
    plan = _guard(Random(f"guards of {number}"), plan, names)
    down = set(random.sample(names, len(names) // 8)) if random.random() < 0.4 else set()
    missing = set(random.sample(names, len(names) // 10)) - down if random.random() < 0.3 else set()
    fixture = SimulatorFixture.from_plan(plan, targets, down=down, missing=missing)
    settings = {
        "roma": _make_roma(random) | _make_roma_lists(Random(-number - 1), targets),
        "apinizer": _make_apinizer(random)
        | _make_report(Random(f"report of {number}"))
        | make_access(Random(f"access of {number}")),
        "wso2": make_control_plane(Random(f"control plane of {number}")) | {"tokens": TOKENS},
    }
    # After the settings, which say of some backend APIs in what else they differ.
    fixture = _publish_widely(Random(f"environments of {number}"), fixture.with_settings(settings))
    fixture = _fill_fronts(number, fixture)
    in_use, in_use_over = choose_gate(Random(f"in use of {number}"))
    if in_use != "ignore":  # without it no plan may have the bound, which nothing obeys
        plan = replace(plan, in_use=in_use, in_use_over=in_use_over)
    plan = _name_logs(Random(f"stores of {number}"), plan)
    scene = SeedScene(
        plan=plan,
        targets=targets,
        fixture=_add_users(fixture, plan),
        faults=_mislead(Random(f"places of {number}"), _make_faults(random, number, names), names),
        unsent=random.choice([0.0, 0.0, 0.0, 0.1, 0.3]),
        stuck=random.choice([0.0, 0.0, 0.0, 0.0, 0.02]),
        stray=random.choice([0.0, 0.0, 0.0, 0.05]),
        outages=_make_outages(random, gateways)
        | _make_outages(Random(f"third outage of {number}"), every[len(gateways) :]),
        crashes=_make_crashes(random, len(targets)),
        full=_make_full_disk(random),
        interrupts=make_interrupts(random, 0.25),
        closes=random.uniform(31.0, 60.0) if random.random() < 0.2 else None,
        needs=_make_needs(random, targets),
        worth_listing=Random(f"lists of {number}").choice([3, 10, WORTH_LISTING]),
        acts=_make_acts(random, gateways, names),
        freeze=_freeze(Random(f"freeze of {number}")),
        skip=_leave_out(Random(f"skip of {number}"), names),
        troubles=choose_troubles(Random(f"troubles of {number}"), every),
        approved=_approve(Random(f"approval of {number}"), names),
    )
    # A process that is stopped at a window's end, or after a signal, is late without a fault of its own.
    is_timed = scene.closes is not None or bool(scene.interrupts)
    scene = replace(scene, freeze=None) if is_timed else scene
    scene = replace(
        scene,
        preview=_choose_preview(Random(f"preview of {number}")),
        discover=_choose_discover(Random(f"discover of {number}")),
        has_doctor=Random(f"doctor of {number}").random() < 0.08,
        receivers=choose_receivers(Random(f"receivers of {number}")),
        jumps=choose_jumps(Random(f"jumps of {number}")),
    )
    scene = contradict(number, scene)
    scene = strike_at_once(Random(f"surge of {number}"), scene)
    return _single_out(Random(f"neighbours of {number}"), scene)


def make_interrupts(random: Random, share: float) -> tuple[float, ...]:
    """Return the times at which a session is interrupted: none, one or two; ``share`` is that of some."""
    if random.random() >= share:
        return ()
    first = random.uniform(0.0, 5.0)
    return (first, first + random.choice([0.0, 0.5, 3.0])) if random.random() < 0.4 else (first,)


def _guard(random: Random, plan: Plan, names: list[TargetId]) -> Plan:
    """Return the plan with what some plans hold beside their targets: protection, snapshots, stop rules."""
    if len(names) > 4 and random.random() < 0.15:
        plan = replace(plan, protect=tuple(random.sample(names, random.randint(1, 3))))
    if random.random() < 0.2:
        plan = replace(plan, snapshot=random.choice(["off", "required"]))
    if random.random() < 0.1:
        never, some = Threshold(share=1.0), Threshold(count=random.randint(1, 5))
        stops = [
            StopWhen(failed=never, unknown=some, surprising=never),
            StopWhen(failed=never, unknown=never, surprising=some),
        ]
        plan = replace(plan, stop_when=random.choice(stops))
    return plan


def _single_out(random: Random, scene: SeedScene) -> SeedScene:
    """Return the scene; in some, all that goes wrong is that one gateway is ill from the first moment on.

    Its neighbours are well and slow, so that it shows whether they wait for it.
    """
    gateways = scene.plan.gateways
    if len(gateways) < 2 or random.random() < 0.9:
        return scene
    ill = random.choice(gateways).name
    well = tuple(
        entry
        if entry.name == ill
        else replace(entry, limits=replace(entry.limits, rate=random.choice([1.0, 2.0])))
        for entry in gateways
    )
    fixtures = tuple(replace(each, rate=None, expiry=None) for each in scene.fixture.gateways)
    how: list[Illness] = ["502", "refused", "silent"]
    return replace(
        scene.calm_down(),
        plan=replace(
            scene.plan, gateways=well, waves=tuple(replace(wave, sizes=()) for wave in scene.plan.waves)
        ),
        fixture=replace(scene.fixture, gateways=fixtures),
        outages={ill: GatewayOutage(0.0, 2000.0, random.choice(how))},
    )


def _freeze(random: Random) -> ProcessFreeze | None:
    if random.random() < 0.92:
        return None
    return ProcessFreeze(random.uniform(0.0, 10.0), random.choice([1.0, 20.0, 50.0, 900.0]))


def _leave_out(random: Random, names: list[TargetId]) -> tuple[TargetId, ...]:
    if len(names) < 6 or random.random() < 0.9:
        return ()
    return tuple(random.sample(names, random.randint(1, 4)))


def _mislead(random: Random, faults: FaultScenario, names: list[TargetId]) -> FaultScenario:
    """Return the faults with requests that another installation answers, in some scenes."""
    if random.random() < 0.85:
        return faults
    script = dict(faults.script)
    for name in random.sample(names, min(len(names), random.randint(1, 3))):
        script[name] = (random.choice(["elsewhere", "elsewhere", "look:elsewhere"]), *script.get(name, ()))
    return replace(faults, script=script)


def _approve(random: Random, names: list[TargetId]) -> dict[TargetId, StateAtApproval]:
    """Return what a person saw before some runs: all targets deployed, but for some that changed since."""
    if random.random() < 0.9:
        return {}
    return {name: StateAtApproval(state="down" if random.random() < 0.1 else "up") for name in names}


def _choose_preview(random: Random) -> PreviewScene | None:
    if random.random() < 0.85:
        return None
    return PreviewScene(
        hours=72 if random.random() < 0.3 else None,
        is_approved=random.random() < 0.6,
        is_signed=random.random() < 0.5,
    )


def _choose_discover(random: Random) -> DiscoverScene | None:
    if random.random() < 0.88:
        return None
    return DiscoverScene(
        by=random.choice(["all", "all", "name", "environment", "path", "before", "early"]),
        unused=72 if random.random() < 0.25 else None,
    )


def _publish_widely(random: Random, fixture: SimulatorFixture) -> SimulatorFixture:
    """Return the fixture with some front-end APIs of ROMA published in two or three environments."""

    def widen(gateway: RomaFixture) -> RomaFixture:
        names = random.sample(gateway.targets, len(gateway.targets) // 3)
        about = {
            name: BackendFixture(environments=("prod", "test", "stage")[: random.randint(2, 3)])
            for name in names
        }
        return replace(gateway, about={**gateway.about, **about})

    gateways = (each if not isinstance(each, RomaFixture) else widen(each) for each in fixture.gateways)
    return replace(fixture, gateways=tuple(gateways))


def _fill_fronts(number: int, fixture: SimulatorFixture) -> SimulatorFixture:
    """Return the fixture with what hangs on front ends, the calls of all targets, and other revisions."""

    def fill(gateway: AnyFixture) -> AnyFixture:
        if isinstance(gateway, ApinizerFixture):
            return log_traffic(Random(f"traffic of {number} at {gateway.name}"), gateway)
        if isinstance(gateway, RomaFixture):
            hung = hang_things(Random(f"bindings of {number}"), gateway)
            return call_fronts(Random(f"calls of {number}"), hung)
        is_plane = isinstance(gateway, Wso2Fixture)
        return deploy_others(Random(f"others of {number}"), gateway) if is_plane else gateway

    return replace(fixture, gateways=tuple(map(fill, fixture.gateways)))


def _name_logs(random: Random, plan: Plan) -> Plan:
    """Return the plan with the traffic logs of most of its managers, where it asks for the use."""

    def name(gateway: Gateway) -> Gateway:
        if plan.in_use == "ignore" or not isinstance(gateway, Apinizer) or random.random() < 0.2:
            return gateway
        store = ElasticsearchStore(url=gateway.url, index="apinizer-log-apiproxy-*")
        return replace(gateway, usage=UsageSources(elasticsearch=store))

    return replace(plan, gateways=tuple(map(name, plan.gateways)))


def _add_users(fixture: SimulatorFixture, plan: Plan) -> SimulatorFixture:
    """Return the fixture with the users whose logins the plan names."""
    logins = {gateway.name for gateway in plan.gateways if gateway.auth.login or gateway.auth.iam}
    users = (
        SimulatedUser(name="cron", password=PASSWORD, domain="acme"),
        SimulatedUser(name="cron", password=PASSWORD),
    )
    return replace(
        fixture,
        gateways=tuple(
            replace(gateway, users=users) if gateway.name in logins else gateway
            for gateway in fixture.gateways
        ),
    )


def _make_auth(random: Random, name: str, url: str) -> Auth:
    """Most gateways are given a token, some log in for one."""
    reference = CredentialReference(env="UNDEPLOY_SIMULATED")
    if random.random() < 0.7:
        return Auth(token=reference)
    if name == "roma-eu":
        return Auth(iam=IamLogin(url=url, user="cron", domain="acme", password=reference))
    return Auth(login=ManagerLogin(user="cron", password=reference))


def _make_wave(random: Random, index: int) -> Wave:
    part, whole = StepSize(share=random.choice([0.1, 0.5])), StepSize(share=1.0)
    sizes = random.choice(
        [(), (), (StepSize(count=1), whole), (StepSize(count=1), part, whole), (part, whole)]
    )
    return Wave(
        name=f"wave-{index + 1}",
        pause_after=random.choice([None, None, 3.0, 90.0]),
        proceed="ask" if random.random() < 0.1 else "automatic",
        sizes=sizes,
    )


def _make_needs(random: Random, targets: tuple[Target, ...]) -> dict[int, tuple[TargetId, ...]]:
    """Some targets come after others: always after such as stand before them, so that no circle can be."""
    if random.random() < 0.6:
        return {}
    chosen = random.sample(targets[1:], min(len(targets) - 1, random.randint(1, 15)))
    return {
        target.seq: tuple(
            {other.id for other in random.choices(targets[: target.seq - 1], k=random.randint(1, 3))}
        )
        for target in chosen
    }


def _make_acts(
    random: Random, gateways: tuple[Gateway, ...], names: list[TargetId]
) -> tuple[tuple[float, ControlCommand], ...]:
    if random.random() < 0.7:
        return ()
    made: list[Callable[[], ControlCommand]] = [
        PauseRun,
        ContinueRun,
        StopRun,
        lambda: SkipTargets(random.choice([random.choice(names), f"{random.choice(gateways).name}/**"])),
        lambda: SetLimits(random.choice(gateways).name, random.randint(1, 12)),
        lambda: SetLimits(random.choice(gateways).name, rate=random.choice([0.2, 2.0, 30.0])),
        lambda: SetLimits(random.choice(gateways).name, unbounded=True),
    ]
    times = sorted(random.uniform(0.0, 20.0) for _ in range(random.randint(1, 6)))
    return tuple((at, random.choice(made)()) for at in times)


def _make_gateways(random: Random) -> tuple[Gateway, ...]:
    found: list[Gateway] = []
    for name in random.sample(["roma-eu", "apim", "apim-two"], random.randint(1, 3)):
        retry = Retry(attempts=random.randint(1, 6), first=random.choice([0.1, 0.5, 2.0]))
        limits = Limits(
            concurrency=random.randint(1, 6), rate=random.choice([None, None, None, 0.5, 5.0, 50.0])
        )
        park_for = random.choice([600.0, 600.0, 30.0])
        auth = _make_auth(random, name, f"https://{name}.example")
        looks: list[Literal["doubt", "always"]] = ["doubt", "doubt", "always"]
        absences: list[Literal["fail", "ok"]] = ["fail", "ok"]
        look, absent = random.choice(looks), random.choice(absences)
        if name == "roma-eu":
            found.append(
                Roma(
                    name=name,
                    url=f"https://{name}.example",
                    auth=auth,
                    retry=retry,
                    limits=limits,
                    park_for=park_for,
                    look=look,
                    absent=absent,
                    project_id="0123456789abcdef0123456789abcdef",
                    instance_id="f0fa1789",
                    api_version=random.choice(["v1", "v2"]),
                )
            )
        else:
            found.append(
                Apinizer(
                    name=name,
                    url=f"https://{name}.example",
                    auth=auth,
                    retry=retry,
                    limits=limits,
                    park_for=park_for,
                    look=look,
                    absent=absent,
                    timeout=30.0,
                )
            )
    return tuple(found)


def _make_targets(random: Random, gateways: tuple[Gateway, ...], waves: int) -> tuple[Target, ...]:
    targets: list[Target] = []
    # Some plans are large enough for one list to serve as the look at many targets.
    count = random.randint(1, 45) if random.random() < 0.8 else random.randint(90, 160)
    for number in range(count):
        gateway = random.choice(gateways)
        if isinstance(gateway, Roma):
            parts: tuple[str, ...] = (f"api{number:04}",)
        else:
            parts = ("Retail", f"proxy {number // 3}/ü%", f"env{number % 3}")
        name = "/".join([gateway.name, *(part.replace("%", "%25").replace("/", "%2F") for part in parts)])
        wave = number * waves // count
        targets.append(Target(number + 1, TargetId(name), gateway.name, wave, parts))
    return tuple(targets)


def _make_stop_when(random: Random) -> StopWhen:
    if random.random() < 0.7:
        never = Threshold(share=1.0)
        return StopWhen(failed=never, unknown=never, surprising=never)
    return StopWhen(failed=Threshold(count=random.randint(1, 5)))


def _make_roma(random: Random) -> dict[str, object]:
    return {
        "again": random.choice([204, 400, 409]),
        "latency": random.uniform(0.01, 0.3),
        "rate": _make_rate(random),
        "tokens": TOKENS,
        "token_life": random.choice([86_400.0, 86_400.0, 30.0, 3.0]),
        "expiry": _make_expiry(random),
    }


def _make_roma_lists(random: Random, targets: tuple[Target, ...]) -> dict[str, object]:
    """Return how the instance lists its APIs, and in which ways some of these are not like the others."""
    apis = [target.parts[0] for target in targets if len(target.parts) == 1]
    few = random.choice([0.0, 0.0, 0.1, 0.5])
    return {
        "lists": random.choice(["both", "both", "both", "backends", "none"]),
        "longest_page": random.choice([500, 500, 40, 7]),
        "miscount": random.choice([0, 0, 0, 3, 2000]),
        "unlisted": tuple(api for api in apis if random.random() < few),
        "edited": tuple(api for api in apis if random.random() < few),
        "about": {api: _make_backend(random) for api in apis if random.random() < few},
    }


def _make_backend(random: Random) -> BackendFixture:
    return random.choice(
        [
            BackendFixture(environments=()),
            BackendFixture(second_front=True),
            BackendFixture(published="long ago"),
            BackendFixture(modified="2100-01-01T00:00:00+03:00"),
            BackendFixture(published="2100-01-01T00:00:00+03:00"),
        ]
    )


def _make_apinizer(random: Random) -> dict[str, object]:
    return {
        "shape": random.choice(["a", "b"]),
        "errors": random.choice(["old", "new"]),
        "looks": random.random() < 0.7,
        "histories": random.random() < 0.7,
        "pods": random.randint(1, 3),
        "record_flips": random.random() < 0.5,
        "not_loaded": random.random() < 0.5,
        "latency": random.uniform(0.01, 0.5),
        "rate": _make_rate(random),
        "tokens": TOKENS,
        "token_life": random.choice([86_400.0, 86_400.0, 30.0, 3.0]),
        "expiry": _make_expiry(random),
    }


def _make_report(random: Random) -> dict[str, object]:
    """Some users may read the administrator's report; some reports are late, or leave out what they like."""
    names = [f"Retail/proxy {number}/ü%" for number in range(16)]
    return {
        "report": random.choice(["allowed", "allowed", "forbidden", "absent"]),
        "report_lag": random.choice([0.0, 0.0, 0.0, 5.0]),
        "groups": (("Retail", "proxy 0/ü%"),) if random.random() < 0.3 else (),
        "unreported": tuple(random.sample(names, random.choice([0, 0, 3, 12]))),
        "disputed": tuple(random.sample(names, random.choice([0, 0, 3, 12]))),
    }


def _make_rate(random: Random) -> RateLimit | None:
    if random.random() < 0.75:
        return None
    return RateLimit(
        per_second=random.uniform(2, 20), burst=random.randint(1, 5), retry_after=random.random() < 0.7
    )


def _make_expiry(random: Random) -> TokenExpiry | None:
    return TokenExpiry(requests=random.randint(1, 30)) if random.random() < 0.2 else None


def _make_faults(random: Random, number: int, names: list[TargetId]) -> FaultScenario:
    kinds = STORM_FAULTS if random.random() < 0.5 else tuple(random.sample(_UGLY, random.randint(1, 12)))
    storm = FaultStorm(share=random.choice([0.0, 0.1, 0.3, 0.6]), seed=number, kinds=kinds)
    leak = InjectedFault(kind=FaultKind.STATUS, status=500, message=f"cannot resolve {ECHO} here")
    return FaultScenario(storm=storm, script={random.choice(names): (leak, "500", "undeploy:400-after")})


def _make_outages(random: Random, gateways: tuple[Gateway, ...]) -> dict[str, GatewayOutage]:
    """Some gateways are ill for a while, some for good, most never."""
    found = {}
    for gateway in gateways:
        if random.random() < 0.2:
            start = random.choice([0.0, random.uniform(0.0, 10.0)])
            hows: list[Illness] = ["502", "502", "refused", "silent", "login"]
            end = start + random.choice([20.0, 120.0, 700.0, 2000.0])
            found[gateway.name] = GatewayOutage(start, end, random.choice(hows))
    return found


def _make_crashes(random: Random, targets: int) -> tuple[int, ...]:
    if random.random() < 0.4:
        return ()
    return tuple(random.randint(1, 12 + targets * 6) for _ in range(random.randint(1, 3)))


def _make_full_disk(random: Random) -> range:
    if random.random() < 0.85:
        return range(0)
    start = random.randint(1, 150)
    return range(start, start + random.choice([1, 5, 10_000]))
