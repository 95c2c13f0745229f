"""Running a module's tests against one mutant, in a process that has never seen the module as it is."""

from __future__ import annotations

import ctypes
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import CodeType, ModuleType

PRELOADED = (
    "_hypothesis_pytestplugin",
    "aiohttp",
    "anyio.pytest_plugin",
    "anyio._backends._asyncio",
    "hypothesis.stateful",
    "msgspec",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "structlog",
    "tenacity",
    "yaml",
)
"""What every mutant's process would import for itself; nothing of the program is among it."""


_NEEDLESS = ("xdist", "xdist.looponfail", "pytest_cov", "platformdirs")
"""Plugins of pytest that no mutant's process uses; to load them takes as long as many a module's tests."""


class Fate(StrEnum):
    """What the tests say of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"
    UNTRIED = "untried"


UNTRIED = 71
"""The exit status of a process that could not try its mutant."""

_DIE_WITH_PARENT = 1
"""Of Linux: a process is sent a signal once the one that has started it is gone."""

_FATES = {0: Fate.SURVIVED, UNTRIED: Fate.UNTRIED, -signal.SIGXCPU: Fate.TIMED_OUT}


def preload() -> None:
    """Import once what each forked process needs. Raises AssertionError if that brings the program in."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # so that no process's garbage collection goes through all of this again
    assert not any(name.partition(".")[0] == "orchestrator" for name in sys.modules)


class _MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Gives the mutant's source for one module, and nothing for all others."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self._module = module
        self._path = path
        self._source = source

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def get_source(self, _: str) -> str:
        return self._source

    def get_code(self, _: str) -> CodeType:
        """Return the mutant's code, under the name of the module's file."""
        return self.source_to_code(self._source, self._path)


class TestProcess:
    """A forked process that runs tests.

    ``run`` returns its exit status: 0 if all passed, ``UNTRIED`` if none could be run. ``seconds`` bounds its
    processor time: on a busy machine a process may wait for long, and is no slower for it.
    """

    __test__ = False  # not a test, whatever its name

    def __init__(self, run: Callable[[], int], seconds: float = math.inf) -> None:
        self.began = time.monotonic()
        self._pid = os.fork()
        if self._pid == 0:
            _run_silently(run, seconds)
        self._end = os.pidfd_open(self._pid)

    def fileno(self) -> int:
        """Return a descriptor that can be read once the process has ended."""
        return self._end

    def read_fate(self) -> Fate:
        """Return what the tests said; wait for them."""
        _, status = os.waitpid(self._pid, 0)
        os.close(self._end)
        return _FATES.get(os.waitstatus_to_exitcode(status), Fate.KILLED)

    def kill(self) -> None:
        """End the process and what it has started."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._end)


def _run_silently(run: Callable[[], int], seconds: float) -> None:
    """End this process with the status that ``run`` returns."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if seconds < math.inf:
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
    silence = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(silence, number)
    status = 70
    try:
        status = run()
    finally:
        os._exit(status)


def run_tests(module: str, path: str, source: str, tests: Sequence[str], plugin: object) -> int:
    """Run tests against a module with the given source; return the status.

    ``tests`` are files or folders; ``plugin`` is one of pytest.
    """
    sys.meta_path.insert(0, _MutantFinder(module, path, source))
    import pytest  # noqa: PLC0415 - preloaded; this module itself must be cheap to import

    preloaded = "ignore::pytest.PytestAssertRewriteWarning"
    options = ["-x", "--tb=no", "-m", "not long", "--hypothesis-seed=0", "--timeout=600", "-W", preloaded]
    options += [word for needless in _NEEDLESS for word in ("-p", f"no:{needless}")]
    return int(pytest.main([*options, *tests], [plugin]))


def wait_for(running: Sequence[TestProcess], seconds: float) -> list[TestProcess]:
    """Return the processes that end within some seconds, as soon as one does."""
    ready, _, _ = select.select(running, [], [], seconds)
    return ready
