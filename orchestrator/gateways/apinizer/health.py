"""Apinizer's health: its connection tests tell whether a manager answers, and whether it takes the token.

After the vendor's pages "Healthcheck", "Secure Hello" and "List Projects".
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from orchestrator.gateways.apinizer.looks import STATUS
from orchestrator.gateways.apinizer.replies import (
    NAMELESS,
    find_error,
    is_success,
    judge_error,
    judge_rejection,
    make_reading,
)
from orchestrator.gateways.apinizer.requests import ApinizerRequests
from orchestrator.gateways.envelope import decode_text, describe_reply, parse_object
from orchestrator.model.credentials import Access
from orchestrator.model.http import Reply
from orchestrator.model.reading import ApiVersion, HealthCheck, Reading, Verdict
from orchestrator.text.counting import count_noun

_WRONG_URL = "check url: it is the manager's address, without /apiops"


class ApinizerHealth(Struct, frozen=True):
    """The health feature of one manager."""

    requests: ApinizerRequests

    def build_greeting(self) -> HealthCheck:
        """Build the manager's own health check, which asks for no token."""
        return HealthCheck("healthcheck", self.requests.build_open_read("test/healthcheck"), _read_health)

    def build_checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:  # noqa: ARG002
        """Build the vendor's test of a token, and the list of the projects that its user may see."""
        accept = "application/json, text/plain"
        hello = self.requests.build_read("test/hello/undeploy", access, accept)
        projects = self.requests.build_read("projects/", access, accept)
        return (
            HealthCheck("hello", hello, _read_hello),
            HealthCheck("projects", projects, _read_projects),
        )

    def describe_version(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:
        """Return how new the manager is: deploy-status came with 2026.09.0."""
        if not answered:
            return ApiVersion("nothing that a manager offers was found", served=False, hint=_WRONG_URL)
        has_status = looks.get(STATUS.via)
        if has_status is None:
            return ApiVersion("APIOps, of a version that only a target could tell")
        return ApiVersion("APIOps of 2026.09.0 or newer" if has_status else "APIOps from before 2026.09.0")


def _read_health(reply: Reply) -> str | Reading:
    """Return that the manager is well. Login pages and proxies answer 200 too, so the text is compared."""
    if reply.status == 200 and decode_text(reply).strip().strip('"').upper() == "OK":
        return "says that it is well"
    return _read_fault(reply)


def _read_hello(reply: Reply) -> str | Reading:
    """Return that the token was accepted."""
    if reply.status == 200 and decode_text(reply).strip().strip('"').startswith("Hello"):
        return "greets the token's user"
    return _read_fault(reply)


def _read_projects(reply: Reply) -> str | Reading:
    """Return how many projects the token's user may see; to see none is a fault."""
    body = parse_object(reply)
    listed = (body or {}).get("resultList") if reply.status == 200 and is_success(body) else None
    if not isinstance(listed, list):
        return _read_fault(reply)
    if not listed:
        hint = "let an administrator add the token's user to the projects of the plan"
        return Reading(verdict=Verdict.REFUSED, message="the token's user may see no project", hint=hint)
    return f"sees {count_noun(len(listed), 'project')}"


def _read_fault(reply: Reply) -> Reading:
    body = parse_object(reply)
    error = find_error(body, NAMELESS) if reply.status in {400, 404} else None
    verdict = judge_rejection(reply, body) or judge_error(error)
    if verdict in {Verdict.BUSY, Verdict.DENIED}:
        return make_reading(verdict, reply, body)
    if reply.status < 400:
        hint = f"a login page or a proxy may stand in front of it; {_WRONG_URL}"
        return Reading(verdict=Verdict.STRANGE, message=describe_reply(reply), hint=hint)
    if reply.status == 404:
        return make_reading(Verdict.NOT_OFFERED, reply, body, hint=_WRONG_URL)
    return make_reading(Verdict.REFUSED if reply.status == 403 else Verdict.UNCLEAR, reply, body)
