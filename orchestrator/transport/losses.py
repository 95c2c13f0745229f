"""Why a request has no reply, in one clause for people.

No text names the request, whose headers hold a credential, or repeats the words of a proxy.
"""

from __future__ import annotations

import os
from http import HTTPStatus

import aiohttp

from orchestrator.transport.route import Route
from orchestrator.transport.tls import explain_tls_error


class UnsolicitedDataError(aiohttp.ClientError):
    """Bytes came before any request was sent on this connection."""


class HeldBackError(aiohttp.ClientError):
    """When the connection stood, the request could not leave any more; nothing was sent."""


class UnreadableReplyError(aiohttp.ClientError):
    """The reply cannot be read; the text tells people why."""


NO_ADDRESS = "the address is not a URL"
NO_HTTP = "the request, or its reply, is not HTTP"

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no whole reply in time"),
    (UnsolicitedDataError, "something came before anything was asked, so nothing was sent"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before a reply"),
    (aiohttp.ClientPayloadError, "the body of the reply is cut short or damaged"),
    (aiohttp.ClientResponseError, "the reply is not HTTP"),
    (aiohttp.InvalidURL, NO_ADDRESS),
    (ValueError, NO_HTTP),
)


def describe_loss(error: Exception, route: Route, *, connected: bool) -> str:
    """Describe the error that ended a request; ``connected`` tells whether a connection stood."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return describe_refusal(error.status, route)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _describe_connect_failure(error, route)
    if isinstance(error, UnicodeError) and not connected:
        return _describe_unknown_name(_find_odd_name(route))
    through = f" through the proxy {route.proxy.place}" if route.proxy else ""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection in time{through}"
    if route.proxy is not None and not connected:
        return f"no connection{through}: it did not answer as a proxy does"
    if isinstance(error, UnreadableReplyError):
        return str(error)
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    return f"the connection broke: {_explain(error.__cause__ or error, route.host)}"


def describe_refusal(status: int, route: Route) -> str:
    """Say which proxy refused a request. Its own words may repeat a credential of ours, so they stay out."""
    place = route.proxy.place if route.proxy else ""
    known = next((each.phrase for each in HTTPStatus if each == status), "")
    told = f"the proxy {place} refused the way to {route.host}: {f'{status} {known}'.strip()}"
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return told
    return (
        f"{told}; a user and password for it may stand in HTTPS_PROXY or HTTP_PROXY (http://user:password@…)"
    )


def describe_too_large(largest: int) -> str:
    """Say that the body of a reply has more than ``largest`` bytes."""
    return f"the reply is larger than {largest} bytes"


def _describe_connect_failure(error: aiohttp.ClientConnectorError, route: Route) -> str:
    host = f"[{error.host}]" if ":" in error.host else error.host
    match error:
        case aiohttp.ClientConnectorDNSError():
            return _describe_unknown_name(error.host)
        case aiohttp.ClientProxyConnectionError() if route.proxy is not None:
            met = f"no connection to the proxy {route.proxy.place}"
        case aiohttp.ClientSSLError():
            met = f"no TLS connection to {host}:{error.port}"
        case _:
            met = f"no connection to {host}:{error.port}"
    return f"{met}: {_explain(error.os_error, error.host)}"


def _describe_unknown_name(name: str) -> str:
    return f"the name {name} cannot be resolved"


def _find_odd_name(route: Route) -> str:
    """Return the name on the way that no resolver takes: a part of it is empty, or too long."""
    proxy = "" if route.proxy is None else route.proxy.host
    try:
        proxy.encode("idna")
    except UnicodeError:
        return proxy
    return route.host


def _explain(error: BaseException, host: str) -> str:
    """Return the reason alone: asyncio's own texts repeat the address as a Python tuple."""
    told = explain_tls_error(error, host)
    if told is not None:
        return told
    match error:
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case ConnectionError() | EOFError():
            return "it was closed during the handshake"
        case _:
            return type(error).__name__
