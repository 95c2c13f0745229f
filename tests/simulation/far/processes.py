"""Several processes on one virtual clock: each may be killed, or stand still, while the others go on.

A process is a variable of the context in which its tasks run. The loop asks it before each callback: those of
a dead process are called no more, and those of a process that stands still wait until it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from itertools import accumulate
from random import Random
from typing import Any

import anyio
import anyio.lowlevel

from tests.simulation.clock import VirtualLoop
from tests.simulation.wall_clock import ClockJump

PRESENT: ContextVar[SimulatedProcess | None] = ContextVar("process", default=None)


class SimulatedProcess:
    """One process, and its fate: after how many steps it dies, or stands still for a while.

    A step is a request to a gateway or a call of the server, and each answer.
    """

    def __init__(
        self,
        name: str,
        loop: FarLoop,
        *,
        dies_at: int | None = None,
        freezes_at: int | None = None,
        freezes_for: float = 0.0,
        jumps: Sequence[ClockJump] = (),
    ) -> None:
        """``jumps`` are those of its wall clock, in seconds since it began."""
        self.name = name
        self.loop = loop
        self.is_dead = False
        self.is_frozen = False
        self.is_cut_off = False
        """No call reaches the server, nor an answer the process."""
        self.steps = 0
        self.ends: list[Callable[[], object]] = []
        """Called when the process was killed, outside of it."""
        self._dies_at = dies_at
        self._freezes_at = freezes_at
        self._freezes_for = freezes_for
        self._jumps = jumps
        self._began = loop.time()
        self._kept: list[tuple[GuardedCallback, tuple[Any, ...]]] = []
        self.context = loop.root.copy()
        self.context.run(PRESENT.set, self)

    @property
    def ahead(self) -> float:
        """The seconds that its wall clock is ahead of the true time now."""
        return sum(self._list_jumps())

    @property
    def behind(self) -> float:
        """The most seconds that its wall clock was behind the true time so far."""
        return max(0.0, -min(accumulate(self._list_jumps()), default=0.0))

    def _list_jumps(self) -> list[float]:
        passed = self.loop.time() - self._began
        return [jump.seconds for jump in self._jumps if jump.at <= passed]

    def start(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a task of this process."""
        return self.loop.create_task(main, context=self.context.copy())

    async def step(self) -> None:
        """Pass one more point at which the process may die or stand still."""
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at:
            self.kill()
            await anyio.sleep_forever()
        if self._freezes_at is not None and self.steps >= self._freezes_at:
            self._freezes_at = None
            self.freeze(self._freezes_for)
            await anyio.lowlevel.checkpoint()

    def kill(self) -> None:
        """End the process at once, without any clean-up; nothing if it is dead."""
        if not self.is_dead:
            self.is_dead = True
            self._kept.clear()
            for end in self.ends:
                self.loop.call_soon(end, context=self.loop.root)

    def freeze(self, seconds: float) -> None:
        """Let the process stand still for a while."""
        if not self.is_frozen:
            self.is_frozen = True
            self.loop.call_later(seconds, self._thaw, context=self.loop.root)

    def _thaw(self) -> None:
        self.is_frozen = False
        kept, self._kept = self._kept, []
        for guarded, values in kept:
            self.loop.call_soon(guarded.resume, *values, context=guarded.context)

    def keep(self, guarded: GuardedCallback, values: tuple[Any, ...]) -> None:
        """Keep a callback for the time when the process goes on."""
        self._kept.append((guarded, values))


class GuardedCallback:
    """A callback of a process, which the loop asks before it calls."""

    __slots__ = ("callback", "context", "handle", "process")

    def __init__(self, process: SimulatedProcess, callback: Callable[..., object], context: Context) -> None:
        self.process = process
        self.callback = callback
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self, *values: Any) -> None:
        if self.process.is_dead:
            return
        if self.process.is_frozen:
            self.process.keep(self, values)
        else:
            self.callback(*values)

    def resume(self, *values: Any) -> None:
        """Call after a standstill, unless the callback was cancelled since it was due."""
        if self.handle is None or not self.handle.cancelled():
            self.callback(*values)


class FarLoop(VirtualLoop):
    """The virtual clock of all processes; what belongs to none of them runs in the context ``root``."""

    def __init__(self, ends: float) -> None:
        self.root = copy_context()
        super().__init__(ends)

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As usual, unless the context is that of a process."""
        guarded, context = _guard(callback, context)
        handle = super().call_soon(guarded, *args, context=context)
        if isinstance(guarded, GuardedCallback):
            guarded.handle = handle
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As usual, unless the context is that of a process."""
        guarded, context = _guard(callback, context)
        handle = super().call_at(when, guarded, *args, context=context)
        if isinstance(guarded, GuardedCallback):
            guarded.handle = handle
        return handle

    def start_outside(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a task that belongs to no process: it goes on whatever becomes of the one that began it."""
        return self.create_task(main, context=self.root.copy())


def _guard(callback: Any, context: Context | None) -> tuple[Any, Context]:
    found = copy_context() if context is None else context
    process = found.get(PRESENT)
    return (callback if process is None else GuardedCallback(process, callback, found)), found


def find_process() -> SimulatedProcess:
    """Return the process whose code runs now."""
    process = PRESENT.get()
    assert process is not None, "no simulated process runs now"
    return process


async def travel(random: Random, longest: float) -> None:
    """Wait as long as something is on its way, on the clock of whoever calls."""
    await anyio.sleep(random.random() * longest)
