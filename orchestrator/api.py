"""The public way to run a plan: load it, run it, resume it, restore its targets, rehearse it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import MakeControlSocket, OnStart, Prompt, RunRequest
from orchestrator.engine.signals import NoSignals, ProcessSignals
from orchestrator.errors import DiskError
from orchestrator.journal.folder import RunFolder
from orchestrator.lanes.environment import StoreAccess
from orchestrator.model.credentials import NO_CREDENTIAL, Material, StoreCredential
from orchestrator.model.events import Listener
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import DEPLOY
from orchestrator.model.settings import Tls
from orchestrator.runs.control_socket import open_control_socket
from orchestrator.runs.load import LoadedPlan, explain_no_room, load_plan
from orchestrator.runs.machine import make_real_environment
from orchestrator.runs.restore import Choice, Restoration, build_restoration
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume import resume_run
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.transport.client import connect, connect_store

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


async def run(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    prompt: Prompt | None = None,
    control_socket: MakeControlSocket = open_control_socket,
    conductor: Conductor | None = None,
) -> RunResult:
    """Undeploy the targets of a plan, and write the reports.

    Raises UsageError, CredentialError, JournalError, or RunError if a live run of the state folder touches
    one of its targets; nothing was sent then. Later no fault of a gateway raises: the result has it. With
    ``signals`` the run handles SIGINT, SIGTERM and SIGHUP: after the first one what is in flight lands, the
    second one ends the run at once. ``on_start`` is called with the run's folder before the first request;
    the folder's ``remarks`` are for people. ``prompt`` asks whether to continue after a wave with
    ``proceed: ask``; without it the run waits for `undeploy control`. ``control_socket`` makes the place in
    the folder where the run takes commands. With a ``conductor`` the targets go down on a distributed
    engine; no credential is resolved here then.
    """
    request = _make_request(
        options,
        listeners,
        on_start,
        prompt,
        signals=signals,
        control_socket=control_socket,
        conductor=conductor,
    )
    return await start_run(
        RunDraft(loaded.plan, loaded.draft, loaded.place), request, make_real_environment(loaded.folder)
    )


async def rehearse(
    loaded: LoadedPlan,
    options: RunOptions | None = None,
    *,
    urls: Mapping[str, str],
    credential: Callable[[Gateway], Material],
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    control_socket: MakeControlSocket = open_control_socket,
) -> RunResult:
    """Run the plan against other addresses, by gateway name, with credentials of their own.

    A rehearsal resolves no credential of the plan and contacts no address of it. It waits for neither the
    plan's window nor its pauses, and asks no question. Its folder is among the rehearsals.
    """
    if options is not None and options.window is None:
        options = replace(options, wait=False)
    request = replace(
        _make_request(options, listeners, on_start, None, signals=signals, control_socket=control_socket),
        rehearsal=True,
    )
    environment = replace(
        make_real_environment(loaded.folder),
        # The simulators are on this machine: neither a proxy nor a certificate of the plan is for them.
        connect=partial(connect, folder=loaded.folder, environment={}),
        check=lambda _: None,
        credential=_make_async(credential),
        reach=lambda gateway: _move_to_simulator(gateway, urls[gateway.name]),
        store=StoreAccess(
            connect=partial(connect_store, folder=loaded.folder, environment={}),
            credential=_need_no_credential,
        ),
    )
    return await start_run(RunDraft(loaded.plan, loaded.draft, loaded.place), request, environment)


def prepare_restore(parent: RunFolder, choice: Choice, chain: Sequence[RunFolder] = ()) -> Restoration:
    """Prepare the restore of a run, or of all runs of its ``chain`` in their order. Sends nothing.

    Call ``forget`` on the result in the end. Raises RunError, UsageError and JournalError.
    """
    try:
        place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    except OSError as error:
        raise explain_no_room(error) from error
    try:
        return build_restoration(parent, choice, place, chain)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, DiskError):
            raise explain_no_room(error) from error
        raise


async def restore(
    restoration: Restoration,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    control_socket: MakeControlSocket = open_control_socket,
    conductor: Conductor | None = None,
) -> RunResult:
    """Bring back the targets that a run took down. A restore is a run of its own, with journal and reports.

    A deploy counts only after a look has confirmed it. Raises as ``run`` does.
    """
    request = _make_request(
        options,
        listeners,
        on_start,
        None,
        signals=signals,
        control_socket=control_socket,
        conductor=conductor,
    )
    source = RunDraft(restoration.plan, restoration.draft, restoration.place, DEPLOY)
    environment = make_real_environment(restoration.folder)
    return await start_run(source, request, environment)


async def resume(
    folder: RunFolder,
    options: RunOptions | None = None,
    *,
    listeners: Sequence[Listener] = (),
    signals: bool = False,
    on_start: OnStart = lambda _: None,
    prompt: Prompt | None = None,
    control_socket: MakeControlSocket = open_control_socket,
    conductor: Conductor | None = None,
) -> RunResult:
    """Go on with a run that was stopped, interrupted or killed.

    A target that may have had a request in flight gets a look before anything else. For a run that has
    reached its end the reports are written again, without a request. Raises RunError if another process holds
    the run or its plan.yaml was edited, and as ``run`` does.
    """
    return await resume_run(
        folder,
        _make_request(
            options,
            listeners,
            on_start,
            prompt,
            signals=signals,
            control_socket=control_socket,
            conductor=conductor,
        ),
        make_real_environment,
    )


def _make_request(
    options: RunOptions | None,
    listeners: Sequence[Listener],
    on_start: OnStart,
    prompt: Prompt | None,
    *,
    signals: bool,
    control_socket: MakeControlSocket,
    conductor: Conductor | None = None,
) -> RunRequest:
    return RunRequest(
        options=options or RunOptions(),
        listeners=listeners,
        signals=ProcessSignals() if signals else NoSignals(),
        on_start=on_start,
        control_socket=control_socket,
        prompt=prompt,
        conductor=conductor,
    )


def _make_async(resolve: Callable[[Gateway], Material]) -> Callable[[Gateway], Awaitable[Material]]:
    async def credential(gateway: Gateway) -> Material:
        return resolve(gateway)

    return credential


async def _need_no_credential(_: Gateway) -> StoreCredential:
    """Return the credential for a simulated traffic log, which is open to all."""
    return NO_CREDENTIAL


def _move_to_simulator(gateway: Gateway, url: str) -> Gateway:
    """Return the gateway at a simulator's address.

    A simulator has its own identity service and traffic log, and no TLS.
    """
    return replace(gateway.move_to(url), tls=Tls(), proxy=None)
