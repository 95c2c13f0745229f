"""Events to the listeners."""

from __future__ import annotations

from orchestrator.engine.dispatcher import EventDispatcher
from orchestrator.model.events import AnyEvent, RunContinued

EVENT = RunContinued(at=1.0)


def test_each_listener_hears_every_event_in_their_order() -> None:
    heard: list[str] = []
    dispatcher = EventDispatcher([lambda _: heard.append("first"), lambda _: heard.append("second")], print)

    dispatcher(EVENT)
    dispatcher(EVENT)

    assert heard == ["first", "second"] * 2


def test_a_listener_that_raises_is_dropped_and_the_others_go_on() -> None:
    heard: list[AnyEvent] = []
    complaints: list[str] = []

    def fail(_: AnyEvent) -> None:
        raise OSError("the pipe is gone")

    dispatcher = EventDispatcher([fail, heard.append], complaints.append)
    dispatcher(EVENT)
    dispatcher(EVENT)

    assert heard == [EVENT, EVENT]
    assert complaints == ["a listener failed and is told no more: OSError('the pipe is gone')"]
