"""What hung on front ends comes back with them, over real sockets: restores, their faults, and kills."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.simulator.books import list_differences
from orchestrator.simulator.faults import FaultStorm, read_fault
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.back import ACCEPT, deployed, restored, undeployed
from tests.support.hanging import ALL, BILLING, CORS, SHOP, SLOW, TWO
from tests.support.stage import Stage, backend, kill, roma_id

pytestmark = pytest.mark.long("runs and restores are processes of their own")

QUICK = "retry: {attempts: 3, first: 5ms, ceiling: 20ms}, timeout: 600ms"
WINDOW = 200
LOSING = 24
"""Targets enough for a share to stop a run before its end."""


def acts(stage: Stage, number: int = 0) -> list[str]:
    """Return the acts of a target's attempts, by the newest report."""
    (target,) = [each for each in stage.report()["targets"] if each["id"] == roma_id(number)]
    return [attempt["act"] for attempt in target["attempts"]]


def differences(stage: Stage, before: Any) -> list[str]:
    return list_differences(before, stage.platform.books())


def binds(stage: Stage) -> tuple[int, int]:
    """Return how many creates arrived, and how many of them were of what was there already."""
    facts = stage.platform.books().targets.values()
    return sum(each.binds for each in facts), sum(each.repeats for each in facts)


@pytest.mark.promise(11)
@pytest.mark.parametrize("created", [200, 201])
def test_all_that_hung_comes_back_and_nothing_is_created_twice(
    staged: Callable[..., Stage], created: int
) -> None:
    about = {backend(0): BackendFixture(environments=TWO, bound=ALL), backend(1): BackendFixture(bound=())}
    stage = staged(3, 0, roma_eu={"about": about, "bound": (SHOP,), "created": created})
    before = stage.platform.books()
    run = undeployed(stage)
    assert len(differences(stage, before)) > 3
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert differences(stage, before) == []
    assert binds(stage) == (len(ALL) * 2 + 1, 0)
    assert stage.outcomes() == dict.fromkeys(stage.ids, "restored")
    assert acts(stage, 1) == ["look", "deploy", "look"]  # nothing hung on it, so nothing is read
    assert acts(stage, 2) == ["look", "deploy", "look", "look", "bind"]
    assert acts(stage).count("bind") == len(ALL) * 2
    again = restored(stage, run)
    assert again.status == 0, again
    assert binds(stage) == (len(ALL) * 2 + 1, 0)
    assert stage.outcomes() == dict.fromkeys(stage.ids, "already_deployed")


@pytest.mark.promise(11)
def test_faults_of_many_reads_are_no_fault_of_one(staged: Callable[..., Stage]) -> None:
    """A front end has dozens of reads: each has its own three looks, or a moderate storm would spend them."""
    about = {backend(number): BackendFixture(environments=TWO, bound=ALL) for number in range(10)}
    stage = staged(10, 0, roma_eu={"about": about})
    before = stage.platform.books()
    # One request at a time: then the storm meets the same reads each time.
    run = undeployed(stage, roma=f"{QUICK}, limits: {{concurrency: 1}}")
    stage.expect(storm=FaultStorm(share=0.1, seed=1, kinds=(read_fault("look:500"),)))
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert differences(stage, before) == []


@pytest.mark.promise(11)
def test_what_the_vendor_has_kept_is_not_created(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0, roma_eu={"bound": ALL, "keeps_bindings": True})
    before = stage.platform.books()
    ended = restored(stage, undeployed(stage))

    assert ended.status == 0, ended
    assert (binds(stage), differences(stage, before)) == ((0, 0), [])


@pytest.mark.parametrize(
    ("faults", "sent"),
    [
        (("bind:500", "bind:500"), 3),
        (("bind:429@1",), 2),
        (("bind:500-after",), 1),
        (("bind:reset-after",), 1),
        (("bind:cut",), 1),
        (("bind:login-page",), 2),
    ],
)
@pytest.mark.promise(7)
@pytest.mark.promise(11)
def test_a_create_in_doubt_is_looked_at_before_it_is_repeated(
    staged: Callable[..., Stage], faults: tuple[str, ...], sent: int
) -> None:
    stage = staged(1, 0, roma_eu={"bound": (SHOP,)})
    before = stage.platform.books()
    run = undeployed(stage, roma=QUICK)
    stage.expect({roma_id(0): faults})
    ended = restored(stage, run)

    assert ended.status == 0, ended
    assert differences(stage, before) == []
    assert binds(stage) == (sent, 0)
    told = "".join(act[0] for act in acts(stage))
    assert "bb" not in told or faults == ("bind:429@1",)  # a 429 did nothing, so no look is needed


@pytest.mark.promise(11)
def test_a_pair_that_is_refused_is_named_and_the_others_come_back(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0, roma_eu={"bound": ALL})
    before = stage.platform.books()
    run = undeployed(stage)
    stage.expect({roma_id(0): ("bind:403",)})
    ended = restored(stage, run)

    assert ended.status == 1, ended
    assert stage.outcomes() == {roma_id(0): "failed"}
    reason = stage.reasons()[roma_id(0)]
    assert reason.startswith("partial: deployed, but without ")
    assert reason.count(" in environment ") == 1
    assert "APIG.1005" in reason
    assert len(differences(stage, before)) == 1
    again = restored(stage, run)
    assert again.status == 0, again
    assert stage.outcomes() == {roma_id(0): "restored"}
    assert differences(stage, before) == []


@pytest.mark.promise(11)
def test_what_could_not_be_read_wants_a_word_and_is_never_called_restored(
    staged: Callable[..., Stage],
) -> None:
    about = {backend(1): BackendFixture(environments=())}
    stage = staged(2, 0, roma_eu={"about": about, "bound": (SHOP, CORS), "forbidden_types": ("plugins",)})
    run = undeployed(stage)
    left = restored(stage, run)
    without = stage.outcomes(), stage.reasons()[roma_id(0)]
    dry = stage.undeploy("restore", run, "--dry-run", *ACCEPT, "--accept", "lost-bindings")
    ended = restored(stage, run, "--accept", "lost-bindings")

    assert (left.status, ended.status) == (1, 1)
    assert without[0] == {roma_id(0): "not_started", roma_id(1): "restored"}
    assert "--accept lost-bindings" in without[1]
    assert "plug-ins: APIG.1005" in without[1]
    assert "with them:  roma-eu: 1 front-end API with 1 authorization of 1 application" in dry.out
    assert stage.outcomes() == {roma_id(0): "failed", roma_id(1): "already_deployed"}
    assert "its plug-ins, which were never read (APIG.1005" in stage.reasons()[roma_id(0)]
    facts = stage.platform.books().targets[roma_id(0)]
    assert (facts.down, facts.binds) == (False, 1)


@pytest.mark.promise(11)
def test_a_loss_that_was_accepted_for_all_stops_no_restore(staged: Callable[..., Stage]) -> None:
    stage = staged(LOSING, 0, roma_eu={"bound": (SHOP, CORS), "forbidden_types": ("plugins",)})
    run = undeployed(stage, top="snapshot: best\nstop_when: {failed: 20%}")
    ended = restored(stage, run, "--accept", "lost-bindings")
    reasons = stage.reasons().values()
    status = stage.undeploy("status", run)

    assert ended.status == 1, ended
    assert not any(facts.down for facts in stage.platform.books().targets.values())
    assert all(reason.startswith("partial: deployed as accepted, without its plug-ins") for reason in reasons)
    assert f"All {LOSING} targets are up again." in status.out, status
    assert "undeploy restore" not in status.out
    assert f"{LOSING} failed (deployed, but not whole)." in ended.err
    assert "no restore brings that back" in ended.err


def hang_widely(count: int) -> dict[str, Any]:
    """Return the fixture of a window: every third target in two environments, each tenth with nothing."""
    about: dict[str, BackendFixture] = {}
    for number in range(count):
        if not number % 10:
            about[backend(number)] = BackendFixture(bound=())
        elif not number % 3:
            narrow = (SHOP, replace(BILLING, environments=TWO[1:]), replace(SLOW, environments=TWO[:1]), CORS)
            about[backend(number)] = BackendFixture(environments=TWO, bound=narrow)
    return {"about": about, "bound": (SHOP, SLOW)}


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(11)
def test_a_window_goes_down_and_comes_back_whole_with_kills_in_between(
    staged: Callable[..., Stage],
) -> None:
    dice = random.Random(12)
    stage = staged(WINDOW, 0, roma_eu=hang_widely(WINDOW), latency=0.01)
    before = stage.platform.books()
    command: tuple[str, ...] = ("run", stage.write_plan(top="snapshot: best"), "--yes")
    _kill_and_go_on(stage, command, dice)
    run = stage.run.name
    assert len(differences(stage, before)) > WINDOW
    stage.assert_intents()

    _kill_and_go_on(stage, ("restore", run, "--yes", *ACCEPT), dice)

    assert differences(stage, before) == []
    assert stage.outcomes() == dict.fromkeys(stage.ids, "restored")
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert binds(stage)[1] == 0


def _kill_and_go_on(stage: Stage, command: tuple[str, ...], dice: random.Random) -> None:
    """Kill a command and its resumes at random instants, then let a resume end it."""
    for _ in range(4):
        before = stage.settled()
        with stage.started(*command) as process:
            stage.wait_for_requests(before + dice.randint(5, 150), process)
            time.sleep(dice.uniform(0.0, 0.02))
            kill(process)
        stage.settled()
        command = ("resume", stage.run.name)
    ended = stage.undeploy(*command)
    assert ended.status == 0, ended
