"""What to do next for one target: product rules as pure functions, without a clock and without dice.

``decide`` is called after every reading with what happened so far (``Past``) and answers with the next
``Step``. ``replay`` makes the same ``Past`` again from the journal, so that a resume goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.reading import Act, Reading, Verdict

LOOKS_PER_DOUBT = 3
LOOKS_BEFORE = 2
"""Looks before the first undeploy: one, and one more where that met a fault. A deploy is not sent without."""

_MIRRORED = {Verdict.UP: Verdict.DOWN, Verdict.DOWN: Verdict.UP}
_NO_REPEAT = {Verdict.DOUBT: Verdict.STRANGE}
_RESTORE_WORDS = {
    Outcome.UNDEPLOYED: Outcome.RESTORED,
    Outcome.ALREADY_UNDEPLOYED: Outcome.ALREADY_DEPLOYED,
}


class Policy(Struct, frozen=True, kw_only=True):
    """The part of a gateway's plan entry that decides about one target. Waits are seconds."""

    attempts: int = 5
    first: float = 0.5
    ceiling: float = 30.0
    always_look: bool = False
    absent_ok: bool = False
    act: Act = Act.UNDEPLOY
    """What is done to the targets: undeploy, or in a restore deploy."""

    @classmethod
    def of(cls, gateway: Gateway, act: Act = Act.UNDEPLOY) -> Policy:
        retry = gateway.retry
        restores = act is Act.DEPLOY
        return cls(
            attempts=retry.attempts,
            first=retry.first,
            ceiling=retry.ceiling,
            always_look=gateway.look == "always" or restores,
            absent_ok=gateway.absent == "ok" and not restores,
            act=act,
        )


class Past(Struct, frozen=True, kw_only=True):
    """What happened to one target so far."""

    requests: int = 0
    """Requests of any act; the number of the last attempt."""
    charged: int = 0
    """Undeploy requests that count against ``attempts``."""
    unsent: int = 0
    """Requests in a row that could not be sent: undeploys, or looks at a doubt."""
    arrived: bool = False
    """Some undeploy of ours may have had its effect, now or later."""
    doubt: bool = False
    """The newest such undeploy has not been settled by a look."""
    looks: int = 0
    """Looks at the present doubt that did not settle it."""
    about: Reading | None = None
    """The reading of the undeploy that the next look is about."""
    disobeyed: Reading | None = None
    """The newest reply that named pods which did not obey. It holds until a later reply has full evidence:
    one that leaves doubt says nothing of those pods."""

    exists: bool = False
    """The newest look, or the snapshot, said that it is there, and no reply since has said the opposite."""

    @property
    def doubted(self) -> Reading | None:
        """The reply that a look must settle: one that named pods comes before a later one without."""
        return self.disobeyed or self.about


class Send(Struct, frozen=True):
    """Send the undeploy after ``wait`` seconds."""

    wait: float = 0.0


class Look(Struct, frozen=True):
    """Look at the live state after ``wait`` seconds."""

    wait: float = 0.0


class End(Struct, frozen=True):
    """The target has its outcome (provisional where the run stops early)."""

    outcome: Outcome
    reason: str | None = None
    evidence: str | None = None


Step: TypeAlias = Send | Look | End


def first_step(policy: Policy, past: Past) -> Step:
    """Say how to begin, or to go on after a crash: with a look where one is owed.

    One is owed too where the attempts are spent: the last session died before it could say so.
    """
    spent = past.charged >= policy.attempts
    return Look() if past.doubt or past.about or spent or policy.always_look else Send()


def backoff(policy: Policy, failures: int, roll: float) -> float:
    """Return full jitter: ``roll`` (0 up to 1) times ``first`` doubled per failure, at most ``ceiling``."""
    exponent = min(failures - 1, 60)  # 2.0**1024 would not be a float any more
    return roll * min(policy.ceiling, policy.first * 2.0**exponent)


def passing(status: int | None) -> bool:
    """Tell whether a reply with this HTTP status (None is none) is a fault that may be over in a moment."""
    return status is None or status == 408 or status >= 500


def blocked(past: Past, reason: str) -> End:
    """End a target that may not go on for a reason of the run or of its lane."""
    return End(Outcome.UNKNOWN if past.doubt or _owes_look(past) else Outcome.NOT_STARTED, reason)


def _owes_look(past: Past) -> bool:
    """Tell whether the newest reply was a refusal of which only a look can say what has become of it."""
    match past.about.verdict if past.about else None:
        case Verdict.CONTESTED:
            return True
        case Verdict.REFUSED:
            return past.arrived
    return False


def decide(policy: Policy, past: Past, act: Act, reading: Reading, *, roll: float) -> tuple[Past, Step]:
    """Take in a reading; return the new past and what to do next. Never raises.

    ``past.requests`` is the caller's: it counts exchanges, of which a look may need several.
    """
    if act is Act.LOOK:
        past, step = _after_look(policy, past, reading, roll)
    else:
        past, step = _after_undeploy(policy, past, reading, roll)
    return past, spoken(policy, step) if isinstance(step, End) else step


def aimed(policy: Policy, act: Act, reading: Reading) -> Reading:
    """Return a reading as these rules take it, which speak of a target that is to be down.

    In a restore it is to be up, so the two change places; and a deploy that may have arrived is not repeated
    before a look, since to deploy twice is not harmless.
    """
    if policy.act is not Act.DEPLOY:
        return reading
    verdict = _MIRRORED.get(reading.verdict) if act is Act.LOOK else _NO_REPEAT.get(reading.verdict)
    return reading if verdict is None else replace(reading, verdict=verdict)


def spoken(policy: Policy, end: End) -> End:
    """Return an end in the words of what was done."""
    if policy.act is not Act.DEPLOY:
        return end
    return replace(end, outcome=_RESTORE_WORDS.get(end.outcome, end.outcome))


def replay(past: Past, act: Act, reading: Reading | None) -> Past:
    """Take in one recorded attempt; ``reading`` is None where an intent has no result."""
    past = replace(past, requests=past.requests + 1)
    if act is Act.LOOK:
        return _replay_look(past, reading)
    if reading and reading.verdict is Verdict.ABSENT:
        past = replace(past, exists=False)
    match reading.verdict if reading else Verdict.DOUBT:
        case Verdict.BUSY | Verdict.DENIED | Verdict.UNSENT | Verdict.ELSEWHERE:
            return past
        case Verdict.CONTESTED | Verdict.REFUSED | Verdict.ABSENT:
            return replace(past, charged=past.charged + 1, about=reading)
        case _:
            past = _heard(past, reading)
            return replace(past, charged=past.charged + 1, arrived=True, doubt=True, about=reading)


def _replay_look(past: Past, reading: Reading | None) -> Past:
    match reading.verdict if reading else None:
        case Verdict.UP:
            return replace(past, doubt=False, about=None, exists=True)
        case Verdict.ABSENT:
            return replace(past, exists=False)
    return past


def _heard(past: Past, reading: Reading | None) -> Past:
    """Keep which pods did not obey, until a reply has full evidence for all."""
    match reading.verdict if reading else None:
        case Verdict.PARTIAL:
            return replace(past, disobeyed=reading)
        case Verdict.REMOVED:
            return replace(past, disobeyed=None)
    return past


def replay_all(attempts: Iterable[tuple[Act, Reading | None]]) -> Past:
    """Make a target's past from its recorded attempts, in their order."""
    past = Past()
    for act, reading in attempts:
        past = replay(past, act, reading)
    return past


def _after_undeploy(policy: Policy, past: Past, reading: Reading, roll: float) -> tuple[Past, Step]:
    match reading.verdict:
        case Verdict.BUSY | Verdict.DENIED:
            return replace(past, unsent=0), Send()
        case Verdict.UNSENT:
            past = replace(past, unsent=past.unsent + 1)
            return past, Send(backoff(policy, past.unsent, roll))
        case Verdict.ELSEWHERE:
            return past, blocked(past, wrong_place(reading))
        case Verdict.ABSENT if not past.exists:
            return past, absent(policy, reading)
        case (
            Verdict.ABSENT
        ):  # a look has seen it: one of the two has met another server, or it is gone by now
            past = replace(past, charged=past.charged + 1, unsent=0, looks=0, about=reading, exists=False)
            return past, Look()
        case Verdict.CONTESTED | Verdict.REFUSED:
            past = replace(past, charged=past.charged + 1, unsent=0, looks=0, about=reading)
            if reading.verdict is Verdict.REFUSED and not past.arrived:
                return past, _refused(reading)
            return past, Look()
        case _:
            return _after_arrival(policy, past, reading, roll)


def _after_arrival(policy: Policy, past: Past, reading: Reading, roll: float) -> tuple[Past, Step]:
    past = _heard(past, reading)
    past = replace(past, charged=past.charged + 1, unsent=0, arrived=True, doubt=True, looks=0, about=reading)
    match reading.verdict:
        case Verdict.REMOVED if not policy.always_look:
            return past, End(Outcome.UNDEPLOYED, evidence=reading.evidence)
        case Verdict.DOUBT if past.charged < policy.attempts:
            return past, Send(max(backoff(policy, past.charged, roll), reading.wait or 0.0))
        case _:
            return past, Look()


def _after_look(policy: Policy, past: Past, reading: Reading, roll: float) -> tuple[Past, Step]:
    if reading.verdict is Verdict.UNSENT and past.charged:
        # Only looks that were sent count. The lane bounds for how long there may be no other.
        past = replace(past, unsent=past.unsent + 1)
        return past, Look(backoff(policy, past.unsent, roll))
    past = replace(past, unsent=0)
    match reading.verdict:
        case Verdict.DOWN:
            outcome = Outcome.UNDEPLOYED if past.arrived else Outcome.ALREADY_UNDEPLOYED
            return past, End(outcome, evidence="look")
        case Verdict.ABSENT if not past.exists:
            return past, absent(policy, reading)
        case Verdict.DENIED | Verdict.BUSY:
            return past, Look()
        case Verdict.UP | Verdict.PARTIAL:
            past = replace(past, exists=past.exists or reading.verdict is Verdict.UP)
            return _still_up(policy, past, reading, roll)
        case Verdict.NOT_OFFERED | Verdict.ELSEWHERE:
            return _cannot_tell(policy, past, reading, roll)
        case _:
            past = replace(
                past, looks=past.looks + 1, exists=past.exists and reading.verdict is not Verdict.ABSENT
            )
            before = policy.act is Act.UNDEPLOY and not past.charged
            if past.looks < (LOOKS_BEFORE if before else LOOKS_PER_DOUBT):
                return past, Look(backoff(policy, past.looks, roll))  # the lane keeps what a 429 asks for
            return _cannot_tell(policy, past, reading, roll)


def _still_up(policy: Policy, past: Past, reading: Reading, roll: float) -> tuple[Past, Step]:
    """A look says that it is deployed, or (PARTIAL) that pods still serve what the manager calls down."""
    about, half = past.about, reading.verdict is Verdict.PARTIAL
    settling = half or (about and about.verdict is Verdict.REMOVED)
    if past.charged and settling and past.looks + 1 < LOOKS_PER_DOUBT:
        past = replace(past, looks=past.looks + 1, doubt=past.doubt and half)
        return past, Look(backoff(policy, past.looks, 1.0))  # pods follow their manager with a delay
    if past.charged and half and (policy.act is Act.UNDEPLOY or past.charged >= policy.attempts):
        return past, _partial(reading)  # there is no undeploy for the rest; another deploy reaches all pods
    if about and about.verdict in (Verdict.CONTESTED, Verdict.REFUSED):
        return replace(past, doubt=False), _refused(about)
    if about and about.verdict is Verdict.ABSENT:
        return replace(past, doubt=False), _contradicted(policy, about)
    past = replace(past, doubt=past.doubt and half, looks=0)
    if past.charged >= policy.attempts:
        return past, _spent_while_up(policy, past, about)
    return past, Send(backoff(policy, past.charged, roll) if past.charged else 0.0)


def _cannot_tell(policy: Policy, past: Past, reading: Reading, roll: float) -> tuple[Past, Step]:
    """No look could settle it: this gateway offers none, or the looks that we may spend are spent.

    Where there are looks, nothing is deployed without one, nor counts as deployed.
    """
    offered = reading.verdict is not Verdict.NOT_OFFERED
    if policy.act is Act.DEPLOY and offered and not past.charged:
        return past, End(Outcome.NOT_STARTED, f"{Reason.SPENT}: {_untold(reading)}")
    proven = past.doubt and (policy.act is Act.UNDEPLOY or not offered)
    match past.about.verdict if past.about else None:
        case Verdict.REMOVED if past.about and proven:  # no look has spoken against the vendor's evidence
            return past, End(Outcome.UNDEPLOYED, evidence=past.about.evidence)
        case Verdict.PARTIAL if past.about:
            return past, _partial(past.about)
        case Verdict.CONTESTED | Verdict.REFUSED if past.about and not (past.arrived or offered):
            return past, _refused(past.about)
        case Verdict.CONTESTED | Verdict.REFUSED | Verdict.STRANGE | Verdict.ABSENT:
            return past, _unknown(policy, past, reading)
        case _ if past.charged < policy.attempts and not (past.doubt and offered):
            return past, Send(backoff(policy, past.charged, roll) if past.charged else 0.0)
        case _:
            return past, _unknown(policy, past, reading)


def describe(reading: Reading) -> str:
    """Return the vendor's code and text as one line; never empty."""
    told = " ".join(part for part in (reading.code, reading.message) if part)
    if told:
        return told
    return "the reply said that it was done" if reading.verdict is Verdict.REMOVED else "no reason was given"


def wrong_place(reading: Reading) -> str:
    """Return the reason for which a lane closes: this gateway is not the place that the plan means."""
    hint = f"; {reading.hint}" if reading.hint else ""
    return f"{Reason.WRONG_PLACE}: {describe(reading)}{hint}"


def _refused(reading: Reading) -> End:
    evidence = "code" if reading.code else None
    return End(Outcome.FAILED, f"{Reason.REFUSED}: {describe(reading)}", evidence)


def absent(policy: Policy, reading: Reading) -> End:
    """End a target that does not exist, in the vendor's own words."""
    gone = policy.absent_ok and not reading.hidden
    outcome = Outcome.ALREADY_UNDEPLOYED if gone else Outcome.FAILED
    return End(outcome, f"{Reason.ABSENT}: {describe(reading)}", "code")


def _contradicted(policy: Policy, reading: Reading) -> End:
    """End a target that the vendor says does not exist, and that a look before and one after have seen."""
    seen = "is deployed" if policy.act is Act.UNDEPLOY else "is not deployed, and exists"
    return End(
        Outcome.FAILED, f"{Reason.ABSENT}: {describe(reading)}; but a look says that it {seen}", "code"
    )


def _partial(reading: Reading) -> End:
    pods = ", ".join(reading.pods) if reading.pods else "something that is not named"
    pods += f" and {reading.more_pods:,} more" if reading.more_pods else ""
    text = f" ({reading.message})" if reading.message else ""
    evidence = reading.evidence or ("look" if reading.facts else None)
    return End(Outcome.FAILED, f"{Reason.PARTIAL}: not everything obeyed: {pods}{text}", evidence)


def _requests(policy: Policy, past: Past) -> str:
    return f"{past.charged} {policy.act.value} request{'' if past.charged == 1 else 's'}"


def _spent_while_up(policy: Policy, past: Past, about: Reading | None) -> End:
    last = f"; last: {describe(about)}" if about else ""
    still = "still deployed" if policy.act is Act.UNDEPLOY else "still not deployed"
    return End(Outcome.FAILED, f"{Reason.SPENT}: {still} after {_requests(policy, past)}{last}", "look")


def _unknown(policy: Policy, past: Past, reading: Reading) -> End:
    last = f"; last reply: {describe(past.about)}" if past.about else ""
    why = "this version offers no look" if reading.verdict is Verdict.NOT_OFFERED else _untold(reading)
    return End(Outcome.UNKNOWN, f"{Reason.SPENT}: {_requests(policy, past)}, and {why}{last}")


def _untold(reading: Reading) -> str:
    return f"the looks could not tell: {describe(reading)}"
