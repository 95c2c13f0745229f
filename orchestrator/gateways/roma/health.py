"""What ROMA Connect's shortest list says of an instance: whether it answers, and in which version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from orchestrator.gateways.envelope import count_of, json_object, nature
from orchestrator.model.http import Reply
from orchestrator.model.reading import ApiVersion, Reading, Verdict


class Read(Protocol):
    """How the list of one version is read."""

    def __call__(self, reply: Reply, *, otherwise: Callable[[Reply], Reading]) -> str | Reading: ...


def read_refusal(reply: Reply) -> str | Reading:
    """Return that it answers as it should to a list that nobody asks for: with a refusal."""
    if reply.status >= 500:
        return Reading(verdict=Verdict.UNCLEAR, message=nature(reply))
    if reply.status == 429:
        return Reading(verdict=Verdict.BUSY, message=nature(reply))
    return _in_front(reply) if reply.status < 400 else "refuses a request without a credential, as it should"


def _in_front(reply: Reply) -> Reading:
    hint = "a login page or a proxy may stand in front of it; check url"
    return Reading(
        verdict=Verdict.STRANGE, message=f"{nature(reply)} to a request without a credential", hint=hint
    )


def read_listing(reply: Reply, *, otherwise: Callable[[Reply], Reading]) -> str | Reading:
    """Return how many backend APIs an instance holds, or what ``otherwise`` makes of a refusal."""
    if reply.status >= 400:
        return otherwise(reply)
    fields = json_object(reply) if reply.status == 200 else None
    if not isinstance((fields or {}).get("apis"), list):
        hint = "a login page or a proxy may stand in front of it; check url"
        return Reading(verdict=Verdict.STRANGE, message=f"{nature(reply)} in place of a list", hint=hint)
    total = count_of((fields or {}).get("total"))
    return "lists its backend APIs" if total is None else f"lists {total:,} backend APIs"


def read_other(reply: Reply, *, otherwise: Callable[[Reply], Reading]) -> str | Reading:
    """Return the same of the version that the plan does not mean: any refusal but DENIED only says that it is
    not to be had."""
    read = read_listing(reply, otherwise=otherwise)
    if isinstance(read, str) or read.verdict is Verdict.DENIED:
        return read
    return Reading(verdict=Verdict.NOT_OFFERED, code=read.code, message=read.message)


def dialect(versions: Sequence[str], answered: frozenset[str]) -> ApiVersion:
    """Return which of the ``versions`` answer; the first one is the plan's."""
    ours, other = versions
    if ours in answered:
        return ApiVersion(f"{ours}, and {other} answers too" if other in answered else ours)
    if other in answered:
        text = f"{ours}, which the plan means, does not answer; {other} does"
        return ApiVersion(text, served=False, hint=f"write api_version: {other}")
    return ApiVersion(
        f"neither {ours} nor {other} answers", served=False, hint="check url, project_id and instance_id"
    )
