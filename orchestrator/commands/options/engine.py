"""Options that name a distributed engine, and how it is reached."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import Command, bundle_options
from orchestrator.commands.options.files import FILE
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import Client

    from orchestrator.distributed.address import EngineAddress
    from orchestrator.distributed.conductor import TemporalConductor
    from orchestrator.distributed.connection import EngineTls
    from orchestrator.model.credentials import Secret

URL = "temporal://HOST:PORT/NAMESPACE"

NOT_INSTALLED = (
    "--on needs Temporal's library, which is not installed;"
    " `pip install 'undeploy-orchestrator[temporal]'` installs it"
)


class EngineOptions(NamedTuple):
    """Where the engine is, and how the connection to it is encrypted; without ``on`` there is none."""

    on: str | None
    tls: bool
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_server_name: str | None
    api_key: str | None
    lease: float | None = None
    """Seconds without a sign of life after which a worker has lost its work, for a command that asks."""

    def find(self) -> EngineAccess | None:
        """Return what is asked for, None for no engine. Raises ``UsageError``; reads the key, but no file."""
        if self.on is None:
            if named := self._name_given():
                raise UsageError(f"{named} is about a distributed engine; --on {URL} names one")
            return None
        return self.read()

    def read(self) -> EngineAccess:
        """Return how the engine is reached, of a command that always wants one; raises ``UsageError``."""
        from orchestrator.distributed.address import parse_engine_address

        address = parse_engine_address(self.on or "")
        _require_library()
        return EngineAccess(address, self._read_tls(), _read_key(self.api_key), self.api_key)

    def _name_given(self) -> str | None:
        """Return the first option that is given for no engine."""
        for name in self._fields[1:]:
            if getattr(self, name):
                return f"--{name.replace('_', '-')}"
        return None

    def _read_tls(self) -> EngineTls | None:
        from orchestrator.distributed.connection import EngineTls

        # An API key without encryption would be there for all to read, and no server takes it.
        if not self._replace(lease=None)._name_given():
            return None
        return EngineTls(
            ca_file=self.tls_ca,
            cert_file=self.tls_cert,
            key_file=self.tls_key,
            server_name=self.tls_server_name,
        )


class EngineAccess(NamedTuple):
    """A distributed engine, and how it is reached."""

    address: EngineAddress
    tls: EngineTls | None
    api_key: Secret | None
    key_reference: str | None = None
    """Where the API key is found, as ``--api-key`` takes it."""

    @property
    def url(self) -> str:
        """The address, as ``--on`` takes it."""
        return self.address.url

    @property
    def revealed_key(self) -> str | None:
        """The API key, for the call that connects."""
        return None if self.api_key is None else self.api_key.reveal()

    async def connect(self) -> Client:
        """Return a client of the engine. Raises UsageError and RunError if it cannot be reached."""
        from orchestrator.distributed.connection import connect

        return await connect(self.address, self.tls, api_key=self.revealed_key)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Client]:
        """Have a client of the engine for the block.

        Raises UsageError and RunError if it cannot be reached, and RunError for what it refuses in the block.
        """
        from orchestrator.distributed.connection import explain_errors

        client = await self.connect()
        with explain_errors(self.url):
            yield client

    def list_words(self) -> str:
        """Return the options about the engine, as a shell takes them, for a command that is advised.

        The files are named in full: the command may be typed in another folder, much later.
        """
        words = [f"--on {quote(self.url)}"]  # zsh takes the brackets of an IPv6 address for a pattern
        if self.tls is not None:
            given = {
                "--tls-ca": self.tls.ca_file and self.tls.ca_file.absolute(),
                "--tls-cert": self.tls.cert_file and self.tls.cert_file.absolute(),
                "--tls-key": self.tls.key_file and self.tls.key_file.absolute(),
                "--tls-server-name": self.tls.server_name,
                "--api-key": self.key_reference and _name_in_full(self.key_reference),
            }
            said = [f"{name} {quote(str(value))}" for name, value in given.items() if value is not None]
            words += said or ["--tls"]
        return " ".join(words)


def make_conductor(engine: EngineOptions) -> TemporalConductor | None:
    """Return what has the targets taken down on the engine that is asked for, None without one.

    Raises ``UsageError``. Nothing is sent before ``connect``.
    """
    return None if (access := engine.find()) is None else _conduct_on(access, engine.lease)


def reach_conductor(engine: EngineOptions, address: str) -> TemporalConductor:
    """Return the conductor of the engine at an address, with the options of ``engine``.

    Raises ``UsageError``.
    """
    return _conduct_on(engine._replace(on=address).read(), engine.lease)


def _conduct_on(access: EngineAccess, lease: float | None) -> TemporalConductor:
    from orchestrator.distributed.bounds import LEASE
    from orchestrator.distributed.conductor import TemporalConductor

    return TemporalConductor(
        access.address,
        access.tls,
        api_key=access.revealed_key,
        lease=LEASE if lease is None else lease,
        options=access.list_words(),
    )


def _require_library() -> None:
    from importlib.util import find_spec

    if find_spec("temporalio") is None:
        raise UsageError(NOT_INSTALLED)


def _name_in_full(reference: str) -> str:
    """Return a reference to a key with the file's whole path, if it names a file."""
    form, _, name = reference.partition(":")
    return f"file:{Path(name).expanduser().absolute()}" if form == "file" else reference


def _read_key(reference: str | None) -> Secret | None:
    """Return the key that ``--api-key`` refers to, None without one; raises ``UsageError``."""
    if reference is None:
        return None
    from orchestrator.model.settings import CredentialReference
    from orchestrator.transport.credentials import read_reference

    form, colon, name = reference.partition(":")
    if not (colon and name) or form not in ("env", "file"):
        # The value may be the key itself, so no message repeats it.
        raise UsageError("--api-key is neither env:NAME nor file:PATH; a key itself does not belong there")
    found = CredentialReference(env=name) if form == "env" else CredentialReference(file=name)
    return read_reference(found, Path(), "--api-key")


def _list_options(*, required: bool) -> tuple[Command, ...]:
    help_text = "The Temporal server." if required else "Have workers of a Temporal server do it."
    return (
        click.option("--on", metavar=URL, required=required, help=help_text),
        click.option("--tls", is_flag=True, help="Encrypt the connection to it; the other --tls-* imply it."),
        click.option("--tls-ca", type=FILE, metavar="FILE", help="Trust these certificates, in PEM."),
        click.option("--tls-cert", type=FILE, metavar="FILE", help="Our certificate, in PEM."),
        click.option("--tls-key", type=FILE, metavar="FILE", help="Its key."),
        click.option("--tls-server-name", metavar="NAME", help="The name in the server's certificate."),
        click.option(
            "--api-key", metavar="env:NAME|file:PATH", help="Where the API key for the server is found."
        ),
    )


engine_options = bundle_options("engine", EngineOptions, *_list_options(required=False))
needed_engine_options = bundle_options("engine", EngineOptions, *_list_options(required=True))
"""The same for a command that does nothing without an engine."""
conductor_options = bundle_options(
    "engine",
    EngineOptions,
    *_list_options(required=False),
    click.option(
        "--lease",
        type=click.FloatRange(3.0, 300.0),
        metavar="SECONDS",
        help="With --on: after so many seconds without a word of a worker, another one takes its work over."
        " 10 if not given.",
    ),
)
"""The same for a command that has targets taken down."""
