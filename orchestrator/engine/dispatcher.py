"""Events to the listeners of a run: the display, the log, the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.model.events import AnyEvent, Listener


class EventDispatcher:
    """Tells each event to every listener, in their order.

    A listener that raises is dropped, and ``complain`` is told why.
    """

    def __init__(self, listeners: Sequence[Listener], complain: Callable[[str], None]) -> None:
        self._listeners = tuple(listeners)
        self._complain = complain

    def __call__(self, event: AnyEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a display that fails must not end a run
                self._listeners = tuple(each for each in self._listeners if each is not listener)
                self._complain(f"a listener failed and is told no more: {error!r}")
