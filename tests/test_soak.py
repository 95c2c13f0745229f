"""The judge of long runs: flat series pass, and each thing that grows is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.soak.gauges import count_descriptors, read_memory, read_size
from tests.soak.growth import LEAST_SAMPLES, Sample, compute_slope, describe_sample, list_growth
from tests.soak.nights import play_nights


def make_samples(count: int = 40, **grown: float) -> list[Sample]:
    """Samples of a flat run, in which a field rises by so much each sample of the second half."""
    found = []
    for number in range(count):
        flat: dict[str, Any] = {
            "memory": 50.0 + 0.1 * (number % 3),
            "descriptors": 20 + number % 2,
            "requests": 40 * number,
            "journal": 8000 * number,
            "ahead": 4_000_000,
            "logs": 20_000 * number,
            "objects": 90_000,
        }
        late = max(0, number - count // 2)
        found.append(Sample(**{name: value + grown.get(name, 0) * late for name, value in flat.items()}))
    return found


def test_the_same_work_with_the_same_needs_is_flat() -> None:
    assert list(list_growth(make_samples())) == []


@pytest.mark.parametrize(
    ("name", "step", "told"),
    [
        ("memory", 0.2, "memory rose by"),
        ("descriptors", 1, "descriptors rose from 21 to"),
        ("objects", 1, "objects rose from 90,000 to"),
        ("ahead", 200_000, "the write-ahead log rose"),
        ("journal", 2000, "journal: 250 bytes a request"),
        ("logs", 5000, "logs: "),
    ],
)
def test_what_grows_is_named(name: str, step: float, told: str) -> None:
    (found,) = list_growth(make_samples(**{name: step}))

    assert told in found


def test_a_start_that_needs_more_and_more_is_no_growth() -> None:
    samples = make_samples()
    warm = [replace(each, memory=30.0 + number) for number, each in enumerate(samples[:20])]

    assert list(list_growth([*warm, *samples[20:]])) == []


def test_what_was_not_measured_is_not_told() -> None:
    told = describe_sample(Sample(memory=50.04, descriptors=20, requests=4_000, simulated=90.0))

    assert told == "50.0 MB, 20 descriptors, 4,000 requests, 2 simulated minutes"


def test_few_samples_say_nothing() -> None:
    (found,) = list_growth(make_samples(LEAST_SAMPLES - 1))

    assert "too few" in found


def test_the_slope_of_a_line_is_its_step() -> None:
    assert compute_slope([3.0, 5.0, 7.0, 9.0]) == 2.0
    assert compute_slope([1.0, 1.0, 1.0]) == 0.0


def test_the_gauges_see_this_process(tmp_path: Path) -> None:
    before = count_descriptors()
    handle = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(handle, b"12345")
    try:
        assert count_descriptors() == before + 1
        assert count_descriptors(os.getpid()) >= before
        assert read_memory() == pytest.approx(read_memory(os.getpid()), rel=0.2)
        assert (read_size(tmp_path / "file"), read_size(tmp_path / "none")) == (5, 0)
    finally:
        os.close(handle)


@pytest.mark.long("plays whole nights")
def test_nights_are_alike_and_counted() -> None:
    told = []
    samples = list(play_nights(2, lambda night, sample: told.append((night, sample)), [15]))

    assert [night for night, _ in told] == [1, 2]
    assert samples[1].requests == 2 * samples[0].requests > 0
    assert samples[1].simulated == 2 * samples[0].simulated > 0
    assert samples[1].objects > 10_000
