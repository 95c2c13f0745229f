"""How a run, and whatever else works for a while, hears of SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

import anyio

from orchestrator.system.interrupts import handle_signals

Value = TypeVar("Value")


def run_interruptibly(function: Callable[..., Awaitable[Value]], *arguments: object) -> Value:
    """Run an asynchronous function to its end, or until a signal comes: that raises KeyboardInterrupt.

    A block in it that hears signals itself is not ended so.
    """

    async def whole() -> Value:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_AbandoningExecutor())
        with (
            anyio.CancelScope() as scope,
            handle_signals(_interrupt_once(partial(loop.call_soon_threadsafe, scope.cancel))),
        ):
            return await function(*arguments)
        raise KeyboardInterrupt

    return anyio.run(whole)


def _interrupt_once(end: Callable[[], object]) -> Callable[[str], None]:
    """Return who calls ``end`` for the first signal, and raises KeyboardInterrupt for the next."""
    ended = False

    def hear(_name: str) -> None:
        nonlocal ended
        if ended:
            raise KeyboardInterrupt
        ended = True
        end()

    return hear


class _AbandoningExecutor(ThreadPoolExecutor):
    """Threads that nobody waits for at the end of a loop: a look-up of a name may take half a minute."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=True)


class HeldSignal:
    """The signal that came while they were held, if one did."""

    def __init__(self) -> None:
        self.name: str | None = None


class SignalSource(Protocol):
    """Who asks a run to end."""

    def receive(self) -> AsyncIterator[str]:
        """Yield the name of each signal, as long as it is iterated."""
        ...

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:
        """Let the block be ended only by the second signal of a run, with KeyboardInterrupt.

        ``before`` tells that the run has had its first one already. Yields what is received meanwhile.
        """
        ...


class ProcessSignals:
    """The signals of this process; while they are heeded they do not kill it."""

    async def receive(self) -> AsyncIterator[str]:
        """Yield the names of the signals of this process."""
        loop = asyncio.get_running_loop()
        send, receive = anyio.create_memory_object_stream[str](math.inf)
        with send, receive, handle_signals(lambda name: loop.call_soon_threadsafe(send.send_nowait, name)):
            async for name in receive:
                yield name

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:
        """Hold them for the block, on the main thread."""
        held = HeldSignal()

        def heed(name: str) -> None:
            if before or held.name:
                raise KeyboardInterrupt
            held.name = name

        with handle_signals(heed):
            yield held


class NoSignals:
    """Signals are the caller's business."""

    async def receive(self) -> AsyncIterator[str]:
        """Yield nothing."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:  # noqa: ARG002
        """Hold nothing."""
        yield HeldSignal()
