"""A ROMA Connect instance: backend APIs in both dialects of its management API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.reading import Act
from orchestrator.simulator import iam
from orchestrator.simulator import roma_replies as say
from orchestrator.simulator.bound_calls import BoundCalls, LiveFront
from orchestrator.simulator.bound_types import TypeKey
from orchestrator.simulator.exchange import (
    AccessDenial,
    CallResult,
    FaultKind,
    HttpAnswer,
    Perform,
    PlatformCall,
    ReceivedRequest,
    RequestEffect,
    answer_always,
    json_answer,
)
from orchestrator.simulator.roma_bindings import SimulatedBinding, SimulatedBindings
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from orchestrator.simulator.roma_gate import RomaGate
from orchestrator.simulator.roma_lists import RomaLists
from orchestrator.simulator.roma_replies import SimulatedBackend
from orchestrator.simulator.roma_statistics import Calls, CallStatistics

_PLAIN = BackendFixture()
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _NamedBackend(Struct):
    ld_api_id: str


class _DeployBody(Struct):
    """The keys of a deploy's body that the simulator obeys."""

    deploy_front_api: bool = True
    auth_type: str | None = None
    group_id: str | None = None
    env_id: str | None = None
    protocol: str | None = None
    roma_app_id: str | None = None


class _PublishBody(Struct):
    """The keys of the body that publishes a front-end API, or takes one offline."""

    action: Literal["online", "offline"]
    api_id: str
    env_id: str


_Do = Callable[[SimulatedBackend, float], CallResult]


class SimulatedRoma:
    """One instance: its state and its answers."""

    TWISTS: ClassVar[frozenset[FaultKind]] = frozenset()

    def __init__(self, fixture: RomaFixture, now: float) -> None:
        self._fixture = fixture
        self.gate = RomaGate(fixture)
        self._backends: dict[str, SimulatedBackend] = {}
        self._fronts: dict[str, str] = {}
        """Backend id by front-end id, for each front-end id that an answer has named."""
        self._bindings = SimulatedBindings(_list_unbound(fixture), fixture.foreign)
        self._bound_calls = BoundCalls(fixture, self._bindings, self._find_front)
        self._statistics = CallStatistics(fixture, self._find_front, self._list_called, self._find_calls)
        self._calls: dict[str, Calls] = {}
        """The calls of each front-end API that had some."""
        self._kept: dict[str, list[SimulatedBinding]] = {}
        """By backend, what hung on its last front-end API, where the next one gets that."""
        self._lists = RomaLists(fixture, self._backends, self._describe, self._show_listed)
        edited = frozenset(fixture.edited)
        for ld_api_id in fixture.targets:
            self._add_backend(ld_api_id, say.DEPLOYED, now, edited=ld_api_id in edited)
        for ld_api_id in fixture.down:
            self._add_backend(ld_api_id, say.DEVELOPED, now, edited=ld_api_id in edited)
        self._environments = {say.ENVIRONMENT, *(name for row in self.rows for name in row.environments)}
        """Those in which a front-end API may be published."""

    def _add_backend(self, ld_api_id: str, status: int, now: float, *, edited: bool) -> None:
        fixture, down = self._fixture, status != say.DEPLOYED
        about = fixture.about.get(ld_api_id, _PLAIN)
        environments = (say.ENVIRONMENT,) if about.environments is None else about.environments
        row = SimulatedBackend(
            id=f"{fixture.name}/{ld_api_id}",
            down=down,
            status=status,
            deployments=(now if about.deployed is None else about.deployed,),
            environments=environments,
            script_bytes=fixture.script_bytes,
            about=about,
            edited=edited,
            has_second_front=about.second_front and not down,
            bindings=self._bindings,
            start=() if down else environments,
            bound=fixture.bound if about.bound is None else about.bound,
        )
        self._backends[ld_api_id] = row
        self._hang_first(row, now)
        if about.calls and not down:
            calls = [(now - hours * 3600, count) for hours, count in about.calls]
            self._calls[say.front_id(row)] = calls
            self._fronts[say.front_id(row)] = ld_api_id

    def _hang_first(self, row: SimulatedBackend, now: float) -> None:
        """Hang what the fixture says on the front-end APIs of a backend API."""
        for bound, front in zip((row.bound, row.about.second_bound), say.list_front_ids(row), strict=False):
            for what, environment in say.list_places(bound, row.start):
                self._bindings.hang(front, environment, what, now)
                self._fronts[front] = _get_id(row)  # the lists of what hangs on it name it

    def _find_calls(self, front: LiveFront) -> Calls:
        return self._calls.get(front.id, ())

    def _list_called(self) -> Iterator[tuple[str, Calls]]:
        return ((front, calls) for front, calls in self._calls.items() if self._find_front(front))

    @property
    def rows(self) -> list[SimulatedBackend]:
        return list(self._backends.values())

    def answer_denied(self, objection: AccessDenial) -> HttpAnswer:
        return say.reword_error(say.answer_denied(objection, self._fixture.denied), self._fixture.errors)

    def answer_busy(self, wait: int, rate: float) -> HttpAnswer:
        return say.reword_error(say.answer_busy(wait, rate, *self._fixture.limit), self._fixture.errors)

    def answer_elsewhere(self) -> HttpAnswer:
        return say.reword_error(say.no_such_instance(self._fixture.instance_id), self._fixture.errors)

    def error(self, status: int, code: str | None = None, message: str | None = None) -> HttpAnswer:
        return say.reword_error(say.usual_error(status, code, message), self._fixture.errors)

    def route(self, asked: ReceivedRequest) -> PlatformCall:
        call = self._route(asked)
        form = self._fixture.errors
        if form == "documented" or call.login:
            return call  # the errors of its IAM have a form of their own

        def perform(now: float, twist: FaultKind | None) -> CallResult:
            done = call.perform(now, twist)
            return replace(done, answer=say.reword_error(done.answer, form))

        return replace(call, perform=perform)

    def _route(self, asked: ReceivedRequest) -> PlatformCall:
        path, _, query = asked.raw_path.partition("?")
        if (asked.method, path) == ("POST", iam.PATH):
            return self.gate.route_login(asked)
        match path.split("/"):
            case ["", ("v1" | "v2") as dialect, project, "apic", "instances", instance, *rest] if rest:
                call = self._route_operation(dialect, asked.method, rest, query, asked.body)
                lost = self._find_misplacement(dialect, project, instance, rest[0])
                if lost is None or call is None:
                    return call or PlatformCall(perform=answer_always(say.no_such_route()))
                return PlatformCall(perform=answer_always(lost), act=call.act)
        return PlatformCall(perform=answer_always(say.no_such_route()))

    def _find_misplacement(self, dialect: str, project: str, instance: str, noun: str) -> HttpAnswer | None:
        # Only the backend APIs have a V1, and only they may lack a V2.
        if dialect not in (self._fixture.dialects if noun == "livedata-apis" else ("v2",)):
            return say.no_such_route()
        if not _ID.fullmatch(instance):
            return say.invalid("instance_id")
        if (project, instance) != (self._fixture.project_id, self._fixture.instance_id):
            return say.no_such_instance(instance)
        return None

    def _route_operation(
        self, dialect: str, method: str, rest: list[str], query: str, body: bytes
    ) -> PlatformCall | None:
        match method, rest:
            case _, ["livedata-apis", *_] | ["apis"] | ["apis", _]:
                return self._route_api(dialect, method, rest, query, body)
        call = self._statistics.route(method, rest, query)
        return call or self._bound_calls.route(method, rest, query, body)

    def _route_api(
        self, dialect: str, method: str, rest: list[str], query: str, body: bytes
    ) -> PlatformCall | None:
        match method, rest:
            case "GET", ["livedata-apis", one]:
                return self._make_call(Act.LOOK, one, self._show)
            case "GET", ["livedata-apis", one, "deploy"]:
                # The only field that differs between the two versions.
                key = "deploys" if dialect == "v1" else "histories"
                return self._make_call(Act.LOOK, one, lambda row, _now: self._list_history(row, key))
            case "GET", _:
                return self._route_unnamed(rest, query)
            case "POST", ["apis", "action"]:
                return self._route_publish(body)
            case "POST", ["livedata-apis", ("undeploy" | "deploy") as verb] if dialect == "v1":
                return self._route_named_in_body(verb, body)
            case "POST", ["livedata-apis", one, ("undeploy" | "deploy") as verb] if dialect == "v2":
                return self._change(verb, one, body)
        return None

    def _route_unnamed(self, rest: list[str], query: str) -> PlatformCall | None:
        """Route the looks that do not name a backend."""
        match rest, self._fixture.lists:
            case [["livedata-apis"], "both" | "backends"]:
                return PlatformCall(
                    act=Act.LOOK, perform=lambda now, _twist: self._lists.list_backends(query, now)
                )
            case [["apis"], "both"]:
                return PlatformCall(act=Act.LOOK, perform=lambda _now, _twist: self._lists.list_fronts(query))
            case [["apis", api_id], _]:
                return PlatformCall(
                    act=Act.LOOK, perform=lambda _now, _twist: self._show_front(unquote(api_id))
                )
        return None

    def _route_named_in_body(self, verb: str, body: bytes) -> PlatformCall:
        act = Act(verb)
        try:
            return self._change(
                verb, msgspec.json.decode(body, type=_NamedBackend).ld_api_id, body, quoted=False
            )
        except msgspec.ValidationError:
            return PlatformCall(act=act, perform=answer_always(say.invalid("ld_api_id")))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return PlatformCall(act=act, perform=answer_always(say.unreadable()))

    def _route_publish(self, body: bytes) -> PlatformCall:
        try:
            wish = msgspec.json.decode(body, type=_PublishBody)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return PlatformCall(act=Act.PUBLISH, perform=answer_always(say.invalid("action")))
        row = self._backends.get(self._fronts.get(wish.api_id, ""))
        if row is None or row.deleted:
            return PlatformCall(act=Act.PUBLISH, perform=answer_always(say.no_such_front(wish.api_id)))
        return PlatformCall(
            act=Act.PUBLISH,
            row=row,
            perform=lambda now, _twist: self._publish(row, wish, now),
            shares=row.id,
        )

    def _publish(self, row: SimulatedBackend, wish: _PublishBody, now: float) -> CallResult:
        if wish.api_id not in say.list_front_ids(row):
            return CallResult(say.no_such_front(wish.api_id))
        if wish.env_id not in self._environments:
            return CallResult(say.no_such_environment(wish.env_id))
        others = tuple(name for name in row.environments if name != wish.env_id)
        self._lists.note_change()
        if wish.action == "offline":
            row.environments = others
            self._bindings.drop(wish.api_id, wish.env_id)
            return CallResult(HttpAnswer(204), RequestEffect.WITHDRAWN)
        if len(others) == len(row.environments):
            row.environments = (*others, wish.env_id)
            self._hang_kept(row, wish.env_id, now)
        record = say.describe_publication(row, wish.api_id, wish.env_id, now)
        return CallResult(json_answer(201, record), RequestEffect.PUBLISHED)

    def _change(self, verb: str, one: str, body: bytes, *, quoted: bool = True) -> PlatformCall:
        if verb == "undeploy":
            return self._make_call(Act.UNDEPLOY, one, self._undeploy, quoted=quoted)
        return self._make_call(Act.DEPLOY, one, lambda row, now: self._deploy(row, body, now), quoted=quoted)

    def _make_call(self, act: Act, one: str, do: _Do, *, quoted: bool = True) -> PlatformCall:
        # An id in the path is percent-encoded, an id in the body is not.
        ld_api_id = unquote(one) if quoted else one
        if not _ID.fullmatch(ld_api_id):
            return PlatformCall(act=act, perform=answer_always(say.invalid("ld_api_id")))
        row = self._backends.get(ld_api_id)
        if row is None or row.deleted:
            return PlatformCall(act=act, perform=answer_always(say.no_such_backend(ld_api_id)))
        return PlatformCall(act=act, row=row, perform=_bind(do, row), shares=row.id)

    def _undeploy(self, row: SimulatedBackend, _now: float) -> CallResult:
        if row.status != say.DEPLOYED:
            # The vendor leaves the answer open, so the fixture decides.
            again = self._fixture.again
            return CallResult(
                HttpAnswer(204) if again == 204 else say.error(again, "APIG.3083", "The API is not deployed")
            )
        self._take_fronts(row)
        row.status, row.down = say.DEVELOPED, True
        return CallResult(HttpAnswer(204), RequestEffect.DOWN)

    def _take_fronts(self, row: SimulatedBackend) -> None:
        """Delete the front-end APIs of a backend API, and with them what hangs on them."""
        lost = [self._bindings.drop(front) for front in say.list_front_ids(row)]
        if self._fixture.keeps_bindings and lost:
            self._kept[row.id] = lost[0]
        row.has_second_front = False
        self._lists.note_change()

    def _hang_kept(self, row: SimulatedBackend, environment: str, now: float) -> None:
        """Hang on the newest front-end API what hung on the one before, where that stays."""
        for each in self._kept.get(row.id, ()):
            if each.environment == environment:
                self._bindings.hang(say.front_id(row), environment, each.what, now)
                self._fronts[say.front_id(row)] = _get_id(row)

    def _deploy(self, row: SimulatedBackend, body: bytes, now: float) -> CallResult:
        try:
            wish = msgspec.json.decode(body or b"{}", type=_DeployBody)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return CallResult(say.unreadable())
        lacking = [
            name for name in ("auth_type", "group_id", "env_id", "protocol") if not getattr(wish, name)
        ]
        # These belong to the front-end API, so a deploy without one needs none of them.
        if wish.deploy_front_api and lacking:
            return CallResult(say.invalid(lacking[0]))
        if wish.deploy_front_api and wish.env_id not in self._environments:
            return CallResult(say.no_such_environment(wish.env_id or ""))
        if wish.roma_app_id not in (None, say.APPLICATION):
            return CallResult(say.usual_error(409, None, None))
        had_second_front = row.has_second_front
        self._take_fronts(row)
        row.status, row.down, row.edited = say.DEPLOYED, False, False
        row.has_second_front = had_second_front
        row.deployments = (*row.deployments, now)
        row.environments = (wish.env_id,) if wish.deploy_front_api and wish.env_id else ()
        for environment in row.environments:
            self._hang_kept(row, environment, now)
        return CallResult(
            json_answer(200, self._describe_deployment(row, len(row.deployments))), RequestEffect.UP
        )

    def _show(self, row: SimulatedBackend, now: float) -> CallResult:
        return CallResult(json_answer(200, self._describe(row, now)))

    def _describe(self, row: SimulatedBackend, now: float) -> dict[str, object]:
        still = row.down and now < row.down_at + self._fixture.lag
        status = say.DEPLOYED if still else row.status
        return say.definition(row, _get_id(row), self._fixture.instance_id, status=status, edited=row.edited)

    def _list_history(self, row: SimulatedBackend, key: str) -> CallResult:
        records = [self._describe_deployment(row, number) for number in range(len(row.deployments), 0, -1)]
        return CallResult(json_answer(200, {"size": len(records), "total": len(records), key: records}))

    def _describe_deployment(self, row: SimulatedBackend, number: int) -> dict[str, object]:
        self._fronts[say.front_id(row, number)] = _get_id(row)
        return say.deployment(row, _get_id(row), self._fixture.instance_id, number)

    def _show_front(self, api_id: str) -> CallResult:
        front = self._find_front(api_id)
        # An undeploy deletes the front-end API, and the next deploy makes another one.
        if front is None:
            return CallResult(say.no_such_front(api_id))
        return CallResult(json_answer(200, say.show_front(front.fields)))

    def _find_front(self, api_id: str) -> LiveFront | None:
        """Return a front-end API that exists now, by its id."""
        row = self._backends.get(self._fronts.get(api_id, ""))
        ids = [] if row is None or row.deleted else say.list_front_ids(row)
        if row is None or api_id not in ids:
            return None
        return LiveFront(api_id, row, say.show_front_of(row, _get_id(row), ids.index(api_id)))

    def _show_listed(self, row: SimulatedBackend, index: int) -> dict[str, object]:
        fields = say.show_front_of(row, _get_id(row), index)
        self._fronts[str(fields["id"])] = _get_id(row)
        return fields


def _list_unbound(fixture: RomaFixture) -> Iterator[tuple[TypeKey, str]]:
    return ((key, name) for key, names in fixture.unbound.items() for name in names)


def _get_id(row: SimulatedBackend) -> str:
    return row.id.rpartition("/")[2]


def _bind(do: _Do, row: SimulatedBackend) -> Perform:
    return lambda now, _twist: do(row, now)
