"""What workers have seen travels whole, in pages, and a page that lacks is told."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from orchestrator.distributed.bounds import PAGE_BYTES
from orchestrator.distributed.look_answers import pack_answer, unpack_diagnoses, unpack_sights
from orchestrator.doctor.findings import Finding, GatewayDiagnosis, complete_findings
from orchestrator.errors import RunError
from orchestrator.lanes.binding_reader import BindingCosts
from orchestrator.model.features import GroupMembership
from orchestrator.model.reading import LookFacts, Snapshot, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.preview.states import (
    GatewaySight,
    PreviewedGateway,
    SeenList,
    SeenTarget,
    SiblingDeployments,
)

TARGET = Target(
    7, TargetId("apim/P/orders/test"), "apim", 1, ("P", "orders", "test"), "über", persistent=True
)
SEEN = SeenTarget(
    target=TARGET,
    step=2,
    snapshot=Snapshot(
        verdict=Verdict.PARTIAL,
        message="served by one pod",
        facts=LookFacts(revision="7", pods_active=1, pods_responded=3),
        deploy='{"a": 1}',
        obstacles=("signature",),
    ),
    reads=3,
    listed=("list",),
)
SIGHT = GatewaySight(
    gateway=PreviewedGateway(
        name="apim",
        kind="apinizer",
        requests=5,
        seconds=(0.1, 1 / 3),
        lacking=frozenset({"pods", "list"}),
        lists=(SeenList(1, 20, tells_state=True),),
        bindings=(BindingCosts("apps", 1, 2, 3),),
        until=1_800_000_000.25,
        warnings=("its clock is late",),
    ),
    targets=(SEEN,),
    siblings=(SiblingDeployments(TARGET, frozenset({"test", "live"})),),
    memberships=(GroupMembership("g", (TARGET,), is_sure=False),),
    silence="no reply",
)
DIAGNOSIS = GatewayDiagnosis(
    gateway="apim",
    kind="apinizer",
    url="https://apim.example",
    findings=complete_findings(
        [Finding.ok("latency", "5 ms", 0.005), Finding.failure("answer", "no", "ask")]
    ),
    requests=2,
)


def test_what_was_seen_arrives_as_it_was() -> None:
    told, pages = pack_answer("east", (SIGHT,))
    found, sent = pack_answer("east", (DIAGNOSIS,))

    assert unpack_sights(told, pages) == (SIGHT,)
    assert unpack_diagnoses(found, sent) == (DIAGNOSIS,)


def test_a_large_answer_comes_in_pages_some_of_them_twice_and_some_of_another_worker() -> None:
    noise = random.Random(1).randbytes(PAGE_BYTES).hex()
    large = replace(SIGHT, silence=noise)
    told, pages = pack_answer("east", (large,))
    _, others = pack_answer("east", (SIGHT,))

    assert told.pages == len(pages) > 1
    assert all(len(page.content) <= PAGE_BYTES for page in pages)
    assert unpack_sights(told, [*pages[::-1], *others, pages[0]]) == (large,)
    with pytest.raises(RunError, match="did not arrive whole"):
        unpack_sights(told, pages[1:])
