"""Names on the wire: whoever decodes them once more on the way, no other address comes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from posixpath import normpath
from urllib.parse import unquote

import pytest

from tests.scenarios.test_lies import recorder
from tests.support.stage import Stage

pytestmark = pytest.mark.long("runs are processes of their own")

HOSTILE = ["../", "..", "x/../../y", "..;x", "%2e%2e", "%252e%252e%252f", "a%5c..", "", "/", "a//b"]
ODD = ["a/b", "100%", "a%zz", "a;b", "...", "..a", "%25252e", "o\u0308deme", "a?b", "#"]
REFUSAL = json.dumps({"error": "not_found", "error_description": "API Proxy not found"}).encode()


def plan_of(stage: Stage, url: str, names: list[str], place: str) -> None:
    parts = {"project": "Retail", "proxy": "x", "environment": "test"}
    rows = [json.dumps({"gateway": "apim", **parts, place: name}) for name in names]
    (stage.folder / "plan.yaml").write_text(
        "version: 1\nname: scene\nsnapshot: off\nstop_when: {failed: 100%, surprising: 100%}\ngateways:\n"
        f"  apim: {{kind: apinizer, url: '{url}', auth: {{token: {{env: APINIZER_TOKEN}}}}}}\ntargets:\n"
        + "".join(f"  - {row}\n" for row in rows)
    )


@pytest.mark.parametrize("place", ["project", "proxy", "environment"])
def test_a_plan_with_one_of_them_sends_nothing(staged: Callable[..., Stage], place: str) -> None:
    stage = staged(0, 1)
    with recorder(404, body=REFUSAL) as server:
        plan_of(stage, server.url, HOSTILE, place)
        ended = stage.undeploy("run", "plan.yaml", "--yes")

    assert (ended.status, ended.out) == (2, "")
    assert len([line for line in ended.err.splitlines() if f".{place}:" in line]) == len(HOSTILE)
    assert server.received == []


def far_side(target: str, decodings: int) -> str:
    """Return what the path is to a server behind a proxy that has decoded it so often."""
    for _ in range(decodings):
        target = unquote(target)
    return "/".join(piece.partition(";")[0] for piece in target.replace("\\", "/").split("/"))


@pytest.mark.parametrize("place", ["project", "proxy", "environment"])
def test_what_is_sent_stays_where_it_is_put(staged: Callable[..., Stage], place: str) -> None:
    stage = staged(0, 1)
    with recorder(404, {"Content-Type": "application/json"}, REFUSAL) as server:
        plan_of(stage, server.url, ODD, place)
        stage.undeploy("run", "plan.yaml", "--yes")

    sent = {line.split(" ")[1] for line, _ in server.received if line.startswith("DELETE ")}
    assert len(sent) == len(ODD)
    for path in sent:
        for decodings in (0, 1, 2):
            seen = far_side(path, decodings)
            assert normpath(seen) == seen.rstrip("/")
            assert "/environments/" in seen


PAYMENTS = {"project": "Payments", "proxy": "x", "environment": "production"}
DISGUISED = [
    {"project": "Pay%6dents"},
    {"project": "Pay%256dents"},
    {"project": "Payments;v=1"},
    {"environment": "production?"},
    {"environment": "production%23"},
    {"proxy": "x/environments/production/?", "environment": "test"},
    {"project": "Payments/apiProxies/x/environments/production#", "proxy": "y", "environment": "test"},
]


@pytest.mark.parametrize("disguise", DISGUISED)
def test_what_a_pattern_protects_is_protected_in_disguise(
    staged: Callable[..., Stage], disguise: dict[str, str]
) -> None:
    """Behind a proxy that decodes once more, each of these addresses is that of the protected target."""
    stage = staged(0, 1)
    with recorder(404, {"Content-Type": "application/json"}, REFUSAL) as server:
        plan_of(stage, server.url, ["y"], "proxy")
        path = stage.folder / "plan.yaml"
        row = json.dumps({"gateway": "apim", **PAYMENTS, **disguise})
        path.write_text(path.read_text() + f"  - {row}\nprotect: [apim/Payments/x/production]\n")
        ended = stage.undeploy("run", path, "--yes", "--events", "events")

    assert "1 target is protected" in ended.err, ended.err
    assert len([line for line, _ in server.received if line.startswith("DELETE ")]) == 1
    assert sorted(reason.partition(":")[0] for reason in stage.reasons().values()) == ["absent", "protected"]
