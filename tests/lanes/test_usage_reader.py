"""The use of targets as a lane reads it: once for all where that is offered, and never for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import msgspec
import pytest

from orchestrator.lanes.exchange import ask_target, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.usage_reader import LONGEST_SHARED, UsageAnswer, UsageReader
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.usage_outage import LONGEST_PROBE
from tests.simulation.clock import stand_still
from tests.support.counted_kind import ASKED_OF_ALL, ASKED_OF_ONE, Answers, Counted, CountedUsage, calls
from tests.support.engine import Answer, Heard, Wire, environment, gateway, lane, played, target
from tests.support.readings import reading

LOST = Lost(sent=True, detail="no reply within 30 s")
REFUSED = reading(Verdict.NOT_OFFERED, code="APIG.1005", message="No permission")
HOURS = 72


def asking(one: Lane, about: Target) -> Callable[[Operation], Awaitable[UsageAnswer | str]]:
    async def ask(operation: Operation) -> UsageAnswer | str:
        admission = AdmissionRequest(about.id, Act.LOOK)
        if refused := await one.admit(admission):
            return refused
        exchanged = await exchange(one, admission, ask_target(one, operation, about))
        status = exchanged.answer.status if isinstance(exchanged.answer, Reply) else None
        assert not isinstance(exchanged.found, str)
        return UsageAnswer(exchanged.found, status)

    return ask


def read_all(
    count: int,
    answers: Answers,
    *,
    shared: bool = False,
    silent: bool = False,
    every: float = 0.0,
    takes: float = 0.0,
    patience: float = 0.0,
    stops_at: float | None = None,
    stands_still_at: float | None = None,
) -> tuple[list[Usage | str], Wire, Heard]:
    """Read the use of so many targets; ``every``: one after the other, so many seconds apart.

    ``stands_still_at``: when the process is stopped for 700 s.
    """
    wire, heard, found = Wire(answers, takes), Heard(), dict[int, Usage | str]()

    async def main() -> None:
        fields = {f: getattr(gateway(), f) for f in ("name", "url", "auth")}
        entry = Counted(**fields, is_shared=shared, is_silent=silent)
        run_gate = RunGate()
        one = lane(entry, environment(), run_gate, heard, send=wire.send)
        one.begin_step(count)
        reader = UsageReader(one, HOURS, patience)

        async def read(seq: int) -> None:
            about = target(seq)
            found[seq] = await reader.read(about, None, asking(one, about))

        async def stop() -> None:
            await anyio.sleep(stops_at or 0.0)
            run_gate.stop("interrupt", "SIGINT was received")

        async def stop_process(at: float) -> None:
            await anyio.sleep(at)
            stand_still(700.0)

        async with anyio.create_task_group() as group:
            if stands_still_at is not None:
                group.start_soon(stop_process, stands_still_at)
            if stops_at is not None:
                group.start_soon(stop)
            for seq in range(1, count + 1):
                if every:
                    await read(seq)
                    await anyio.sleep(every)
                else:
                    group.start_soon(read, seq)

        if stops_at is not None:
            assert anyio.current_time() < stops_at + 1.0, "a run that stops waits for nothing"

    played(main)
    return [found[seq] for seq in sorted(found)], wire, heard


def asked(wire: Wire) -> list[str]:
    return [address for _, _, address in wire.told]


def in_all(**counts: int) -> Answer:
    return reading(Verdict.TOLD, kept={f"gw/{name}": count for name, count in counts.items()})


def test_one_read_tells_of_all_targets_and_the_others_are_read_alone() -> None:
    found, wire, heard = read_all(
        3, lambda _, url: in_all(t1=4, t2=0) if url == ASKED_OF_ALL else calls(7), shared=True, takes=1.0
    )

    assert [usage.calls for usage in found if isinstance(usage, Usage)] == [4, 0, 7]
    assert asked(wire) == [ASKED_OF_ALL, f"{ASKED_OF_ONE}gw/t3"]
    assert heard.requests == 1
    assert heard.lists == ["reads its statistics of everything", None]


def test_a_shared_read_is_believed_for_half_of_the_time_that_a_target_may_wait() -> None:
    _, wire, _ = read_all(7, lambda *_: in_all(**{f"t{n}": 0 for n in range(9)}), shared=True, every=60.0)

    assert [at for at, _, _ in wire.told] == [0.0, 180.0, 360.0]


@pytest.mark.promise(10)
def test_shared_reads_that_are_old_when_they_end_are_given_up_for_a_while() -> None:
    """Or each target would make all of them again, and find them too old."""
    told = in_all(**{f"t{number}": 0 for number in range(9)})
    found, wire, heard = read_all(
        9, lambda _, url: told if url == ASKED_OF_ALL else calls(1), shared=True, takes=LONGEST_SHARED + 1
    )

    assert asked(wire).count(ASKED_OF_ALL) == 1
    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {1}
    assert any("took more than 240 s" in each for each in heard.warnings)


def test_a_shared_read_that_is_refused_is_asked_for_once() -> None:
    found, wire, _ = read_all(
        9, lambda _, url: REFUSED if url == ASKED_OF_ALL else calls(1), shared=True, every=100.0
    )

    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {1}
    assert asked(wire).count(ASKED_OF_ALL) == 1


def test_without_the_shared_read_each_target_is_read_alone() -> None:
    found, wire, _ = read_all(5, lambda _, url: LOST if url == ASKED_OF_ALL else calls(1), shared=True)

    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {1}
    assert asked(wire).count(ASKED_OF_ALL) == 2  # once more after the fault


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    "fault", [LOST, reading(Verdict.BUSY, message="too many", wait=1.0)], ids=["lost", "busy"]
)
def test_dead_statistics_cost_a_few_targets_a_few_requests_each(fault: Answer) -> None:
    found, wire, heard = read_all(100, lambda *_: fault, every=1.0)

    assert all(isinstance(usage, Usage) and usage.calls is None and usage.why for usage in found)
    assert len(wire.told) <= 5 * 4
    assert heard.warnings == [text for text in heard.warnings if "is not told" in text]
    assert len(heard.warnings) == 1


def test_the_lane_asks_again_later_where_statistics_were_dead() -> None:
    dead = iter([LOST] * 10)
    found, _, _ = read_all(40, lambda *_: next(dead, calls(3)), every=20.0)

    told = [usage.calls for usage in found if isinstance(usage, Usage)]
    assert told[:5] == [None] * 5
    assert told[-10:] == [3] * 10


def test_a_passing_fault_is_asked_once_more() -> None:
    answers = iter([LOST, calls(3)])
    found, _, _ = read_all(1, lambda *_: next(answers))

    assert [usage.calls for usage in found if isinstance(usage, Usage)] == [3]


def test_a_read_that_is_not_offered_is_asked_of_one_target_alone() -> None:
    found, wire, _ = read_all(9, lambda *_: REFUSED, every=1.0)

    assert {usage.why for usage in found if isinstance(usage, Usage)} == {"APIG.1005 No permission"}
    assert len(wire.told) == 1


def test_a_refusal_after_an_answer_is_about_that_target_alone() -> None:
    answers = iter([calls(1), REFUSED, calls(2)])
    found, _, _ = read_all(3, lambda *_: next(answers), every=1.0)

    assert [usage.calls for usage in found if isinstance(usage, Usage)] == [1, None, 2]


def test_a_kind_that_does_not_tell_calls_says_so() -> None:
    async def main() -> Usage | str:
        one = lane(gateway(), environment(), RunGate(), send=None)
        return await UsageReader(one, HOURS).read(target(), None, asking(one, target()))

    assert played(main) == Usage(hours=HOURS, why="its gateway does not tell it")


@pytest.mark.promise(9)
def test_a_caller_whose_name_repeats_a_credential_is_masked() -> None:
    (found,), _, _ = read_all(1, lambda *_: calls(1, "web-shop", "the-token"))

    assert isinstance(found, Usage)
    assert found.callers[0] == "web-shop"
    assert "the-token" not in repr(found)


def dead_until(end: float) -> Answers:
    """Return answers that fail until so many seconds have gone by."""
    return lambda *_: LOST if anyio.current_time() < end else calls(3)


def test_targets_wait_for_the_end_of_an_outage_while_one_of_them_asks() -> None:
    found, wire, heard = read_all(40, dead_until(100.0), takes=0.1, patience=600.0)

    told = [usage.calls for usage in found if isinstance(usage, Usage)]
    assert told.count(3) >= 40 - 4
    assert 100.0 < wire.told[-1][0] < 160.0
    assert sum(5.0 < at < 100.0 for at, _, _ in wire.told) <= 2 * 6
    assert len(heard.warnings) == 1
    assert "waits for the reads of its use" in heard.lists


@pytest.mark.promise(10)
def test_statistics_that_stay_dead_are_waited_for_once() -> None:
    found, wire, _ = read_all(60, dead_until(1e9), takes=0.1, patience=600.0)

    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {None}
    assert 500.0 < wire.told[-1][0] < 620.0
    assert sum(at > 5.0 for at, _, _ in wire.told) <= 2 * 15


def test_a_process_that_stood_still_in_an_outage_asks_once_more_before_it_leaves_all_targets() -> None:
    found, _, _ = read_all(40, dead_until(100.0), takes=0.1, patience=600.0, stands_still_at=30.0)

    told = [usage.calls for usage in found if isinstance(usage, Usage)]
    assert told.count(3) >= 40 - 4


@pytest.mark.promise(10)
def test_an_interrupt_ends_the_wait_for_the_end_of_an_outage() -> None:
    found, wire, _ = read_all(40, dead_until(1e9), takes=0.1, patience=600.0, stops_at=30.0)

    assert "interrupt: SIGINT was received" in found
    assert wire.told[-1][0] < 31.0


def test_a_target_that_is_skipped_waits_no_more_for_the_end_of_an_outage() -> None:
    """Nor does it take the turn of one that is to ask: others wait for the answer."""
    wire, ends = Wire(dead_until(200.0), 0.1), dict[int, float]()

    async def main() -> None:
        run_gate = RunGate(matcher=lambda texts: lambda name: name if name in texts else None)
        fields = {f: getattr(gateway(), f) for f in ("name", "url", "auth")}
        one = lane(Counted(**fields), environment(), run_gate, send=wire.send)
        one.begin_step(20)
        reader = UsageReader(one, HOURS, 600.0)

        async def read(seq: int) -> None:
            await reader.read(target(seq), None, asking(one, target(seq)))
            ends[seq] = anyio.current_time()

        async with anyio.create_task_group() as group:
            for seq in range(1, 21):
                group.start_soon(read, seq)
            await anyio.sleep(30.0)
            for seq in range(1, 20):
                run_gate.skip(target(seq).id, "ana")

    played(main)
    waited = sorted(at for at in ends.values() if at > 5.0)
    assert waited.count(30.0) == len(waited) - 2 > 10
    # The one that asked when it was skipped learns of it when it asks next; then the one that is left asks.
    assert waited[-2] <= 30.0 + LONGEST_PROBE
    assert 200.0 < ends[20] < 200.0 + LONGEST_PROBE
    assert sum(40.0 < at < 200.0 for at, _, _ in wire.told) <= 2 * 3


def test_targets_wait_for_the_end_of_an_outage_of_the_read_about_all_of_them() -> None:
    """Nothing else tells the use of a proxy: a manager that restarts would end all that come meanwhile."""
    told = in_all(**{f"t{number}": 0 for number in range(41)})
    found, wire, heard = read_all(
        40,
        lambda *_: LOST if anyio.current_time() < 100.0 else told,
        shared=True,
        silent=True,
        takes=0.1,
        patience=600.0,
    )

    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {0}
    assert 100.0 < wire.told[-1][0] < 160.0
    assert sum(at < 100.0 for at, _, _ in wire.told) <= 2 * 6
    assert len(heard.warnings) == 1


@pytest.mark.promise(10)
def test_a_read_about_all_targets_that_stays_dead_is_waited_for_once() -> None:
    found, wire, _ = read_all(60, dead_until(1e9), shared=True, silent=True, takes=0.1, patience=600.0)

    assert {usage.calls for usage in found if isinstance(usage, Usage)} == {None}
    assert 500.0 < wire.told[-1][0] < 620.0
    assert len(wire.told) <= 2 * 16


def test_a_skipped_target_takes_the_read_about_all_from_no_other_one() -> None:
    told = in_all(t1=0, t2=0)

    async def main() -> Usage | str:
        run_gate, wire = (
            RunGate(matcher=lambda texts: lambda name: name if name in texts else None),
            Wire(lambda *_: told),
        )
        fields = {f: getattr(gateway(), f) for f in ("name", "url", "auth")}
        one = lane(Counted(**fields, is_shared=True, is_silent=True), environment(), run_gate, send=wire.send)
        one.begin_step(2)
        reader = UsageReader(one, HOURS)
        run_gate.skip("gw/t1", "ana")
        await reader.read(target(1), None, asking(one, target(1)))
        return await reader.read(target(2), None, asking(one, target(2)))

    assert played(main) == Usage(hours=HOURS, calls=0, callers=("web-shop",))


def test_a_read_about_all_that_a_call_back_has_ended_is_made_by_the_next_chunk() -> None:
    """The lane is kept from chunk to chunk, and nothing was wrong with the read."""
    told = in_all(t1=0, t2=0)

    async def main() -> Usage | str:
        run_gate, wire = RunGate(), Wire(lambda *_: told, takes=10.0)
        fields = {f: getattr(gateway(), f) for f in ("name", "url", "auth")}
        one = lane(Counted(**fields, is_shared=True, is_silent=True), environment(), run_gate, send=wire.send)
        one.begin_step(2)
        reader = UsageReader(one, HOURS, 600.0)

        async def call_back() -> None:
            await anyio.sleep(5.0)
            run_gate.recall("an operator's orders")

        async with anyio.create_task_group() as group:
            group.start_soon(call_back)
            await reader.read(target(1), None, asking(one, target(1)))
        one.go_on(RunGate(), Heard())
        return await reader.read(target(2), None, asking(one, target(2)))

    assert played(main) == Usage(hours=HOURS, calls=0, callers=("web-shop",))


MORE = "more"


class TwoReads(CountedUsage, frozen=True):
    """A second read about all targets, beside that of everything; by ``tells_calls`` it may tell of calls."""

    tells_calls: bool = True

    def next_shared_read(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        first = super().next_shared_read(told, hours)
        if first is not None or MORE in told:
            return first
        return SharedUsageRead(
            MORE,
            lambda *_: Request(Act.LOOK, MORE, {"token": "t"}),
            lambda reply: msgspec.json.decode(reply.body, type=Reading),
            is_alone=True,
            tells_calls=self.tells_calls,
        )


class TwiceCounted(Counted, frozen=True, kw_only=True):
    """The scripted kind with those two reads."""

    tells_calls: bool

    @property
    def traffic(self) -> TwoReads:
        return TwoReads(True, True, self.tells_calls)


@pytest.mark.promise(10)
@pytest.mark.parametrize("tells_calls", [True, False])
def test_a_dead_read_about_all_targets_holds_up_those_alone_that_it_hides(tells_calls: bool) -> None:
    """The second target is not told, be it by the fault or by the read that went well."""
    ended: dict[int, float] = {}

    async def main() -> list[Usage | str]:
        wire = Wire(lambda _, url: LOST if url == MORE else in_all(t1=0, t3=3), takes=0.1)
        fields = {f: getattr(gateway(), f) for f in ("name", "url", "auth")}
        one = lane(TwiceCounted(**fields, tells_calls=tells_calls), environment(), RunGate(), send=wire.send)
        one.begin_step(4)
        reader = UsageReader(one, HOURS, 600.0)
        found: dict[int, Usage | str] = {}

        async def read(seq: int, after: float) -> None:
            await anyio.sleep(after)
            found[seq] = await reader.read(target(seq), None, asking(one, target(seq)))
            ended[seq] = anyio.current_time() - after

        async with anyio.create_task_group() as group:
            for seq, after in ((1, 0.0), (2, 0.0), (3, 50.0), (4, 700.0)):
                group.start_soon(read, seq, after)
        return [found[seq] for seq in (1, 2, 3, 4)]

    told = [usage.calls for usage in played(main) if isinstance(usage, Usage)]
    assert told == [0, None, 3, None]
    assert ended[1] < 5.0
    assert ended[3] < 5.0
    assert ended[4] < 5.0, "all wait once"
    assert (ended[2] > 500.0) is tells_calls
