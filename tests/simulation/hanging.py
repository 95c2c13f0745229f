"""What hangs on the front ends of a scene, who calls them, and in which ways an instance tells of both."""

from __future__ import annotations

from random import Random
from typing import Any, Literal, get_args

from msgspec.structs import replace

from orchestrator.model.plan import CallBound
from orchestrator.simulator.apinizer_fixture import (
    ApinizerFixture,
    GroupFixture,
    ProxyFixture,
    TrafficLogFixture,
)
from orchestrator.simulator.bound_types import BoundFixture, TypeKey
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture

_TYPES: tuple[TypeKey, ...] = get_args(TypeKey)
_NAMES: dict[TypeKey, tuple[str, ...]] = {
    "applications": ("web-shop", "billing", "warehouse", "reports"),
    "throttles": ("100-a-minute", "10-a-second"),
    "acls": ("offices", "partners"),
    "signs": ("backend-signature",),
    "plugins": ("cross-origin", "break-circuit"),
}
FOREIGN = ("billing", "partners")
"""Things that belong to another user in some scenes."""


def hang_things(random: Random, gateway: RomaFixture) -> RomaFixture:
    """Return an instance on whose front ends things hang, as its user may see and bind them, or not."""
    share = random.choice([0.0, 0.3, 1.0, 1.0])
    about = dict(gateway.about)
    for name in gateway.targets:
        if random.random() < share:
            own = about.get(name, BackendFixture())
            about[name] = replace(own, **_hang(random, own))
    return replace(
        gateway,
        about=about,
        keeps_bindings=random.random() < 0.1,
        created=random.choice([200, 201]),
        bound_again=random.choice(["refuse", "skip", "accept"]),
        names_pairs=random.random() < 0.8,
        forbidden_types=_choose_types(random, 0.15),
        without_types=_choose_types(random, 0.1),
        foreign=FOREIGN if random.random() < 0.15 else (),
    )


def _hang(random: Random, about: BackendFixture) -> dict[str, Any]:
    environments = about.environments or ()
    bound = tuple(
        _make_thing(random, key, name, environments)
        for key in _TYPES
        for name in _NAMES[key]
        if random.random() < 0.4
    )
    second = bound[:2] if about.second_front and random.random() < 0.5 else ()
    return {"bound": bound, "second_bound": tuple(replace(each, environments=None) for each in second)}


def _make_thing(random: Random, key: TypeKey, name: str, environments: tuple[str, ...]) -> BoundFixture:
    places = None
    if environments and random.random() < 0.4:
        places = tuple(random.sample(environments, random.randint(1, len(environments))))
    if key != "applications" or random.random() < 0.5:
        return BoundFixture(type=key, name=name, environments=places)
    return BoundFixture(
        type=key,
        name=name,
        environments=places,
        tunnel=random.choice(["NORMAL", "GREEN"]),
        whitelist=random.choice([(), ("192.0.2.0/24", "198.51.100.7")]),
        blacklist=random.choice([(), ("203.0.113.9",)]),
        visit=random.choice(["", "warehouse-7"]),
    )


def _choose_types(random: Random, share: float) -> tuple[TypeKey, ...]:
    return tuple(random.sample(_TYPES, random.randint(1, 2))) if random.random() < share else ()


def call_fronts(random: Random, gateway: RomaFixture) -> RomaFixture:
    """Return an instance whose front ends were called, and that tells of it to its user, or does not."""
    share = random.choice([0.0, 0.2, 0.7])
    about = dict(gateway.about)
    for name in gateway.targets:
        if random.random() < share:
            calls = ((random.uniform(0.5, 30.0), random.randint(1, 9)), (100.0, 50))
            auth_type = random.choice(["APP", "APP", "NONE"])
            about[name] = replace(about.get(name, BackendFixture()), calls=calls, auth_type=auth_type)
    return replace(
        gateway,
        about=about,
        statistics=random.choice(["user", "user", "owner", "owner", "forbidden", "absent"]),
        sums_instance=random.random() < 0.3,
        tells_quiet_hours=random.random() < 0.8,
    )


def make_access(random: Random) -> dict[str, object]:
    """Return who may call some proxies of an Apinizer, and of whom its reports tell."""
    names = [f"Retail/proxy {number}/ü%" for number in range(16)]
    about = {name: ProxyFixture(callers=("web-shop", "billing")) for name in random.sample(names, 5)}
    members = GroupFixture(members=tuple(name.partition("/")[2] for name in names[:3]))
    return {
        "access": random.choice(["allowed", "forbidden", "absent"]),
        "tells_ids": random.random() < 0.5,
        "about": about,
        "about_groups": {names[0]: members},
    }


def log_traffic(random: Random, gateway: ApinizerFixture) -> ApinizerFixture:
    """Return a manager whose proxies were called, with a traffic log that tells of it, or does not."""
    share = random.choice([0.0, 0.2, 0.7])
    # Later than the newest record of a log that is dead, and before the oldest one of a young log.
    dead, young = random.choice([(0.0, 400.0), (0.0, 400.0), (0.0, 400.0), (30.0, 400.0), (0.0, 40.0)])
    calls = {
        "/".join(place): ((random.uniform(dead + 0.5, dead + 30.0), random.randint(1, 9)),)
        for place in gateway.targets
        if random.random() < share
    }
    log = TrafficLogFixture(calls=calls, quiet=dead, begins=young)
    return replace(gateway, traffic_log=log if random.random() < 0.9 else None)


def choose_gate(random: Random) -> tuple[Literal["ignore", "warn", "refuse"], CallBound]:
    """Return how a plan takes targets that are in use: most do not ask."""
    gates: list[Literal["ignore", "warn", "refuse"]] = ["ignore", "warn", "refuse"]
    return random.choices(gates, (7, 1, 2))[0], CallBound(calls=random.choice([0, 0, 5]))
