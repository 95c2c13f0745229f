"""One timer ends every exchange that its transport would leave open, and no other one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from orchestrator.lanes.exchange_guard import ExchangeGuard
from orchestrator.model.http import Lost, Reply, Request
from tests.support.engine import played

BOUND = 10.0
REPLY = Reply(204, {}, b"", 0.0)
LOST = Lost(sent=True, detail="the exchange did not end within 10 s")


def request(seconds: float) -> Request:
    """Return a request whose exchange takes so long."""
    return Request("POST", str(seconds), {})


async def send(asked: Request) -> Reply | Lost:
    await anyio.sleep(float(asked.url))
    return REPLY


def guarded(body: Callable[[ExchangeGuard], Awaitable[list[object]]]) -> list[object]:
    async def main() -> list[object]:
        guard = ExchangeGuard(send, BOUND)
        try:
            return await body(guard)
        finally:
            guard.close()

    return played(main)


@pytest.mark.promise(10)
def test_each_exchange_is_ended_at_its_own_bound() -> None:
    ended: list[object] = []

    async def run(guard: ExchangeGuard, begins: float, takes: float) -> None:
        await anyio.sleep(begins)
        answer = await guard.send(request(takes))
        ended.append((begins, anyio.current_time(), answer))

    async def body(guard: ExchangeGuard) -> list[object]:
        async with anyio.create_task_group() as group:
            for begins, takes in ((0.0, 99.0), (1.0, 3.0), (2.0, 99.0), (2.0, 9.5), (6.0, 99.0)):
                group.start_soon(run, guard, begins, takes)
        return ended

    assert guarded(body) == [
        (1.0, 4.0, REPLY),
        (0.0, 10.0, LOST),
        (2.0, 11.5, REPLY),
        (2.0, 12.0, LOST),
        (6.0, 16.0, LOST),
    ]


def test_a_task_whose_exchange_was_ended_goes_on_as_if_nothing_had_happened() -> None:
    async def body(guard: ExchangeGuard) -> list[object]:
        task = asyncio.current_task()
        assert task is not None
        answers = [await guard.send(request(takes)) for takes in (99.0, 1.0, 99.0)]
        await anyio.sleep(1.0)
        return [*answers, anyio.current_time(), task.cancelling()]

    assert guarded(body) == [LOST, REPLY, LOST, 22.0, 0]


@pytest.mark.promise(8)
@pytest.mark.parametrize("moment", [BOUND - 1.0, BOUND])
def test_a_cancel_from_outside_ends_the_task_and_is_not_taken_for_the_bound(moment: float) -> None:
    """Also at the very moment of the bound: a second signal must not leave a worker at work."""
    answers: list[object] = []

    async def work(guard: ExchangeGuard) -> None:
        answers.append(await guard.send(request(99.0)))

    async def body(guard: ExchangeGuard) -> list[object]:
        async with anyio.create_task_group() as group:
            group.start_soon(work, guard)
            await anyio.sleep(moment)
            group.cancel_scope.cancel()
        return [*answers, anyio.current_time()]

    assert guarded(body) in ([moment], [LOST, moment])


def test_a_thousand_exchanges_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(guard: ExchangeGuard) -> list[object]:
        set_at: list[object] = []
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def count(when: float, callback: Callable[..., object], *rest: object, **context: Any) -> Any:
            if getattr(callback, "__self__", None) is guard:
                set_at.append(when)
            return call_at(when, callback, *rest, **context)

        monkeypatch.setattr(loop, "call_at", count)
        for _ in range(1000):
            await guard.send(request(0.001))
        return set_at

    assert guarded(body) == [BOUND]
