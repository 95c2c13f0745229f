"""ROMA Connect's health: the shortest list tells whether an instance answers, and in which version."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import as_count, describe_reply, parse_object
from orchestrator.gateways.roma.replies import is_denial, parse_error, read_refusal
from orchestrator.gateways.roma.requests import RomaRequests, Version
from orchestrator.gateways.text import show_text
from orchestrator.model.credentials import Access
from orchestrator.model.http import Reply
from orchestrator.model.reading import ApiVersion, HealthCheck, Reading, Verdict

_OTHER_VERSION: dict[Version, Version] = {"v1": "v2", "v2": "v1"}
_SOMETHING_IN_FRONT = "a login page or a proxy may stand in front of it; check url"


class RomaHealth(Struct, frozen=True):
    """The health feature of one instance. The version of ``requests`` is the one that the plan means."""

    requests: RomaRequests

    def build_greeting(self) -> HealthCheck:
        """Build the shortest list without a credential: a ROMA Connect refuses it, a login page does not."""
        return HealthCheck("greeting", self.requests.build_open_list(0, limit=1), _read_greeting)

    def build_checks(self, access: Access, *, now: float) -> tuple[HealthCheck, ...]:
        """Build the shortest list in each version, the plan's first."""
        ours = self.requests
        other = replace(ours, version=_OTHER_VERSION[ours.version])
        return (
            HealthCheck(
                ours.version, ours.build_list(0, 1, access, now), partial(_read_list, version=ours.version)
            ),
            HealthCheck(
                other.version,
                other.build_list(0, 1, access, now),
                partial(_read_other_version, version=ours.version),
            ),
        )

    def describe_version(self, answered: frozenset[str], looks: Mapping[str, bool]) -> ApiVersion:  # noqa: ARG002
        """Return which of the two versions answer."""
        ours = self.requests.version
        other = _OTHER_VERSION[ours]
        if ours in answered:
            return ApiVersion(f"{ours}, and {other} answers too" if other in answered else ours)
        if other in answered:
            text = f"{ours}, which the plan means, does not answer; {other} does"
            return ApiVersion(text, served=False, hint=f"write api_version: {other}")
        text = f"neither {ours} nor {other} answers"
        return ApiVersion(text, served=False, hint="check url, project_id and instance_id")


def _read_greeting(reply: Reply) -> str | Reading:
    """Return how the instance refuses a list without a credential; a fault if it is another server.

    Another server answers 404 or 400, too. It must not be shown a credential, so its reply has to hold a code
    of the vendor, unless it asks for a credential.
    """
    if reply.status >= 500:
        return Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
    if reply.status == 429:
        return Reading(verdict=Verdict.BUSY, message=describe_reply(reply))
    if reply.status in {401, 403} or is_denial(reply):
        return "refuses a request without a credential, as it should"
    code = parse_error(reply).code if reply.status >= 400 else None
    if code is None:
        text = f"{describe_reply(reply)} to a request without a credential"
        return Reading(verdict=Verdict.STRANGE, message=text, hint=_SOMETHING_IN_FRONT)
    return f"answers a request without a credential with {show_text(code)}"


def _read_list(reply: Reply, *, version: Version) -> str | Reading:
    """Return how many backend APIs an instance holds, or what its refusal means."""
    if reply.status >= 400:
        return read_refusal(reply, version)
    fields = parse_object(reply) if reply.status == 200 else None
    if not isinstance((fields or {}).get("apis"), list):
        text = f"{describe_reply(reply)} in place of a list"
        return Reading(verdict=Verdict.STRANGE, message=text, hint=_SOMETHING_IN_FRONT)
    total = as_count((fields or {}).get("total"))
    return "lists its backend APIs" if total is None else f"lists {total:,} backend APIs"


def _read_other_version(reply: Reply, *, version: Version) -> str | Reading:
    """Read the same list through the version that the plan does not mean.

    A refusal only says that this version is not to be had, but for those that concern all requests.
    """
    read = _read_list(reply, version=version)
    if isinstance(read, str) or read.verdict in (Verdict.DENIED, Verdict.BUSY):
        return read
    return Reading(verdict=Verdict.NOT_OFFERED, code=read.code, message=read.message)
