"""The administrator's report in place of single reads, over real sockets: what it spares, and its limits."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.apinizer_fixture import GroupFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from tests.support.back import BEST, snapshots, undeployed
from tests.support.stage import Stage, apim_id

pytestmark = pytest.mark.long("runs, previews and restores are processes of their own")

COUNT = 60
ALLOWED = {"report": "allowed"}
DOWN = tuple(("Retail", f"proxy-{number}", "test") for number in range(5))
UP = tuple(("Retail", f"proxy-{number}", "test") for number in range(5, COUNT))


def _count_reports(stage: Stage) -> int:
    return [entry.path for entry in stage.list_requests()].count("/apiops/reports/api-proxies")


def test_a_default_run_sends_two_requests_a_target(staged: Callable[..., Stage]) -> None:
    """P13: a deploy-status and an undeploy for each, and one try of the report."""
    count = 250
    stage = staged(0, count)
    undeployed(stage)

    books = stage.platform.books().gateways["apim"]
    assert (books.undeploys, books.looks) == (count, count + 1)
    assert stage.requests() <= 2.1 * count
    assert all(kept["facts"]["revision"] == "1" for kept in snapshots(stage.run).values())


def test_with_the_report_a_default_run_sends_little_more_than_one(staged: Callable[..., Stage]) -> None:
    """P13: the report, and an undeploy for each."""
    count = 250
    stage = staged(0, count, apim_fields=ALLOWED)
    undeployed(stage)

    books = stage.platform.books().gateways["apim"]
    assert books.undeploys == count
    assert stage.requests() == count + _count_reports(stage) <= 1.05 * count
    kept = snapshots(stage.run).values()
    assert {(one["verdict"], one["deploy"], one["facts"]["edited"]) for one in kept} == {("up", "{}", False)}


def test_a_user_without_the_role_pays_one_401_and_keeps_the_lane(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT)
    plan = stage.write_plan(top=BEST)
    ended = stage.undeploy("run", plan, "--yes")
    report = stage.report()

    assert ended.status == 0, ended
    assert _count_reports(stage) == 1
    assert stage.platform.books().gateways["apim"].denied == 1
    assert set(stage.outcomes().values()) == {"undeployed"}
    # Told once, and in no report a warning: most users have no such role.
    said = [line for line in ended.err.splitlines() if "no list of proxies for this credential" in line]
    assert len(said) == 1
    assert "Unauthorized API Access!" in said[0]
    assert "warning" not in said[0]
    assert report["gateways"][0]["warnings"] == []
    assert report["gateways"][0]["lane"] == "open"
    assert report["totals"]["requests"] == stage.requests()


def test_a_bad_token_still_closes_the_lane(staged: Callable[..., Stage]) -> None:
    """The report's 401 may be about a role; the next one is not, and costs one refresh."""
    stage = staged(0, COUNT, tokens=("another",))
    ended = stage.undeploy("run", stage.write_plan(top=BEST), "--yes")

    assert ended.status == 4, ended
    assert {reason.partition(":")[0] for reason in stage.reasons().values()} == {"denied"}
    assert stage.requests() <= 2 + 3  # the report, one look of each worker


def test_what_the_report_calls_down_is_asked_of_its_pods(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields={"targets": UP, "down": DOWN, **ALLOWED})
    undeployed(stage, top=f"{BEST}\nstop_when: {{surprising: 100%}}")

    books = stage.platform.books()
    for number in range(COUNT):
        facts = books.targets[apim_id(number)]
        assert (facts.looks, facts.undeploys) == ((1, 0) if number < len(DOWN) else (0, 1))
    assert [*stage.outcomes().values()].count("already_undeployed") == len(DOWN)
    stage.assert_truth()


@pytest.mark.promise(3)
def test_an_orphan_is_not_down_whatever_the_report_says(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields=ALLOWED)
    plan = stage.write_plan(top=BEST)
    stage.expect({apim_id(0): ("partial",)})
    stage.undeploy("run", plan, "--yes", "--only", apim_id(0))
    stage.expect()
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 0, ended
    assert stage.outcomes()[apim_id(0)] == "undeployed"
    stage.assert_truth()


def test_what_the_report_leaves_open_is_read_alone(staged: Callable[..., Stage]) -> None:
    """Edited: the revision is the one way back. Unreported, contradicting itself: nothing is known."""
    edited, unreported, disputed = 0, 1, 2
    stage = staged(
        0,
        COUNT,
        apim_fields={
            **ALLOWED,
            "edited": (("Retail", f"proxy-{edited}", "test"),),
            "unreported": (f"Retail/proxy-{unreported}",),
            "disputed": (f"Retail/proxy-{disputed}",),
            "groups": (("Retail", "proxy-3"),),
            "report_padding": 40_000,  # 60 entries are more than the mebibyte of other replies
        },
    )
    undeployed(stage)

    looks = {name: facts.looks for name, facts in stage.platform.books().targets.items()}
    alone = {apim_id(number) for number in (edited, unreported, disputed)}
    assert looks == {name: int(name in alone) for name in looks}
    kept = snapshots(stage.run)
    assert {name for name, one in kept.items() if one["facts"]["revision"]} == alone
    assert kept[apim_id(edited)]["obstacles"] == ["unpublished-edits"]
    assert stage.report()["gateways"][0]["warnings"] == []


@pytest.mark.parametrize("faults", [1, 2])
def test_a_report_that_faults_is_asked_for_once_more_and_no_further(
    staged: Callable[..., Stage], faults: int
) -> None:
    stage = staged(0, COUNT, apim_fields=ALLOWED)
    stage.expect({"apim": (InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.LOOK),) * faults})
    undeployed(stage)

    assert _count_reports(stage) == 2
    assert stage.requests() == COUNT + 2 + (COUNT if faults == 2 else 0)


def test_a_stale_report_costs_a_look_and_no_wrong_word(staged: Callable[..., Stage]) -> None:
    """It still calls deployed what a run has just taken down: the 400 to an undeploy wants a look."""
    stage = staged(0, COUNT, apim_fields={**ALLOWED, "report_lag": 600.0})
    undeployed(stage)
    undeployed(stage, top=f"{BEST}\nstop_when: {{surprising: 100%}}")

    assert set(stage.outcomes().values()) == {"already_undeployed"}
    stage.assert_truth()


# --- approvals, previews and restores -------------------------------------------------------------------


def test_a_preview_reads_the_report_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields={"targets": UP, "down": DOWN, **ALLOWED})
    ended = stage.undeploy("preview", stage.write_plan(top=BEST), "--format", "json")

    assert ended.status == 0, ended
    # And of each proxy that goes down, where else it is deployed.
    looked = [entry for entry in stage.list_requests() if entry.path.endswith(("-status/", "-health/"))]
    assert _count_reports(stage) == 1
    assert [entry.path.rpartition("/environments/")[2] for entry in looked] == ["test/route-health/"] * len(
        DOWN
    )


def test_under_an_approval_the_report_replaces_nothing(staged: Callable[..., Stage]) -> None:
    """Only deploy-status tells the revision and the last deploy, by which a target counts as unchanged."""
    stage = staged(0, COUNT, apim_fields=ALLOWED)
    plan = stage.write_plan(top=BEST)
    assert stage.undeploy("preview", plan, "--save", "seen.json").status == 0
    assert stage.undeploy("run", plan, "--approval", "seen.json").status == 0

    assert _count_reports(stage) == 0
    assert '"revision":"1"' in (stage.folder / "seen.json").read_text().replace(" ", "")
    assert {kept["facts"]["revision"] for kept in snapshots(stage.run).values()} == {"1"}


@pytest.mark.promise(11)
def test_a_restore_looks_by_the_report_and_asks_the_pods_of_each(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields=ALLOWED)
    run = undeployed(stage)
    before, reports = stage.requests(), _count_reports(stage)
    ended = stage.undeploy("restore", run, "--yes")
    acts = [entry.act for entry in stage.list_requests(before)]

    assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"restored"}
    reports = _count_reports(stage) - reports
    # A deploy and a route-health for each; the lists tell the manager's record before and after.
    assert acts.count(Act.DEPLOY) == COUNT
    assert acts.count(Act.LOOK) == COUNT + reports
    assert not any(facts.down for facts in stage.platform.books().targets.values())


@pytest.mark.promise(11)
def test_a_report_that_lags_behind_a_restore_deploys_nothing_twice(staged: Callable[..., Stage]) -> None:
    """It calls up what the run took down, and then down what the restore brought back: each is read alone."""
    stage = staged(0, COUNT, apim_fields={**ALLOWED, "report_lag": 600.0})
    run = undeployed(stage, apim="retry: {first: 0.1s}")
    ended = stage.undeploy("restore", run, "--yes")

    assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"restored"}
    assert {facts.deploys for facts in stage.platform.books().targets.values()} == {1}


def test_a_roll_back_names_what_the_report_did_not_tell(staged: Callable[..., Stage]) -> None:
    """All but one were seen by the report, which knows no revision: they stay down until that is accepted."""
    stage = staged(0, COUNT, apim_fields={**ALLOWED, "edited": (("Retail", "proxy-0", "test"),)})
    run = undeployed(stage)
    dry = stage.undeploy("restore", run, "--roll-back", "--dry-run")
    ended = stage.undeploy("restore", run, "--roll-back", "--yes")
    outcomes, reasons = stage.outcomes(), stage.reasons()

    assert f"{COUNT - 1} of them want --accept missing-history" in " ".join(dry.out.split())
    assert ended.status == 1, ended
    assert outcomes.pop(apim_id(0)) == "restored"
    assert set(outcomes.values()) == {"not_started"}
    assert "no read before the undeploy told its revision" in reasons[apim_id(1)]
    accepted = stage.undeploy("restore", run, "--roll-back", "--yes", "--accept", "missing-history")
    assert accepted.status == 0, accepted


def test_look_always_asks_the_pods_and_reads_the_record_off_the_report(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields=ALLOWED)
    undeployed(stage, apim="look: always")

    books = stage.platform.books()
    assert {facts.looks for facts in books.targets.values()} == {2}  # route-health before, and after
    assert books.gateways["apim"].looks == 2 * COUNT + _count_reports(stage)
    assert {target["evidence"] for target in stage.report()["targets"]} == {"look"}


@pytest.mark.parametrize("more", [(), ("--usage",)])
def test_a_preview_tells_of_groups_by_the_report_that_it_reads_anyway(
    staged: Callable[..., Stage], more: tuple[str, ...]
) -> None:
    about = {"Retail/all": GroupFixture(members=("proxy-3",))}
    groups = {"groups": (("Retail", "all"),), "about_groups": about, "tells_ids": True}
    stage = staged(0, COUNT, apim_fields={**ALLOWED, **groups})
    told = json.loads(stage.undeploy("preview", stage.write_plan(), "--format", "json", *more).out)

    (warning,) = (each for each in told["warnings"] if each["kind"] == "group")
    assert warning["targets"] == [apim_id(3)]
    assert _count_reports(stage) == 1
    assert not any("apiProxyGroups" in seen.path for seen in stage.list_requests())


def test_a_plain_preview_asks_nothing_for_the_sake_of_groups(staged: Callable[..., Stage]) -> None:
    stage = staged(0, COUNT, apim_fields={"groups": (("Retail", "all"),)})
    told = json.loads(stage.undeploy("preview", stage.write_plan(), "--format", "json").out)

    assert not any(each["kind"] == "group" for each in told["warnings"])
    assert not any("apiProxyGroups" in seen.path for seen in stage.list_requests())
