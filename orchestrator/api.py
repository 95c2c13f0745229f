"""Runs from plan to report: the public way to start one, to go on with one, and to rehearse one."""

from __future__ import annotations

import hashlib
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator import __version__
from orchestrator.credentials import resolve
from orchestrator.errors import ExitStatus, JournalError, OrchestratorError, RunError, UsageError
from orchestrator.events import Listener
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder, find_run, new_folder, publish
from orchestrator.journal.pending import Hold, Pending, hold_back, reopen
from orchestrator.journal.writer import Writer
from orchestrator.model import Gateway, Plan, Reason, Window
from orchestrator.plan.globs import matcher
from orchestrator.plan.reader import Loaded, read_plan
from orchestrator.plan.stored import plan_from_json, plan_to_json
from orchestrator.report import write_all
from orchestrator.report.values import Report
from orchestrator.session import Finish, Session, Start, check_window
from orchestrator.transport import connect
from orchestrator.wire import Secret
from orchestrator.world import World

OnStart = Callable[[RunFolder], None]


class RunOptions(Struct, frozen=True, kw_only=True):
    """What a caller may say of a run besides its plan. Globs are those of target ids."""

    state: Path = Path(".undeploy")
    report_dir: Path | None = None
    """Where the reports are written as well; the run's folder always has them."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    window: Window | None = None
    """Replaces the plan's."""
    wait: bool = False
    """Wait for the window to open."""
    past_stop: bool = False
    """Resume a run that a stop rule has stopped."""
    protect: tuple[str, ...] = ()
    """A site's own patterns; their first part also matches the host of a gateway's URL."""


class RunResult(Struct, frozen=True, kw_only=True):
    """How a session ended. ``warnings`` tells what went wrong beside the targets: reports not written."""

    exit_status: ExitStatus
    folder: RunFolder
    report: Report
    warnings: tuple[str, ...] = ()


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


def load_plan(path: Path, *, targets: Sequence[str] | None = None) -> LoadedPlan:
    """Read a plan and the files that it includes. Raises PlanError with every problem; sends nothing.

    ``targets`` are ids to take in place of the plan's own targets.
    """
    place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    try:
        draft = Draft(place / "journal.sqlite")
        loaded = read_plan(path, draft, instead=targets)
        source = place / "plan.yaml"
        shutil.copyfile(path, source)
        draft.finish(
            tuple(gateway.name for gateway in loaded.plan.gateways),
            {
                "plan": plan_to_json(loaded.plan).decode(),
                "digest": loaded.digest,
                "folder": str(loaded.folder),
                "source": _sha256(source),
                "program": __version__,
                "act": "undeploy",
            },
        )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return LoadedPlan(loaded, draft, place)


async def run(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
) -> RunResult:
    """Undeploy what a plan names, and write the reports.

    Raises UsageError, CredentialError or JournalError before anything was sent. After that no fault of a
    gateway raises: it is in the result. ``signals`` takes SIGINT, SIGTERM and SIGHUP for the time of the run:
    the first lets what is in flight land, the second ends at once. ``on_start`` is called with the run's
    folder before the first request.
    """
    options = options or RunOptions()
    world = real_world(loaded.folder)
    return await _first(loaded, options, world, listeners, signals=signals, on_start=on_start)


async def rehearse(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    urls: Mapping[str, str],
    token: str,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
) -> RunResult:
    """Do the same run against other addresses, by gateway name, with a token of their own.

    No credential of the plan is resolved and no address of it is contacted; the plan's window is not waited
    for. The run is kept apart, among the rehearsals.
    """
    options = options or RunOptions()
    world = replace(
        real_world(loaded.folder),
        credential=lambda _: Secret(token),
        reach=lambda gateway: replace(gateway, url=urls[gateway.name]),
    )
    return await _first(
        loaded, options, world, listeners, signals=signals, on_start=on_start, rehearsal=True
    )


async def resume(
    folder: RunFolder,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
) -> RunResult:
    """Go on with a run that was stopped, interrupted or killed.

    What may have been in flight is looked at before anything is sent. A run that has reached its end is
    reported again, without a request. Raises RunError where somebody holds the run or its plan.yaml was
    edited, and what ``run`` raises.
    """
    options = options or RunOptions()
    with folder.locked() as holder:
        database = folder.open(write=True)
        try:
            meta: dict[str, Any] = dict(database.rows("SELECT key, value FROM meta"))
            world = real_world(Path(meta["folder"]))
            start = _prepare_resume(folder, database, meta, options, world, holder)
        except BaseException:
            database.close()
            raise
        if start is None:
            database.close()
            return _result(folder, _last_status(folder), ())
        on_start(folder)
        return await _hold_session(folder, start, database, world, listeners, options, signals=signals)


async def _first(
    loaded: LoadedPlan,
    options: RunOptions,
    world: World,
    listeners: Sequence[Listener],
    *,
    signals: bool,
    on_start: OnStart,
    rehearsal: bool = False,
) -> RunResult:
    plan = loaded.plan
    _hold(loaded.draft.database, plan, options)
    window = options.window or (None if rehearsal else plan.window)
    _check_start(loaded.draft.database, plan, window, options, world)
    loaded.draft.note_start(world.now())
    loaded.draft.close()
    path = new_folder(
        options.state,
        name=_slug(plan.name),
        suffix=secrets.token_hex(2),
        at=world.now(),
        rehearsal=rehearsal,
    )
    folder = publish(loaded.place, path)
    with folder.locked() as holder:
        on_start(folder)
        start = _start(folder, plan, window, 1, holder, options)
        database = folder.open(write=True)
        return await _hold_session(folder, start, database, world, listeners, options, signals=signals)


async def _hold_session(
    folder: RunFolder,
    start: Start,
    database: Database,
    world: World,
    listeners: Sequence[Listener],
    options: RunOptions,
    *,
    signals: bool,
) -> RunResult:
    finish = await Session(start, database, world, listeners).run(signals=signals)
    return _result(folder, finish.status, () if finish.cut else _write_reports(folder, options))


def _prepare_resume(
    folder: RunFolder,
    database: Database,
    meta: Mapping[str, Any],
    options: RunOptions,
    world: World,
    holder: str,
) -> Start | None:
    """Open again what a resume may go on with; None where the run has reached its end."""
    plan = plan_from_json(meta["plan"].encode())
    sessions = list(
        database.rows("SELECT number, state, stopped_by, options FROM session ORDER BY number")
    )
    number, state, stopped_by, said = sessions[-1] if sessions else (0, None, None, "{}")
    if state == "complete":
        return None
    if _sha256(folder.plan) != meta["source"]:
        raise RunError(
            f"{folder.plan} was edited after run {folder.id} began; a run goes on with the plan that was"
            " approved. Put the file back, or start a new run with the edited plan"
        )
    if (stopped_by or "").startswith(Reason.STOP_RULE) and not options.past_stop:
        raise UsageError(f"run {folder.id} was stopped ({stopped_by}); --past-stop goes on all the same")
    earlier = msgspec.json.decode(said)
    window = options.window or msgspec.convert(earlier.get("window"), Window | None) or plan.window
    check_window(window, world.now(), wait=options.wait, takes=_shortest_timeout(plan))
    reopen(database, _wanted(plan, options))
    hold_back(database, _protections(plan, options))
    _check_start(database, plan, window, options, world)
    return _start(folder, plan, window, number + 1, holder, options)


def _start(
    folder: RunFolder, plan: Plan, window: Window | None, number: int, holder: str, options: RunOptions
) -> Start:
    said = {"only": options.only, "skip": options.skip, "waves": options.waves, "window": window}
    return Start(
        run=folder.id,
        plan=plan,
        window=window,
        number=number,
        holder=holder,
        options=msgspec.json.encode(said).decode(),
    )


def _check_start(
    database: Database, plan: Plan, window: Window | None, options: RunOptions, world: World
) -> None:
    """Raise where nothing may or can be sent: the window, the filters, the credentials."""
    left = Pending(database, plan, resumed=False).left()
    if not left and (options.only or options.skip or options.waves):
        raise UsageError("no target is left by --only, --skip and --wave; nothing was sent")
    check_window(window, world.now(), wait=options.wait, takes=_shortest_timeout(plan))
    for gateway in plan.gateways:
        if any(name == gateway.name for _, name in left):
            world.credential(gateway)


def _shortest_timeout(plan: Plan) -> float:
    return min(gateway.reply_timeout for gateway in plan.gateways)


def _hold(database: Database, plan: Plan, options: RunOptions) -> None:
    """Keep out of the run what is protected, and what the filters leave out."""
    unknown = [name for name in options.waves if name not in {wave.name for wave in plan.waves}]
    if unknown:
        names = ", ".join(wave.name for wave in plan.waves)
        raise UsageError(f"no wave is named {unknown[0]!r}; the plan has {names}")
    wanted = _wanted(plan, options)
    filters = Hold(
        Reason.FILTERED,
        lambda name, wave: None if wanted(name, wave) else "left out by --only, --skip or --wave",
    )
    hold_back(database, [*_protections(plan, options), filters])


def _wanted(plan: Plan, options: RunOptions) -> Callable[[str, int], bool]:
    """Return the test that the filters are, on a target's id and the index of its wave."""
    only, skip = matcher(options.only), matcher(options.skip)
    waves = {index for index, wave in enumerate(plan.waves) if wave.name in options.waves}

    def wanted(name: str, wave: int) -> bool:
        if options.waves and wave not in waves:
            return False
        if options.only and only(name) is None:
            return False
        return not options.skip or skip(name) is None

    return wanted


def _protections(plan: Plan, options: RunOptions) -> list[Hold]:
    """Return what is never touched: the plan's own patterns, and the site's, which also know hosts."""
    holds = []
    if plan.protect:
        by_plan = matcher(plan.protect)
        holds.append(Hold(Reason.PROTECTED, lambda name, _: by_plan(name)))
    if options.protect:
        by_site = matcher(options.protect)
        hosts = {gateway.name: _host(gateway) for gateway in plan.gateways}

        def site(name: str, _wave: int) -> str | None:
            gateway, _, rest = name.partition("/")
            return by_site(name) or by_site(f"{hosts[gateway]}/{rest}")

        holds.append(Hold(Reason.PROTECTED, site))
    return holds


def _host(gateway: Gateway) -> str:
    return gateway.url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower()


def _write_reports(folder: RunFolder, options: RunOptions) -> tuple[str, ...]:
    """Write every report; return what could not be written, in words."""
    told = []
    for place in [folder.path, options.report_dir]:
        if place is None:
            continue
        try:
            place.mkdir(parents=True, exist_ok=True)
            with folder.account() as account:
                write_all(account, place)
        except (OrchestratorError, OSError) as error:
            told.append(str(error))
    return tuple(told)


def _result(folder: RunFolder, status: ExitStatus, warnings: tuple[str, ...]) -> RunResult:
    with folder.account() as account:
        return RunResult(exit_status=status, folder=folder, report=account.report, warnings=warnings)


def _last_status(folder: RunFolder) -> ExitStatus:
    with folder.account() as account:
        status = account.report.run.exit_status
    return ExitStatus.DONE if status is None else ExitStatus(status)


def real_world(folder: Path) -> World:
    """Return this machine's time, chance, network and credentials; file references are relative to ``folder``."""
    return World(
        now=time.time,
        monotonic=time.monotonic,
        roll=random.random,
        connect=connect,
        credential=partial(resolve, folder=folder),
        writing=Writer,
        reader=lambda database: open_database(database.path, write=False),
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error


def _slug(name: str) -> str:
    """Return a plan's name as part of a folder's name."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "plan"
