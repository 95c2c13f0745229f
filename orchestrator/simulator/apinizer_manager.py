"""The state of an Apinizer installation, and the acts that change it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator import apinizer_replies as say
from orchestrator.simulator.apinizer_fixture import ApinizerFixture, GroupFixture, ProxyFixture
from orchestrator.simulator.apinizer_replies import HistoryRecord, ReportEntry, SimulatedDeployment
from orchestrator.simulator.apinizer_words import ApinizerWording, quote_booleans, word_rollback
from orchestrator.simulator.exchange import CallResult, FaultKind, HttpAnswer, RequestEffect

_PLAIN = ProxyFixture()
_IN_PART = (FaultKind.PARTIAL, FaultKind.REFUSED_PARTIAL)
_NOTHING_DONE = (FaultKind.INNER_FALSE, FaultKind.NO_DEPLOYMENT, FaultKind.REFUSED_WITH_RESULT)


class DeploymentNote(Struct):
    """The optional body of a deploy or an undeploy."""

    description: str | None = None
    persistent: bool | None = None


class SimulatedProxy:
    """One proxy: its deployments and its history."""

    __slots__ = ("_kept", "about", "id", "name", "path", "places", "records", "revision", "type")

    def __init__(self, project: str, name: str, about: ProxyFixture, kept: int) -> None:
        """``kept``: how many records of the history stay beside the persistent ones."""
        self.name = name
        self.id = say.make_proxy_id(project, name)
        self.about = about
        self.type = about.type
        self.path = f"/{quote(name, safe='')}" if about.path is None else about.path
        self.places: dict[str, SimulatedDeployment] = {}
        self.records: list[HistoryRecord] = []
        self.revision = 0
        self._kept = kept

    def record(self, now: float, environment: str, note: DeploymentNote, *, deploy: bool) -> int:
        """Add a record to the history, drop the oldest one that is not persistent, return the revision."""
        # One counter a proxy: deploys and undeploys of all environments count alike.
        self.revision += 1
        text = note.description or f"{'Deployed' if deploy else 'Undeployed'} by APIOPS Api"
        keep = bool(note.persistent)
        self.records.append(HistoryRecord(self.revision, now, environment, deploy, text, keep))
        passing = [record for record in self.records if not record.persistent]
        if len(passing) > self._kept:
            self.records.remove(passing[0])
        return self.revision


class SimulatedManager:
    """The manager with its worker pods. A ``twist`` changes the answer of the acts that it concerns."""

    def __init__(self, fixture: ApinizerFixture, words: ApinizerWording, now: float) -> None:
        """Build the state that a fixture describes; ``now`` is the Unix time of its deployments."""
        self._fixture = fixture
        self._say = words
        self.projects: dict[str, dict[str, SimulatedProxy]] = {}
        self.environments: dict[str, None] = {}
        self.rows: list[SimulatedDeployment] = []
        edited = frozenset(fixture.edited)
        for parts in fixture.targets:
            self._place(parts, now, up=True, edited=parts in edited)
        for parts in fixture.down:
            self._place(parts, now, up=False, edited=False)

    def _place(self, parts: tuple[str, str, str], now: float, *, up: bool, edited: bool) -> None:
        project, name, environment = parts
        proxies = self.projects.setdefault(project, {})
        proxy = proxies.get(name) or proxies.setdefault(name, self._make_proxy(project, name))
        now = self._fixture.deployed.get("/".join(parts), now)
        revision = proxy.record(now, environment, DeploymentNote("first"), deploy=True)
        if not up:
            proxy.record(now, environment, DeploymentNote("gone before"), deploy=False)
        row = SimulatedDeployment(
            id="/".join((self._fixture.name, *map(_escape, parts))), environment=environment
        )
        row.recorded, row.serving, row.down = up, self._fixture.pods if up else 0, not up
        row.revision, row.since, row.edited = revision, now, edited
        proxy.places[environment] = row
        self.environments[environment] = None
        self.rows.append(row)

    def _make_proxy(self, project: str, name: str) -> SimulatedProxy:
        about = self._fixture.about.get(f"{project}/{name}", _PLAIN)
        return SimulatedProxy(project, name, about, self._fixture.kept)

    def describe_missing(self, act: Act | None, parts: tuple[str, str, str]) -> str:
        """Say in the vendor's words that a known project has no such target."""
        project, name, environment = parts
        if not name or not environment:
            return f"{'environmentName' if name else 'apiProxyName'} value can not be empty!"
        known = name in self.projects[project]
        if known and environment not in self.environments:
            return f"Environment ({environment}) is not found or user does not have privilege to access it!"
        if act is Act.LOOK:
            return f"ApiProxy with name ({name}) is not found!"
        place = f"can not be deployed to Environment({environment})"
        return f"ApiProxy with name ({name}) {place} because it is not exist!"

    def undeploy(
        self,
        proxy: SimulatedProxy,
        row: SimulatedDeployment,
        note: DeploymentNote,
        now: float,
        twist: FaultKind | None,
    ) -> CallResult:
        """Take a proxy from all pods, or from all but one; 400 if it is not deployed."""
        # One page advises to undeploy an orphan (undeployed for the manager, still served): that removes the
        # route. By another it is a 400, as whatever is not deployed. So the fixture decides.
        if not row.recorded and (row.serving == 0 or self._fixture.orphans == "refuse"):
            text = self._fixture.not_deployed_text
            text = text.replace("{proxy}", proxy.name).replace("{environment}", row.environment)
            return CallResult(self._say.error(400, text))
        if twist in _NOTHING_DONE:
            return CallResult(self._say.word_result("Undeployment", row, [False] * self._fixture.pods, twist))
        left = 1 if twist in _IN_PART else 0
        reached = [index < self._fixture.pods - left for index in range(self._fixture.pods)]
        # The vendor does not say whether the record changes when a pod did not obey, so the fixture decides.
        row.keep_record(left > 0 and not self._fixture.record_flips, now)
        # After an undeploy the manager tells of no unpublished edits any more.
        row.serving, row.down, row.edited = left, left == 0, row.edited and row.recorded
        proxy.record(now, row.environment, note, deploy=False)
        answer = self._say.word_result("Undeployment", row, reached, twist)
        return CallResult(_quote_if_asked(answer, twist), RequestEffect.PART if left else RequestEffect.DOWN)

    def deploy(
        self,
        proxy: SimulatedProxy,
        row: SimulatedDeployment,
        note: DeploymentNote,
        now: float,
        twist: FaultKind | None,
    ) -> CallResult:
        """Put the current definition on all pods, or on all but one, also if it is deployed already."""
        if twist in _NOTHING_DONE:
            return CallResult(self._say.word_result("Deployment", row, [False] * self._fixture.pods, twist))
        missed = 1 if twist in _IN_PART else 0
        reached = [index >= missed for index in range(self._fixture.pods)]
        row.keep_record(True, now)
        row.serving, row.edited = self._fixture.pods - missed, False
        row.down = row.serving == 0
        row.revision, row.since = proxy.record(now, row.environment, note, deploy=True), now
        answer = self._say.word_result("Deployment", row, reached, twist)
        return CallResult(_quote_if_asked(answer, twist), RequestEffect.PART if missed else RequestEffect.UP)

    def deploy_status(
        self, _proxy: SimulatedProxy, row: SimulatedDeployment, _now: float, twist: FaultKind | None
    ) -> CallResult:
        """Answer with the manager's own record."""
        return CallResult(_quote_if_asked(say.deploy_status(row), twist))

    def route_health(
        self, proxy: SimulatedProxy, row: SimulatedDeployment, _now: float, twist: FaultKind | None
    ) -> CallResult:
        """Answer with the state of the pods."""
        fixture = self._fixture
        answer = say.route_health(
            row,
            proxy.path,
            fixture.pods,
            twist,
            not_loaded=fixture.not_loaded,
            tells_record=fixture.tells_record,
        )
        return CallResult(_quote_if_asked(answer, twist))

    def list_report(self, now: float) -> Iterator[ReportEntry]:
        """Yield the entries of the administrator's report: proxies of all projects, and groups of them."""
        fixture = self._fixture
        for project, proxies in self.projects.items():
            for proxy in proxies.values():
                name = f"{project}/{proxy.name}"
                if name not in fixture.unreported:
                    yield ReportEntry(
                        project=project,
                        name=proxy.name,
                        type=proxy.type,
                        rows=tuple(proxy.places.values()),
                        at=now - fixture.report_lag,
                        disputed=name in fixture.disputed,
                        padding=fixture.report_padding,
                        proxy_id=proxy.id if fixture.tells_ids else None,
                    )
        for project, name in fixture.groups:
            rows = tuple(self.list_group(project, name))
            about = fixture.about_groups.get(f"{project}/{name}", GroupFixture())
            names = self.projects.get(project, ()) if about.members is None else about.members
            members = tuple(say.make_proxy_id(project, each) for each in names)
            yield ReportEntry(
                project=project, name=name, type="REST", rows=rows, at=now, group=True, members=members
            )

    def list_group(self, project: str, name: str) -> Iterator[SimulatedDeployment]:
        """Yield a group of proxies in each environment, deployed or not."""
        about = self._fixture.about_groups.get(f"{project}/{name}", GroupFixture())
        for each in self.environments:
            up = about.environments is None or each in about.environments
            yield SimulatedDeployment(id="", environment=each, recorded=up)

    def list_access(self) -> Iterator[dict[str, object]]:
        """Yield the entries of the report of those who may call: of the proxies that are shared outside."""
        for project, proxies in self.projects.items():
            for proxy in proxies.values():
                if proxy.about.callers and proxy.about.sharing != "INTERNAL":
                    yield say.access_line(project, proxy.name, proxy.about.sharing, proxy.about.callers)

    def destroy(self, project: str, proxy: SimulatedProxy, now: float) -> CallResult:
        """Delete the definition for good and undeploy it everywhere."""
        for row in proxy.places.values():
            row.keep_record(False, now)
            row.serving, row.down, row.destroyed, row.down_at = 0, True, True, now
        del self.projects[project][proxy.name]
        return CallResult(say.wrap_list([]), RequestEffect.DESTROYED)

    def show_revision(self, proxy: SimulatedProxy, revision: str) -> CallResult:
        """Answer with one record of the history."""
        found = [record for record in proxy.records if str(record.revision) == revision]
        return CallResult(
            say.wrap_list(map(say.history_line, found)) if found else self._refuse_revision(proxy, revision)
        )

    def _refuse_revision(self, proxy: SimulatedProxy, revision: str) -> HttpAnswer:
        text = f"Deploy history with revision ({revision}) is not found for ApiProxy ({proxy.name})!"
        return self._say.error(400, text)

    def roll_back(
        self,
        place: tuple[str, SimulatedProxy],
        revision: str,
        environment: str,
        now: float,
        twist: FaultKind | None,
    ) -> CallResult:
        """Bring a revision back and, with an environment, deploy it. Only the text tells the result."""
        project, proxy = place
        if not any(str(record.revision) == revision for record in proxy.records):
            return CallResult(self._refuse_revision(proxy, revision))
        row = proxy.places.get(environment)
        if environment and row is None:
            return CallResult(
                self._say.error(400, self.describe_missing(Act.DEPLOY, (project, proxy.name, environment)))
            )
        text = f"ApiProxy ({proxy.name}) rolled back to revision ({revision}) successfully"
        if row is None:
            return CallResult(word_rollback(text))
        # The vendor sends 200 here too, and only the text tells that the deploy failed.
        if twist is not None:
            return CallResult(word_rollback(f"{text} but deployment failed: Connection refused"))
        done = self.deploy(proxy, row, DeploymentNote(f"Rollback to {revision}"), now, None)
        return CallResult(word_rollback(f"{text} and deployed"), done.effect)


def _quote_if_asked(answer: HttpAnswer, twist: FaultKind | None) -> HttpAnswer:
    return quote_booleans(answer) if twist is FaultKind.QUOTED else answer


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")
