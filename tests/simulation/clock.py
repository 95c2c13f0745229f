"""An event loop whose time jumps to the next timer: nothing waits, and a seed always plays the same."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class DeadlockError(Exception):
    """Every task waits and no timer is set: a real run would hang for ever."""


class StandstillError(Exception):
    """Tasks run on while no time passes: a real run would keep a core busy for ever."""


class OvertimeError(Exception):
    """The program runs on after the last moment that is allowed."""


class CrashError(Exception):
    """The simulated process was killed."""


MOST_IDLE_ROUNDS = 100_000
"""Rounds of the loop without any time between them; no run of ours needs so many."""


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: it adds to the clock the time that a real selector would sleep."""

    def __init__(self, ends: float) -> None:
        self.now = 0.0
        self._ends = ends
        self._rounds = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(
            fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data
        )
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("every task waits for another one")
        self._rounds = self._rounds + 1 if timeout <= 0.0 else 0
        if self._rounds > MOST_IDLE_ROUNDS:
            raise StandstillError("tasks go on and on, and no time passes")
        self.now += max(0.0, timeout)
        if self.now > self._ends:
            raise OvertimeError(f"promise 10: it has not ended after {self._ends:.0f} s")
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0 and moves only when nothing else is left to do; after ``ends`` seconds it raises."""

    def __init__(self, ends: float = math.inf) -> None:
        self._jumping = _JumpingSelector(ends)
        super().__init__(self._jumping)
        self.killed = False

    def time(self) -> float:
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let time pass at once, as for a process that was stopped meanwhile."""
        self._jumping.now += seconds

    def kill(self) -> None:
        """End the simulated process at once, without any clean-up."""
        self.killed = True
        self.stop()


def stand_still(seconds: float) -> None:
    """Let the clock of the running loop jump, as for a process that is stopped, or whose machine sleeps."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jump(seconds)


def play(loop: VirtualLoop, main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` to its end on ``loop`` and close the loop. Raises CrashError if the loop was killed."""
    asyncio.set_event_loop(loop)
    task = loop.create_task(main)
    try:
        return loop.run_until_complete(task)
    except RuntimeError:
        if not loop.killed:
            raise
        raise CrashError from None
    finally:
        for left in asyncio.all_tasks(loop):
            left._log_destroy_pending = False  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        loop.close()
