"""What hangs on front ends, as runs read and keep it, over real sockets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.bound_replies import SIGN_KEY, SIGN_SECRET
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.back import BEST, snapshots, undeployed
from tests.support.hanging import ALL, BILLING, CORS, TWO
from tests.support.stage import Stage, backend, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

REQUIRED = "snapshot: required"
COUNT = 60


def about(number: int) -> BackendFixture:
    """What a backend has beside all others: each of these ones in its own way."""
    return {
        0: BackendFixture(environments=TWO, bound=ALL),
        1: BackendFixture(bound=()),
        2: BackendFixture(environments=()),
        3: BackendFixture(second_front=True, second_bound=(CORS,)),
        4: BackendFixture(environments=TWO, bound=(msgspec.structs.replace(BILLING, environments=TWO[1:]),)),
    }[number]


FIXTURE: dict[str, Any] = {"bound": ALL, "about": {backend(number): about(number) for number in range(5)}}


def keep_bindings(stage: Stage) -> dict[str, Any]:
    """Run the plan; return what each snapshot keeps of bindings, in an order of its own."""
    undeployed(stage)
    kept = {}
    for name, snapshot in snapshots(stage.run).items():
        found = snapshot["bindings"].get("found", [])
        kept[name] = (sorted(map(json.dumps, found)), snapshot["bindings"].get("unread", []))
    return kept


def count_binding_reads(stage: Stage) -> Counter[str]:
    """Return how many reads of bindings there were from each side, and of the things themselves."""
    kinds = Counter[str]()
    for entry in stage.list_requests():
        path = entry.path.split("?")[0]
        last = path.rpartition("/")[2]
        if entry.act is Act.LOOK or "?" in entry.path:
            kinds["alone"] += last.startswith("binded-") and last != "binded-apis"
            kinds["alone"] += last == "attached-plugins"
            kinds["other side"] += last in ("binded-apis", "attached-apis")
            kinds["owners"] += last in ("apps", "throttles", "acls", "signs", "plugins")
    return kinds


@pytest.mark.promise(11)
def test_the_other_side_tells_what_single_reads_tell(staged: Callable[..., Stage]) -> None:
    """Field by field, for every sort of front end."""
    stage = staged(COUNT, 0, roma_eu=FIXTURE)
    together = keep_bindings(stage)
    counts = count_binding_reads(stage)
    alone: dict[str, Any] = {}
    for first in range(0, 6, 2):  # two targets are fewer than an other side is asked for
        stage.refill(roma_eu=FIXTURE)
        plan = stage.write_plan(top=BEST)
        ids = [option for n in (first, first + 1) for option in ("--target", roma_id(n))]
        assert stage.undeploy("run", plan, "--yes", *ids).status == 0
        for name, snapshot in snapshots(stage.run).items():
            found = snapshot["bindings"].get("found", [])
            alone[name] = (sorted(map(json.dumps, found)), snapshot["bindings"].get("unread", []))

    assert counts == {"owners": 5, "other side": 6, "alone": 5}
    assert len(alone) == 6
    for name, kept in alone.items():
        # That a backend has a second front end is told by no single read, but by the list.
        assert [each for each in together[name][0] if '"front"' not in each] == kept[0], name
    assert [len(together[roma_id(n)][0]) for n in range(6)] == [12, 0, 0, 7, 1, 6]
    assert all(not unread for _, unread in together.values())


def test_the_reads_of_bindings_are_as_many_as_the_things_and_their_pages(
    staged: Callable[..., Stage],
) -> None:
    """P13: pages + 1 for each application and policy, and a few targets that are compared."""
    stage = staged(300, 0, roma_eu={"bound": ALL})
    undeployed(stage)

    assert count_binding_reads(stage) == {"owners": 5, "other side": 6, "alone": 10}
    assert all(len(each["bindings"]["found"]) == 6 for each in snapshots(stage.run).values())


def test_where_things_are_many_single_reads_are_fewer(staged: Callable[..., Stage]) -> None:
    many = {"applications": tuple(f"app-{number}" for number in range(COUNT + 1))}
    stage = staged(COUNT, 0, roma_eu={"unbound": many, "bound": (CORS,)})
    undeployed(stage)

    assert count_binding_reads(stage) == {"owners": 5, "other side": 1, "alone": COUNT + 4}


@pytest.mark.parametrize("count", [2, COUNT])
def test_an_application_that_no_list_shows_is_kept_all_the_same(
    staged: Callable[..., Stage], count: int
) -> None:
    """A user without all grants: the front end's own read shows more than the list of applications."""
    stage = staged(count, 0, roma_eu={"bound": ALL, "foreign": ("billing",)})
    undeployed(stage)

    for name, kept in snapshots(stage.run).items():
        assert "billing" in {each["name"] for each in kept["bindings"]["found"]}, name
    if count == COUNT:
        assert "leaves out what hangs on" in json.dumps(stage.report())


@pytest.mark.parametrize("count", [2, COUNT])
@pytest.mark.parametrize("keys", [{"forbidden_types": ("plugins",)}, {"without_types": ("plugins",)}])
def test_what_may_not_be_read_is_a_gap_that_is_named(
    staged: Callable[..., Stage], keys: dict[str, Any], count: int
) -> None:
    stage = staged(count, 0, roma_eu={"bound": ALL, **keys})
    undeployed(stage)

    for kept in snapshots(stage.run).values():
        assert {each["what"] for each in kept["bindings"]["unread"]} == {"plug-in"}
        assert len(kept["bindings"]["found"]) == 5
        assert "lost-bindings" in kept["obstacles"]
    assert count_binding_reads(stage)["alone"] < 5 * 8 + 5


def test_a_required_snapshot_leaves_up_what_has_such_a_gap(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0, roma_eu={"bound": ALL, "forbidden_types": ("plugins",)})
    ended = stage.undeploy("run", stage.write_plan(top=REQUIRED), "--yes")

    assert ended.status != 0
    assert set(stage.outcomes().values()) == {"not_started"}
    for reason in stage.reasons().values():
        assert (reason or "").startswith(
            "snapshot: what hangs on its front end could not all be read: plug-in ("
        )


@pytest.mark.promise(9)
def test_no_key_and_no_secret_of_what_hangs_there_is_written(staged: Callable[..., Stage]) -> None:
    for count in (2, 5):
        stage = staged(count, 0, roma_eu={"bound": ALL})
        told = stage.undeploy(
            "run", stage.write_plan(top=BEST), "--yes", "--log-level", "debug", "--events", "events.jsonl"
        )
        written = [told.out.encode(), told.err.encode(), *(path.read_bytes() for path in stage.run.iterdir())]
        for secret in (SIGN_KEY.encode(), SIGN_SECRET.encode()):
            assert not [text for text in written if secret in text], secret


@pytest.mark.parametrize("fixture", [{"bound": ALL}, FIXTURE, {"bound": ALL, "forbidden_types": ("acls",)}])
def test_a_preview_tells_how_many_requests_that_takes(
    staged: Callable[..., Stage], fixture: dict[str, Any]
) -> None:
    stage = staged(COUNT, 0, roma_eu=fixture)
    plan = stage.write_plan(top=BEST)
    told = msgspec.json.decode(stage.undeploy("preview", plan, "--format", "json").out)
    before = stage.requests()
    assert stage.undeploy("run", plan, "--yes").status == 0

    allowed = 2 * 8 if "forbidden_types" in fixture else 0
    assert abs(stage.requests() - before - told["forecast"]["requests"]) <= allowed
