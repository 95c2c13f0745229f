"""Judging the mutants of a module in forks of one session of pytest, which has collected the module's tests.

To start pytest and to import the program takes longer than most tests. So a mutant that changes one function
gets a fork of a session that is about to run its tests, in which that function has other code. What changes
the import of the module has a process of its own (``judge``).
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from msgspec import Struct

from bench.mutants.judge import UNTRIED, Fate, TestProcess, run_tests, wait_for
from bench.mutants.modules import DecidingModule
from bench.mutants.relevance import CallTrace, Record, Recorder, Selection
from bench.mutants.sites import Mutant
from bench.mutants.swap import swap_function

SLOWER = 8.0
"""How many times the processor time of the module as it is a mutant may take: a loop that turns for ever is
killed."""

LONGEST = 900.0
"""Seconds after which a mutant is killed that waits for something for ever."""

Key = TypeVar("Key")


class Findings(Struct, frozen=True):
    """What a session found out: the record of its tests, and the fates of mutants by their names."""

    record: Record
    fates: Mapping[str, Fate]

    def find_fate(self, mutant: Mutant) -> Fate:
        """Return the fate of a mutant; ``UNTRIED`` if it wants a process of its own."""
        return self.fates.get(mutant.name, Fate.UNTRIED)


def judge_mutants(module: DecidingModule, mutants: Sequence[Mutant], jobs: int) -> list[tuple[Mutant, Fate]]:
    """Return each mutant with its fate. Raises RuntimeError if the tests fail with the module as it is."""
    found = _judge_in_session(module, mutants, jobs)
    untried = {each.name: each for each in mutants if found.find_fate(each) is Fate.UNTRIED}

    def start(mutant: Mutant) -> TestProcess | None:
        chosen = Selection(found.record.choose(mutant))
        bound = _bound_time(found.record, starts=10.0)
        return _start(module, mutant.source, chosen.files, chosen, bound) if chosen.files else None

    fates = dict(_run_side_by_side(untried, start, jobs))
    return [(mutant, fates.get(mutant.name, found.find_fate(mutant))) for mutant in mutants]


def _judge_in_session(module: DecidingModule, mutants: Sequence[Mutant], jobs: int) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "findings.json"
        session = _JudgingSession(module, mutants, jobs, file)
        _start(module, module.file.read_text(encoding="utf-8"), module.tests, session).read_fate()
        if not file.exists():
            raise RuntimeError(f"{' '.join(module.tests)} fails with {module.path} as it is")
        return msgspec.json.decode(file.read_bytes(), type=Findings)


def _start(
    module: DecidingModule, source: str, tests: Sequence[str], plugin: object, seconds: float = math.inf
) -> TestProcess:
    return TestProcess(lambda: run_tests(module.name, str(module.file), source, tests, plugin), seconds)


def _bound_time(record: Record, *, starts: float = 1.0) -> float:
    """Return the seconds of processor time for a mutant. ``starts``: those until its tests begin."""
    return starts + SLOWER * record.seconds


class _JudgingSession:
    """A plugin of pytest that judges mutants in the place of running the tests, and writes ``Findings``."""

    def __init__(self, module: DecidingModule, mutants: Sequence[Mutant], jobs: int, file: Path) -> None:
        self._module = module
        self._mutants = mutants
        self._jobs = jobs
        self._file = file
        self._trace = CallTrace(str(module.file))

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Observe from this plugin's own registration on: pytest imports no test before it."""
        if plugin is self:
            self._trace.begin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge the mutants that change one function each."""
        at_import = self._trace.take()
        record_file = self._file.with_name("record.json")
        process = TestProcess(lambda: self._record_tests(session, at_import, record_file))
        self._trace.end()
        if process.read_fate() is Fate.SURVIVED:
            record = msgspec.json.decode(record_file.read_bytes(), type=Record)
            local = {mutant.name: mutant for mutant in self._mutants if record.is_local(mutant)}

            def start(mutant: Mutant) -> TestProcess | None:
                chosen = Selection(record.choose(mutant)).choose(session.items)
                run = partial(self._run_mutant, session, chosen, mutant)
                return TestProcess(run, _bound_time(record)) if chosen else None

            fates = dict(_run_side_by_side(local, start, self._jobs))
            self._file.write_bytes(msgspec.json.encode(Findings(record, fates)))
        return True

    def _record_tests(self, session: pytest.Session, at_import: frozenset[str], file: Path) -> int:
        recorder = Recorder(self._trace)
        session.config.pluginmanager.register(recorder)
        status = _run_items(session, session.items)
        file.write_bytes(msgspec.json.encode(recorder.make_record(at_import)))
        return status

    def _run_mutant(self, session: pytest.Session, chosen: Sequence[pytest.Item], mutant: Mutant) -> int:
        if not swap_function(sys.modules[self._module.name], mutant):
            return UNTRIED
        return _run_items(session, chosen)


def _run_items(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    """Run tests up to the first that fails; return the status for a process."""
    for item, following in zip_longest(items, items[1:]):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def _run_side_by_side(
    mutants: Mapping[str, Mutant],
    start: Callable[[Mutant], TestProcess | None],
    jobs: int,
) -> Iterator[tuple[str, Fate]]:
    """Yield the names of mutants with their fates. ``start`` returns None for one that no test runs."""
    waiting, running = list(mutants), dict[TestProcess, str]()
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            if process := start(mutants[name]):
                running[process] = name
            else:
                yield name, Fate.SURVIVED
        for process in wait_for(list(running), 1.0):
            yield running.pop(process), process.read_fate()
        for process in [each for each in running if time.monotonic() - each.began > LONGEST]:
            process.kill()
            yield running.pop(process), Fate.TIMED_OUT
