"""What the simulated gateways are like at first."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.errors import UsageError
from orchestrator.gateways import KINDS
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import (
    FAKE_KEYS,
    FAKE_PASSWORD,
    FAKE_SECURITY_TOKEN,
    PlannedTargets,
)
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.kinds import FIXTURES
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.support.engine import Scripted
from tests.support.recorded import PARTS, gateway, our_target
from tests.support.simulated import apinizer, roma

AUTH = Auth(token=CredentialReference(env="TOKEN"))


def plan(roma_auth: Auth = AUTH, apinizer_auth: Auth = AUTH) -> Plan:
    url = "https://example.com"
    entries = (
        KINDS["roma"](name="roma-eu", url=url, project_id="p", instance_id="i", auth=roma_auth),
        KINDS["apinizer"](name="apim", url=url, auth=apinizer_auth),
    )
    return Plan(name="plan", gateways=entries, waves=(Wave(name="all"),))


def targets() -> list[Target]:
    parts = [
        ("roma-eu", ("a",)),
        ("roma-eu", ("b",)),
        ("apim", ("P", "x/y", "test")),
        ("apim", ("P", "z", "test")),
    ]
    return [
        Target(seq, TargetId("/".join((gateway, *(one.replace("/", "%2F") for one in own)))), gateway, 0, own)
        for seq, (gateway, own) in enumerate(parts, start=1)
    ]


def test_a_plans_targets_are_deployed_under_their_own_ids():
    fixture = SimulatorFixture.from_plan(plan(), targets())

    assert fixture.gateways[0] == RomaFixture(
        name="roma-eu", project_id="p", instance_id="i", targets=("a", "b")
    )
    assert fixture.gateways[1] == ApinizerFixture(
        name="apim", targets=(("P", "x/y", "test"), ("P", "z", "test"))
    )
    books = SimulatedPlatforms(fixture).books()
    assert list(books.targets) == [target.id for target in targets()]
    assert not any(facts.down for facts in books.targets.values())


def test_some_targets_may_be_down_or_missing():
    fixture = SimulatorFixture.from_plan(plan(), targets(), down={"roma-eu/b"}, missing={"apim/P/z/test"})

    assert (fixture.gateways[0].targets, fixture.gateways[0].down) == (("a",), ("b",))
    assert fixture.gateways[1].targets == (("P", "x/y", "test"),)


def test_a_plans_users_have_the_rehearsals_password():
    secret = CredentialReference(env="PASSWORD")
    iam = Auth(iam=IamLogin(url="https://iam", user="u", domain="d", password=secret))

    ours, theirs = SimulatorFixture.from_plan(
        plan(iam, Auth(login=ManagerLogin(user="me", password=secret))), []
    ).gateways

    assert ours.users == (SimulatedUser(name="u", domain="d", password=FAKE_PASSWORD),)
    assert theirs.users == (SimulatedUser(name="me", password=FAKE_PASSWORD),)


@pytest.mark.parametrize("token", [None, FAKE_SECURITY_TOKEN])
def test_a_plans_access_keys_are_the_rehearsals(token):
    reference = CredentialReference(env="KEY")
    auth = Auth(access_key=reference, secret_key=reference, security_token=reference if token else None)

    ours, _ = SimulatorFixture.from_plan(plan(auth), []).gateways

    assert ours.keys == (AccessKey(access=FAKE_KEYS.access, secret=FAKE_KEYS.secret, security_token=token),)


def test_a_kind_without_a_simulator_is_refused():
    class Other(Scripted, frozen=True, kw_only=True):
        KIND = "other"

    other = Plan(name="plan", gateways=(Other(name="o", url="https://o", auth=AUTH),), waves=())

    with pytest.raises(UsageError, match="of kind other"):
        SimulatorFixture.from_plan(other, [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_gateway_has_a_simulator(kind):
    if kind not in FIXTURES:
        pytest.skip(f"the kind {kind} has no simulator, so it cannot be rehearsed")

    platform = (
        FIXTURES[kind].of_entry(gateway(kind), PlannedTargets([PARTS[kind]], [], [])).make_platform(0.0)
    )
    assert [row.down for row in platform.rows] == [False]
    assert platform.rows[0].id == our_target(kind).id


def test_settings_go_to_the_gateways_of_their_kind():
    adjusted = SimulatorFixture(gateways=(roma(), apinizer())).with_settings(
        {"roma": {"again": 400}, "apinizer": {"shape": "b"}}
    )

    assert adjusted == SimulatorFixture(gateways=(roma(again=400), apinizer(shape="b")))


def test_a_seed_survives_its_json(tmp_path):
    users = (SimulatedUser(name="u", domain="d", password="p", second_factor=True),)
    ours = roma(again=409, users=users, keys=(FAKE_KEYS,), lock_after=2, token_life=3)
    fixture = SimulatorFixture(gateways=(ours, apinizer(looks=False, users=users, expires_in="epoch")))
    path = tmp_path / "seed.json"
    path.write_bytes(msgspec.json.encode(fixture))

    assert SimulatorFixture.from_file(path) == fixture


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "does not hold a seed"),
        ("[" * 5000, "does not hold a seed"),
        (b'{"gateways": [], "note": "\xff"}', "does not hold a seed"),
        ('{"gateways": [], "keep": 1, "keep": 2}', 'the key "keep" twice'),
        ('{"gateways": [{"kind": "kong"}]}', r"kong.*\$\.gateways"),
        (None, "cannot read"),
    ],
)
def test_a_seed_that_cannot_be_read_says_where(tmp_path, text, said):
    path = tmp_path / "seed.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(UsageError, match=said):
        SimulatorFixture.from_file(path)
