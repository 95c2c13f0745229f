"""`look: always` over real sockets: what many looks cost, and what they spare."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.limits import TokenExpiry
from tests.support.stage import Stage, backend, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

MANY = 300
DOWN = range(0, MANY, 10)
HANDFUL = 8
ALWAYS = "look: always"


def partly_down(staged: Callable[..., Stage], **roma: object) -> Stage:
    """300 ROMA targets, every tenth of them down."""
    up = tuple(backend(number) for number in range(MANY) if number not in DOWN)
    down = tuple(map(backend, DOWN))
    return staged(MANY, 0, roma_eu={"targets": up, "down": down, **roma})


def lists(stage: Stage) -> int:
    """How many requests were about no target: pages of the list."""
    entries = [entry for entry in stage.list_requests() if entry.target is None]
    assert all("/livedata-apis?" in entry.path and entry.method == "GET" for entry in entries)
    return len(entries)


def assert_counted(stage: Stage) -> None:
    """The report tells of each request that arrived, and of no other."""
    report, books = stage.report(), stage.platform.books()
    assert report["totals"]["requests"] == books.requests
    (gateway,) = (one for one in report["gateways"] if one["name"] == "roma-eu")
    assert gateway["totals"]["requests"] == books.requests
    for target in report["targets"]:
        acts = [attempt["act"] for attempt in target["attempts"]]
        facts = books.targets[target["id"]]
        assert (acts.count("undeploy"), acts.count("look")) == (facts.undeploys, facts.looks)


@pytest.mark.promise(3)
def test_looks_at_hundreds_cost_a_handful_of_requests(staged: Callable[..., Stage]) -> None:
    stage = partly_down(staged)
    ended = stage.undeploy("run", stage.write_plan(roma=ALWAYS), "--yes")

    assert ended.status == 0, ended
    facts = stage.platform.books().gateways["roma-eu"]
    assert facts.undeploys == MANY - len(DOWN)
    assert 2 <= lists(stage) == facts.requests - facts.undeploys <= HANDFUL
    outcomes = stage.outcomes()
    already = {roma_id(number) for number in DOWN}
    assert {target for target, end in outcomes.items() if end == "already_undeployed"} == already
    assert all(stage.platform.books().targets[target].undeploys == 0 for target in already)
    assert set(outcomes.values()) == {"undeployed", "already_undeployed"}
    stage.assert_truth()
    stage.assert_intents()
    assert_counted(stage)


def test_the_lists_are_read_before_the_first_undeploy_and_after_the_last(
    staged: Callable[..., Stage],
) -> None:
    stage = partly_down(staged)
    stage.undeploy("run", stage.write_plan(roma=ALWAYS), "--yes")
    seen = stage.list_requests()
    sent = [place for place, entry in enumerate(seen) if entry.act is Act.UNDEPLOY]
    listed = [place for place, entry in enumerate(seen) if entry.target is None]

    assert listed[0] < sent[0]
    assert listed[-1] > sent[-1]
    assert not [place for place in listed if sent[0] < place < sent[-1]]


def test_the_evidence_of_all_is_the_look(staged: Callable[..., Stage]) -> None:
    stage = partly_down(staged)
    stage.undeploy("run", stage.write_plan(roma=ALWAYS), "--yes")

    assert {target["evidence"] for target in stage.report()["targets"]} == {"look"}


def test_a_list_that_faults_costs_looks_at_each_and_no_wrong_word(staged: Callable[..., Stage]) -> None:
    """The list is struck for good; 60 targets are then looked at one by one, before and after."""
    count = 60
    down = tuple(map(backend, range(0, count, 10)))
    up = tuple(backend(number) for number in range(count) if number % 10)
    stage = staged(count, 0, roma_eu={"targets": up, "down": down})
    stage.expect(
        {
            "roma-eu": (
                InjectedFault(kind=FaultKind.STATUS, status=404, on=FaultScope.ANY, body="<html>no</html>"),
            )
        }
    )
    ended = stage.undeploy("run", stage.write_plan(roma=ALWAYS), "--yes")

    assert ended.status == 0, ended
    facts = stage.platform.books().gateways["roma-eu"]
    assert lists(stage) == 1
    assert (facts.undeploys, facts.looks) == (len(up), 1 + 2 * len(up) + len(down))
    stage.assert_truth()
    assert_counted(stage)


def test_a_204_that_did_nothing_is_found_out_by_the_list(staged: Callable[..., Stage]) -> None:
    stage = partly_down(staged)
    liar = roma_id(1)
    stage.expect({liar: (InjectedFault(kind=FaultKind.STATUS, status=204, body=""),)})
    ended = stage.undeploy("run", stage.write_plan(roma=ALWAYS), "--yes")

    assert ended.status == 0, ended
    assert stage.platform.books().targets[liar].undeploys == 2
    stage.assert_truth()
    assert_counted(stage)


ANOTHER_EACH_TIME = "if [ -e asked ]; then echo {later}; else touch asked; echo {first}; fi\n"


@pytest.mark.promise(5)
def test_a_token_that_has_ended_is_renewed_once_for_lists_and_targets(staged: Callable[..., Stage]) -> None:
    """The first page of the list gets the 401, and the command gives another token when it is run again."""
    stage = partly_down(staged, tokens=("ends-soon", FAKE_TOKEN), expiry=TokenExpiry(requests=0))
    (stage.folder / "token.sh").write_text(ANOTHER_EACH_TIME.format(first="ends-soon", later=FAKE_TOKEN))
    plan = stage.write_plan(roma=ALWAYS)
    plan.write_text(plan.read_text().replace("{env: ROMA_TOKEN}", "{command: [sh, token.sh]}"))
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 0, ended
    assert stage.platform.books().gateways["roma-eu"].denied == 1
    assert lists(stage) <= HANDFUL
    stage.assert_truth()
    assert_counted(stage)
