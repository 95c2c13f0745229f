"""Lists in place of single reads: what they spare, and that nothing else changes, over real sockets."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.roma_fixture import BackendFixture
from orchestrator.simulator.roma_replies import ENVIRONMENT
from tests.support.back import BEST, snapshots, undeployed
from tests.support.stage import CONCURRENCY, INSTANCE, PROJECT, Stage, backend, roma_id
from tests.support.unbound import OTHER_SIDE

pytestmark = pytest.mark.long("runs and previews are processes of their own")

DEPLOYED = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
EVERYTHING = (
    "--accept",
    "new-front-end-id",
    "--accept",
    "unpublished-edits",
    "--accept",
    "missing-history",
)
VARIANTS: dict[str, BackendFixture] = {
    "in two environments": BackendFixture(environments=(ENVIRONMENT, "TEST")),
    "in two, published at two times": BackendFixture(
        environments=(ENVIRONMENT, "TEST"), published="2026-11-01T12:00:00Z|2026-11-02T12:00:00Z"
    ),
    "without a front end": BackendFixture(environments=()),
    "with two front ends": BackendFixture(second_front=True),
    "changed at an unreadable time": BackendFixture(modified="yesterday"),
    "published at an unreadable time": BackendFixture(published="01/11/2026"),
    "changed at a time without a zone": BackendFixture(modified="2026-10-01T12:00:00"),
    "published in another zone": BackendFixture(published="2026-11-01T20:00:00+08:00"),
    "published in another zone, and changed later": BackendFixture(
        published="2026-11-01T20:00:00+08:00", modified="2026-11-01T13:00:00Z"
    ),
    "under a name of its own": BackendFixture(name="orders & more"),
}
EDITED, HIDDEN = 40, 41
"""The numbers of a backend whose definition was edited, and of one that the lists leave out."""
COUNT = 60


class Ended(NamedTuple):
    """What a run and its restore have left behind."""

    snapshots: dict[str, dict[str, Any]]
    outcomes: dict[str, str]
    deployed: dict[str, tuple[int, int, bool]]
    fronts: list[dict[str, Any]]
    looks: int


def _about() -> dict[str, BackendFixture]:
    """Return the differences of all backends: one of each variant, the rest ordinary, all of one age."""
    given = dict(zip(map(backend, range(COUNT)), VARIANTS.values(), strict=False))
    return {
        name: msgspec.structs.replace(given.get(name, BackendFixture()), deployed=DEPLOYED.timestamp())
        for name in map(backend, range(COUNT))
    }


def _ask(stage: Stage, path: str) -> dict[str, Any]:
    url = f"{stage.platform.urls['roma-eu']}/v2/{PROJECT}/apic/instances/{INSTANCE}/{path}"
    request = urllib.request.Request(url, headers={"X-Auth-Token": FAKE_TOKEN})
    with urllib.request.urlopen(request) as reply:
        found: dict[str, Any] = msgspec.json.decode(reply.read())
    return found


def _read_fronts(stage: Stage) -> list[dict[str, Any]]:
    """Return the front-end APIs that the newest deploys published, without the times of these deploys."""
    fronts = []
    for number in range(COUNT):
        (*_, newest) = _ask(stage, f"livedata-apis/{backend(number)}/deploy")["histories"][:1]
        if newest["api_id"]:
            front = _ask(stage, f"apis/{newest['api_id']}")
            fronts.append({key: value for key, value in front.items() if key != "publish_time"})
    return fronts


def _run_and_restore(stage: Stage, lists: str) -> Ended:
    """Run the plan and restore the run at platforms of one and the same age."""
    fixture = {"about": _about(), "edited": (backend(EDITED),), "unlisted": (backend(HIDDEN),)}
    stage.refill(roma_eu={**fixture, "lists": lists})
    run = undeployed(stage)
    kept, looks = snapshots(stage.run), stage.platform.books().gateways["roma-eu"].looks
    stage.undeploy("restore", run, "--yes", *EVERYTHING)
    facts = stage.platform.books().targets
    books = {name: (one.undeploys, one.deploys, one.down) for name, one in facts.items()}
    return Ended(kept, stage.outcomes(), books, _read_fronts(stage), looks)


@pytest.mark.promise(11)
def test_the_restore_from_a_list_is_the_restore_from_single_reads(staged: Callable[..., Stage]) -> None:
    """Field by field, for every sort of backend that there is."""
    stage = staged(COUNT, 0)
    listed, alone = _run_and_restore(stage, "both"), _run_and_restore(stage, "none")

    assert listed.snapshots.keys() == set(stage.ids)
    for name, kept in alone.snapshots.items():
        assert listed.snapshots[name] == kept, name
    assert listed._replace(looks=0) == alone._replace(looks=0)
    assert set(alone.outcomes.values()) == {"restored"}
    # Two pages; three reads of the hidden one; a history where it may be edited, or of which front end it is.
    assert alone.looks == 3 * COUNT - 1 + OTHER_SIDE  # of one there is no front end to read
    assert listed.looks < 2 + 3 + 2 * len(VARIANTS) + 1 + OTHER_SIDE


@pytest.mark.parametrize("count", [300])
def test_a_default_run_sends_one_request_a_target(staged: Callable[..., Stage], count: int) -> None:
    """P13: two pages of 500 for all snapshots, and an undeploy for each; reads of bindings apart."""
    stage = staged(count, 0)
    undeployed(stage)

    books = stage.platform.books().gateways["roma-eu"]
    bindings = OTHER_SIDE + 5  # the 100th target is compared as well
    assert (books.undeploys, books.looks) == (count, 2 + bindings)
    assert stage.requests() - bindings <= 1.02 * count
    assert all(kept["deploy"] for kept in snapshots(stage.run).values())


def test_a_preview_costs_two_pages_and_the_reads_of_bindings(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(300, 0, latency=0.1)
    window = ("--window", "2026-01-01T00:00:00Z/2100-01-01T00:00:00Z")
    ended = stage.undeploy("preview", stage.write_plan(top=BEST), "--format", "json", *window)
    told = msgspec.json.decode(ended.out)

    assert ended.status == 0, ended
    quiet = 1  # one look with nothing beside it: how long a reply takes
    assert stage.requests() == told["requests"] == 2 + OTHER_SIDE + 5 + quiet
    assert told["forecast"]["requests"] == 302 + OTHER_SIDE + 5
    assert told["forecast"]["fits"] is True
    assert told["forecast"]["seconds_at_least"] >= 0.1 * 300 / CONCURRENCY["roma-eu"]


def test_under_an_approval_each_target_is_looked_at_once_just_before(staged: Callable[..., Stage]) -> None:
    """The definition is read alone; front ends and histories come off the list."""
    stage = staged(COUNT, 0)
    plan = stage.write_plan(top=BEST)
    assert stage.undeploy("preview", plan, "--save", "seen.json").status == 0
    before, seen = stage.requests(), stage.platform.books().targets
    ended = stage.undeploy("run", plan, "--approval", "seen.json")

    assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"undeployed"}
    assert stage.requests() - before == 2 + 2 * COUNT + OTHER_SIDE
    looks = [facts.looks - seen[name].looks for name, facts in stage.platform.books().targets.items()]
    assert sorted(looks) == [*[1] * (COUNT - 1), 1 + 5]  # what hangs on one of them is compared


@pytest.mark.parametrize("lists", [("both", "none"), ("none", "both")])
def test_an_approval_from_lists_never_looks_drifted_to_single_reads_nor_the_other_way_round(
    staged: Callable[..., Stage], lists: tuple[str, str]
) -> None:
    stage = staged(COUNT, 0)
    plan = stage.write_plan(top=BEST)
    for command, offered in zip((("preview", "--save"), ("run", "--approval")), lists, strict=True):
        stage.refill(roma_eu={"about": _about(), "edited": (backend(EDITED),), "lists": offered})
        ended = stage.undeploy(command[0], plan, command[1], "seen.json")
        assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"undeployed"}


def test_where_front_ends_are_not_listed_the_definitions_still_come_off_a_list(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(COUNT, 0, roma_eu={"lists": "backends"})
    undeployed(stage)

    looks = stage.platform.books().gateways["roma-eu"].looks
    assert looks == 1 + 2 * COUNT + OTHER_SIDE  # a page; a history and a front end for each
    assert all(kept["deploy"] for kept in snapshots(stage.run).values())


def test_large_scripts_do_not_break_a_page(staged: Callable[..., Stage]) -> None:
    """60 definitions of 40 KB are more than the mebibyte that other replies may have."""
    stage = staged(COUNT, 0, roma_eu={"script_bytes": 40_000, "edited": (backend(1),)})
    undeployed(stage)

    looks = stage.platform.books().gateways["roma-eu"].looks
    assert looks == 3 + OTHER_SIDE  # two pages, and the history of the edited one
    assert "unpublished-edits" in snapshots(stage.run)[roma_id(1)]["obstacles"]
    assert "unpublished-edits" not in snapshots(stage.run)[roma_id(2)]["obstacles"]


@pytest.mark.parametrize("faults", [1, 2])
def test_a_page_that_faults_is_asked_for_once_more_and_no_further(
    staged: Callable[..., Stage], faults: int
) -> None:
    stage = staged(COUNT, 0)
    broken = InjectedFault(kind=FaultKind.STATUS, status=500, on=FaultScope.LOOK)
    stage.expect({"roma-eu": (broken,) * faults})
    undeployed(stage)

    asked = [entry.path.split("?")[0].split("/")[-1] for entry in stage.list_requests() if "?" in entry.path]
    assert [each for each in asked if each in ("apis", "livedata-apis")] == ["apis", "apis", "livedata-apis"]
    looks = stage.platform.books().gateways["roma-eu"].looks - OTHER_SIDE
    assert looks == (3 if faults == 1 else 3 + 2 * COUNT)
    assert set(stage.outcomes().values()) == {"undeployed"}
    assert [entry.act for entry in stage.list_requests()].count(Act.UNDEPLOY) == COUNT


def test_show_tells_what_came_off_lists_and_what_did_not(staged: Callable[..., Stage]) -> None:
    hidden = {"edited": (backend(EDITED),), "unlisted": (backend(HIDDEN),)}
    stage = staged(COUNT, 0, roma_eu=hidden)
    run = undeployed(stage)

    def show(number: int) -> str:
        return stage.undeploy("show", run, roma_id(number)).out

    shown = {number: show(number) for number in (*range(8), EDITED, HIDDEN, COUNT - 1)}
    assert shown[COUNT - 1].count(" off the gateway's lists\n") == 2
    assert re.search(r"^snapshot  up, .* with 1 read of its own$", shown[EDITED], re.MULTILINE)
    assert re.search(r"^snapshot  up, .* with \d reads of its own$", shown[HIDDEN], re.MULTILINE)
    # One of each type is compared with a read of its own.
    compared = re.findall(r"^ {10}read with (\d) reads? of its own$", "".join(shown.values()), re.MULTILINE)
    assert sum(map(int, compared)) == 5
