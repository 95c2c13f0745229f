"""The window of one session."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from orchestrator.engine.window import SessionWindow, refuse_outside_window
from orchestrator.errors import UsageError
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, RunContinued, RunWaiting
from orchestrator.model.plan import Window
from tests.support.engine import EPOCH, environment, gateway, lane, played


def window_of(opens: float | None, closes: float | None) -> Window:
    """A window in seconds after the beginning of the virtual clock."""
    instants = (None if at is None else datetime.fromtimestamp(EPOCH + at, UTC) for at in (opens, closes))
    return Window(*instants)


@pytest.mark.parametrize(
    ("window", "wait", "refusal"),
    [
        (None, False, None),
        (window_of(None, None), False, None),
        (window_of(10.0, None), True, None),
        (window_of(-10.0, None), True, None),
        (None, True, "--wait waits for a window to open, and none is given: write opens in the plan, or"),
        (
            window_of(None, 99.0),
            True,
            "--window in place of --close-at; or leave --wait out to begin at once",
        ),
        (window_of(10.0, None), False, "--wait waits for it, --window or --close-at gives another one"),
        (window_of(-10.0, 31.0), False, None),
        (window_of(-10.0, 29.0), False, "one timeout (30 s) no longer fits"),
        (window_of(-9e6, -86400.0 * 6.5), False, "the window closed 6 days ago (at "),
        (window_of(10.0, 40.0), True, None),
        (
            window_of(10.0, 39.0),
            True,
            "open for 29 s, and one timeout (30 s) does not fit in; --window or",
        ),
        (
            window_of(10.0, 39.0),
            False,
            "open for 29 s, and one timeout (30 s) does not fit in; --window or",
        ),
    ],
)
def test_a_session_begins_only_where_its_window_lets_an_undeploy_start(
    window: Window | None, wait: bool, refusal: str | None
) -> None:
    if refusal is None:
        refuse_outside_window(window, EPOCH, wait=wait, takes=30.0)
        return
    with pytest.raises(UsageError) as raised:
        refuse_outside_window(window, EPOCH, wait=wait, takes=30.0)
    assert refusal in str(raised.value)


def test_a_session_waits_for_its_window_and_tells_it() -> None:
    events: list[AnyEvent] = []

    async def main() -> float:
        here = environment()
        await SessionWindow(window_of(90.0, None), here).wait_until_open(RunGate(), events.append)
        return here.monotonic()

    assert played(main) == 90.0
    assert events == [
        RunWaiting(at=EPOCH, why="window", until=EPOCH + 90.0),
        RunContinued(at=EPOCH + 90.0),
    ]


def test_a_pause_during_the_wait_is_told_again_once_the_window_is_open() -> None:
    events: list[AnyEvent] = []

    async def main() -> None:
        here, run_gate = environment(), RunGate()
        run_gate.pause()
        await SessionWindow(window_of(90.0, None), here).wait_until_open(run_gate, events.append)

    played(main)
    assert events[1:] == [RunContinued(at=EPOCH + 90.0), RunWaiting(at=EPOCH + 90.0, why="paused")]


@pytest.mark.parametrize(("step", "opened"), [(-60.0, 150.0), (50.0, 40.0), (70.0, 40.0)])
def test_a_clock_that_is_set_during_the_wait_decides_when_the_window_opens_and_closes(
    step: float, opened: float
) -> None:
    """A host comes up with a wrong clock, and the network's time sets it half a minute later."""

    async def main() -> tuple[float, float]:
        here, run_gate = environment(), RunGate(closes=900.0)

        def tell() -> float:
            return here.now() + (step if here.monotonic() >= 30.0 else 0.0)

        window = SessionWindow(window_of(90.0, 900.0), replace(here, now=tell))
        await window.wait_until_open(run_gate, lambda _: None)
        return here.monotonic(), run_gate.closes

    assert played(main) == (opened, 900.0 - step)


def test_a_stopped_run_does_not_wait_for_its_window() -> None:
    events: list[AnyEvent] = []

    async def main() -> float:
        here, run_gate = environment(), RunGate()
        run_gate.stop("interrupt", "SIGTERM was received")
        await SessionWindow(window_of(90.0, None), here).wait_until_open(run_gate, events.append)
        return here.monotonic()

    assert (played(main), events) == (0.0, [])


def test_a_lane_is_warned_when_its_last_start_has_passed_already() -> None:
    """Another gateway of the run may have a shorter timeout, so that the session begins all the same."""

    async def main() -> tuple[list[str], list[str]]:
        here, run_gate = environment(), RunGate()
        slow, quick = (lane(gateway(timeout=seconds), here, run_gate) for seconds in (150.0, 30.0))
        window = SessionWindow(window_of(None, 100.0), here)
        return list(window.list_warnings(slow)), list(window.list_warnings(quick))

    slow, quick = played(main)
    assert quick == []
    assert len(slow) == 1
    assert slow[0].endswith("before it closes, so nothing of it is started in this session")


def test_the_close_of_a_window_is_found_on_the_clock_that_never_jumps() -> None:
    async def main() -> tuple[float | None, float | None]:
        here = environment()
        windows = (window_of(None, 60.0), window_of(None, None))
        open_window, unbounded = (SessionWindow(window, here) for window in windows)
        return open_window.close_on_monotonic_clock(), unbounded.close_on_monotonic_clock()

    assert played(main) == (60.0, None)
