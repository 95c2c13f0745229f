"""The things that can hang on a front-end API of ROMA Connect: their types, and how a fixture names them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal, TypeAlias

from msgspec import Struct

TypeKey: TypeAlias = Literal["applications", "throttles", "acls", "signs", "plugins"]


class BoundType(Struct, frozen=True, kw_only=True):
    """One type of things that can hang on a front-end API.

    ``noun`` begins the paths of its bindings, ``front_read`` ends that of the things of one front end;
    plug-ins have other paths, and an empty ``noun``. ``listed_by_front``, ``listed_by_owner`` and ``created``
    are the keys of the lists in the three answers.
    """

    key: TypeKey
    word: str
    owners: str
    noun: str = ""
    front_read: str = ""
    of: str = ""
    """The key of the id of a thing in a query about its front ends."""
    create_id: str
    """The key of the id of a thing in the body that binds it."""
    listed_by_front: str
    listed_by_owner: str
    created: str


TYPES: Mapping[TypeKey, BoundType] = MappingProxyType(
    {
        "applications": BoundType(
            key="applications",
            word="application",
            owners="apps",
            noun="app-auths",
            front_read="binded-apps",
            of="app_id",
            create_id="app_ids",
            listed_by_front="auths",
            listed_by_owner="auths",
            created="auths",
        ),
        "throttles": BoundType(
            key="throttles",
            word="throttling policy",
            owners="throttles",
            noun="throttle-bindings",
            front_read="binded-throttles",
            of="throttle_id",
            create_id="strategy_id",
            listed_by_front="throttles",
            listed_by_owner="apis",
            created="throttle_applys",
        ),
        "acls": BoundType(
            key="acls",
            word="access control",
            owners="acls",
            noun="acl-bindings",
            front_read="binded-acls",
            of="acl_id",
            create_id="acl_id",
            listed_by_front="acls",
            listed_by_owner="apis",
            created="acl_bindings",
        ),
        "signs": BoundType(
            key="signs",
            word="signature key",
            owners="signs",
            noun="sign-bindings",
            front_read="binded-signs",
            of="sign_id",
            create_id="sign_id",
            listed_by_front="bindings",
            listed_by_owner="bindings",
            created="bindings",
        ),
        "plugins": BoundType(
            key="plugins",
            word="plug-in",
            owners="plugins",
            create_id="plugin_ids",
            listed_by_front="plugins",
            listed_by_owner="apis",
            created="attached_plugins",
        ),
    }
)
BY_OWNERS: Mapping[str, BoundType] = MappingProxyType({each.owners: each for each in TYPES.values()})
BY_NOUN: Mapping[str, BoundType] = MappingProxyType({each.noun: each for each in TYPES.values() if each.noun})


class BoundFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that hangs on a front-end API at first. Things of one type and name are the same thing.

    ``environments``: where it hangs; None: wherever the front-end API is published. The other keys are those
    of an application's permission.
    """

    type: TypeKey
    name: str
    environments: tuple[str, ...] | None = None
    tunnel: Literal["NORMAL", "GREEN"] = "NORMAL"
    whitelist: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    visit: str = ""

    @property
    def id(self) -> str:
        """The id of the thing."""
        return make_owner_id(self.type, self.name)

    def describe(self, environment: str) -> str:
        """Return the binding in one environment as the books write it."""
        text = f"{environment}: {TYPES[self.type].word} {self.name}"
        if self.type != "applications":
            return text
        lists = f"+{','.join(sorted(self.whitelist))} -{','.join(sorted(self.blacklist))}"
        return f"{text} ({self.tunnel} {lists} {self.visit!r})"


def make_owner_id(key: TypeKey, name: str) -> str:
    """Return the id of the application or policy with a name."""
    return blake2b(f"{key}/{name}".encode(), digest_size=16).hexdigest()
