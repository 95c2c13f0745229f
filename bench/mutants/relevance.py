"""Which tests run which functions of a module, and for how long.

A mutant is judged by the tests that run its function, the fastest first.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import msgspec
import pytest
from msgspec import Struct

from bench.mutants.judge import Fate, TestProcess
from bench.mutants.modules import DecidingModule
from bench.mutants.sites import Mutant


class RecordedTest(Struct, frozen=True):
    """A test by its node id, the seconds that it took, and the functions of the module that it ran."""

    id: str
    seconds: float
    ran: frozenset[str]


class Record(Struct, frozen=True):
    """The tests of a module as it is, the fastest first."""

    tests: tuple[RecordedTest, ...]
    at_import: frozenset[str]
    """The functions that run when the module is imported, so that each test depends on them."""
    seconds: float
    """How long all tests took together, recorded as they were."""

    def choose(self, mutant: Mutant) -> tuple[str, ...]:
        """Return the ids of the tests that may notice a mutant: if it has a function, those that run it."""
        place = mutant.function
        every = place is None or place in self.at_import
        return tuple(test.id for test in self.tests if every or place in test.ran)


def record_tests(module: DecidingModule) -> Record:
    """Run the tests of a module as it is. Raises RuntimeError if one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.json"
        source = module.file.read_text(encoding="utf-8")
        recorder = _Recorder(str(module.file), file)
        process = TestProcess(module.name, str(module.file), source, module.tests, recorder)
        if process.read_fate() is not Fate.SURVIVED:
            raise RuntimeError(f"{' '.join(module.tests)} fails with {module.path} as it is")
        return msgspec.json.decode(file.read_bytes(), type=Record)


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
        chosen = [item for item in items if item.nodeid in self._places]
        items[:] = sorted(chosen, key=lambda item: self._places[item.nodeid])


class _Recorder:
    """A plugin of pytest that writes a ``Record`` to a file once all tests have passed."""

    def __init__(self, path: str, file: Path) -> None:
        self._path = path
        self._file = file
        self._began = time.monotonic()
        self._tests: list[RecordedTest] = []
        self._ran: set[str] = set()
        self._at_import: frozenset[str] | None = None

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Begin with this plugin's own registration: pytest imports no test before it."""
        if plugin is self:
            threading.setprofile(self._take_in)
            sys.setprofile(self._take_in)

    def _take_in(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == self._path:
            self._ran.add(_find_place(frame.f_code.co_qualname))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Keep what one test runs, its fixtures included."""
        if self._at_import is None:
            self._at_import = frozenset(self._ran)
        self._ran.clear()
        began = time.monotonic()
        result = yield
        self._tests.append(RecordedTest(item.nodeid, time.monotonic() - began, frozenset(self._ran)))
        return result

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        tests = tuple(sorted(self._tests, key=lambda test: test.seconds))
        seconds = time.monotonic() - self._began
        record = Record(tests, self._at_import or frozenset(), seconds)
        self._file.write_bytes(msgspec.json.encode(record))


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
