"""What is kept before an undeploy, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.back import BEST, snapshots, undeployed
from tests.support.stage import Stage, apim_id, backend, roma_id
from tests.support.unbound import OTHER_SIDE

pytestmark = pytest.mark.long("runs are processes of their own")

REQUIRED = "snapshot: required"
LOOK_500 = InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.LOOK)
TWICE = (LOOK_500, LOOK_500)
BUSY = InjectedFault(kind=FaultKind.STATUS, status=503, on=FaultScope.LOOK, message="busy")
SPARING = 60
"""Requests that a dead gateway gets at most in ten minutes."""


def test_what_a_restore_needs_is_read_once_and_kept(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    undeployed(stage)

    books, kept = stage.platform.books(), snapshots(stage.run)
    # The third read names a front-end API, and what hangs on one of these is read alone.
    assert sorted(books.targets[roma_id(n)].looks for n in range(3)) == [2, 2, 2 + 5]
    assert books.gateways["roma-eu"].looks == 9 + OTHER_SIDE
    assert {books.targets[apim_id(n)].looks for n in range(2)} == {1}
    assert {name: one["verdict"] for name, one in kept.items()} == dict.fromkeys(stage.ids, "up")
    assert kept[roma_id(0)]["obstacles"] == ["new-front-end-id"]
    assert kept[roma_id(0)]["fronts"][0]["id"]
    assert '"deploy_front_api":true' in kept[roma_id(0)]["deploy"]
    assert kept[apim_id(0)]["facts"]["pods_responded"] is None
    assert kept[apim_id(0)]["facts"]["revision"] == "1"


def test_off_reads_and_keeps_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    undeployed(stage, top="snapshot: off")

    assert sum(gateway.looks for gateway in stage.platform.books().gateways.values()) == 0
    assert snapshots(stage.run) == {}


def test_what_is_down_already_is_spared_the_undeploy(staged: Callable[..., Stage]) -> None:
    down = {"targets": (backend(0),), "down": (backend(1), backend(2))}
    off = {"targets": (), "down": (("Retail", "proxy-0", "test"),)}
    stage = staged(3, 1, roma_eu=down, apim_fields=off)
    undeployed(stage, top=f"{BEST}\nstop_when: {{surprising: 100%}}")

    books = stage.platform.books()
    assert {name for name, facts in books.targets.items() if facts.undeploys} == {roma_id(0)}
    assert [*stage.outcomes().values()].count("already_undeployed") == 3
    stage.assert_truth()


@pytest.mark.parametrize(("mode", "outcome", "sent"), [(REQUIRED, "not_started", 0), (BEST, "undeployed", 1)])
def test_a_target_that_cannot_be_read_is_left_where_a_snapshot_is_required(
    staged: Callable[..., Stage], mode: str, outcome: str, sent: int
) -> None:
    stage = staged(3, 2)
    stage.expect({roma_id(1): TWICE, apim_id(1): (*TWICE, *TWICE)})
    ended = stage.undeploy("run", stage.write_plan(top=mode), "--yes")

    outcomes, books = stage.outcomes(), stage.platform.books()
    assert ended.status == (1 if mode == REQUIRED else 0), ended
    for target in (roma_id(1), apim_id(1)):
        assert (outcomes.pop(target), books.targets[target].undeploys) == (outcome, sent)
    assert set(outcomes.values()) == {"undeployed"}
    if mode == REQUIRED:
        reason = stage.reasons()[roma_id(1)]
        assert reason == "snapshot: it could not be read: APIG.9999 System error"


def test_required_wants_the_deployment_too(staged: Callable[..., Stage]) -> None:
    """The definition is read, its history is not."""
    stage = staged(1, 0)
    stage.expect({roma_id(0): (InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK), *TWICE)})
    ended = stage.undeploy("run", stage.write_plan(top=REQUIRED), "--yes")

    assert ended.status == 1, ended
    assert stage.reasons() == {roma_id(0): "snapshot: its deployment could not be read"}


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "fault",
    [
        InjectedFault(
            kind=FaultKind.STATUS, on=FaultScope.LOOK, status=500, message=f"cannot resolve {FAKE_TOKEN} here"
        ),
        InjectedFault(
            kind=FaultKind.STATUS,
            on=FaultScope.LOOK,
            status=200,
            body=f'{{"id": "{backend(0)}", "status": 4, "modified_time": "{FAKE_TOKEN}"}}',
        ),
    ],
)
def test_a_vendor_that_repeats_the_token_does_not_bring_it_into_a_snapshot(
    staged: Callable[..., Stage], fault: InjectedFault
) -> None:
    stage = staged(1, 0)
    stage.expect({roma_id(0): (fault, fault)})
    undeployed(stage)

    assert "•••" in str(snapshots(stage.run))
    for path in stage.run.iterdir():
        assert FAKE_TOKEN.encode() not in path.read_bytes(), path


def test_look_always_does_not_look_twice_before(staged: Callable[..., Stage]) -> None:
    """The snapshot is the look before; it and the looks after are pages of the lists where there are many."""
    stage = staged(60, 2)
    undeployed(stage, roma="look: always", apim="look: always")

    books = stage.platform.books()
    listed = [entry.path.split("?")[0].split("/")[-1] for entry in stage.list_requests() if "?" in entry.path]
    assert sorted(books.targets[roma_id(n)].looks for n in range(60)) == [*[0] * 59, 5]
    assert [each for each in listed if "apis" in each] == ["apis", "livedata-apis", "livedata-apis"]
    assert {books.targets[apim_id(n)].looks for n in range(2)} == {4}
    assert {target["evidence"] for target in stage.report()["targets"]} == {"look"}


def test_a_resume_keeps_what_was_seen_before_the_first_undeploy(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.expect({roma_id(0): (InjectedFault(kind=FaultKind.HANG, effect=True),)})
    with stage.started("run", stage.write_plan(top=BEST), "--yes") as process:
        stage.wait_for_requests(18, process)
        process.kill()
        process.communicate()
    stage.settled()
    assert snapshots(stage.run)[roma_id(0)]["verdict"] == "up"
    stage.expect()
    resumed = stage.undeploy("resume", "latest")

    assert resumed.status == 0, resumed
    assert snapshots(stage.run)[roma_id(0)]["verdict"] == "up"
    assert stage.outcomes() == dict.fromkeys(stage.ids, "undeployed")


@pytest.mark.parametrize("top", [BEST, REQUIRED])
def test_a_read_that_met_a_passing_fault_is_made_once_more(staged: Callable[..., Stage], top: str) -> None:
    stage = staged(3, 2)
    stage.expect(
        {
            roma_id(0): (BUSY,),
            roma_id(1): (InjectedFault(kind=FaultKind.RESET, on=FaultScope.LOOK),),
            roma_id(2): (
                InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOOK),
                BUSY,
            ),  # the second of its reads
            apim_id(0): (BUSY,),
        }
    )
    ended = stage.undeploy("run", stage.write_plan(top=top), "--yes")
    kept = snapshots(stage.run)

    assert ended.status == 0, ended
    assert {one["verdict"] for one in kept.values()} == {"up"}
    assert "missing-history" not in str(kept)
    assert "cannot be brought back" not in ended.err
    assert "To bring back the 5 that this run took down" in ended.err


def test_what_is_refused_is_not_asked_again(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    stage.expect(
        {roma_id(0): (InjectedFault(kind=FaultKind.STATUS, status=403, on=FaultScope.LOOK, times=0),)}
    )
    undeployed(stage)

    assert stage.platform.books().targets[roma_id(0)].looks == 1


def test_a_run_says_while_it_goes_and_at_its_end_what_cannot_be_brought_back(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(3, 2)
    stage.expect({roma_id(0): (BUSY, BUSY), roma_id(2): (BUSY, BUSY)})
    ended = stage.undeploy("run", stage.write_plan(top=BEST, roma="limits: {concurrency: 1}"), "--yes")
    lines = ended.err.splitlines()
    warned = [line for line in lines if "warning: roma-eu:" in line]

    assert ended.status == 0, ended
    assert {name: one["verdict"] for name, one in snapshots(stage.run).items() if name in stage.ids[:3]} == {
        roma_id(0): "unclear",
        roma_id(1): "up",
        roma_id(2): "unclear",
    }
    assert stage.platform.books().targets[roma_id(0)].looks == 2
    assert len(warned) == 1
    # A target that waits for its second read lets the next one go, so either may be the first to go without.
    assert any(
        f"{name} may go down, and a restore could not bring it back" in warned[0]
        for name in (roma_id(0), roma_id(2))
    )
    assert "2 cannot be brought back" in next(line for line in lines if "complete:" in line)
    assert "All 5 targets are down." in ended.err
    assert (
        "2 cannot be brought back by a restore, since the look before the undeploy could not tell: "
        in ended.err
    )
    assert "To bring back 3 of the 5 that this run took down, when the time comes:" in ended.err
    for name in ("markdown", "html"):
        told = stage.undeploy("report", "latest", "--format", name).out
        assert "2 cannot be brought back by a restore" in told
        assert "3 of 5 targets" in told


@pytest.mark.promise(6)
@pytest.mark.parametrize("gateway", ["roma-eu", "apim"])
def test_a_dead_gateway_is_left_alone_for_all_its_snapshots(
    staged: Callable[..., Stage], gateway: str
) -> None:
    """It answers 500 to everything; the lane parks, and neither snapshots nor doubts hammer it."""
    counts = {"roma-eu": (300, 0), "apim": (0, 300)}
    stage = staged(*counts[gateway])
    stage.expect({gateway: (InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.ANY, times=0),)})
    keys: dict[str, Any] = {"roma": "park_for: 4s"} if gateway == "roma-eu" else {"apim": "park_for: 4s"}
    ended = stage.undeploy("run", stage.write_plan(top=BEST, **keys), "--yes")

    assert ended.status == 4, ended
    assert stage.requests() < SPARING
    assert {entry["name"]: entry["lane"] for entry in stage.report()["gateways"]}[gateway] == "parked"
