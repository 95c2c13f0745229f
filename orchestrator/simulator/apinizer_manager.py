"""The state of an Apinizer installation, and what can be done to it."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator import apinizer_replies as say
from orchestrator.simulator.apinizer_replies import Deployment, Record
from orchestrator.simulator.apinizer_words import Words, quoted, rolled_back
from orchestrator.simulator.exchange import Answer, Done, Effect, Kind
from orchestrator.simulator.seed import ApinizerSeed, ProxySeed

_KEPT = 6
"""How many records of a proxy's history are kept beside the persistent ones: the vendor's default."""


class Note(Struct):
    """The optional body of a deploy or an undeploy."""

    description: str | None = None
    persistent: bool | None = None


class Proxy:
    """One proxy: where it is deployed, and what was done to it."""

    __slots__ = ("name", "path", "places", "records", "revision", "type")

    def __init__(self, name: str, about: ProxySeed) -> None:
        self.name = name
        self.type = about.type
        self.path = f"/{quote(name, safe='')}" if about.path is None else about.path
        self.places: dict[str, Deployment] = {}
        self.records: list[Record] = []
        self.revision = 0

    def record(self, now: float, environment: str, note: Note, *, deploy: bool) -> int:
        """Write a line of history, forget the oldest ones that are not persistent, return its revision."""
        self.revision += 1
        text = note.description or f"{'Deployed' if deploy else 'Undeployed'} by APIOPS Api"
        keep = bool(note.persistent)
        self.records.append(Record(self.revision, now, environment, deploy, text, keep))
        passing = [record for record in self.records if not record.persistent]
        if len(passing) > _KEPT:
            self.records.remove(passing[0])
        return self.revision


class Manager:
    """The manager with its worker pods. What ``twist`` asks for is done where it concerns the act."""

    def __init__(self, seed: ApinizerSeed, words: Words, now: float) -> None:
        """Build the state that a seed describes; ``now`` is the Unix time of its deployments."""
        self._seed = seed
        self._say = words
        self.projects: dict[str, dict[str, Proxy]] = {}
        self.environments: dict[str, None] = {}
        self.rows: list[Deployment] = []
        edited = frozenset(seed.edited)
        for parts in seed.targets:
            self._seeded(parts, now, up=True, edited=parts in edited)
        for parts in seed.down:
            self._seeded(parts, now, up=False, edited=False)

    def _seeded(self, parts: tuple[str, str, str], now: float, *, up: bool, edited: bool) -> None:
        project, name, environment = parts
        proxies = self.projects.setdefault(project, {})
        proxy = proxies.get(name) or proxies.setdefault(name, self._proxy(project, name))
        now = self._seed.deployed.get("/".join(parts), now)
        revision = proxy.record(now, environment, Note("first"), deploy=True)
        if not up:
            proxy.record(now, environment, Note("gone before"), deploy=False)
        row = Deployment(id="/".join((self._seed.name, *map(_escaped, parts))), environment=environment)
        row.recorded, row.serving, row.down = up, self._seed.pods if up else 0, not up
        row.revision, row.since, row.edited = revision, now, edited
        proxy.places[environment] = row
        self.environments[environment] = None
        self.rows.append(row)

    def _proxy(self, project: str, name: str) -> Proxy:
        return Proxy(name, self._seed.about.get(f"{project}/{name}", ProxySeed()))

    def missing(self, act: Act | None, parts: tuple[str, str, str]) -> str:
        """What is said of a target that is not here, for a project that is."""
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

    def undeploy(self, proxy: Proxy, row: Deployment, note: Note, now: float, twist: Kind | None) -> Done:
        """Take it from all pods, or from all but one; 400 where there is nothing to take."""
        # An orphan (undeployed for the manager, still served) may be undeployed: that removes the route.
        if not row.recorded and row.serving == 0:
            text = self._seed.not_deployed_text
            text = text.replace("{proxy}", proxy.name).replace("{environment}", row.environment)
            return Done(self._say.error(400, text))
        if twist in (Kind.INNER_FALSE, Kind.REFUSED_WITH_RESULT):
            return Done(self._say.acted("Undeployment", row, [False] * self._seed.pods, twist))
        left = 1 if twist is Kind.PARTIAL else 0
        reached = [index < self._seed.pods - left for index in range(self._seed.pods)]
        row.recorded = left > 0 and not self._seed.record_flips
        row.serving, row.down, row.edited = left, left == 0, row.edited and row.recorded
        proxy.record(now, row.environment, note, deploy=False)
        answer = self._say.acted("Undeployment", row, reached, twist)
        return Done(_quoted(answer, twist), Effect.PART if left else Effect.DOWN)

    def deploy(self, proxy: Proxy, row: Deployment, note: Note, now: float, twist: Kind | None) -> Done:
        """Put the current definition on all pods, or on all but one; again where it is deployed."""
        if twist in (Kind.INNER_FALSE, Kind.REFUSED_WITH_RESULT):
            return Done(self._say.acted("Deployment", row, [False] * self._seed.pods, twist))
        missed = 1 if twist is Kind.PARTIAL else 0
        reached = [index >= missed for index in range(self._seed.pods)]
        row.recorded, row.serving, row.edited = True, self._seed.pods - missed, False
        row.down = row.serving == 0
        row.revision, row.since = proxy.record(now, row.environment, note, deploy=True), now
        answer = self._say.acted("Deployment", row, reached, twist)
        return Done(_quoted(answer, twist), Effect.PART if missed else Effect.UP)

    def deploy_status(self, _proxy: Proxy, row: Deployment, _now: float, twist: Kind | None) -> Done:
        """What the manager believes."""
        return Done(_quoted(say.deploy_status(row), twist))

    def route_health(self, proxy: Proxy, row: Deployment, _now: float, twist: Kind | None) -> Done:
        """What the pods serve."""
        pods = 0 if twist is Kind.NO_PODS else self._seed.pods
        answer = say.route_health(row, proxy.path, pods, not_loaded=self._seed.not_loaded)
        return Done(_quoted(answer, twist))

    def destroy(self, project: str, proxy: Proxy, now: float) -> Done:
        """Delete the definition for good and undeploy it everywhere."""
        for row in proxy.places.values():
            row.recorded, row.serving, row.down, row.destroyed, row.down_at = False, 0, True, True, now
        del self.projects[project][proxy.name]
        return Done(say.listed([]), Effect.DESTROYED)

    def detail(self, proxy: Proxy, revision: str) -> Done:
        """One record of the history."""
        found = [record for record in proxy.records if str(record.revision) == revision]
        return Done(say.listed(map(say.history_line, found)) if found else self._no_revision(proxy, revision))

    def _no_revision(self, proxy: Proxy, revision: str) -> Answer:
        text = f"Deploy history with revision ({revision}) is not found for ApiProxy ({proxy.name})!"
        return self._say.error(400, text)

    def roll_back(
        self, place: tuple[str, Proxy], revision: str, environment: str, now: float, twist: Kind | None
    ) -> Done:
        """Bring a revision back and, with an environment, deploy it. Only the text says how that went."""
        project, proxy = place
        if not any(str(record.revision) == revision for record in proxy.records):
            return Done(self._no_revision(proxy, revision))
        row = proxy.places.get(environment)
        if environment and row is None:
            return Done(self._say.error(400, self.missing(Act.DEPLOY, (project, proxy.name, environment))))
        text = f"ApiProxy ({proxy.name}) rolled back to revision ({revision}) successfully"
        if row is None:
            return Done(rolled_back(text))
        if twist is not None:
            return Done(rolled_back(f"{text} but deployment failed: Connection refused"))
        done = self.deploy(proxy, row, Note(f"Rollback to {revision}"), now, None)
        return Done(rolled_back(f"{text} and deployed"), done.effect)


def _quoted(answer: Answer, twist: Kind | None) -> Answer:
    return quoted(answer) if twist is Kind.QUOTED else answer


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")
