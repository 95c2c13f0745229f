"""The settings of a gateway in a plan: credentials, trust, limits, retries. Durations are seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    pass


# `form` names how a plan writes the value; the type is what it means once read.
Seconds = Annotated[float, Meta(gt=0, le=86400, extra={"form": "duration"})]


Url = Annotated[str, Meta(extra={"form": "url"})]


PerSecond = Annotated[float, Meta(ge=1 / 3600, le=100_000, extra={"form": "rate"})]


class CredentialReference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a credential is found; exactly one field is set. Never the credential itself."""

    env: str | None = None
    file: str | None = None
    """A path, relative to the plan."""
    command: tuple[str, ...] | None = None
    """A program and its arguments, run without a shell; what it prints is the credential."""
    keyring: str | None = None
    """``service/user`` of the system's keyring."""

    def __str__(self) -> str:
        name = next(name for name in self.__struct_fields__ if getattr(self, name) is not None)
        value = getattr(self, name)
        # Arguments may say more than a plan's reader should see in a log.
        return f"{{{name}: {value[0] + ' …' if name == 'command' else value}}}"


class IamLogin(Struct, frozen=True, kw_only=True):
    """A user of Huawei's IAM, who logs in with a password for a token of 24 hours."""

    url: Url
    """IAM's base address."""
    user: str
    domain: str
    """The account that the user belongs to."""
    password: CredentialReference


class ManagerLogin(Struct, frozen=True, kw_only=True):
    """A user of an Apinizer manager, who logs in with a password for a token."""

    user: str
    password: CredentialReference


class Auth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a gateway lets us in, in exactly one way: a token, a login, or an access key and its secret key."""

    token: CredentialReference | None = None
    iam: IamLogin | None = None
    login: ManagerLogin | None = None
    access_key: CredentialReference | None = None
    secret_key: CredentialReference | None = None
    security_token: CredentialReference | None = None
    """Comes with temporary access keys only."""


class Tls(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ``https`` gateway is trusted by, beside the system's own store.

    Paths are relative to the plan.
    """

    ca_file: str | None = None
    """Certificates (PEM) that are trusted as well."""
    cert_file: str | None = None
    """Our own certificate (PEM), for gateways that ask for one."""
    key_file: str | None = None
    insecure: bool = False
    """Believe any certificate. Said in every report."""


MOST_IN_FLIGHT = 1000
"""Requests to one gateway that may be in flight, whatever a plan or somebody who steers a run asks for."""


class Limits(Struct, frozen=True, kw_only=True):
    """How hard one gateway may be used.

    ``concurrency``: how many requests may be in flight; ``None`` is its kind's default. ``rate``: at most so
    many undeploys a second, and apart from them so many looks; ``None`` is none but what it refuses.
    """

    concurrency: Annotated[int, Meta(ge=1, le=MOST_IN_FLIGHT)] | None = None
    rate: PerSecond | None = None


class Retry(Struct, frozen=True, kw_only=True):
    """How a target is repeated.

    At most ``attempts`` undeploy requests a target. The n-th wait is
    ``roll * min(ceiling, first * 2**(n-1))`` seconds with ``roll`` from 0 up to 1 (full jitter), so the five
    attempts of the defaults wait
    0.5 + 1 + 2 + 4 = 7.5 s at most in all; a longer wait that the gateway asks for wins.
    """

    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    first: Seconds = 0.5
    ceiling: Seconds = 30.0
