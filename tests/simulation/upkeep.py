"""What each played seed wants of this process: signals by the clock, memory tidied up once, silence."""

from __future__ import annotations

import gc
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import anyio

from orchestrator.engine.signals import NoSignals
from orchestrator.journal.database import Database
from orchestrator.journal.holder import HolderLock
from orchestrator.model.credentials import NO_CREDENTIAL, StoreCredential
from orchestrator.model.gateway import Gateway


class TimedSignals(NoSignals):
    """Gives a SIGTERM at each of these virtual seconds."""

    def __init__(self, times: Sequence[float], note: Callable[[], None]) -> None:
        """``note`` is called at each of them."""
        self._times = times
        self._note = note

    async def receive(self) -> AsyncIterator[str]:
        began = anyio.current_time()
        for at in self._times:
            await anyio.sleep(max(0.0, began + at - anyio.current_time()))
            self._note()
            yield "SIGTERM"


async def need_no_credential(_: Gateway) -> StoreCredential:
    """Return the credential for a simulated traffic log, which is open to all."""
    return NO_CREDENTIAL


@contextmanager
def make_seed_folder(prefix: str) -> Iterator[Path]:
    """Give a folder for what a seed writes, and clear up behind its processes at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_find_memory_folder()))
    try:
        with _silence_unraisable(), _collect_once(), _close_what_is_left():
            yield folder
    finally:
        shutil.rmtree(folder)


def _find_memory_folder() -> str | None:
    """Return a folder in memory if there is one: a thousand seeds write a thousand journals."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def _close_what_is_left() -> Iterator[None]:
    """Close, at the end, what killed processes had open, as the system does for real ones.

    Nothing is closed before: the close of a database would tidy up the journal that the next session finds.
    """
    databases, locks = WeakSet[Database](), WeakSet[HolderLock]()
    with ExitStack() as stack:
        for made in (databases, locks):
            stack.callback(_close_all, made)
        stack.enter_context(patch.object(Database, "__init__", _note_in(databases, Database.__init__)))
        stack.enter_context(patch.object(HolderLock, "__init__", _note_in(locks, HolderLock.__init__)))
        yield


def _note_in(made: WeakSet[Any], build: Callable[..., None]) -> Callable[..., None]:
    """Return an initializer that notes in ``made`` what it has built."""

    def build_and_note(self: object, *values: object, **named: object) -> None:
        build(self, *values, **named)
        made.add(self)

    return build_and_note


def _close_all(made: WeakSet[Any]) -> None:
    for each in list(made):
        each.close()


@contextmanager
def _collect_once() -> Iterator[None]:
    """Collect what killed processes leave behind once, at the end: it saves a tenth of the time.

    A block within another one leaves that to the outer one.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    gc.freeze()  # all that was there before need not be looked at
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        gc.enable()


@contextmanager
def _silence_unraisable() -> Iterator[None]:
    """Silence the warnings of Python on the coroutines that a killed process leaves behind."""
    told, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = told
