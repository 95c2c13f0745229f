"""The public way to run a plan: load it, run it, go on with it, rehearse it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import anyio
import anyio.to_thread
from msgspec.structs import replace

from orchestrator import __version__
from orchestrator.credentials import resolve
from orchestrator.desk import desk_in
from orchestrator.errors import DiskError, JournalError, Problem, UsageError
from orchestrator.events import Listener
from orchestrator.journal.database import open_database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.writer import Writer
from orchestrator.launch import OnStart, Order, RunResult, begin, go_on, sha256
from orchestrator.model import DEPLOY, Gateway, Plan, Tls
from orchestrator.pauses import Prompt
from orchestrator.plan.given import Given
from orchestrator.plan.reader import Loaded, read_plan
from orchestrator.plan.stored import plan_to_json
from orchestrator.proxies import passwords
from orchestrator.restoring import Choice, Restoration, prepare
from orchestrator.selection import RunOptions
from orchestrator.signals import NoSignals, ProcessSignals
from orchestrator.transport import check_connection, connect
from orchestrator.world import Material, World

__all__ = [
    "LoadedPlan",
    "RunOptions",
    "RunResult",
    "load_plan",
    "prepare_restore",
    "rehearse",
    "restore",
    "resume",
    "run",
]


class LoadedPlan:
    """A plan that was read and found valid, with its targets in a journal that nobody runs yet.

    Close it, or use it in a ``with`` statement: it holds a temporary folder until it is run.
    """

    def __init__(self, loaded: Loaded, draft: Draft, place: Path) -> None:
        self.plan: Plan = loaded.plan
        self.digest: str = loaded.digest
        self.folder: Path = loaded.folder
        self.targets: int = loaded.targets
        self.by_gateway: dict[str, int] = loaded.by_gateway
        self.by_wave: dict[str, int] = loaded.by_wave
        self.warnings: tuple[Problem, ...] = loaded.warnings
        """What the plan may say although it is hardly meant, in file order."""
        self.draft = draft
        self.place = place

    def close(self) -> None:
        """Forget it, unless it was run."""
        self.draft.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def __enter__(self) -> LoadedPlan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_plan(path: Path, *, targets: Sequence[str | Given] | None = None) -> LoadedPlan:
    """Read a plan and the files that it includes. Raises PlanError with every problem; sends nothing.

    ``targets`` are ids to take in place of the plan's own targets, of which it then needs none.
    """
    try:
        place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    except OSError as error:
        raise _no_room(error) from error
    try:
        draft = Draft(place / "journal.sqlite")
        loaded = read_plan(path, draft, instead=targets)
        _copy_source(loaded, place / "plan.yaml")
        draft.finish(tuple(gateway.name for gateway in loaded.plan.gateways), _meta(loaded))
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, DiskError | OSError):
            raise _no_room(error) from error
        raise
    return LoadedPlan(loaded, draft, place)


def _no_room(error: Exception) -> JournalError:
    """The draft of a journal cannot be kept: no DiskError, since there is no run yet that could go on."""
    return JournalError(
        f"a plan cannot be prepared in the temporary folder: {error}; nothing was sent."
        " Make room there, or name another folder in TMPDIR"
    )


def _copy_source(loaded: Loaded, copy: Path) -> None:
    """Keep the plan as it was read. Raises UsageError where it was changed meanwhile."""
    shutil.copyfile(loaded.source, copy)
    if sha256(copy) != loaded.source_digest:
        raise UsageError(f"{loaded.source} was changed while it was read; nothing was sent. Start again")


def _meta(loaded: Loaded) -> dict[str, str | None]:
    return {
        "plan": plan_to_json(loaded.plan).decode(),
        "digest": loaded.digest,
        "folder": str(loaded.folder),
        "source": loaded.source_digest,
        "program": __version__,
        "act": "undeploy",
        "parent": loaded.plan.parent,
    }


async def run(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    prompt: Prompt | None = None,
) -> RunResult:
    """Undeploy what a plan names, and write the reports.

    Raises UsageError, CredentialError, JournalError, or RunError where a live run of the state folder touches
    one of its targets, before anything was sent. After that no fault of a gateway raises: it is in the
    result. ``signals`` takes SIGINT, SIGTERM and SIGHUP for the time of the run: the first lets what is in
    flight land, the second ends at once. ``on_start`` is called with the run's folder before the first
    request; the folder's ``remarks`` are for people. ``prompt`` asks whether to go on after a wave that wants
    that; without it the run waits for `undeploy control`.
    """
    order = _order(options, listeners, on_start, prompt, signals=signals)
    return await begin(loaded.plan, loaded.draft, loaded.place, order, real_world(loaded.folder))


async def rehearse(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    urls: Mapping[str, str],
    credential: Callable[[Gateway], Material],
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
) -> RunResult:
    """Do the same run against other addresses, by gateway name, with credentials of their own.

    No credential of the plan is resolved and no address of it is contacted; the plan's window and pauses are
    not waited for, and nobody is asked. The run is kept apart, among the rehearsals.
    """
    order = replace(_order(options, listeners, on_start, None, signals=signals), rehearsal=True)
    world = replace(
        real_world(loaded.folder),
        # The simulators are on this machine: no proxy, and none of the plan's certificates.
        connect=partial(connect, folder=loaded.folder, environment={}),
        check=lambda _: None,
        credential=_async(credential),
        reach=lambda gateway: _at(gateway, urls[gateway.name]),
    )
    return await begin(loaded.plan, loaded.draft, loaded.place, order, world)


def prepare_restore(parent: RunFolder, choice: Choice, chain: Sequence[RunFolder] = ()) -> Restoration:
    """Make ready what brings back what a run took down, or all runs of its ``chain`` in their order; sends
    nothing.

    ``forget`` it in the end. Raises RunError, UsageError and JournalError.
    """
    try:
        place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    except OSError as error:
        raise _no_room(error) from error
    try:
        return prepare(parent, choice, place, chain)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, DiskError):
            raise _no_room(error) from error
        raise


async def restore(
    restoration: Restoration,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
) -> RunResult:
    """Bring back what a run took down, through the same engine: journal, pace, retries, reports of its own.

    Each deploy is looked at before it counts. Raises what ``run`` raises.
    """
    order = _order(options, listeners, on_start, None, signals=signals)
    world = real_world(restoration.folder)
    return await begin(restoration.plan, restoration.draft, restoration.place, order, world, DEPLOY)


async def resume(
    folder: RunFolder,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    prompt: Prompt | None = None,
) -> RunResult:
    """Go on with a run that was stopped, interrupted or killed.

    What may have been in flight is looked at before anything is sent. A run that has reached its end is
    reported again, without a request. Raises RunError where somebody holds the run or its plan.yaml was
    edited, and what ``run`` raises.
    """
    return await go_on(folder, _order(options, listeners, on_start, prompt, signals=signals), real_world)


def _order(
    options: RunOptions | None,
    listeners: Sequence[Listener],
    on_start: OnStart,
    prompt: Prompt | None,
    *,
    signals: bool,
) -> Order:
    return Order(
        options=options or RunOptions(),
        listeners=listeners,
        signals=ProcessSignals() if signals else NoSignals(),
        on_start=on_start,
        desk=desk_in,
        prompt=prompt,
    )


async def _resolve(gateway: Gateway, folder: Path) -> Material:
    """Resolve in a thread: a command may take its time, and whoever is interrupted does not wait for it."""
    return await anyio.to_thread.run_sync(resolve, gateway, folder, abandon_on_cancel=True)


def _async(given: Callable[[Gateway], Material]) -> Callable[[Gateway], Awaitable[Material]]:
    async def credential(gateway: Gateway) -> Material:
        return given(gateway)

    return credential


def _at(gateway: Gateway, url: str) -> Gateway:
    """Return the gateway as it is at a simulator's address, which logs in by itself."""
    auth = gateway.auth
    if auth.iam is not None:
        auth = replace(auth, iam=replace(auth.iam, url=url))
    return replace(gateway, url=url, auth=auth, tls=Tls(), proxy=None)


def _monotonic() -> Callable[[], float]:
    """Return a clock that never jumps; where there is one, one that goes on while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic


def real_world(folder: Path) -> World:
    """Return this machine's time, chance, network and credentials; paths are relative to ``folder``."""
    return World(
        now=time.time,
        monotonic=_monotonic(),
        roll=random.random,
        connect=partial(connect, folder=folder),
        check=partial(check_connection, folder=folder),
        passwords=lambda gateway: passwords(gateway.proxy, os.environ),
        credential=partial(_resolve, folder=folder),
        writing=Writer,
        reader=lambda database: open_database(database.path, write=False),
    )
