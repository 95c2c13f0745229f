"""What a snapshot means for a target that is about to be undeployed, and what has drifted meanwhile."""

from __future__ import annotations

import pytest

from orchestrator.model.bindings import Bindings, UnreadBindings
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import LookFacts, Snapshot, Verdict
from orchestrator.rules.precheck import (
    StateAtApproval,
    describe_drift,
    explain_miss,
    judge_late_look,
    judge_snapshot,
)
from orchestrator.rules.retry import RetryPolicy, TargetEnd
from tests.support.readings import reading

FAIL, OK = RetryPolicy(), RetryPolicy(absent_ok=True)


def snapshot(verdict: Verdict, *obstacles: str, hidden: bool = False) -> Snapshot:
    return Snapshot(verdict=verdict, code="C", message="text", hidden=hidden, obstacles=obstacles)


@pytest.mark.parametrize(
    ("seen", "policy", "best", "required"),
    [
        (snapshot(Verdict.UP), FAIL, None, None),
        (snapshot(Verdict.UP, "new-front-end-id", "unpublished-edits"), FAIL, None, None),
        (
            snapshot(Verdict.UP, "missing-history"),
            FAIL,
            None,
            "not_started snapshot: its deployment could not be read: text",
        ),
        (snapshot(Verdict.DOWN), FAIL, "already_undeployed", "already_undeployed"),
        (snapshot(Verdict.ABSENT), FAIL, "failed absent: C text", "failed absent: C text"),
        (
            snapshot(Verdict.ABSENT),
            OK,
            "already_undeployed absent: C text",
            "already_undeployed absent: C text",
        ),
        (snapshot(Verdict.ABSENT, hidden=True), OK, "failed absent: C text", "failed absent: C text"),
        (snapshot(Verdict.UNCLEAR), FAIL, None, "not_started snapshot: it could not be read: C text"),
        (snapshot(Verdict.NOT_OFFERED), FAIL, None, "not_started snapshot: it could not be read: C text"),
        (snapshot(Verdict.PARTIAL), FAIL, None, "not_started snapshot: C text"),
    ],
)
def test_what_a_snapshot_makes_of_a_target(
    seen: Snapshot, policy: RetryPolicy, best: str | None, required: str | None
) -> None:
    for needed, wanted in ((False, best), (True, required)):
        end = judge_snapshot(policy, seen, None, required=needed)
        assert (end and " ".join(filter(None, (end.outcome, end.reason)))) == wanted


def test_what_a_version_does_not_offer_is_told_apart_from_a_read_that_failed() -> None:
    unoffered, required = Snapshot(verdict=Verdict.NOT_OFFERED), "snapshot: this version offers no look"

    assert judge_snapshot(FAIL, unoffered, None, required=True) == TargetEnd(Outcome.NOT_STARTED, required)
    assert explain_miss(unoffered) == "this version offers no look"
    assert explain_miss(snapshot(Verdict.NOT_OFFERED)) == "it could not be read: C text"


def test_a_restore_is_told_why_a_snapshot_does_not_bring_a_target_back() -> None:
    assert explain_miss(snapshot(Verdict.PARTIAL)) == "it was not deployed in full: C text"
    assert explain_miss(snapshot(Verdict.UNCLEAR)) == "it could not be read: C text"


def test_what_hangs_on_a_front_end_and_could_not_be_read_is_named_once_by_its_cause() -> None:
    unread = (
        UnreadBindings("application", "HTTP 502"),
        UnreadBindings("plug-in", "no privilege"),
        UnreadBindings("throttling policy", "HTTP 502"),
        UnreadBindings("application", "HTTP 502"),
    )
    up = Snapshot(verdict=Verdict.UP, bindings=Bindings(unread=unread))

    assert judge_snapshot(FAIL, up, None, required=False) is None
    assert judge_snapshot(FAIL, up, None, required=True) == TargetEnd(
        Outcome.NOT_STARTED,
        "snapshot: what hangs on its front end could not all be read:"
        " application, throttling policy (HTTP 502); plug-in (no privilege)",
    )
    whole = Snapshot(verdict=Verdict.UP, bindings=Bindings())
    assert judge_snapshot(FAIL, whole, None, required=True) is None


def seen(state: str, revision: str | None = None, since: str | None = None) -> StateAtApproval:
    return StateAtApproval(state=state, revision=revision, since=since)


@pytest.mark.parametrize(
    ("approved", "now", "change"),
    [
        (seen("up", "1"), seen("up", "1"), None),
        (seen("up", "1"), seen("up", "2"), "its revision was 1 when it was approved, and is 2 now"),
        (
            seen("up", None, "a"),
            seen("up", None, "b"),
            "its last deploy was a when it was approved, and is b now",
        ),
        (seen("up", None, "2026-03-01T09:00:00Z"), seen("up", None, "2026-03-01T17:00:00+08:00"), None),
        (
            seen("up", None, "2026-03-01T09:00:00Z"),
            seen("up", None, "2026-03-01T09:00:00"),
            "its last deploy was 2026-03-01T09:00:00Z when it was approved, and is 2026-03-01T09:00:00 now",
        ),
        (seen("up", "1"), seen("up"), None),
        (seen("up"), seen("down"), None),
        (seen("down"), seen("up"), "it was undeployed when it was approved, and is deployed now"),
        (seen("absent"), seen("up"), "it was not there when it was approved, and is deployed now"),
        (seen("up"), seen("absent"), "it was deployed when it was approved, and is not there now"),
        (seen("up"), seen("partial"), "it was deployed when it was approved, and is half undeployed now"),
        (seen("unclear"), seen("up"), None),
        (seen("up"), seen("unclear"), None),
        (seen("not_offered"), seen("up", "3"), None),
    ],
)
def test_what_has_drifted(approved: StateAtApproval, now: StateAtApproval, change: str | None) -> None:
    assert describe_drift(approved, now) == change


def test_an_approval_keeps_three_things() -> None:
    facts = LookFacts(revision="7", since="monday", edited=True, path="/x")

    assert StateAtApproval.of(Snapshot(verdict=Verdict.UP, facts=facts)) == seen("up", "7", "monday")


def test_what_has_drifted_is_left_alone() -> None:
    now = Snapshot(verdict=Verdict.UP, facts=LookFacts(revision="2"))

    assert judge_snapshot(FAIL, now, seen("up", "1"), required=False) == TargetEnd(
        Outcome.NOT_STARTED, "drifted: its revision was 1 when it was approved, and is 2 now"
    )


def test_what_has_drifted_stays_so_while_no_read_says_otherwise() -> None:
    """A resume that cannot read a target must not undeploy what the session before has left for its drift."""
    approved, drifted = seen("up", "1"), Snapshot(verdict=Verdict.UP, facts=LookFacts(revision="2"))
    unread = [Snapshot(verdict=verdict) for verdict in (Verdict.UNCLEAR, Verdict.NOT_OFFERED)]
    restored = Snapshot(verdict=Verdict.UP, facts=LookFacts(revision="1"))

    for now in unread:
        end = judge_snapshot(FAIL, now, approved, required=False, earlier=drifted)
        assert end is not None
        assert (end.reason or "").startswith("drifted: its revision was 1")
        assert judge_snapshot(FAIL, now, approved, required=False, earlier=restored) is None
    assert judge_snapshot(FAIL, restored, approved, required=False, earlier=drifted) is None


@pytest.mark.parametrize(
    ("approved", "verdict", "facts", "change"),
    [
        (StateAtApproval(state="up", since="1"), Verdict.UP, LookFacts(since="1"), None),
        (StateAtApproval(state="up", since="1"), Verdict.UP, None, None),
        (
            StateAtApproval(state="up", since="1"),
            Verdict.UP,
            LookFacts(since="2"),
            "its last deploy was 1 when it was approved, and is 2 now",
        ),
        (
            StateAtApproval(state="up", revision="4"),
            Verdict.UP,
            LookFacts(revision="5"),
            "its revision was 4 when it was approved, and is 5 now",
        ),
        (
            StateAtApproval(state="down"),
            Verdict.UP,
            None,
            "it was undeployed when it was approved, and is deployed now",
        ),
        # What its own undeploys have left half done is no change by somebody else.
        (StateAtApproval(state="up", since="1"), Verdict.PARTIAL, LookFacts(since="2"), None),
        (StateAtApproval(state="up", since="1"), Verdict.DOWN, None, None),
        (StateAtApproval(state="down"), Verdict.UNCLEAR, None, None),
        (None, Verdict.UP, LookFacts(since="2"), None),
    ],
)
def test_a_look_after_an_undeploy_shows_what_was_deployed_since_the_approval(
    approved: StateAtApproval | None, verdict: Verdict, facts: LookFacts | None, change: str | None
) -> None:
    expected = change and TargetEnd(Outcome.NOT_STARTED, f"drifted: {change}")

    assert judge_late_look(reading(verdict, facts=facts), approved) == expected
