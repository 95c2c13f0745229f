"""`undeploy preview` over real sockets: what it asks, that it changes nothing, and what it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, FaultStorm, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.commands import CommandResult
from tests.support.stage import Stage, apim_id, backend, roma_id
from tests.support.unbound import OTHER_SIDE

pytestmark = pytest.mark.long("previews are processes of their own")

MANY = 60
QUICK = "retry: {first: 1ms, ceiling: 2ms}"


def previewed(stage: Stage, *options: str, **more: Any) -> tuple[CommandResult, dict[str, Any]]:
    """The JSON of a preview, and how it ended; and proof that it has read only."""
    ended = stage.undeploy("preview", "plan.yaml", "--format", "json", *options, **more)
    books = stage.platform.books()
    assert all(facts.undeploys == facts.deploys == 0 for facts in books.gateways.values())
    assert {entry.method for entry in stage.list_requests()} <= {"GET"}
    assert {entry.act for entry in stage.list_requests()} <= {Act.LOOK, None}
    assert not (stage.folder / ".undeploy").exists()
    found: dict[str, Any] = json.loads(ended.out) if ended.out else {}
    return ended, found


def states(found: dict[str, Any]) -> dict[str, str]:
    return {target["id"]: target["state"] for target in found["targets"]}


def test_each_target_is_read_once_and_nothing_is_changed(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    stage.write_plan()
    ended, found = previewed(stage)

    assert ended.status == 0, ended
    # ROMA: the definition, its history, its front-end API, what is bound. Apinizer: the status, and once a
    # proxy where else it is deployed.
    assert stage.requests() == found["requests"] == 3 * 3 + 2 + 2 + OTHER_SIDE
    assert set(states(found).values()) == {"deployed"}
    assert found["complete"] is True
    assert found["counts"]["will_change"] == 5
    first = found["targets"][0]
    assert first["fronts"][0]["path"] == first["path"] == f"/backends/{backend(0)}"
    assert first["obstacles"] == ["new-front-end-id"]
    kinds = {warning["kind"] for warning in found["warnings"]}
    assert {"front_end", "last_environment", "no_snapshot"} <= kinds


def test_a_list_says_who_is_down_and_spares_a_read_of_each_that_is_up(staged: Callable[..., Stage]) -> None:
    up, down = tuple(map(backend, range(40))), tuple(map(backend, range(40, 55)))
    stage = staged(MANY, 0, roma_eu={"targets": up, "down": down})
    stage.write_plan()
    ended, found = previewed(stage)

    assert ended.status == 0, ended
    # The lists leave out five; one target is read alone, to see how long a reply takes.
    assert stage.requests() == found["requests"] == 2 + 5 + OTHER_SIDE + 1
    seen = states(found)
    assert [seen[roma_id(number)] for number in (0, 39, 40, 54, 55, 59)] == [
        *["deployed"] * 2,
        *["undeployed"] * 2,
        *["absent"] * 2,
    ]
    assert "APIG.3084" in found["targets"][-1]["why"]


def test_edits_that_were_never_deployed_are_told_of_both_kinds(staged: Callable[..., Stage]) -> None:
    stage = staged(
        2, 1, roma_eu={"edited": (backend(1),)}, apim_fields={"edited": (("Retail", "proxy-0", "test"),)}
    )
    stage.write_plan()
    _, found = previewed(stage)

    (warning,) = (one for one in found["warnings"] if one["kind"] == "unpublished_edits")
    assert warning["targets"] == [roma_id(1), apim_id(0)]


def test_a_429_is_waited_for(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    stage.write_plan()
    stage.expect({roma_id(1): ("look:429@1",), apim_id(0): ("look:429@1",)})
    ended, found = previewed(stage)

    assert ended.status == 0, ended
    assert found["complete"] is True
    assert stage.requests() == found["requests"] == 13 + 2 + OTHER_SIDE
    assert found["seconds"] >= 1


@pytest.mark.parametrize("lasting", [False, True])
def test_where_else_a_proxy_is_deployed_is_asked_again_after_a_passing_fault(
    staged: Callable[..., Stage], lasting: bool
) -> None:
    """One fault must not hide that all the others are deployed nowhere else; what stays untold is said."""
    stage = staged(0, 4)
    stage.write_plan(apim=QUICK)
    fault = InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=500, times=0)
    # A read of each target comes before; then the second proxy is asked about.
    stage.expect({apim_id(1): ("look:slow@0", *((fault,) if lasting else ("look:500", "look:429@1")))})
    ended, found = previewed(stage)

    assert ended.status == 0, ended
    last = [one for one in found["warnings"] if one["kind"] == "last_environment"]
    told = [one["text"] for one in found["warnings"] if "could not be read where else" in one["text"]]
    assert [len(one["targets"]) for one in last] == [1 if lasting else 4]
    assert told == (
        ["it could not be read where else 3 things to go down may be deployed"] if lasting else []
    )


def test_an_unclear_look_is_repeated_three_times_at_most(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    stage.write_plan(roma=QUICK)
    stage.expect(
        {
            roma_id(0): ("look:500", "look:502"),
            roma_id(1): (InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=500, times=0),),
        }
    )
    ended, found = previewed(stage)

    assert ended.status == 1
    assert states(found) == {
        roma_id(0): "deployed",
        roma_id(1): "unknown",
        roma_id(2): "deployed",
    }
    # From which side bindings are read depends on how many targets are left by then, so on who comes first.
    assert (3 + 2) + 3 + 3 <= stage.requests() <= (3 + 2) + 3 + 3 + OTHER_SIDE + 1
    assert "APIG.9999" in found["targets"][1]["why"]


def test_a_gateway_that_never_answers_is_given_up(staged: Callable[..., Stage]) -> None:
    stage = staged(49, 2)
    stage.write_plan(roma=f"{QUICK}, limits: {{concurrency: 1}}")
    stage.expect({"roma-eu": (InjectedFault(kind=FaultKind.RESET, on=FaultScope.ANY, times=0),)})
    ended, found = previewed(stage)

    assert ended.status == 1
    assert found["counts"]["unknown"] == 49
    assert stage.platform.books().gateways["roma-eu"].requests == 20 * 3
    assert "not looked at" in found["targets"][48]["why"]
    assert found["counts"]["will_change"] == 2


def test_a_closed_lane_leaves_its_targets_untold_and_locks_nobody_out(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 2)
    stage.write_plan()
    ended, found = previewed(stage, env={"ROMA_TOKEN": "another-token"})

    assert ended.status == 1
    assert found["counts"]["unknown"] == 30
    assert all("denied: " in target["why"] for target in found["targets"][:30])
    assert stage.platform.books().gateways["roma-eu"].denied <= 6  # no more than were in flight
    assert found["counts"]["will_change"] == 2


def test_an_old_manager_offers_no_look_and_its_targets_are_named(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 4)
    stage.write_plan()
    bare = InjectedFault(kind=FaultKind.STATUS, on=FaultScope.ANY, status=404, times=0, body="not here")
    stage.expect({"apim": (bare,)})
    ended = stage.undeploy("preview", "plan.yaml", "--save", "ok.json")

    assert ended.status == 1
    assert "State known for 1 of 5 targets." in ended.out
    assert "apim/Retail/proxy-3/test" in ended.out
    assert "this version offers no look" in ended.out
    told = "apim: this version offers no look that tells how 4 targets are: nothing of them can be restored"
    assert ended.out.count(told) == 1
    assert "could not be looked at or told of" not in ended.out
    approval = json.loads((stage.folder / "ok.json").read_text())
    assert approval["incomplete"] == [apim_id(number) for number in range(4)]
    # Four reads that no such manager has, for as many as were in flight; nobody asks again.
    assert stage.platform.books().gateways["apim"].requests <= 3 * 4


def test_pods_and_orphans_are_told(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 2)
    stage.write_plan()
    stage.expect({apim_id(0): ("partial",), apim_id(1): ()})
    taken = stage.undeploy("run", "plan.yaml", "--yes", "--only", apim_id(0))
    assert taken.status == 1
    ended = stage.undeploy("preview", "plan.yaml", "--format", "json")
    found = json.loads(ended.out)

    assert states(found) == {apim_id(0): "partial", apim_id(1): "deployed"}
    assert any(one["kind"] == "orphan" for one in found["warnings"])


def test_with_look_always_the_pods_of_what_is_deployed_are_told_too(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 2)
    stage.write_plan(apim="look: always")
    ended, found = previewed(stage)

    assert ended.status == 0, ended
    assert [target["pods"] for target in found["targets"]] == [[2, 2]] * 2
    assert [target["path"] for target in found["targets"]] == ["/proxy-0", "/proxy-1"]


def test_filters_and_protection_are_not_looked_at(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 2)
    stage.write_plan(top=f"protect: ['{roma_id(0)}']")
    ended, found = previewed(stage, "--skip", "apim/**")

    assert ended.status == 0
    assert found["counts"] | {"protected": 1, "filtered": 2} == found["counts"]
    assert stage.requests() == 3 * 3 + OTHER_SIDE
    assert len(found["targets"]) == 3


def test_a_storm_never_makes_up_a_state(staged: Callable[..., Stage]) -> None:
    up, down = tuple(map(backend, range(30))), tuple(map(backend, range(30, 40)))
    stage = staged(40, 5, roma_eu={"targets": up, "down": down})
    stage.write_plan(roma=QUICK, apim=QUICK)
    kinds = ("look:500", "look:reset", "look:garbage", "look:cut", "look:502")
    stage.expect(storm=FaultStorm(share=0.3, seed=5, kinds=kinds))
    _, found = previewed(stage)

    for target, state in states(found).items():
        truth = stage.platform.books().targets[target].down
        assert state in ("undeployed" if truth else "deployed", "unknown")


def test_a_saved_approval_is_for_its_user_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    stage.write_plan()
    previewed(stage, "--save", "ok.json")

    path: Path = stage.folder / "ok.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "rehearsal-token" not in path.read_text()


@pytest.mark.parametrize("options", [("--only", "nobody/**"), ("--save", "no/such/folder.json")])
def test_what_cannot_be_done_is_2(staged: Callable[..., Stage], options: tuple[str, ...]) -> None:
    stage = staged(1, 0)
    stage.write_plan()
    ended = stage.undeploy("preview", "plan.yaml", *options)

    assert (ended.status, stage.requests()) == (2, 0), ended


def test_a_vendors_text_that_repeats_the_credential_is_masked(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.write_plan(roma=QUICK)
    text = f"bad token {FAKE_TOKEN}"
    stage.expect(
        {
            roma_id(0): (
                InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=500, times=0, message=text),
            )
        }
    )
    ended, found = previewed(stage, "--save", "ok.json")

    assert "bad token •••" in found["targets"][0]["why"]
    assert FAKE_TOKEN not in ended.out + ended.err + (stage.folder / "ok.json").read_text()
