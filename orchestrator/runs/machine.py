"""The environment of a real run: the clocks, the dice, the network and the credentials of this machine."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.credentials import Material, Secret, StoreCredential
from orchestrator.model.gateway import Gateway
from orchestrator.transport.client import check_connection, connect, connect_store, describe_fallback
from orchestrator.transport.credentials import resolve, resolve_store
from orchestrator.transport.proxy import list_passwords


async def _resolve_in_thread(gateway: Gateway, folder: Path) -> Material:
    """Resolve in a thread: a command may take long, and an interrupted run does not wait for it."""
    return await anyio.to_thread.run_sync(resolve, gateway, folder, abandon_on_cancel=True)


async def _resolve_store_in_thread(gateway: Gateway, folder: Path) -> StoreCredential:
    """Resolve the credential of a traffic store, in a thread as well."""
    return await anyio.to_thread.run_sync(resolve_store, gateway, folder, abandon_on_cancel=True)


def _list_proxy_passwords(gateway: Gateway) -> tuple[Secret, ...]:
    """Return the passwords of the proxies in front of a gateway, and in front of its traffic store."""
    own = list_passwords(gateway.proxy, os.environ)
    store = gateway.traffic_store
    return own if store is None else (*own, *list_passwords(store.proxy, os.environ))


def _choose_monotonic_clock() -> Callable[[], float]:
    """Return a clock without jumps; if the system has one, a clock that counts the machine's sleep."""
    # A machine that slept past the end of a window must not take the window for open.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic


def make_real_environment(folder: Path) -> Environment:
    """Return the environment of this machine; paths in a plan are relative to ``folder``."""
    return Environment(
        now=time.time,
        monotonic=_choose_monotonic_clock(),
        roll=random.random,
        connect=partial(connect, folder=folder),
        warning=describe_fallback,
        check=partial(check_connection, folder=folder),
        passwords=_list_proxy_passwords,
        credential=partial(_resolve_in_thread, folder=folder),
        store=StoreAccess(
            connect=partial(connect_store, folder=folder),
            credential=partial(_resolve_store_in_thread, folder=folder),
        ),
    )
