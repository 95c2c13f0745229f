"""How an Apinizer manager words results and refusals: both success bodies, both error envelopes.

Shape A and the old errors follow the page of the undeploy call, shape B and the new errors the vendor's
OpenAPI file and its pages on proxy groups.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from orchestrator.simulator.apinizer_replies import JSON, Deployment, pod_ip, pod_name
from orchestrator.simulator.exchange import Answer, Kind, Objection, Why, json_answer

_CODES = {
    400: "bad_request",
    401: "unauthorized_client",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    429: "rate_limit_exceeded",
    500: "server_error",
}
_TEXTS = {
    401: "Invalid token",
    403: "User does not have required permission to deploy/undeploy API Proxy!",
    429: "Rate limit exceeded",
}
_DENIALS = {
    Why.MISSING: "Empty Key! Client must be authenticated to access this resource.",
    Why.WRONG: "Token is not valid!",
    Why.EXPIRED: "Token was expired!",
}


class Words(Struct, frozen=True):
    """One installation's way to say things."""

    shape: Literal["a", "b"]
    errors: Literal["old", "new"]

    def error(self, status: int, message: str | None = None, code: str | None = None) -> Answer:
        return json_answer(status, self._envelope(status, message or _TEXTS.get(status, "Error"), code), JSON)

    def _envelope(self, status: int, message: str, code: str | None) -> dict[str, object]:
        if self.errors == "new":
            return {"status": "FAILURE", "resultMessage": message}
        return {"error": code or _CODES.get(status, _CODES[500]), "error_description": message}

    def denied(self, objection: Objection) -> Answer:
        why = objection.why
        return self.error(401, _TEXTS[401] if self.errors == "old" and why is Why.WRONG else _DENIALS[why])

    def busy(self, wait: int) -> Answer:
        """A refusal for haste; the old pages put the seconds into the body."""
        body = self._envelope(429, _TEXTS[429], None)
        if not wait:
            return json_answer(429, body, JSON)
        answer = json_answer(429, body | {"retry_after": wait}, JSON)
        return Answer(429, answer.body, {**answer.headers, "Retry-After": str(wait)})

    def acted(self, verb: str, row: Deployment, reached: list[bool], twist: Kind | None) -> Answer:
        """The result of a deploy or an undeploy; ``reached`` says for each pod whether it obeyed."""
        if self.shape == "a":
            body: dict[str, object] = {"success": True, "deploymentResult": self._rows_a(verb, row, reached)}
        else:
            body = {"status": "SUCCESS", "resultCount": 1, "deploymentResult": self._rows_b(row, reached)}
        return _twisted(body, twist, self)

    def _rows_a(self, verb: str, row: Deployment, reached: list[bool]) -> dict[str, object]:
        done = all(reached)
        text = f"{verb} successful" if done else f"{verb} failed on {_names(reached)}: Connection refused"
        rows = [{"environmentName": row.environment, "success": done, "message": text}]
        return {"success": done, "deploymentResults": rows}

    def _rows_b(self, row: Deployment, reached: list[bool]) -> dict[str, object]:
        rows = [
            {
                "success": done,
                "responseTime": 12 + index,
                **({} if done else {"detail": "Connection refused"}),
                "envName": row.environment,
                "podName": pod_name(index),
                "podIp": pod_ip(index),
            }
            for index, done in enumerate(reached)
        ]
        return {"success": all(reached), "responseTime": 12 + len(reached), "detailList": rows}


def _twisted(body: dict[str, object], twist: Kind | None, words: Words) -> Answer:
    result = body["deploymentResult"]
    if twist is Kind.NO_RESULT:
        del body["deploymentResult"]
    elif twist is Kind.EMPTY_ROWS and isinstance(result, dict):
        result.update({key: [] for key in ("deploymentResults", "detailList") if key in result})
    elif twist is Kind.REFUSED_WITH_RESULT:
        outside = {"success": False} if "success" in body else {"status": "FAILURE"}
        told = msgspec.json.decode(words.error(400, "Undeployment failed").body)
        return json_answer(400, {**outside, "deploymentResult": result, **told}, JSON)
    return json_answer(200, body, JSON)


def quoted(answer: Answer) -> Answer:
    """The same answer with its booleans in quotes."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer
    return Answer(
        answer.status, msgspec.json.encode(_in_quotes(msgspec.json.decode(answer.body))), answer.headers
    )


def _in_quotes(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: _in_quotes(one) for key, one in value.items()}
    return [_in_quotes(one) for one in value] if isinstance(value, list) else value


def _names(reached: list[bool]) -> str:
    return ", ".join(f"{pod_name(index)} ({pod_ip(index)})" for index, done in enumerate(reached) if not done)


def rolled_back(text: str) -> Answer:
    """A rollback says only this, also where the deploy that went with it failed."""
    return json_answer(200, {"status": "SUCCESS", "resultMessage": text}, JSON)
