"""The management API of an Apinizer installation: which request asks for what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar
from urllib.parse import parse_qs, unquote

import msgspec

from orchestrator.model.reading import Act
from orchestrator.simulator import apinizer_replies as say
from orchestrator.simulator.apinizer_manager import Manager, Note, Proxy
from orchestrator.simulator.apinizer_replies import Deployment
from orchestrator.simulator.apinizer_words import Words
from orchestrator.simulator.exchange import TWISTS, Answer, Asked, Call, Done, Kind, Objection, always
from orchestrator.simulator.gates import ApinizerGate
from orchestrator.simulator.seed import ApinizerSeed

_Do = Callable[[Proxy, Deployment, float, Kind | None], Done]


class Apinizer:
    """One installation as its API shows it."""

    TWISTS: ClassVar[frozenset[Kind]] = TWISTS

    def __init__(self, seed: ApinizerSeed, now: float) -> None:
        """Build what a seed describes; ``now`` is the Unix time of its deployments."""
        self._seed = seed
        self._say = Words(seed.shape, seed.errors)
        self._manager = Manager(seed, self._say, now)
        self.gate = ApinizerGate(seed)

    @property
    def rows(self) -> list[Deployment]:
        return self._manager.rows

    def denied(self, objection: Objection) -> Answer:
        return self._say.denied(objection)

    def busy(self, wait: int, _rate: float) -> Answer:
        return self._say.busy(wait)

    def elsewhere(self) -> Answer:
        return say.unknown_route()

    def error(self, status: int, code: str | None = None, message: str | None = None) -> Answer:
        return self._say.error(status, message, code)

    def route(self, asked: Asked) -> Call:
        path, _, query = asked.raw_path.partition("?")
        if (asked.method, path) == ("POST", "/apiops/auth/token"):
            return self.gate.login(asked)
        # A segment is decoded after the split: an encoded slash is part of a name.
        root, *segments = [unquote(segment) for segment in path.split("/")][1:] or [""]
        if root != "apiops" or not segments:
            return _nowhere()
        if (asked.method, segments[:1]) == ("GET", ["test"]):
            return _connection_test(segments)
        if (asked.method, segments) == ("GET", ["reports", "api-proxies"]):
            return self._report()
        if segments.pop() != "":
            return _nowhere()
        return self._resource(asked.method, segments, query, asked.body)

    def _resource(self, method: str, segments: list[str], query: str, body: bytes) -> Call:
        match method, segments:
            case "GET", ["environments"]:
                return self._listing(lambda: self._environments(say.environment))
            case "GET", ["projects"]:
                shown = [name for name in self._manager.projects if name not in self._seed.hidden]
                return self._listing(lambda: map(say.project, shown))
            case _, ["projects", project, *rest]:
                return self._in_project(method, project, rest, query, body)
        return _nowhere()

    def _in_project(self, method: str, project: str, rest: list[str], query: str, body: bytes) -> Call:
        proxies = self._manager.projects.get(project)
        if proxies is None or project in (*self._seed.closed, *self._seed.hidden):
            text = f"Project ({project}) is not found or user does not have privilege to access it!"
            return Call(act=_act(method), perform=always(self._say.error(self._seed.unknown_project, text)))
        match method, rest:
            case "GET", ["environments"]:
                return self._listing(lambda: self._environments(say.environment_of_project))
            case "GET", ["apiProxies"]:
                ordered = sorted(proxies.values(), key=lambda proxy: proxy.name)
                return self._listing(
                    lambda: (say.proxy_line(proxy.name, proxy.type, proxy.path) for proxy in ordered)
                )
            case _, ["apiProxies", name, *tail]:
                return self._on_proxy(method, project, name, tail, query, body)
        return _nowhere()

    def _listing(self, rows: Callable[[], Iterable[object]]) -> Call:
        withheld = self._seed.withheld
        return Call(act=Act.LOOK, perform=lambda _now, _twist: Done(say.listed(rows(), withheld=withheld)))

    def _environments(self, line: Callable[[str, str | None], object]) -> Iterable[object]:
        return (line(name, self._seed.types.get(name)) for name in self._manager.environments)

    def _report(self) -> Call:
        """All proxies of all projects, for an administrator; nobody else learns more than that he is none."""
        if self._seed.report == "absent":
            return _nowhere()
        if self._seed.report == "forbidden":
            return Call(act=Act.LOOK, perform=always(self._say.error(401, "Unauthorized API Access!")))
        return self._listing(
            lambda: (
                say.report_line(project, proxy.name, proxy.type, proxy.places.values())
                for project, proxies in self._manager.projects.items()
                for proxy in proxies.values()
            )
        )

    def _on_proxy(
        self, method: str, project: str, name: str, tail: list[str], query: str, body: bytes
    ) -> Call:
        if not self._offers(tail):
            return _nowhere()
        match method, tail:
            case (("DELETE" | "POST"), ["environments", environment]):
                do = self._noted(body, self._manager.undeploy if method == "DELETE" else self._manager.deploy)
                return self._call(_act(method), (project, name, environment), do)
            case "GET", ["environments", environment, "deploy-status"]:
                return self._call(Act.LOOK, (project, name, environment), self._manager.deploy_status)
            case "GET", ["environments", environment, "route-health"]:
                return self._call(Act.LOOK, (project, name, environment), self._manager.route_health)
        proxy = self._manager.projects[project].get(name)
        if proxy is None:
            text = f"ApiProxy with name ({name}) is not found!"
            act = Act.LOOK if method == "GET" else None
            return Call(act=act, perform=always(self._say.error(400, text)))
        return self._whole_proxy(method, project, proxy, tail, query)

    def _offers(self, tail: list[str]) -> bool:
        if tail[:1] == ["deploy-histories"]:
            return self._seed.histories
        return self._seed.looks or tail[2:] not in (["deploy-status"], ["route-health"])

    def _whole_proxy(self, method: str, project: str, proxy: Proxy, tail: list[str], query: str) -> Call:
        match method, tail:
            case "GET", []:
                return _reading(lambda: [self._details(proxy)], proxy)
            case "DELETE", []:
                return Call(perform=lambda now, _twist: self._manager.destroy(project, proxy, now))
            case "GET", ["deploy-histories"]:
                return _reading(lambda: map(say.history_line, reversed(proxy.records)), proxy)
            case "GET", ["deploy-histories", revision]:
                return Call(act=Act.LOOK, perform=lambda _now, _twist: self._manager.detail(proxy, revision))
            case "POST", ["deploy-histories", revision, "rollback"]:
                environment = parse_qs(query).get("environmentName", [""])[-1]
                return Call(
                    act=Act.DEPLOY,
                    row=proxy.places.get(environment),
                    shares=f"{project}/{proxy.name}",
                    perform=lambda now, twist: self._manager.roll_back(
                        (project, proxy), revision, environment, now, twist
                    ),
                )
        return _nowhere()

    def _details(self, proxy: Proxy) -> object:
        shown = self._seed.deployments
        places = proxy.places.values()
        return say.proxy_details(proxy.name, proxy.type, proxy.path, places, deployments=shown)

    def _call(self, act: Act | None, parts: tuple[str, str, str], do: _Do) -> Call:
        project, name, environment = parts
        proxy = self._manager.projects[project].get(name)
        row = proxy.places.get(environment) if proxy else None
        if proxy and row is None and act is Act.LOOK and environment in self._manager.environments:
            return Call(
                act=act, perform=lambda now, twist: do(proxy, say.never_there(environment), now, twist)
            )
        if proxy is None or row is None:
            return Call(act=act, perform=always(self._say.error(400, self._manager.missing(act, parts))))
        known, place = proxy, row
        return Call(
            act=act,
            row=row,
            shares=f"{project}/{name}",
            perform=lambda now, twist: do(known, place, now, twist),
        )

    def _noted(self, body: bytes, do: Callable[[Proxy, Deployment, Note, float, Kind | None], Done]) -> _Do:
        if body and self._seed.body == "reject":
            return lambda *_: Done(self._say.error(400, "Request body is not supported by this operation!"))
        try:
            note = msgspec.json.decode(body, type=Note) if body and self._seed.body == "accept" else Note()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return lambda *_: Done(self._say.error(400, "Request body is not readable!"))
        return lambda proxy, row, now, twist: do(proxy, row, note, now, twist)


def _reading(rows: Callable[[], Iterable[object]], proxy: Proxy | None = None) -> Call:
    # What is read of a whole proxy is a look at its target where it has just one.
    row = next(iter(proxy.places.values())) if proxy and len(proxy.places) == 1 else None
    return Call(act=Act.LOOK, row=row, perform=lambda _now, _twist: Done(say.listed(rows())))


def _act(method: str) -> Act | None:
    return {"DELETE": Act.UNDEPLOY, "POST": Act.DEPLOY, "GET": Act.LOOK}.get(method)


def _nowhere() -> Call:
    return Call(perform=always(say.unknown_route()))


def _connection_test(segments: list[str]) -> Call:
    plain = {"Content-Type": "text/plain;charset=UTF-8"}
    match segments:
        case ["test", "healthcheck"]:
            return Call(perform=always(Answer(200, b"OK", plain)), needs_token=False)
        case ["test", "hello", name] if name:
            return Call(act=Act.LOOK, perform=always(Answer(200, f"Hello {name}".encode(), plain)))
    return _nowhere()
