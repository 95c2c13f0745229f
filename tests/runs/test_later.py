"""A run that is started later: what is refused now, and what its session will begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.api import LoadedPlan, RunOptions, load_plan
from orchestrator.errors import PlanError, UsageError
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep, Window
from orchestrator.plan.protect import read_protect_file
from orchestrator.runs.later import prepare_later_run
from orchestrator.runs.start import RunDraft

PLAN = """\
version: 1
name: far
protect: [a/P/kept/e]
gateways:
  a: {kind: apinizer, url: https://a.example.com, timeout: 40s, auth: {token: {env: NOT_SET_HERE}}}
  b: {kind: apinizer, url: https://b.example.com, timeout: 20s, auth: {token: {env: NOT_SET_HERE}}}
targets:
  - {gateway: a, project: P, proxies: [one, two, kept], environment: e}
  - {gateway: b, project: P, proxies: [one], environment: e}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[LoadedPlan]:
    (tmp_path / "plan.yaml").write_text(PLAN)
    with load_plan(tmp_path / "plan.yaml") as plan:
        yield plan


def draft_of(loaded: LoadedPlan) -> RunDraft:
    return RunDraft(loaded.plan, loaded.draft, loaded.place)


def test_the_targets_are_settled_now_and_the_id_later(loaded: LoadedPlan, tmp_path: Path) -> None:
    options = RunOptions(state=tmp_path / "state", skip=("**/two/e",))

    later = prepare_later_run(draft_of(loaded), options, "far-25b7")

    assert later.pending.count_left() == {(WaveStep(0, 0), "a"): 1, (WaveStep(0, 0), "b"): 1}
    assert later.pending.count_outcomes()[Outcome.NOT_STARTED, "protected"] == 1
    assert (later.spec.folder.id, later.spec.number, later.takes) == ("far-25b7", 1, 20.0)
    assert later.stop_rules.state.in_run == {}
    assert not (tmp_path / "state").exists()


def test_the_shortest_undeploy_is_one_of_a_gateway_with_targets(loaded: LoadedPlan, tmp_path: Path) -> None:
    later = prepare_later_run(draft_of(loaded), RunOptions(state=tmp_path, only=("a/**",)), "far")

    assert later.takes == 40.0
    window = Window(None, None)
    assert later.have_window(window, "option").spec.options.window == window


def test_what_a_run_refuses_is_refused_now(loaded: LoadedPlan, tmp_path: Path) -> None:
    (tmp_path / "protected").write_text("a/nothing\n")
    files = (read_protect_file(tmp_path / "protected"),)
    for options, kind, why in (
        (RunOptions(skip=("**/twoo/e",)), UsageError, "--skip .* matches no target"),
        (RunOptions(waves=("canary",)), UsageError, "no wave is named"),
        (RunOptions(only=("a/P/kept/e",)), UsageError, "no target is left"),
        (RunOptions(protect_files=files), PlanError, "protected:1"),
    ):
        with pytest.raises(kind, match=why):
            prepare_later_run(draft_of(loaded), options, "far")
