"""SIGINT, SIGTERM and SIGHUP for a run, and for any other work that a signal may end."""

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
from orchestrator.system.limits import raise_file_limit

Value = TypeVar("Value")


def run_interruptibly(function: Callable[..., Awaitable[Value]], *arguments: object) -> Value:
    """Run an asynchronous function to its end; raise KeyboardInterrupt if a signal comes before.

    A run inside the function handles signals by itself: they do not end the function then. The process may
    have more connections open from then on.
    """
    raise_file_limit()

    async def run_whole() -> Value:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_AbandoningExecutor())
        with (
            anyio.CancelScope() as scope,
            handle_signals(_interrupt_once(partial(loop.call_soon_threadsafe, scope.cancel))),
        ):
            return await function(*arguments)
        raise KeyboardInterrupt

    return anyio.run(run_whole)


def _interrupt_once(end: Callable[[], object]) -> Callable[[str], None]:
    """Return a handler that calls ``end`` at the first signal, and raises KeyboardInterrupt at the second."""
    is_ended = False

    def handle(_name: str) -> None:
        nonlocal is_ended
        if is_ended:
            raise KeyboardInterrupt
        is_ended = True
        end()

    return handle


class _AbandoningExecutor(ThreadPoolExecutor):
    """Threads that the end of a loop does not wait for: the look-up of a name may take half a minute."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=True)


class HeldSignal:
    """The signal that came during a block of ``SignalSource.hold``, if one came."""

    def __init__(self) -> None:
        self.name: str | None = None

    def keep(self, name: str) -> None:
        """Keep a signal for the end of the block."""
        self.name = name


class SignalSource(Protocol):
    """Where a run gets its signals from."""

    def receive(self) -> AsyncIterator[str]:
        """Yield the name of each signal, for as long as the iteration goes on."""
        ...

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:
        """Keep the first signal of the run from ending the block; the second raises KeyboardInterrupt.

        ``before`` says that the run has had its first signal already.
        """
        ...


class ProcessSignals:
    """The signals of this process; while a run receives or holds them they do not end the process."""

    async def receive(self) -> AsyncIterator[str]:
        """Yield the names of the signals of this process."""
        loop = asyncio.get_running_loop()
        send, receive = anyio.create_memory_object_stream[str](math.inf)
        # A handler runs between two bytecodes of the main thread: only a thread-safe call wakes the loop.
        with send, receive, handle_signals(lambda name: loop.call_soon_threadsafe(send.send_nowait, name)):
            async for name in receive:
                yield name

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:
        """Hold the signals for the block, on the main thread."""
        held = HeldSignal()

        def handle(name: str) -> None:
            if before or held.name:
                raise KeyboardInterrupt
            held.keep(name)

        with handle_signals(handle):
            yield held


class NoSignals:
    """No signals: the caller of a run handles them."""

    async def receive(self) -> AsyncIterator[str]:
        """Yield nothing."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:  # noqa: ARG002
        """Hold nothing."""
        yield HeldSignal()
