"""What hangs on the front-end APIs of a simulated ROMA Connect: lost with them, and made again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.simulator.books import list_differences
from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.simulator.test_samples import compare
from tests.support.simulated import BACKEND, PLACE, SimulatedClient, document, hang_widely, roma, status

SHOP = BoundFixture(
    type="applications",
    name="web-shop",
    tunnel="GREEN",
    whitelist=("192.0.2.0/24", "198.51.100.7"),
    blacklist=("203.0.113.9",),
    visit="warehouse-7",
)
THROTTLE = BoundFixture(type="throttles", name="100-a-minute")
ACL = BoundFixture(type="acls", name="offices", environments=("b",))
SIGN = BoundFixture(type="signs", name="backend-signature")
PLUGIN = BoundFixture(type="plugins", name="cross-origin")
ALL = (SHOP, THROTTLE, ACL, SIGN, PLUGIN)
DEPLOY = {"auth_type": "APP", "group_id": "g", "env_id": "a", "protocol": "HTTPS"}
UNDER = f"/v2/{PLACE}"

FRONT_READS = {
    "applications": "app-auths/binded-apps?api_id={front}&env_id={env}",
    "throttles": "throttle-bindings/binded-throttles?api_id={front}&env_id={env}",
    "acls": "acl-bindings/binded-acls?api_id={front}&env_id={env}",
    "signs": "sign-bindings/binded-signs?api_id={front}&env_id={env}",
    "plugins": "apis/{front}/attached-plugins?env_id={env}",
}
OWNER_READS = {
    "applications": "app-auths/binded-apis?app_id={owner}",
    "throttles": "throttle-bindings/binded-apis?throttle_id={owner}",
    "acls": "acl-bindings/binded-apis?acl_id={owner}",
    "signs": "sign-bindings/binded-apis?sign_id={owner}",
    "plugins": "plugins/{owner}/attached-apis",
}
LISTS = {
    "applications": ("auths", "auths", "app_id"),
    "throttles": ("throttles", "apis", "id"),
    "acls": ("acls", "apis", "acl_id"),
    "signs": ("bindings", "bindings", "sign_id"),
    "plugins": ("plugins", "apis", "plugin_id"),
}
"""The lists of both sides, and the key of the thing's id in the first one."""
OWNERS = dict.fromkeys(FRONT_READS, "") | {"applications": "apps"}


def client(**fields: Any) -> SimulatedClient:
    about = {BACKEND: BackendFixture(environments=("a", "b"))}
    return SimulatedClient(roma(**{"bound": ALL, "about": about} | fields))


def ask(of: SimulatedClient, path: str) -> Any:
    return document(of.ask("GET", f"{UNDER}/{path}"))


def post(of: SimulatedClient, path: str, body: object) -> Any:
    return of.ask("POST", f"{UNDER}/{path}", body)


def front_of(of: SimulatedClient) -> dict[str, Any]:
    (front,) = ask(of, "apis")["apis"]
    return front


def undeploy(of: SimulatedClient) -> None:
    assert status(of.ask("POST", f"{UNDER}/livedata-apis/{BACKEND}/undeploy")) == 204


def deploy(of: SimulatedClient) -> dict[str, Any]:
    post(of, f"livedata-apis/{BACKEND}/deploy", DEPLOY)
    post(of, "apis/action", {"action": "online", "api_id": front_of(of)["id"], "env_id": "b"})
    return front_of(of)


def list_creates(front: dict[str, Any], thing: BoundFixture, environment: str) -> tuple[str, object]:
    """Return the path and the body that hang one thing on a front-end API."""
    place = front["run_env_id"].split("|").index(environment)
    publication = front["publish_id"].split("|")[place]
    match thing.type:
        case "applications":
            pair = {"api_id": front["id"], "app_id": thing.id}
            return "app-auths", {
                "env_id": environment,
                "app_ids": [thing.id],
                "api_ids": [front["id"]],
                "auth_tunnel": thing.tunnel,
                "auth_whitelist": thing.whitelist,
                "auth_blacklist": thing.blacklist,
                "visit_params": [{**pair, "visit_param": thing.visit}],
            }
        case "plugins":
            wish = {"env_id": environment, "plugin_ids": [thing.id]}
            return f"apis/{front['id']}/plugins/attach", wish
        case "throttles":
            return "throttle-bindings", {"strategy_id": thing.id, "publish_ids": [publication]}
        case "acls":
            return "acl-bindings", {"acl_id": thing.id, "publish_ids": [publication]}
        case "signs":
            return "sign-bindings", {"sign_id": thing.id, "publish_ids": [publication]}


PLACES = [(each, env) for each in ALL for env in each.environments or ("a", "b")]


@pytest.mark.parametrize("thing", ALL, ids=lambda thing: thing.type)
def test_each_side_shows_a_binding_as_the_sample_does(thing):
    shown = client()
    front = front_of(shown)["id"]
    read = FRONT_READS[thing.type].format(front=front, env="b")
    answer = shown.ask("GET", f"{UNDER}/{read}").answer
    compare("roma", f"bound-{thing.type}-200", answer)
    (entry,) = json.loads(answer.body)[LISTS[thing.type][0]]
    assert entry[LISTS[thing.type][2]] == thing.id

    owned = ask(shown, OWNER_READS[thing.type].format(owner=thing.id))

    apis = owned[LISTS[thing.type][1]]
    assert owned["total"] == len(apis) == (1 if thing is ACL else 2)
    assert {api["id" if thing is THROTTLE else "api_id"] for api in apis} == {front}


def test_an_undeploy_takes_all_that_hangs_and_creates_bring_it_back():
    shown = client()
    before = shown.platforms.books()

    undeploy(shown)

    gone = shown.platforms.books().targets[f"roma-eu/{BACKEND}"]
    assert (gone.hanging, len(gone.hung)) == ((), 9)
    front = deploy(shown)
    assert len(list_differences(before, shown.platforms.books())) == 9
    for thing, environment in PLACES:
        made = post(shown, *list_creates(front, thing, environment))
        assert (status(made), made.effect) == (201, RequestEffect.BOUND)
    after = shown.platforms.books()
    assert list_differences(before, after) == []
    facts = after.targets[f"roma-eu/{BACKEND}"]
    assert (facts.binds, facts.repeats, sorted(facts.hung)) == (9, 0, sorted(facts.hanging))


def test_an_instance_may_keep_what_hung_for_the_next_front_end():
    shown = client(keeps_bindings=True)
    before = shown.platforms.books()
    undeploy(shown)

    deploy(shown)

    assert list_differences(before, shown.platforms.books()) == []


def test_an_environment_that_goes_offline_loses_what_hung_there():
    shown = client()
    wish = {"action": "offline", "api_id": front_of(shown)["id"], "env_id": "b"}

    assert status(post(shown, "apis/action", wish)) == 204

    left = shown.platforms.books().targets[f"roma-eu/{BACKEND}"].hanging
    assert {each.partition(":")[0] for each in left} == {"a"}


@pytest.mark.parametrize("thing", ALL, ids=lambda thing: thing.type)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 409), ({"bound_again": "skip"}, 201), ({"bound_again": "accept", "created": 200}, 200)],
)
def test_a_create_of_what_is_there_is_counted(thing, fields, expected):
    shown = client(**fields)

    made = post(shown, *list_creates(front_of(shown), thing, "b"))

    assert (status(made), made.effect) == (expected, RequestEffect.NONE)
    facts = shown.platforms.books().targets[f"roma-eu/{BACKEND}"]
    assert (facts.repeats, sorted(facts.hanging)) == (1, sorted(facts.hung))


def test_an_answer_to_a_create_need_not_name_the_pair():
    shown = client(bound=(), unbound={"applications": ("web-shop",)}, names_pairs=False)

    made = post(shown, *list_creates(front_of(shown), SHOP, "a"))

    assert (status(made), document(made), made.effect) == (201, {}, RequestEffect.BOUND)


@pytest.mark.parametrize("thing", ALL, ids=lambda thing: thing.type)
@pytest.mark.parametrize(
    ("fields", "expected"), [("forbidden_types", (403, "APIG.1005")), ("without_types", (404, "APIGW.0101"))]
)
def test_a_type_may_be_forbidden_or_not_there(thing, fields, expected):
    shown = client(**{fields: (thing.type,)})
    front = front_of(shown)
    paths = [reads[thing.type] for reads in (FRONT_READS, OWNER_READS)] + [OWNERS[thing.type] or thing.type]
    answers = [
        shown.ask("GET", f"{UNDER}/{path.format(front=front['id'], env='b', owner=thing.id)}")
        for path in paths
    ]
    answers.append(post(shown, *list_creates(front, thing, "b")))

    assert {(status(each), document(each)["error_code"]) for each in answers} == {expected}
    assert status(shown.ask("GET", f"{UNDER}/apis")) == 200


@pytest.mark.parametrize("thing", ALL, ids=lambda thing: thing.type)
def test_another_users_things_are_on_no_list_and_cannot_be_bound(thing):
    shown = client(foreign=(thing.name,))

    assert ask(shown, OWNERS[thing.type] or thing.type)["total"] == 0
    undeploy(shown)
    made = post(shown, *list_creates(deploy(shown), thing, "b"))

    assert made.effect is RequestEffect.NONE
    if thing is SHOP:
        (auth,) = document(made)["auths"]
        assert (status(made), auth["auth_result"]["status"]) == (201, "FAILED")
    else:
        assert status(made) == 403


REFUSED = {
    "unknown front end": ("app-auths/binded-apps?api_id=00", 404, "APIG.3002"),
    "no front end": ("app-auths/binded-apps", 400, "APIG.2011"),
    "unknown application": ("app-auths/binded-apis?app_id=00", 404, "APIG.3004"),
    "no application": ("app-auths/binded-apis", 400, "APIG.2011"),
    "too long a page": ("apps?limit=501", 400, "APIG.2011"),
}


@pytest.mark.parametrize(("path", "expected", "code"), REFUSED.values(), ids=REFUSED)
def test_a_read_that_cannot_be_is_refused(path, expected, code):
    answer = client().ask("GET", f"{UNDER}/{path}")

    assert (status(answer), document(answer)["error_code"]) == (expected, code)


def test_policies_hang_on_publications_that_stand_now():
    shown = client()
    front = front_of(shown)
    path, body = list_creates(front, THROTTLE, "b")
    undeploy(shown)

    assert document(post(shown, path, body))["error_code"] == "APIG.3012"
    other = {"strategy_id": "0" * 32, "publish_ids": deploy(shown)["publish_id"].split("|")}
    assert document(post(shown, path, other))["error_code"] == "APIG.3004"
    assert document(post(shown, path, b"{"))["error_code"] == "APIG.2000"


def test_lists_of_bindings_are_paged():
    ids = tuple(f"{index:032x}" for index in range(45))
    shown = SimulatedClient(roma(targets=ids, bound=(PLUGIN,), unbound={"plugins": ("idle",)}))
    path = f"plugins/{PLUGIN.id}/attached-apis"

    pages = [ask(shown, f"{path}?offset={offset}") for offset in (0, 20, 40)]

    assert [(page["size"], page["total"]) for page in pages] == [(20, 45), (20, 45), (5, 45)]
    assert len({api["api_id"] for page in pages for api in page["apis"]}) == 45
    assert ask(shown, "plugins")["total"] == 2
    assert ask(shown, f"{path}?env_id=elsewhere")["total"] == 0


def test_many_backends_share_a_few_things():
    ids = tuple(f"{index:032x}" for index in range(200))
    shown = SimulatedClient(roma(targets=ids, down=(), about=hang_widely(ids)))

    apps, targets = ask(shown, "apps?limit=500"), shown.platforms.books().targets.values()

    assert (apps["total"], sum(app["bind_num"] for app in apps["apps"])) == (57, 800)
    assert sum(len(facts.hanging) for facts in targets) == 200 * 6 + 67 * 6
    assert ask(shown, "apps?limit=2&offset=56")["size"] == 1


def test_a_second_front_end_has_its_own_things_and_no_deploy_brings_it_back():
    two = BackendFixture(second_front=True, second_bound=(PLUGIN,), bound=())
    shown = SimulatedClient(roma(about={BACKEND: two}))
    facts = shown.platforms.books().targets[f"roma-eu/{BACKEND}"]
    assert facts.hanging == facts.hung
    assert facts.hung == ("second front-end API, DEFAULT_ENVIRONMENT_RELEASE_ID: plug-in cross-origin",)
    undeploy(shown)

    post(shown, f"livedata-apis/{BACKEND}/deploy", DEPLOY | {"env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID"})

    assert ask(shown, "apis")["total"] == 1
    assert shown.platforms.books().targets[f"roma-eu/{BACKEND}"].hanging == ()


# The sample, the thing that is bound, and what differs at the instance.
CREATES: dict[str, tuple[BoundFixture, dict[str, Any]]] = {
    "bind-application-201": (SHOP, {}),
    "bind-application-200": (SHOP, {"created": 200}),
    "bind-application-refused": (SHOP, {"foreign": ("web-shop",)}),
    "bind-application-403": (SHOP, {"forbidden_types": ("applications",)}),
    "bind-throttle-201": (THROTTLE, {}),
    "bind-acl-201": (ACL, {}),
    "bind-sign-201": (SIGN, {}),
    "bind-plugin-201": (PLUGIN, {}),
}


@pytest.mark.parametrize("name", CREATES)
def test_a_create_is_answered_as_the_sample_says(name):
    thing, fields = CREATES[name]
    shown = client(bound=(), unbound={thing.type: (thing.name,)}, **fields)

    compare("roma", name, post(shown, *list_creates(front_of(shown), thing, "b")).answer)


@pytest.mark.parametrize(
    ("name", "again"), [("bind-application-409", "refuse"), ("bind-application-skipped", "skip")]
)
def test_a_create_of_what_is_there_is_answered_as_the_sample_says(name, again):
    shown = client(bound_again=again)

    compare("roma", name, post(shown, *list_creates(front_of(shown), SHOP, "b")).answer)
