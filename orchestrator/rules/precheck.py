"""The meaning of a snapshot and of an approval for a target that is about to be undeployed. Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.bindings import Bindings
from orchestrator.model.obstacles import MISSING_HISTORY
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.reading import LookFacts, Reading, Snapshot, Verdict
from orchestrator.model.search import parse_instant
from orchestrator.rules.retry import RetryPolicy, TargetEnd, describe, end_absent


class StateAtApproval(Struct, frozen=True, kw_only=True):
    """The state that a person saw when approving the undeploy of a target."""

    state: str
    """A verdict's value."""
    revision: str | None = None
    since: str | None = None

    @classmethod
    def of(cls, snapshot: Snapshot) -> StateAtApproval:
        """Return the part of a snapshot that an approval keeps."""
        facts = snapshot.facts
        return cls(state=snapshot.verdict.value, revision=facts.revision, since=facts.since)


_UNREAD = (Verdict.UNCLEAR, Verdict.NOT_OFFERED)


def judge_snapshot(
    policy: RetryPolicy,
    snapshot: Snapshot,
    approved: StateAtApproval | None,
    *,
    required: bool,
    earlier: Snapshot | None = None,
) -> TargetEnd | None:
    """Return how a target ends by its snapshot, or None if it is to be undeployed.

    ``required``: the plan wants no undeploy that a restore could not undo. ``earlier`` is the snapshot of an
    earlier session: what has drifted by that stays so until a read says otherwise.
    """
    last = earlier if earlier is not None and snapshot.verdict in _UNREAD else snapshot
    # Drift comes first: a person has approved one state, and another one needs a person again.
    if approved is not None and (drifted := _end_drifted(approved, StateAtApproval.of(last))):
        return drifted
    match snapshot.verdict:
        case Verdict.DOWN:
            return TargetEnd(Outcome.ALREADY_UNDEPLOYED, evidence="look")
        case Verdict.ABSENT:
            return end_absent(policy, _make_reading(snapshot))
        # The target is up, and yet a restore would not know which deployment to bring back.
        case Verdict.UP if required and MISSING_HISTORY.word in snapshot.obstacles:
            why = f": {snapshot.message}" if snapshot.message else ""
            return TargetEnd(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: its deployment could not be read{why}")
        case Verdict.UP if required and snapshot.bindings is not None and snapshot.bindings.unread:
            return TargetEnd(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: {_describe_unread(snapshot.bindings)}")
        case Verdict.PARTIAL if required:
            return TargetEnd(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: {describe(_make_reading(snapshot))}")
        case Verdict.UNCLEAR | Verdict.NOT_OFFERED if required:
            return TargetEnd(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: {_explain_unreadable(snapshot)}")
        case _:
            return None


def judge_late_look(
    looked: Reading, approved: StateAtApproval | None, *, is_resumed: bool = False
) -> TargetEnd | None:
    """Return how a target ends by a look after its undeploy; None if the undeploy may be repeated.

    What a look shows as deployed in full, the undeploys so far have not touched: if it was approved in
    another state, somebody has deployed it since. ``is_resumed``: the undeploys are those of earlier
    sessions, whose look may have found the target drifted. Then a look that cannot tell lets nothing go.
    """
    if approved is not None and is_resumed and looked.verdict is Verdict.UNCLEAR:
        return TargetEnd(Outcome.NOT_STARTED, f"{Reason.SPENT}: the looks could not tell: {describe(looked)}")
    if approved is None or looked.verdict is not Verdict.UP:
        return None
    facts = looked.facts or LookFacts()
    return _end_drifted(
        approved,
        StateAtApproval(state=looked.verdict.value, revision=facts.revision, since=facts.since),
    )


def _end_drifted(approved: StateAtApproval, now: StateAtApproval) -> TargetEnd | None:
    change = describe_drift(approved, now)
    return TargetEnd(Outcome.NOT_STARTED, f"{Reason.DRIFTED}: {change}") if change else None


def _describe_unread(bindings: Bindings) -> str:
    """Say which bindings could not be read, and why; once where the cause is the same."""
    by_cause: dict[str, list[str]] = {}
    for each in bindings.unread:
        by_cause.setdefault(each.why, []).append(each.what)
    told = (f"{', '.join(dict.fromkeys(words))} ({why})" for why, words in by_cause.items())
    return f"what hangs on its front end could not all be read: {'; '.join(told)}"


def describe_drift(approved: StateAtApproval, now: StateAtApproval) -> str | None:
    """Return in words what has changed since the approval; None if nothing relevant has.

    A target that is down now needs no undeploy, whoever took it down. A state that could not be read, then or
    now, proves no change.
    """
    unclear = tuple(verdict.value for verdict in _UNREAD)
    if now.state in (Verdict.DOWN.value, *unclear):
        return None
    if approved.state not in (now.state, *unclear):
        was, is_now = _describe_state(approved.state), _describe_state(now.state)
        return f"it was {was} when it was approved, and is {is_now} now"
    for what, before, after in (
        ("its revision", approved.revision, now.revision),
        ("its last deploy", approved.since, now.since),
    ):
        if before is not None and after is not None and not _is_same(before, after):
            return f"{what} was {before} when it was approved, and is {after} now"
    return None


def _is_same(before: str, after: str) -> bool:
    """Return whether two texts of a vendor are equal, or write the same instant in two zones."""
    instant = parse_instant(before)
    return before == after or (instant is not None and instant == parse_instant(after))


def _describe_state(state: str) -> str:
    words = {"up": "deployed", "down": "undeployed", "absent": "not there", "partial": "half undeployed"}
    return words.get(state, state)


def explain_miss(snapshot: Snapshot) -> str:
    """Return why a restore could not bring a target back from this snapshot."""
    if snapshot.verdict is Verdict.PARTIAL:
        return f"it was not deployed in full: {describe(_make_reading(snapshot))}"
    return _explain_unreadable(snapshot)


def _explain_unreadable(snapshot: Snapshot) -> str:
    if snapshot.verdict is Verdict.NOT_OFFERED and not snapshot.code:
        return "this version offers no look"
    return f"it could not be read: {describe(_make_reading(snapshot))}"


def _make_reading(snapshot: Snapshot) -> Reading:
    return Reading(
        verdict=snapshot.verdict,
        code=snapshot.code,
        message=snapshot.message,
        hidden=snapshot.hidden,
    )
