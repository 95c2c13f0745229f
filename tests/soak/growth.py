"""Series of samples, and whether their second half is flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

LEAST_SAMPLES = 8
"""Fewer samples say nothing of a slope."""

MEMORY_SHARE = 0.02
MEMORY_LEAST = 1.5
"""The memory may rise in the second half by this share of itself, or by so many MB: pools that fill up."""

FILE_SHARE = 1.1
"""A file may take so many times as many bytes a request in the second half as in the first."""

LOG_AHEAD_SHARE = 1.5
"""The write-ahead log may be so many times as large at most in the second half as in the first."""


class Sample(Struct, frozen=True, kw_only=True):
    """What a process had at one moment. ``requests`` counts those of the platforms until then.

    The journal, its write-ahead log and the logs (events and messages) are in bytes. 0 is not measured.
    """

    memory: float
    """Resident memory in MB."""
    descriptors: int
    requests: int
    objects: int = 0
    """What Python's collector watches, after a collection."""
    simulated: float = 0.0
    """Seconds on the virtual clock until then."""
    journal: int = 0
    ahead: int = 0
    logs: int = 0


def describe_sample(sample: Sample) -> str:
    """Return in words what was measured."""
    measured = {
        "descriptors": sample.descriptors,
        "objects": sample.objects,
        "requests": sample.requests,
        "simulated minutes": round(sample.simulated / 60),
        "bytes of journal": sample.journal,
        "bytes of write-ahead log": sample.ahead,
        "bytes of logs": sample.logs,
    }
    counts = [f"{count:,} {what}" for what, count in measured.items() if count]
    return ", ".join([f"{sample.memory:.1f} MB", *counts])


def list_growth(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield in words whatever is not flat in the second half of the samples."""
    if len(samples) < LEAST_SAMPLES:
        yield f"{len(samples)} samples are too few; {LEAST_SAMPLES} are needed"
        return
    first, second = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    memory = [each.memory for each in second]
    allowed = max(MEMORY_SHARE * memory[0], MEMORY_LEAST)
    if (rise := compute_slope(memory) * (len(memory) - 1)) > allowed:
        yield f"memory rose by {rise:.1f} MB in the second half, and {allowed:.1f} MB are allowed"
    for name in ("descriptors", "objects"):
        before, after = (max(getattr(each, name) for each in half) for half in (first, second))
        if after > before:
            yield f"{name} rose from {before:,} to {after:,}"
    before, after = (max(each.ahead for each in half) for half in (first, second))
    if after > LOG_AHEAD_SHARE * before:
        yield f"the write-ahead log rose from {before:,} to {after:,} bytes"
    for name in ("journal", "logs"):
        early, late = (_compute_rate(half, name) for half in (first, second))
        if late > FILE_SHARE * early:
            yield f"{name}: {late:.0f} bytes a request in the second half, {early:.0f} in the first"


def compute_slope(values: Sequence[float]) -> float:
    """Return the slope of the line that fits the values best, a step."""
    count = len(values)
    middle, mean = (count - 1) / 2, sum(values) / count
    above = sum((place - middle) * (value - mean) for place, value in enumerate(values))
    return above / sum((place - middle) ** 2 for place in range(count))


def _compute_rate(samples: Sequence[Sample], name: str) -> float:
    """Return the bytes that a file has grown by for each request."""
    grown: int = getattr(samples[-1], name) - getattr(samples[0], name)
    return grown / max(1, samples[-1].requests - samples[0].requests)
