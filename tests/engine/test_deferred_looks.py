"""The targets whose look was put off: numbers in memory, the rest in the journal."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.engine.deferred_looks import DeferredLooks, DeferredTarget
from orchestrator.journal.pending import BATCH, PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.model.http import Reply
from orchestrator.model.reading import UNDEPLOY, LookFacts, Reading, Snapshot, Verdict
from orchestrator.rules.retry import RetryPolicy, TargetHistory, decide
from tests.engine.test_waves import DirectWriting
from tests.support.journals import plan, target, writable

REMOVED = Reading(verdict=Verdict.REMOVED, evidence="204")
POLICY = RetryPolicy(always_look=True)


def undeployed(*, exists: bool) -> TargetHistory:
    """Return the history of a target that a look has (or has not) seen, after an undeploy with evidence."""
    sent = TargetHistory(requests=1, exists=exists)
    return decide(POLICY, sent, UNDEPLOY.act, REMOVED, roll=0.0)[0]


@pytest.mark.parametrize("count", [1, BATCH + 1])
async def test_the_journal_gives_them_again_in_the_order_in_which_they_were_put_off(
    tmp_path: Path, count: int
) -> None:
    looks = DeferredLooks()
    with closing(writable(tmp_path, count)) as database:
        record = SessionRecord(DirectWriting(database), 1)
        seqs = [*range(count, 0, -1)]
        for seq in seqs:
            one = target(seq, f"roma/a{seq}")
            await record.keep_intent(one, 1, UNDEPLOY, 1.0)
            record.keep_result(one, 1, Reply(204, {}, b"", 1.0), REMOVED, seconds=0.1)
            looks.add(DeferredTarget(one, undeployed(exists=bool(seq % 2)), seq / 2))
        snapshot = Snapshot(verdict=Verdict.UP, facts=LookFacts(pods_responded=3))
        record.keep_snapshot(target(1, "roma/a1"), snapshot, 1.0)
        taken = looks.take()
        found = list(taken.read(PendingTargets(database, plan(), resumed=False), "roma"))

    assert (len(looks), len(taken)) == (0, count)
    assert [waiting.target.seq for waiting in found] == seqs
    assert [waiting.began for waiting in found] == [seq / 2 for seq in seqs]
    assert found[-1].target.pods == 3
    for waiting in found:
        expected = undeployed(exists=bool(waiting.target.seq % 2))
        # The journal keeps no evidence of a reply that named no pods, and no rule asks for it.
        assert waiting.history == replace(expected, unsettled_reply=replace(REMOVED, evidence=None))


def test_a_target_that_waits_takes_seventeen_bytes() -> None:
    looks, waiting = DeferredLooks(), DeferredTarget(target(1, "roma/a1"), undeployed(exists=True), 1.0)
    for _ in range(10_000):
        looks.add(waiting)
    held = (looks._seqs, looks._began, looks._exist)
    assert sum(map(sys.getsizeof, held)) < 20 * 10_000
