"""Ten thousand targets cost no more tasks and no more memory than a few."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.stage import Stage

pytestmark = pytest.mark.long("runs ten thousand targets")

TARGETS = 10_000


@pytest.mark.promise(1)
@pytest.mark.timeout(120)
def test_ten_thousand_targets(staged: Callable[..., Stage], capsys: pytest.CaptureFixture[str]) -> None:
    stage = staged(TARGETS * 3 // 4, TARGETS // 4)
    plan = stage.write_plan(roma="limits: {concurrency: 16}", apim="limits: {concurrency: 8}")
    command = [sys.executable, str(Path(__file__).parents[1] / "support" / "many.py"), str(plan)]
    done = subprocess.run(
        command, cwd=stage.folder, env=stage.env, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    tasks, megabytes = told["tasks"], told["megabytes"]
    with capsys.disabled():
        speed = TARGETS / told["seconds"]
        print(f"\n{speed:,.0f} targets/s, {max(tasks)} tasks, {max(megabytes):.0f} MiB")  # noqa: T201

    assert told["status"] == 0
    assert len(tasks) == TARGETS // 500
    # Each worker may be opening a connection, for which aiohttp has a task of its own.
    assert max(tasks) <= 2 * (16 + 8) + 4
    # From the first thousand on, when every pool and cache is warm.
    assert max(megabytes) - megabytes[1] < 16
    assert stage.requests() == TARGETS
    stage.assert_truth()
