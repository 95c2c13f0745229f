"""Which tests run which functions of a module, and for how long.

A mutant is judged by the tests that run its function, the fastest first.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import pytest
from msgspec import Struct

from bench.mutants.sites import Mutant


class RecordedTest(Struct, frozen=True):
    """A test by its node id, the processor time that it took, and the functions of the module that it ran."""

    id: str
    seconds: float
    ran: frozenset[str]


class Record(Struct, frozen=True):
    """The tests of a module as it is, the fastest first."""

    tests: tuple[RecordedTest, ...]
    seconds: float
    """The processor time of all tests together."""
    at_import: frozenset[str]
    """The functions that run while the module is imported, so that each test depends on them."""

    def is_local(self, mutant: Mutant) -> bool:
        """Return whether a mutant changes nothing but what its function does when a test runs it."""
        return mutant.function is not None and mutant.function not in self.at_import

    def choose(self, mutant: Mutant) -> tuple[str, ...]:
        """Return the ids of the tests that may notice a mutant."""
        every = not self.is_local(mutant)
        return tuple(test.id for test in self.tests if every or mutant.function in test.ran)


class CallTrace:
    """Keeps which functions of a file run."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ran: set[str] = set()

    def begin(self) -> None:
        """Observe all threads from now on."""
        threading.setprofile(self._take_in)
        sys.setprofile(self._take_in)

    def end(self) -> None:
        """Observe nothing any more."""
        threading.setprofile(None)
        sys.setprofile(None)

    def take(self) -> frozenset[str]:
        """Return what ran since the last call."""
        ran = frozenset(self._ran)
        self._ran.clear()
        return ran

    def _take_in(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == self._path:
            self._ran.add(_find_place(frame.f_code.co_qualname))


class Recorder:
    """A plugin of pytest that keeps what each test runs."""

    def __init__(self, trace: CallTrace) -> None:
        self._trace = trace
        self._tests: list[RecordedTest] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Keep what one test runs, its fixtures included."""
        self._trace.take()
        began = time.process_time()
        result = yield
        self._tests.append(RecordedTest(item.nodeid, time.process_time() - began, self._trace.take()))
        return result

    def make_record(self, at_import: frozenset[str]) -> Record:
        """Return the record of the tests that have run."""
        tests = sorted(self._tests, key=lambda test: test.seconds)
        return Record(tuple(tests), sum(test.seconds for test in tests), at_import)


class Selection:
    """A plugin of pytest that runs only the chosen tests, in their order."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(ids)}

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the chosen tests."""
        return tuple(dict.fromkeys(name.partition("::")[0] for name in self._places))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the other tests."""
        items[:] = self.choose(items)

    def choose(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Return the chosen ones of all tests."""
        chosen = [item for item in items if item.nodeid in self._places]
        return sorted(chosen, key=lambda item: self._places[item.nodeid])


def _find_place(name: str) -> str:
    """Return a function's qualified name as ``Mutant`` has it; what has no name is a part of the function."""
    parts = []
    for part in name.split("."):
        if part == "<locals>":
            continue
        if part.startswith("<"):
            break
        parts.append(part)
    return ".".join(parts)
