"""A preview's count of requests is what the run then sends, by the simulators' own books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.stage import CONCURRENCY, Stage, backend

pytestmark = pytest.mark.long("previews and runs are processes of their own")

BEST, OFF = "snapshot: best", "snapshot: off"
ALWAYS = "look: always"
UP, DOWN = tuple(map(backend, range(8, 120))), tuple(map(backend, range(8)))
MIXED = {
    "targets": UP,
    "down": DOWN,
    "edited": UP[:9],
    "unlisted": UP[9:14],
    "about": {UP[20]: BackendFixture(environments=()), UP[21]: BackendFixture(second_front=True)},
}
STEPS = "waves:\n- name: first\n  sizes: [5, 20, 100%]\n  targets:"


def foresee(stage: Stage, *options: str) -> dict[str, Any]:
    """Return the forecast of a preview of the plan."""
    ended = stage.undeploy("preview", "plan.yaml", "--format", "json", *options)
    assert ended.status == 0, ended
    forecast: dict[str, Any] = msgspec.json.decode(ended.out)["forecast"]
    return forecast


def send(stage: Stage, *options: str) -> dict[str, int]:
    """Run the plan; return what arrived, by the books."""
    before = stage.platform.books()
    ended = stage.undeploy("run", "plan.yaml", *options)
    assert ended.status in (0, 1), ended
    after = stage.platform.books()
    counts = {
        name: sum(
            getattr(after.gateways[each], name) - getattr(before.gateways[each], name)
            for each in after.gateways
        )
        for name in ("looks", "undeploys")
    }
    return {"requests": after.requests - before.requests, **counts}


def assert_told(forecast: dict[str, Any], sent: dict[str, int]) -> None:
    """Assert that what was sent was told before. A read that does not exist is no look in the books."""
    assert (forecast["requests"], forecast["undeploys"]) == (sent["requests"], sent["undeploys"])


@pytest.mark.parametrize("top", [BEST, OFF])
@pytest.mark.parametrize("keys", ["", ALWAYS])
@pytest.mark.parametrize(("roma", "fixture"), [(120, {}), (120, MIXED), (120, {"lists": "none"}), (20, {})])
def test_roma(staged: Callable[..., Stage], roma: int, fixture: dict[str, Any], keys: str, top: str) -> None:
    stage = staged(roma, 0, roma_eu=fixture)
    stage.write_plan(top=f"{top}\nstop_when: {{surprising: 100%}}", roma=keys)
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert_told(forecast, sent)


@pytest.mark.parametrize("top", [BEST, OFF])
@pytest.mark.parametrize("keys", ["", ALWAYS])
@pytest.mark.parametrize("fixture", [{}, {"report": "allowed"}])
def test_apinizer(staged: Callable[..., Stage], fixture: dict[str, Any], keys: str, top: str) -> None:
    stage = staged(0, 60, apim_fields=fixture)
    stage.write_plan(top=top, apim=keys)
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert_told(forecast, sent)


@pytest.mark.parametrize("keys", ["", ALWAYS])
def test_reads_that_are_not_offered_cost_one_for_each_worker_at_most(
    staged: Callable[..., Stage], keys: str
) -> None:
    """Two reads of an older manager are not there: each worker may find that out for itself."""
    stage = staged(0, 60, apim_fields={"looks": False})
    stage.write_plan(top=BEST, apim=keys)
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert abs(forecast["requests"] - sent["requests"]) <= 2 * CONCURRENCY["apim"]
    assert forecast["undeploys"] == sent["undeploys"] == 60


@pytest.mark.parametrize("top", [BEST, OFF])
@pytest.mark.parametrize("fixture", [{}, MIXED])
def test_with_an_approval_each_state_is_read_alone(
    staged: Callable[..., Stage], fixture: dict[str, Any], top: str
) -> None:
    stage = staged(120, 5, roma_eu=fixture)
    stage.write_plan(top=f"{top}\nstop_when: {{surprising: 100%}}")
    forecast = foresee(stage, "--save", "approval.json")
    sent = send(stage, "--approval", "approval.json")

    assert_told(forecast, sent)
    assert sent["requests"] - sent["undeploys"] > 120


@pytest.mark.parametrize("keys", ["", ALWAYS])
def test_steps_of_few_targets_share_the_lists(staged: Callable[..., Stage], keys: str) -> None:
    stage = staged(120, 0, roma_eu=MIXED)
    plan = stage.write_plan(top=f"{BEST}\nstop_when: {{surprising: 100%}}", roma=keys)
    plan.write_text(plan.read_text().replace("targets:", STEPS))
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert_told(forecast, sent)


@pytest.mark.parametrize(("keys", "most"), [("", 122), (ALWAYS, 122 + 11 * 2 + 1)])
def test_many_small_steps_share_the_lists(staged: Callable[..., Stage], keys: str, most: int) -> None:
    """Twelve steps of ten targets: three reads of each would be 360 requests more.

    Beside these come 15 reads of bindings; with looks, two lists after each step, and one after the last.
    """
    stage = staged(120, 0)
    plan = stage.write_plan(top=BEST, roma=keys)
    sizes = ", ".join(map(str, range(10, 120, 10))) + ", 100%"
    plan.write_text(plan.read_text().replace("targets:", STEPS.replace("5, 20, 100%", sizes)))
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert_told(forecast, sent)
    assert sent["undeploys"] == 120
    assert sent["requests"] == most + 15


def test_many_small_steps_share_what_hangs_on_their_front_ends(staged: Callable[..., Stage]) -> None:
    """Thirty policies cost 31 pages, three times what a step of ten targets costs alone."""
    policies = [BoundFixture(type="throttles", name=f"slow-{number}") for number in range(30)]
    about = {backend(number): BackendFixture(bound=(policies[number % 30],)) for number in range(120)}
    stage = staged(120, 0, roma_eu={"about": about})
    plan = stage.write_plan(top=BEST)
    sizes = ", ".join(map(str, range(10, 120, 10))) + ", 100%"
    plan.write_text(plan.read_text().replace("targets:", STEPS.replace("5, 20, 100%", sizes)))
    forecast = foresee(stage)
    sent = send(stage, "--yes")

    assert_told(forecast, sent)
    assert sent["undeploys"] == 120
    assert sent["requests"] == 122 + 15 + 30
