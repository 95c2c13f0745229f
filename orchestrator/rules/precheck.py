"""What a snapshot, and an approval, mean for a target that is about to be undeployed. Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.reading import Reading, Snapshot, Verdict
from orchestrator.rules.retry import End, Policy, absent, describe


class Approved(Struct, frozen=True, kw_only=True):
    """What somebody saw of a target when they approved that it is undeployed."""

    state: str
    """A verdict's value."""
    revision: str | None = None
    since: str | None = None

    @classmethod
    def of(cls, snapshot: Snapshot) -> Approved:
        """Return what of a snapshot an approval keeps."""
        facts = snapshot.facts
        return cls(state=snapshot.verdict.value, revision=facts.revision, since=facts.since)


def judge_snapshot(
    policy: Policy, snapshot: Snapshot, approved: Approved | None, *, required: bool
) -> End | None:
    """Return how a target ends by what was seen of it, or None where it is to be undeployed."""
    if approved is not None and (change := drift(approved, Approved.of(snapshot))):
        return End(Outcome.NOT_STARTED, f"{Reason.DRIFTED}: {change}")
    match snapshot.verdict:
        case Verdict.DOWN:
            return End(Outcome.ALREADY_UNDEPLOYED, evidence="look")
        case Verdict.ABSENT:
            return absent(policy, _reading(snapshot))
        case Verdict.UP if required and "missing-history" in snapshot.obstacles:
            why = f": {snapshot.message}" if snapshot.message else ""
            return End(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: its deployment could not be read{why}")
        case Verdict.PARTIAL if required:
            return End(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: {describe(_reading(snapshot))}")
        case Verdict.UNCLEAR | Verdict.NOT_OFFERED if required:
            return End(Outcome.NOT_STARTED, f"{Reason.SNAPSHOT}: {_why(snapshot)}")
        case _:
            return None


def drift(approved: Approved, now: Approved) -> str | None:
    """Return what has changed since the approval, in words; None where nothing has that matters.

    What is down now needs no undeploy, whoever did it; what nobody could tell then or now says nothing.
    """
    unclear = (Verdict.UNCLEAR.value, Verdict.NOT_OFFERED.value)
    if now.state in (Verdict.DOWN.value, *unclear):
        return None
    if approved.state not in (now.state, *unclear):
        return f"it was {_word(approved.state)} when it was approved, and is {_word(now.state)} now"
    for what, before, after in (
        ("its revision", approved.revision, now.revision),
        ("its last deploy", approved.since, now.since),
    ):
        if before is not None and after is not None and before != after:
            return f"{what} was {before} when it was approved, and is {after} now"
    return None


def _word(state: str) -> str:
    words = {"up": "deployed", "down": "undeployed", "absent": "not there", "partial": "half undeployed"}
    return words.get(state, state)


def explain_miss(snapshot: Snapshot) -> str:
    """Return why a snapshot does not bring its target back."""
    if snapshot.verdict is Verdict.PARTIAL:
        return f"it was not deployed in full: {describe(_reading(snapshot))}"
    return _why(snapshot)


def _why(snapshot: Snapshot) -> str:
    if snapshot.verdict is Verdict.NOT_OFFERED and not snapshot.code:
        return "this version offers no look"
    return f"it could not be read: {describe(_reading(snapshot))}"


def _reading(snapshot: Snapshot) -> Reading:
    return Reading(
        verdict=snapshot.verdict,
        code=snapshot.code,
        message=snapshot.message,
        hidden=snapshot.hidden,
        evidence="code" if snapshot.verdict is Verdict.ABSENT else None,
    )
