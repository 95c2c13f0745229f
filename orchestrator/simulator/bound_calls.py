"""The reads and the creates of what hangs on a front-end API of ROMA Connect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator import bound_replies as say
from orchestrator.simulator.bound_types import BY_NOUN, BY_OWNERS, TYPES, BoundFixture, BoundType
from orchestrator.simulator.exchange import (
    CallResult,
    HttpAnswer,
    PlatformCall,
    RequestEffect,
    answer_always,
    json_answer,
)
from orchestrator.simulator.pages import cut_page, parse_query
from orchestrator.simulator.roma_bindings import SimulatedBinding, SimulatedBindings
from orchestrator.simulator.roma_fixture import RomaFixture
from orchestrator.simulator.roma_replies import (
    SimulatedBackend,
    invalid,
    make_publish_id,
    no_such_front,
    no_such_route,
    unreadable,
)

_Entry = TypeVar("_Entry")


class LiveFront(NamedTuple):
    """A front-end API that exists now, its backend, and how a list shows it."""

    id: str
    row: SimulatedBackend
    fields: Mapping[str, object]


class _VisitParam(Struct):
    api_id: str
    app_id: str
    visit_param: str


class _PermissionBody(Struct):
    """The body that lets applications call front-end APIs in one environment."""

    env_id: str
    app_ids: tuple[str, ...]
    api_ids: tuple[str, ...]
    auth_tunnel: Literal["NORMAL", "GREEN"] = "NORMAL"
    auth_whitelist: tuple[str, ...] = ()
    auth_blacklist: tuple[str, ...] = ()
    visit_params: tuple[_VisitParam, ...] = ()


class _PolicyBody(Struct):
    """The body that binds one policy to publications; the key of its id depends on the type."""

    publish_ids: tuple[str, ...]
    strategy_id: str | None = None
    acl_id: str | None = None
    sign_id: str | None = None


class _PluginBody(Struct):
    """The body that attaches plug-ins to one front-end API in one environment."""

    env_id: str
    plugin_ids: tuple[str, ...]


class _Wish(NamedTuple):
    """One pair that a create is about."""

    front: LiveFront
    environment: str
    owner: str
    settings: BoundFixture | None = None


class BoundCalls:
    """Routes the requests about bindings, and answers them."""

    def __init__(
        self, fixture: RomaFixture, bindings: SimulatedBindings, find_front: Callable[[str], LiveFront | None]
    ) -> None:
        self._fixture = fixture
        self._bindings = bindings
        self._find_front = find_front

    def route(self, method: str, rest: Sequence[str], query: str, body: bytes) -> PlatformCall | None:
        """Return the call of a request below the instance; None where it is not about bindings."""
        asked = parse_query(query)
        match method, rest:
            case "GET", [owners] if owners in BY_OWNERS:
                return self._admit(BY_OWNERS[owners], lambda of: self._list_owners(of, asked))
            case "GET", ["plugins", owner, "attached-apis"]:
                return self._admit(TYPES["plugins"], lambda of: self._list_of_owner(of, owner, asked))
            case "GET", ["apis", front, "attached-plugins"]:
                return self._route_front(TYPES["plugins"], front, asked)
            case "GET", [noun, read] if noun in BY_NOUN and read == BY_NOUN[noun].front_read:
                return self._route_front(BY_NOUN[noun], asked.get("api_id", ""), asked)
            case "GET", [noun, "binded-apis"] if noun in BY_NOUN:
                of = BY_NOUN[noun]
                return self._admit(of, lambda of: self._list_of_owner(of, asked.get(of.of, ""), asked))
            case "POST", ["apis", front, "plugins", "attach"]:
                return self._route_create(TYPES["plugins"], lambda: self._read_plugins(front, body))
            case "POST", ["app-auths"]:
                return self._route_create(TYPES["applications"], lambda: self._read_permissions(body))
            case "POST", [noun] if noun in BY_NOUN:
                of = BY_NOUN[noun]
                return self._route_create(of, lambda: self._read_policy(of, body))
        return None

    def _admit(
        self,
        of: BoundType,
        perform: Callable[[BoundType], CallResult],
        front: LiveFront | None = None,
    ) -> PlatformCall:
        """Return a read, refused where the user may not make it or this version does not have it."""
        row = front.row if front else None
        if (refusal := self._find_refusal(of)) is not None:
            return PlatformCall(act=Act.LOOK, row=row, perform=answer_always(refusal))
        return PlatformCall(act=Act.LOOK, row=row, perform=lambda _now, _twist: perform(of))

    def _find_refusal(self, of: BoundType) -> HttpAnswer | None:
        if of.key in self._fixture.without_types:
            return no_such_route()
        return say.no_permission() if of.key in self._fixture.forbidden_types else None

    def _list_owners(self, of: BoundType, asked: Mapping[str, str]) -> CallResult:
        def show(entry: tuple[str, str]) -> object:
            return say.describe_owner(of.key, *entry, self._bindings.count_of_owner(of.key, entry[0]))

        return self._send_page(self._bindings.list_owners(of.key), asked, of.owners, show)

    def _list_of_owner(self, of: BoundType, owner: str, asked: Mapping[str, str]) -> CallResult:
        if owner not in self._bindings.names[of.key]:
            return CallResult(say.no_such_owner(of.word, owner) if owner else invalid(of.of))
        bound = self._bindings.list_of_owner(of.key, owner, asked.get("env_id"), asked.get("api_id"))
        return self._send_page(
            bound,
            asked,
            of.listed_by_owner,
            lambda each: say.describe_front(each, self._show_front(each.front)),
        )

    def _show_front(self, front: str) -> Mapping[str, object]:
        found = self._find_front(front)
        assert found is not None, "what hangs on a front-end API goes with it"  # noqa: S101
        return found.fields

    def _route_front(self, of: BoundType, api_id: str, asked: Mapping[str, str]) -> PlatformCall:
        front = self._find_front(api_id)
        if front is None:
            refusal = no_such_front(api_id) if api_id else invalid("api_id")
            return self._admit(of, lambda _: CallResult(refusal))
        bound = self._bindings.list_of_front
        return self._admit(
            of,
            lambda of: self._send_page(
                bound(front.id, of.key, asked.get("env_id")),
                asked,
                of.listed_by_front,
                lambda each: say.describe_bound(each, front.fields),
            ),
            front,
        )

    def _send_page(
        self,
        entries: Sequence[_Entry],
        asked: Mapping[str, str],
        key: str,
        show: Callable[[_Entry], object],
    ) -> CallResult:
        page = cut_page(entries, asked, self._fixture.longest_page)
        if isinstance(page, str):
            return CallResult(invalid(page))
        shown = [show(entry) for entry in page]
        return CallResult(json_answer(200, {"size": len(shown), "total": len(entries), key: shown}))

    def _route_create(self, of: BoundType, read: Callable[[], list[_Wish] | HttpAnswer]) -> PlatformCall:
        try:
            wishes = self._find_refusal(of) or read()
        except msgspec.ValidationError:
            wishes = invalid(of.create_id)
        except (msgspec.DecodeError, UnicodeDecodeError):
            wishes = unreadable()
        if isinstance(wishes, HttpAnswer):
            return PlatformCall(act=Act.BIND, perform=answer_always(wishes))
        row = wishes[0].front.row
        return PlatformCall(
            act=Act.BIND,
            row=row,
            perform=lambda now, _twist: self._create(of, wishes, now),
            shares=row.id,
        )

    def _read_permissions(self, body: bytes) -> list[_Wish] | HttpAnswer:
        wish = msgspec.json.decode(body, type=_PermissionBody)
        visits = {(each.api_id, each.app_id): each.visit_param for each in wish.visit_params}
        pairs = []
        for api_id in wish.api_ids:
            front = self._find_front(api_id)
            if front is None:
                return no_such_front(api_id)
            for app_id in wish.app_ids:
                settings = BoundFixture(
                    type="applications",
                    name="",
                    tunnel=wish.auth_tunnel,
                    whitelist=wish.auth_whitelist,
                    blacklist=wish.auth_blacklist,
                    visit=visits.get((api_id, app_id), ""),
                )
                pairs.append(_Wish(front, wish.env_id, app_id, settings))
        return pairs or invalid("app_ids")

    def _read_policy(self, of: BoundType, body: bytes) -> list[_Wish] | HttpAnswer:
        wish = msgspec.json.decode(body, type=_PolicyBody)
        owner = getattr(wish, of.create_id)
        if not owner:
            return invalid(of.create_id)
        pairs = []
        for publication in wish.publish_ids:
            place = self._find_publication(publication)
            if place is None:
                return say.no_such_publication(publication)
            pairs.append(_Wish(*place, owner))
        return pairs or invalid("publish_ids")

    def _find_publication(self, publication: str) -> tuple[LiveFront, str] | None:
        """Return the front-end API and the environment of a publication that stands now."""
        # A publication's id begins with that of its front end, reversed.
        front = self._find_front(publication[:32][::-1])
        if front is None:
            return None
        return next(
            ((front, each) for each in front.row.published if make_publish_id(front.id, each) == publication),
            None,
        )

    def _read_plugins(self, api_id: str, body: bytes) -> list[_Wish] | HttpAnswer:
        wish = msgspec.json.decode(body, type=_PluginBody)
        front = self._find_front(api_id)
        if front is None:
            return no_such_front(api_id)
        return [_Wish(front, wish.env_id, owner) for owner in wish.plugin_ids] or invalid("plugin_ids")

    def _create(self, of: BoundType, wishes: Sequence[_Wish], now: float) -> CallResult:
        done, effect = [], RequestEffect.NONE
        for wish in wishes:
            made = self._create_one(of, wish, now)
            if isinstance(made, HttpAnswer):
                return CallResult(made, effect)
            told, is_made = made
            done.append(told)
            effect = RequestEffect.BOUND if is_made else effect
        told_pairs = {of.created: done} if self._fixture.names_pairs else {}
        return CallResult(json_answer(self._fixture.created, told_pairs), effect)

    def _create_one(
        self, of: BoundType, wish: _Wish, now: float
    ) -> tuple[Mapping[str, object], bool] | HttpAnswer:
        """Bind one pair; return its result and whether anything was made, or the refusal of all."""
        front, environment, owner, settings = wish
        name = self._bindings.names[of.key].get(owner)
        if name is None:
            return say.no_such_owner(of.word, owner)
        if environment not in front.row.published:
            return say.not_published(front.id, environment)
        what = msgspec.structs.replace(settings or BoundFixture(type=of.key, name=""), name=name)
        if self._bindings.is_foreign(of.key, owner):
            if of.key != "applications":
                return say.no_permission()
            refused = SimulatedBinding(what, owner, front.id, environment, 0, now)
            return say.describe_refused(refused), False
        known = self._bindings.find(front.id, environment, what)
        front.row.repeats += known is not None
        if known is not None and self._fixture.bound_again == "refuse":
            return say.bound_already(of.word)
        if known is not None and self._fixture.bound_again == "skip":
            return say.describe_created(known, front.fields, "SKIPPED"), False
        made = self._bindings.hang(front.id, environment, what, now)
        return say.describe_created(made, front.fields, "SUCCESS"), known is None
