"""Opens the connections of a lane, over which its requests go.

No client here repeats a request, follows a redirect, keeps a cookie or reads a netrc file.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send
from orchestrator.model.settings import Tls
from orchestrator.transport.aiohttp_parts import find_differences
from orchestrator.transport.exchange import open_exchange
from orchestrator.transport.proxy import read_proxies
from orchestrator.transport.route import ClientSettings
from orchestrator.transport.session_client import open_session
from orchestrator.transport.tls import check_trust, make_context, make_store_context, needs_context


def check_connection(gateway: Gateway, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Raise the errors that ``connect`` would raise, without sending a request."""
    read_proxies(gateway.proxy, environment)
    if gateway.traffic_store is not None:
        read_proxies(gateway.traffic_store.proxy, environment)
    check_trust(gateway, folder)


@asynccontextmanager
async def connect(
    gateway: Gateway,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Send]:
    """Open the connections of a lane, in which no request waits for another one.

    The lane bounds the requests in flight, and an operator may raise that bound during a run.
    Raises CredentialError if a file that ``tls`` names cannot be used (paths are relative to ``folder``), and
    UsageError if a proxy variable of the ``environment`` holds no address of a proxy.
    """
    proxies = read_proxies(gateway.proxy, environment)
    wants_tls = needs_context(gateway, proxies.by_scheme.values())
    settings = ClientSettings(
        choose_proxy=cache(proxies.choose),  # for a handful of addresses
        tls=make_context(gateway, folder) if wants_tls else None,
        reply_timeout=gateway.reply_timeout,
    )
    async with CLIENTS[choose_client()](settings) as send:
        yield send


STORE_REPLY_WITHIN = 30.0
"""Seconds for one reply of a traffic store."""


@asynccontextmanager
async def connect_store(
    gateway: Gateway,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Send]:
    """Open a connection to the traffic store of a gateway, which has one; raises as ``connect`` does."""
    store = gateway.traffic_store
    assert store is not None  # noqa: S101 - the caller asks such gateways alone
    proxies = read_proxies(store.proxy, environment)
    urls = [store.url, *(proxy.url for proxy in proxies.by_scheme.values())]
    wants_tls = store.tls != Tls() or any(urlsplit(url).scheme == "https" for url in urls)
    settings = ClientSettings(
        choose_proxy=cache(proxies.choose),
        tls=make_store_context(gateway.name, store.tls, folder) if wants_tls else None,
        reply_timeout=STORE_REPLY_WITHIN,
    )
    async with CLIENTS[choose_client()](settings) as send:
        yield send


CLIENTS = {"exchange": open_exchange, "session": open_session}


def choose_client() -> str:
    """Return the name of the client to use: the exchange, if the parts of aiohttp that it needs are there."""
    return "session" if find_differences() else "exchange"


def describe_fallback() -> str | None:
    """Return the warning that a run gets if its requests do not go by the exchange."""
    parts = find_differences()
    if not parts:
        return None
    return (
        f"aiohttp {aiohttp.__version__} is not the one that this program was made for ({', '.join(parts)}),"
        " so requests are sent by a slower client, with the same promises"
    )
