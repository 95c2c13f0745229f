"""A ROMA Connect instance: backend APIs in both dialects of its management API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from orchestrator.model.reading import Act
from orchestrator.simulator import iam
from orchestrator.simulator import roma_replies as say
from orchestrator.simulator.exchange import (
    Answer,
    Asked,
    Call,
    Done,
    Effect,
    Kind,
    Objection,
    Perform,
    always,
    json_answer,
)
from orchestrator.simulator.gates import RomaGate
from orchestrator.simulator.roma_replies import Backend
from orchestrator.simulator.seed import BackendSeed, RomaSeed

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Named(Struct):
    ld_api_id: str


class _Deploy(Struct):
    """What a deploy's body says, as far as it matters here."""

    deploy_front_api: bool = True
    auth_type: str | None = None
    group_id: str | None = None
    env_id: str | None = None
    protocol: str | None = None
    roma_app_id: str | None = None


_Do = Callable[[Backend, float], Done]


class Roma:
    """The state of one instance, and its answers."""

    TWISTS: ClassVar[frozenset[Kind]] = frozenset()

    def __init__(self, seed: RomaSeed, now: float) -> None:
        self._seed = seed
        self.gate = RomaGate(seed)
        self._backends: dict[str, Backend] = {}
        self._pages = 0
        """Pages of the list that were sent."""
        edited = frozenset(seed.edited)
        for ld_api_id, status in [(one, say.DEPLOYED) for one in seed.targets] + [
            (one, say.DEVELOPED) for one in seed.down
        ]:
            down = status != say.DEPLOYED
            about = seed.about.get(ld_api_id, BackendSeed())
            self._backends[ld_api_id] = Backend(
                id=f"{seed.name}/{ld_api_id}",
                down=down,
                status=status,
                deployments=(now if about.deployed is None else about.deployed,),
                about=about,
                edited=ld_api_id in edited,
            )
        self._fronts: dict[str, str] = {}
        """Backend id by front-end id, as far as an id was ever given out."""

    @property
    def rows(self) -> list[Backend]:
        return list(self._backends.values())

    def denied(self, objection: Objection) -> Answer:
        return say.denied(objection)

    def busy(self, wait: int, rate: float) -> Answer:
        return say.busy(wait, rate)

    def elsewhere(self) -> Answer:
        return say.no_such_instance(self._seed.instance_id)

    def error(self, status: int, code: str | None = None, message: str | None = None) -> Answer:
        return say.usual_error(status, code, message)

    def route(self, asked: Asked) -> Call:
        path, _, query = asked.raw_path.partition("?")
        if (asked.method, path) == ("POST", iam.PATH):
            return self.gate.login(asked)
        match path.split("/"):
            case ["", ("v1" | "v2") as dialect, project, "apic", "instances", instance, *rest] if rest:
                call = self._operation(dialect, asked.method, rest, query, asked.body)
                lost = self._misplaced(dialect, project, instance)
                if lost is None or call is None:
                    return call or Call(perform=always(say.no_such_route()))
                return Call(perform=always(lost), act=call.act)
        return Call(perform=always(say.no_such_route()))

    def _misplaced(self, dialect: str, project: str, instance: str) -> Answer | None:
        if dialect not in self._seed.dialects:
            return say.no_such_route()
        if not _ID.fullmatch(instance):
            return say.invalid("instance_id")
        if (project, instance) != (self._seed.project_id, self._seed.instance_id):
            return say.no_such_instance(instance)
        return None

    def _operation(self, dialect: str, method: str, rest: list[str], query: str, body: bytes) -> Call | None:
        match method, rest:
            case "GET", ["livedata-apis", one]:
                return self._call(Act.LOOK, one, self._show)
            case "GET", ["livedata-apis", one, "deploy"]:
                key = "deploys" if dialect == "v1" else "histories"
                return self._call(Act.LOOK, one, lambda row, _now: self._history(row, key))
            case "GET", _:
                return self._unnamed(rest, query)
            case "POST", ["livedata-apis", ("undeploy" | "deploy") as verb] if dialect == "v1":
                return self._named_in_body(verb, body)
            case "POST", ["livedata-apis", one, ("undeploy" | "deploy") as verb] if dialect == "v2":
                return self._change(verb, one, body)
        return None

    def _unnamed(self, rest: list[str], query: str) -> Call | None:
        """The looks that do not name a backend."""
        match rest:
            case ["livedata-apis"]:
                return Call(act=Act.LOOK, perform=lambda now, _twist: self._list(query, now))
            case ["apis", api_id]:
                return Call(act=Act.LOOK, perform=lambda _now, _twist: self._front(unquote(api_id)))
        return None

    def _named_in_body(self, verb: str, body: bytes) -> Call:
        act = Act(verb)
        try:
            return self._change(verb, msgspec.json.decode(body, type=_Named).ld_api_id, body, quoted=False)
        except msgspec.ValidationError:
            return Call(act=act, perform=always(say.invalid("ld_api_id")))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Call(act=act, perform=always(say.unreadable()))

    def _change(self, verb: str, one: str, body: bytes, *, quoted: bool = True) -> Call:
        if verb == "undeploy":
            return self._call(Act.UNDEPLOY, one, self._undeploy, quoted=quoted)
        return self._call(Act.DEPLOY, one, lambda row, now: self._deploy(row, body, now), quoted=quoted)

    def _call(self, act: Act, one: str, do: _Do, *, quoted: bool = True) -> Call:
        ld_api_id = unquote(one) if quoted else one
        if not _ID.fullmatch(ld_api_id):
            return Call(act=act, perform=always(say.invalid("ld_api_id")))
        row = self._backends.get(ld_api_id)
        if row is None or row.deleted:
            return Call(act=act, perform=always(say.no_such_backend(ld_api_id)))
        return Call(act=act, row=row, perform=_on(do, row), shares=row.id)

    def _undeploy(self, row: Backend, _now: float) -> Done:
        if row.status != say.DEPLOYED:
            again = self._seed.again
            return Done(
                Answer(204) if again == 204 else say.error(again, "APIG.3083", "The API is not deployed")
            )
        row.status, row.down = say.DEVELOPED, True
        return Done(Answer(204), Effect.DOWN)

    def _deploy(self, row: Backend, body: bytes, now: float) -> Done:
        try:
            wish = msgspec.json.decode(body or b"{}", type=_Deploy)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Done(say.unreadable())
        lacking = [
            name for name in ("auth_type", "group_id", "env_id", "protocol") if not getattr(wish, name)
        ]
        if wish.deploy_front_api and lacking:
            return Done(say.invalid(lacking[0]))
        if wish.roma_app_id not in (None, say.APPLICATION):
            return Done(self.error(409))
        row.status, row.down, row.edited = say.DEPLOYED, False, False
        row.deployments = (*row.deployments, now)
        return Done(json_answer(200, self._record(row, len(row.deployments))), Effect.UP)

    def _show(self, row: Backend, now: float) -> Done:
        return Done(json_answer(200, self._definition(row, now)))

    def _definition(self, row: Backend, now: float) -> dict[str, object]:
        still = row.down and now < row.down_at + self._seed.lag
        status = say.DEPLOYED if still else row.status
        return say.definition(row, _own_id(row), self._seed.instance_id, status=status, edited=row.edited)

    def _history(self, row: Backend, key: str) -> Done:
        records = [self._record(row, number) for number in range(len(row.deployments), 0, -1)]
        return Done(json_answer(200, {"size": len(records), "total": len(records), key: records}))

    def _record(self, row: Backend, number: int) -> dict[str, object]:
        self._fronts[say.front_id(row, number)] = _own_id(row)
        return say.deployment(row, _own_id(row), self._seed.instance_id, number)

    def _front(self, api_id: str) -> Done:
        row = self._backends.get(self._fronts.get(api_id, ""))
        # An undeploy deletes the front-end API, and the next deploy makes another one.
        if row is None or row.status != say.DEPLOYED or say.front_id(row) != api_id:
            return Done(say.no_such_front(api_id))
        return Done(json_answer(200, say.front(row, _own_id(row))))

    def _list(self, query: str, now: float) -> Done:
        asked = {key: values[-1] for key, values in parse_qs(query).items()}
        try:
            offset, limit = max(0, int(asked.get("offset", 0))), int(asked.get("limit", 20))
        except ValueError:
            return Done(say.invalid("offset"))
        if not 1 <= limit <= 500:
            return Done(say.invalid("limit"))
        found = [row for row in self._backends.values() if not row.deleted and _matches(row, asked)]
        page = [self._definition(row, now) for row in found[offset : offset + limit]]
        total = len(found) + self._seed.miscount
        self._pages += 1
        if found and self._pages <= self._seed.shifts:
            found[0].deleted = True
        return Done(json_answer(200, {"size": len(page), "total": total, "apis": page}))


def _own_id(row: Backend) -> str:
    return row.id.rpartition("/")[2]


def _matches(row: Backend, asked: Mapping[str, str]) -> bool:
    if asked.get("status", str(row.status)) != str(row.status):
        return False
    if (name := asked.get("name")) is None:
        return True
    return row.name == name if "name" in asked.get("precise_search", "").split(",") else name in row.name


def _on(do: _Do, row: Backend) -> Perform:
    return lambda now, _twist: do(row, now)
