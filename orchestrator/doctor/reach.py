"""How far a gateway can be reached: its name, its port, the proxy before it, its certificate.

Nothing is sent but a proxy's CONNECT, so no credential of a gateway is at risk here.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSStream
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.doctor import findings
from orchestrator.doctor.findings import Finding
from orchestrator.errors import CredentialError, UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.transport.proxy import Proxy, read_proxies
from orchestrator.transport.tls import make_context, warnings, why_no_tls

STEP_SECONDS = 10.0
"""Seconds that each of the steps may take."""

_PORTS = {"http": 80, "https": 443}
_LONGEST_HEAD = 16384


class RouteCheck(Struct, frozen=True):
    """What was found on the way; ``whole`` where requests can be sent."""

    findings: tuple[Finding, ...]
    whole: bool


class _Endpoint(Struct, frozen=True):
    """Somebody to connect to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> _Endpoint:
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


async def check_route(
    gateway: Gateway,
    folder: Path,
    *,
    now: float,
    closes: float | None,
    environment: Mapping[str, str] = os.environ,
) -> RouteCheck:
    """Go as far towards a gateway as can be gone; paths in ``tls`` are relative to ``folder``."""
    try:
        way = _GatewayRoute(gateway, folder, environment)
    except UsageError as error:
        return RouteCheck((findings.failure("proxy", str(error), "set it right, or unset it"),), whole=False)
    except CredentialError as error:
        advice = "set the plan's tls right"
        return RouteCheck((findings.failure("tls", str(error), advice),), whole=False)
    whole = await way.go(now, closes)
    return RouteCheck(tuple(way.found), whole)


class _GatewayRoute:
    """The way to one gateway, and what was found on it."""

    def __init__(self, gateway: Gateway, folder: Path, environment: Mapping[str, str]) -> None:
        self.found: list[Finding] = []
        self._gateway = gateway
        self._goal = _Endpoint.of(gateway.url)
        proxies = read_proxies(gateway.proxy, environment)
        self._proxy = proxies.choose(self._goal.scheme, self._goal.host, self._goal.port)
        self._first = _Endpoint.of(self._proxy.url) if self._proxy else self._goal
        self._context = make_context(gateway, folder)
        believing = replace(gateway, tls=replace(gateway.tls, insecure=False))
        self._strict = make_context(believing, folder)

    async def go(self, now: float, closes: float | None) -> bool:
        through = f"through {self._proxy.place}" if self._proxy else "none"
        self.found.append(findings.ok("proxy", through))
        if not await self._resolve() or not await self._knock():
            return False
        if self._goal.scheme == "http":
            self.found.append(self._in_clear())
            return True
        finding = await self._certificate(now, closes)
        self.found.append(finding)
        return finding.state is not findings.FindingState.FAIL

    def _in_clear(self) -> Finding:
        told = warnings(self._gateway)
        if told:
            return findings.warning("tls", "; ".join(told), "write the url with https")
        return findings.ok("tls", "http:// to this machine itself")

    async def _resolve(self) -> bool:
        host = self._first.host
        try:
            with anyio.fail_after(STEP_SECONDS):
                found = await anyio.getaddrinfo(host, self._first.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            advice = f"check {self._blamed()}, this machine's DNS, and whether a VPN is needed"
            self.found.append(findings.failure("name", f"the name {host} cannot be resolved", advice))
            return False
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
        text = f"{host} is {addresses[0]}{more}" if addresses != [host] else f"{host} is an address already"
        self.found.append(findings.ok("name", text))
        return True

    async def _knock(self) -> bool:
        try:
            with anyio.fail_after(STEP_SECONDS):
                await (await anyio.connect_tcp(self._first.host, self._first.port)).aclose()
        except OSError as error:
            advice = f"check {self._blamed()}, firewalls, and whether a VPN or a proxy is needed"
            text = f"no connection to {self._first}: {_describe_error(error)}"
            self.found.append(findings.failure("port", text, advice))
            return False
        self.found.append(findings.ok("port", f"{self._first} is open"))
        return True

    def _blamed(self) -> str:
        if self._proxy is None:
            return "the url"
        return "the key proxy" if self._gateway.proxy else "HTTPS_PROXY, HTTP_PROXY and NO_PROXY"

    async def _certificate(self, now: float, closes: float | None) -> Finding:
        """Judge by full verification. Where the plan does without, say what that hides."""
        strict = await self._shaken(self._strict)
        insecure = self._gateway.tls.insecure
        if insecure and isinstance(strict, str):
            loose = await self._shaken(self._context)
            if not isinstance(loose, str):
                told = "; ".join(warnings(self._gateway))
                return findings.warning("tls", f"{told} ({strict})", "remove insecure once that is done")
            strict = loose
        if isinstance(strict, str):
            return findings.failure("tls", strict, "no credential was sent")
        if insecure:
            text = "insecure: any certificate is believed, though this one is good without"
            return findings.warning("tls", text, "remove insecure from the plan")
        return findings.judge_certificate(strict, now=now, closes=closes)

    async def _shaken(self, context: ssl.SSLContext) -> float | str:
        """Return when the certificate ends (0 where it was not read), or why there is no TLS."""
        try:
            with anyio.fail_after(STEP_SECONDS):
                return await self._handshake(context)
        except TimeoutError:
            return f"no TLS handshake with {self._goal} in time"
        except ssl.SSLError as error:
            return why_no_tls(error, self._goal.host) or "no TLS was answered"
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead) as error:
            return f"no TLS was answered by {self._goal}: {_describe_error(error)}"
        except _ProxyRefusedError as refusal:
            return str(refusal)

    async def _handshake(self, context: ssl.SSLContext) -> float:
        stream: ByteStream = await anyio.connect_tcp(self._first.host, self._first.port)
        try:
            if self._proxy is not None:
                if self._first.scheme == "https":
                    stream = await _start_tls(stream, self._first.host, self._context)
                await _open_tunnel(stream, self._proxy, self._goal)
            shaken = await _start_tls(stream, self._goal.host, context)
            shown = shaken.extra(TLSAttribute.peer_certificate) or {}  # noqa: S610 - no query of any database
            ends = shown.get("notAfter")
            return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else 0.0
        finally:
            await anyio.aclose_forcefully(stream)


class _ProxyRefusedError(Exception):
    """A proxy does not let us through."""


async def _start_tls(stream: ByteStream, host: str, context: ssl.SSLContext) -> TLSStream:
    return await TLSStream.wrap(
        stream, server_side=False, hostname=host, ssl_context=context, standard_compatible=False
    )


async def _open_tunnel(stream: ByteStream, proxy: Proxy, goal: _Endpoint) -> None:
    """Have a proxy connect us; raises _ProxyError where it does not."""
    own = proxy.authorization
    letting = f"Proxy-Authorization: {own.reveal()}\r\n" if own else ""
    await stream.send(f"CONNECT {goal} HTTP/1.1\r\nHost: {goal}\r\n{letting}\r\n".encode())
    try:
        head = await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", _LONGEST_HEAD)
    except (anyio.IncompleteRead, anyio.DelimiterNotFound):
        raise _ProxyRefusedError(f"the proxy {proxy.place} did not answer as a proxy does") from None
    status = head.split(maxsplit=2)[1:2]
    if status != [b"200"]:
        code = status[0].decode("ascii", "replace") if status else "nothing"
        raise _ProxyRefusedError(f"the proxy {proxy.place} does not connect to {goal}: it answers {code[:3]}")


def _describe_error(error: BaseException) -> str:
    """Return the reason alone, in the system's words; anyio keeps it behind an error of its own."""
    while isinstance(error, OSError) and error.errno is None and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return _describe_error(error.exceptions[0])
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return "the connection was closed"
