"""The management API of an Apinizer installation: from a request to the call that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec.structs import replace

from orchestrator.model.reading import Act
from orchestrator.simulator import apinizer_replies as say
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.apinizer_gate import ApinizerGate
from orchestrator.simulator.apinizer_manager import DeploymentNote, SimulatedManager, SimulatedProxy
from orchestrator.simulator.apinizer_replies import SimulatedDeployment
from orchestrator.simulator.apinizer_words import ApinizerWording, recode, say_success
from orchestrator.simulator.exchange import (
    TWISTS,
    AccessDenial,
    CallResult,
    FaultKind,
    HttpAnswer,
    PlatformCall,
    ReceivedRequest,
    answer_always,
    json_answer,
)
from orchestrator.simulator.traffic_log import SimulatedTrafficLog

_Do = Callable[[SimulatedProxy, SimulatedDeployment, float, FaultKind | None], CallResult]


class SimulatedApinizer:
    """One installation as its API shows it."""

    TWISTS: ClassVar[frozenset[FaultKind]] = TWISTS

    def __init__(self, fixture: ApinizerFixture, now: float) -> None:
        """Build the state that a fixture describes; ``now`` is the Unix time of its deployments."""
        self._fixture = fixture
        self._say = ApinizerWording(fixture.shape, fixture.errors, fixture.rows)
        self._manager = SimulatedManager(fixture, self._say, now)
        self.gate = ApinizerGate(fixture)
        log = fixture.traffic_log
        places = (*fixture.targets, *fixture.down)
        self._log = None if log is None else SimulatedTrafficLog(log, places, now)

    @property
    def rows(self) -> list[SimulatedDeployment]:
        return self._manager.rows

    def answer_denied(self, objection: AccessDenial) -> HttpAnswer:
        return self._dress(self._say.answer_denied(objection, self._fixture.denied))

    def answer_busy(self, wait: int, _rate: float) -> HttpAnswer:
        fixture = self._fixture
        return self._dress(self._say.answer_busy(wait, fixture.limit_status, has_header=fixture.limit_header))

    def answer_elsewhere(self) -> HttpAnswer:
        return say.unknown_route()

    def error(self, status: int, code: str | None = None, message: str | None = None) -> HttpAnswer:
        return self._dress(self._say.error(status, message, code))

    def route(self, asked: ReceivedRequest) -> PlatformCall:
        call, fixture = self._route(asked), self._fixture
        if (fixture.lists, fixture.charset) == ("status", "UTF-8"):
            return call

        def perform(now: float, twist: FaultKind | None) -> CallResult:
            done = call.perform(now, twist)
            return replace(done, answer=self._dress(done.answer))

        return replace(call, perform=perform)

    def _dress(self, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer in the form in which this installation sends it."""
        told = answer if self._fixture.lists == "status" else say_success(answer)
        return told if self._fixture.charset == "UTF-8" else recode(told, self._fixture.charset)

    def _route(self, asked: ReceivedRequest) -> PlatformCall:
        path, _, query = asked.raw_path.partition("?")
        if (asked.method, path) == ("POST", "/apiops/auth/token"):
            return self.gate.route_login(asked)
        # A segment is decoded after the split: an encoded slash is part of a name.
        root, *segments = [unquote(segment) for segment in path.split("/")][1:] or [""]
        if root != "apiops" or not segments:
            return (self._log and self._log.route(asked)) or _route_nowhere()
        # The tests and the report have no slash at their end, unlike the addresses of resources.
        if (asked.method, segments[:1]) == ("GET", ["test"]):
            return _route_connection_test(segments)
        if (asked.method, segments) == ("GET", ["reports", "api-proxies"]):
            return self._route_report()
        if (asked.method, segments) == ("GET", ["reports", "organization-api-data-model-access"]):
            return self._refuse_report(self._fixture.access) or PlatformCall(
                act=Act.LOOK,
                perform=lambda _now, _twist: CallResult(say.wrap_access(self._manager.list_access())),
            )
        # The vendor calls a resource path without a slash at its end incorrect.
        if segments.pop() != "":
            return _route_nowhere()
        return self._route_resource(asked.method, segments, query, asked.body)

    def _route_resource(self, method: str, segments: list[str], query: str, body: bytes) -> PlatformCall:
        match method, segments:
            case "GET", ["environments"]:
                return self._make_listing(lambda _: self._list_environments(say.environment))
            case "GET", ["projects"]:
                shown = [name for name in self._manager.projects if name not in self._fixture.hidden]
                return self._make_listing(lambda _: map(say.project, shown))
            case _, ["projects", project, *rest]:
                return self._route_in_project(method, project, rest, query, body)
        return _route_nowhere()

    def _route_in_project(
        self, method: str, project: str, rest: list[str], query: str, body: bytes
    ) -> PlatformCall:
        proxies = self._manager.projects.get(project)
        # Like the vendor: the same words, whether the project is unknown or closed to the user.
        if proxies is None or project in (*self._fixture.closed, *self._fixture.hidden):
            text = f"Project ({project}) is not found or user does not have privilege to access it!"
            return PlatformCall(
                act=_read_act(method),
                perform=answer_always(self._say.error(self._fixture.unknown_project, text)),
            )
        match method, rest:
            case "GET", ["environments"]:
                return self._make_listing(lambda _: self._list_environments(say.environment_of_project))
            case "GET", ["apiProxies"]:
                ordered = sorted(proxies.values(), key=lambda proxy: proxy.name)
                return self._make_listing(lambda _: map(self._show_line, ordered))
            case "GET", ["apiProxyGroups", *group]:
                return self._route_groups(project, group)
            case _, ["apiProxies", name, *tail]:
                return self._route_proxy(method, project, name, tail, query, body)
        return _route_nowhere()

    def _route_groups(self, project: str, rest: list[str]) -> PlatformCall:
        names = [name for place, name in self._fixture.groups if place == project]
        match rest:
            case []:
                return self._make_listing(lambda _: (say.group_line(project, name) for name in names))
            case [name, "environments"] if name in names:
                return self._make_listing(
                    lambda _: map(say.group_place, self._manager.list_group(project, name))
                )
            case [name, "environments"]:
                text = f"ApiProxyGroup with name ({name}) is not found!"
                return PlatformCall(act=Act.LOOK, perform=answer_always(self._say.error(400, text)))
        return _route_nowhere()

    def _make_listing(self, rows: Callable[[float], Iterable[object]]) -> PlatformCall:
        withheld = self._fixture.withheld
        return PlatformCall(
            act=Act.LOOK, perform=lambda now, _twist: CallResult(say.wrap_list(rows(now), withheld=withheld))
        )

    def _show_line(self, proxy: SimulatedProxy) -> dict[str, object]:
        own = {"id": proxy.id} if self._fixture.tells_ids else {}
        return {**own, **say.proxy_line(proxy.name, proxy.type, proxy.path)}

    def _list_environments(self, line: Callable[[str, str | None], object]) -> Iterable[object]:
        return (line(name, self._fixture.types.get(name)) for name in self._manager.environments)

    def _route_report(self) -> PlatformCall:
        """Answer with all proxies of all projects to an administrator; any other user is only refused."""
        return self._refuse_report(self._fixture.report) or self._make_listing(
            lambda now: map(say.report_line, self._manager.list_report(now))
        )

    def _refuse_report(self, report: str) -> PlatformCall | None:
        """Refuse a report to a user who is no administrator, or where there is none; else None."""
        if report == "absent":
            return _route_nowhere()
        if report == "forbidden":
            return PlatformCall(
                act=Act.LOOK, perform=answer_always(self._say.error(401, "Unauthorized API Access!"))
            )
        return None

    def _route_proxy(
        self, method: str, project: str, name: str, tail: list[str], query: str, body: bytes
    ) -> PlatformCall:
        if not self._offers(tail):
            return _route_nowhere()
        match method, tail:
            case (("DELETE" | "POST"), ["environments", environment]):
                do = self._with_note(
                    body, self._manager.undeploy if method == "DELETE" else self._manager.deploy
                )
                return self._make_call(_read_act(method), (project, name, environment), do)
            case "GET", ["environments", environment, "deploy-status"]:
                return self._make_call(Act.LOOK, (project, name, environment), self._manager.deploy_status)
            case "GET", ["environments", environment, "route-health"]:
                return self._make_call(Act.LOOK, (project, name, environment), self._manager.route_health)
        proxy = self._manager.projects[project].get(name)
        if proxy is None:
            text = f"ApiProxy with name ({name}) is not found!"
            act = Act.LOOK if method == "GET" else None
            return PlatformCall(act=act, perform=answer_always(self._say.error(400, text)))
        return self._route_whole_proxy(method, project, proxy, tail, query)

    # deploy-histories came with 2026.04.2, deploy-status and route-health with 2026.09.0.
    def _offers(self, tail: list[str]) -> bool:
        if tail[:1] == ["deploy-histories"]:
            return self._fixture.histories
        return self._fixture.looks or tail[2:] not in (["deploy-status"], ["route-health"])

    def _route_whole_proxy(
        self, method: str, project: str, proxy: SimulatedProxy, tail: list[str], query: str
    ) -> PlatformCall:
        match method, tail:
            case "GET", []:
                return self._show_proxy(proxy)
            case "DELETE", []:
                return PlatformCall(perform=lambda now, _twist: self._manager.destroy(project, proxy, now))
            case "GET", ["deploy-histories"]:
                step = 1 if self._fixture.oldest_first else -1
                return _make_reading(lambda: map(say.history_line, proxy.records[::step]), proxy)
            case "GET", ["deploy-histories", revision]:
                return PlatformCall(
                    act=Act.LOOK, perform=lambda _now, _twist: self._manager.show_revision(proxy, revision)
                )
            case "POST", ["deploy-histories", revision, "rollback"]:
                environment = parse_qs(query).get("environmentName", [""])[-1]
                return PlatformCall(
                    act=Act.DEPLOY,
                    row=proxy.places.get(environment),
                    shares=f"{project}/{proxy.name}",
                    perform=lambda now, twist: self._manager.roll_back(
                        (project, proxy), revision, environment, now, twist
                    ),
                )
        return _route_nowhere()

    def _show_proxy(self, proxy: SimulatedProxy) -> PlatformCall:
        """Answer with a proxy in a list, as the newer pages have it, or by itself."""

        def describe() -> object:
            shown, places = self._fixture.deployments, proxy.places.values()
            return say.proxy_details(proxy.name, proxy.type, proxy.path, places, deployments=shown)

        call = _make_reading(lambda: [describe()], proxy)
        if not self._fixture.bare_proxy:
            return call
        return replace(call, perform=lambda _now, _twist: CallResult(json_answer(200, describe(), say.JSON)))

    def _make_call(self, act: Act | None, parts: tuple[str, str, str], do: _Do) -> PlatformCall:
        project, name, environment = parts
        proxy = self._manager.projects[project].get(name)
        row = proxy.places.get(environment) if proxy else None
        # deploy-status answers also for an environment to which the proxy was never deployed.
        if proxy and row is None and act is Act.LOOK and environment in self._manager.environments:
            return PlatformCall(
                act=act, perform=lambda now, twist: do(proxy, say.never_there(environment), now, twist)
            )
        if proxy is None or row is None:
            return PlatformCall(
                act=act,
                perform=answer_always(self._say.error(400, self._manager.describe_missing(act, parts))),
            )
        known, place = proxy, row
        return PlatformCall(
            act=act,
            row=row,
            shares=f"{project}/{name}",
            perform=lambda now, twist: do(known, place, now, twist),
        )

    def _with_note(
        self,
        body: bytes,
        do: Callable[
            [SimulatedProxy, SimulatedDeployment, DeploymentNote, float, FaultKind | None], CallResult
        ],
    ) -> _Do:
        # The vendor does not say what an older manager does with a body: ignore or refuse it.
        if body and self._fixture.body == "reject":
            return lambda *_: CallResult(
                self._say.error(400, "Request body is not supported by this operation!")
            )
        try:
            note = (
                msgspec.json.decode(body, type=DeploymentNote)
                if body and self._fixture.body == "accept"
                else DeploymentNote()
            )
        except (msgspec.DecodeError, UnicodeDecodeError):
            return lambda *_: CallResult(self._say.error(400, "Request body is not readable!"))
        return lambda proxy, row, now, twist: do(proxy, row, note, now, twist)


def _make_reading(rows: Callable[[], Iterable[object]], proxy: SimulatedProxy | None = None) -> PlatformCall:
    # A read of a whole proxy counts as a look at its target if the proxy has just one.
    row = next(iter(proxy.places.values())) if proxy and len(proxy.places) == 1 else None
    return PlatformCall(act=Act.LOOK, row=row, perform=lambda _now, _twist: CallResult(say.wrap_list(rows())))


def _read_act(method: str) -> Act | None:
    return {"DELETE": Act.UNDEPLOY, "POST": Act.DEPLOY, "GET": Act.LOOK}.get(method)


def _route_nowhere() -> PlatformCall:
    return PlatformCall(perform=answer_always(say.unknown_route()))


def _route_connection_test(segments: list[str]) -> PlatformCall:
    plain = {"Content-Type": "text/plain;charset=UTF-8"}
    match segments:
        case ["test", "healthcheck"]:
            return PlatformCall(perform=answer_always(HttpAnswer(200, b"OK", plain)), needs_token=False)
        case ["test", "hello", name] if name:
            return PlatformCall(
                act=Act.LOOK, perform=answer_always(HttpAnswer(200, f"Hello {name}".encode(), plain))
            )
    return _route_nowhere()
