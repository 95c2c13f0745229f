"""A window that opens soon, and one that closes: judged by when requests arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from .stage import Stage


def _window(opens: float, closes: float) -> str:
    return "/".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (opens, closes))


def test_who_waits_begins_when_the_window_opens(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 4)
    plan = stage.write_plan()
    early = stage.undeploy("run", plan, "--yes", "--window", _window(time.time() + 60, time.time() + 600))
    opens = time.time() + 2
    waited = stage.undeploy("run", plan, "--yes", "--wait", "--window", _window(opens, opens + 600))
    arrivals = [seen.at for seen in stage.seen()]

    assert (early.status, early.out) == (2, "")
    assert "--wait waits for it" in early.err
    assert waited.status == 0, waited.err
    assert len(arrivals) == 10
    assert opens <= min(arrivals) < opens + 5
    stage.assert_truth()


@pytest.mark.promise(7)
def test_what_could_not_end_in_the_window_is_not_begun(staged: Callable[..., Stage]) -> None:
    stage = staged(150, 120, latency=0.2)
    plan = stage.write_plan(
        roma="timeout: 2s, limits: {concurrency: 3}", apim="timeout: 1s, limits: {concurrency: 3}"
    )
    closes = time.time() + 6
    ended = stage.undeploy("run", plan, "--yes", "--window", _window(closes - 100, closes))
    left = [reason for name, reason in stage.reasons().items() if stage.outcomes()[name] == "not_started"]

    assert ended.status == 4, ended.err
    for gateway, timeout in (("roma-eu", 2.0), ("apim", 1.0)):
        arrivals = [seen.at for seen in stage.seen() if seen.gateway == gateway]
        assert max(arrivals, default=0.0) < closes - timeout + 0.1
    assert len(left) > 20
    assert all(reason == "window: one timeout no longer fits before it closes" for reason in left)
    assert stage.report()["run"]["stopped_by"] == "window"
    stage.assert_truth()
