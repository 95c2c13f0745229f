"""Always an end: from whichever state of a lane, time alone brings each who asks a decision."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import (
    AccessKeys,
    LoginGranted,
    LoginPassword,
    LoginRejected,
    LoginUnclear,
    Material,
    Secret,
)
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from tests.support.engine import EPOCH, Scripted, environment, gateway, lane, played
from tests.support.examples import count_examples
from tests.support.readings import reading

PARK_FOR = 60.0
SECRET = Secret("the-password")
MATERIALS: dict[str, Material] = {
    "token": Secret("the-token"),
    "keys": AccessKeys(Secret("access"), Secret("secret")),
    "login": LoginPassword(SECRET),
}
DOUBT, REMOVED = reading(Verdict.DOUBT), reading(Verdict.REMOVED)


class ScriptedLogin:
    """A login. Its reply says in a header how long the token lasts."""

    def build_request(self, password: Secret) -> Request:
        return Request("LOGIN", "login", {})

    def read(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        if "wait" in reply.headers:
            return LoginUnclear(None, "HTTP 503", float(reply.headers["wait"]))
        lasts = float(reply.headers["lasts"])
        return LoginGranted(Secret(f"token-{lasts}"), EPOCH + anyio.current_time() + lasts)


class WithLogin(Scripted, frozen=True, kw_only=True):
    """A scripted kind that logs in."""

    KIND: ClassVar[str] = "scripted-login"

    @property
    def login(self) -> ScriptedLogin:
        return ScriptedLogin()


def lane_with(material: str, logins: Callable[[], Reply | Lost], run_gate: RunGate, **fields: Any) -> Lane:
    entry = WithLogin(**{"name": "gw", "url": "https://gw.example", "auth": gateway().auth, **fields})
    kept = MATERIALS[material]

    async def send(_: Request) -> Reply | Lost:
        await anyio.sleep(0.3)
        return logins()

    return lane(entry, environment(lambda _: kept), run_gate, material=kept, send=send)


def logged_in(lasts: float) -> Reply:
    return Reply(200, {"lasts": str(lasts)}, b"", EPOCH)


NO_LOGIN = Lost(sent=False, detail="refused")


class Step(NamedTuple):
    """Something that happens to a lane: what, of which target, with which reading, and for how long."""

    what: str
    number: int
    said: Reading
    seconds: float


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["undeploy", "undeploy", "look", "last", "list", "land", "renew", "leave", "wait"]),
        st.integers(0, 7),
        st.sampled_from(
            [
                *(reading(verdict) for verdict in Verdict if verdict is not Verdict.ELSEWHERE),
                *[DOUBT, DOUBT, reading(Verdict.UNSENT), reading(Verdict.UNCLEAR)],
                reading(Verdict.BUSY, wait=5.0),
                reading(Verdict.BUSY, wait=1e9),
            ]
        ),
        st.floats(0, 40),
    ),
    max_size=50,
)
LOGINS = st.lists(
    st.sampled_from(
        [NO_LOGIN, NO_LOGIN, Reply(503, {"wait": "1e9"}, b"", EPOCH), *map(logged_in, (-5.0, 2.0, 7200.0))]
    ),
    max_size=6,
)
TURNS = ("undeploy", "repeat", "snapshot", "look", "last", "list")


def turn_of(what: str, target: TargetId) -> AdmissionRequest:
    match what:
        case "undeploy" | "repeat":
            return AdmissionRequest(target, Act.UNDEPLOY, repeats=what == "repeat")
        case "list":
            return AdmissionRequest(target, Act.LOOK, dispensable=True)
    return AdmissionRequest(target, Act.LOOK, settling=what != "snapshot", last=what == "last")


async def happens(one_lane: Lane, step: Step, flying: dict[int, AdmissionRequest]) -> None:
    """Have something happen; who asks for admission and is not let out at once asks no more."""
    target = TargetId(f"gw/{step.number}")
    match step.what:
        case "undeploy" | "look" | "last" | "list" if step.number not in flying:
            turn = turn_of(step.what, target)
            with anyio.move_on_after(step.seconds):
                if await one_lane.admit(turn) is None:
                    flying[step.number] = turn
        case "land" if step.number in flying:
            one_lane.observe(flying.pop(step.number), step.said, anyio.current_time())
        case "renew" if one_lane.authenticator.active is not None:
            await one_lane.renew_credential(one_lane.authenticator.active.generation, step.said)
        case "leave":
            one_lane.leave(target)
        case "wait":
            await anyio.sleep(step.seconds)


@pytest.mark.promise(10)
@settings(max_examples=count_examples(3), deadline=None)
@given(
    steps=STEPS,
    logins=LOGINS,
    material=st.sampled_from(list(MATERIALS)),
    rate=st.sampled_from([None, None, 0.5, 20.0]),
    asked=st.sampled_from(TURNS),
)
def test_each_request_gets_a_decision_whatever_has_happened_and_though_nothing_is_answered(
    steps: list[Step], logins: list[Reply | Lost], material: str, rate: float | None, asked: str
) -> None:
    """Requests that are in flight stay there, and no further login is answered: time is all that passes."""

    async def main() -> float:
        told = list(logins)
        one_lane = lane_with(
            material,
            lambda: told.pop(0) if told else NO_LOGIN,
            RunGate(),
            park_for=PARK_FOR,
            limits=Limits(rate=rate),
        )
        one_lane.begin_step(8)
        flying: dict[int, AdmissionRequest] = {}
        for step in steps:
            await happens(one_lane, step, flying)
        began = anyio.current_time()
        await one_lane.admit(turn_of(asked, TargetId("gw/last")))
        return anyio.current_time() - began

    # Five logins and a pause, a park, and a slot behind each that was handed out: at the slowest, one in four
    # of the pauses that the gateway asks for.
    assert played(main) <= 20 * 4 * PARK_FOR


@pytest.mark.promise(10)
@pytest.mark.parametrize("asked", TURNS)
def test_where_no_token_can_be_had_five_logins_end_every_wait(asked: str) -> None:
    """The lane is given up, and nobody logs in for a look that is let through it."""

    async def main() -> tuple[float, str | None, int]:
        count = 0

        def login() -> Lost:
            nonlocal count
            count += 1
            return NO_LOGIN

        one_lane = lane_with("login", login, RunGate())
        refused = await one_lane.admit(turn_of(asked, TargetId("gw/a")))
        return round(anyio.current_time(), 1), refused, count

    assert played(main) == (9.5, "parked: no token could be had: refused", 5)


@pytest.mark.promise(10)
def test_logins_that_are_put_off_are_tried_for_park_for_and_no_longer() -> None:
    async def main() -> tuple[float, str | None]:
        one_lane = lane_with("login", lambda: Reply(503, {"wait": "1e9"}, b"", EPOCH), RunGate())
        refused = await one_lane.admit(turn_of("undeploy", TargetId("gw/a")))
        return round(anyio.current_time(), 1), refused

    at, refused = played(main)
    assert gateway().park_for <= at <= gateway().park_for + 1.0
    assert refused == "parked: no token could be had: HTTP 503"


def test_a_pause_of_the_run_is_no_time_of_logins_that_are_put_off() -> None:
    async def main() -> list[float]:
        run_gate, at = RunGate(), list[float]()

        def login() -> Reply:
            at.append(anyio.current_time())
            if len(at) == 1:
                run_gate.pause()
            return Reply(503, {"wait": "60"}, b"", EPOCH) if len(at) < 3 else logged_in(3600.0)

        one_lane = lane_with("login", login, run_gate)
        async with anyio.create_task_group() as group:

            async def go_on() -> None:
                await anyio.sleep(2 * gateway().park_for)
                run_gate.go_on()

            group.start_soon(go_on)
            assert await one_lane.admit(turn_of("undeploy", TargetId("gw/a"))) is None
        return at

    first, second, third = played(main)
    assert second >= 2 * gateway().park_for > first
    assert 60.0 < third - second < 61.0


def test_a_token_that_is_over_when_it_comes_is_used_until_it_is_refused() -> None:
    """The clocks differ: to log in again would give another one of the same sort, for ever."""

    async def main() -> tuple[float, str | None]:
        one_lane = lane_with("login", lambda: logged_in(-3600.0), RunGate())
        refused = await one_lane.admit(turn_of("undeploy", TargetId("gw/a")))
        return round(anyio.current_time(), 1), refused

    assert played(main) == (0.3, None)


@pytest.mark.promise(10)
def test_a_token_that_ends_before_the_next_slot_lets_each_request_go_after_its_own_login() -> None:
    """At a slow pace a slot that a login has missed is far away, and the token over when it comes."""

    async def main() -> list[float]:
        one_lane = lane_with("login", lambda: logged_in(3.0), RunGate(), limits=Limits(rate=0.1))
        at: list[float] = []

        async def worker(name: str) -> None:
            assert await one_lane.admit(turn_of("undeploy", TargetId(name))) is None
            at.append(round(anyio.current_time(), 1))

        with anyio.fail_after(600):
            async with anyio.create_task_group() as group:
                for name in ("gw/a", "gw/b", "gw/c"):
                    group.start_soon(worker, name)
        return at

    at = played(main)
    assert len(at) == 3
    assert all(10.0 <= later - before <= 30.0 for before, later in pairwise(at))


def test_a_look_that_cannot_log_in_ends_the_doubts_of_a_lane_that_was_given_up() -> None:
    async def main() -> list[str | None]:
        one_lane = lane_with("login", lambda: NO_LOGIN, RunGate())
        one_lane.state.give_up("parked: HTTP 502", 0.0)
        return [await one_lane.admit(turn_of("look", TargetId(name))) for name in ("gw/a", "gw/b")]

    assert played(main) == ["parked: HTTP 502"] * 2
