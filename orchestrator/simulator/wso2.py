"""A WSO2 API Manager: its Publisher API, as far as deployments of revisions are concerned.

After the sources that docs/gateways/wso2.md names. Where the vendor's page and the vendor's code differ, the
fixture says which of the two speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from orchestrator.model.reading import Act
from orchestrator.model.target_id import join_id
from orchestrator.simulator.bearer_gate import BearerGate
from orchestrator.simulator.exchange import (
    AccessDenial,
    CallResult,
    FaultKind,
    HttpAnswer,
    Perform,
    PlatformCall,
    ReceivedRequest,
    RequestEffect,
    SimulatedPlatform,
    SimulatedTarget,
    answer_always,
    html_page,
    json_answer,
)
from orchestrator.simulator.gateway_fixture import GatewayFixture
from orchestrator.simulator.pages import parse_query

Place = tuple[str, str, str]

_TEXTS = {
    400: "Bad Request",
    401: "",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    429: "Too Many Requests",
    500: "Internal server error",
}
_DESCRIPTIONS = {
    403: "You don't have permission to access the API",
    500: "The server encountered an internal error. Please contact administrator.",
}


class Wso2Fixture(GatewayFixture, frozen=True, kw_only=True, omit_defaults=True, tag="wso2"):
    """A WSO2 API Manager; targets are (api, revision, environment).

    ``replies``: whether an undeploy answers with what is left of a revision's deployments, as the vendor's
    code does, or with what was undeployed, as its page says; or with a 200 without a body. ``unknown``: the
    list of revisions of an unknown API is empty, or a 404. ``gone``: the code of a missing API. ``approval``:
    deploys wait for an administrator. ``environments``: further gateway environments, beside those of the
    targets. ``deploy_status``: that of a deploy, by the vendor's page 200, by its code 201. ``lists_counts``:
    whether deployments tell how many gateways serve them. ``lag``: seconds after an undeploy in which the
    list of revisions still shows it.
    """

    targets: tuple[Place, ...] = ()
    down: tuple[Place, ...] = ()
    edited: tuple[Place, ...] = ()
    api_versions: tuple[Literal["v2", "v3", "v4"], ...] = ("v4", "v3", "v2")
    replies: Literal["left", "undeployed", "nothing"] = "left"
    unknown: Literal["empty", "404"] = "empty"
    gone: Literal[900308, 900301, 404] = 900308
    approval: bool = False
    deploy_status: Literal[200, 201] = 201
    environments: tuple[str, ...] = ()
    lists_counts: bool = False
    vhost: str = "gw.example.com"
    lag: Annotated[float, Meta(ge=0)] = 0.0

    def make_platform(self, now: float) -> SimulatedPlatform:
        """Return the control plane."""
        return SimulatedWso2(self, now)


class SimulatedRevision(SimulatedTarget):
    """One revision in one environment."""

    place: Place = ("", "", "")
    since: float = 0.0
    vhost: str = ""
    on_devportal: bool = True
    is_waiting: bool = False
    """Its deploy waits for an approval."""

    def describe(self, *, counts: bool) -> dict[str, object]:
        """Return the document of this deployment."""
        told: dict[str, object] = {
            "revisionUuid": self.place[1],
            "name": self.place[2],
            "status": "CREATED" if self.is_waiting else "APPROVED",
            "vhost": self.vhost,
            "displayOnDevportal": self.on_devportal,
            "deployedTime": str(round(self.since * 1000)),
            "successDeployedTime": str(round(self.since * 1000)),
        }
        gateways = {"liveGatewayCount": 2, "deployedGatewayCount": 2, "failedGatewayCount": 0}
        return told | gateways if counts else told


class _DeploymentWish(Struct):
    """One entry of the body of a deploy or an undeploy."""

    name: str
    vhost: str | None = None
    displayOnDevportal: bool = True  # noqa: N815 - the vendor's name


_Do = Callable[[Place, SimulatedRevision | None, _DeploymentWish, float, FaultKind | None], CallResult]


class SimulatedWso2:
    """One control plane: its state and its answers."""

    TWISTS: ClassVar[frozenset[FaultKind]] = frozenset(
        (FaultKind.INNER_FALSE, FaultKind.NO_RESULT, FaultKind.QUOTED)
    )

    def __init__(self, fixture: Wso2Fixture, now: float) -> None:
        """Build the state that a fixture describes; ``now`` is the Unix time of its deployments."""
        self._fixture = fixture
        self.gate = BearerGate(fixture)
        self._rows: dict[Place, SimulatedRevision] = {}
        for is_down, places in ((False, fixture.targets), (True, fixture.down)):
            for place in places:
                self._rows[place] = SimulatedRevision(
                    id=join_id(fixture.name, place), down=is_down, place=place, since=now, vhost=fixture.vhost
                )
        self._environments = {*fixture.environments, *(environment for _, _, environment in self._rows)}

    @property
    def rows(self) -> list[SimulatedRevision]:
        return list(self._rows.values())

    def answer_denied(self, objection: AccessDenial) -> HttpAnswer:  # noqa: ARG002 - the same for each cause
        return self.error(401, message="Unauthenticated request")

    def answer_busy(self, wait: int, rate: float) -> HttpAnswer:  # noqa: ARG002 - told nowhere
        told = self.error(429, "900802", "Message throttled out")
        asked = {"Retry-After": str(wait)} if wait else {}
        return HttpAnswer(told.status, told.body, {**told.headers, **asked})

    def answer_elsewhere(self) -> HttpAnswer:
        """Answer as the gateway does, to which the Publisher's paths mean nothing."""
        told = {"code": "404", "type": "Status report", "message": "Not Found"}
        return json_answer(404, told | {"description": "The requested resource is not available."})

    def error(self, status: int, code: str | None = None, message: str | None = None) -> HttpAnswer:
        number = int(code) if code and code.isdigit() else status
        told = {
            "code": number,
            "message": _TEXTS.get(status, "Error"),
            "description": message or _DESCRIPTIONS.get(status, _TEXTS.get(status, "Error")),
            "moreInfo": "",
            "error": [],
        }
        return json_answer(status, told)

    def route(self, asked: ReceivedRequest) -> PlatformCall:
        path, _, query = asked.raw_path.partition("?")
        segments = [unquote(segment) for segment in path.split("/")][1:]
        match segments:
            case ["api", "am", "publisher", version, "apis", api, *rest] if (
                version in self._fixture.api_versions
            ):
                return self._route_api(asked, api, rest, parse_query(query).get("revisionId", ""))
        return PlatformCall(perform=answer_always(html_page(404, "Error 404 - Not Found")))

    def _route_api(self, asked: ReceivedRequest, api: str, rest: list[str], revision: str) -> PlatformCall:
        match asked.method, rest:
            case "GET", []:
                return self._make_look(api, answer_always(self._show_api(api)))
            case "GET", ["revisions"]:
                return self._make_look(
                    api, lambda now, twist: CallResult(self._show_revisions(api, now, twist))
                )
            case "POST", ["undeploy-revision"]:
                return self._route_change(Act.UNDEPLOY, asked.body, api, revision, self._undeploy)
            case "POST", ["deploy-revision"]:
                return self._route_change(Act.DEPLOY, asked.body, api, revision, self._deploy)
        return PlatformCall(perform=answer_always(html_page(404, "Error 404 - Not Found")))

    def _make_look(self, api: str, perform: Perform) -> PlatformCall:
        """Return a read of a whole API, which counts as a look at its target if there is just one."""
        rows = self._list_rows(api)
        return PlatformCall(act=Act.LOOK, row=rows[0] if len(rows) == 1 else None, perform=perform)

    def _route_change(self, act: Act, body: bytes, api: str, revision: str, do: _Do) -> PlatformCall:
        try:
            (wish,) = msgspec.json.decode(body, type=list[_DeploymentWish])
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            unread = answer_always(self.error(400, message="Malformed request body."))
            return PlatformCall(act=act, perform=unread)
        place = (api, revision, wish.name)
        refused = self._refuse(api, revision, wish)
        row = self._rows.get(place)
        perform: Perform = (
            answer_always(refused)
            if refused is not None
            else lambda now, twist: do(place, row, wish, now, twist)
        )
        return PlatformCall(act=act, row=row, shares=api, perform=perform)

    def _refuse(self, api: str, revision: str, wish: _DeploymentWish) -> HttpAnswer | None:
        """Return the refusal of a change whose API, environment or revision does not exist, in that order."""
        rows = self._list_rows(api)
        if not rows:
            return self._word_missing_api(api)
        if wish.name not in self._environments:
            text = f"Gateway Environment with name 'name '{wish.name}'' not found"
            return self._word(400, 900504, "Invalid Gateway Environment", text)
        if revision not in {row.place[1] for row in rows}:
            text = f"Requested API Revision with id {revision} not found"
            return self._word(404, 900347, "API Revision Not Found", text)
        return None

    def _word(self, status: int, code: int, message: str, text: str) -> HttpAnswer:
        told = {"code": code, "message": message, "description": text, "moreInfo": "", "error": []}
        return json_answer(status, told)

    def _word_missing_api(self, api: str) -> HttpAnswer:
        if self._fixture.gone == 404:
            return self._word(404, 404, "Not Found", f"Requested API with Id '{api}' not found")
        return self._word(
            404, self._fixture.gone, "API Not Found", f"Requested API with id '{api}' not found"
        )

    def _list_rows(self, api: str) -> list[SimulatedRevision]:
        return [row for row in self._rows.values() if row.place[0] == api]

    def _show_api(self, api: str) -> HttpAnswer:
        if not self._list_rows(api):
            return self._word_missing_api(api)
        told = {"id": api, "name": f"api-{api[:8]}", "context": f"/{api[:8]}", "version": "1.0.0"}
        return json_answer(200, told | {"lifeCycleStatus": "PUBLISHED"})

    def _show_revisions(self, api: str, now: float, twist: FaultKind | None) -> HttpAnswer:
        rows = self._list_rows(api)
        if not rows and self._fixture.unknown == "404":
            return self._word_missing_api(api)
        known = dict.fromkeys(row.place[1] for row in rows)
        listed = [self._describe_revision(api, number, one, now) for number, one in enumerate(known, start=1)]
        count: object = str(len(listed)) if twist is FaultKind.QUOTED else len(listed)
        return json_answer(200, {"count": count, "list": listed})

    def _describe_revision(self, api: str, number: int, revision: str, now: float) -> dict[str, object]:
        return {
            "displayName": f"Revision {number}",
            "id": revision,
            "description": "",
            "createdTime": "1637565000000",
            "apiInfo": {"id": api},
            "deploymentInfo": list(self._list_deployments(api, revision, now)),
        }

    def _list_deployments(self, api: str, revision: str, now: float) -> Iterator[dict[str, object]]:
        for row in self._list_rows(api):
            lags = row.down and row.down_by > 0 and now < row.down_at + self._fixture.lag
            if row.place[1] == revision and (not row.down or row.is_waiting or lags):
                yield row.describe(counts=self._fixture.lists_counts)

    def _undeploy(
        self,
        place: Place,
        row: SimulatedRevision | None,
        wish: _DeploymentWish,  # noqa: ARG002 - an undeploy needs the name alone
        now: float,  # noqa: ARG002 - whoever takes the answer notes the time
        twist: FaultKind | None,
    ) -> CallResult:
        before = [] if row is None or row.down else [row.describe(counts=False)]
        effect = RequestEffect.NONE
        if row is not None and twist is not FaultKind.INNER_FALSE:
            effect = RequestEffect.DOWN if before else RequestEffect.NONE
            row.down, row.is_waiting = True, False
        if twist is FaultKind.NO_RESULT or self._fixture.replies == "nothing":
            return CallResult(HttpAnswer(201 if twist is FaultKind.NO_RESULT else 200), effect)
        told = before if self._fixture.replies == "undeployed" else list(self._list_left(place))
        return CallResult(json_answer(201, told), effect)

    def _list_left(self, place: Place) -> Iterator[dict[str, object]]:
        for row in self._list_rows(place[0]):
            if row.place[1] == place[1] and not row.down:
                yield row.describe(counts=False)

    def _deploy(
        self,
        place: Place,
        row: SimulatedRevision | None,
        wish: _DeploymentWish,
        now: float,
        twist: FaultKind | None,
    ) -> CallResult:
        if not wish.vhost:
            text = "Gateway Environment VHOST name not provided"
            name = "Gateway Environment virtual hosts name not provided"
            return CallResult(self._word(400, 900511, name, text))
        if row is None:
            row = SimulatedRevision(id=join_id(self._fixture.name, place), down=True, place=place)
            self._rows[place] = row
        row.vhost, row.on_devportal, row.since = wish.vhost, wish.displayOnDevportal, now
        row.is_waiting = self._fixture.approval and row.down
        effect = RequestEffect.NONE
        if twist is not FaultKind.INNER_FALSE and not row.is_waiting:
            effect = RequestEffect.UP
            self._replace_others(row)
        if twist is FaultKind.NO_RESULT:
            return CallResult(HttpAnswer(201), effect)
        told = [row.describe(counts=False)] if effect is RequestEffect.UP or row.is_waiting else []
        return CallResult(json_answer(self._fixture.deploy_status, told), effect)

    def _replace_others(self, row: SimulatedRevision) -> None:
        """Take up a revision; an environment serves one revision of an API."""
        for other in self._list_rows(row.place[0]):
            if other.place[2] == row.place[2]:
                other.down = other is not row
