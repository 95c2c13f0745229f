"""A question at the terminal, and the signals that come while it waits for the answer."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from threading import Timer
from typing import Any

import pytest

from orchestrator.commands.terminal.prompt import ask_to_continue, read_answer

PATIENCE = 5.0
"""Seconds after which a wait counts as one that missed the signal."""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other side of the terminal that the program reads from."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield ours
    os.close(ours)


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals whose handler has run, and raised nothing."""
    numbers: list[int] = []
    earlier = signal.signal(signal.SIGUSR1, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, earlier)


def test_a_signal_in_the_instant_before_the_wait_ends_the_wait(
    terminal: int, handled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, woken = select.select, []

    def wait_after_a_signal(reads: list[Any], writes: list[Any], faults: list[Any]) -> Any:
        if woken:
            return wait(reads, writes, faults)
        signal.raise_signal(signal.SIGUSR1)
        ready = wait(reads, writes, faults, PATIENCE)
        woken.extend(ready[0])
        os.write(terminal, b"yes\n")
        return ready

    monkeypatch.setattr(select, "select", wait_after_a_signal)

    assert read_answer("go on? ") == "yes"
    assert handled == [signal.SIGUSR1]
    assert woken
    assert not any(isinstance(one, TextIOWrapper) for one in woken)


def test_after_the_answer_signals_are_told_as_before(terminal: int) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    earlier = signal.set_wakeup_fd(theirs)
    try:
        os.write(terminal, b"dropped, since it came before the question\n")
        assert answer_a_moment_later(terminal) == "no"
        assert signal.set_wakeup_fd(earlier) == theirs
    finally:
        signal.set_wakeup_fd(earlier)
        os.close(ours)
        os.close(theirs)


def answer_a_moment_later(terminal: int) -> str:
    """Ask, and answer a moment later; return the answer that was read."""
    answer = Timer(0.1, os.write, (terminal, b" No \n"))
    answer.start()
    try:
        return read_answer("go on? ")
    finally:
        answer.join()


async def test_a_run_goes_on_or_ends_by_a_clear_answer_alone(
    terminal: int, capfd: pytest.CaptureFixture[str]
) -> None:
    os.write(terminal, b"y\n")  # typed before the question
    answers = []
    for typed in (b"what?\nYES \n", b"n\n"):
        asking = asyncio.create_task(ask_to_continue("canary"))
        await asyncio.sleep(0.05)
        assert not asking.done()
        os.write(terminal, typed)
        answers.append(await asking)

    assert answers == [True, False]
    assert capfd.readouterr().err.count("type y to go on, or n to stop the run; then Enter") == 1


async def test_a_terminal_that_was_closed_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    os.close(writes)
    with os.fdopen(reads) as closed:
        monkeypatch.setattr("sys.stdin", closed)
        asking = asyncio.create_task(ask_to_continue("canary"))
        await asyncio.sleep(0.05)
        assert not asking.done()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
