"""What one seed means: a plan with its targets, the platforms it meets, and what goes wrong on the way."""

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
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, StepSize, StopWhen, Threshold, Wave
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, Limits, ManagerLogin, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import DEFAULT_STORM, FaultScenario, FaultStorm, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.limits import RateLimit, TokenExpiry

TOKENS = ("first-secret-marker-5f1c", "second-secret-marker-77aa")
"""What the reference gives before and after it was renewed; must be found nowhere afterwards."""

PASSWORD = "login-secret-marker-c3d9"
"""What a gateway with logins is logged in with; must be found nowhere either."""

ECHO = "{credential}"
"""What a vendor's text says where it repeats the credential that it was sent."""

_TWISTS = ("inner-false", "partial", "quoted", "no-result", "empty-rows", "refused-with-result", "no-pods")
_UGLY = (
    *DEFAULT_STORM, *_TWISTS, "hang", "hang-after", "login-page", "error-page", "empty", "redirect",
    "403", "409", "400", "408-after", "504-after", "look:partial", "look:no-pods", "login:503",
    "login:hang", "login:garbage",
)  # fmt: skip


Ill = Literal["502", "refused", "silent", "login"]
"""How: it answers nothing but 502, it cannot be reached, it answers nothing, or nobody can log in."""


class Outage(Struct, frozen=True):
    """From when to when a gateway is ill, in seconds of the whole run."""

    start: float
    end: float
    how: Ill


class Scene(Struct, frozen=True, kw_only=True):
    """One seed's world. Times are seconds."""

    plan: Plan
    targets: tuple[Target, ...]
    seed: SimulatorFixture
    faults: FaultScenario
    unsent: float
    """The share of requests that cannot be sent at all."""
    stuck: float
    """The share of requests that what sends them never comes back from, whatever its own timeouts."""
    stray: float
    """The share of replies that nobody can read, for bytes that nobody has asked for."""
    outages: dict[str, Outage]
    crashes: tuple[int, ...]
    """At which step of each session the process dies; a later session lives."""
    full: range
    """The steps of the first session in which the disk takes nothing."""
    interrupts: tuple[float, ...]
    """When the first session is asked to stop, and when for the second time."""
    closes: float | None
    """When the first session's window closes."""
    needs: dict[int, tuple[TargetId, ...]]
    """What a target comes after, by its number."""
    acts: tuple[tuple[float, ControlCommand], ...]
    """What somebody asks of the first session, and when."""


def make_scene(number: int) -> Scene:
    """Make the world of a seed; the same number always makes the same world."""
    random = Random(number)
    gateways = _gateways(random)
    waves = tuple(_wave(random, index) for index in range(random.randint(1, 3)))
    targets = _targets(random, gateways, len(waves))
    plan = Plan(
        name=f"seed-{number}",
        reason=random.choice([None, "CHG-1042"]),
        gateways=gateways,
        stop_when=_stop_when(random),
        waves=waves,
    )
    names = [target.id for target in targets]
    down = set(random.sample(names, len(names) // 8)) if random.random() < 0.4 else set()
    missing = set(random.sample(names, len(names) // 10)) - down if random.random() < 0.3 else set()
    seed = SimulatorFixture.from_plan(plan, targets, down=down, missing=missing)
    return Scene(
        plan=plan,
        targets=targets,
        seed=_with_users(seed.with_settings({"roma": _roma(random), "apinizer": _apinizer(random)}), plan),
        faults=_faults(random, number, names),
        unsent=random.choice([0.0, 0.0, 0.0, 0.1, 0.3]),
        stuck=random.choice([0.0, 0.0, 0.0, 0.0, 0.02]),
        stray=random.choice([0.0, 0.0, 0.0, 0.05]),
        outages=_outages(random, gateways),
        crashes=_crashes(random, len(targets)),
        full=_full(random),
        interrupts=interrupts(random, 0.25),
        closes=random.uniform(31.0, 60.0) if random.random() < 0.2 else None,
        needs=_needs(random, targets),
        acts=_acts(random, gateways, names),
    )


def interrupts(random: Random, share: float) -> tuple[float, ...]:
    """Return when a session is asked to stop: in a share of the seeds, and in some of them twice."""
    if random.random() >= share:
        return ()
    first = random.uniform(0.0, 5.0)
    return (first, first + random.choice([0.0, 0.5, 3.0])) if random.random() < 0.4 else (first,)


def _with_users(seed: SimulatorFixture, plan: Plan) -> SimulatorFixture:
    """Return the seed with whom the plan's logins are for."""
    logins = {gateway.name for gateway in plan.gateways if not gateway.auth.token}
    users = (
        SimulatedUser(name="cron", password=PASSWORD, domain="acme"),
        SimulatedUser(name="cron", password=PASSWORD),
    )
    return replace(
        seed,
        gateways=tuple(
            replace(gateway, users=users) if gateway.name in logins else gateway for gateway in seed.gateways
        ),
    )


def _auth(random: Random, name: str, url: str) -> Auth:
    """Most gateways are given a token, some log in for one."""
    reference = CredentialReference(env="UNDEPLOY_SIMULATED")
    if random.random() < 0.7:
        return Auth(token=reference)
    if name == "roma-eu":
        return Auth(iam=IamLogin(url=url, user="cron", domain="acme", password=reference))
    return Auth(login=ManagerLogin(user="cron", password=reference))


def _wave(random: Random, index: int) -> Wave:
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


def _needs(random: Random, targets: tuple[Target, ...]) -> dict[int, tuple[TargetId, ...]]:
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


def _acts(
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


def _gateways(random: Random) -> tuple[Gateway, ...]:
    found: list[Gateway] = []
    for name in random.sample(["roma-eu", "apim", "apim-two"], random.randint(1, 3)):
        retry = Retry(attempts=random.randint(1, 6), first=random.choice([0.1, 0.5, 2.0]))
        limits = Limits(
            concurrency=random.randint(1, 6), rate=random.choice([None, None, None, 0.5, 5.0, 50.0])
        )
        park_for = random.choice([600.0, 600.0, 30.0])
        auth = _auth(random, name, f"https://{name}.example")
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


def _targets(random: Random, gateways: tuple[Gateway, ...], waves: int) -> tuple[Target, ...]:
    targets: list[Target] = []
    # Some worlds are large enough for a list to serve as the look for many.
    count = random.randint(1, 45) if random.random() < 0.9 else random.randint(90, 160)
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


def _stop_when(random: Random) -> StopWhen:
    if random.random() < 0.7:
        never = Threshold(share=1.0)
        return StopWhen(failed=never, unknown=never, surprising=never)
    return StopWhen(failed=Threshold(count=random.randint(1, 5)))


def _roma(random: Random) -> dict[str, object]:
    return {
        "again": random.choice([204, 400, 409]),
        "latency": random.uniform(0.01, 0.3),
        "rate": _rate(random),
        "tokens": TOKENS,
        "token_life": random.choice([86_400.0, 86_400.0, 30.0, 3.0]),
        "expiry": _expiry(random),
    }


def _apinizer(random: Random) -> dict[str, object]:
    return {
        "shape": random.choice(["a", "b"]),
        "errors": random.choice(["old", "new"]),
        "looks": random.random() < 0.7,
        "histories": random.random() < 0.7,
        "pods": random.randint(1, 3),
        "record_flips": random.random() < 0.5,
        "not_loaded": random.random() < 0.5,
        "latency": random.uniform(0.01, 0.5),
        "rate": _rate(random),
        "tokens": TOKENS,
        "token_life": random.choice([86_400.0, 86_400.0, 30.0, 3.0]),
        "expiry": _expiry(random),
    }


def _rate(random: Random) -> RateLimit | None:
    if random.random() < 0.75:
        return None
    return RateLimit(
        per_second=random.uniform(2, 20), burst=random.randint(1, 5), retry_after=random.random() < 0.7
    )


def _expiry(random: Random) -> TokenExpiry | None:
    return TokenExpiry(requests=random.randint(1, 30)) if random.random() < 0.2 else None


def _faults(random: Random, number: int, names: list[TargetId]) -> FaultScenario:
    kinds = DEFAULT_STORM if random.random() < 0.5 else tuple(random.sample(_UGLY, random.randint(1, 12)))
    storm = FaultStorm(share=random.choice([0.0, 0.1, 0.3, 0.6]), seed=number, kinds=kinds)
    leak = InjectedFault(kind=FaultKind.STATUS, status=500, message=f"cannot resolve {ECHO} here")
    return FaultScenario(storm=storm, script={random.choice(names): (leak, "500", "undeploy:400-after")})


def _outages(random: Random, gateways: tuple[Gateway, ...]) -> dict[str, Outage]:
    """Some gateways are ill for a while, some for good, most never."""
    found = {}
    for gateway in gateways:
        if random.random() < 0.2:
            start = random.choice([0.0, random.uniform(0.0, 10.0)])
            hows: list[Ill] = ["502", "502", "refused", "silent", "login"]
            end = start + random.choice([20.0, 120.0, 700.0, 2000.0])
            found[gateway.name] = Outage(start, end, random.choice(hows))
    return found


def _crashes(random: Random, targets: int) -> tuple[int, ...]:
    if random.random() < 0.4:
        return ()
    return tuple(random.randint(1, 12 + targets * 6) for _ in range(random.randint(1, 3)))


def _full(random: Random) -> range:
    if random.random() < 0.85:
        return range(0)
    start = random.randint(1, 150)
    return range(start, start + random.choice([1, 5, 10_000]))
