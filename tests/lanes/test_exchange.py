"""One request through a lane: what is kept, what the lane hears, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.errors import DiskError
from orchestrator.lanes.exchange import LaneQuestion, ask_target, count_as_unclear, exchange, read_answer
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.login import ActiveCredential
from orchestrator.lanes.masking import Mask
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import UNDEPLOY, Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.rules.admission import AdmissionRequest
from tests.support.engine import LOOK, Answer, Wire, environment, gateway, lane, played, script, target
from tests.support.readings import reading

REMOVED = reading(Verdict.REMOVED)
DENIED = reading(Verdict.DENIED, message="bad token")
NAME = target().id
Result = TypeVar("Result")


class Rows:
    """Keeps the rows of an exchange in a list that the wire writes to as well."""

    def __init__(self, kept: list[str], lane: Lane, *, closes: bool = False) -> None:
        self._kept = kept
        self._lane = lane
        self._closes = closes

    async def begin(self) -> None:
        await anyio.sleep(0.5)
        self._kept.append(f"intent at {anyio.current_time():g}")
        if self._closes:
            self._lane.observe(
                AdmissionRequest(NAME, Act.UNDEPLOY), reading(Verdict.ELSEWHERE, code="E.1"), 0.0
            )

    def end(self, answer: Reply | Lost, reading: Reading, seconds: float) -> Reading:
        self._kept.append(f"{reading.verdict.value} after {seconds:g}")
        return reading


def through(
    answers: Iterable[Answer],
    check: Callable[[Lane, Wire, list[str]], Result],
    *,
    closes: bool = False,
    tokens: tuple[str, ...] = ("one", "two"),
) -> tuple[Reading, Result]:
    """One undeploy through a lane; ``check`` looks at the lane afterwards."""
    wire, given, kept = Wire(script(list(answers)), takes=1.0), iter(tokens), list[str]()

    async def main() -> tuple[Reading, Result]:
        one = lane(
            gateway(),
            environment(lambda _: Secret(next(given))),
            RunGate(),
            material=Secret(next(given)),
            send=wire.send,
        )
        turn = AdmissionRequest(NAME, Act.UNDEPLOY)
        assert await one.admit(turn) is None
        rows = Rows(kept, one, closes=closes)
        exchanged = await exchange(one, turn, ask_target(one, UNDEPLOY, target()), rows)
        return exchanged.found, check(one, wire, kept)

    return played(main)


@pytest.mark.promise(5)
def test_a_request_whose_intent_became_durable_during_a_renewal_leaves_with_the_new_credential() -> None:
    """Its worker was admitted before the 401 of another one was here."""
    wire = Wire(script([REMOVED]), takes=1.0)

    async def read_again(_: Gateway) -> Secret:
        await anyio.sleep(20.0)
        return Secret("two")

    async def main() -> float:
        here = replace(environment(), credential=read_again)
        one = lane(gateway(), here, RunGate(), material=Secret("one"), send=wire.send)
        turn = AdmissionRequest(NAME, Act.UNDEPLOY)
        assert await one.admit(turn) is None
        async with anyio.create_task_group() as group:
            group.start_soon(one.renew_credential, 1, DENIED)
            await exchange(one, turn, ask_target(one, UNDEPLOY, target()), Rows([], one))
        return anyio.current_time()

    assert played(main) == 21.0
    assert wire.tokens == ["two"]


@pytest.mark.promise(2)
def test_the_intent_is_kept_before_the_request_leaves_and_the_result_after_its_reply() -> None:
    found, (times, kept) = through([REMOVED], lambda _, wire, kept: (wire.times(), kept))

    assert found == REMOVED
    assert times == [0.5]
    assert kept == ["intent at 0.5", "removed after 1"]


def test_nothing_leaves_once_the_lane_was_closed_while_the_intent_became_durable() -> None:
    found, (times, kept) = through([], lambda _, wire, kept: (wire.times(), kept), closes=True)

    assert found.verdict is Verdict.UNSENT
    assert "wrong_place" in (found.message or "")
    assert times == []
    assert kept == ["intent at 0.5", "unsent after 0"]


@pytest.mark.promise(8)
def test_a_lane_is_not_ill_because_the_run_lets_nothing_leave_any_more() -> None:
    """An interrupt meets workers whose intents become durable: none of that is a fault of the gateway."""
    wire, run_gate = Wire(script([])), RunGate()

    async def main() -> tuple[str, list[Verdict]]:
        one = lane(gateway(limits=Limits(concurrency=8)), environment(), run_gate, send=wire.send)
        one.begin_step(8)
        verdicts = list[Verdict]()

        async def send_one(seq: int) -> None:
            turn = AdmissionRequest(target(seq).id, Act.UNDEPLOY)
            assert await one.admit(turn) is None
            question = ask_target(one, UNDEPLOY, target(seq))
            exchanged = await exchange(one, turn, question, Rows([], one))
            verdicts.append(exchanged.found.verdict)

        async with anyio.create_task_group() as workers:
            for seq in range(1, 9):
                workers.start_soon(send_one, seq)
            await anyio.sleep(0.2)
            run_gate.stop("interrupt", "SIGINT was received")
        return one.state.state, verdicts

    assert played(main) == ("open", [Verdict.UNSENT] * 8)
    assert wire.times() == []


def test_a_rejected_credential_is_renewed_before_the_exchange_ends() -> None:
    found, token = through([DENIED], lambda one, _wire, _kept: one.authenticator.active)

    assert found == DENIED
    assert getattr(token, "access", None) == Secret("two")


@pytest.mark.promise(2)
def test_nothing_is_sent_where_the_intent_cannot_be_kept() -> None:
    class Full(Rows):
        async def begin(self) -> None:
            raise DiskError("disk is full")

    wire = Wire(script([]))

    async def main() -> None:
        one = lane(gateway(), environment(), RunGate(), send=wire.send)
        turn = AdmissionRequest(NAME, Act.UNDEPLOY)
        assert await one.admit(turn) is None
        with pytest.raises(DiskError):
            await exchange(one, turn, ask_target(one, UNDEPLOY, target()), Full([], one))

    played(main)
    assert wire.told == []


def test_a_reply_may_be_something_else_than_a_reading() -> None:
    wire = Wire(lambda _act, _name: reading(Verdict.UP))

    async def main() -> int | Reading:
        one = lane(gateway(), environment(), RunGate(), send=wire.send)
        turn = AdmissionRequest(NAME, Act.LOOK)
        assert await one.admit(turn) is None
        look = ask_target(one, LOOK, target())
        question = LaneQuestion[int](Act.LOOK, look.build, lambda reply: reply.status)
        return (await exchange(one, turn, question)).found

    assert played(main) == 200


@pytest.mark.promise(5)
@pytest.mark.parametrize(("status", "worked"), [(401, False), (404, True)])
def test_a_401_that_is_about_a_role_renews_nothing_and_confirms_nothing(*, status: int, worked: bool) -> None:
    async def refuse(_: Request) -> Reply:
        return Reply(status, {}, b"", 0.0)

    async def main() -> ActiveCredential | None:
        one = lane(gateway(), environment(), RunGate(), send=refuse)
        turn = AdmissionRequest(NAME, Act.LOOK)
        assert await one.admit(turn) is None
        look = ask_target(one, LOOK, target())
        question = LaneQuestion[int](Act.LOOK, look.build, lambda _: reading(Verdict.NOT_OFFERED))
        await exchange(one, turn, question)
        assert one.state.state == "open"
        return one.authenticator.active

    active = played(main)
    assert active is not None
    assert (active.worked, active.generation) == (worked, 1)


@pytest.mark.parametrize(("sent", "verdict"), [(True, Verdict.DOUBT), (False, Verdict.UNSENT)])
def test_a_request_without_a_reply_is_doubt_only_if_it_was_sent(*, sent: bool, verdict: Verdict) -> None:
    lost = Lost(sent=sent, detail="reset")
    found, _ = through([lost], lambda *_: None)

    assert found == reading(verdict, message="reset")


def test_an_answer_is_masked_whether_it_came_or_not() -> None:
    mask = Mask(["a-long-credential"])
    lost = read_answer(mask, Lost(sent=True, detail="a-long-credential"), lambda _: 1)
    told = read_answer(
        mask, Reply(200, {}, b"", 0.0), lambda _: reading(Verdict.UNCLEAR, message="a-long-credential")
    )

    assert lost == told == reading(Verdict.UNCLEAR, message="•••")


def test_an_unsent_look_tells_as_little_as_an_unclear_one() -> None:
    assert count_as_unclear(reading(Verdict.UNSENT)) == reading(Verdict.UNCLEAR)
    up = reading(Verdict.UP)
    assert count_as_unclear(up) is up
