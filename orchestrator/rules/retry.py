"""The next step of one target: product rules as pure functions, without a clock and without dice.

``decide`` takes the history of a target (``TargetHistory``) and a new reading, and returns the next ``Step``.
``replay`` makes the same history again from the journal, so that a resume goes on where the run was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.rules.step_history import StepHistory, take_in_step
from orchestrator.text.counting import count_noun

LOOKS_PER_DOUBT = 3
"""Looks that one doubt may cost, those that met a fault included."""

LOOKS_BEFORE = 2
"""Looks before the first undeploy: one, and one more after a fault. A deploy is not sent without a look."""

_MIRRORED = {Verdict.UP: Verdict.DOWN, Verdict.DOWN: Verdict.UP}
_NO_REPEAT = {Verdict.DOUBT: Verdict.STRANGE}
_RESTORE_WORDS = {
    Outcome.UNDEPLOYED: Outcome.RESTORED,
    Outcome.ALREADY_UNDEPLOYED: Outcome.ALREADY_DEPLOYED,
}


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """The part of a gateway's plan entry that decides about one target. Waits are seconds."""

    attempts: int = 5
    first: float = 0.5
    ceiling: float = 30.0
    longest_wait: float = 600.0
    """The longest wait that the gateway may ask for before a repeat."""
    always_look: bool = False
    absent_ok: bool = False
    act: Act = Act.UNDEPLOY
    """The change that the run makes: undeploy, or in a restore deploy."""

    @classmethod
    def of(cls, gateway: Gateway, act: Act = Act.UNDEPLOY) -> RetryPolicy:
        retry = gateway.retry
        restores = act is Act.DEPLOY
        return cls(
            attempts=retry.attempts,
            first=retry.first,
            ceiling=retry.ceiling,
            longest_wait=gateway.park_for,
            always_look=gateway.look == "always" or restores,
            absent_ok=gateway.absent == "ok" and not restores,
            act=act,
        )


class TargetHistory(Struct, frozen=True, kw_only=True):
    """The past of one target, as far as the rules need it."""

    requests: int = 0
    """Requests of any act; the number of the last attempt."""
    charged: int = 0
    """Undeploy requests that count against ``attempts``. 401s, 429s and unsent ones do not."""
    unsent: int = 0
    """Requests in a row that could not be sent: undeploys, or looks at a doubt."""
    may_have_arrived: bool = False
    """Some undeploy of ours may have taken effect, or may still do so."""
    in_doubt: bool = False
    """No look has settled yet what the newest such undeploy did."""
    looks: int = 0
    """Looks that did not settle the present doubt."""
    unsettled_reply: Reading | None = None
    """The newest undeploy's reading, until a look says what became of that undeploy."""
    partial_reply: Reading | None = None
    """The newest reply that named pods which did not obey, or look that saw some serve what their manager
    calls down. Only a later reply with full evidence ends it: a reply that leaves doubt says nothing of those
    pods. It counts the most pods that one of them has named."""

    exists: bool = False
    """The newest look, or the snapshot, has seen the target, and no reply since has said the opposite."""

    steps: Mapping[str, StepHistory] = {}
    """In a restore, the steps after the deploy, by ``via``."""

    @property
    def reply_to_settle(self) -> Reading | None:
        """The reply that a look must settle. A reply that named pods comes before a later one without."""
        return self.partial_reply or self.unsettled_reply


class SendStep(Struct, frozen=True):
    """Send the undeploy after ``wait`` seconds."""

    wait: float = 0.0


class LookStep(Struct, frozen=True):
    """Look at the live state after ``wait`` seconds."""

    wait: float = 0.0


class TargetEnd(Struct, frozen=True):
    """The target has its outcome. The outcome is provisional if the run stops early: a resume goes on."""

    outcome: Outcome
    reason: str | None = None
    evidence: str | None = None


Step: TypeAlias = SendStep | LookStep | TargetEnd


def choose_first_step(policy: RetryPolicy, history: TargetHistory) -> Step:
    """Return how to begin, or how to go on after a crash: with a look if one is owed."""
    # With all attempts spent, only a look can end the target: the last session died before it could look.
    spent = history.charged >= policy.attempts
    return (
        LookStep()
        if history.in_doubt or history.unsettled_reply or spent or policy.always_look
        else SendStep()
    )


def draw_backoff(policy: RetryPolicy, failures: int, roll: float) -> float:
    """Return the seconds to wait before the next try, with full jitter.

    That is ``roll`` (0 up to 1) times ``first``, doubled for each failure after the first one, and at most
    ``ceiling``.
    """
    exponent = min(failures - 1, 60)  # 2.0**1024 is no float
    return roll * min(policy.ceiling, policy.first * 2.0**exponent)


def choose_pause(policy: RetryPolicy, reading: Reading, in_a_row: int, *, most: float) -> float:
    """Return the seconds to pause after a refusal to take more, the ``in_a_row``-th.

    That is what the gateway asks for, up to ``most``; else the longest backoff, without the dice.
    """
    if reading.wait is not None:
        return min(reading.wait, most)
    return max(1.0, draw_backoff(policy, in_a_row, 1.0))


def is_passing_fault(status: int | None) -> bool:
    """Return whether a reply with this HTTP status is a fault that may soon pass. None means no reply."""
    return status is None or status == 408 or status >= 500


def end_blocked(history: TargetHistory, reason: str) -> TargetEnd:
    """End a target that may not go on, for a reason of the run or of its lane."""
    return TargetEnd(
        Outcome.UNKNOWN if history.in_doubt or _owes_look(history) else Outcome.NOT_STARTED, reason
    )


def _owes_look(history: TargetHistory) -> bool:
    """Return whether the newest reply was a refusal after which only a look can tell the target's state."""
    match history.unsettled_reply.verdict if history.unsettled_reply else None:
        case Verdict.CONTESTED:
            return True
        case Verdict.REFUSED:
            return history.may_have_arrived
    return False


def decide(
    policy: RetryPolicy, history: TargetHistory, act: Act, reading: Reading, *, roll: float
) -> tuple[TargetHistory, Step]:
    """Take in a reading; return the new history and the next step. Never raises.

    The caller counts ``history.requests``: they are exchanges, and one look may need several.
    """
    if act is Act.LOOK:
        history, step = _decide_after_look(policy, history, reading, roll)
    else:
        history, step = _decide_after_undeploy(policy, history, reading, roll)
    return history, restore_outcome(policy, step) if isinstance(step, TargetEnd) else step


def mirror_reading(policy: RetryPolicy, act: Act, reading: Reading) -> Reading:
    """Return a reading as these rules take it in.

    The rules speak of a target that is to go down. In a restore the target is to come up, so UP and DOWN
    change places. A deploy that may have arrived is not repeated before a look, since a second deploy may do
    harm where a second undeploy does none.
    """
    if policy.act is not Act.DEPLOY:
        return reading
    verdict = _MIRRORED.get(reading.verdict) if act is Act.LOOK else _NO_REPEAT.get(reading.verdict)
    return reading if verdict is None else replace(reading, verdict=verdict)


def restore_outcome(policy: RetryPolicy, end: TargetEnd) -> TargetEnd:
    """Return an end in the words of a restore, if this is one."""
    if policy.act is not Act.DEPLOY:
        return end
    return replace(end, outcome=_RESTORE_WORDS.get(end.outcome, end.outcome))


def replay(history: TargetHistory, act: Act, reading: Reading | None) -> TargetHistory:
    """Take in one recorded attempt; ``reading`` is None where an intent has no result."""
    history = replace(history, requests=history.requests + 1)
    if act is Act.LOOK:
        return _replay_look(history, reading)
    if reading and reading.verdict is Verdict.ABSENT:
        history = replace(history, exists=False)
    match reading.verdict if reading else Verdict.DOUBT:
        case Verdict.BUSY | Verdict.DENIED | Verdict.UNSENT | Verdict.ELSEWHERE:
            return history
        case Verdict.CONTESTED | Verdict.REFUSED | Verdict.ABSENT:
            return replace(history, charged=history.charged + 1, unsettled_reply=reading)
        case _:
            return replace(
                history,
                charged=history.charged + 1,
                may_have_arrived=True,
                in_doubt=True,
                unsettled_reply=reading,
                partial_reply=_find_disobedience(history, reading),
            )


def _replay_look(history: TargetHistory, reading: Reading | None) -> TargetHistory:
    match reading.verdict if reading else None:
        case Verdict.UP:
            return replace(history, in_doubt=False, unsettled_reply=None, exists=True)
        case Verdict.ABSENT:
            return replace(history, exists=False)
        case Verdict.PARTIAL if reading:
            return _remember_pods(history, reading)
    return history


def _remember_pods(history: TargetHistory, look: Reading) -> TargetHistory:
    """Keep the pods that a look saw disobey: a later look that hears from fewer proves nothing of them."""
    if not (look.pods or look.pod_count):
        return history
    count = max(look.pod_count, history.partial_reply.pod_count if history.partial_reply else 0)
    return replace(history, partial_reply=replace(look, pod_count=count))


def _find_disobedience(history: TargetHistory, reading: Reading | None) -> Reading | None:
    """Return the reply that names the pods which did not obey, until a reply has full evidence for all."""
    if reading is None or not (reading.pods or reading.verdict in (Verdict.PARTIAL, Verdict.REMOVED)):
        return history.partial_reply
    return None if reading.verdict is Verdict.REMOVED else reading


def replay_all(
    attempts: Iterable[tuple[Act, Reading | None]], steps: Iterable[tuple[str, Reading | None]] = ()
) -> TargetHistory:
    """Make a target's history from its recorded attempts, in their order.

    ``steps`` are the attempts that completed a deploy, by ``via``.
    """
    history = TargetHistory()
    for act, reading in attempts:
        history = replay(history, act, reading)
    for via, reading in steps:
        history = add_step(replace(history, requests=history.requests + 1), via, reading)
    return history


def uncharge(history: TargetHistory, untold: int) -> TargetHistory:
    """Return the history without the charge for attempts that another machine may never have made.

    The doubt stays: the next session looks first, and has all of its attempts if the target is still up.
    """
    return history if not untold else replace(history, charged=history.charged - untold)


def add_step(history: TargetHistory, via: str, reading: Reading | None) -> TargetHistory:
    """Take in one request of a step after the deploy."""
    step = take_in_step(history.steps.get(via, StepHistory()), reading)
    return replace(history, steps={**history.steps, via: step})


def _decide_after_undeploy(
    policy: RetryPolicy, history: TargetHistory, reading: Reading, roll: float
) -> tuple[TargetHistory, Step]:
    match reading.verdict:
        # The lane waits out a 429, and renews a rejected credential: neither costs this target an attempt.
        case Verdict.BUSY | Verdict.DENIED:
            return replace(history, unsent=0), SendStep()
        case Verdict.UNSENT:
            history = replace(history, unsent=history.unsent + 1)
            return history, SendStep(draw_backoff(policy, history.unsent, roll))
        case Verdict.ELSEWHERE:
            return history, end_blocked(history, describe_wrong_place(reading))
        case Verdict.ABSENT if not history.exists:
            return history, end_absent(policy, reading)
        case Verdict.ABSENT:
            # A look has seen the target: either that look or this request met another server, or the target
            # was deleted in between. Another look decides.
            return replace(_charge(history, reading), exists=False), LookStep()
        case Verdict.CONTESTED | Verdict.REFUSED:
            history = _charge(history, reading)
            if reading.verdict is Verdict.REFUSED and not history.may_have_arrived:
                return history, _end_refused(reading)
            return history, LookStep()
        case _:
            return _decide_after_arrival(policy, history, reading, roll)


def _charge(history: TargetHistory, reading: Reading) -> TargetHistory:
    """Count an undeploy request; a new doubt has all of its looks left."""
    return replace(history, charged=history.charged + 1, unsent=0, looks=0, unsettled_reply=reading)


def _decide_after_arrival(
    policy: RetryPolicy, history: TargetHistory, reading: Reading, roll: float
) -> tuple[TargetHistory, Step]:
    history = replace(
        history,
        charged=history.charged + 1,
        unsent=0,
        looks=0,
        unsettled_reply=reading,
        partial_reply=_find_disobedience(history, reading),
        may_have_arrived=True,
        in_doubt=True,
    )
    match reading.verdict:
        # Full evidence needs no look, unless the plan wants one after each undeploy.
        case Verdict.REMOVED if not policy.always_look:
            return history, TargetEnd(Outcome.UNDEPLOYED, evidence=reading.evidence)
        case Verdict.DOUBT if history.charged < policy.attempts:
            asked = min(reading.wait or 0.0, policy.longest_wait)
            return history, SendStep(max(draw_backoff(policy, history.charged, roll), asked))
        case _:
            return history, LookStep()


def _decide_after_look(
    policy: RetryPolicy, history: TargetHistory, reading: Reading, roll: float
) -> tuple[TargetHistory, Step]:
    if reading.verdict is Verdict.UNSENT and history.charged:
        # Only looks that were sent count. The lane bounds for how long looks may stay unsent.
        history = replace(history, unsent=history.unsent + 1)
        return history, LookStep(draw_backoff(policy, history.unsent, roll))
    history = replace(history, unsent=0)
    match reading.verdict:
        # Down before any request of ours could arrive means that somebody else took it down.
        case Verdict.DOWN:
            outcome = Outcome.UNDEPLOYED if history.may_have_arrived else Outcome.ALREADY_UNDEPLOYED
            return history, TargetEnd(outcome, evidence="look")
        case Verdict.ABSENT if not history.exists:
            return history, end_absent(policy, reading)
        case Verdict.DENIED | Verdict.BUSY:
            return history, LookStep()
        case Verdict.UP | Verdict.PARTIAL:
            history = replace(history, exists=history.exists or reading.verdict is Verdict.UP)
            if reading.verdict is Verdict.PARTIAL:
                history = _remember_pods(history, reading)
            return _decide_while_up(policy, history, reading, roll)
        case Verdict.NOT_OFFERED | Verdict.ELSEWHERE:
            return _decide_without_answer(policy, history, reading, roll)
        case _:
            history = replace(
                history,
                looks=history.looks + 1,
                exists=history.exists and reading.verdict is not Verdict.ABSENT,
            )
            before = policy.act is Act.UNDEPLOY and not history.charged
            if history.looks < (LOOKS_BEFORE if before else LOOKS_PER_DOUBT):
                # A 429's own wait is not added here: the lane keeps it, for all targets.
                return history, LookStep(draw_backoff(policy, history.looks, roll))
            return _decide_without_answer(policy, history, reading, roll)


def _decide_while_up(
    policy: RetryPolicy, history: TargetHistory, reading: Reading, roll: float
) -> tuple[TargetHistory, Step]:
    """Decide after a look that says "deployed", or PARTIAL: pods still serve what the manager calls down."""
    reply, is_partial = history.unsettled_reply, reading.verdict is Verdict.PARTIAL
    is_settling = is_partial or (reply and reply.verdict is Verdict.REMOVED)
    if history.charged and is_settling and history.looks + 1 < LOOKS_PER_DOUBT:
        history = replace(history, looks=history.looks + 1, in_doubt=history.in_doubt and is_partial)
        # Pods follow their manager with a delay, so the full backoff is waited, without the dice.
        return history, LookStep(draw_backoff(policy, history.looks, 1.0))
    # No undeploy exists for the remaining pods alone. Another deploy, however, reaches all pods.
    if history.charged and is_partial and (policy.act is Act.UNDEPLOY or history.charged >= policy.attempts):
        return history, _end_partial(reading)
    if reply and reply.verdict in (Verdict.CONTESTED, Verdict.REFUSED):
        return replace(history, in_doubt=False), _end_refused(reply)
    if reply and reply.verdict is Verdict.ABSENT:
        return replace(history, in_doubt=False), _end_contradicted(policy, reply)
    history = replace(history, in_doubt=history.in_doubt and is_partial, looks=0)
    if history.charged >= policy.attempts:
        return history, _end_spent_while_up(policy, history, reply)
    return history, SendStep(draw_backoff(policy, history.charged, roll) if history.charged else 0.0)


def _decide_without_answer(
    policy: RetryPolicy, history: TargetHistory, reading: Reading, roll: float
) -> tuple[TargetHistory, Step]:
    """Decide without the answer of a look: the gateway offers no look, or the looks of this doubt are spent.

    In a restore, if the gateway offers looks, each deploy comes after a look and counts only after another
    look has confirmed it.
    """
    offered = reading.verdict is not Verdict.NOT_OFFERED
    if policy.act is Act.DEPLOY and offered and not history.charged:
        return history, TargetEnd(Outcome.NOT_STARTED, f"{Reason.SPENT}: {_describe_silence(reading)}")
    # In a restore the vendor's evidence alone is not enough where a look could have confirmed it.
    is_proven = history.in_doubt and (policy.act is Act.UNDEPLOY or not offered)
    reply = history.unsettled_reply
    match reply.verdict if reply else None:
        case Verdict.REMOVED if reply and is_proven:
            # No look has contradicted the vendor's evidence.
            return history, TargetEnd(Outcome.UNDEPLOYED, evidence=reply.evidence)
        case Verdict.PARTIAL if reply:
            return history, _end_partial(reply)
        case Verdict.CONTESTED | Verdict.REFUSED if reply and not (history.may_have_arrived or offered):
            return history, _end_refused(reply)
        # To repeat these would be a guess about a reply that could not be told apart.
        case Verdict.CONTESTED | Verdict.REFUSED | Verdict.STRANGE | Verdict.ABSENT:
            return history, _end_unknown(policy, history, reading)
        case _ if history.charged < policy.attempts and not (history.in_doubt and offered):
            return history, SendStep(draw_backoff(policy, history.charged, roll) if history.charged else 0.0)
        case _:
            return history, _end_unknown(policy, history, reading)


def describe(reading: Reading) -> str:
    """Return the vendor's code and text as one line; never empty."""
    told = " ".join(part for part in (reading.code, reading.message) if part)
    if told:
        return told
    return "the reply said that it was done" if reading.verdict is Verdict.REMOVED else "no reason was given"


def describe_wrong_place(reading: Reading) -> str:
    """Return why a lane closes: this gateway is not the place that the plan means."""
    hint = f"; {reading.hint}" if reading.hint else ""
    return f"{Reason.WRONG_PLACE}: {describe(reading)}{hint}"


def _end_refused(reading: Reading) -> TargetEnd:
    evidence = "code" if reading.code else None
    return TargetEnd(Outcome.FAILED, f"{Reason.REFUSED}: {describe(reading)}", evidence)


def end_absent(policy: RetryPolicy, reading: Reading) -> TargetEnd:
    """End a target that does not exist, in the vendor's own words."""
    gone = policy.absent_ok and not reading.hidden
    outcome = Outcome.ALREADY_UNDEPLOYED if gone else Outcome.FAILED
    return TargetEnd(outcome, f"{Reason.ABSENT}: {describe(reading)}", "code")


def _end_contradicted(policy: RetryPolicy, reading: Reading) -> TargetEnd:
    """End a target that does not exist by the vendor's word, though looks before and after have seen it."""
    seen = "is deployed" if policy.act is Act.UNDEPLOY else "is not deployed, and exists"
    return TargetEnd(
        Outcome.FAILED, f"{Reason.ABSENT}: {describe(reading)}; but a look says that it {seen}", "code"
    )


def _end_partial(reading: Reading) -> TargetEnd:
    pods = ", ".join(reading.pods) if reading.pods else "something that is not named"
    pods += f" and {reading.more_pods:,} more" if reading.more_pods else ""
    text = f" ({reading.message})" if reading.message else ""
    evidence = reading.evidence or ("look" if reading.facts else None)
    return TargetEnd(Outcome.FAILED, f"{Reason.PARTIAL}: not everything obeyed: {pods}{text}", evidence)


def _count_requests(policy: RetryPolicy, history: TargetHistory) -> str:
    return f"{count_noun(history.charged, f'{policy.act.value} request')}"


def _end_spent_while_up(policy: RetryPolicy, history: TargetHistory, about: Reading | None) -> TargetEnd:
    last = f"; last: {describe(about)}" if about else ""
    still = "still deployed" if policy.act is Act.UNDEPLOY else "still not deployed"
    return TargetEnd(
        Outcome.FAILED, f"{Reason.SPENT}: {still} after {_count_requests(policy, history)}{last}", "look"
    )


def _end_unknown(policy: RetryPolicy, history: TargetHistory, reading: Reading) -> TargetEnd:
    last = f"; last reply: {describe(history.unsettled_reply)}" if history.unsettled_reply else ""
    why = (
        "this version offers no look"
        if reading.verdict is Verdict.NOT_OFFERED
        else _describe_silence(reading)
    )
    return TargetEnd(Outcome.UNKNOWN, f"{Reason.SPENT}: {_count_requests(policy, history)}, and {why}{last}")


def _describe_silence(reading: Reading) -> str:
    return f"the looks could not tell: {describe(reading)}"
