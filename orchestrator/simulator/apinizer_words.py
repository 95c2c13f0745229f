"""The words of an Apinizer manager for results and refusals: both success bodies, both error envelopes.

Shape A and the old errors follow the page of the undeploy call, shape B and the new errors the vendor's
OpenAPI file and its pages on proxy groups.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from orchestrator.simulator.apinizer_replies import JSON, SimulatedDeployment, pod_ip, pod_name
from orchestrator.simulator.exchange import AccessDenial, DenialReason, FaultKind, HttpAnswer, json_answer

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
    DenialReason.MISSING: "Empty Key! Client must be authenticated to access this resource.",
    DenialReason.WRONG: "Token is not valid!",
    DenialReason.EXPIRED: "Token was expired!",
}


RowForm = Literal["pods", "environment", "nested"]
"""The rows of a result in shape B: its pods, its environment without them, or its pods within it."""


class ApinizerWording(Struct, frozen=True):
    """The words of one installation."""

    shape: Literal["a", "b"]
    errors: Literal["old", "new"]
    rows: RowForm = "pods"

    def error(self, status: int, message: str | None = None, code: str | None = None) -> HttpAnswer:
        return json_answer(status, self._envelope(status, message or _TEXTS.get(status, "Error"), code), JSON)

    def _envelope(self, status: int, message: str, code: str | None) -> dict[str, object]:
        if self.errors == "new":
            return {"status": "FAILURE", "resultMessage": message}
        return {"error": code or _CODES.get(status, _CODES[500]), "error_description": message}

    def answer_denied(self, objection: AccessDenial, status: int = 401) -> HttpAnswer:
        why = objection.why
        return self.error(
            status, _TEXTS[401] if self.errors == "old" and why is DenialReason.WRONG else _DENIALS[why]
        )

    def answer_busy(self, wait: int, status: int = 429, *, has_header: bool = True) -> HttpAnswer:
        """Refuse a request that came too fast; the one old page that knows of it has the seconds in the body.

        That page names no status. The new errors have no code, so that with them only 429 tells what it is.
        """
        body = self._envelope(429, _TEXTS[429], None) | ({"retry_after": wait} if wait else {})
        answer = json_answer(status if self.errors == "old" else 429, body, JSON)
        header = {"Retry-After": str(wait)} if wait and has_header else {}
        return HttpAnswer(answer.status, answer.body, {**answer.headers, **header})

    def word_result(
        self, verb: str, row: SimulatedDeployment, reached: list[bool], twist: FaultKind | None
    ) -> HttpAnswer:
        """Word the result of a deploy or an undeploy; ``reached`` says of each pod whether it obeyed."""
        if self.shape == "a":
            body: dict[str, object] = {
                "success": True,
                "deploymentResult": self._build_rows_a(verb, row, reached),
            }
        else:
            body = {
                "status": "SUCCESS",
                "resultCount": 1,
                "deploymentResult": self._build_rows_b(row, reached),
            }
        return _twist(body, twist, self)

    def _build_rows_a(self, verb: str, row: SimulatedDeployment, reached: list[bool]) -> dict[str, object]:
        done = all(reached)
        text = (
            f"{verb} successful"
            if done
            else f"{verb} failed on {_list_failed_pods(reached)}: Connection refused"
        )
        rows = [{"environmentName": row.environment, "success": done, "message": text}]
        return {"success": done, "deploymentResults": rows}

    def _build_rows_b(self, row: SimulatedDeployment, reached: list[bool]) -> dict[str, object]:
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
        whole = {"success": all(reached), "responseTime": 12 + len(reached)}
        if self.rows == "pods":
            return {**whole, "detailList": rows}
        detail = {} if all(reached) else {"detail": f"{_list_failed_pods(reached)}: Connection refused"}
        below = {"detailList": rows} if self.rows == "nested" else {}
        return {**whole, "detailList": [{**whole, "envName": row.environment, **detail, **below}]}


def _twist(body: dict[str, object], twist: FaultKind | None, words: ApinizerWording) -> HttpAnswer:
    result = body["deploymentResult"]
    if twist is FaultKind.NO_RESULT:
        del body["deploymentResult"]
    elif twist is FaultKind.NO_DEPLOYMENT:
        # With no deployment done, one sibling page shows null, another one false without rows.
        body["deploymentResult"] = {"success": False, "detailList": []} if "success" in body else None
    elif twist is FaultKind.EMPTY_ROWS and isinstance(result, dict):
        result.update({key: [] for key in ("deploymentResults", "detailList") if key in result})
    # The vendor lists a failed undeploy among the causes of a 400.
    elif twist in (FaultKind.REFUSED_WITH_RESULT, FaultKind.REFUSED_PARTIAL):
        outside = {"success": False} if "success" in body else {"status": "FAILURE"}
        told = msgspec.json.decode(words.error(400, "Undeployment failed").body)
        return json_answer(400, {**outside, "deploymentResult": result, **told}, JSON)
    return json_answer(200, body, JSON)


def say_success(answer: HttpAnswer) -> HttpAnswer:
    """Return the same list with ``success`` in place of ``status``, as some pages have it."""
    told = msgspec.json.decode(answer.body) if answer.status == 200 and answer.body[:1] == b"{" else {}
    if "resultList" not in told or told.pop("status", None) != "SUCCESS":
        return answer
    return HttpAnswer(200, msgspec.json.encode({"success": True, **told}), answer.headers)


def recode(answer: HttpAnswer, charset: str) -> HttpAnswer:
    """Return the same JSON in another character set, which its header names; what that lacks is escaped."""
    if answer.headers.get("Content-Type") != JSON:
        return answer
    text = answer.body.decode()
    body = "".join(each if _fits(each, charset) else _escape(each) for each in text).encode(charset)
    return HttpAnswer(
        answer.status, body, {**answer.headers, "Content-Type": f"application/json;charset={charset}"}
    )


def _fits(character: str, charset: str) -> bool:
    return character.encode(charset, "ignore") != b""


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def quote_booleans(answer: HttpAnswer) -> HttpAnswer:
    """Return the same answer with its booleans in quotes."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer
    return HttpAnswer(
        answer.status, msgspec.json.encode(_quote(msgspec.json.decode(answer.body))), answer.headers
    )


def _quote(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: _quote(one) for key, one in value.items()}
    return [_quote(one) for one in value] if isinstance(value, list) else value


def _list_failed_pods(reached: list[bool]) -> str:
    return ", ".join(f"{pod_name(index)} ({pod_ip(index)})" for index, done in enumerate(reached) if not done)


def word_rollback(text: str) -> HttpAnswer:
    """Word a rollback: the text is all that it says, even if the deploy that belongs to it failed."""
    return json_answer(200, {"status": "SUCCESS", "resultMessage": text}, JSON)
