"""Which looks a gateway offers, as its replies show."""

from __future__ import annotations

from orchestrator.lanes.offered_looks import MOST_REFUSALS, OfferedLooks
from orchestrator.model.reading import LookFacts, Snapshot, Verdict
from tests.support.readings import reading

MISSING = reading(Verdict.NOT_OFFERED)


def test_a_look_that_was_answered_once_stays_offered() -> None:
    """A proxy's bare 404 later on must not take the look away from the whole lane."""
    looks = OfferedLooks()

    assert looks.learn("health", MISSING) == MISSING
    assert looks.lacking == {"health"}
    looks.learn("status", reading(Verdict.UP))
    assert looks.learn("status", MISSING).verdict is Verdict.UNCLEAR
    assert looks.lacking == {"health"}
    assert looks.refusal("health") == MISSING
    assert looks.refusal("status") is None


def test_a_look_whose_answer_told_too_little_is_offered_all_the_same() -> None:
    """While no pod answers, a 404 is that of a manager that restarts, and no sign of an old version."""
    looks = OfferedLooks()
    looks.learn("health", reading(Verdict.UNCLEAR, facts=LookFacts(pods_active=0, pods_responded=0)))
    looks.learn("status", reading(Verdict.UNCLEAR))

    assert looks.learn("health", MISSING).verdict is Verdict.UNCLEAR
    assert looks.learn("status", MISSING) == MISSING
    assert looks.lacking == {"status"}


def test_a_snapshot_without_looks_has_the_vendors_words_of_the_first_refusal() -> None:
    looks = OfferedLooks()
    looks.learn("status", reading(Verdict.NOT_OFFERED, code="E.1", message="no such instance"))
    looks.learn("health", reading(Verdict.NOT_OFFERED, code="E.2", message="later"))

    explained = looks.explain(Snapshot(verdict=Verdict.NOT_OFFERED))
    assert (explained.code, explained.message) == ("E.1", "no such instance")
    own = Snapshot(verdict=Verdict.NOT_OFFERED, code="E.3", message="its own")
    assert looks.explain(own) is own
    up = Snapshot(verdict=Verdict.UP)
    assert looks.explain(up) is up


def test_the_reads_of_parts_count_by_their_kind() -> None:
    looks = OfferedLooks()
    looks.learn("plugins/front-1/env", MISSING)

    assert looks.lacking == {"plugins"}
    assert looks.refusal("plugins/front-2/env") == MISSING


def test_a_permission_may_be_missing_for_one_target_alone_and_is_asked_for_a_few_more() -> None:
    """Grants go by application: the next front end may be one of another application."""
    looks, refused = OfferedLooks(), reading(Verdict.NOT_OFFERED, code="APIG.1005", message="no")
    for number in range(MOST_REFUSALS):
        assert looks.lacking == frozenset()
        assert looks.learn(f"acls/front-{number}/env", refused) == refused
    assert looks.lacking == {"acls"}

    looks.learn("signs/front-1/env", refused)
    looks.learn("signs/front-2/env", reading(Verdict.TOLD))
    assert looks.learn("signs/front-3/env", refused).verdict is Verdict.UNCLEAR
    assert looks.lacking == {"acls"}


def test_a_refused_part_explains_no_missing_look() -> None:
    looks = OfferedLooks()
    looks.learn("acls/front-1/env", reading(Verdict.NOT_OFFERED, code="APIG.1005", message="no"))

    snapshot = Snapshot(verdict=Verdict.NOT_OFFERED)
    assert looks.explain(snapshot) is snapshot
