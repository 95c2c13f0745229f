"""Several nights are brought back at once: the runs of a chain, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.model.reading import Act
from tests.support.back import ACCEPT, BEST, deployed, down, orders, restored
from tests.support.stage import Stage, apim_id, roma_id

pytestmark = pytest.mark.long("several runs and their restore are processes of their own")

CHAIN = "--chain"
ALONE = "limits: {concurrency: 1}, retry: {attempts: 2, first: 5ms, ceiling: 10ms}"


def two_nights(stage: Stage) -> tuple[str, str]:
    """The first night takes down two of ROMA's, the second the rest, by the remainder of the first."""
    plan = stage.write_plan(top=BEST, roma=ALONE, apim=ALONE, waves=True)
    only = ("--only", roma_id(0), "--only", roma_id(1))
    first = stage.undeploy("run", plan, "--yes", *only)
    assert first.status == 0, first
    assert stage.undeploy("remainder", "latest", "-o", "rest.yaml").status == 0
    second = stage.undeploy("run", "rest.yaml", "--yes")
    assert second.status == 0, second
    return first.run, second.run


def test_a_restore_of_one_night_says_what_it_leaves_out(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 2)
    first, second = two_nights(stage)
    ended = restored(stage, "latest")

    assert ended.status == 0, ended
    assert down(stage) == {roma_id(0), roma_id(1)}
    assert "not in here: what other runs of the same chain took down" in ended.err
    assert f"{first}: 2" in ended.err
    assert f"undeploy restore {second} --chain" in ended.err


def test_all_nights_come_back_together_in_reverse_order(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 2)
    first, second = two_nights(stage)
    went = orders(stage, Act.UNDEPLOY)
    told = stage.undeploy("restore", "latest", CHAIN, "--dry-run").out
    ended = restored(stage, first, CHAIN)

    assert "restore of 2 runs" in told
    assert "comes back: 2" in told  # the others want --accept
    assert first in told
    assert second in told
    assert ended.status == 0, ended
    assert down(stage) == set()
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)
    assert orders(stage, Act.DEPLOY) == went[::-1]
    report = stage.report()
    assert (report["run"]["act"], report["run"]["parent"]) == ("restore", second)
    assert report["totals"]["restored"] == 6


def test_no_run_of_the_chain_is_resumed_after_that_and_each_says_what_is_up(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(3, 1)
    first, second = two_nights(stage)
    assert restored(stage, "latest", CHAIN).status == 0
    chain = stage.undeploy("report", first, CHAIN, "--format", "markdown").out

    for run, count in ((first, 2), (second, 2)):
        refused = stage.undeploy("resume", run)
        assert (refused.status, refused.out) == (2, ""), refused
        assert f"{count} of" in stage.undeploy("report", run, "--format", "markdown").out
    assert "All 4 targets are up again." in chain
    assert "snapshots | 4 of 4 targets" in chain.lower()
    nothing = stage.undeploy("restore", first, "--yes", *ACCEPT, CHAIN)
    assert nothing.status == 0, nothing
    assert set(stage.outcomes().values()) == {"already_deployed"}


def test_what_failed_in_one_night_and_went_down_in_the_next_comes_back_once(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(0, 3)
    first = stage.undeploy("run", stage.write_plan(top=BEST), "--yes", "--only", apim_id(0))
    assert stage.undeploy("remainder", first.run, "-o", "rest.yaml").status == 0
    assert stage.undeploy("run", "rest.yaml", "--yes", "--only", apim_id(1)).status == 0
    assert stage.undeploy("remainder", "latest", "-o", "last.yaml").status == 0
    assert stage.undeploy("run", "last.yaml", "--yes").status == 0
    ended = restored(stage, "latest", CHAIN)

    assert ended.status == 0, ended
    assert deployed(stage) == dict.fromkeys(stage.ids, 1)


def test_a_remainder_leaves_out_what_a_restore_brought_back(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    run = stage.undeploy("run", stage.write_plan(top=BEST), "--yes", "--only", roma_id(0)).run
    assert restored(stage, run).status == 0
    told = stage.undeploy("remainder", run).out

    assert "Not in here: 1 that restore" in told
    assert roma_id(0).partition("/")[2] not in told
    assert roma_id(1).partition("/")[2] in told
