"""Everything comes back: restores over real sockets, judged by the simulators' own books."""

from __future__ import annotations

import calendar
import random
import signal
import time
import urllib.request
from collections.abc import Callable

import msgspec
import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, FaultStorm, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from tests.support.back import (
    ACCEPT,
    BEST,
    assert_no_blind_deploy,
    assert_told,
    deployed,
    down,
    orders,
    restored,
    snapshots,
    undeployed,
)
from tests.support.stage import CONCURRENCY, Stage, apim_id, backend, kill, roma_id, until

pytestmark = pytest.mark.long("runs and restores are processes of their own")

QUICK = "retry: {attempts: 8, first: 5ms, ceiling: 20ms}, timeout: 600ms"
ALONE = f"limits: {{concurrency: 1}}, {QUICK}"
STORM = (
    "deploy:500",
    "deploy:500-after",
    "deploy:hang",
    "deploy:hang-after",
    "deploy:reset",
    "deploy:reset-after",
    "deploy:garbage",
    "deploy:cut",
    "deploy:503@1",
    "look:500",
    "look:reset",
)


def quick(stage: Stage, *options: str, top: str = BEST) -> str:
    """Run the plan with short waits, and return the run's id."""
    return undeployed(stage, *options, top=top, roma=QUICK, apim=QUICK)


def by_hand(stage: Stage, gateway: str, method: str, path: str, body: bytes = b"") -> None:
    """What somebody else asks of a platform."""
    headers = {"X-Auth-Token": FAKE_TOKEN, "Authorization": f"Bearer {FAKE_TOKEN}"}
    request = urllib.request.Request(stage.platform.urls[gateway] + path, body, headers, method=method)
    urllib.request.urlopen(request).close()


PROXY_0 = "/apiops/projects/Retail/apiProxies/proxy-0/"


@pytest.mark.promise(3)
def test_after_the_maintenance_window_everything_comes_back_in_reverse(staged: Callable[..., Stage]) -> None:
    stage = staged(12, 6)
    run = undeployed(stage, roma=ALONE, apim=ALONE, waves=True)
    went = orders(stage, Act.UNDEPLOY)
    assert down(stage) == set(stage.ids)
    sent = stage.requests()
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert down(stage) == set()
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert orders(stage, Act.DEPLOY) == went[::-1]
    assert_no_blind_deploy(stage, sent, stage.ids)
    assert_told(stage)
    report = stage.report()
    assert (report["run"]["parent"], report["run"]["exit_status"]) == (run, 0)
    assert [wave["name"] for wave in report["waves"]] == ["second", "first"]
    assert "All 18 targets are deployed again." in ended.err
    assert "down" not in ended.err


def test_what_would_not_come_back_the_same_is_left_out_until_it_is_accepted(
    staged: Callable[..., Stage],
) -> None:
    edited = {"edited": (("Retail", "proxy-0", "test"),)}
    stage = staged(3, 2, apim_fields=edited)
    run = quick(stage)
    first = stage.undeploy("restore", run, "--yes")
    reasons, command = (
        stage.reasons(),
        f"undeploy restore {run} --accept new-front-end-id --accept unpublished",
    )
    partly = deployed(stage)
    second = restored(stage, run, "--accept", "unpublished-edits")

    assert first.status == 1, first
    assert partly == {apim_id(1): 1}
    assert reasons[roma_id(0)].startswith("skipped: its front-end API would get a new id; --accept new-front")
    assert "--accept unpublished-edits brings it back" in reasons[apim_id(0)]
    assert command in first.err
    assert second.status == 0, second
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert stage.outcomes()[apim_id(1)] == "already_deployed"
    assert_told(stage)


@pytest.mark.promise(11)
def test_a_front_end_api_is_published_again_as_it_was(staged: Callable[..., Stage]) -> None:
    for version in ("v1", "v2"):
        stage = staged(1, 0)
        run = undeployed(stage, roma=f"api_version: {version}")
        kept = snapshots(stage.run)[roma_id(0)]
        assert restored(stage, run).status == 0

        wish = msgspec.json.decode(kept["deploy"])
        assert {"auth_type", "group_id", "env_id", "protocol", "path", "method"} <= wish.keys()
        (entry,) = [entry for entry in stage.list_requests() if entry.act is Act.DEPLOY]
        assert (backend(0) in entry.path, entry.status) == (version == "v2", 200)


@pytest.mark.promise(11)
def test_without_its_history_a_backend_comes_back_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    look_500 = InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.LOOK)
    stage.expect({roma_id(0): (InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK), look_500, look_500)})
    run = quick(stage)
    assert restored(stage, run).status == 1
    assert "--accept missing-history" in stage.reasons()[roma_id(0)]
    ended = stage.undeploy("restore", run, "--yes", "--accept", "missing-history")

    assert (ended.status, down(stage)) == (1, set()), ended
    assert stage.outcomes() == {roma_id(0): "failed"}
    assert stage.reasons()[roma_id(0)] == (
        "partial: deployed as accepted, without its front-end API, if it had one, and all that hung on it"
    )


def test_who_came_after_another_comes_back_before_it(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 1)
    plan = stage.write_plan(top=BEST, roma=QUICK, apim=QUICK)
    text = plan.read_text().replace(
        "proxies: [proxy-0], environment: test", f"proxy: proxy-0, environment: test, after: ['{roma_id(2)}']"
    )
    plan.write_text(text)
    run = stage.undeploy("run", plan, "--yes").run
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert orders(stage, Act.UNDEPLOY).index(roma_id(2)) < orders(stage, Act.UNDEPLOY).index(apim_id(0))
    acts = [(entry.target, entry.act) for entry in stage.list_requests()]
    assert acts.index((apim_id(0), Act.DEPLOY)) < acts.index((roma_id(2), Act.DEPLOY))
    between = acts[acts.index((apim_id(0), Act.DEPLOY)) : acts.index((roma_id(2), Act.DEPLOY))]
    assert (apim_id(0), Act.LOOK) in between  # it was seen to be up


def test_what_somebody_has_deployed_meanwhile_is_not_deployed_again(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 2)
    run = quick(stage)
    by_hand(stage, "apim", "POST", f"{PROXY_0}environments/test/")
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert stage.outcomes() == dict.fromkeys(stage.ids, "restored") | {apim_id(0): "already_deployed"}


def test_what_was_deleted_meanwhile_fails_in_the_vendor_s_words(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 2)
    run = quick(stage)
    by_hand(stage, "apim", "DELETE", PROXY_0)
    gone = InjectedFault(
        kind=FaultKind.STATUS,
        status=404,
        on=FaultScope.LOOK,
        code="APIG.3084",
        message="The livedata API does not exist",
    )
    stage.expect({roma_id(0): (gone,)})
    ended = restored(stage, run)

    assert ended.status == 1, ended
    reasons = stage.reasons()
    assert reasons[apim_id(0)] == "absent: bad_request ApiProxy with name (proxy-0) is not found!"
    assert reasons[roma_id(0)] == "absent: APIG.3084 The livedata API does not exist"
    assert stage.outcomes()[apim_id(0)] == stage.outcomes()[roma_id(0)] == "failed"
    assert deployed(stage) == {roma_id(1): 1, apim_id(1): 1}


def _killed(stage: Stage, dice: random.Random, *command: str, least: int = 1) -> None:
    """Start a command and kill it after some more requests."""
    before = stage.requests()
    with stage.started(*command) as process:
        stage.wait_for_requests(before + dice.randint(least, least + 40), process)
        time.sleep(dice.uniform(0.0, 0.02))
        kill(process)
    stage.settled()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_again_and_again_exactly_what_went_down_comes_back(
    staged: Callable[..., Stage], seed: int
) -> None:
    """The run is killed, resumed and killed; it is not finished. So is its restore, until that is whole."""
    dice = random.Random(seed)
    gone = tuple(map(backend, range(0, 40, 8)))
    up = tuple(backend(number) for number in range(40) if backend(number) not in gone)
    stage = staged(40, 20, latency=0.02, roma_eu={"targets": up, "down": gone})
    before = down(stage)
    stage.write_plan(top=f"{BEST}\nstop_when: {{surprising: 100%}}", roma=QUICK, apim=QUICK)
    _killed(stage, dice, "run", "plan.yaml", "--yes", least=50)
    for _ in range(2):
        _killed(stage, dice, "resume", "latest")
    run, went = stage.run.name, down(stage) - before
    sent = stage.settled()
    restore = ("restore", run, "--yes", *ACCEPT)
    assert went
    _killed(stage, dice, *restore)
    while stage.run.name == run:
        _killed(stage, dice, *restore)
    for _ in range(2):
        _killed(stage, dice, "resume", stage.run.name)
    ended = stage.undeploy("resume", stage.run.name)

    assert ended.status == 0, ended
    assert down(stage) == before
    assert went <= deployed(stage).keys()
    assert_no_blind_deploy(stage, sent, stage.ids)
    assert_told(stage)
    # What was in doubt is in the restore, and was looked at alone where the undeploy had not arrived.
    assert deployed(stage).keys() == went
    facts = stage.platform.books().gateways
    assert all(facts[name].together <= CONCURRENCY[name] for name in facts)


@pytest.mark.promise(3)
@pytest.mark.promise(7)
@pytest.mark.parametrize("seed", [5, 6])
def test_a_storm_costs_no_blind_deploy_and_no_wrong_word(staged: Callable[..., Stage], seed: int) -> None:
    stage = staged(20, 12)
    run = undeployed(stage, roma=f"{QUICK}, park_for: 20s", apim=f"{QUICK}, park_for: 20s")
    sent = stage.settled()
    stage.expect(storm=FaultStorm(share=0.25, seed=seed, kinds=STORM))
    ended = restored(stage, run, timeout=60.0)

    assert ended.status in (0, 1), ended
    assert_no_blind_deploy(stage, sent, stage.ids)
    assert_told(stage)
    assert max(deployed(stage).values()) <= 8 + 1  # a 503 with Retry-After is not counted
    for target, outcome in stage.outcomes().items():
        assert outcome in ("restored", "already_deployed") or "could not tell" in stage.reasons()[target]


@pytest.mark.parametrize(
    "fault", ["deploy:500-after", "deploy:reset-after", "deploy:hang-after", "deploy:cut"]
)
def test_a_deploy_in_doubt_that_arrived_is_not_sent_again(staged: Callable[..., Stage], fault: str) -> None:
    stage = staged(2, 2)
    run = quick(stage)
    stage.expect({roma_id(0): (fault,), apim_id(0): (fault,)})
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert set(stage.outcomes().values()) == {"restored"}
    assert_told(stage)


@pytest.mark.promise(11)
def test_success_in_words_alone_is_found_out(staged: Callable[..., Stage]) -> None:
    """The vendor's full evidence, and nothing was done: a look shows it, and the deploy is sent once more."""
    stage = staged(1, 1)
    run = quick(stage)
    record = msgspec.json.encode({"id": "1", "ld_api_id": backend(0)}).decode()
    row = {"environmentName": "test", "success": True, "message": "Deployment successful"}
    whole = {"success": True, "deploymentResult": {"success": True, "deploymentResults": [row]}}
    evidence = msgspec.json.encode(whole).decode()
    stage.expect(
        {
            roma_id(0): (
                InjectedFault(kind=FaultKind.STATUS, status=200, on=FaultScope.DEPLOY, body=record),
            ),
            apim_id(0): (
                InjectedFault(kind=FaultKind.STATUS, status=200, on=FaultScope.DEPLOY, body=evidence),
            ),
        }
    )
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert deployed(stage) == {roma_id(0): 2, apim_id(0): 2}
    assert {target["evidence"] for target in stage.report()["targets"]} == {"look"}
    assert down(stage) == set()


@pytest.mark.promise(11)
@pytest.mark.parametrize(("times", "outcome"), [(1, "restored"), (0, "failed")])
def test_every_pod_must_serve_it(staged: Callable[..., Stage], times: int, outcome: str) -> None:
    stage = staged(0, 2)
    run = undeployed(stage, apim="retry: {attempts: 2, first: 5ms, ceiling: 20ms}")
    stage.expect({apim_id(0): (InjectedFault(kind=FaultKind.PARTIAL, on=FaultScope.DEPLOY, times=times),)})
    ended = restored(stage, run)

    assert stage.outcomes() == {apim_id(0): outcome, apim_id(1): "restored"}
    assert deployed(stage) == {apim_id(0): 2, apim_id(1): 1}
    if outcome == "failed":
        assert ended.status == 1
        assert stage.reasons()[apim_id(0)].startswith("partial: not everything obeyed: ")
        assert "1 of 2 pods serve it" in stage.reasons()[apim_id(0)]


def test_a_revision_is_rolled_back_to_by_choice_and_looked_at(staged: Callable[..., Stage]) -> None:
    """The first rollback answers 200 and SUCCESS, and only its text says that the deploy failed."""
    stage = staged(1, 2, apim_fields={"edited": (("Retail", "proxy-0", "test"),)})
    run = quick(stage)
    stage.expect({apim_id(1): ("deploy:partial",)})
    ended = restored(stage, run, "--roll-back")

    assert ended.status == 0, ended
    assert down(stage) == set()
    paths = [
        entry.path for entry in stage.list_requests() if entry.act is Act.DEPLOY and entry.gateway == "apim"
    ]
    assert (
        paths.count(
            "/apiops/projects/Retail/apiProxies/proxy-0/deploy-histories/1/rollback/?environmentName=test"
        )
        == 1
    )
    assert len(paths) == 3
    assert all("/rollback/" in path for path in paths)
    attempts = {target["id"]: target["attempts"] for target in stage.report()["targets"]}
    assert any("but deployment failed" in (one["message"] or "") for one in attempts[apim_id(1)])
    assert_told(stage)


@pytest.mark.promise(3)
@pytest.mark.parametrize("later", ["deploy:login-page", "deploy:hang"])
def test_a_pod_that_did_not_obey_is_not_forgotten_for_a_later_reply_that_says_nothing(
    staged: Callable[..., Stage], later: str
) -> None:
    """Without route-health there is the manager's record alone, and that has said "deployed" ever since the
    first deploy, which no pod obeyed. After the second one it says nothing new."""
    stage = staged(0, 1, apim_fields={"looks": False, "pods": 1})
    run = undeployed(stage, apim="retry: {attempts: 2, first: 5ms, ceiling: 20ms}, timeout: 600ms")
    stage.expect({apim_id(0): ("deploy:partial", later)})
    ended = restored(stage, run, "--accept", "missing-history")

    assert ended.status == 1, ended
    assert down(stage) == {apim_id(0)}
    assert stage.outcomes() == {apim_id(0): "failed"}
    assert stage.reasons()[apim_id(0)].startswith("partial: not everything obeyed: test")


def test_a_revision_that_is_gone_is_no_proxy_that_is_gone(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 1)
    run = quick(stage)
    for method in ("POST", "DELETE") * 4:  # the history keeps six records
        by_hand(stage, "apim", method, f"{PROXY_0}environments/test/")
    ended = restored(stage, run, "--roll-back")

    assert ended.status == 1, ended
    assert stage.reasons()[apim_id(0)].startswith("refused: ")
    assert "revision (1) is not found" in stage.reasons()[apim_id(0)]


@pytest.mark.promise(6)
def test_429_slows_the_whole_lane_of_a_restore(staged: Callable[..., Stage]) -> None:
    stage = staged(8, 0)
    run = quick(stage)
    busy = InjectedFault(kind=FaultKind.STATUS, status=429, on=FaultScope.DEPLOY, retry_after="1")
    stage.expect({roma_id(7): (busy,)})
    ended = restored(stage, run)

    assert ended.status == 0, ended
    deploys = [entry for entry in stage.list_requests() if entry.act is Act.DEPLOY]
    (refused,) = [entry.at for entry in deploys if entry.status == 429]
    later = [entry.at for entry in deploys if entry.at > refused + 0.5]
    assert later
    assert min(later) - refused >= 0.99
    assert {target["outcome"] for target in stage.report()["targets"]} == {"restored"}


def test_a_rate_of_the_plan_holds_for_deploys(staged: Callable[..., Stage]) -> None:
    stage = staged(10, 0)
    run = undeployed(stage, roma="limits: {rate: 10/s, concurrency: 6}")
    assert restored(stage, run).status == 0
    times = [entry.at for entry in stage.list_requests() if entry.act is Act.DEPLOY]

    assert len(times) == 10
    assert max(times) - min(times) >= 0.7


@pytest.mark.promise(5)
def test_a_token_that_ends_costs_one_refresh_and_then_the_lane(staged: Callable[..., Stage]) -> None:
    stage = staged(10, 0)
    run = quick(stage)
    stage.refill(
        roma_eu={"targets": (), "down": tuple(map(backend, range(10))), "expiry": TokenExpiry(requests=6)}
    )
    ended = restored(stage, run)

    assert ended.status == 4, ended
    assert stage.platform.books().gateways["roma-eu"].denied <= CONCURRENCY["roma-eu"] + 1
    assert {entry["name"]: entry["lane"] for entry in stage.report()["gateways"]} == {"roma-eu": "closed"}
    assert_told(stage)


@pytest.mark.promise(6)
def test_a_gateway_that_is_ill_is_parked_and_resume_goes_on_as_a_restore(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(20, 3)
    run = undeployed(stage, roma=f"{QUICK}, park_for: 300ms", apim=QUICK)
    sent = stage.requests()
    stage.expect(
        {"roma-eu": (InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.DEPLOY, times=0),)}
    )
    ended = restored(stage, run)
    parked = stage.report()
    restore = stage.run.name
    latest = stage.undeploy("resume", "latest")  # the run itself, which is coming up again
    stage.expect()
    (stage.folder / "site").write_text("**\n")  # what is protected is to be up: no restore is kept from it
    resumed = stage.undeploy("resume", restore, "--protect-file", "site")

    assert ended.status == 4, ended
    assert {entry["name"]: entry["lane"] for entry in parked["gateways"]} == {
        "roma-eu": "parked",
        "apim": "open",
    }
    assert parked["totals"]["restored"] == 3
    assert latest.status == 2
    assert f"`undeploy resume {restore}` goes on with the restore" in latest.err
    assert resumed.status == 0, resumed
    assert resumed.run == restore
    assert down(stage) == set()
    assert_no_blind_deploy(stage, sent, stage.ids)
    assert_told(stage)
    assert stage.report()["run"]["parent"] == run


@pytest.mark.promise(6)
@pytest.mark.parametrize("counts", [(200, 0), (40, 0), (0, 200)])
def test_a_dead_gateway_is_parked_by_its_looks_and_not_hammered(
    staged: Callable[..., Stage], counts: tuple[int, int]
) -> None:
    """Nothing is deployed without a look, so it is the looks that show that it is ill."""
    stage = staged(*counts)
    keys = "retry: {first: 5ms, ceiling: 20ms}, park_for: 2s"
    run = undeployed(stage, roma=keys, apim=keys)
    sent = stage.requests()
    gateway = "roma-eu" if counts[0] else "apim"
    stage.expect({gateway: (InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.ANY, times=0),)})
    ended = restored(stage, run)
    asked = stage.requests() - sent
    stage.expect()
    resumed = stage.undeploy("resume", stage.run.name)

    assert ended.status == 4, ended
    assert asked < 40
    assert resumed.status == 0, resumed
    assert down(stage) == set()
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)


def test_a_signal_lets_the_deploys_land_and_resume_brings_the_rest(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 6, latency=0.03)
    run = quick(stage)
    sent = stage.requests()
    with stage.started("restore", run, "--yes", *ACCEPT) as process:
        stage.wait_for_requests(sent + 20, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert_told(stage)
    resumed = stage.undeploy("resume", stage.run.name)

    assert resumed.status == 0, resumed
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert_told(stage)


@pytest.mark.promise(8)
def test_what_a_restore_has_brought_back_counts_while_it_goes_on(staged: Callable[..., Stage]) -> None:
    """Where no list spares the look after a deploy it follows at once: a restore that is ended in the middle
    knows what is up, but for what was in flight."""
    stage = staged(0, 20, latency=0.04)
    run = quick(stage)
    with stage.started("restore", run, "--yes") as process:
        until(lambda: sum(deployed(stage).values()) >= 10 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    totals = stage.report()["totals"]

    assert process.returncode == 130
    assert totals["restored"] >= 10 - CONCURRENCY["apim"]
    assert totals["unknown"] <= CONCURRENCY["apim"]


def test_a_large_instance_is_looked_at_by_its_list_the_right_way_round(staged: Callable[..., Stage]) -> None:
    """What the list calls undeployed is what a restore has to do."""
    stage = staged(70, 0)
    run = quick(stage)
    before = stage.platform.books().gateways["roma-eu"].looks
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert down(stage) == set()
    assert set(stage.outcomes().values()) == {"restored"}
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert stage.platform.books().gateways["roma-eu"].looks - before <= 8


def test_a_window_is_heeded_where_one_is_given(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    run = quick(stage)
    sent = stage.requests()
    early = restored(stage, run, "--window", "2199-01-01T00:00:00Z/2199-01-02T00:00:00Z")
    late = restored(stage, run, "--window", "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z")
    both = restored(
        stage, run, "--window", "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z", "--close-at", "02:00"
    )
    assert stage.requests() == sent
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    waited = restored(stage, run, "--window", f"{soon}/{end}", "--wait")

    assert [one.status for one in (early, late, both)] == [2, 2, 2]
    assert "--wait waits for it" in early.err
    assert "give one of them" in both.err
    assert waited.status == 0, waited
    opened = calendar.timegm(time.strptime(soon, "%Y-%m-%dT%H:%M:%SZ"))
    assert min(entry.at for entry in stage.list_requests(sent)) >= opened


def test_only_some_of_it(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    run = quick(stage)
    ended = restored(stage, run, "--only", "apim/**")

    assert ended.status == 0, ended
    assert deployed(stage) == {apim_id(0): 1, apim_id(1): 1}
    assert sorted(stage.outcomes()) == [apim_id(0), apim_id(1)]


def test_a_restore_keeps_away_from_a_run_on_the_same_targets(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    run = quick(stage)
    hang = InjectedFault(kind=FaultKind.HANG, on=FaultScope.LOOK, times=0)
    stage.expect({roma_id(0): (hang,)})
    with stage.started("run", stage.write_plan(top=BEST), "--yes") as process:
        sent = stage.requests()
        stage.wait_for_requests(sent + 1, process)
        refused = restored(stage, run)
        kill(process)
    stage.settled()

    assert refused.status == 2, refused
    assert deployed(stage) == {}


def test_a_restore_leaves_no_doubt_where_the_look_is_not_offered(staged: Callable[..., Stage]) -> None:
    """An old manager: its record is all there is, and a row that said false outweighs it."""
    stage = staged(0, 2, apim_fields={"looks": False})
    run = undeployed(stage, apim="retry: {attempts: 2, first: 5ms}")
    stage.expect({apim_id(0): (InjectedFault(kind=FaultKind.PARTIAL, on=FaultScope.DEPLOY, times=0),)})
    ended = restored(stage, run, "--accept", "missing-history")

    assert ended.status == 1, ended
    assert stage.outcomes() == {apim_id(0): "failed", apim_id(1): "restored"}
    assert "apinizer-worker-" in stage.reasons()[apim_id(0)]


def test_nothing_in_a_wave_stops_the_restore_in_its_own_words(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 2)
    run = undeployed(stage, roma=QUICK, apim=QUICK, waves=True)
    stage.expect(dict.fromkeys((apim_id(0), apim_id(1)), ("deploy:403",)))
    ended = restored(stage, run)

    assert ended.status == 4, ended
    assert "nothing in wave second was restored" in ended.err or "failed: 2 of 2" in ended.err
    assert "undeployed" not in ended.err


def test_no_secret_is_in_a_restore_s_folder(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 1)
    run = quick(stage)
    leak = InjectedFault(
        kind=FaultKind.STATUS, status=500, on=FaultScope.DEPLOY, message=f"cannot resolve {FAKE_TOKEN}"
    )
    stage.expect(dict.fromkeys(stage.ids, (leak,)))
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert FAKE_TOKEN not in ended.out + ended.err
    for path in stage.run.iterdir():
        assert FAKE_TOKEN.encode() not in path.read_bytes(), path


def test_a_ceiling_that_the_gateway_sets_is_found_in_a_restore(staged: Callable[..., Stage]) -> None:
    stage = staged(10, 0)
    run = quick(stage)
    down_now = {"targets": (), "down": tuple(map(backend, range(10)))}
    stage.refill(roma_eu={**down_now, "rate": RateLimit(per_second=12.0, burst=2, retry_after=True)})
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert down(stage) == set()
    assert set(stage.outcomes().values()) == {"restored"}
