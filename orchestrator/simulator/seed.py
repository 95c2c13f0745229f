"""What the simulated gateways are like at first, and which targets they hold.

A seed is a value that is also a JSON document, so it can be written by hand, sent to another process, or made
from a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, structs

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan
from orchestrator.model.settings import Auth
from orchestrator.model.target import Target
from orchestrator.simulator.accounts import User
from orchestrator.simulator.apinizer_login import ExpiresIn
from orchestrator.simulator.keys import Key
from orchestrator.simulator.limits import Expiry, Rate
from orchestrator.system.reading import FileRefusedError, read_regular

Document = TypeVar("Document")

# They open nothing but a simulator on loopback.
FAKE_TOKEN = "rehearsal-token"  # noqa: S105
FAKE_PASSWORD = "rehearsal-password"  # noqa: S105
FAKE_SECURITY_TOKEN = "rehearsal-security-token"  # noqa: S105
FAKE_KEYS = Key(access="REHEARSALKEY00000000", secret="rehearsalSecretKeyRehearsalSecretKey0000")  # noqa: S106

TokenLife = Annotated[float, Meta(gt=0, le=10 * 365 * 86_400)]


class GatewaySeed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What any simulated gateway has.

    ``tokens`` are accepted (none: any that is not empty); ``users`` may log in for another one, which is
    accepted for ``token_life`` seconds; ``latency`` is added to every answer, in seconds; ``down`` are
    targets that exist and are not deployed, ``edited`` those that were changed since they were deployed.
    """

    name: str
    tokens: tuple[str, ...] = (FAKE_TOKEN,)
    expiry: Expiry | None = None
    rate: Rate | None = None
    latency: Annotated[float, Meta(ge=0)] = 0.0
    users: tuple[User, ...] = ()
    token_life: TokenLife = 86_400.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway."""
        return (*self.tokens, *(user.password for user in self.users))


class BackendSeed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a backend API is like where it is not like all others; a text that is None is made up.

    ``deployed`` is the Unix time of its only deployment. ``status`` is what its document says, whatever is
    so.
    """

    name: str | None = None
    path: str | None = None
    application: str | None = None
    application_id: str | None = None
    type: Literal["data", "function", ""] = "data"
    deployed: float | None = None
    status: int | None = None


class RomaSeed(GatewaySeed, frozen=True, kw_only=True, omit_defaults=True, tag="roma"):
    """A ROMA Connect instance and its IAM, at the same address; targets are backend API ids.

    ``keys`` may sign instead of sending a token. ``lock_after`` wrong passwords in a row lock a user for
    ``lock_seconds``; 0 never does.

    ``about``: what single backend APIs are like, by id. ``shifts``: after each of the first so many pages of
    its list the first entry leaves it, as if somebody had deleted it. ``miscount``: how many more than there
    are its ``total`` says.

    ``dialects``: which API versions answer. ``again``: the answer to an undeploy of what is not deployed,
    which the vendor leaves open. ``lag``: for how many seconds after an undeploy a look still shows it as
    deployed.
    """

    project_id: str
    instance_id: str
    targets: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    dialects: tuple[Literal["v1", "v2"], ...] = ("v1", "v2")
    again: Literal[204, 400, 404, 409] = 204
    lag: float = 0.0
    about: Mapping[str, BackendSeed] = {}
    shifts: Annotated[int, Meta(ge=0)] = 0
    miscount: int = 0
    keys: tuple[Key, ...] = ()
    lock_after: Annotated[int, Meta(ge=0)] = 5
    lock_seconds: Annotated[float, Meta(ge=0)] = 900.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway; an access key's own name is none."""
        own = (text for key in self.keys for text in (key.secret, key.security_token) if text)
        return (*self.tokens, *(user.password for user in self.users), *own)


class ProxySeed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a proxy is like where it is not like all others; without a ``path`` one is made up."""

    type: str = "REST"
    path: str | None = None


class ApinizerSeed(GatewaySeed, frozen=True, kw_only=True, omit_defaults=True, tag="apinizer"):
    """An Apinizer manager; targets are (project, proxy, environment).

    ``shape``: which of the two documented success bodies. ``errors``: ``old`` is error/error_description,
    ``new`` is status/resultMessage. ``looks`` and ``histories``: whether this version has deploy-status with
    route-health, and deploy-histories. ``body``: what becomes of an undeploy's body. ``unknown_project``: the
    status for one. ``record_flips``: whether the manager calls a target undeployed when a pod did not obey.
    ``token_life`` is announced nowhere: what a login says of it is ``expires_in``, in one of the documented
    ways, none of which is the truth in seconds. ``not_loaded``: after an undeploy the pods answer a
    route-health with an error instead of "not active".

    ``about``: what single proxies are like, by ``project/proxy``. ``types``: those of environments.
    ``deployed``: Unix times of last deployments, by ``project/proxy/environment``. ``report``: whether the
    token may read the administrator's report, or this version has none. ``closed``: projects that are listed
    and may not be looked into; ``hidden``: those that are not even listed. ``withheld``: how many more than
    it sends each list's ``resultCount`` says. ``deployments``: whether the page of a proxy has them.
    """

    targets: tuple[tuple[str, str, str], ...] = ()
    down: tuple[tuple[str, str, str], ...] = ()
    edited: tuple[tuple[str, str, str], ...] = ()
    shape: Literal["a", "b"] = "a"
    errors: Literal["old", "new"] = "old"
    looks: bool = True
    histories: bool = True
    body: Literal["accept", "ignore", "reject"] = "accept"
    pods: Annotated[int, Meta(ge=1, le=1000)] = 2
    unknown_project: Literal[400, 404] = 404
    record_flips: bool = True
    not_loaded: bool = False
    expires_in: ExpiresIn = "3600"
    about: Mapping[str, ProxySeed] = {}
    types: Mapping[str, Literal["PRODUCTION", "SANDBOX", "TEST"]] = {}
    deployed: Mapping[str, float] = {}
    report: Literal["allowed", "forbidden", "absent"] = "forbidden"
    closed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    withheld: Annotated[int, Meta(ge=0)] = 0
    deployments: bool = True
    not_deployed_text: str = "ApiProxy ({proxy}) is currently undeployed in Environment ({environment})!"


class Seed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All gateways of a simulated world. ``keep``: how many requests the books hold in full."""

    gateways: tuple[RomaSeed | ApinizerSeed, ...]
    keep: int = 100_000

    @classmethod
    def from_plan(
        cls,
        plan: Plan,
        targets: Iterable[Target],
        *,
        down: Collection[str] = (),
        missing: Collection[str] = (),
        edited: Collection[str] = (),
    ) -> Seed:
        """The world in which every target of a plan is deployed, and its credentials are the rehearsal ones.

        A login's user has the password FAKE_PASSWORD; where a plan has access keys they are FAKE_KEYS, with
        FAKE_SECURITY_TOKEN where it has a security token. FAKE_TOKEN is accepted everywhere. ``down``,
        ``missing`` and ``edited`` are target ids: not deployed at first, not there at all, and changed since
        they were deployed. Raises UsageError for a kind that has no simulator.
        """
        up: dict[str, list[tuple[str, ...]]] = {entry.name: [] for entry in plan.gateways}
        off: dict[str, list[tuple[str, ...]]] = {entry.name: [] for entry in plan.gateways}
        changed: dict[str, list[tuple[str, ...]]] = {entry.name: [] for entry in plan.gateways}
        for target in targets:
            if target.id not in missing:
                (off if target.id in down else up)[target.gateway].append(target.parts)
            if target.id in edited:
                changed[target.gateway].append(target.parts)
        return cls(
            gateways=tuple(
                _gateway(entry, up[entry.name], off[entry.name], changed[entry.name])
                for entry in plan.gateways
            )
        )

    def adjusted(self, settings: Mapping[str, Mapping[str, Any]]) -> Seed:
        """The same gateways with further fields set, by kind: ``{"apinizer": {"shape": "b"}}``."""
        return structs.replace(
            self,
            gateways=tuple(
                structs.replace(gateway, **settings.get(str(gateway.__struct_config__.tag), {}))
                for gateway in self.gateways
            ),
        )

    @classmethod
    def from_file(cls, path: Path) -> Seed:
        """Read a seed's JSON. Raises UsageError that says where it does not fit."""
        return read_json(path, cls, "a seed")


def _gateway(
    entry: Gateway,
    up: list[tuple[str, ...]],
    off: list[tuple[str, ...]],
    edited: list[tuple[str, ...]],
) -> RomaSeed | ApinizerSeed:
    fields: dict[str, Any] = {"kind": entry.KIND, "name": entry.name, "targets": up, "down": off}
    fields["edited"] = edited
    fields["users"] = _users(entry.auth)
    if entry.KIND == "roma":
        fields["keys"] = _keys(entry.auth)
        place = {name: getattr(entry, name) for name in ("project_id", "instance_id")}
        own = {"targets": up, "down": off, "edited": edited}
        fields |= place | {name: [parts[0] for parts in listed] for name, listed in own.items()}
    elif entry.KIND != "apinizer":
        raise UsageError(f"the gateway {entry.name} is of kind {entry.KIND}, for which there is no simulator")
    return msgspec.convert(fields, RomaSeed | ApinizerSeed)


def _users(auth: Auth) -> tuple[User, ...]:
    if auth.iam is not None:
        return (User(name=auth.iam.user, domain=auth.iam.domain, password=FAKE_PASSWORD),)
    return (User(name=auth.login.user, password=FAKE_PASSWORD),) if auth.login is not None else ()


def _keys(auth: Auth) -> tuple[Key, ...]:
    if auth.access_key is None:
        return ()
    temporary = auth.security_token is not None
    return (structs.replace(FAKE_KEYS, security_token=FAKE_SECURITY_TOKEN) if temporary else FAKE_KEYS,)


def read_json(path: Path, kind: type[Document], what: str) -> Document:
    """Read a JSON document of a type. Raises UsageError that names the file and what does not fit."""
    try:
        return msgspec.json.decode(read_regular(path), type=kind)
    except FileRefusedError as refused:
        raise UsageError(f"cannot read {what} from {path}: {refused.system or refused}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} does not hold {what}: {error}") from error
