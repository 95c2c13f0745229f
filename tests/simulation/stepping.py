"""Threads on the virtual clock: one runs only while all else waits, and its own waits take virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Semaphore, Thread

from tests.simulation.clock import VirtualLoop


class _AbandonedError(BaseException):
    """The process of a thread is dead."""


class ThreadStage:
    """Makes the threads of one process. Once its loop has ended, only ``join`` lets time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._after = 0.0
        self._threads: list[SteppedThread] = []
        self.running: SteppedThread | None = None
        """The thread that all else waits for."""

    def read_clock(self) -> float:
        """Return the virtual seconds since the process began."""
        return self._loop.time() + self._after

    def start_thread(self, work: Callable[[], object], name: str) -> SteppedThread:
        """Start a thread, which works until its first wait; as the program's own function."""
        thread = SteppedThread(self, work, name)
        self._threads.append(thread)
        thread.step()
        return thread

    def make_condition(self) -> SteppedCondition:
        """Return a condition, in place of one of Python's."""
        return SteppedCondition(self)

    def sleep(self, seconds: float) -> None:
        """Let the running thread wait; for ever if that is infinite."""
        if self.running is not None:
            self.running.wait(seconds)

    def plan_step(self, thread: SteppedThread) -> None:
        """Have a thread go on at its time, if the loop goes on until then."""
        if not self._loop.is_closed() and thread.wakes_at < math.inf:
            self._loop.call_at(thread.wakes_at, thread.step_if_due)

    def pass_time(self, seconds: float, until: Callable[[], bool]) -> None:
        """Let so much time pass after the end of the loop, or less if what is waited for comes sooner."""
        ends = self.read_clock() + seconds
        while not until():
            due = min((thread for thread in self._threads if thread.is_alive()), key=_read_wake)
            if due.wakes_at > ends:
                self._after += max(0.0, ends - self.read_clock())
                return
            self._after += max(0.0, due.wakes_at - self.read_clock())
            due.step()

    def abandon(self) -> None:
        """End all threads, as those of a process that is over."""
        for thread in self._threads:
            thread.abandon()


class SteppedThread:
    """One thread of a stage."""

    def __init__(self, stage: ThreadStage, work: Callable[[], object], name: str) -> None:
        self._stage = stage
        self._work = work
        self._go, self._rest = Semaphore(0), Semaphore(0)
        self._over = self._is_abandoned = False
        self.wakes_at = 0.0
        """When its wait ends; infinite where only a notification ends it."""
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._is_abandoned:
                self._work()
        except _AbandonedError:
            pass
        finally:
            self._over, self.wakes_at = True, math.inf
            self._rest.release()

    def step(self) -> None:
        """Let the thread run until its next wait, or its end."""
        if self._over:
            return
        self._stage.running = self
        self._go.release()
        self._rest.acquire()
        self._stage.running = None
        self._stage.plan_step(self)

    def step_if_due(self) -> None:
        """Let the thread run if its wait is over, and no notification has ended it before."""
        if not self._over and self._stage.read_clock() >= self.wakes_at:
            self.step()

    def wait(self, seconds: float) -> None:
        """Let all else go on for so long; called by the thread itself."""
        self.wakes_at = self._stage.read_clock() + seconds
        self._rest.release()
        self._go.acquire()
        if self._is_abandoned:
            raise _AbandonedError

    def join(self, within: float) -> None:
        """Wait for the end of the thread, as ``threading.Thread`` does."""
        self._stage.pass_time(within, lambda: self._over)

    def is_alive(self) -> bool:
        return not self._over

    def abandon(self) -> None:
        """End the thread wherever it waits."""
        self._is_abandoned = True
        if not self._over:
            self._go.release()
            self._thread.join()


class SteppedCondition:
    """A condition whose waits take virtual time. It needs no lock: no two threads ever run at once."""

    def __init__(self, stage: ThreadStage) -> None:
        self._stage = stage
        self._waiter: SteppedThread | None = None

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> None:
        self._waiter = self._stage.running
        try:
            self._stage.sleep(math.inf if timeout is None else max(0.0, timeout))
        finally:
            self._waiter = None

    def notify(self) -> None:
        """Let the thread that waits go on, once whoever has notified it is done."""
        if self._waiter is not None:
            self._waiter.wakes_at = self._stage.read_clock()
            self._stage.plan_step(self._waiter)


def _read_wake(thread: SteppedThread) -> float:
    return thread.wakes_at
