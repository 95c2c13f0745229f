"""The five types of things that hang on a front-end API of ROMA Connect: how each is read and created.

After the API reference: "App Authorization Management", "Request Throttling Policy Binding", "Access Control
Policy Binding", "Signature Key Binding", "Plug-in Management".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from orchestrator.gateways.roma.records import is_front_id
from orchestrator.gateways.text import show_text
from orchestrator.model.bindings import Bindings
from orchestrator.model.reading import Act, Operation


class BoundSide(Struct, frozen=True, kw_only=True):
    """One side from which the vendor reads bindings: a list, and where each entry says what it is about."""

    path: str
    """Below the instance. ``{of}`` stands for the id of the thing whose bindings are read."""
    of: str | None = None
    """The key of that id in the query; None where the path holds the id."""
    entries: str
    """The key of the list in the reply."""
    id: str
    """The key of the id of the bound thing."""
    name: str
    environment: str = "env_id"

    def build_path(self, of: str, environment: str | None = None) -> str:
        """Return the path and query, below the instance, of a read about the thing with the id ``of``."""
        keys = {self.of: of, "env_id": environment}
        query = "&".join(f"{key}={value}" for key, value in keys.items() if key and value)
        return "?".join(filter(None, (self.path.format(of=of), query)))


class BindingType(Struct, frozen=True, kw_only=True):
    """One type of things that hang on a front-end API in one environment."""

    key: str
    """Our name of the type: the first part of the ``via`` of its reads and creates."""
    word: str
    """The word for one of them, as people read it."""
    plural: str
    front_side: BoundSide
    """The things that hang on one front-end API."""
    owners_path: str
    """The list of all such things, below the instance; its last part is the key of the list in the reply."""
    owner_id: str = "id"
    owner_name: str = "name"
    owner_key: str
    """The key in ``owner_side`` of the id of the thing, where an entry has one at all."""
    owner_side: BoundSide
    """The front-end APIs on which one such thing hangs."""
    settings: tuple[str, ...] = ()
    """The further fields that a create needs. No other field is kept: some are secrets."""
    is_of_publication: bool = True
    """Whether a create names the publication, and not the front-end API and its environment."""
    create_path: str
    create_id: str = ""
    """The key in the body of a create by publication that names the thing."""
    created: str = ""
    """The key of the list in the reply to a create; empty where it names each pair itself."""


APPLICATIONS = BindingType(
    key="applications",
    word="application",
    plural="applications",
    front_side=BoundSide(
        path="app-auths/binded-apps", of="api_id", entries="auths", id="app_id", name="app_name"
    ),
    owners_path="apps",
    owner_key="app_id",
    owner_side=BoundSide(
        path="app-auths/binded-apis", of="app_id", entries="auths", id="api_id", name="api_name"
    ),
    settings=("auth_tunnel", "auth_whitelist", "auth_blacklist", "visit_param"),
    is_of_publication=False,
    create_path="app-auths",
    created="auths",
)
THROTTLES = BindingType(
    key="throttles",
    word="throttling policy",
    plural="throttling policies",
    front_side=BoundSide(
        path="throttle-bindings/binded-throttles", of="api_id", entries="throttles", id="id", name="name"
    ),
    owners_path="throttles",
    owner_key="throttle_id",
    owner_side=BoundSide(
        path="throttle-bindings/binded-apis",
        of="throttle_id",
        entries="apis",
        id="id",
        name="name",
        environment="run_env_id",
    ),
    create_path="throttle-bindings",
    create_id="strategy_id",
    created="throttle_applys",
)
ACCESS_CONTROLS = BindingType(
    key="acls",
    word="access control",
    plural="access controls",
    front_side=BoundSide(
        path="acl-bindings/binded-acls", of="api_id", entries="acls", id="acl_id", name="acl_name"
    ),
    owners_path="acls",
    owner_name="acl_name",
    owner_key="acl_id",
    owner_side=BoundSide(
        path="acl-bindings/binded-apis", of="acl_id", entries="apis", id="api_id", name="api_name"
    ),
    create_path="acl-bindings",
    create_id="acl_id",
    created="acl_bindings",
)
SIGNATURE_KEYS = BindingType(
    key="signs",
    word="signature key",
    plural="signature keys",
    front_side=BoundSide(
        path="sign-bindings/binded-signs", of="api_id", entries="bindings", id="sign_id", name="sign_name"
    ),
    owners_path="signs",
    owner_key="sign_id",
    owner_side=BoundSide(
        path="sign-bindings/binded-apis", of="sign_id", entries="bindings", id="api_id", name="api_name"
    ),
    create_path="sign-bindings",
    create_id="sign_id",
    created="bindings",
)
PLUG_INS = BindingType(
    key="plugins",
    word="plug-in",
    plural="plug-ins",
    front_side=BoundSide(
        path="apis/{of}/attached-plugins", entries="plugins", id="plugin_id", name="plugin_name"
    ),
    owners_path="plugins",
    owner_id="plugin_id",
    owner_name="plugin_name",
    owner_key="plugin_id",
    owner_side=BoundSide(path="plugins/{of}/attached-apis", entries="apis", id="api_id", name="api_name"),
    is_of_publication=False,
    create_path="apis/{front}/plugins/attach",
    created="attached_plugins",
)
BINDING_TYPES = {
    each.key: each for each in (APPLICATIONS, THROTTLES, ACCESS_CONTROLS, SIGNATURE_KEYS, PLUG_INS)
}

LONGEST_PAGE = 500
"""Entries; the vendor's own limit."""


class BoundRead(NamedTuple):
    """The read of one page of the things of one type that hang on a front-end API in one environment."""

    type: BindingType
    front: str
    environment: str
    offset: int = 0

    @property
    def operation(self) -> Operation:
        """The read as an operation of the target."""
        page = f"/{self.offset}" if self.offset else ""
        return Operation(Act.LOOK, f"{self.type.key}/{self.front}/{self.environment}{page}")


def decode_bound_read(via: str) -> BoundRead | None:
    """Return the read of bindings that the ``via`` of a look means; None where it means another look.

    None as well for ids that are none: such a text could turn into another path.
    """
    key, *rest = via.split("/")
    if key not in BINDING_TYPES or len(rest) not in (2, 3):
        return None
    front, environment, offset = (*rest, "0")[:3]
    if not (is_front_id(front) and is_front_id(environment) and offset.isdecimal() and len(offset) < 10):
        return None
    return BoundRead(BINDING_TYPES[key], front, environment, int(offset))


class BoundCreate(NamedTuple):
    """The create of one binding."""

    type: BindingType
    front: str
    environment: str
    id: str
    publication: str | None = None
    """The id of the front end's publication in the environment; None where the create does not name it."""

    @property
    def operation(self) -> Operation:
        """The create as an operation of the target."""
        ids = (self.type.key, self.front, self.environment, self.id, self.publication)
        return Operation(Act.BIND, "/".join(filter(None, ids)))


def decode_create(operation: Operation) -> BoundCreate:
    """Return the create that an operation means. Raises ``ValueError`` for an unknown one and for bad ids."""
    key, *ids = operation.via.split("/")
    binding_type = BINDING_TYPES.get(key)
    most = 4 if binding_type is not None and binding_type.is_of_publication else 3
    if binding_type is None or len(ids) != most or not all(map(is_front_id, ids)):
        raise ValueError(f"ROMA Connect is not asked to bind {show_text(operation.via) or 'nothing'}")
    return BoundCreate(binding_type, *ids)


def build_create(create: BoundCreate, bindings: Bindings | None) -> tuple[str, dict[str, Any]]:
    """Return the path, below the instance, and the body of a create.

    ``bindings`` are those of the snapshot, which hold the settings of the one to create.
    """
    of = create.type
    if of.is_of_publication:
        return of.create_path, {of.create_id: create.id, "publish_ids": [create.publication]}
    if of is PLUG_INS:
        path = of.create_path.format(front=create.front)
        return path, {"env_id": create.environment, "plugin_ids": [create.id]}
    settings = dict(_find_settings(create, bindings))
    body = {"env_id": create.environment, "app_ids": [create.id], "api_ids": [create.front]}
    if (value := settings.pop("visit_param", None)) is not None:
        pair = {"api_id": create.front, "app_id": create.id}
        settings["visit_params"] = [{**pair, "visit_param": value}]
    return of.create_path, {**body, **settings}


def _find_settings(create: BoundCreate, bindings: Bindings | None) -> Mapping[str, Any]:
    """Return the settings that one binding had; those of an extra front end are not brought back."""
    ours = (create.type.word, create.environment, create.id, None)
    found = bindings.found if bindings is not None else ()
    known = (each.settings for each in found if (each.what, each.environment, each.id, each.front) == ours)
    return next(known, {})
