"""The oracles of simulated runs on made-up wires: each tells what breaks its promise, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.events import GatewayWarned
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act
from orchestrator.model.settings import Auth, CredentialReference, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.books import TargetFacts
from orchestrator.simulator.fixtures import SimulatorFixture
from tests.simulation.contents import CAPABILITIES, ORACLES
from tests.simulation.credentials import TOKENS
from tests.simulation.lanes import (
    check_astray,
    check_credentials,
    check_neighbours,
    check_parking,
    check_pauses,
    check_place,
    check_repeats,
)
from tests.simulation.oracles import WIRE_JUDGES, check_wire
from tests.simulation.patience import SESSIONS, SessionPatience
from tests.simulation.promises import was_seen_late
from tests.simulation.scene import SeedScene, make_scene
from tests.simulation.standing import find_told_secrets
from tests.simulation.stopping import check_stop
from tests.simulation.wire import SessionWire, WireExchange
from tests.support.made_up_runs import STARTED, build_attempt, build_report, build_target

UNDEPLOY, LOOK = Act.UNDEPLOY, Act.LOOK
_REFERENCE = CredentialReference(env="UNDEPLOY_SIMULATED")
TOKEN, KEYS = Auth(token=_REFERENCE), Auth(access_key=_REFERENCE, secret_key=_REFERENCE)

Judge = Callable[[SeedScene, SessionWire], Iterator[str]]


def a_scene(auth: Auth = TOKEN) -> SeedScene:
    """A scene of one instance with twelve APIs in one wave; it parks for a minute."""
    gateway = Roma(
        name="gw",
        url="https://gw.example",
        auth=auth,
        retry=Retry(attempts=5),
        park_for=60.0,
        timeout=10.0,
        project_id="0123456789abcdef0123456789abcdef",
        instance_id="f0fa1789",
    )
    plan = Plan(name="made-up", gateways=(gateway,), waves=(Wave(name="all"),))
    targets = tuple(
        Target(number, TargetId(f"gw/api{number}"), "gw", 0, (f"api{number}",)) for number in range(1, 13)
    )
    fixture = SimulatorFixture.from_plan(plan, targets)
    return replace(make_scene(1), plan=plan, targets=targets, fixture=fixture, needs={}, acts=())


def ask(
    left: float,
    came: float | None,
    status: int | None = 204,
    *,
    api: int = 1,
    act: Act | None = UNDEPLOY,
    **more: object,
) -> WireExchange:
    """An exchange about one API."""
    fields = {"credential": "one"} | more
    return WireExchange(
        gateway="gw", left=left, came=came, status=status, target=f"gw/api{api}", act=act, **fields
    )


def facts_of(name: str, *, down_at: float) -> TargetFacts:
    """What the books hold of a target that the first request took down."""
    return TargetFacts(
        id=name, down=True, undeploys=1, looks=1, deploys=0, down_by=1, down_at=down_at, destroyed=False
    )


def log_in(left: float, came: float, status: int | None = 201, **more: object) -> WireExchange:
    return WireExchange(gateway="gw", left=left, came=came, status=status, login=True, **more)


def wire(*exchanges: WireExchange, **more: object) -> SessionWire:
    made = SessionWire(change=UNDEPLOY, began=0.0, exchanges=list(exchanges), signals=[], resolved=["gw"])
    return replace(made, **more)


def find(judge: Judge, seen: SessionWire, auth: Auth = TOKEN) -> list[str]:
    return list(judge(a_scene(auth), seen))


def five_faults(**more: object) -> list[WireExchange]:
    return [ask(number / 10, 1.0 + number / 10, 502, api=number, **more) for number in range(1, 6)]


@pytest.mark.promise(4)
def test_a_request_after_another_place_has_answered_is_told() -> None:
    strange = ask(1.0, 2.0, 404, is_elsewhere=True)

    assert find(check_place, wire(strange, ask(1.5, 3.0, api=2))) == []
    assert find(check_place, wire(ask(1.0, 2.0, 404, act=LOOK, is_elsewhere=True), ask(3.0, 4.0))) == []
    (told,) = find(check_place, wire(strange, ask(2.5, 3.0, api=2, act=LOOK)))
    assert told.startswith("promise 4: look of gw/api2")


@pytest.mark.promise(5)
def test_a_rejected_credential_that_leaves_again_is_told() -> None:
    rejected = ask(1.0, 2.0, 401)
    renewed = ask(2.1, 3.0, api=3, credential="two")

    assert find(check_credentials, wire(rejected, ask(1.9, 3.0, 401, api=2), renewed)) == []
    (told,) = find(check_credentials, wire(rejected, ask(2.5, 3.0, 401, api=2), renewed))
    assert "with a credential that was rejected" in told


@pytest.mark.promise(5)
def test_a_401_about_a_role_rejects_no_credential() -> None:
    report = ask(1.0, 2.0, 401, act=LOOK, is_report=True)
    # In the words of a bad token the vendor may well mean the role.
    worded = ask(1.0, 2.0, 401, act=LOOK, is_report=True, is_denied=True)
    rejected = ask(1.0, 2.0, 400, act=LOOK, is_report=True, is_denied=True)

    assert find(check_credentials, wire(report, ask(2.5, 3.0))) == []
    assert find(check_credentials, wire(worded, ask(2.5, 3.0))) == []
    assert "with a credential that was rejected" in find(check_credentials, wire(rejected, ask(2.5, 3.0)))[0]


@pytest.mark.promise(5)
def test_a_reference_that_is_read_for_each_401_is_told() -> None:
    rejected = [ask(1.0, 2.0, 401), ask(1.0, 2.0, 401, api=2)]

    assert find(check_credentials, wire(*rejected, resolved=["gw"] * 2)) == []
    (told,) = find(check_credentials, wire(*rejected, resolved=["gw"] * 3))
    assert told == "promise 5: gw: a credential was read 3 times after 1 rejections"


@pytest.mark.promise(5)
def test_a_renewed_credential_that_was_refused_at_once_and_is_not_the_end_is_told() -> None:
    seen = wire(ask(1.0, 2.0, 401), ask(2.1, 3.0, 401, credential="two"), resolved=["gw"] * 2)

    assert find(check_credentials, seen) == []
    seen.exchanges.append(ask(3.5, 4.0, api=2, credential="three"))
    assert any("refused at once" in told for told in find(check_credentials, seen))


@pytest.mark.promise(5)
def test_logins_side_by_side_without_a_cause_or_after_a_refusal_are_told() -> None:
    good = log_in(0.0, 0.5)

    assert find(check_credentials, wire(good, ask(1.0, 2.0))) == []
    assert "beside another one" in find(check_credentials, wire(good, log_in(0.2, 0.9), ask(1.0, 2.0)))[0]
    refused = log_in(0.0, 0.5, 401, is_login_refused=True)
    assert "after a login was refused" in find(check_credentials, wire(refused, log_in(1.0, 2.0)))[0]
    many = [log_in(float(number), number + 0.5) for number in range(5)]
    assert "5 logins in 4 s" in find(check_credentials, wire(*many))[0]


@pytest.mark.promise(5)
def test_a_request_beside_the_first_signature_is_told() -> None:
    first, after = ask(1.0, 2.0), ask(2.5, 3.0, api=3)

    assert find(check_credentials, wire(first, after), KEYS) == []
    assert find(check_credentials, wire(first, ask(1.5, 2.5, api=2))) == []
    (told,) = find(check_credentials, wire(first, ask(1.5, 2.5, api=2), after), KEYS)
    assert "before its access key was ever let in" in told


@pytest.mark.promise(6)
@pytest.mark.parametrize(("status", "act", "next_act", "is_told"), [
    (429, UNDEPLOY, UNDEPLOY, True),
    (503, UNDEPLOY, LOOK, True),
    (429, LOOK, LOOK, True),
    (429, LOOK, UNDEPLOY, False),
])  # fmt: skip
def test_a_request_within_what_a_gateway_asks_for_is_told(
    status: int, act: Act, next_act: Act, *, is_told: bool
) -> None:
    busy = ask(0.5, 1.0, status, act=act, wait=10.0)

    found = find(check_pauses, wire(busy, ask(10.9, 12.0, api=2, act=next_act)))
    assert [line[:11] for line in found] == ["promise 6: "] * is_told
    assert find(check_pauses, wire(busy, ask(11.0, 12.0, api=2, act=next_act))) == []


@pytest.mark.promise(6)
def test_no_lane_waits_longer_than_park_for() -> None:
    assert find(check_pauses, wire(ask(0.5, 1.0, 429, wait=500.0), ask(61.0, 62.0, api=2))) == []


@pytest.mark.promise(6)
def test_a_request_beside_the_probe_of_a_parked_lane_is_told() -> None:
    probe, other = ask(7.0, 9.0, api=6), ask(8.0, 10.0, 502, api=7)

    assert find(check_parking, wire(*five_faults(), probe, ask(9.5, 10.0, api=7))) == []
    (told,) = find(check_parking, wire(*five_faults(), probe, other))
    assert "gw/api7 at 8.000 left beside the probe" in told
    # Four targets are not five, and an answer between them begins afresh.
    assert find(check_parking, wire(*five_faults()[1:], probe, other)) == []
    answered = ask(0.35, 1.35, api=9)
    assert find(check_parking, wire(*five_faults()[:3], answered, *five_faults()[3:], probe, other)) == []


@pytest.mark.promise(6)
def test_an_undeploy_long_after_its_lane_was_parked_is_told() -> None:
    found = [find(check_parking, wire(*five_faults(), ask(at, at + 1, api=8))) for at in (50.0, 300.0)]

    assert [len(told) for told in found] == [0, 1]


@pytest.mark.promise(6)
def test_a_lane_may_be_given_up_by_an_illness_that_an_unclear_answer_did_not_end() -> None:
    later = [replace(each, left=each.left + 30.0, came=(each.came or 0.0) + 30.0) for each in five_faults()]
    beside = (ask(65.0, 75.0, 502, api=8), ask(66.0, 67.0, 200, api=9, act=LOOK))

    (told,) = find(check_parking, wire(*later, *beside))
    assert told == "promise 6: look of gw/api9 at 66.000 left beside the probe of a parked lane"
    assert find(check_parking, wire(*five_faults(), ask(20.0, 21.0, 200, api=6), *later, *beside)) == []


@pytest.mark.promise(6)
def test_a_restore_s_lane_may_be_parked_by_looks_and_left_ill_by_an_unclear_answer() -> None:
    *four, fifth = five_faults(act=Act.DEPLOY)
    unclear = ask(2.0, 3.0, 302, api=6, act=Act.DEPLOY)
    later = [replace(each, left=each.left + 30.0, came=(each.came or 0.0) + 30.0) for each in (*four, fifth)]
    beside = (ask(65.0, 75.0, 502, api=8, act=Act.DEPLOY), ask(66.0, 67.0, 200, api=9, act=LOOK))

    def find_told(fault: WireExchange) -> list[str]:
        return find(check_parking, wire(*four, fault, unclear, *later, *beside, change=Act.DEPLOY))

    looked = replace(fifth, act=LOOK)
    assert find_told(looked) == find_told(fifth) == []
    # Four targets are not five, and this lane was well until the later faults.
    (told,) = find_told(replace(looked, target=four[0].target))
    assert told == "promise 6: look of gw/api9 at 66.000 left beside the probe of a parked lane"


@pytest.mark.promise(6)
def test_a_lane_that_stands_still_though_it_is_well_is_told() -> None:
    begins, late = ask(1.0, 2.0), ask(60.0, 61.0, api=2)

    assert find(check_neighbours, wire(begins, ask(30.0, 31.0, api=2), late)) == []
    (told,) = find(check_neighbours, wire(begins, late))
    assert told == "promise 6: undeploy of gw/api2 at 60.000 was left for 58 s by a lane that is well"
    # It may wait after a fault of its own, and for an exchange that takes long.
    assert find(check_neighbours, wire(ask(1.0, 2.0, 502), late)) == []
    assert find(check_neighbours, wire(begins, ask(1.0, 58.0, act=LOOK), late)) == []


@pytest.mark.promise(6)
def test_a_wave_has_not_begun_where_a_look_of_an_earlier_one_tells_of_its_target() -> None:
    scene, names = a_scene(), (("x", "env0"), ("x", "env1"), ("y", "env1"))
    scene = replace(
        scene,
        plan=replace(scene.plan, waves=(Wave(name="first"), Wave(name="second"))),
        targets=tuple(
            Target(at + 1, TargetId(f"gw/api{at}"), "gw", min(at, 1), name) for at, name in enumerate(names)
        ),
    )
    late = ask(60.0, 61.0, api=2)

    assert list(check_neighbours(scene, wire(ask(1.0, 2.0, act=LOOK, api=1), late))) == []
    assert list(check_neighbours(scene, wire(ask(1.0, 2.0, api=1), late))) != []


@pytest.mark.promise(7)
def test_more_repeats_than_a_gateway_s_budget_are_told() -> None:
    def storm(repeats: int) -> SessionWire:
        return wire(ask(0.0, 0.1, 500), *(ask(0.2, 0.3, 500) for _ in range(repeats)))

    assert find(check_repeats, storm(50)) == []
    assert find(check_repeats, storm(60)) == ["promise 7: gw got 60 repeats in 0 s"]


@pytest.mark.promise(8)
@pytest.mark.promise(7)
def test_what_leaves_after_an_interrupt_or_long_after_the_window_is_told() -> None:
    looked = ask(40.0, 41.0, act=LOOK)

    assert find(check_stop, wire(ask(1.0, 9.0), signals=[2.0])) == []
    assert "promise 8" in find(check_stop, wire(looked, signals=[39.9, 45.0]))[0]
    assert find(check_stop, wire(looked, closes=12.0)) == []
    assert "promise 7" in find(check_stop, wire(looked, closes=5.0))[0]


@pytest.mark.promise(9)
def test_a_request_to_another_host_is_told() -> None:
    assert find(check_astray, wire(ask(1.0, 2.0))) == []
    assert "promise 9" in find(check_astray, wire(ask(1.0, 2.0, is_astray=True)))[0]


@pytest.mark.promise(9)
def test_an_event_with_a_credential_is_told() -> None:
    told = GatewayWarned(at=1.0, gateway="gw", text=f"the token is {TOKENS[0]}")

    assert list(find_told_secrets(told)) == ["promise 9: an event GatewayWarned holds a credential"]
    assert list(find_told_secrets(replace(told, text="the token is •••"))) == []


def test_a_quiet_wire_breaks_nothing_and_each_judge_is_asked() -> None:
    assert list(check_wire(a_scene(), wire(ask(1.0, 2.0), ask(1.5, 3.0, api=2)))) == []
    assert len(set(WIRE_JUDGES)) == len(WIRE_JUDGES) == 10


# --- the end of a run -----------------------------------------------------------------------------------


def play_sessions(targets: int, stop_rule: str | None, *, ends: int) -> int:
    """Return how many sessions a run is given, each of which ends so many of its targets."""
    patience = SessionPatience(targets)
    for played in patience.list_sessions():
        left = targets - played * ends
        if left <= 0:
            return played
        patience.note_end(replace(build_report(not_started=left), stop_rule=stop_rule))
    return played


def test_a_run_that_a_rule_stops_at_every_second_target_may_go_on_to_its_end() -> None:
    fired = "failed: 2 in the run, limit 1"

    assert play_sessions(202, fired, ends=2) == 101
    assert play_sessions(202, None, ends=2) == SESSIONS
    assert play_sessions(202, fired, ends=0) == SESSIONS


@pytest.mark.parametrize(("looked", "is_late"), [(1.0, True), (5.9, True), (6.1, False)])
def test_a_list_lags_behind_the_undeploy_that_took_its_target_down(looked: float, is_late: bool) -> None:
    scene = a_scene()
    (fixture,) = scene.fixture.gateways
    slow = replace(scene, fixture=replace(scene.fixture, gateways=(replace(fixture, lag=5.0),)), jumps=())
    target = build_target(
        "gw/api1",
        Outcome.NOT_STARTED,
        "wrong_place: APIG.3083",
        gateway="gw",
        attempts=(
            build_attempt(1, 302),
            build_attempt(2, 200, act=LOOK, after=looked),
            build_attempt(3, 503, after=8.0),
        ),
    )
    down = facts_of("gw/api1", down_at=STARTED.timestamp())

    assert was_seen_late(slow, target, down) is is_late
    assert not was_seen_late(scene, target, down)


# --- the contents, as docs/trust.md tells them ----------------------------------------------------------


def test_each_promise_has_an_oracle() -> None:
    assert list(ORACLES) == list(range(1, 12))


def test_each_capability_is_in_some_scene() -> None:
    scenes = [make_scene(seed) for seed in range(1, 41)]

    missing = [each.name for each in CAPABILITIES if not any(map(each.is_in, scenes))]
    assert missing == []
