"""The starter plan and the shipped plans are valid, and so is each key that they comment out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.plan.reader import read_plan
from orchestrator.plan.starter import compose_starter
from orchestrator.plan.target_sink import TargetList
from tests.support.plans import load_plan

STARTER = compose_starter(datetime.now(UTC))
PLANS = sorted(Path(__file__).parents[2].glob("plans/*.yaml"))


def test_the_starter_plan_can_be_read(tmp_path: Path) -> None:
    loaded, _ = load_plan(tmp_path, STARTER)

    assert loaded.by_wave == {"canary": 1, "everything": 6}


def test_every_key_that_the_starter_plan_comments_out_is_supported(tmp_path: Path) -> None:
    """The commented keys are the documentation that people read first."""
    keys = (
        "window",
        "api_version",
        "limits",
        "park_for",
        "pause_after",
        "proceed",
        "sizes",
        "after",
        "retry",
        "look",
        "absent",
        "timeout",
        "proxy",
        "tls",
        "stop_when",
        "in_use",
        "in_use_over",
        "- {gateway",
    )
    lines = [
        line.replace("# ", "", 1) if line.lstrip(" #").startswith(keys) else line
        for line in STARTER.splitlines(keepends=True)
    ]
    (tmp_path / "retired.csv").write_text("ld_api_id\nx\n")

    loaded, _ = load_plan(tmp_path, "".join(lines))

    assert loaded.targets == 8
    assert loaded.plan.window is not None
    assert (loaded.plan.in_use, loaded.plan.in_use_over.hours) == ("refuse", 72)
    assert loaded.plan.gateways[0].look == "always"
    assert loaded.plan.gateways[0].limits.rate == 20
    assert [len(wave.sizes) for wave in loaded.plan.waves] == [0, 3]


@pytest.mark.parametrize("way", ["iam", "access_key", "login"])
def test_every_form_of_auth_that_the_starter_plan_comments_out_works(tmp_path: Path, way: str) -> None:
    active, comment = ("    auth: {token: ", f"    # auth: {{{way}: ")
    lines: list[str] = []
    for line in STARTER.splitlines(keepends=True):
        if line.startswith(comment):
            del lines[max(n for n, earlier in enumerate(lines) if earlier.startswith(active))]
        goes_on = bool(lines) and lines[-1].startswith("    auth: ") and lines[-1].endswith(",\n")
        lines.append(line.replace("# ", "", 1) if line.startswith(comment) or goes_on else line)

    loaded, _ = load_plan(tmp_path, "".join(lines))

    assert [way for gateway in loaded.plan.gateways if getattr(gateway.auth, way)] == [way]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_plan_that_is_shipped_can_be_read(path: Path) -> None:
    assert read_plan(path, TargetList()).targets > 0


def test_the_example_shows_every_key() -> None:
    sink = TargetList()

    loaded = read_plan(PLANS[0].parent / "example.yaml", sink)

    assert loaded.targets > 60
    assert list(loaded.by_wave) == ["canary", "test environments", "production"]
    assert {gateway.KIND for gateway in loaded.plan.gateways} == {"roma", "apinizer"}
    assert any("%2F" in target.id and "%25" in target.id for target in sink.targets)
    assert any("Müşteri Hizmetleri/Şikâyet Takibi" in target.id for target in sink.targets)
