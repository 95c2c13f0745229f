"""Where a front-end API is still to be published after its deploy, and what is read to find that out."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.gateways.roma.kept_deploy import decode_deploy, encode_deploy
from orchestrator.gateways.roma.requests import HISTORY
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Snapshot, Verdict
from tests.support.recorded import PARTS, gateway, samples, target
from tests.support.unbound import follow_reads

ROMA = gateway("roma")
READ = {sample.name.removeprefix("roma/"): sample.read() for sample in samples("roma")}
ID = "5f918d104dc84480a75166ba99efff21"
RELEASE, TEST = "DEFAULT_ENVIRONMENT_RELEASE_ID", "7a1ad0c350844ee69479b47df9a881cb"
FRONT = f"front/{ID}"
BODY = {"deploy_front_api": True, "env_id": RELEASE}
OURS = replace(target(*PARTS["roma"]), deploy=encode_deploy(BODY, [TEST]))
DEPLOYED = READ["deploy-200"]
MISSING = Completeness((MissingPart(f"environment {TEST}", Operation(Act.PUBLISH, f"{ID}/{TEST}"), FRONT),))


def ask(*lacking: str, about: Reading | None = None, **seen: Reading) -> Operation | Completeness | Reading:
    """What follows from reads by their ways; ``front`` is that of the sample."""
    ways = {FRONT if way == "front" else way: read for way, read in seen.items()}
    return ROMA.restore.next_completion(OURS, ways, frozenset(lacking), about)


@pytest.mark.promise(11)
def test_the_reply_to_the_deploy_or_else_the_history_names_the_front_end_api() -> None:
    look = Operation(Act.LOOK, FRONT)

    assert ask(about=DEPLOYED) == look
    assert ask() == HISTORY
    assert ask(about=Reading(verdict=Verdict.STRANGE)) == HISTORY
    assert ask(history=READ["history-v1"]) == ask(history=READ["history-v2"]) == look


@pytest.mark.promise(11)
def test_what_the_front_end_api_does_not_name_is_missing() -> None:
    assert ask(about=DEPLOYED, front=READ["front-200"]) == MISSING
    assert ask(about=DEPLOYED, front=READ["front-in-two-environments"]) == Completeness()


def test_a_front_end_api_that_is_gone_is_published_nowhere() -> None:
    gone = Reading(verdict=Verdict.TOLD, code="APIG.3002")
    found = ask(about=DEPLOYED, front=gone)

    assert isinstance(found, Completeness)
    assert [part.name for part in found.missing] == [f"environment {RELEASE}", f"environment {TEST}"]


def test_a_backend_that_was_deployed_alone_has_nothing_to_publish() -> None:
    records = [{"ld_api_id": OURS.parts[0], "deploy_time": "2026-03-01T09:31:00Z", "api_id": ""}]
    found = ask(history=Reading(verdict=Verdict.TOLD, kept={"deploys": records}))

    assert isinstance(found, Completeness)
    assert [part.step for part in found.missing] == [None, None]


def test_without_a_history_none_can_tell() -> None:
    for found in (
        ask("history"),
        ask(history=READ["history-none"]),
        ask(history=Reading(verdict=Verdict.TOLD)),
    ):
        assert isinstance(found, Reading)
        assert found.verdict in (Verdict.NOT_OFFERED, Verdict.UNCLEAR)


@pytest.mark.parametrize("deploy", [None, '{"deploy_front_api": false}', encode_deploy(BODY, [])])
def test_one_environment_or_none_costs_no_read(deploy: str | None) -> None:
    assert ROMA.restore.next_completion(replace(OURS, deploy=deploy), {}, frozenset(), None) == Completeness()


def test_the_body_of_a_deploy_has_one_environment() -> None:
    assert decode_deploy(OURS.deploy) == (BODY, (RELEASE, TEST))
    joined = msgspec.json.encode({**BODY, "env_id": f"{RELEASE}| {TEST} |{TEST}"}).decode()
    assert decode_deploy(joined) == (BODY, (RELEASE, TEST))
    assert decode_deploy(None) == ({}, ())


def test_a_snapshot_keeps_the_further_environments_beside_the_body() -> None:
    reads = {
        "definition": READ["definition-deployed"],
        "history": READ["history-v2"],
        FRONT: READ["front-in-two-environments"],
    }
    found = follow_reads(ROMA, OURS, reads)

    assert isinstance(found, Snapshot)
    body, environments = decode_deploy(found.deploy)
    assert (body["env_id"], environments) == (RELEASE, (RELEASE, TEST))
    assert "|" not in (found.deploy or "")
