"""People who are told of a simulated run: the threads on its clock, and the oracles of what they are told."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.model.plan import ALL_NOTIFICATIONS, NotificationKind
from orchestrator.notify import channel, messages, sending
from orchestrator.notify.messages import RunMessage
from tests.simulation import play as playing
from tests.simulation.clock import VirtualLoop, play
from tests.simulation.credentials import TOKENS
from tests.simulation.notifying import (
    ReceiverScene,
    SentMessage,
    ToldEvent,
    check_told,
    check_words,
)
from tests.simulation.play import play_seed
from tests.simulation.scene import make_scene
from tests.simulation.stepping import ThreadStage
from tests.test_simulation import JUDGES
from tests.test_simulation_looks import is_caught

GOOD = ReceiverScene(name="env:PLACE", manner="good", on=ALL_NOTIFICATIONS)
BEGUN = ToldEvent(kind="started", words="", at=1.0)
WAVE = ToldEvent(kind="wave_ended", words="wave canary has ended", at=5.0)
PARKED = ToldEvent(kind="parked", words="gateway gw is parked", at=6.0)


def say(at: float, title: str, body: str = "text", kind: NotificationKind = "wave_ended") -> SentMessage:
    return SentMessage(at=at, message=RunMessage(kind=kind, title=title, body=body))


FIRST = say(1.0, "run p has begun", kind="started")
MERGED = say(
    31.0, "gateway gw is parked", "HTTP 502\n\nwave canary has ended (1 of 2): all is down", "parked"
)
LAST = say(40.0, "p: all is down", "# report", "ended")


def find(*sent: SentMessage, scene: ReceiverScene = GOOD, warned: tuple[str, ...] = ()) -> list[str]:
    return list(check_told(scene, sent, [BEGUN, WAVE, PARKED], "ended", warned))


def test_a_thread_s_waits_take_virtual_time_and_nothing_runs_beside_it() -> None:
    loop, told = VirtualLoop(), list[tuple[float, str]]()
    stage = ThreadStage(loop)
    condition = stage.make_condition()

    def work() -> None:
        with condition:
            condition.wait()
        told.append((stage.read_clock(), "notified"))
        stage.sleep(60.0)
        told.append((stage.read_clock(), "slept"))
        stage.sleep(math.inf)

    async def main() -> None:
        await anyio.sleep(5.0)
        with condition:
            condition.notify()
        await anyio.sleep(10.0)
        told.append((loop.time(), "main"))

    thread = stage.start_thread(work, "worker")
    play(loop, main())
    thread.join(30.0)
    assert told == [(5.0, "notified"), (15.0, "main")]
    thread.join(30.0)

    assert told[-1] == (65.0, "slept")
    assert (stage.read_clock(), thread.is_alive()) == (75.0, True)
    stage.abandon()
    assert not thread.is_alive()


def test_what_a_place_was_not_told_or_was_told_twice_is_told() -> None:
    assert find(FIRST, MERGED, LAST) == []
    assert find(FIRST, LAST) == [
        "env:PLACE was told 0 times that wave canary has ended, which happened 1 times",
        "env:PLACE was told 0 times that gateway gw is parked, which happened 1 times",
    ]
    assert (
        find(FIRST, say(31.0, "gateway gw is parked", "HTTP 502\n\nand 1 message more", "parked"), LAST) == []
    )
    assert "told 2 times that wave canary" in find(FIRST, say(31.0, "wave canary has ended"), MERGED, LAST)[0]
    assert find(MERGED, LAST)[0] == "env:PLACE was told of 0 beginnings, and there were 1"
    assert find(FIRST, MERGED)[0].startswith("env:PLACE was told of the ends []")
    stopped = say(40.0, "p: stopped", kind="stopped")
    assert find(FIRST, MERGED, stopped)[0].startswith("env:PLACE was told of the ends ['stopped']")
    # What it is not to be told, it need not be told, and may not.
    some = replace(GOOD, on=("parked",))
    assert find(say(6.0, "gateway gw is parked", kind="parked"), scene=some) == []
    assert find(say(6.0, "gateway gw is parked", kind="parked"), LAST, scene=some) != []


def test_messages_that_come_late_or_too_soon_after_each_other_are_told() -> None:
    late = [replace(each, at=each.at + 10.0) for each in (FIRST, MERGED, LAST)]
    soon = [FIRST, say(11.0, "wave canary has ended"), say(41.0, "gateway gw is parked", kind="parked"), LAST]

    assert find(*late) == ["env:PLACE was not told at once of what happened at 1.0 s"]
    assert find(*soon) == ["env:PLACE got two messages within 10.0 s"]


@pytest.mark.parametrize("manner", ["refuses", "fails", "hangs"])
def test_a_message_that_was_not_taken_without_a_warning_is_told(manner: str) -> None:
    scene, line = (
        ReceiverScene(name="env:PLACE", manner=manner, on=("started",)),
        "notifications to env:PLACE: x",
    )  # type: ignore[arg-type]

    assert find(FIRST, scene=scene, warned=(line,)) == []
    assert len(find(FIRST, scene=scene)) == 1
    assert find(FIRST, MERGED, LAST, warned=(line,)) == [
        f"env:PLACE took all, and the command says: {(line,)}"
    ]


@pytest.mark.promise(9)
def test_a_credential_and_a_mention_in_a_message_are_told() -> None:
    assert list(check_words([FIRST], ["notifications to env:PLACE: x"])) == []
    assert len(list(check_words([say(1.0, TOKENS[0])], []))) == 1
    assert len(list(check_words([], [f"hook://{TOKENS[0]}"]))) == 1
    assert list(check_words([say(1.0, "ask @channel")], [])) == ["a notification holds @"]


@JUDGES
@pytest.mark.parametrize(("told", "harm"), [
    ("within", lambda patch: patch.setattr(channel, "SPACING", 1.0)),
    ("was told 0 times", lambda patch: patch.setattr(channel, "merge_messages", lambda every, _: every[-1])),
    ("waited", lambda patch: patch.setattr(sending, "LAST_SENDING", 60.0)),
    ("says: []", lambda patch: patch.setattr(
        channel.NotificationChannel, "_describe_faults", lambda *_, **__: None
    )),
    ("of the ends", lambda patch: patch.setattr(sending.Notifier, "finish", lambda *_, **__: None)),
    ("not told at once", lambda patch: patch.setattr(messages.MessageMaker, "observe", lambda *_: None)),
])  # fmt: skip
def test_a_notifier_that_is_broken_is_caught(
    monkeypatch: pytest.MonkeyPatch, told: str, harm: Callable[[pytest.MonkeyPatch], None]
) -> None:
    harm(monkeypatch)

    assert is_caught(told, range(1, 200), lambda scene: bool(scene.receivers))


@JUDGES
def test_a_run_is_the_same_whoever_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(seed for seed in range(1, 200) if len(make_scene(seed).receivers) == 3)
    told = play_seed(seed)
    monkeypatch.setattr(playing, "make_scene", lambda number: replace(make_scene(number), receivers=()))

    assert play_seed(seed) == told
