"""The initial state of a simulated ROMA Connect instance, and of its backend APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth
from orchestrator.simulator.bound_types import BoundFixture, TypeKey
from orchestrator.simulator.exchange import SimulatedPlatform
from orchestrator.simulator.gateway_fixture import (
    FAKE_KEYS,
    FAKE_SECURITY_TOKEN,
    GatewayFixture,
    PlannedTargets,
)
from orchestrator.simulator.keys import AccessKey

ErrorForm = Literal["documented", "camel", "bare", "nested"]
"""The keys of an error: ``error_code``, ``errorCode``, ``code``; or ``error_code`` within ``error``."""


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
    the API as deployed. ``errors``: the keys of an error: those of the reference, or one of the three forms
    that the vendor's own client takes as well. ``denied``: the status for a bad token, by these pages or by
    those of the product's public resources. ``limit``: the status and the code of a refusal to take more.

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
    errors: ErrorForm = "documented"
    denied: Literal[400, 401] = 401
    limit: tuple[Literal[403, 429], Literal["APIGW.0308", "APIG.0308", "APIC.0308"]] = (429, "APIGW.0308")
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

    @classmethod
    def list_fields(cls, entry: Gateway, planned: PlannedTargets) -> dict[str, Any]:
        """Return the ids of the targets, the place of the instance, and the keys that may sign."""
        ids = {state: [parts[0] for parts in listed] for state, listed in planned._asdict().items()}
        place = {name: getattr(entry, name) for name in ("project_id", "instance_id")}
        return {**ids, **place, "keys": _make_keys(entry.auth)}

    def make_platform(self, now: float) -> SimulatedPlatform:
        """Return the instance and its IAM."""
        from orchestrator.simulator.roma import SimulatedRoma  # noqa: PLC0415 - it imports this module

        return SimulatedRoma(self, now)


def _make_keys(auth: Auth) -> tuple[AccessKey, ...]:
    if auth.access_key is None:
        return ()
    temporary = auth.security_token is not None
    return (structs.replace(FAKE_KEYS, security_token=FAKE_SECURITY_TOKEN) if temporary else FAKE_KEYS,)
