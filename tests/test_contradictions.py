"""The sides that platforms take in simulated scenes where the contracts leave a choice; who judges them."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.gateways.apinizer import looks, replies, requests
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.http import Reply
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.model.target import Target, TargetId
from orchestrator.rules import retry
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation import play
from tests.simulation.contradictions import CHOSEN, FAULTS, PODS, SHARE, Withdrawal
from tests.simulation.credentials import TOKENS
from tests.simulation.guards import _tells_nothing
from tests.simulation.lanes import check_credentials
from tests.simulation.network import note_answer
from tests.simulation.others import withdraw
from tests.simulation.play import play_seed
from tests.simulation.promises import _is_unshown, is_closed
from tests.simulation.scene import SeedScene, make_scene
from tests.simulation.wire import SessionWire, WireExchange
from tests.simulation.wording import check_words

SIDES = {
    "apinizer": {
        "orphans": 2, "kept": 3, "body": 3, "expires_in": 3, "unknown_project": 2, "closed": 2, "rows": 3,
        "tells_record": 2, "oldest_first": 2, "lists": 2, "bare_proxy": 2, "deployments": 2, "withheld": 2,
        "limit_status": 4, "limit_header": 2, "charset": 2, "denied": 2,
    },
    "roma": {"errors": 4, "limit": 3, "lag": 3, "again": 4, "dialects": 3, "denied": 2},
    "wso2": {"deploy_status": 2},
}  # fmt: skip
"""How many sides a scene may take of each question, by the name of the fixture's key."""

JUDGES = pytest.mark.long("breaks the engine on purpose, and plays a seed until a judge notices")


def a_scene(*targets: Target, reason: str | None = None, **fields: Any) -> SeedScene:
    """A scene of one manager."""
    auth = Auth(token=CredentialReference(env="UNDEPLOY_SIMULATED"))
    gateway = Apinizer(name="apim", url="https://apim.example", auth=auth)
    plan = Plan(name="made-up", reason=reason, gateways=(gateway,), waves=(Wave(name="all"),))
    settings = {"apinizer": {"tokens": TOKENS, **fields}}
    return replace(
        make_scene(1).calm_down(),
        plan=plan,
        targets=targets,
        fixture=SimulatorFixture.from_plan(plan, targets).with_settings(settings),
        skip=(),
        receivers=(),
        jumps=(),
    )


def a_target(**words: Any) -> Target:
    return Target(
        1, TargetId("apim/Retail/petstore/test"), "apim", 0, ("Retail", "petstore", "test"), **words
    )


# --- the draws ------------------------------------------------------------------------------------------


def test_each_side_of_each_question_is_taken_in_some_scene() -> None:
    taken: defaultdict[str, set[Any]] = defaultdict(set)
    for number in range(2_000, 2_800):
        for fixture in make_scene(number).fixture.gateways:
            kind = str(fixture.__struct_config__.tag)
            for key in SIDES.get(kind, ()):
                taken[f"{kind} {key}"].add(getattr(fixture, key))

    assert {name: len(values) for name, values in taken.items()} == {
        f"{kind} {key}": count for kind, keys in SIDES.items() for key, count in keys.items()
    }


def test_each_fault_and_each_word_is_in_some_scene() -> None:
    scenes = [make_scene(number) for number in range(2_000, 2_400)]
    kinds = {kind for scene in scenes if scene.faults.storm for kind in scene.faults.storm.kinds}
    words = {(target.persistent, bool(target.description)) for scene in scenes for target in scene.targets}

    assert {*FAULTS, *PODS} <= kinds
    assert len(words) == 6
    scripted = (fault for scene in scenes for faults in scene.faults.script.values() for fault in faults)
    assert any(getattr(fault, "code", None) == "APIGW.0103" for fault in scripted)
    assert any(scene.withdrawal for scene in scenes)


def test_all_else_in_a_scene_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(1, 60)
    now = [make_scene(number) for number in numbers]
    monkeypatch.setattr("tests.simulation.scene.contradict", lambda _, scene: scene)
    before = [make_scene(number) for number in numbers]

    changed = [number for number, one, other in zip(numbers, now, before, strict=True) if one != other]
    assert 0 < len(changed) < SHARE * 1.5 * len(numbers)
    assert not CHOSEN.intersection(changed)
    for one, other in zip(now, before, strict=True):
        theirs = {"fixture": other.fixture, "targets": other.targets, "faults": other.faults}
        assert replace(one, **theirs, withdrawal=None) == other
        assert [each.parts for each in one.targets] == [each.parts for each in other.targets]


def test_a_project_loses_an_environment_with_all_that_was_there() -> None:
    places = [("test", "one"), ("test", "two"), ("prod", "one")]
    targets = [
        Target(seq, TargetId(f"apim/Retail/{proxy}/{place}"), "apim", 0, ("Retail", proxy, place))
        for seq, (place, proxy) in enumerate(places, start=1)
    ]
    scene = a_scene(*targets, body="reject")
    platforms = SimulatedPlatforms(scene.fixture)
    lost = Withdrawal(1.0, "apim", "test")

    assert [withdraw(platforms, scene, lost, 1.0) for _ in range(2)] == [2, 0]
    books = platforms.books()
    assert [books.targets[target.id].down for target in targets] == [True, True, False]
    assert (books.requests, {facts.down_by for facts in books.targets.values()}) == (0, {0})


# --- the judges -----------------------------------------------------------------------------------------


OURS = '{"description": "CHG-1 [20261130-a1b2]"}'


@pytest.mark.parametrize(("body", "words", "reason"), [
    ("", {}, None),
    (OURS, {}, "CHG-1"),
    (OURS.replace("}", ', "persistent": true}'), {"persistent": True}, "CHG-1"),
    ('{"description": "old", "persistent": false}', {"description": "old", "persistent": False}, "CHG-1"),
    ('{"persistent": true}', {"persistent": True}, None),
])  # fmt: skip
def test_an_undeploy_with_the_words_of_its_plan_is_none_to_tell(
    body: str, words: dict[str, Any], reason: str | None
) -> None:
    assert tell_of_words(body, words, reason) == []


@pytest.mark.parametrize(("body", "words", "reason"), [
    ("", {"persistent": True}, None),
    ('{"persistent": false}', {}, None),
    ('{"persistent": "true"}', {"persistent": True}, None),
    ('{"description": "CHG-1"}', {}, "CHG-1"),
    (OURS, {"description": "old"}, "CHG-1"),
    ("", {}, "CHG-1"),
    ("{}", {}, None),
    ('{"reason": "old"}', {}, None),
])  # fmt: skip
def test_an_undeploy_with_other_words_is_told(body: str, words: dict[str, Any], reason: str | None) -> None:
    assert len(tell_of_words(body, words, reason)) == 1


def tell_of_words(body: str, words: dict[str, Any], reason: str | None) -> list[str]:
    target = a_target(**words)
    wire = SessionWire.begin(Act.UNDEPLOY, 0.0)
    sent = WireExchange(gateway="apim", left=1.0, target=target.id, act=Act.UNDEPLOY, body=body.encode())
    wire.exchanges = [sent]
    return list(check_words(a_scene(target, reason=reason), wire))


@pytest.mark.promise(5)
@pytest.mark.parametrize(("body", "is_told"), [
    (b'{"status": "FAILURE", "resultMessage": "Token is not valid!"}', True),
    (b'{"error": "bad_request", "error_description": "Invalid token"}', True),
    (b'{"error_code": "ROMA.1002", "error_msg": "bad token"}', True),
    (b'{"error_code": "ROMA.1006", "error_msg": "no permission"}', False),
    (b'{"error": "bad_request", "error_description": "User does not have required permission"}', False),
])  # fmt: skip
def test_a_credential_that_a_400_has_rejected_is_not_to_be_used_again(body: bytes, is_told: bool) -> None:
    target = a_target()
    wire = SessionWire.begin(Act.UNDEPLOY, 0.0)
    for left in (1.0, 3.0):
        seen = WireExchange(
            gateway="apim", left=left, came=left + 1.0, target=target.id, act=Act.UNDEPLOY, credential="one"
        )
        note_answer(seen, Reply(400, {}, body, left + 1.0))
        wire.exchanges.append(seen)

    assert (
        any(
            "with a credential that was rejected" in line for line in check_credentials(a_scene(target), wire)
        )
        == is_told
    )


@pytest.mark.promise(6)
@pytest.mark.parametrize(("status", "body", "wait"), [
    (400, b'{"error": "rate_limit_exceeded", "retry_after": 7}', 7.0),
    (403, b'{"error_code": "APIC.0308", "error_msg": "over ratelimit,limit:5,time:2 minute"}', 120.0),
    (429, b'{"status": "FAILURE", "resultMessage": "Rate limit exceeded"}', None),
])  # fmt: skip
def test_a_refusal_to_take_more_is_known_by_its_body(status: int, body: bytes, wait: float | None) -> None:
    seen = WireExchange(gateway="apim", left=1.0, came=2.0, act=Act.UNDEPLOY)
    note_answer(seen, Reply(status, {}, body, 2.0))

    assert (seen.is_refusal_to_take_more, seen.wait, seen.may_be_answer) == (True, wait, False)


def test_a_project_is_closed_to_a_user_by_its_own_name() -> None:
    target = a_target()

    assert is_closed(a_scene(target, closed=("Retail",)), target.id)
    assert not is_closed(a_scene(target, closed=("Other",)), target.id)


# --- an engine that is broken on purpose ----------------------------------------------------------------


def is_caught(told: str, seed: int) -> bool:
    return any(told in line for line in play_seed(seed).broken)


def play_pods(monkeypatch: pytest.MonkeyPatch, *faults: InjectedFault | str) -> str:
    """Play a run in which one of two pods does not obey, and no row names it; return all that is broken."""
    target = a_target()
    scene = a_scene(target, pods=2)
    script: dict[str, tuple[InjectedFault | str, ...]] = {target.id: ("partial", *faults)}
    scene = replace(scene, faults=FaultScenario(script=script))
    return play_scene(monkeypatch, scene)


def play_scene(monkeypatch: pytest.MonkeyPatch, scene: SeedScene) -> str:
    monkeypatch.setattr(play, "make_scene", lambda _: scene)
    return "\n".join(play_seed(1).broken)


UNTOUCHED = InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK)
"""So many looks as this strikes are as they are."""
ONE_IS_OUT_OF_REACH = (replace(UNTOUCHED, times=2), "look:pod-unreached")
ONE_FALLS_SILENT = (replace(UNTOUCHED, times=4), "look:pod-silent")


@pytest.mark.promise(3)
@pytest.mark.parametrize("faults", [ONE_IS_OUT_OF_REACH, ONE_FALLS_SILENT])
def test_a_pod_that_is_out_of_reach_makes_nothing_of_its_target(
    monkeypatch: pytest.MonkeyPatch, faults: tuple[InjectedFault | str, ...]
) -> None:
    assert play_pods(monkeypatch, *faults) == ""


@pytest.mark.promise(3)
def test_a_pod_out_of_reach_that_counts_as_one_that_obeyed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_count_unreached", lambda *_: 0)

    assert "promise 3" in play_pods(monkeypatch, *ONE_IS_OUT_OF_REACH)


@pytest.mark.promise(3)
def test_pods_that_a_look_saw_and_the_next_one_forgets_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_remember_pods", lambda history, _: history)

    assert "promise 3" in play_pods(monkeypatch, *ONE_FALLS_SILENT)


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("harm", "shape", "status", "is_excused"),
    [
        # A reply that says false wants the word of each pod that is known; one that was lost says nothing.
        ("unreached", "a", 200, False),
        ("unreached", "b", 400, False),
        ("unreached", "b", None, True),
        ("unreached", "b", 500, True),
        # A pod that a look leaves out is missed only where a reply has named it.
        ("silent", "b", 200, False),
        ("silent", "a", 200, True),
        ("silent", "b", None, True),
        ("none", "a", None, False),
    ],
)
def test_what_excuses_a_pod_that_serves_on(
    harm: str, shape: str, status: int | None, is_excused: bool
) -> None:
    target = a_target()
    scene = a_scene(target, pods=2, shape=shape)
    sent = SimpleNamespace(act=Act.UNDEPLOY, sent=True, status=status)
    report: Any = SimpleNamespace(gateway=target.gateway, evidence="look", attempts=(sent,))

    found = _is_unshown(scene, report, is_silent=harm == "silent", is_unreached=harm == "unreached")

    assert found == is_excused


@pytest.mark.promise(4)
@pytest.mark.parametrize("is_believed", [False, True])
def test_a_closed_project_that_counts_as_gone_is_caught(
    monkeypatch: pytest.MonkeyPatch, is_believed: bool
) -> None:
    scene = a_scene(a_target(), closed=("Retail",))
    (manager,) = scene.plan.gateways
    scene = replace(scene, plan=replace(scene.plan, gateways=(replace(manager, absent="ok"),)))
    if is_believed:
        monkeypatch.setattr(replies, "may_be_hidden", lambda _: False)
        monkeypatch.setattr(looks, "may_be_hidden", lambda _: False)

    told = play_scene(monkeypatch, scene)

    assert ("may not be seen by this user, and is reported as gone" in told) == is_believed
    assert is_believed or told == ""


@JUDGES
@pytest.mark.promise(4)
def test_a_version_that_is_not_served_and_does_not_close_the_lane_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proper = Roma.read

    def refuse(self: Roma, operation: Operation, target: Target, reply: Reply) -> Reading:
        found = proper(self, operation, target, reply)
        return replace(found, verdict=Verdict.REFUSED) if found.verdict is Verdict.ELSEWHERE else found

    monkeypatch.setattr(Roma, "read", refuse)

    assert is_caught("promise 4", 200191)


@pytest.mark.parametrize("harm", ["words", "persistence", "none"])
def test_words_that_a_manager_is_not_told_are_caught(monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    proper = requests._encode_body

    def forget(target: Target, note: str | None) -> bytes | None:
        return None if harm == "words" else proper(replace(target, persistent=None), note)

    if harm != "none":
        monkeypatch.setattr(requests, "_encode_body", forget)
    told = play_scene(monkeypatch, a_scene(a_target(persistent=True), reason="CHG-1"))

    assert ("the plan's words are" in told) == (harm == "words")
    assert ("and the plan says True" in told) == (harm != "none")


@pytest.mark.parametrize(
    ("sides", "tells"),
    [
        ({"looks": False, "histories": False, "deployments": False}, False),
        ({"looks": False, "histories": False}, True),
        ({"looks": False, "deployments": False}, True),
        ({}, True),
    ],
)
def test_a_manager_that_tells_of_no_deployment_shows_no_drift(sides: dict[str, bool], tells: bool) -> None:
    target = a_target()

    assert _tells_nothing(a_scene(target, **sides), target.id) == (not tells)
