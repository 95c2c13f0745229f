"""The connection to a Temporal server: TLS, who we are, and what to say where it cannot be made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

import anyio
from msgspec import Struct
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from orchestrator.distributed.address import EngineAddress
from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.patience import NO_ANSWER, REFUSALS
from orchestrator.distributed.server_words import clean_words, hide_key
from orchestrator.errors import RunError, UsageError
from orchestrator.model.outcome import NO_SERVER
from orchestrator.system.reading import FileRefusedError, read_any, read_regular

_QUOTED = re.compile(r'(?:message|error): "([^"]+)"')

_NO_CONNECTION = 'ConnectError("'
"""How the client's library begins what kept TCP from connecting: the name, a refusal, no route."""

PATIENCE = 15.0
"""Seconds that a server gets for the first answer."""


LISTENS_WITHIN = 5.0
"""Seconds to find out whether anything listens at a port."""


class NamespaceMissingError(UsageError):
    """A server answers, and has no namespace of that name."""


class EngineTls(Struct, frozen=True, kw_only=True):
    """How the connection is encrypted. Paths are relative to the present folder."""

    ca_file: Path | None = None
    """Certificates in PEM in the place of those that the system trusts."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """May be a pipe: a key need not be on a disk."""
    server_name: str | None = None
    """The name in the server's certificate, where it is not the host of the address."""


async def connect(
    address: EngineAddress, tls: EngineTls | None = None, *, api_key: str | None = None
) -> Client:
    """Return a client of a server that answers and has the namespace.

    ``tls`` is None without encryption. ``api_key`` stands in the place of a certificate of ours.
    Raises UsageError for files that cannot be used and for a namespace that does not exist, and RunError
    where the server cannot be reached.
    """
    config = False if tls is None else read_tls(tls)
    if api_key is not None:
        hide_key(api_key)
    try:
        with anyio.fail_after(PATIENCE):
            client = await Client.connect(
                address.target,
                namespace=address.namespace,
                data_converter=CONVERTER,
                tls=config,
                api_key=api_key,
                runtime=_get_runtime(),
            )
            await _find_namespace(client, address)
    # The client's library raises RuntimeError for whatever keeps it from connecting.
    except (RuntimeError, TimeoutError, RPCError) as error:
        # Its threads end a moment later, and an interpreter that ends before them is aborted.
        await anyio.sleep(0.2)
        raise RunError(_explain(error, address, encrypted=tls is not None)) from None
    return client


@contextmanager
def explain_errors(url: str) -> Iterator[None]:
    """Raise RunError in the place of what the server at ``url`` answers in the block, or does not answer."""
    try:
        yield
    except RPCError as error:
        raise RunError(f"{describe_error(error, url)}{_advise(error)}") from None


def describe_error(error: RPCError, url: str) -> str:
    """Return what became of a request to the server at ``url``, in one clause."""
    why = clean_words(error.message)[:300] or "it does not say why"
    verb = "does not answer" if error.status in NO_ANSWER else "refuses this"
    return f"{NO_SERVER} {url} {verb} ({error.status.name}): {why}"


def _advise(error: RPCError) -> str:
    if error.status in REFUSALS:
        return "; see --api-key, --tls-cert, and the rights of that account in the namespace"
    return ""


async def is_listening(host: str, port: int) -> bool:
    """Return whether anything takes a TCP connection there, whatever it speaks."""
    with suppress(OSError), anyio.move_on_after(LISTENS_WITHIN):
        await (await anyio.connect_tcp(host, port)).aclose()
        return True
    return False


@cache
def _get_runtime() -> Runtime:
    """Return the library's threads, which all connections of the process share.

    The library would write lines of its own to the terminal: of each lost connection, again and again, and of
    each page of a journal. What a person must know, the program says itself.
    """
    quiet = TelemetryFilter(core_level="OFF", other_level="OFF")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=quiet)))


def read_tls(tls: EngineTls) -> TLSConfig:
    """Return the settings that Temporal's client takes. Raises UsageError for files that cannot be used."""
    if (tls.cert_file is None) != (tls.key_file is None):
        raise UsageError("a certificate and its key belong together: give both --tls-cert and --tls-key")
    return TLSConfig(
        server_root_ca_cert=_read_pem(tls.ca_file, "CERTIFICATE"),
        domain=tls.server_name,
        client_cert=_read_pem(tls.cert_file, "CERTIFICATE"),
        client_private_key=_read_pem(tls.key_file, "PRIVATE KEY", pipes=True),
    )


def _read_pem(path: Path | None, what: str, *, pipes: bool = False) -> bytes | None:
    if path is None:
        return None
    try:
        content = read_any(path) if pipes else read_regular(path)
    except FileRefusedError as error:
        raise UsageError(f"{path} {error}") from None
    if f"{what}-----".encode() not in content:
        raise UsageError(f"{path} holds no {what.lower()} in PEM")
    return content


async def _find_namespace(client: Client, address: EngineAddress) -> None:
    """Raise UsageError if the server says that it has no such namespace."""
    try:
        await client.count_workflows("WorkflowId = 'undeploy'", rpc_timeout=timedelta(seconds=PATIENCE))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NamespaceMissingError(
                f"the Temporal server at {address.target} has no namespace {address.namespace}"
            ) from None
        # A role that may start workflows need not be one that may list them.
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise


def _explain(error: Exception, address: EngineAddress, *, encrypted: bool) -> str:
    """Return why a server cannot be used, in one sentence with a hint."""
    text = clean_words(str(error)).removeprefix("Failed client connect: ")
    why = find_innermost(text) or f"no answer within {PATIENCE:g} s"
    hint = _choose_hint(error, text, encrypted=encrypted)
    return f"no Temporal server can be reached at {address.target}: {why[:300]}; {hint}"


def find_innermost(text: str) -> str:
    """Return what a person can act on of the whole chain of errors that the client's library tells."""
    quoted = _QUOTED.findall(text)
    return quoted[-1] if quoted else text


def _choose_hint(error: Exception, text: str, *, encrypted: bool) -> str:
    if isinstance(error, TimeoutError) or _NO_CONNECTION in text:
        return "is it started, and are host and port right?"
    if isinstance(error, RPCError):  # it speaks as we do, so the encryption is as it should be
        return "does it want --tls-cert and --tls-key, or --api-key?"
    # A server that wants TLS ends a connection in clear without a word that the library could tell.
    return "look at --tls-ca and --tls-server-name" if encrypted else "is it encrypted? then give --tls"
