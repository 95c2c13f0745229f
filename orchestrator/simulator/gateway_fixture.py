"""The initial state that simulated gateways of every kind have, and its making from a plan's entry."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, NamedTuple, Self

import msgspec
from msgspec import Meta, Struct

from orchestrator.model.abstract import AbstractStructMeta
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import SimulatedPlatform
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.limits import RateLimit, TokenExpiry

# These credentials open nothing but a simulator on loopback.
FAKE_TOKEN = "rehearsal-token"  # noqa: S105
FAKE_PASSWORD = "rehearsal-password"  # noqa: S105
FAKE_SECURITY_TOKEN = "rehearsal-security-token"  # noqa: S105
FAKE_KEYS = AccessKey(access="REHEARSALKEY00000000", secret="rehearsalSecretKeyRehearsalSecretKey0000")  # noqa: S106

TokenLife = Annotated[float, Meta(gt=0, le=10 * 365 * 86_400)]


class PlannedTargets(NamedTuple):
    """The targets of one gateway of a plan, each as its parts, by their state at first.

    ``targets`` are deployed, ``down`` are not, and ``edited`` (of either) were changed since their deploy.
    """

    targets: list[tuple[str, ...]]
    down: list[tuple[str, ...]]
    edited: list[tuple[str, ...]]


class GatewayFixture(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", metaclass=AbstractStructMeta
):
    """The keys of any simulated gateway; a kind adds its own, its ``tag`` and its platform.

    ``tokens`` are accepted (none: any that is not empty); ``users`` may log in for another one, which is
    accepted for ``token_life`` seconds; ``latency`` is added to every answer, in seconds; ``down`` are
    targets that exist and are not deployed, ``edited`` those that were changed since they were deployed.
    """

    name: str
    tokens: tuple[str, ...] = (FAKE_TOKEN,)
    expiry: TokenExpiry | None = None
    rate: RateLimit | None = None
    latency: Annotated[float, Meta(ge=0)] = 0.0
    users: tuple[SimulatedUser, ...] = ()
    token_life: TokenLife = 86_400.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway."""
        return (*self.tokens, *(user.password for user in self.users))

    @classmethod
    def of_entry(cls, entry: Gateway, planned: PlannedTargets) -> Self:
        """Return the gateway that a plan's entry means, with its targets and its user."""
        fields = {"kind": entry.KIND, "name": entry.name, "users": _make_users(entry.auth)}
        return msgspec.convert(fields | cls.list_fields(entry, planned), cls)

    @classmethod
    def list_fields(cls, entry: Gateway, planned: PlannedTargets) -> dict[str, Any]:  # noqa: ARG003
        """Return the further fields of the gateway that a plan's entry means; by default its targets."""
        return planned._asdict()

    @abstractmethod
    def make_platform(self, now: float) -> SimulatedPlatform:
        """Return the platform in this state; ``now`` is the Unix time at which its targets were deployed."""


def _make_users(auth: Auth) -> tuple[SimulatedUser, ...]:
    if auth.iam is not None:
        return (SimulatedUser(name=auth.iam.user, domain=auth.iam.domain, password=FAKE_PASSWORD),)
    return (SimulatedUser(name=auth.login.user, password=FAKE_PASSWORD),) if auth.login is not None else ()
