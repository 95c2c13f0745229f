"""What the simulated gateways are like at first."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.errors import UsageError
from orchestrator.gateways import KINDS
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.model.target import Target, TargetId
from orchestrator.simulator.accounts import User
from orchestrator.simulator.keys import Key
from orchestrator.simulator.platforms import Platforms
from orchestrator.simulator.seed import (
    FAKE_KEYS,
    FAKE_PASSWORD,
    FAKE_SECURITY_TOKEN,
    ApinizerSeed,
    RomaSeed,
    Seed,
)
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
    seed = Seed.from_plan(plan(), targets())

    assert seed.gateways[0] == RomaSeed(name="roma-eu", project_id="p", instance_id="i", targets=("a", "b"))
    assert seed.gateways[1] == ApinizerSeed(name="apim", targets=(("P", "x/y", "test"), ("P", "z", "test")))
    books = Platforms(seed).books()
    assert list(books.targets) == [target.id for target in targets()]
    assert not any(facts.down for facts in books.targets.values())


def test_some_targets_may_be_down_or_missing():
    seed = Seed.from_plan(plan(), targets(), down={"roma-eu/b"}, missing={"apim/P/z/test"})

    assert (seed.gateways[0].targets, seed.gateways[0].down) == (("a",), ("b",))
    assert seed.gateways[1].targets == (("P", "x/y", "test"),)


def test_a_plans_users_have_the_rehearsals_password():
    secret = CredentialReference(env="PASSWORD")
    iam = Auth(iam=IamLogin(url="https://iam", user="u", domain="d", password=secret))

    ours, theirs = Seed.from_plan(
        plan(iam, Auth(login=ManagerLogin(user="me", password=secret))), []
    ).gateways

    assert ours.users == (User(name="u", domain="d", password=FAKE_PASSWORD),)
    assert theirs.users == (User(name="me", password=FAKE_PASSWORD),)


@pytest.mark.parametrize("token", [None, FAKE_SECURITY_TOKEN])
def test_a_plans_access_keys_are_the_rehearsals(token):
    reference = CredentialReference(env="KEY")
    auth = Auth(access_key=reference, secret_key=reference, security_token=reference if token else None)

    ours, _ = Seed.from_plan(plan(auth), []).gateways

    assert ours.keys == (Key(access=FAKE_KEYS.access, secret=FAKE_KEYS.secret, security_token=token),)


def test_a_kind_without_a_simulator_is_refused():
    class Other(Gateway, frozen=True, kw_only=True):
        KIND = "other"

    other = Plan(name="plan", gateways=(Other(name="o", url="https://o", auth=AUTH),), waves=())

    with pytest.raises(UsageError, match="of kind other"):
        Seed.from_plan(other, [])


def test_every_kind_of_gateway_has_a_simulator():
    assert {gateway.__struct_config__.tag for gateway in (RomaSeed, ApinizerSeed)} == KINDS.keys()


def test_settings_go_to_the_gateways_of_their_kind():
    adjusted = Seed(gateways=(roma(), apinizer())).adjusted(
        {"roma": {"again": 400}, "apinizer": {"shape": "b"}}
    )

    assert adjusted == Seed(gateways=(roma(again=400), apinizer(shape="b")))


def test_a_seed_survives_its_json(tmp_path):
    users = (User(name="u", domain="d", password="p", second_factor=True),)
    ours = roma(again=409, users=users, keys=(FAKE_KEYS,), lock_after=2, token_life=3)
    seed = Seed(gateways=(ours, apinizer(looks=False, users=users, expires_in="epoch")))
    path = tmp_path / "seed.json"
    path.write_bytes(msgspec.json.encode(seed))

    assert Seed.from_file(path) == seed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "does not hold a seed"),
        ('{"gateways": [{"kind": "kong"}]}', r"kong.*\$\.gateways"),
        (None, "cannot read"),
    ],
)
def test_a_seed_that_cannot_be_read_says_where(tmp_path, text, said):
    path = tmp_path / "seed.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UsageError, match=said):
        Seed.from_file(path)
