"""What follows a deploy of ROMA Connect: the publish of its front-end API in each further environment.

After the API reference: "Deploying a Backend API", "Publishing an API or Taking an API Offline".
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.gateways.envelope import find_text, parse_object
from orchestrator.gateways.roma.definition import split_environments
from orchestrator.gateways.roma.kept_deploy import decode_deploy
from orchestrator.gateways.roma.records import find_newest_record, is_front_id, is_record_of, list_records
from orchestrator.gateways.roma.requests import FRONT, HISTORY, encode_publish
from orchestrator.gateways.text import show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.model.target import Target

_FRONT_KEY = "api_id"


def next_completion(
    target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> Operation | Completeness | Reading:
    """Return the next read, or the environments in which the front-end API is not published yet.

    A front-end API that was published in one environment is whole after its deploy.
    """
    wanted = decode_deploy(target.deploy).environments
    if len(wanted) < 2:
        return Completeness()
    front = _find_front(target.parts[0], seen, lacking, about)
    if front is None:
        return Completeness(tuple(MissingPart(_name_environment(each), None) for each in wanted))
    if not isinstance(front, str):
        return front
    shown = seen.get(f"{FRONT}/{front}")
    if shown is None:
        return Operation(Act.LOOK, f"{FRONT}/{front}")
    published = split_environments((shown.kept or {}).get("run_env_id"))
    return Completeness(
        tuple(
            MissingPart(_name_environment(each), encode_publish(front, each), f"{FRONT}/{front}")
            for each in wanted
            if each not in published
        )
    )


def _name_environment(environment: str) -> str:
    return f"environment {show_text(environment)}"


def _find_front(
    ld_api_id: str, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> str | Operation | Reading | None:
    """Return the id of the front-end API that the newest deploy published; None if it published none.

    The reply to the deploy names it; if that was lost, so does the deployment history. Returns the read of
    the history where it is still needed, and a reading where it does not tell.
    """
    if about is not None and about.kept and is_front_id(name := find_text(about.kept, _FRONT_KEY) or ""):
        return name
    if HISTORY.via in lacking:
        return Reading(verdict=Verdict.NOT_OFFERED, message="no deployment history is offered")
    if (history := seen.get(HISTORY.via)) is None:
        return HISTORY
    newest = find_newest_record(list_records(history.kept) or [], ld_api_id)
    if newest is None:
        return Reading(verdict=Verdict.UNCLEAR, message="the deployment history names no deployment")
    front = find_text(newest, _FRONT_KEY)
    if front and not is_front_id(front):
        return Reading(verdict=Verdict.UNCLEAR, message="the deployment history names no front-end API")
    return front or None


def read_deploy(ld_api_id: str, reply: Reply) -> Reading:
    """Read the answer 200 to a deploy: the record of the deployment is evidence, anything else is doubt."""
    fields = parse_object(reply)
    if fields and find_text(fields, "id") and is_record_of(fields, ld_api_id):
        front = find_text(fields, _FRONT_KEY)
        return Reading(verdict=Verdict.REMOVED, evidence="code", kept={_FRONT_KEY: front} if front else None)
    return Reading(verdict=Verdict.STRANGE, message="200 without the record of a deployment")


def read_publication(front: str, environment: str, reply: Reply) -> Reading:
    """Read the answer 201 to a publish: the record of this very publication is evidence."""
    fields = parse_object(reply) or {}
    names = (find_text(fields, _FRONT_KEY), find_text(fields, "env_id"))
    if find_text(fields, "publish_id") and names == (front, environment):
        return Reading(verdict=Verdict.REMOVED, evidence="code")
    return Reading(verdict=Verdict.STRANGE, message=f"{reply.status} without the record of the publication")
