"""The documents of ROMA Connect, and its errors in its own envelope and words.

Field names and texts follow the vendor's reference for backend APIs; values are made up and stay the same for
the same backend API.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from types import MappingProxyType

import msgspec

from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.exchange import (
    AccessDenial,
    DenialReason,
    HttpAnswer,
    SimulatedTarget,
    json_answer,
)
from orchestrator.simulator.iam import format_time as ended_at
from orchestrator.simulator.roma_bindings import SimulatedBindings
from orchestrator.simulator.roma_fixture import BackendFixture, ErrorForm

APPLICATION = "6f0a3d0f-0000-4000-8000-51a6c0ffee01"
GROUP = "30d7d4c41a1d4b0e8d5f51a6c0ffee02"
ENVIRONMENT = "DEFAULT_ENVIRONMENT_RELEASE_ID"
EDITED_AFTER = 60.0
"""Seconds from the newest deployment until a definition was edited."""
DEVELOPED = 3
DEPLOYED = 4
SECOND = 10**6
"""In place of the number of a deployment: makes up the id of a second front-end API."""
SECOND_WORD = "second front-end API, "
"""Begins the words of what hangs on a second front-end API."""

_GATEWAY_REQUEST = "51a6c0ffee51a6c0ffee51a6c0ffee51"
_USUAL: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("APIG.2012", "Invalid parameter value. Please refer to the support documentation"),
        401: ("APIG.1002", "Incorrect token or token resolution failed"),
        403: ("APIG.1005", "No permissions to request this method"),
        404: ("APIGW.0103", "The backend service is not found"),
        408: ("APIG.9999", "Request timed out"),
        409: ("APIG.3479", "The deploy application differs from the application of the backend"),
        413: ("APIGW.0201", "Request entity too large"),
        429: ("APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit"),
        500: ("APIG.9999", "System error"),
        502: ("APIGW.0201", "Backend unavailable"),
        503: ("APIG.9999", "Service unavailable"),
        504: ("APIGW.0201", "Backend timeout"),
    }
)


class SimulatedBackend(SimulatedTarget):
    """One backend API. ``deployments`` are the times of its deployments, oldest first.

    ``environments`` are those in which its newest front-end API is published; empty: it has none.
    """

    status: int = DEPLOYED
    edited: bool = False
    """Whether its definition was changed after the last deployment."""
    deployments: tuple[float, ...] = ()
    environments: tuple[str, ...] = (ENVIRONMENT,)
    script_bytes: int = 0
    about: BackendFixture = BackendFixture()
    deleted: bool = False
    """Whether it was deleted while the list was read, and exists no more."""
    has_second_front: bool = False
    """Whether another front-end API names it as well; no deploy brings that one back."""
    bindings: SimulatedBindings | None = None
    """What hangs on all front-end APIs."""
    start: tuple[str, ...] = ()
    """The environments in which its front-end API was published at first."""
    bound: tuple[BoundFixture, ...] = ()
    """What hung on its front-end API at first."""

    @property
    def published(self) -> tuple[str, ...]:
        """The environments of its front-end API; none while it is down."""
        return self.environments if self.status == DEPLOYED else ()

    @property
    def first_published(self) -> tuple[str, ...]:
        """The environments in which its front-end API was published at first."""
        return self.start

    @property
    def hanging(self) -> tuple[str, ...]:
        """What hangs on its front-end APIs, each in words; a second one's with that word before."""
        if self.bindings is None:
            return ()
        of_fronts = zip(("", SECOND_WORD), list_front_ids(self), strict=False)
        return tuple(
            f"{word}{each.what.describe(each.environment)}"
            for word, front in of_fronts
            for each in self.bindings.list_of_front(front)
        )

    @property
    def hung(self) -> tuple[str, ...]:
        """What hung on its front-end APIs at first."""
        own = list_places(self.bound, self.start)
        second = list_places(self.about.second_bound, self.start if self.about.second_front else ())
        return (
            *(what.describe(place) for what, place in own),
            *(f"{SECOND_WORD}{what.describe(place)}" for what, place in second),
        )

    @property
    def name(self) -> str:
        """The name, given or made up."""
        own = self.id.rpartition("/")[2]
        return f"backend_{own[:8]}" if self.about.name is None else self.about.name


def list_places(
    bound: Iterable[BoundFixture], environments: Collection[str]
) -> Iterator[tuple[BoundFixture, str]]:
    """Yield each thing with each environment in which it hangs on a front-end API that is published there."""
    for what in bound:
        for environment in environments if what.environments is None else what.environments:
            if environment in environments:
                yield what, environment


def error(status: int, code: str, message: str) -> HttpAnswer:
    """Word an error in the service's envelope; an error of the cloud's own gateway has a request id, too."""
    body = {"error_code": code, "error_msg": message}
    if code.startswith("APIGW."):
        body["request_id"] = _GATEWAY_REQUEST
    return json_answer(status, body)


def usual_error(status: int, code: str | None, message: str | None) -> HttpAnswer:
    """Word an error; a code or message of None becomes the one that belongs to the status."""
    usual = _USUAL.get(status, ("APIG.9999" if status >= 500 else "APIG.2000", "Request not accepted"))
    return error(status, code or usual[0], message or usual[1])


def no_such_route() -> HttpAnswer:
    return error(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def no_such_instance(instance: str) -> HttpAnswer:
    return error(404, "APIG.3030", f"The instance does not exist;id:{instance}")


def no_such_backend(ld_api_id: str) -> HttpAnswer:
    return error(404, "APIG.3084", f"The livedata API does not exist, id: {ld_api_id}")


def no_such_front(api_id: str) -> HttpAnswer:
    # The reference prints no code for this one; 3002 is that of an API elsewhere in the same family.
    return error(404, "APIG.3002", f"The API does not exist,id:{api_id}")


def no_such_environment(env_id: str) -> HttpAnswer:
    return error(404, "APIG.3003", f"Environment {env_id} does not exist")


def describe_publication(row: SimulatedBackend, api_id: str, env_id: str, now: float) -> dict[str, object]:
    """Return the record of a publication."""
    return {
        "publish_id": make_publish_id(api_id, env_id),
        "api_id": api_id,
        "api_name": f"front_{row.id.rpartition('/')[2][:8]}",
        "env_id": env_id,
        "remark": "",
        "publish_time": format_time(now),
        "version_id": _make_up(f"version {env_id}", row, len(row.deployments)),
    }


def invalid(parameter: str) -> HttpAnswer:
    text = f"Invalid parameter value,parameterName:{parameter}. Please refer to the support documentation"
    return error(400, "APIG.2011", text)


def unreadable() -> HttpAnswer:
    return error(400, "APIG.2000", "The request body could not be parsed")


def answer_denied(objection: AccessDenial, status: int = 401) -> HttpAnswer:
    """Word a denial: of a token with this status. The words of CLOCK and SECURITY_TOKEN are made up."""
    if status != 401 and not objection.concerns_signature:
        is_missing = objection.why is DenialReason.MISSING
        return error(status, *(("ROMA.1000", "no token") if is_missing else ("ROMA.1002", "bad token")))
    texts = {
        DenialReason.MISSING: "x-auth-token not found",
        DenialReason.EXPIRED: f"token expires, expires_at: {ended_at(objection.until)}",
        DenialReason.NO_KEY: f"ak {objection.key} not exist",
        DenialReason.SIGNATURE: "verify aksk signature fail",
        DenialReason.SECURITY_TOKEN: (
            "verify aksk signature fail, the security token is not the one of this ak"
        ),
        DenialReason.CLOCK: "verify aksk signature fail, the signing time differs by more than 15 minutes",
        DenialReason.LOCKED: "AK access failed to reach the limit,forbidden",
    }
    if objection.why not in texts:
        return error(401, *_USUAL[401])
    return error(401, "APIGW.0301", f"Incorrect IAM authentication information: {texts[objection.why]}")


def reword_error(answer: HttpAnswer, form: ErrorForm) -> HttpAnswer:
    """Return an error in another form that the vendor's own client takes; other answers as they are."""
    if answer.status < 400 or form == "documented":
        return answer
    told = msgspec.json.decode(answer.body)
    if form == "nested":
        told = {"error": told}
    else:
        code, message = ("errorCode", "errorMsg") if form == "camel" else ("code", "message")
        names = {"error_code": code, "error_msg": message}
        told = {names.get(key, key): text for key, text in told.items()}
    return HttpAnswer(answer.status, msgspec.json.encode(told), answer.headers)


def answer_busy(wait: int, rate: float, status: int = 429, code: str = "APIGW.0308") -> HttpAnswer:
    limit = f"limit:{max(1, round(rate * 60))},time:1 minute"
    text = f"The throttling threshold has been reached: policy user over ratelimit,{limit}"
    answer = error(status, code, text)
    return HttpAnswer(
        answer.status, answer.body, {**answer.headers, **({"Retry-After": str(wait)} if wait else {})}
    )


def format_time(seconds: float) -> str:
    """Write a Unix time as the vendor writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def front_id(row: SimulatedBackend, number: int = 0) -> str:
    """The id of the front-end API of a deployment, counted from 1 (0: the newest); each makes a new one."""
    return _make_up("front", row, number or len(row.deployments))


def _make_up(what: str, row: SimulatedBackend, number: int) -> str:
    return blake2b(f"{what}/{row.id}/{number}".encode(), digest_size=16).hexdigest()


def definition(
    row: SimulatedBackend, ld_api_id: str, instance: str, *, status: int, edited: bool = False
) -> dict[str, object]:
    """Return an LdApiInfo; ``edited``: with a change that was not deployed."""
    about = row.about
    created = format_time(row.deployments[0])
    return {
        "id": ld_api_id,
        "name": row.name,
        "path": f"/backends/{ld_api_id}" if about.path is None else about.path,
        "method": "GET",
        "description": "changed, and not deployed" if edited else "",
        "version": "1",
        "content_type": "json",
        "roma_app_id": about.application_id or APPLICATION,
        "roma_app_name": "simulated" if about.application is None else about.application,
        "return_format": False,
        "parameters": [],
        "instance": instance,
        "type": about.type,
        "status": status if about.status is None else about.status,
        "created_time": created,
        "modified_time": about.modified or format_time(row.deployments[-1] + (EDITED_AFTER if edited else 0)),
        "scripts": _list_scripts(row),
    }


def _list_scripts(row: SimulatedBackend) -> list[dict[str, object]]:
    return [{"type": "SQL", "content": "Y" * row.script_bytes}] if row.script_bytes else []


def deployment(row: SimulatedBackend, ld_api_id: str, instance: str, number: int) -> dict[str, object]:
    """Return the record of a deployment, counted from 1."""
    return {
        "id": _make_up("deployment", row, number),
        "ld_api_id": ld_api_id,
        "group_id": GROUP,
        "env_id": next(iter(row.environments), ENVIRONMENT),
        "api_id": front_id(row, number) if row.environments or number < len(row.deployments) else "",
        "deploy_time": format_time(row.deployments[number - 1]),
        "api_definition": definition(row, ld_api_id, instance, status=DEPLOYED),
    }


def list_front_ids(row: SimulatedBackend) -> list[str]:
    """Return the ids of the front-end APIs that are published for a backend API now."""
    return [front_id(row), front_id(row, SECOND)][: count_fronts(row)]


def count_fronts(row: SimulatedBackend) -> int:
    """Count the front-end APIs that are published for a backend API now."""
    return 1 + row.has_second_front if row.status == DEPLOYED and row.environments else 0


def list_fronts(row: SimulatedBackend, ld_api_id: str) -> list[dict[str, object]]:
    """Return the front-end APIs that are published for a backend API now: none, one or two."""
    return [show_front_of(row, ld_api_id, index) for index in range(count_fronts(row))]


def show_front_of(row: SimulatedBackend, ld_api_id: str, index: int) -> dict[str, object]:
    """Return the newest front-end API of a backend API (index 0), or its second one (1), as lists show it."""
    fields = front(row, ld_api_id)
    if index == 0:
        return fields
    second = front_id(row, SECOND)
    return {
        **fields,
        "id": second,
        "name": f"second_{ld_api_id[:8]}",
        "req_uri": f"/second/{ld_api_id}",
        "publish_id": "|".join(make_publish_id(second, each) for each in row.environments),
    }


def front(row: SimulatedBackend, ld_api_id: str) -> dict[str, object]:
    """Return the front-end API that the newest deployment published, as a list and a single read show it."""
    published = row.about.published or format_time(row.deployments[-1])
    return {
        "id": front_id(row),
        "name": f"front_{ld_api_id[:8]}",
        "ld_api_id": ld_api_id,
        "status": 1,
        "group_id": GROUP,
        "group_name": "simulated",
        **_join_environments(row, published),
        "req_protocol": "HTTPS",
        "req_method": "GET",
        "req_uri": f"/backends/{ld_api_id}",
        "auth_type": row.about.auth_type,
        "auth_opt": {"app_code_auth_type": "DISABLE"},
        "authorizer_id": "",
        "cors": False,
        "match_mode": "NORMAL",
        "backend_type": "HTTP",
        "roma_app_id": APPLICATION,
        "req_params": [],
    }


def _join_environments(row: SimulatedBackend, published: str) -> dict[str, str]:
    """Return the fields in which the vendor joins several environments by a bar."""
    own = front_id(row)
    each = [
        (name, name_environment(name), make_publish_id(own, name), published) for name in row.environments
    ]
    fields = ("run_env_id", "run_env_name", "publish_id", "publish_time")
    return {field: "|".join(texts) for field, texts in zip(fields, zip(*each, strict=True), strict=True)}


def make_publish_id(front: str, environment: str) -> str:
    """Return the id of the publication of a front-end API in an environment."""
    mark = "" if environment == ENVIRONMENT else blake2b(environment.encode(), digest_size=4).hexdigest()
    return f"{front[::-1]}{mark}"


def name_environment(name: str) -> str:
    """Return the name of the environment with an id."""
    return "RELEASE" if name == ENVIRONMENT else name.upper()


def show_front(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a front-end API as its single read shows it, which has more than the list."""
    return {**fields, "backend_params": []}
