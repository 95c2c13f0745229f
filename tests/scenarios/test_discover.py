"""`undeploy discover` as a process, against both simulated platforms over real sockets."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.reading import Act
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.commands import CommandResult
from tests.support.stage import Stage, backend, roma_id

pytestmark = pytest.mark.long("each search is a process of its own")

ROMA_TOKEN, APINIZER_TOKEN = "{token: {env: ROMA_TOKEN}}", "{token: {env: APINIZER_TOKEN}}"
WRONG = "M4rk3r-wrong"


def assert_harmless(stage: Stage) -> None:
    """Nothing but looks, reads and logins has arrived."""
    books = stage.platform.books()
    for entry in stage.list_requests():
        assert entry.act in {None, Act.LOOK}, entry
        assert entry.method == "GET" or entry.login, entry
    for facts in books.gateways.values():
        assert (facts.undeploys, facts.deploys, facts.strays) == (0, 0, 0)
    assert not any(facts.down_by or facts.undeploys or facts.deploys for facts in books.targets.values())
    assert not books.destroyed


def frame(stage: Stage, **options: Any) -> Path:
    """A plan of both gateways without any target."""
    path = stage.write_plan(**options)
    path.write_text(path.read_text().partition("targets:")[0])
    return path


def discover(stage: Stage, *arguments: str | Path, **options: Any) -> CommandResult:
    return stage.undeploy(
        "discover", "--from", frame(stage, **options), "-o", "found.yaml", "--force", *arguments
    )


def found(stage: Stage) -> set[str]:
    """The ids in the plan that was written, which its reader takes as it is."""
    listing = TargetList()
    read_plan(stage.folder / "found.yaml", listing)
    ids = [target.id for target in listing.targets]
    assert len(set(ids)) == len(ids)
    return set(ids)


def text(stage: Stage) -> str:
    return (stage.folder / "found.yaml").read_text("utf-8")


@pytest.mark.timeout(120)
def test_thousands_are_found_in_seconds_and_nothing_was_changed(staged: Callable[..., Stage]) -> None:
    stage = staged(6000, 800)
    began = time.monotonic()
    ended = discover(stage)
    seconds = time.monotonic() - began

    assert ended.status == 0, ended
    assert found(stage) == set(stage.ids)
    assert seconds < 30
    assert stage.platform.books().gateways["roma-eu"].requests == 13
    assert_harmless(stage)
    assert not (stage.folder / ".undeploy").exists()


def test_what_was_found_is_what_a_run_takes_down(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 10)
    discover(stage)
    ended = stage.undeploy("run", "found.yaml", "--yes")

    assert ended.status == 0, ended
    stage.assert_truth()


def test_the_concurrency_of_the_plan_holds(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 40, apim_fields={"latency": 0.01})
    stage.roma = 1  # for the plan to name both
    ended = discover(stage, "apim", apim="limits: {concurrency: 2}")

    assert ended.status == 0, ended
    assert stage.platform.books().gateways["apim"].together == 2
    assert_harmless(stage)


def test_the_rate_of_the_plan_holds(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 12)
    began = time.monotonic()
    ended = discover(stage, apim="limits: {concurrency: 3, rate: 20/s}")

    assert ended.status == 0, ended
    assert time.monotonic() - began > (stage.requests() - 1) / 20
    assert stage.requests() == 4 + 12


def test_a_429_slows_the_search_and_loses_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(1200, 40, rate=RateLimit(per_second=40, burst=5))
    ended = discover(stage)
    facts = stage.platform.books().gateways

    assert ended.status == 0, ended
    assert found(stage) == set(stage.ids)
    assert facts["apim"].busy > 0
    assert facts["apim"].busy < 20
    assert "apim: paused" in ended.err
    assert_harmless(stage)


def test_a_gateway_that_is_down_is_named_and_the_other_is_there(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 5)
    ended = discover(stage, urls={"apim": "http://127.0.0.1:9"}, apim="retry: {first: 1ms}")

    assert ended.status == 1
    assert found(stage) == {roma_id(number) for number in range(20)}
    assert "#   apim: the list of projects: no connection to 127.0.0.1:9: connection refused\n" in text(stage)
    assert_harmless(stage)


def test_a_gateway_that_dies_meanwhile_is_given_up_on_soon(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 60)
    well = InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK, times=10, delay=0.001)
    stage.expect(
        {"apim": (well, InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=500, times=0))}
    )
    ended = discover(stage, apim="retry: {first: 1ms}")

    assert ended.status == 1
    assert "#   apim: all that was not asked yet: 5 reads in a row went unanswered\n" in text(stage)
    assert stage.requests() < 60
    assert_harmless(stage)


def test_passing_faults_are_asked_again(staged: Callable[..., Stage]) -> None:
    stage = staged(700, 20)
    stage.expect(
        {
            "roma-eu": (
                InjectedFault(kind=FaultKind.RESET, on=FaultScope.LOOK),
                InjectedFault(kind=FaultKind.LOGIN_PAGE, on=FaultScope.LOOK),
                InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=502),
            ),
            "apim": tuple(
                InjectedFault(kind=kind, on=FaultScope.LOOK)
                for kind in (FaultKind.CUT, FaultKind.EMPTY, FaultKind.ERROR_PAGE)
            ),
        }
    )
    ended = discover(stage, roma="retry: {first: 1ms}", apim="retry: {first: 1ms}")

    assert ended.status == 0, ended
    assert found(stage) == set(stage.ids)
    assert_harmless(stage)


def test_a_list_that_shifts_loses_nothing(staged: Callable[..., Stage]) -> None:
    """Two backend APIs are deleted while the list is read; of all others none is lost."""
    stage = staged(1800, 0, roma_eu={"shifts": 2})
    ended = discover(stage)

    assert ended.status == 0, ended
    assert {roma_id(number) for number in range(2, 1800)} <= found(stage)
    assert_harmless(stage)


def test_a_list_that_is_partial_is_told(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 0, roma_eu={"miscount": 3})
    ended = discover(stage)

    assert ended.status == 1
    assert "20 were seen, and it says that there are 23" in text(stage)
    assert found(stage) == set(stage.ids)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_roma_by_its_filters(staged: Callable[..., Stage], version: str) -> None:
    about = {
        backend(0): BackendFixture(name="orders-1", path="/orders/1", application="legacy"),
        backend(1): BackendFixture(name="orders-2", path="/orders/2", type="function"),
        backend(2): BackendFixture(name='odd "one": no # comment', application="- legacy"),
        backend(3): BackendFixture(name="old", deployed=0.0),
    }
    stage = staged(10, 0, roma_eu={"about": about})
    wanted = {
        ("--name", "orders-*"): {0, 1},
        ("--regex", "^(old|odd)"): {2, 3},
        ("--path", "/orders/*", "--type", "data"): {0},
        ("--application", "*legacy"): {0, 2},
        ("--type", "function"): {1},
        ("--deployed-before", "2000-01-01"): {3},
    }
    for arguments, numbers in wanted.items():
        ended = discover(stage, *arguments, roma=f"api_version: {version}")

        assert ended.status == 0, ended
        assert found(stage) == {roma_id(number) for number in numbers}
    assert_harmless(stage)


def test_the_history_is_asked_only_of_what_matches_otherwise(staged: Callable[..., Stage]) -> None:
    stage = staged(50, 0, roma_eu={"about": {backend(7): BackendFixture(name="mine", deployed=0.0)}})
    ended = discover(stage, "--name", "mine", "--deployed-before", "2000-01-01")

    assert ended.status == 0, ended
    assert found(stage) == {roma_id(7)}
    assert stage.requests() == 2


def test_waves_of_both_kinds(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    ended = discover(stage, "--group-by", "project")
    plan = read_plan(stage.folder / "found.yaml", TargetList())

    assert ended.status == 0, ended
    assert plan.by_wave == {"Retail": 3, "roma-eu": 3}


def test_a_token_that_ends_meanwhile_costs_one_renewal(staged: Callable[..., Stage]) -> None:
    user = SimulatedUser(name="ops", password="right-one")
    stage = staged(0, 30, apim_fields={"users": (user,), "token_life": 86400.0})
    path = frame(stage)
    path.write_text(
        path.read_text().replace(APINIZER_TOKEN, "{login: {user: ops, password: {env: PASSWORD}}}")
    )
    stage.env["PASSWORD"] = "right-one"
    ended = stage.undeploy("discover", "--from", path, "-o", "found.yaml")

    assert ended.status == 0, ended
    assert stage.platform.books().gateways["apim"].logins == 1
    assert found(stage) == set(stage.ids)
    assert_harmless(stage)


@pytest.mark.promise(5)
def test_a_token_that_was_rejected_closes_the_lane_after_what_was_in_flight(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(0, 60, apim_fields={"expiry": TokenExpiry(requests=20), "tokens": ("rehearsal-token",)})
    ended = discover(stage)
    facts = stage.platform.books().gateways["apim"]

    assert ended.status == 1
    assert "#   apim: all that was not asked yet: denied: the credential was rejected" in text(stage)
    assert facts.denied <= 1 + 3  # the report's, and what was in flight
    assert 0 < len(found(stage)) < 60
    assert_harmless(stage)


@pytest.mark.promise(5)
def test_a_bad_signature_is_sent_once(staged: Callable[..., Stage]) -> None:
    stage = staged(600, 0, roma_eu={"keys": (AccessKey(access="FAKEAK", secret="right-one"),)})
    stage.env |= {"AK": "FAKEAK", "SK": "right-one"}
    path = frame(stage)
    keys = "{access_key: {env: AK}, secret_key: {env: SK}}"
    path.write_text(path.read_text().replace(ROMA_TOKEN, keys))
    good = stage.undeploy("discover", "--from", path, "-o", "found.yaml")
    assert good.status == 0, good
    assert found(stage) == set(stage.ids)

    stage.env["SK"] = WRONG
    before = stage.requests()
    bad = stage.undeploy("discover", "--from", path)

    assert bad.status == 1
    assert stage.requests() == before + 1
    assert stage.platform.books().gateways["roma-eu"].bad_signatures == 1
    assert WRONG not in bad.out + bad.err


def test_the_wrong_version_is_named_with_what_to_change(staged: Callable[..., Stage]) -> None:
    stage = staged(5, 0, roma_eu={"dialects": ("v2",)})
    ended = discover(stage)

    assert ended.status == 1
    assert "try api_version: v2" in text(stage)
    assert "this plan has no targets, and cannot be run" in text(stage)


def test_an_interrupt_leaves_no_file(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 200, apim_fields={"latency": 0.02})
    path = frame(stage)
    with stage.started("discover", "--from", path, "-o", "found.yaml") as process:
        stage.wait_for_requests(10, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 130
    assert sorted(one.name for one in stage.folder.iterdir()) == ["plan.yaml"]
    assert_harmless(stage)


def test_whoever_read_stdout_may_go(staged: Callable[..., Stage]) -> None:
    stage = staged(3000, 0)
    with stage.started("discover", "--from", frame(stage)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "Traceback" not in err
