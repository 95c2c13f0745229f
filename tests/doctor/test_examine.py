"""Which targets are looked at, and that the gateways are visited side by side."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from orchestrator.doctor.examine import choose_samples, examine_gateways
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import make_real_environment
from tests.support.peer import serving, silence


def plan(folder: Path, urls: list[str], targets: int) -> Path:
    lines = ["version: 1", "name: x", "gateways:"]
    for number, url in enumerate(urls):
        lines.append(f"  g{number}: {{kind: apinizer, url: '{url}', auth: {{token: {{env: DOCTOR_TOKEN}}}}}}")
    lines.append("targets:")
    names = ", ".join(f"'p/{number}'" for number in range(targets))
    lines.append(f"  - {{gateway: g0, project: P, proxies: [{names}], environment: test}}")
    path = folder / "plan.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("count", "looked_at"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 4, 8]), (10, [0, 5, 9])]
)
def test_the_first_the_middle_and_the_last_are_looked_at(
    tmp_path: Path, count: int, looked_at: list[int]
) -> None:
    with load_plan(plan(tmp_path, ["http://127.0.0.1"] * 2, count)) as loaded:
        found = choose_samples(loaded.draft.database, 0, "g0", count)
        none = choose_samples(loaded.draft.database, 1, "g1", 0)

    assert [target.parts for target in found] == [("P", f"p/{number}", "test") for number in looked_at]
    assert none == []


@pytest.mark.long("waits on the real clock")
async def test_the_gateways_are_visited_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_TOKEN", "t")
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(serving(silence)) for _ in range(5)]
        with load_plan(plan(tmp_path, [peer.url for peer in peers], 1)) as loaded:
            began = time.monotonic()
            found = await examine_gateways(loaded, make_real_environment(tmp_path), patience=1.0)
            seconds = time.monotonic() - began

    assert [one.gateway for one in found] == ["g0", "g1", "g2", "g3", "g4"]
    assert {one.state for one in found} == {"fail"}
    assert seconds < 4.0
