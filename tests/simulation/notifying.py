"""People who are told of a simulated run, by services that are slow, refuse, fail, or never answer.

The judges know the events, and the words of docs/notifications.md; no rule of the engine is used here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, Literal
from unittest.mock import patch

from msgspec import Struct

from orchestrator.commands.terminal.run_display import _make_last_message
from orchestrator.errors import ExitStatus
from orchestrator.model.events import AnyEvent, LaneChanged, Listener, RunStarted, RunStopping, WaveEnded
from orchestrator.model.plan import ALL_NOTIFICATIONS, NotificationKind
from orchestrator.notify import channel, sending
from orchestrator.notify.messages import RunMessage
from orchestrator.runs.result import RunResult
from tests.simulation.clock import VirtualLoop
from tests.simulation.credentials import PASSWORD, SECRETS
from tests.simulation.stepping import ThreadStage

ReceiverManner = Literal["good", "slow", "hangs", "refuses", "fails"]
"""How a service takes a message: in a second, in minutes, never, with a refusal, or with an exception."""

SPACING = 30.0
"""Seconds between two messages, but for the last one."""

WITHIN, WITHIN_INTERRUPTED = 8.0, 2.0
"""Seconds that a command waits for its services at the end; the second one after an interrupt."""

_FORBIDDEN = ("@", "<http", "<!")
"""What a service could take for a mention or a link."""


class ReceiverScene(Struct, frozen=True, kw_only=True):
    """One place that is told of a run."""

    name: str
    manner: ReceiverManner
    on: tuple[NotificationKind, ...]


def choose_receivers(random: Random) -> tuple[ReceiverScene, ...]:
    """Return the places that the run of a scene tells; mostly none."""
    if random.random() < 0.88:
        return ()
    manners: list[ReceiverManner] = ["good", "good", "slow", "hangs", "refuses", "fails"]
    return tuple(
        ReceiverScene(name=f"env:PLACE_{number}", manner=random.choice(manners), on=_choose_kinds(random))
        for number in range(random.randint(1, 3))
    )


def _choose_kinds(random: Random) -> tuple[NotificationKind, ...]:
    if random.random() < 0.6:
        return ALL_NOTIFICATIONS
    return tuple(random.sample(ALL_NOTIFICATIONS, random.randint(1, 3)))


class SentMessage(Struct, frozen=True, kw_only=True):
    """One message as it left, ``at`` seconds after the session began."""

    at: float
    message: RunMessage


class ToldEvent(Struct, frozen=True, kw_only=True):
    """One event that people are to be told of: the beginning of its words, and when it was."""

    kind: NotificationKind
    words: str
    at: float


class SimulatedReceiver:
    """A service, and the messages that it was sent."""

    def __init__(self, scene: ReceiverScene, stage: ThreadStage, roll: Random) -> None:
        self.scene = scene
        self.sent: list[SentMessage] = []
        self._stage = stage
        self._roll = roll

    def __call__(self, message: RunMessage) -> bool:
        self.sent.append(SentMessage(at=self._stage.read_clock(), message=message))
        match self.scene.manner:
            case "slow":
                self._stage.sleep(self._roll.uniform(20.0, 200.0))
            case "hangs":
                self._stage.sleep(math.inf)
            case "fails":
                raise ConnectionError(f"no route to hook://{PASSWORD}@chat.example")
            case "refuses":
                return False
            case _:
                self._stage.sleep(self._roll.random())
        return True


class SessionNotices:
    """All that one session tells people. A listener of that session."""

    def __init__(self, scenes: Sequence[ReceiverScene], loop: VirtualLoop, random: Random) -> None:
        self._stage = ThreadStage(loop)
        self._receivers = [SimulatedReceiver(scene, self._stage, random) for scene in scenes]
        self._events: list[ToldEvent] = []
        self._called = ""
        """The beginning of each title: the run that this session has."""
        self._over = "has ended"
        """How the end of a wave is told: a stop breaks it off."""
        self._warned: list[str] = []
        self._is_dead = False
        with (
            patch.object(channel, "Condition", self._stage.make_condition),
            patch.object(channel, "start_thread", self._stage.start_thread),
        ):
            channels = [
                (
                    channel.NotificationChannel(one.scene.name, one, monotonic=self._stage.read_clock),
                    one.scene.on,
                )
                for one in self._receivers
            ]
        self._notifier = sending.Notifier(channels, self._warned.append)

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, RunStarted):
            self._called = f"restore of {event.plan}: " if event.act == "restore" else f"{event.plan}: "
        if isinstance(event, RunStopping):
            self._over = "was broken off"
        if (told := self._describe(event)) is not None:
            self._events.append(told)
        self._notifier(event)

    def _describe(self, event: AnyEvent) -> ToldEvent | None:
        at = self._stage.read_clock()
        match event:
            case RunStarted():
                return ToldEvent(kind="started", words="", at=at)
            case WaveEnded():
                words = f"{self._called}wave {event.wave} {self._over}"
                return ToldEvent(kind="wave_ended", words=words, at=at)
            case LaneChanged(state="parked" | "closed"):
                state = "given up" if event.given_up else event.state
                return ToldEvent(
                    kind="parked", words=f"{self._called}gateway {event.gateway} is {state}", at=at
                )
        return None

    def finish(self, result: RunResult | None) -> Iterator[str]:
        """End the session as its command does, and yield each mistake.

        ``result`` is None if the session has failed. Yields nothing of a process that is dead.
        """
        if not self._receivers or self._is_dead:
            return
        began, is_interrupted = self._stage.read_clock(), False
        if result is not None:
            is_interrupted = result.exit_status == ExitStatus.INTERRUPTED
            self._notifier.finish(_make_last_message(result), interrupted=is_interrupted)
        with patch.object(sending, "time", SimpleNamespace(monotonic=self._stage.read_clock)):
            self._notifier.close(None if result is not None else 0.0)
        took = self._stage.read_clock() - began
        most = 0.0 if result is None else WITHIN_INTERRUPTED if is_interrupted else WITHIN
        self._stage.abandon()
        if took > most + 0.001:
            yield f"the command waited {took:.1f} s for its notifications, {most:g} s at most"
        if result is not None:
            kind: NotificationKind = "ended" if result.report.run.state == "complete" else "stopped"
            for receiver in self._receivers:
                yield from check_told(receiver.scene, receiver.sent, self._events, kind, self._warned)
        yield from check_words([each for one in self._receivers for each in one.sent], self._warned)

    def abandon(self) -> None:
        """End the threads, as the death of the process does."""
        self._is_dead = True
        self._stage.abandon()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What hears the events: nothing where nobody is to be told."""
        return (self,) if self._receivers else ()


def check_told(
    scene: ReceiverScene,
    sent: Sequence[SentMessage],
    events: Sequence[ToldEvent],
    last: NotificationKind,
    warned: Sequence[str],
) -> Iterator[str]:
    """Yield what a place was not told, or told twice, too soon, or without need; and a warning that lacks.

    ``last`` is how the session has ended, and ``warned`` the last lines of its command.
    """
    is_warned = any(f"notifications to {scene.name}:" in line for line in warned)
    if scene.manner in ("refuses", "fails", "hangs") and bool(sent) != is_warned:
        yield f"{scene.name} {scene.manner}, got {len(sent)} messages, and the command says: {warned}"
    if scene.manner == "good":
        if is_warned:
            yield f"{scene.name} took all, and the command says: {warned}"
        yield from _check_counts(scene, sent, events, last)
    yield from _check_times(scene, sent, events)


def _check_counts(
    scene: ReceiverScene, sent: Sequence[SentMessage], events: Sequence[ToldEvent], last: NotificationKind
) -> Iterator[str]:
    lines = [line.removeprefix("- ") for each in sent for line in _list_lines(each.message)]
    left_out = sum(int(line.split()[1]) for line in lines if line.startswith("and ") and "message" in line)
    wanted = [event for event in events if event.kind in scene.on]
    for words in dict.fromkeys(event.words for event in wanted if event.words):
        told = sum(line.startswith(words) for line in lines)
        count = sum(event.words == words for event in wanted)
        if not count - left_out <= told <= count:
            yield f"{scene.name} was told {told} times that {words}, which happened {count} times"
    started = sum(each.kind == "started" for each in wanted)
    begun = sum("has begun" in line or "is resumed" in line for line in lines)
    if begun != started:
        yield f"{scene.name} was told of {begun} beginnings, and there were {started}"
    ends = [each.message.kind for each in sent if each.message.kind in ("ended", "stopped")]
    if ends != [last] * (last in scene.on and bool(events)):
        yield f"{scene.name} was told of the ends {ends}, and the session has {last}"


def _list_lines(message: RunMessage) -> list[str]:
    """Return the title of a message, and the lines that tell of other messages in it."""
    *_, merged = message.body.split("\n\n")
    return [message.title, *(merged.splitlines() if merged != message.body else ())]


def _check_times(
    scene: ReceiverScene, sent: Sequence[SentMessage], events: Sequence[ToldEvent]
) -> Iterator[str]:
    """Check that the first message goes at once, and another one only half a minute later, or at the end."""
    first = min((event.at for event in events if event.kind in scene.on), default=None)
    if first is not None and (not sent or sent[0].at > first + 0.001):
        yield f"{scene.name} was not told at once of what happened at {first:.1f} s"
    times = [each.at for each in sent if each.message.kind not in ("ended", "stopped")]
    for before, after in pairwise(times):
        if after < before + SPACING - 0.001 and after != times[-1]:
            yield f"{scene.name} got two messages within {after - before:.1f} s"


def check_words(sent: Sequence[SentMessage], warned: Sequence[str]) -> Iterator[str]:
    """Yield each message, or warning, with a credential, and each message with what calls people."""
    texts: list[Any] = [f"{each.message.title}\n{each.message.body}" for each in sent]
    for text in (*texts, *warned):
        if any(secret in text for secret in SECRETS):
            yield "promise 9: a notification, or a warning of one, holds a credential"
    for text in texts:
        if found := [each for each in _FORBIDDEN if each in text]:
            yield f"a notification holds {', '.join(found)}"
