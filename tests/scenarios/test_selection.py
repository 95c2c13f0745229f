"""Which targets are touched, and when: judged by what arrives at the platforms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from .stage import Stage, apim_id, backend, roma_id, until


def _down(stage: Stage) -> set[str]:
    return {name for name, facts in stage.platform.books().targets.items() if facts.down}


@pytest.mark.parametrize(
    ("options", "down"),
    [
        (("--only", "apim/**"), {apim_id(number) for number in range(4)}),
        (("--only", "apim/*"), None),
        (("--skip", "apim/Retail/*-2/test"), {*map(roma_id, range(4)), *map(apim_id, (0, 1, 3))}),
        (("--skip", "roma-eu/*", "--skip", "**/proxy-0/test"), {*map(apim_id, (1, 2, 3))}),
        (("--only", "**/proxy-1/*", "--only", roma_id(2)), {apim_id(1), roma_id(2)}),
        (("--wave", "second"), {apim_id(number) for number in range(4)}),
        (("--wave", "second", "--only", "roma-eu/*"), None),
        (("--wave", "third"), None),
        (("--target", apim_id(3)), {apim_id(3)}),
        (("--target", apim_id(3), roma_id(0)), {apim_id(3), roma_id(0)}),
        (("--targets-from", "ids"), {apim_id(2), roma_id(1)}),
        (("--targets-from", "ids", "--skip", "roma-eu/*"), {apim_id(2)}),
        (("--target", "apim/Retail/proxy-1"), None),
        (("--target", "nowhere/x"), None),
        (("--targets-from", "none"), None),
    ],
)
def test_what_is_chosen_is_touched_and_nothing_else(
    staged: Callable[..., Stage], options: tuple[str, ...], down: set[str] | None
) -> None:
    stage = staged(4, 4)
    (stage.folder / "ids").write_text(f"# two\n{apim_id(2)}\n\n{roma_id(1)}\n")
    ended = stage.undeploy("run", stage.write_plan(waves=True), "--yes", *options)

    assert ended.status == (2 if down is None else 0), ended.err
    assert _down(stage) == (down or set())
    assert stage.requests() == len(down or ())
    if down is None:
        assert ended.out == ""
        assert len(ended.err.splitlines()) == 1
        assert not stage.has_run


def test_a_resume_only_narrows_the_filters_of_its_run(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    stage.expect({"apim": ("elsewhere",) * 99})
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--only", "apim/**")
    stage.expect()
    narrowed = stage.undeploy("resume", "latest", "--only", "**/proxy-0/test")
    some = _down(stage)
    missed = stage.undeploy("resume", "latest", "--only", "roma-eu/*")
    rest = stage.undeploy("resume", "latest")

    assert ended.status == 4, ended.err
    assert (narrowed.status, some) == (4, {apim_id(0)}), narrowed.err
    assert missed.status == 2, missed.err
    assert rest.status == 0, rest.err
    assert _down(stage) == {apim_id(number) for number in range(4)}


def test_what_is_protected_is_never_touched(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    plan = stage.write_plan(top="protect: ['apim/Retail/proxy-0/*', 'roma-eu/*1']")
    ended = stage.undeploy("run", plan, "--yes", "--target", apim_id(0), roma_id(1), roma_id(2))

    assert ended.status == 0, ended.err
    assert _down(stage) == {roma_id(2)}


def _window(opens: float, closes: float) -> str:
    now = datetime.now(UTC)
    return "/".join((now + timedelta(seconds=seconds)).isoformat() for seconds in (opens, closes))


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("opens", "closes", "told"),
    [(3600, 7200, "--wait"), (-60, 10, "no longer fits")],
)
def test_outside_its_window_nothing_is_sent(
    staged: Callable[..., Stage], opens: float, closes: float, told: str
) -> None:
    stage = staged(4, 4)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--window", _window(opens, closes))

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert told in ended.err
    assert not stage.has_run


def test_a_run_waits_for_its_window_and_can_be_interrupted_there(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    plan = stage.write_plan()
    with stage.started(
        "run", plan, "--yes", "--wait", "--window", _window(3600, 7200), "--events", "events"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run: ")
        until((stage.folder / "events").exists)
        until(lambda: "run_started" in (stage.folder / "events").read_text())
        process.terminate()
        _, err = process.communicate(timeout=10)
    waited = stage.undeploy("resume", "latest", "--wait", "--window", _window(1.5, 600))

    assert process.returncode == 130, err
    assert waited.status == 0, waited.err
    assert len(_down(stage)) == 8


@pytest.mark.promise(7)
def test_a_window_that_closes_leaves_the_rest_for_the_next_one(staged: Callable[..., Stage]) -> None:
    stage = staged(40, 0, latency=0.3)
    keys = "timeout: 1s, limits: {concurrency: 4}"
    ended = stage.undeploy("run", stage.write_plan(roma=keys), "--yes", "--window", _window(-1, 2.6))
    closed = datetime.now(UTC)
    refused = stage.undeploy("resume", "latest")
    some = len(_down(stage))
    resumed = stage.undeploy("resume", "latest", "--close-at", f"{closed + timedelta(hours=1):%H:%M}Z")

    assert ended.status == 4, ended.err
    assert 0 < some < 40
    assert "--window" in ended.err
    assert refused.status == 2, refused.err
    assert resumed.status == 0, resumed.err
    assert len(_down(stage)) == 40


def test_a_closing_time_that_has_passed_sends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    passed = datetime.now(UTC) - timedelta(hours=2)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--close-at", f"{passed:%H:%M}Z")

    assert (ended.status, stage.requests()) == (2, 0)
    assert "has passed" in ended.err


@pytest.mark.parametrize("old", [False, True])
def test_what_is_down_already_is_looked_at_and_not_sent_to(staged: Callable[..., Stage], old: bool) -> None:
    stage = staged(6, 6)
    down = range(3)
    stage.seed(
        roma_eu={"targets": tuple(map(backend, range(3, 6))), "down": tuple(map(backend, down))},
        apim_fields={
            "targets": tuple(("Retail", f"proxy-{number}", "test") for number in range(3, 6)),
            "down": tuple(("Retail", f"proxy-{number}", "test") for number in down),
            "looks": not old,
            "histories": not old,
        },
    )
    plan = stage.write_plan(roma="look: always", apim="look: always", top="stop_when: {surprising: 100%}")
    ended = stage.undeploy("run", plan, "--yes")
    books, outcomes = stage.platform.books(), stage.outcomes()

    assert ended.status == 0, ended.err
    stage.assert_truth()
    sent = {name for name, facts in books.targets.items() if facts.undeploys}
    up = {*map(roma_id, range(3, 6)), *map(apim_id, range(3, 6))}
    assert sent == up
    assert {name for name in outcomes if outcomes[name] == "already_undeployed"} == set(stage.ids) - up
    assert all(books.targets[name].looks >= 2 for name in up)
