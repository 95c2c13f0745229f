"""Checks the route to a gateway: the proxy, the name, the port, the certificate.

The checks send nothing but a CONNECT to the proxy, so they put no credential of a gateway at risk.
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
from orchestrator.doctor.findings import Finding, FindingState
from orchestrator.errors import CredentialError, UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.text.urls import DEFAULT_PORTS
from orchestrator.transport.proxy import ProxyServer, read_proxies
from orchestrator.transport.tls import explain_tls_error, make_context
from orchestrator.transport.warnings import list_warnings

STEP_SECONDS = 10.0
"""Seconds that each step of the route may take."""

# A server that is no proxy may send without an end.
_LONGEST_HEAD = 16384


class RouteCheck(Struct, frozen=True):
    """The findings on the route; ``whole`` where requests can be sent along it."""

    findings: tuple[Finding, ...]
    whole: bool


class _Endpoint(Struct, frozen=True):
    """An address to connect to: the gateway's or its proxy's."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> _Endpoint:
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])

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
    """Check the route to a gateway, step by step, until a step fails.

    Paths in the gateway's ``tls`` are relative to ``folder``. ``now`` is a Unix time, and so is ``closes``,
    when the plan's window closes. ``environment`` holds the variables that name proxies.
    """
    try:
        route = _GatewayRoute(gateway, folder, environment)
    except UsageError as error:
        return RouteCheck((Finding.failure("proxy", str(error), "set it right, or unset it"),), whole=False)
    except CredentialError as error:
        advice = "set the plan's tls right"
        return RouteCheck((Finding.failure("tls", str(error), advice),), whole=False)
    whole = await route.check(now, closes)
    return RouteCheck(tuple(route.found), whole)


class _GatewayRoute:
    """The route to one gateway, and the findings on it."""

    def __init__(self, gateway: Gateway, folder: Path, environment: Mapping[str, str]) -> None:
        self.found: list[Finding] = []
        self._gateway = gateway
        self._target = _Endpoint.of(gateway.url)
        proxies = read_proxies(gateway.proxy, environment)
        self._proxy = proxies.choose(self._target.scheme, self._target.host, self._target.port)
        # With a proxy, this machine need only reach that one: the proxy resolves the gateway's name.
        self._first_hop = _Endpoint.of(self._proxy.url) if self._proxy else self._target
        self._context = make_context(gateway, folder)
        # The plan may skip the verification; the findings are to say what a full one would find.
        believing = replace(gateway, tls=replace(gateway.tls, insecure=False))
        self._strict = make_context(believing, folder)

    async def check(self, now: float, closes: float | None) -> bool:
        through = f"through {self._proxy.place}" if self._proxy else "none"
        self.found.append(Finding.ok("proxy", through))
        if not await self._check_name() or not await self._check_port():
            return False
        if self._target.scheme == "http":
            self.found.append(self._judge_plain_http())
            return True
        finding = await self._check_certificate(now, closes)
        self.found.append(finding)
        return finding.state is not FindingState.FAIL

    def _judge_plain_http(self) -> Finding:
        told = list_warnings(self._gateway)
        if told:
            return Finding.warning("tls", "; ".join(told), "write the url with https")
        return Finding.ok("tls", "http:// to this machine itself")

    async def _check_name(self) -> bool:
        host = self._first_hop.host
        try:
            with anyio.fail_after(STEP_SECONDS):
                found = await anyio.getaddrinfo(host, self._first_hop.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            advice = f"check {self._name_culprit()}, this machine's DNS, and whether a VPN is needed"
            self.found.append(Finding.failure("name", f"the name {host} cannot be resolved", advice))
            return False
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
        text = f"{host} is {addresses[0]}{more}" if addresses != [host] else f"{host} is an address already"
        self.found.append(Finding.ok("name", text))
        return True

    async def _check_port(self) -> bool:
        try:
            with anyio.fail_after(STEP_SECONDS):
                await (await anyio.connect_tcp(self._first_hop.host, self._first_hop.port)).aclose()
        except OSError as error:
            advice = f"check {self._name_culprit()}, firewalls, and whether a VPN or a proxy is needed"
            text = f"no connection to {self._first_hop}: {_describe_error(error)}"
            self.found.append(Finding.failure("port", text, advice))
            return False
        self.found.append(Finding.ok("port", f"{self._first_hop} is open"))
        return True

    def _name_culprit(self) -> str:
        if self._proxy is None:
            return "the url"
        return "the key proxy" if self._gateway.proxy else "HTTPS_PROXY, HTTP_PROXY and NO_PROXY"

    async def _check_certificate(self, now: float, closes: float | None) -> Finding:
        """Judge the certificate by full verification; where the plan skips that, tell the fault it hides."""
        strict = await self._try_handshake(self._strict)
        insecure = self._gateway.tls.insecure
        if insecure and isinstance(strict, str):
            loose = await self._try_handshake(self._context)
            if not isinstance(loose, str):
                told = "; ".join(list_warnings(self._gateway))
                return Finding.warning("tls", f"{told} ({strict})", "remove insecure once that is done")
            strict = loose
        if isinstance(strict, str):
            return Finding.failure("tls", strict, "no credential was sent")
        if insecure:
            text = "insecure: any certificate is believed, though this one is good without"
            return Finding.warning("tls", text, "remove insecure from the plan")
        return findings.judge_certificate(strict, now=now, closes=closes)

    async def _try_handshake(self, context: ssl.SSLContext) -> float | str:
        """Return the end of the certificate (0 if it was not read), or the reason why TLS failed."""
        try:
            with anyio.fail_after(STEP_SECONDS):
                return await self._handshake(context)
        except TimeoutError:
            return f"no TLS handshake with {self._target} in time"
        except ssl.SSLError as error:
            return explain_tls_error(error, self._target.host) or "no TLS was answered"
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead) as error:
            return f"no TLS was answered by {self._target}: {_describe_error(error)}"
        except _ProxyRefusedError as refusal:
            return str(refusal)

    async def _handshake(self, context: ssl.SSLContext) -> float:
        stream: ByteStream = await anyio.connect_tcp(self._first_hop.host, self._first_hop.port)
        try:
            if self._proxy is not None:
                if self._first_hop.scheme == "https":
                    # By the plan's own rules: the strict check judges the gateway's certificate alone.
                    stream = await _start_tls(stream, self._first_hop.host, self._context)
                await _open_tunnel(stream, self._proxy, self._target)
            shaken = await _start_tls(stream, self._target.host, context)
            shown = shaken.extra(TLSAttribute.peer_certificate) or {}  # noqa: S610 - no query of any database
            ends = shown.get("notAfter")
            return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else 0.0
        finally:
            # An orderly end of TLS waits for the peer, which may be silent.
            await anyio.aclose_forcefully(stream)


class _ProxyRefusedError(Exception):
    """The proxy does not connect to the gateway."""


async def _start_tls(stream: ByteStream, host: str, context: ssl.SSLContext) -> TLSStream:
    return await TLSStream.wrap(
        stream, server_side=False, hostname=host, ssl_context=context, standard_compatible=False
    )


async def _open_tunnel(stream: ByteStream, proxy: ProxyServer, target: _Endpoint) -> None:
    """Ask the proxy to connect to the gateway; raises ``_ProxyRefusedError`` where the proxy does not."""
    own = proxy.authorization
    letting = f"Proxy-Authorization: {own.reveal()}\r\n" if own else ""
    await stream.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{letting}\r\n".encode())
    try:
        head = await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", _LONGEST_HEAD)
    except (anyio.IncompleteRead, anyio.DelimiterNotFound):
        raise _ProxyRefusedError(f"the proxy {proxy.place} did not answer as a proxy does") from None
    status = head.split(maxsplit=2)[1:2]
    if status != [b"200"]:
        # The answer may be anything, so no more of it is repeated than a status has.
        code = status[0].decode("ascii", "replace") if status else "nothing"
        raise _ProxyRefusedError(
            f"the proxy {proxy.place} does not connect to {target}: it answers {code[:3]}"
        )


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
