"""SIGINT, SIGTERM and SIGHUP: heeded while a run works, and held while its reports are written."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

import anyio

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Held:
    """The signal that came while they were held, if one did."""

    def __init__(self) -> None:
        self.name: str | None = None


class Signals(Protocol):
    """Who asks a run to end."""

    def received(self) -> AsyncIterator[str]:
        """Yield the name of each signal, as long as it is iterated."""
        ...

    @contextmanager
    def held(self, *, before: bool = False) -> Iterator[Held]:
        """Let the block be ended only by the second signal of a run, with KeyboardInterrupt.

        ``before`` tells that the run has had its first one already. Yields what is received meanwhile.
        """
        ...


class ProcessSignals:
    """The signals of this process; while they are heeded they do not kill it."""

    async def received(self) -> AsyncIterator[str]:
        """Yield the names of the signals of this process."""
        with anyio.open_signal_receiver(*ENDING) as arriving:
            async for number in arriving:
                yield signal.Signals(number).name

    @contextmanager
    def held(self, *, before: bool = False) -> Iterator[Held]:
        """Hold them for the block, on the main thread; the handlers of before are put back after it."""
        held = Held()

        def heed(number: int, _frame: FrameType | None) -> None:
            if before or held.name:
                raise KeyboardInterrupt
            held.name = signal.Signals(number).name

        earlier = {number: signal.signal(number, heed) for number in ENDING}
        try:
            yield held
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


class NoSignals:
    """Signals are the caller's business."""

    async def received(self) -> AsyncIterator[str]:
        """Yield nothing."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    @contextmanager
    def held(self, *, before: bool = False) -> Iterator[Held]:  # noqa: ARG002
        """Hold nothing."""
        yield Held()
