"""The order in which things go: steps, pauses, questions, and what comes after what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.engine.control_commands import ContinueRun
from orchestrator.errors import RunError
from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.stage import Stage, apim_id, backend, roma_id, until
from tests.support.terminal import ShellSession

pytestmark = pytest.mark.long("waits for pauses on the real clock")

REFUSED = InjectedFault(kind=FaultKind.STATUS, status=403, times=0)


def _plan(stage: Stage, waves: str) -> Path:
    """Write a plan with these waves in the place of its targets."""
    plan = stage.write_plan()
    head, _, _ = plan.read_text().partition("targets:")
    plan.write_text(f"{head}waves:\n{waves}")
    return plan


def _wave(name: str, *entries: str, **keys: str) -> str:
    more = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return f"- name: {name}\n{more}  targets:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


def _roma(*numbers: int, after: str = "") -> str:
    ids = ", ".join(f"'{backend(number)}'" for number in numbers)
    return f"gateway: roma-eu, ld_api_ids: [{ids}]" + (f", after: [{after}]" if after else "")


def _apim(*numbers: int, after: str = "") -> str:
    proxies = ", ".join(f"proxy-{number}" for number in numbers)
    entry = f"gateway: apim, project: Retail, proxies: [{proxies}], environment: test"
    return entry + (f", after: [{after}]" if after else "")


def _arrived(stage: Stage) -> dict[str, float]:
    """When the first undeploy of each target arrived."""
    times: dict[str, float] = {}
    for seen in stage.list_requests():
        if seen.act is Act.UNDEPLOY and seen.target:
            times.setdefault(seen.target, seen.at)
    return times


def _continues(stage: Stage) -> bool:
    """Tell whether the newest run was waiting, and goes on."""
    with suppress(RunError):  # it is just starting
        return stage.steer(ContinueRun()) == "it goes on"
    return False


def _not_started(stage: Stage) -> Mapping[str, str]:
    reasons = stage.reasons()
    return {name: reasons[name] for name, outcome in stage.outcomes().items() if outcome == "not_started"}


def test_steps_grow_and_each_ends_before_the_next(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10, latency=0.1)
    waves = _wave("all", _roma(*range(20)), _apim(*range(10)), sizes="[1, 10%, 100%]", pause_after="400ms")
    ended = stage.undeploy("run", _plan(stage, waves), "--yes")
    times = sorted(_arrived(stage).values())

    assert ended.status == 0, ended.err
    assert len(times) == 30
    rests = [number for number in range(1, 30) if times[number] - times[number - 1] > 0.45]
    assert {1, 3} <= set(rests)  # 1, then up to a tenth of 30, then all
    assert times[1] - times[0] >= 0.5
    assert times[3] - times[2] >= 0.5


def test_a_canary_that_fails_stops_the_rest(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 4)
    stage.expect({apim_id(0): (REFUSED,)})
    plan = _plan(stage, _wave("canary", _apim(0)) + _wave("all", _roma(*range(6)), _apim(1, 2, 3)))
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 4, ended.err
    assert stage.requests() == 1
    assert len(_not_started(stage)) == 9
    assert {reason.partition(":")[0] for reason in _not_started(stage).values()} == {"stop_rule"}
    assert stage.report()["run"]["stopped_by"].startswith("stop_rule: ")


def test_without_a_terminal_a_question_waits_for_control(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    plan = _plan(stage, _wave("one", _apim(0, 1, 2), proceed="ask") + _wave("two", _roma(0, 1, 2)))
    with stage.started("run", plan, "--yes", "--events", "events") as process:
        events = stage.folder / "events"
        until(lambda: events.exists() and '"why":"proceed"' in events.read_text())
        time.sleep(0.3)
        waiting = stage.requests()
        assert process.poll() is None
        answer = stage.steer(ContinueRun())
        _, err = process.communicate(timeout=20)

    assert waiting == 3
    assert answer == "it goes on"
    assert "wave one has ended: `undeploy control " in err
    assert process.returncode == 0, err
    assert stage.requests() == 6


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_question_at_a_terminal_shows_what_became_of_the_wave(
    staged: Callable[..., Stage], answer: str
) -> None:
    stage = staged(3, 3)
    plan = _plan(stage, _wave("canary", _apim(0, 1, 2), proceed="ask") + _wave("two", _roma(0, 1, 2)))
    plan.write_text(plan.read_text().replace("gateways:", "stop_when: {failed: 100%}\ngateways:"))
    stage.expect(script={apim_id(1): (REFUSED,)})
    with ShellSession(90, 24, stage.folder, stage.env) as session:
        session.undeploy("run", "plan.yaml", "--yes")
        session.wait_for(lambda shown: any(line.startswith("y goes on") for line in shown.lines))
        # A person needs longer, too: the echo of a key must not come in the middle of the first drawing.
        session.wait(0.5)
        asked, echoes = " ".join(session.shown.lines), session.echoes
        session.type(f"{answer}\r")
        session.wait_for(lambda shown: not shown.is_alternate and "reports: " in "\n".join(shown.lines))

    assert "wave canary has ended: 2 of 3 down, 1 failed (forbidden); go on with the next?" in asked
    assert "✗ 1 failed  forbidden: User does not have required permission" in asked

    assert echoes
    assert stage.requests() == (6 if answer == "y" else 3)


def test_a_question_that_nobody_answers_ends_with_the_window(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    plan = _plan(stage, _wave("one", _apim(0, 1, 2), proceed="ask") + _wave("two", _roma(0, 1, 2)))
    plan.write_text(plan.read_text().replace("auth:", "timeout: 500ms, auth:"))
    now = datetime.now(UTC)
    window = "/".join((now + timedelta(seconds=seconds)).isoformat() for seconds in (-1, 4))
    ended = stage.undeploy("run", plan, "--yes", "--window", window)
    reasons = _not_started(stage)
    resume = stage.started("resume", "latest", "--close-at", f"{now + timedelta(hours=1):%H:%M}Z")
    with resume as process:
        until(lambda: _continues(stage))  # the question is asked again
        _, err = process.communicate(timeout=20)

    assert ended.status == 4, ended.err
    assert {*reasons} == {*map(roma_id, range(3))}
    assert {reason.partition(":")[0] for reason in reasons.values()} == {"window"}
    assert process.returncode == 0, err
    assert stage.requests() == 6


def test_what_comes_after_another_waits_for_it_across_gateways(staged: Callable[..., Stage]) -> None:
    stage = staged(12, 6, latency=0.1)
    plan = _plan(
        stage,
        _wave(
            "all",
            _roma(0, after=apim_id(0)),
            _roma(*range(1, 12)),
            _apim(0, after=roma_id(1)),
            _apim(*range(1, 6)),
        ),
    )
    ended = stage.undeploy("run", plan, "--yes")
    times = _arrived(stage)

    assert ended.status == 0, ended.err
    assert times[apim_id(0)] >= times[roma_id(1)] + 0.1
    assert times[roma_id(0)] >= times[apim_id(0)] + 0.1
    assert stage.requests() == 18


def test_a_failed_predecessor_holds_back_what_comes_after_it(staged: Callable[..., Stage]) -> None:
    stage = staged(8, 4)
    stage.expect({apim_id(0): (REFUSED,)})
    plan = _plan(
        stage,
        _wave(
            "all",
            _roma(0, after=apim_id(0)),
            _roma(1, after=roma_id(0)),
            _roma(*range(2, 8)),
            _apim(0, 1, 2, 3),
        ),
    )
    ended = stage.undeploy("run", plan, "--yes")
    held, sent = _not_started(stage), stage.requests()
    again, idle = stage.undeploy("resume", "latest"), stage.requests()
    stage.expect()
    mended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended.err
    assert {*held} == {roma_id(0), roma_id(1)}
    assert all(reason.startswith("dependency: ") for reason in held.values())
    assert apim_id(0) in held[roma_id(0)]
    assert "see to that one first" in ended.err
    assert (again.status, idle) == (1, sent)
    assert mended.status == 0, mended.err
    times = _arrived(stage)
    assert times[apim_id(0)] < times[roma_id(0)] < times[roma_id(1)]


def test_a_predecessor_that_is_mended_lets_a_resume_go_on(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    stage.expect(
        {"apim": (InjectedFault(kind=FaultKind.ELSEWHERE, times=0),)}
    )  # the wrong place: its lane closes
    plan = _plan(stage, _wave("all", _roma(0, after=apim_id(0)), _roma(1, 2, 3), _apim(0, 1, 2, 3)))
    ended = stage.undeploy("run", plan, "--yes")
    left = _not_started(stage)
    stage.expect()
    resumed = stage.undeploy("resume", "latest")
    times = _arrived(stage)

    assert ended.status == 4, ended.err
    assert {*left} == {roma_id(0), *map(apim_id, range(4))}
    assert resumed.status == 0, resumed.err
    assert times[apim_id(0)] < times[roma_id(0)]
    stage.assert_truth()
