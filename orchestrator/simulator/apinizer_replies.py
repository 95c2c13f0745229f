"""The documents of an Apinizer manager: its lists, and the reads of one deployment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b

from msgspec import Struct

from orchestrator.simulator.exchange import (
    FaultKind,
    HttpAnswer,
    SimulatedTarget,
    html_page,
    json_answer,
)

JSON = "application/json;charset=UTF-8"
CONTEXT = "/"
ACCESS_URL = "https://gateway.example.com"


class HistoryRecord(Struct, frozen=True):
    """One line of a proxy's deployment history."""

    revision: int
    at: float
    environment: str
    deploy: bool
    description: str
    persistent: bool


class SimulatedDeployment(SimulatedTarget):
    """One proxy in one environment. ``recorded``: the manager calls it deployed; ``serving``: how many pods
    do.

    ``revision`` and ``since`` are those of the last deploy, ``edited`` is true if the definition changed
    after. ``formerly`` is what the manager called it until ``changed``, a Unix time.
    """

    environment: str = ""
    recorded: bool = True
    serving: int = 0
    revision: int | None = None
    since: float = 0.0
    edited: bool = False
    formerly: bool = False
    changed: float = 0.0

    def keep_record(self, recorded: bool, now: float) -> None:
        """Have the manager call it deployed from ``now`` on, or undeployed."""
        self.formerly, self.changed, self.recorded = self.recorded, now, recorded

    def recall(self, at: float) -> bool:
        """Return what the manager called it at a Unix time, as far back as the newest change."""
        return self.recorded if at >= self.changed else self.formerly


def unknown_route() -> HttpAnswer:
    """Answer as the server in front of the manager, which knows no envelope."""
    return html_page(404, "HTTP Status 404 - Not Found")


def wrap_list(rows: Iterable[object], *, withheld: int = 0) -> HttpAnswer:
    """Put rows into the list envelope; ``withheld`` more are counted and not sent."""
    found = list(rows)
    count = len(found) + withheld
    return json_answer(200, {"status": "SUCCESS", "resultList": found, "resultCount": count}, JSON)


def wrap_access(rows: Iterable[object]) -> HttpAnswer:
    """Put rows into the envelope of the report of access."""
    return json_answer(200, {"status": "SUCCESS", "result": {"apiAccessList": list(rows)}}, JSON)


def pod_name(index: int) -> str:
    return f"apinizer-worker-{index + 1}"


def pod_ip(index: int) -> str:
    return f"10.0.{index // 200}.{11 + index % 200}"


def format_time(seconds: float) -> str:
    """Write a Unix time as the vendor writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def deploy_status(row: SimulatedDeployment) -> HttpAnswer:
    # Time and revision are null where the proxy was never deployed to the environment.
    ever = row.revision is not None
    state = {
        "deployed": row.recorded,
        "lastDeployTime": format_time(row.since) if ever else None,
        "revision": row.revision,
        "redeployRequired": row.edited,
    }
    return wrap_list([state])


def never_there(environment: str) -> SimulatedDeployment:
    """Return the state of a proxy in an environment to which it was never deployed."""
    return SimulatedDeployment(id="", environment=environment, recorded=False, down=True)


def route_health(
    row: SimulatedDeployment,
    path: str,
    pods: int,
    twist: FaultKind | None,
    *,
    not_loaded: bool,
    tells_record: bool,
) -> HttpAnswer:
    """Tell the state of each pod. The last ``serving`` pods serve, and the last one is hard to reach.

    A ``twist`` says that no pod could be reached, or that the last one could not. ``tells_record``: whether
    the answer says what the manager has on record.
    """
    serves = [index >= pods - row.serving for index in range(pods)]
    reached = {FaultKind.NO_PODS: 0, FaultKind.POD_UNREACHED: pods - 1, FaultKind.POD_SILENT: pods - 1}
    active = serves[: reached.get(twist, pods) if twist else pods]
    # A pod with a failure of the network counts as one that has answered, as the vendor documents.
    lost = [_lost_pod(pods - 1)] if twist is FaultKind.POD_UNREACHED else []
    everywhere = bool(active) and all(active) and not lost
    # The vendor documents false where no pod could be reached.
    is_inconsistent = bool(active) and row.recorded != everywhere
    record = {"deployedInManager": row.recorded, "inconsistent": is_inconsistent} if tells_record else {}
    state = {
        # One pod that does not serve makes this false, as the vendor documents.
        "routeActive": everywhere,
        **_describe_path(path, on=any(active)),
        "apinizerRootContext": CONTEXT,
        "podsResponded": len(active) + len(lost),
        "podsActive": sum(active),
        **record,
        "pods": [_pod(index, path, on=on, not_loaded=not_loaded) for index, on in enumerate(active)] + lost,
    }
    return wrap_list([state])


def _describe_path(path: str, *, on: bool) -> dict[str, object]:
    return {"servedPath": path if on else None, "methods": ["GET", "POST"] if on else []}


def _pod(index: int, path: str, *, on: bool, not_loaded: bool) -> dict[str, object]:
    error = {"error": "API Proxy is not loaded"} if not_loaded and not on else {}
    place = {"workerPodIp": pod_ip(index), "apinizerRootContext": CONTEXT}
    return {"routeActive": on, **_describe_path(path, on=on), **place, **error}


def _lost_pod(index: int) -> dict[str, object]:
    """Return a pod that the manager could not reach: whether it serves, nobody knows."""
    return _pod(index, "", on=False, not_loaded=False) | {
        "error": f"Connection refused ({pod_ip(index)}:8091)"
    }


def history_line(record: HistoryRecord) -> dict[str, object]:
    return {
        "revision": record.revision,
        "username": "apiops",
        "deploymentTime": format_time(record.at),
        "description": record.description,
        "environment": record.environment,
        "deploy": record.deploy,
        "persistent": record.persistent,
        "backendApiVersion": "1.0",
    }


def proxy_line(name: str, kind: str, path: str) -> dict[str, object]:
    """One proxy as the list of its project has it, which says nothing of deployments."""
    return {"name": name, "type": kind, "description": "", "relativePath": path, "soapToRest": False}


def make_proxy_id(project: str, name: str) -> str:
    """Return the id of a proxy, by which a group names its members."""
    return blake2b(f"{project}/{name}".encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def group_line(project: str, name: str) -> dict[str, object]:
    """Return one group of proxies as the list of its project has it: without its members."""
    return {"id": make_proxy_id(project, f"group {name}"), "name": name, "description": ""}


def group_place(row: SimulatedDeployment) -> dict[str, object]:
    """Return an environment as the list of a group's deployments has it."""
    state = {"deployed": row.recorded, "redeployRequired": row.edited}
    return {**environment(row.environment), **state}


def access_line(project: str, name: str, sharing: str, callers: Iterable[str]) -> dict[str, object]:
    """Return those who may call one proxy, as the report of access has them."""
    credentials = [
        {
            "username": each,
            "email": f"{each}@example.com",
            "description": "",
            "organization": {"name": f"organization of {each}"},
        }
        for each in callers
    ]
    methods = [{"name": "/", "httpMethod": "GET", "credentialList": credentials}]
    return {"name": name, "projectName": project, "sharingType": sharing, "methodList": methods}


class ReportEntry(Struct, frozen=True, kw_only=True):
    """A proxy, or a group of proxies, as the administrator's report names it, without its endpoints.

    ``at`` is the Unix time whose state is told. ``disputed``: the entry as a whole says the opposite of what
    it says of its environments. ``padding`` is the number of bytes of its description.
    """

    project: str
    name: str
    type: str
    rows: tuple[SimulatedDeployment, ...]
    at: float
    group: bool = False
    disputed: bool = False
    padding: int = 0
    members: tuple[str, ...] = ()
    """The ids of a group's members."""
    proxy_id: str | None = None


def report_line(entry: ReportEntry) -> dict[str, object]:
    places = [
        {
            "environmentName": row.environment,
            "accessUrl": ACCESS_URL,
            "deployed": row.recall(entry.at),
            "redeployRequired": row.edited,
        }
        for row in entry.rows
    ]
    anywhere = any(place["deployed"] for place in places)
    members = {"apiIdListOfApiGroup": entry.members} if entry.group else {}
    own = {} if entry.proxy_id is None else {"id": entry.proxy_id}
    return {
        **own,
        "apiName": entry.name,
        "description": "x" * entry.padding,
        "apiType": entry.type,
        "projectName": entry.project,
        "apiGroup": entry.group,
        "deployed": anywhere is not entry.disputed,
        "environmentList": places,
        "apiUrlList": [f"{ACCESS_URL}/{entry.name}"],
        "apiCategories": [],
        "authenticationExist": True,
        "authenticationTypeList": ["API_AUTHENTICATION"],
        "rateLimitExist": False,
        **members,
    }


def proxy_details(
    name: str, kind: str, path: str, rows: Iterable[SimulatedDeployment], *, deployments: bool
) -> dict[str, object]:
    placed = [
        {"environmentName": row.environment, "deployed": row.recorded, "redeployRequired": row.edited}
        for row in rows
    ]
    return {
        "name": name,
        "type": kind,
        "description": "",
        "relativePath": path,
        **({"deploymentList": placed} if deployments else {}),
    }


def environment(name: str, kind: str | None = None) -> dict[str, object]:
    return {
        "id": name,
        "name": name,
        "description": "",
        "type": kind or ("PRODUCTION" if name == "production" else "TEST"),
        "accessUrl": ACCESS_URL,
        "status": "PUBLISHED",
    }


def environment_of_project(name: str, kind: str | None = None) -> dict[str, object]:
    """Return an environment as a project's list has it, which does not say what is deployed there."""
    return {**environment(name, kind), "deployed": None, "redeployRequired": None}


def project(name: str) -> dict[str, object]:
    return {
        "id": name,
        "name": name,
        "description": "",
        "relativePath": "",
        "enableRelativePath": False,
        "tags": [],
    }
