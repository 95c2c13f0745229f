"""A front-end API that was published in several environments comes back in all of them, over real sockets."""

from __future__ import annotations

import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest

from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.back import ACCEPT, deployed, restored, snapshots, undeployed
from tests.support.stage import INSTANCE, PROJECT, Stage, backend, kill, roma_id, until

pytestmark = pytest.mark.long("runs and restores are processes of their own")

QUICK = "retry: {attempts: 3, first: 5ms, ceiling: 20ms}, timeout: 600ms"
WANTED = ("a", "b", "c")
APIS = f"/v2/{PROJECT}/apic/instances/{INSTANCE}"


def staged_in(staged: Callable[..., Stage], *environments: str, count: int = 1, **fields: Any) -> Stage:
    """Set a stage whose first backend API is published in these environments."""
    about = {backend(0): BackendFixture(environments=environments)}
    return staged(count, 0, roma_eu={"about": about, **fields})


def published(stage: Stage) -> set[str]:
    """Return the environments in which the first target is published by the books."""
    return set(stage.platform.books().targets[roma_id(0)].published)


def publishes(stage: Stage) -> int:
    return stage.platform.books().targets[roma_id(0)].publishes


def acts(stage: Stage, number: int = 0) -> list[str]:
    """Return the acts of a target's attempts, by the newest report."""
    (target,) = [each for each in stage.report()["targets"] if each["id"] == roma_id(number)]
    return [attempt["act"] for attempt in target["attempts"]]


def by_hand(stage: Stage, method: str, path: str, body: object = None) -> Any:
    """Ask a platform as somebody else would."""
    raw = b"" if body is None else msgspec.json.encode(body)
    url = stage.platform.urls["roma-eu"] + APIS + path
    with urllib.request.urlopen(
        urllib.request.Request(url, raw or None, {"X-Auth-Token": FAKE_TOKEN}, method=method)
    ) as reply:
        return msgspec.json.decode(reply.read() or b"null")


def withdraw(stage: Stage, environment: str) -> None:
    """Take the front-end API of the first target offline in one environment."""
    history = by_hand(stage, "GET", f"/livedata-apis/{backend(0)}/deploy")
    wish = {"action": "offline", "env_id": environment, "api_id": history["histories"][0]["api_id"]}
    by_hand(stage, "POST", "/apis/action", wish)


@pytest.mark.promise(11)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_comes_back_in_every_environment(staged: Callable[..., Stage], version: str) -> None:
    stage = staged_in(staged, *WANTED, count=2)
    run = undeployed(stage, roma=f"api_version: {version}")
    assert published(stage) == set()
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert published(stage) == set(WANTED)
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert acts(stage) == ["look", "deploy", "look", "look", "publish", "publish", "look"]
    assert acts(stage, 1) == ["look", "deploy", "look"]  # one environment costs no more than before
    report = stage.report()
    assert stage.outcomes() == dict.fromkeys(stage.ids, "restored")
    assert report["totals"]["retries"] == 0
    assert report["totals"]["requests"] == 10


@pytest.mark.promise(11)
def test_an_environment_that_refuses_is_named(staged: Callable[..., Stage]) -> None:
    stage = staged_in(staged, *WANTED)
    run = undeployed(stage, roma=QUICK)
    stage.expect({roma_id(0): ("publish:403",)})
    ended = restored(stage, run)

    assert ended.status == 1, ended
    assert stage.outcomes() == {roma_id(0): "failed"}
    assert stage.reasons()[roma_id(0)] == (
        "partial: deployed, but without environment b (APIG.1005 No permissions to request this method)"
    )
    assert published(stage) == {"a", "c"}
    assert publishes(stage) == 2


@pytest.mark.parametrize(
    ("faults", "sent"),
    [
        (("publish:500", "publish:500"), 3),
        (("publish:429@1",), 2),
        (("publish:500-after",), 1),
        (("publish:reset-after",), 1),
        (("publish:cut",), 1),
        (("publish:400-after",), 1),
        (("publish:login-page",), 2),
        (("deploy:reset-after",), 1),
        (("deploy:cut",), 1),
    ],
)
@pytest.mark.promise(7)
def test_a_publish_in_doubt_is_looked_at_before_it_is_repeated(
    staged: Callable[..., Stage], faults: tuple[str, ...], sent: int
) -> None:
    stage = staged_in(staged, "a", "b")
    run = undeployed(stage, roma=QUICK)
    stage.expect({roma_id(0): faults})
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert published(stage) == {"a", "b"}
    assert (deployed(stage), publishes(stage)) == ({roma_id(0): 1}, sent)
    told = "".join(act[0] for act in acts(stage))
    assert "pp" not in told or faults == ("publish:429@1",)  # a 429 did nothing, so no look is needed


@pytest.mark.promise(7)
def test_each_publish_has_attempts_of_its_own(staged: Callable[..., Stage]) -> None:
    stage = staged_in(staged, *WANTED)
    run = undeployed(stage, roma=QUICK)
    stage.expect({roma_id(0): ("deploy:500", "deploy:500", *["publish:500"] * 6)})
    ended = restored(stage, run)

    assert ended.status == 1, ended
    assert publishes(stage) == 6
    reason = stage.reasons()[roma_id(0)]
    assert reason.startswith(
        "partial: deployed, but without environment b (APIG.9999 System error), environment c"
    )
    assert published(stage) == {"a"}
    assert stage.report()["totals"]["retries"] == 2


@pytest.mark.promise(2)
@pytest.mark.parametrize("fault", ["publish:hang", "publish:hang-after"])
def test_killed_in_a_publish_the_restore_goes_on_with_what_is_missing(
    staged: Callable[..., Stage], fault: str
) -> None:
    stage = staged_in(staged, *WANTED)
    run = undeployed(stage)
    stage.expect({roma_id(0): (fault,)})
    with stage.started("restore", run, "--yes", *ACCEPT) as process:
        until(lambda: publishes(stage) == 1)
        kill(process)
    stage.settled()
    ended = stage.undeploy("resume", stage.run.name)

    assert ended.status == 0, ended
    assert published(stage) == set(WANTED)
    assert deployed(stage) == {roma_id(0): 1}
    assert publishes(stage) == (3 if fault == "publish:hang" else 2)
    assert stage.outcomes() == {roma_id(0): "restored"}


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_killed_at_every_request_it_comes_back_whole(staged: Callable[..., Stage]) -> None:
    """The first session is killed once so many requests have arrived; the one that resumes it ends it."""
    for more in range(1, 8):
        stage = staged_in(staged, *WANTED, latency=0.05)
        run = undeployed(stage)
        before = stage.settled()
        with stage.started("restore", run, "--yes", *ACCEPT) as process:
            stage.wait_for_requests(before + more, process)
            kill(process)
        stage.settled()
        ended = stage.undeploy("resume", stage.run.name)

        assert ended.status == 0, (more, ended)
        assert published(stage) == set(WANTED), more
        assert deployed(stage) == {roma_id(0): 1}, more
        assert publishes(stage) == 2, more


@pytest.mark.promise(11)
def test_only_what_is_missing_is_published_again(staged: Callable[..., Stage]) -> None:
    stage = staged_in(staged, "a", "b")
    run = undeployed(stage)
    assert restored(stage, run).status == 0
    again = restored(stage, run)
    whole = stage.outcomes(), acts(stage)
    withdraw(stage, "a")
    before = publishes(stage)
    ended = restored(stage, run)

    assert (again.status, ended.status) == (0, 0)
    assert whole == ({roma_id(0): "already_deployed"}, ["look", "look", "look"])
    assert stage.outcomes() == {roma_id(0): "restored"}
    assert (deployed(stage), publishes(stage) - before) == ({roma_id(0): 1}, 1)
    assert published(stage) == {"a", "b"}


@pytest.mark.promise(11)
def test_a_journal_of_an_earlier_version_is_understood(staged: Callable[..., Stage]) -> None:
    """It kept the environments as the vendor's reads join them, which no deploy accepts."""
    stage = staged_in(staged, *WANTED)
    run = undeployed(stage)
    snapshot = snapshots(stage.run)[roma_id(0)]
    body = msgspec.json.decode(snapshot["deploy"])
    assert body.pop("further_env_ids") == ["b", "c"]
    snapshot["deploy"] = msgspec.json.encode({**body, "env_id": "a|b|c"}).decode()
    with closing(sqlite3.connect(stage.run / "journal.sqlite")) as connection, connection:
        connection.execute("UPDATE snapshot SET value = ?", (msgspec.json.encode(snapshot).decode(),))
    dry = stage.undeploy("restore", run, "--dry-run", *ACCEPT)
    sent = stage.requests()
    ended = restored(stage, run, "--chain")

    assert dry.status == 0, dry
    assert "comes back: 1" in dry.out
    assert stage.requests() > sent
    assert ended.status == 0, ended
    assert published(stage) == set(WANTED)
