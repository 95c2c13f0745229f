"""Values on their way through Temporal: structs come back as they were, bytes stay bytes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.payloads import ChunkBeat, LaneCarry, Orders, StopOrder
from orchestrator.distributed.run_news import NewsItem, RunNews, StepBegun
from orchestrator.model.plan import Window
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId


async def travel(value: object, to: object) -> object:
    payloads = await CONVERTER.encode([value])
    (back,) = await CONVERTER.decode(payloads, [to])  # type: ignore[list-item]  # also unions
    return back


async def test_each_value_comes_back_as_it_was() -> None:
    orders = Orders(
        number=3,
        stop=StopOrder(kind="control", text="by Ada"),
        skips={"apim/**": "Ada"},
        limits={"apim": Limits(concurrency=3)},
    )
    values = (
        orders,
        LaneCarry(rate=2.5, faulty=(TargetId("apim/a/b/c"),), limits=Limits()),
        ChunkBeat(segments=(b"\x00\xff", b""), worker="host/1"),
        Window(datetime(2026, 11, 22, 22, tzinfo=UTC), None),
        RunNews(items=(StepBegun(index=2),)),
    )
    for value in values:
        assert await travel(value, type(value)) == value
    assert await travel(StepBegun(index=2), NewsItem) == StepBegun(index=2)


async def test_bytes_and_nothing_travel_as_they_are() -> None:
    payloads = await CONVERTER.encode([b"\x00\xffpage", None])

    assert payloads[0].data == b"\x00\xffpage"
    assert await CONVERTER.decode(payloads, [bytes, type(None)]) == [b"\x00\xffpage", None]


async def test_a_value_of_another_form_is_refused() -> None:
    payloads = await CONVERTER.encode([{"number": "three"}])

    with pytest.raises(msgspec.ValidationError):
        await CONVERTER.decode(payloads, [Orders])


FIRST_VALUES = """
import sys
import threading

import orchestrator.distributed.workflows
from orchestrator.distributed.conversion import StructConverter
from orchestrator.distributed.payloads import LaneInput, RunInput
from tests.support.conducted import make_input, make_lane, make_step

sys.setswitchinterval(1e-6)
converter, together = StructConverter(), threading.Barrier(8)
values = (make_input(make_step()), make_lane())


def read(number):
    value = values[number % 2]
    payload = converter.to_payload(value)
    together.wait()
    assert converter.from_payload(payload, type(value)) == value


threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_threads_of_a_worker_read_their_first_values_at_once() -> None:
    """msgspec is not made for that: without a preparation about half of these processes would crash."""
    for _ in range(4):
        ended = subprocess.run([sys.executable, "-c", FIRST_VALUES], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
