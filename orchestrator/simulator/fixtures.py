"""The initial state of the simulated gateways, and their targets.

A fixture is a value and a JSON document: people write it by hand, a process sends it to another one, and
``from_plan`` makes it of a plan. The command line calls its file a seed file.
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
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.apinizer_login import ExpiresIn
from orchestrator.simulator.bound_types import BoundFixture, TypeKey
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from orchestrator.system.reading import FileRefusedError, read_regular

Document = TypeVar("Document")

# These credentials open nothing but a simulator on loopback.
FAKE_TOKEN = "rehearsal-token"  # noqa: S105
FAKE_PASSWORD = "rehearsal-password"  # noqa: S105
FAKE_SECURITY_TOKEN = "rehearsal-security-token"  # noqa: S105
FAKE_KEYS = AccessKey(access="REHEARSALKEY00000000", secret="rehearsalSecretKeyRehearsalSecretKey0000")  # noqa: S106

TokenLife = Annotated[float, Meta(gt=0, le=10 * 365 * 86_400)]


class GatewayFixture(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """The keys of any simulated gateway.

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


class BackendFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The differences of one backend API from all others; a text of None is made up.

    ``deployed`` is the Unix time of its only deployment. ``status`` is the one in its document, true or
    not.

    ``environments``: where its front-end API is published; none: it was deployed without a front end.
    ``second_front``: whether another front-end API names it as well. ``modified`` and ``published`` are the
    texts of ``modified_time`` and ``publish_time`` as the documents write them, fit to be read or not.

    ``bound`` hangs on its front-end API, ``second_bound`` on the other one; None: as on those of all others.
    ``calls``: how many hours before the start its first front-end API was called, and how often.
    ``auth_type``: NONE lets anybody call.
    """

    name: str | None = None
    path: str | None = None
    application: str | None = None
    application_id: str | None = None
    type: Literal["data", "function", ""] = "data"
    deployed: float | None = None
    status: int | None = None
    environments: tuple[str, ...] | None = None
    second_front: bool = False
    modified: str | None = None
    published: str | None = None
    bound: tuple[BoundFixture, ...] | None = None
    second_bound: tuple[BoundFixture, ...] = ()
    calls: tuple[tuple[Annotated[float, Meta(gt=0)], Annotated[int, Meta(ge=0)]], ...] = ()
    auth_type: Literal["APP", "IAM", "AUTHORIZER", "NONE"] = "APP"


class RomaFixture(GatewayFixture, frozen=True, kw_only=True, omit_defaults=True, tag="roma"):
    """A ROMA Connect instance and its IAM, at the same address; targets are backend API ids.

    ``keys`` may sign instead of sending a token. ``lock_after`` wrong passwords in a row lock a user for
    ``lock_seconds``; 0 never does.

    ``about``: the differences of single backend APIs, by id. ``shifts``: after each of the first so many
    pages the list loses its first entry, as after a deletion by another user. ``miscount``: the number by
    which ``total`` is too large.

    ``unlisted``: ids that both lists leave out, as for a user without all grants. ``lists``: whether this
    version lists front-end APIs as well, or nothing. ``longest_page``: the entries after which a page ends,
    whatever was asked for. ``script_bytes``: the size of each definition's script.

    ``dialects``: the API versions that answer. ``again``: the answer to an undeploy of an API that is not
    deployed, which the vendor leaves open. ``lag``: seconds after an undeploy in which a look still shows
    the API as deployed.

    ``bound``: what hangs on each front-end API of which ``about`` says nothing else. ``unbound``: names of
    things that hang nowhere, by their type. ``keeps_bindings``: whether what hung on a front-end API hangs
    on the next one as well. ``forbidden_types``: the types that the user may neither read nor create;
    ``without_types``: those that this version does not have. ``foreign``: names of another user's things: no
    list of all things shows them, and the user may not bind them. ``created``: the status of a create;
    ``bound_again``: the answer to a create of what is there; ``names_pairs``: whether the answer to a create
    says what was bound.

    ``statistics``: whether the user may read the calls of each front-end API, and as the account's ``owner``
    those of the whole instance; or this version has none. ``sums_instance``: whether the samples of an
    instance name no front-end API; ``tells_quiet_hours``: whether there is a sample for an hour without
    calls.
    """

    project_id: str
    instance_id: str
    targets: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    dialects: tuple[Literal["v1", "v2"], ...] = ("v1", "v2")
    again: Literal[204, 400, 404, 409] = 204
    lag: float = 0.0
    about: Mapping[str, BackendFixture] = {}
    shifts: Annotated[int, Meta(ge=0)] = 0
    miscount: int = 0
    unlisted: tuple[str, ...] = ()
    lists: Literal["both", "backends", "none"] = "both"
    longest_page: Annotated[int, Meta(ge=1, le=500)] = 500
    script_bytes: Annotated[int, Meta(ge=0)] = 0
    bound: tuple[BoundFixture, ...] = ()
    unbound: Mapping[TypeKey, tuple[str, ...]] = {}
    keeps_bindings: bool = False
    forbidden_types: tuple[TypeKey, ...] = ()
    without_types: tuple[TypeKey, ...] = ()
    foreign: tuple[str, ...] = ()
    created: Literal[200, 201] = 201
    bound_again: Literal["refuse", "skip", "accept"] = "refuse"
    names_pairs: bool = True
    statistics: Literal["user", "owner", "forbidden", "absent"] = "user"
    sums_instance: bool = False
    tells_quiet_hours: bool = True
    keys: tuple[AccessKey, ...] = ()
    # The vendor warns of such a lock and names no number.
    lock_after: Annotated[int, Meta(ge=0)] = 5
    lock_seconds: Annotated[float, Meta(ge=0)] = 900.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway; an access key's own name is none."""
        own = (text for key in self.keys for text in (key.secret, key.security_token) if text)
        return (*self.tokens, *(user.password for user in self.users), *own)


class ProxyFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The differences of one proxy from all others; a ``path`` of None is made up.

    ``callers``: the names of the credentials that may call it, and ``sharing`` with whom it is shared: the
    access report names those alone that are shared outside.
    """

    type: str = "REST"
    path: str | None = None
    callers: tuple[str, ...] = ()
    sharing: Literal["INTERNAL", "EXTERNAL", "BOTH"] = "EXTERNAL"


class GroupFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of proxies: the names of its members, and where it is deployed; None: all, and everywhere."""

    members: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None


class TrafficLogFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The Elasticsearch to which a manager logs its traffic.

    It stands at the manager's address, behind the same rate and latency, and knows none of its tokens.

    ``calls``: how many hours before the start a proxy was called, and how often, by
    ``project/proxy/environment``. ``others``: whether a proxy that is no target is called in each
    environment: first ``begins`` hours before the start, last ``quiet`` hours ago. ``index``: the name of the
    only index; none: every name and pattern fits. ``authorization``: the only value of that header which is
    let in; None: the store has no security.
    """

    calls: Mapping[str, tuple[tuple[Annotated[float, Meta(gt=0)], Annotated[int, Meta(ge=1)]], ...]] = {}
    others: bool = True
    begins: Annotated[float, Meta(ge=0)] = 366 * 24.0
    quiet: Annotated[float, Meta(ge=0)] = 0.0
    index: str = ""
    authorization: str | None = None


class ApinizerFixture(GatewayFixture, frozen=True, kw_only=True, omit_defaults=True, tag="apinizer"):
    """An Apinizer manager; targets are (project, proxy, environment).

    ``shape``: one of the two documented success bodies. ``errors``: ``old`` is error/error_description,
    ``new`` is status/resultMessage. ``looks`` and ``histories``: whether this version has deploy-status with
    route-health, and deploy-histories. ``body``: the treatment of an undeploy's body. ``unknown_project``:
    the status for one. ``record_flips``: whether the manager calls a target undeployed when a pod did not
    obey. ``token_life`` is announced nowhere: a login tells it as ``expires_in``, in one of the documented
    ways, none of which is the truth in seconds. ``not_loaded``: after an undeploy the pods answer a
    route-health with an error instead of "not active".

    ``about``: the differences of single proxies, by ``project/proxy``. ``types``: those of environments.
    ``deployed``: Unix times of last deployments, by ``project/proxy/environment``. ``closed``: projects that
    are listed and may not be looked into; ``hidden``: those that are not even listed. ``withheld``: how many
    more than it sends each list's ``resultCount`` says. ``deployments``: whether the page of a proxy has
    them.

    ``report``: whether the token may read the administrator's report, or this version has none. ``groups``:
    the groups of proxies (project, name) that it lists too, and ``about_groups`` (by ``project/name``) what
    they are made of. ``access``: the same for the report of those who may call. ``tells_ids``: whether
    answers name the ids of proxies, which the vendor documents only as members of a group. ``unreported``:
    the proxies (``project/proxy``) that it leaves out; ``disputed``: those of which it says one thing as a
    whole and the opposite of their environments. ``report_lag``: seconds after a change in which it still
    tells the state before. ``report_padding``: bytes of each entry's description. ``traffic_log``: the log of
    its calls; None: there is none.
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
    about: Mapping[str, ProxyFixture] = {}
    types: Mapping[str, Literal["PRODUCTION", "SANDBOX", "TEST"]] = {}
    deployed: Mapping[str, float] = {}
    report: Literal["allowed", "forbidden", "absent"] = "forbidden"
    groups: tuple[tuple[str, str], ...] = ()
    about_groups: Mapping[str, GroupFixture] = {}
    access: Literal["allowed", "forbidden", "absent"] = "forbidden"
    tells_ids: bool = False
    unreported: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    report_lag: Annotated[float, Meta(ge=0)] = 0.0
    report_padding: Annotated[int, Meta(ge=0)] = 0
    closed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    withheld: Annotated[int, Meta(ge=0)] = 0
    deployments: bool = True
    not_deployed_text: str = "ApiProxy ({proxy}) is currently undeployed in Environment ({environment})!"
    traffic_log: TrafficLogFixture | None = TrafficLogFixture()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway, or its traffic log."""
        log = None if self.traffic_log is None else self.traffic_log.authorization
        return (*self.tokens, *(user.password for user in self.users), *([log] if log else []))


class SimulatorFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All simulated gateways. ``keep``: how many requests the books hold in full."""

    gateways: tuple[RomaFixture | ApinizerFixture, ...]
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
    ) -> SimulatorFixture:
        """Return gateways that hold every target of a plan as deployed and accept a rehearsal's credentials.

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
                _make_gateway(entry, up[entry.name], off[entry.name], changed[entry.name])
                for entry in plan.gateways
            )
        )

    def with_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> SimulatorFixture:
        """Return the same gateways with more fields set, by kind: ``{"apinizer": {"shape": "b"}}``."""
        return structs.replace(
            self,
            gateways=tuple(
                structs.replace(gateway, **settings.get(str(gateway.__struct_config__.tag), {}))
                for gateway in self.gateways
            ),
        )

    @classmethod
    def from_file(cls, path: Path) -> SimulatorFixture:
        """Read a fixture from JSON. Raises UsageError that says what does not fit."""
        return read_json_file(path, cls, "a seed")


def _make_gateway(
    entry: Gateway,
    up: list[tuple[str, ...]],
    off: list[tuple[str, ...]],
    edited: list[tuple[str, ...]],
) -> RomaFixture | ApinizerFixture:
    fields: dict[str, Any] = {"kind": entry.KIND, "name": entry.name, "targets": up, "down": off}
    fields["edited"] = edited
    fields["users"] = _make_users(entry.auth)
    if entry.KIND == "roma":
        fields["keys"] = _make_keys(entry.auth)
        place = {name: getattr(entry, name) for name in ("project_id", "instance_id")}
        own = {"targets": up, "down": off, "edited": edited}
        fields |= place | {name: [parts[0] for parts in listed] for name, listed in own.items()}
    elif entry.KIND != "apinizer":
        raise UsageError(f"the gateway {entry.name} is of kind {entry.KIND}, for which there is no simulator")
    return msgspec.convert(fields, RomaFixture | ApinizerFixture)


def _make_users(auth: Auth) -> tuple[SimulatedUser, ...]:
    if auth.iam is not None:
        return (SimulatedUser(name=auth.iam.user, domain=auth.iam.domain, password=FAKE_PASSWORD),)
    return (SimulatedUser(name=auth.login.user, password=FAKE_PASSWORD),) if auth.login is not None else ()


def _make_keys(auth: Auth) -> tuple[AccessKey, ...]:
    if auth.access_key is None:
        return ()
    temporary = auth.security_token is not None
    return (structs.replace(FAKE_KEYS, security_token=FAKE_SECURITY_TOKEN) if temporary else FAKE_KEYS,)


def read_json_file(path: Path, kind: type[Document], what: str) -> Document:
    """Read a JSON document of a type. Raises UsageError that names the file and what does not fit."""
    try:
        return msgspec.json.decode(read_regular(path), type=kind)
    except FileRefusedError as refused:
        raise UsageError(f"cannot read {what} from {path}: {refused.system or refused}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} does not hold {what}: {error}") from error
