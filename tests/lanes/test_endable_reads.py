"""Reads that end with the run: at once, counted, and without a word against the gateway."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import anyio
import pytest

from orchestrator.lanes.exchange import ExchangeResult, ask_target, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import LoginPassword, Material, Secret
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Reading
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.forecast import LOOKS_PAST_CLOSE
from tests.lanes.test_lane_ends import WithLogin
from tests.support.engine import LOOK, Heard, environment, gateway, lane, played, target

STOPPED_AT, CLOSES, TIMEOUT, HANGS = 10.0, 1000.0, 30.0, 5000.0
TOKEN = Secret("the-token")


class Read(NamedTuple):
    """How one read ended that no gateway answers, when, and what the lane told of it."""

    result: ExchangeResult[Reading] | None
    at: float
    heard: Heard
    lane: Lane


def read(
    stop: Callable[[RunGate], None], *, dispensable: bool = True, settling: bool = False, cut: bool = False
) -> Read:
    """Make one read of a gateway that hangs; ``stop`` is called after a while. ``cut``: a second signal."""
    gate, heard = RunGate(closes=CLOSES), Heard()
    results: list[ExchangeResult[Reading]] = []

    async def hang(_: Request) -> Lost:
        await anyio.sleep(HANGS)
        return Lost(sent=True, detail="no reply")

    async def ask(one: Lane) -> None:
        admission = AdmissionRequest(target().id, Act.LOOK, settling=settling, dispensable=dispensable)
        assert await one.admit(admission) is None
        results.append(await exchange(one, admission, ask_target(one, LOOK, target())))

    async def main() -> tuple[float, Lane]:
        one = lane(gateway(timeout=TIMEOUT), environment(), gate, heard, send=hang)
        async with anyio.create_task_group() as group:
            group.start_soon(ask, one)
            await anyio.sleep(STOPPED_AT)
            stop(gate)
            if cut:
                group.cancel_scope.cancel()
        return anyio.current_time(), one

    at, one = played(main)
    return Read(results[0] if results else None, at, heard, one)


def interrupt(gate: RunGate) -> None:
    gate.stop("interrupt", "SIGINT was received")


def end(gate: RunGate) -> None:
    gate.stop("control", "an operator")


def go_on(_: RunGate) -> None:
    """Stop nothing."""


@pytest.mark.promise(8)
@pytest.mark.parametrize("stop", [interrupt, end])
def test_a_read_that_nobody_needs_any_more_ends_at_once_and_is_counted(
    stop: Callable[[RunGate], None],
) -> None:
    found = read(stop)

    assert found.at == STOPPED_AT
    assert found.result is not None
    assert found.result.was_ended
    assert found.heard.requests == 1
    assert (found.lane.state.state, found.heard.states, found.heard.warnings) == ("open", [], [])


@pytest.mark.promise(7)
@pytest.mark.parametrize(("settling", "ends"), [(False, CLOSES - TIMEOUT), (True, CLOSES + LOOKS_PAST_CLOSE)])
def test_a_read_ends_when_the_window_lets_nothing_follow_from_it(*, settling: bool, ends: float) -> None:
    found = read(go_on, settling=settling)

    assert found.at == pytest.approx(ends)
    assert found.heard.requests == 1


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("stop", "ends"),
    [(interrupt, STOPPED_AT), (end, CLOSES + LOOKS_PAST_CLOSE), (RunGate.pause, CLOSES + LOOKS_PAST_CLOSE)],
)
def test_a_list_that_settles_doubts_goes_on_where_looks_may(
    stop: Callable[[RunGate], None], ends: float
) -> None:
    assert read(stop, settling=True).at == pytest.approx(ends)


def test_a_pause_ends_no_read() -> None:
    assert read(RunGate.pause).at == pytest.approx(CLOSES - TIMEOUT)


@pytest.mark.promise(2)
def test_a_look_at_one_target_lands() -> None:
    found = read(interrupt, dispensable=False)

    assert found.at == HANGS
    assert found.result is not None
    assert not found.result.was_ended


def test_a_second_signal_loses_no_count_of_a_read() -> None:
    found = read(go_on, cut=True)

    assert found.at == STOPPED_AT
    assert found.heard.requests == 1


def test_a_second_signal_loses_no_count_of_a_login() -> None:
    heard = Heard()

    async def hang(_: Request) -> Reply | Lost:
        await anyio.sleep(HANGS)
        raise AssertionError("it was cut off")

    def give(material: Material, _: object) -> Material:
        return material

    async def main() -> None:
        material = LoginPassword(Secret("the-password"))
        entry = WithLogin(name="gw", url="https://gw.example", auth=gateway().auth)
        here = environment(partial(give, material))
        one = lane(entry, here, RunGate(), heard, material=material, send=hang)
        with anyio.move_on_after(STOPPED_AT):
            await one.admit(AdmissionRequest(target().id, Act.LOOK))

    played(main)
    assert heard.requests == 1
