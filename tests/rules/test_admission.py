"""Who may send in a lane and when: its pauses, what parks and closes it, and its probes. No clock."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import (
    AdmissionDelayed,
    AdmissionGranted,
    AdmissionRefused,
    AdmissionRequest,
    LaneState,
)
from orchestrator.rules.parking import FIRST_PROBE, FOR_OTHERS
from orchestrator.rules.retry import RetryPolicy
from tests.support.readings import reading

LOOK, UNDEPLOY = Act.LOOK, Act.UNDEPLOY
A, B, C = TargetId("gw/a"), TargetId("gw/b"), TargetId("gw/c")
DOUBT = reading(Verdict.DOUBT, message="HTTP 502")
UNSENT = reading(Verdict.UNSENT, message="refused")
DENIED = reading(Verdict.DENIED, code="E.401", message="bad token")
ELSEWHERE = reading(Verdict.ELSEWHERE, code="E.3030", message="no instance")
REMOVED = reading(Verdict.REMOVED)
REFUSED = reading(Verdict.REFUSED, code="E.403", message="not yours")
ABSENT = reading(Verdict.ABSENT)
MANY = 1000
PARK_FOR = 600.0


def busy(wait: float | None = None) -> Reading:
    return reading(Verdict.BUSY, wait=wait, message="slow down")


def state() -> LaneState:
    return LaneState(RetryPolicy(), PARK_FOR)


def ask(
    lane: LaneState, target: TargetId, now: float, act: Act = UNDEPLOY, *, settling: bool = False
) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
    return lane.admit(AdmissionRequest(target, act, settling=settling), now)


def tell(
    lane: LaneState,
    target: TargetId,
    said: Reading,
    now: float,
    act: Act = UNDEPLOY,
    *,
    left: int = MANY,
    within_reach: int = 8,
) -> float | None:
    """What came of a request that left at ``now`` and was answered at once."""
    turn, reach = AdmissionRequest(target, act), min(left, within_reach)
    return lane.observe(turn, said, now, began=now, left=left, within_reach=reach)


def status(lane: LaneState) -> str:
    return lane.state


def parked(now: float = 0.0) -> LaneState:
    lane = state()
    for number in range(5):
        tell(lane, TargetId(f"gw/faulty-{number}"), DOUBT, now)
    assert status(lane) == "parked"
    return lane


# --- the pace -------------------------------------------------------------------------------------------


@pytest.mark.promise(6)
def test_a_429_pauses_the_whole_lane_for_as_long_as_it_asks() -> None:
    lane = state()

    assert tell(lane, A, busy(12.0), 100.0) == 12.0
    for target in (A, B):
        assert ask(lane, target, 105.0) == AdmissionDelayed(7.0)
        assert ask(lane, target, 105.0, LOOK, settling=True) == AdmissionDelayed(7.0)
        assert ask(lane, target, 112.0) == AdmissionGranted()


@pytest.mark.promise(6)
def test_a_429_to_a_look_pauses_the_looks_only() -> None:
    lane = state()
    tell(lane, A, busy(12.0), 100.0, LOOK)

    assert ask(lane, B, 101.0, LOOK) == AdmissionDelayed(11.0)
    assert ask(lane, B, 101.0) == AdmissionGranted()
    assert ask(lane, B, 112.0, LOOK) == AdmissionGranted()


def test_an_absurd_retry_after_is_bounded() -> None:
    lane = state()

    assert tell(lane, A, busy(1e300), 0.0) == PARK_FOR
    tell(lane, A, busy(1e300), 0.0, LOOK)
    assert ask(lane, A, PARK_FOR, LOOK) == AdmissionGranted()


@pytest.mark.promise(10)
@pytest.mark.parametrize("act", [UNDEPLOY, LOOK])
def test_an_absurd_stated_rate_is_bounded(act: Act) -> None:
    """One request in a century, as a text such as ``limit:1,time:999999 hour`` says, would hang a run."""
    lane = state()
    for second in range(3):
        ask(lane, A, float(second), act)
        tell(lane, A, reading(Verdict.UP if act is LOOK else Verdict.REMOVED), float(second), act)
    tell(lane, A, reading(Verdict.BUSY, wait=1.0, rate=1 / 3.6e9), 3.0, act)

    decision = ask(lane, A, 4.0, act)
    assert isinstance(decision, AdmissionDelayed)
    assert decision.seconds < 5 * PARK_FOR


def test_a_stated_rate_that_an_earlier_version_has_learned_is_bounded() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, learned=1 / 3.6e9)

    assert ask(lane, A, 0.0) == AdmissionGranted()
    decision = ask(lane, B, 0.0)
    assert isinstance(decision, AdmissionDelayed)
    assert decision.seconds < 5 * PARK_FOR


def test_a_shorter_wait_does_not_shorten_a_pause() -> None:
    """Several requests in flight get their 429 each; only the first one is told as a pause."""
    lane = state()

    assert tell(lane, A, busy(12.0), 0.0) == 12.0
    assert tell(lane, B, busy(2.0), 1.0) is None
    assert ask(lane, C, 1.0) == AdmissionDelayed(11.0)


def test_a_429_without_a_wait_backs_off_and_never_less_than_a_second() -> None:
    lane = state()
    now, pauses = 0.0, []
    for _ in range(7):
        pause = tell(lane, A, busy(), now)
        assert pause is not None
        pauses.append(pause)
        now += pause

    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    tell(lane, A, REMOVED, now)
    assert tell(lane, A, busy(), now) == 1.0


# --- parked ---------------------------------------------------------------------------------------------


@pytest.mark.promise(6)
@pytest.mark.parametrize("fault", [DOUBT, UNSENT, reading(Verdict.STRANGE)])
def test_faults_of_five_targets_park_the_lane(fault: Reading) -> None:
    lane = state()
    for number in range(4):
        tell(lane, TargetId(f"gw/{number}"), fault, 0.0)

    assert status(lane) == "open"
    tell(lane, TargetId("gw/5"), fault, 0.0)
    assert status(lane) == "parked"


def test_strange_replies_in_the_vendors_own_form_are_answers_and_park_nothing() -> None:
    lane = state()
    for number in range(9):
        tell(lane, TargetId(f"gw/{number}"), reading(Verdict.STRANGE, is_answer=True), 0.0)
    assert status(lane) == "open"

    for number in range(4):
        tell(lane, TargetId(f"gw/{number}"), DOUBT, 0.0)
    tell(lane, A, reading(Verdict.STRANGE, is_answer=True), 0.0)
    tell(lane, B, DOUBT, 0.0)
    assert status(lane) == "open", "an answer ends the row of faults"


def test_unclear_looks_in_the_vendors_own_form_do_not_park_a_restore() -> None:
    """As of targets in whose place something else is deployed by now."""

    def look_at_nine(**fields: bool) -> str:
        lane = LaneState(RetryPolicy(act=Act.DEPLOY), PARK_FOR)
        for number in range(9):
            turn = AdmissionRequest(TargetId(f"gw/{number}"), Act.LOOK)
            unclear = reading(Verdict.UNCLEAR, **fields)
            lane.observe(turn, unclear, 0.0, began=0.0, left=MANY, within_reach=8, status=200)
        return lane.state

    assert look_at_nine(is_answer=True) == "open"
    assert look_at_nine() == "parked"


def tell_of_steps(lane: LaneState, act: Act, verdict: Verdict, status: int | None) -> None:
    for number in range(9):
        turn = AdmissionRequest(TargetId(f"gw/{number}"), act)
        lane.observe(turn, reading(verdict), 0.0, began=0.0, left=MANY, within_reach=8, status=status)


@pytest.mark.promise(6)
@pytest.mark.parametrize("act", [Act.BIND, Act.PUBLISH])
@pytest.mark.parametrize(("verdict", "status"), [(Verdict.DOUBT, 500), (Verdict.STRANGE, 200)])
def test_one_ill_service_behind_the_gateway_does_not_park_a_restore(
    act: Act, verdict: Verdict, status: int
) -> None:
    lane = LaneState(RetryPolicy(act=Act.DEPLOY), PARK_FOR)
    tell_of_steps(lane, act, verdict, status)
    assert lane.state == "open"

    tell_of_steps(lane, Act.DEPLOY, verdict, status)
    assert lane.state == "parked"


@pytest.mark.promise(6)
@pytest.mark.parametrize("status", [None, 408, 502, 503, 504])
def test_a_gateway_that_answers_no_step_is_parked_in_a_restore(status: int | None) -> None:
    lane = LaneState(RetryPolicy(act=Act.DEPLOY), PARK_FOR)
    tell_of_steps(lane, Act.BIND, Verdict.DOUBT, status)

    assert lane.state == "parked"


def test_a_step_that_fails_as_the_probe_of_a_parked_lane_leaves_the_next_probe_to_another() -> None:
    lane = LaneState(RetryPolicy(act=Act.DEPLOY), PARK_FOR)
    tell_of_steps(lane, Act.DEPLOY, Verdict.DOUBT, 502)
    step = AdmissionRequest(A, Act.BIND)
    assert lane.admit(step, FIRST_PROBE) == AdmissionGranted()
    lane.observe(
        step, reading(Verdict.STRANGE), FIRST_PROBE, began=FIRST_PROBE, left=MANY, within_reach=8, status=200
    )

    assert lane.state == "parked"
    assert lane.admit(AdmissionRequest(B, Act.DEPLOY), 3 * FIRST_PROBE) == AdmissionGranted()


@pytest.mark.promise(6)
def test_one_bad_target_never_parks_a_lane_that_has_others() -> None:
    lane = state()
    for second in range(100):
        tell(lane, A, DOUBT, float(second))

    assert status(lane) == "open"


@pytest.mark.parametrize("answer", [REMOVED, ABSENT, reading(Verdict.REFUSED), reading(Verdict.CONTESTED)])
def test_an_answered_undeploy_forgets_the_faults(answer: Reading) -> None:
    lane = state()
    for number in range(8):
        tell(lane, TargetId(f"gw/{number}"), answer if number == 4 else DOUBT, 0.0)

    assert status(lane) == "open"


@pytest.mark.parametrize("silent", [busy(1.0), DENIED])
def test_a_429_or_a_401_is_no_answer(silent: Reading) -> None:
    lane = state()
    for number in range(6):
        tell(lane, TargetId(f"gw/{number}"), silent if number == 3 else DOUBT, 0.0)

    assert status(lane) == "parked"


@pytest.mark.parametrize("look", [Verdict.UP, Verdict.DOWN, Verdict.UNCLEAR, Verdict.ABSENT])
def test_a_look_neither_saves_nor_parks_a_lane(look: Verdict) -> None:
    lane = state()
    for number in range(4):
        tell(lane, TargetId(f"gw/{number}"), DOUBT, 0.0)
    for number in range(9):
        tell(lane, TargetId(f"gw/look-{number}"), reading(look), 0.0, LOOK)

    assert status(lane) == "open"
    tell(lane, TargetId("gw/5"), DOUBT, 0.0)
    assert status(lane) == "parked"


@pytest.mark.promise(6)
@pytest.mark.parametrize("left", [2, 3, 4, 5])
def test_a_lane_with_fewer_targets_left_parks_on_those(left: int) -> None:
    lane = state()
    for second in range(left - 1):
        tell(lane, TargetId(f"gw/{second}"), DOUBT, float(second), left=left)
        tell(lane, TargetId(f"gw/{second}"), DOUBT, float(second), left=left)

    assert status(lane) == "open"
    tell(lane, A, DOUBT, 5.0, left=left)
    assert status(lane) == "parked"


@pytest.mark.promise(6)
def test_two_bad_targets_at_the_end_of_a_lane_that_has_answered_do_not_park_it() -> None:
    """In one that has answered nothing yet they are all that there is to go by."""
    lane = state()
    tell(lane, C, REMOVED, 0.0, left=12)
    for second in range(20):
        for target in (A, B):
            tell(lane, target, DOUBT, float(second), left=2)

    assert status(lane) == "open"
    for number in range(3):
        tell(lane, TargetId(f"gw/{number}"), DOUBT, 30.0, left=5)
    assert status(lane) == "parked"


def test_a_parked_lane_is_probed_by_one_target_at_a_time_at_growing_intervals() -> None:
    lane = parked(now=0.0)
    now, at = 0.0, []
    while now < 400.0:
        match ask(lane, A, now):
            case AdmissionDelayed(seconds):
                assert seconds is not None
                now += seconds
                continue
        assert isinstance(ask(lane, B, now), AdmissionDelayed)
        assert ask(lane, A, now) == AdmissionGranted()
        at.append(now)
        tell(lane, A, DOUBT, now)

    assert at == [5.0, 15.0, 35.0, 75.0, 135.0, 195.0, 255.0, 315.0, 375.0]


def test_what_was_in_flight_when_the_lane_parked_does_not_put_off_its_probe() -> None:
    lane = parked(now=0.0)
    for number in range(20):
        tell(lane, TargetId(f"gw/late-{number}"), DOUBT, 1.0)

    assert ask(lane, A, FIRST_PROBE) == AdmissionGranted()


@pytest.mark.promise(6)
def test_a_doubt_waits_while_the_lane_is_parked_and_an_undeploy_is_the_probe() -> None:
    lane = parked()

    assert isinstance(ask(lane, A, 0.0, LOOK, settling=True), AdmissionDelayed)
    assert isinstance(ask(lane, A, FIRST_PROBE, LOOK, settling=True), AdmissionDelayed)
    assert ask(lane, B, FIRST_PROBE) == AdmissionGranted()
    assert isinstance(ask(lane, A, FIRST_PROBE + FOR_OTHERS, LOOK, settling=True), AdmissionDelayed)


def test_where_only_doubts_are_left_a_look_is_the_probe_and_each_keeps_its_last_one() -> None:
    """Else a gateway that is well again would be waited for to the end of park_for."""
    lane, due = parked(), FIRST_PROBE + FOR_OTHERS
    spent = AdmissionRequest(C, LOOK, settling=True, last=True)
    assert ask(lane, A, due, LOOK, settling=True) == AdmissionGranted()
    assert isinstance(ask(lane, B, due, LOOK, settling=True), AdmissionDelayed)
    look(lane, A, Verdict.UNCLEAR, due)

    # It failed: the next one waits twice as long, and opens nothing when it is answered, but may be followed.
    assert ask(lane, B, due, LOOK, settling=True) == AdmissionDelayed(2 * FIRST_PROBE + FOR_OTHERS)
    due += 2 * FIRST_PROBE + FOR_OTHERS
    assert isinstance(lane.admit(spent, due), AdmissionDelayed)
    for target in (B, A):
        assert ask(lane, target, due, LOOK, settling=True) == AdmissionGranted()
        look(lane, target, Verdict.UP, due)
    assert status(lane) == "parked"
    assert ask(lane, A, due) == AdmissionGranted()
    tell(lane, A, REMOVED, due)
    assert status(lane) == "open"
    assert lane.admit(spent, due) == AdmissionGranted()


def look(lane: LaneState, target: TargetId, verdict: Verdict, now: float) -> None:
    """What came of a look that was to settle a doubt."""
    turn = AdmissionRequest(target, LOOK, settling=True)
    lane.observe(turn, reading(verdict, message="HTTP 500"), now, began=now, left=MANY, within_reach=8)


def test_a_prober_that_ends_makes_room_for_another() -> None:
    lane = parked()
    assert ask(lane, A, 5.0, LOOK) == AdmissionGranted()

    assert lane.leave(B) is False
    assert lane.leave(A) is True
    assert ask(lane, B, 5.0) == AdmissionGranted()


@pytest.mark.promise(6)
def test_an_answer_opens_the_lane_again() -> None:
    lane = parked()
    ask(lane, A, 5.0)
    tell(lane, A, REMOVED, 6.0)

    assert (lane.state, lane.reason) == ("open", None)
    assert ask(lane, B, 6.0) == AdmissionGranted()


@pytest.mark.promise(6)
def test_a_parked_lane_gives_up_after_park_for() -> None:
    lane = parked(now=10.0)
    ask(lane, A, 15.0)
    tell(lane, A, DOUBT, 15.0)

    assert ask(lane, A, 10.0 + PARK_FOR - 0.001) == AdmissionGranted()
    tell(lane, A, DOUBT, 10.0 + PARK_FOR)
    assert ask(lane, B, 10.0 + PARK_FOR) == AdmissionRefused("parked: HTTP 502")
    assert lane.refusal(UNDEPLOY) == lane.refusal(LOOK) == "parked: HTTP 502"
    assert ask(lane, A, 1e6, LOOK, settling=True) == AdmissionGranted()  # a doubt may still be settled


@pytest.mark.promise(6)
@pytest.mark.parametrize("fault", [Verdict.UNCLEAR, Verdict.UNSENT])
def test_the_first_fault_of_a_look_ends_the_doubts_of_a_lane_that_was_given_up(fault: Verdict) -> None:
    lane = parked()
    until_refused(lane, 0.0)
    for target in (A, B):
        assert ask(lane, target, 700.0, LOOK, settling=True) == AdmissionGranted()
        look(lane, target, Verdict.UP, 700.0)
    look(lane, C, fault, 700.0)

    assert ask(lane, A, 700.0, LOOK, settling=True) == AdmissionRefused("parked: HTTP 502")
    assert lane.hopeless == "parked: HTTP 502"


def test_a_probe_that_was_due_before_the_end_is_made_by_a_later_wave() -> None:
    """The time counts on between waves, in which nobody is there to probe."""
    lane = parked()
    assert ask(lane, A, PARK_FOR + 60.0) == AdmissionGranted()
    assert isinstance(ask(lane, B, PARK_FOR + 60.0), AdmissionDelayed)
    tell(lane, A, REMOVED, PARK_FOR + 61.0)
    assert status(lane) == "open"

    lane = parked()
    assert ask(lane, A, PARK_FOR + 60.0) == AdmissionGranted()
    tell(lane, A, DOUBT, PARK_FOR + 61.0)
    assert ask(lane, B, PARK_FOR + 61.0) == AdmissionRefused("parked: HTTP 502")


def test_no_pause_that_a_probe_is_asked_for_outlasts_park_for() -> None:
    lane = parked()
    assert ask(lane, A, 500.0) == AdmissionGranted()
    tell(lane, A, busy(400.0), 500.0)

    assert ask(lane, A, 500.0) == AdmissionDelayed(PARK_FOR - 500.0)
    assert ask(lane, A, PARK_FOR) == AdmissionRefused("parked: HTTP 502")


def test_a_lone_request_that_is_never_heard_of_makes_room() -> None:
    for lane in (alone(), parked()):
        assert ask(lane, A, FIRST_PROBE) == AdmissionGranted()
        wait = ask(lane, B, FIRST_PROBE)
        assert wait == AdmissionDelayed(60.0 + RetryPolicy().ceiling)
        assert ask(lane, B, FIRST_PROBE + wait.seconds) == AdmissionGranted()


def test_a_list_is_not_waited_for_while_the_lane_is_parked() -> None:
    """Whoever reads it holds up all that want to see it, the probe among them."""
    lane = parked()

    assert isinstance(lane.admit(AdmissionRequest(A, LOOK, dispensable=True), FIRST_PROBE), AdmissionRefused)


def test_park_for_is_never_overslept() -> None:
    lane = parked(now=0.0)
    now = 0.0
    while not isinstance(said := ask(lane, A, now), AdmissionRefused):
        if isinstance(said, AdmissionDelayed):
            now += said.seconds
        else:
            tell(lane, A, DOUBT, now)

    assert now == PARK_FOR


@pytest.mark.promise(6)
def test_nothing_but_429_parks_the_lane_after_park_for() -> None:
    lane = state()
    now = 0.0
    while lane.state == "open":
        now += tell(lane, A, busy(100.0), now) or 0.0

    assert now - 100.0 == PARK_FOR
    assert lane.refusal(UNDEPLOY)
    assert lane.refusal(LOOK, settling=True) is None
    assert lane.reason == "parked: nothing but refusals to take more: slow down"


def test_a_fault_between_two_429_begins_their_time_anew() -> None:
    lane = state()
    tell(lane, A, busy(1.0), 0.0)
    tell(lane, A, DOUBT, 300.0)
    tell(lane, A, busy(1.0), PARK_FOR)

    assert status(lane) == "open"


def test_one_bad_target_among_answered_ones_never_parks_a_lane() -> None:
    """Another one's answer, be it a refusal, stands between its faults and those that come next."""
    lane = state()
    for second in range(200):
        tell(lane, A, DOUBT, float(second))
        if second % 4 == 3:
            tell(lane, TargetId(f"gw/{second}"), REFUSED if second % 8 == 3 else REMOVED, float(second))
        assert status(lane) == "open"


@pytest.mark.parametrize("fault", [DOUBT, reading(Verdict.STRANGE)])
def test_the_last_target_alone_does_not_park_a_lane_by_its_faults(fault: Reading) -> None:
    lane = state()
    for second in range(100):
        tell(lane, A, fault, float(second), left=1)

    assert status(lane) == "open"


@pytest.mark.promise(7)
@pytest.mark.parametrize(("left", "within_reach"), [(1, 1), (100, 1), (100, 2)])
def test_five_requests_in_a_row_that_could_not_be_sent_park_a_lane(left: int, within_reach: int) -> None:
    """Once all that are under way have met that; they cost no attempt, so nothing else would end it."""
    lane = state()
    for number in range(4):
        tell(lane, A if number % 2 else B, UNSENT, 0.0, left=max(left, 100), within_reach=within_reach)
    assert status(lane) == "open"
    tell(lane, A, UNSENT, 0.0, left=max(left, 100), within_reach=within_reach)
    assert status(lane) == "parked"

    lane = state()
    for number in range(30):
        tell(lane, A, UNSENT if number % 5 != 4 else DOUBT, 0.0, left=left, within_reach=1)
    assert status(lane) == "open"


@pytest.mark.promise(6)
def test_park_for_counts_once_until_the_gateway_answers() -> None:
    """Nobody probes twice for ten minutes, whichever targets come; after an answer the time begins anew."""
    lane = parked(now=0.0)
    now = until_refused(lane, 0.0)
    assert now == PARK_FOR
    assert [ask(lane, TargetId(f"gw/later-{number}"), now + number) for number in range(3)] == [
        AdmissionRefused("parked: HTTP 502")
    ] * 3

    lane = parked(now=0.0)
    assert ask(lane, A, 500.0) == AdmissionGranted()
    tell(lane, A, REFUSED, 500.0)
    assert status(lane) == "open"
    for number in range(5):
        tell(lane, TargetId(f"gw/again-{number}"), DOUBT, 510.0)
    assert until_refused(lane, 510.0) == 510.0 + PARK_FOR


def until_refused(lane: LaneState, now: float) -> float:
    """When a lane that only faults come from refuses a target."""
    while not isinstance(said := ask(lane, A, now), AdmissionRefused):
        if isinstance(said, AdmissionDelayed):
            now += said.seconds
        else:
            tell(lane, A, DOUBT, now)
    return now


def test_probes_go_at_growing_intervals_and_one_at_a_time() -> None:
    lane, now, at = parked(now=0.0), 0.0, list[float]()
    targets = [TargetId(f"gw/{number}") for number in range(8)]
    while len(at) < 6:
        said = [ask(lane, target, now) for target in targets]
        if AdmissionGranted() in said:
            assert said.count(AdmissionGranted()) == 1
            assert sum(isinstance(one, AdmissionDelayed) for one in said) == 7
            at.append(now)
            tell(lane, targets[said.index(AdmissionGranted())], DOUBT, now)
        else:
            (wait,) = {one.seconds for one in said if isinstance(one, AdmissionDelayed)}
            now += wait

    assert at == [5.0, 15.0, 35.0, 75.0, 135.0, 195.0]


def test_a_probe_that_is_denied_keeps_its_turn() -> None:
    """The next credential is tried by the same one: nobody else goes meanwhile."""
    lane = parked()
    assert ask(lane, A, 5.0) == AdmissionGranted()
    tell(lane, A, DENIED, 5.0)

    assert isinstance(ask(lane, B, 5.0), AdmissionDelayed)
    assert ask(lane, A, 5.0) == AdmissionGranted()


# --- a signature that was never let in ------------------------------------------------------------------


def alone() -> LaneState:
    return LaneState(RetryPolicy(), PARK_FOR, first_alone=True)


@pytest.mark.promise(5)
def test_a_parked_lane_whose_signature_was_never_let_in_is_probed_like_any_other() -> None:
    lane = alone()
    for number in range(5):
        assert ask(lane, TargetId(f"gw/{number}"), 0.0) == AdmissionGranted()
        assert isinstance(ask(lane, A, 0.0), AdmissionDelayed)
        tell(lane, TargetId(f"gw/{number}"), UNSENT, 0.0)

    assert status(lane) == "parked"
    assert ask(lane, A, 0.0) == AdmissionDelayed(FIRST_PROBE)
    assert until_refused(lane, 0.0) == PARK_FOR


@pytest.mark.promise(5)
def test_a_look_that_settles_a_doubt_waits_for_a_probe_whose_signature_was_never_let_in() -> None:
    lane = alone()
    for number in range(5):
        assert ask(lane, TargetId(f"gw/{number}"), 0.0) == AdmissionGranted()
        tell(lane, TargetId(f"gw/{number}"), UNSENT, 0.0)
    assert ask(lane, A, PARK_FOR - 1.0, LOOK) == AdmissionGranted()

    assert isinstance(ask(lane, B, PARK_FOR, LOOK, settling=True), AdmissionDelayed)
    assert lane.given_up
    tell(lane, A, reading(Verdict.UNCLEAR), PARK_FOR + 20.0, LOOK)
    lane.leave(A)
    assert ask(lane, B, PARK_FOR + 20.0, LOOK, settling=True) == AdmissionGranted()


@pytest.mark.promise(5)
def test_a_denied_first_signature_lets_no_other_request_go() -> None:
    lane = alone()
    assert ask(lane, A, 0.0) == AdmissionGranted()
    tell(lane, A, DENIED, 0.0)

    assert isinstance(ask(lane, B, 0.0), AdmissionDelayed)


# --- retries --------------------------------------------------------------------------------------------


def repeat(
    lane: LaneState, number: int, now: float
) -> AdmissionGranted | AdmissionDelayed | AdmissionRefused:
    return lane.admit(AdmissionRequest(TargetId(f"gw/{number}"), UNDEPLOY, repeats=True), now)


@pytest.mark.promise(7)
def test_the_fifty_first_retry_waits_until_time_or_success_gives_one_back() -> None:
    lane = state()
    assert [repeat(lane, number, 0.0) for number in range(50)] == [AdmissionGranted()] * 50
    assert repeat(lane, 51, 0.0) == AdmissionDelayed(1.0)
    assert repeat(lane, 52, 0.25) == AdmissionDelayed(0.75)
    assert ask(lane, A, 0.25) == AdmissionGranted()  # a first undeploy is no retry
    assert ask(lane, A, 0.25, LOOK, settling=True) == AdmissionGranted()

    tell(lane, A, REMOVED, 0.25)
    assert repeat(lane, 51, 0.25) == AdmissionDelayed(0.25)
    tell(lane, A, REMOVED, 0.25)
    assert repeat(lane, 51, 0.25) == AdmissionGranted()
    tell(lane, A, REFUSED, 0.25)  # answered, but no success
    assert repeat(lane, 52, 0.5) == AdmissionDelayed(0.5)
    assert repeat(lane, 52, 1.0) == AdmissionGranted()


@pytest.mark.promise(7)
def test_a_probe_needs_no_share_of_the_retries() -> None:
    lane = state()
    for number in range(50):
        assert repeat(lane, number, 0.0) == AdmissionGranted()
    for number in range(5):
        tell(lane, TargetId(f"gw/{number}"), DOUBT, 0.0)
    lane._retry_budget._at = FIRST_PROBE  # as if no time had passed for it

    assert repeat(lane, 1, FIRST_PROBE) == AdmissionGranted()


def test_a_retry_that_waits_for_its_slot_spends_its_share_once() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=1.0))
    assert ask(lane, A, 0.0) == AdmissionGranted()
    turn = AdmissionRequest(B, UNDEPLOY, repeats=True)
    for tenth in range(10):
        assert isinstance(lane.admit(turn, tenth / 10), AdmissionDelayed)

    assert lane.admit(turn, 1.0) == AdmissionGranted()
    assert lane._retry_budget._left == 49.0


# --- one request alone ----------------------------------------------------------------------------------


@pytest.mark.promise(6)
@pytest.mark.parametrize("why", ["fruitless", "parked", "first"])
def test_a_request_that_goes_alone_keeps_the_plan_s_rate(why: str) -> None:
    """A gateway that asks for pauses of a second is not asked once a second where the plan says 0.05/s."""
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=0.05), first_alone=why == "first")
    now, at = 0.0, list[float]()
    if why == "parked":
        for number in range(5):
            tell(lane, TargetId(f"gw/{number}"), DOUBT, now)
    while len(at) < 6:
        turn = AdmissionRequest(A, UNDEPLOY)
        while isinstance(said := lane.admit(turn, now), AdmissionDelayed):
            assert said.seconds
            now += said.seconds
        at.append(now)
        tell(lane, A, {"fruitless": busy(1.0), "parked": DOUBT, "first": UNSENT}[why], now)

    assert all(later - before >= 19.999 for before, later in pairwise(at))


def test_a_lone_request_that_waited_for_a_login_goes_at_once_afterwards() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=0.1), first_alone=True)
    turn = AdmissionRequest(A, UNDEPLOY)

    assert [lane.admit(turn, 0.0), lane.admit(turn, 2.0)] == [AdmissionGranted(), AdmissionGranted()]
    assert lane.leave(A)
    assert ask(lane, B, 2.0) == AdmissionDelayed(8.0)


# --- looks beside undeploys -----------------------------------------------------------------------------


def test_looks_and_undeploys_are_paced_apart() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=2.0))
    said = [ask(lane, TargetId(f"gw/{number}"), 0.0, act) for number in range(3) for act in (UNDEPLOY, LOOK)]

    assert said == [
        AdmissionGranted(),
        AdmissionGranted(),
        AdmissionDelayed(0.5),
        AdmissionDelayed(0.5),
        AdmissionDelayed(1.0),
        AdmissionDelayed(1.0),
    ]


def test_a_lower_rate_is_in_force_at_once_and_slots_from_before_are_void() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=2.0))
    turns = [AdmissionRequest(TargetId(f"gw/{number}"), UNDEPLOY) for number in range(3)]
    assert [lane.admit(turn, 0.0) for turn in turns] == [
        AdmissionGranted(),
        AdmissionDelayed(0.5),
        AdmissionDelayed(1.0),
    ]

    lane.limit(0.1, 0.25)
    assert [lane.admit(turn, 0.5) for turn in turns[1:]] == [AdmissionDelayed(9.5), AdmissionDelayed(19.5)]
    lane.limit(None, 1.0)
    assert [lane.admit(turn, 1.0) for turn in turns[1:]] == [AdmissionGranted(), AdmissionGranted()]


# --- a bare 503 -----------------------------------------------------------------------------------------


def test_a_bare_503_pauses_nothing_and_slows_no_lane_where_nothing_is_answered() -> None:
    lane, turn = state(), AdmissionRequest(A, UNDEPLOY)
    lane.admit(turn, 0.0)
    pause = lane.observe(turn, reading(Verdict.DOUBT), 1.0, began=0.0, left=9, within_reach=1, status=503)

    assert pause is None
    assert lane.pace.find_rate(UNDEPLOY) is None
    assert ask(lane, B, 1.0) == AdmissionGranted()


@pytest.mark.parametrize(
    ("act", "verdict", "status", "slower"),
    [
        (Act.UNDEPLOY, Verdict.DOUBT, 503, True),
        (Act.UNDEPLOY, Verdict.DOUBT, 502, False),
        (Act.LOOK, Verdict.UNCLEAR, 503, True),
        (Act.LOOK, Verdict.UNCLEAR, 500, False),
    ],
)
def test_only_a_503_slows_those_of_its_own_sort(
    act: Act, verdict: Verdict, status: int, slower: bool
) -> None:
    lane = state()
    for number in range(10):
        turn = AdmissionRequest(TargetId(f"gw/{number}"), act)
        assert lane.admit(turn, number / 10) == AdmissionGranted()
        answer = Verdict.UP if act is Act.LOOK else Verdict.REMOVED
        lane.observe(
            turn, reading(answer), number / 10, began=number / 10, left=9, within_reach=1, status=200
        )
    turn = AdmissionRequest(TargetId("gw/ill"), act)
    lane.admit(turn, 1.0)
    lane.observe(turn, reading(verdict), 1.0, began=1.0, left=9, within_reach=1, status=status)
    other = Act.UNDEPLOY if act is Act.LOOK else Act.LOOK

    assert (lane.pace.find_rate(act) is not None) is slower
    assert lane.pace.find_rate(other) is None


# --- a login, and what waits for it ---------------------------------------------------------------------


def test_the_first_credential_that_is_let_in_opens_the_lane_to_all() -> None:
    lane = alone()
    assert ask(lane, A, 0.0) == AdmissionGranted()
    assert isinstance(ask(lane, B, 0.0), AdmissionDelayed)

    assert lane.confirm_credential()
    assert not lane.confirm_credential()
    assert ask(lane, B, 0.0) == AdmissionGranted()


def test_the_request_that_went_first_is_no_probe_of_a_lane_that_parks_later() -> None:
    lane = alone()
    ask(lane, A, 0.0)
    lane.confirm_credential()
    for number in range(5):
        tell(lane, TargetId(f"gw/{number}"), DOUBT, 0.0)

    assert ask(lane, B, FIRST_PROBE) == AdmissionGranted()


def test_logins_that_fail_pause_the_lane_for_growing_times() -> None:
    lane, now, pauses = state(), 0.0, list[float]()
    for _ in range(5):
        pauses.append(lane.pause_for_login(None, now, most=100.0))
        for act in (UNDEPLOY, LOOK):
            assert ask(lane, A, now, act) == AdmissionDelayed(pauses[-1])
        now += pauses[-1]

    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(("wait", "most", "seconds"), [(7.0, 100.0, 7.0), (0.2, 100.0, 1.0), (7.0, 5.0, 5.0)])
def test_a_login_waits_as_long_as_it_is_asked_to_within_bounds(
    wait: float, most: float, seconds: float
) -> None:
    assert state().pause_for_login(wait, 0.0, most=most) == seconds


def test_a_pause_for_a_login_shortens_no_other_one() -> None:
    lane = state()
    tell(lane, A, busy(30.0), 0.0)
    lane.pause_for_login(2.0, 10.0, most=100.0)

    assert ask(lane, B, 10.0) == AdmissionDelayed(20.0)


def test_a_request_whose_own_login_took_long_leaves_at_once_and_the_next_slots_come_after_it() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=0.1))
    assert ask(lane, A, 0.0) == AdmissionGranted()
    request = AdmissionRequest(B, UNDEPLOY)
    assert lane.admit(request, 0.0) == AdmissionDelayed(10.0)

    request.note_login(succeeded=True)
    assert lane.admit(request, 13.0) == AdmissionGranted()
    assert ask(lane, C, 13.0) == AdmissionDelayed(10.0)


def test_a_login_that_failed_gives_no_leave_to_go() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=0.1))
    ask(lane, A, 0.0)
    request = AdmissionRequest(B, UNDEPLOY)
    request.note_login(succeeded=False)

    assert lane.admit(request, 0.0) == AdmissionDelayed(10.0)


def test_nothing_may_leave_a_lane_that_pauses_is_closed_or_was_given_up() -> None:
    lane = state()
    assert not lane.is_held(0.0)
    tell(lane, A, busy(5.0), 0.0)
    assert [lane.is_held(at) for at in (0.0, 4.9, 5.0)] == [True, True, False]

    assert not parked().is_held(10.0)
    gone, closed = state(), state()
    gone.give_up("parked: no token", 0.0)
    closed.close("denied: no")
    assert gone.is_held(10.0)
    assert closed.is_held(10.0)


# --- slots ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [UNDEPLOY, LOOK])
@pytest.mark.parametrize("is_limited", [False, True])
def test_the_pause_that_a_gateway_asks_for_counts_for_its_pace_also_if_a_limit_comes_in_it(
    act: Act, *, is_limited: bool
) -> None:
    """Twenty in two seconds, and twelve of pause: 20 in 14 s, of which a cut leaves at most twice as many."""
    lane = state()
    for began in (0.0, 14.0, 28.0):
        for number in range(20):
            ask(lane, A, began + number / 10, act)
            tell(lane, A, REMOVED, began + number / 10, act)
        tell(lane, A, busy(12.0), began + 2.0, act)
        if is_limited:
            lane.limit(None, began + 2.0)

    assert lane.pace.find_learned(act) == pytest.approx(2 * 20 / 14)


def test_while_undeploys_and_looks_share_a_pace_each_waits_for_the_plans_rate() -> None:
    lane, now = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=5.0)), 0.0
    for _ in range(20):
        now += 0.2
        for act in (LOOK, UNDEPLOY):
            assert ask(lane, A, now, act) == AdmissionGranted()
            tell(lane, A, REMOVED, now, act)
    tell(lane, A, busy(1.0), now, LOOK)
    assert lane.pace.is_shared

    assert ask(lane, A, now + 10.0) == AdmissionGranted()
    assert ask(lane, B, now + 10.0) == AdmissionDelayed(pytest.approx(0.2))


def test_a_request_keeps_its_slot_when_it_asks_again_and_loses_it_when_it_comes_too_late() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=2.0))
    requests = [AdmissionRequest(target, UNDEPLOY) for target in (A, B, C)]
    said = [lane.admit(request, 0.0) for request in requests]
    assert said == [AdmissionGranted(), AdmissionDelayed(0.5), AdmissionDelayed(1.0)]

    assert lane.admit(requests[1], 0.45) == AdmissionDelayed(pytest.approx(0.05))
    assert lane.admit(requests[1], 0.6) == AdmissionGranted()
    assert lane.admit(requests[2], 1.11) == AdmissionDelayed(pytest.approx(0.39))


def test_a_lone_request_that_asks_twice_in_one_moment_goes_once() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=0.1), first_alone=True)
    request = AdmissionRequest(A, UNDEPLOY)

    assert [lane.admit(request, 0.0) for _ in range(2)] == [AdmissionGranted(), AdmissionGranted()]


@pytest.mark.parametrize("between", [DOUBT, REMOVED])
def test_after_another_reply_refusals_are_counted_afresh_until_undeploys_go_one_by_one(
    between: Reading,
) -> None:
    lane = state()
    tell(lane, A, busy(1.0), 0.0)
    tell(lane, A, between, 1.0)
    tell(lane, A, busy(1.0), 1.0)
    assert not lane.is_fruitless
    tell(lane, A, busy(1.0), 2.0)

    assert lane.is_fruitless


def test_a_probe_that_the_plans_rate_holds_back_asks_again_no_later_than_the_lane_is_given_up() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=1e-4))
    ask(lane, A, 0.0)
    for number in range(5):
        tell(lane, TargetId(f"gw/faulty-{number}"), DOUBT, 0.0)

    assert ask(lane, A, FIRST_PROBE) == AdmissionDelayed(PARK_FOR - FIRST_PROBE)


def test_only_a_lane_that_is_probed_stands_parked_since_some_moment() -> None:
    lane = state()
    tell(lane, A, REMOVED, 5.0)
    assert lane.describe_standing(5.0).parked_since is None
    assert parked(5.0).describe_standing(9.0).parked_since == 5.0


def test_looks_go_on_side_by_side_while_undeploys_are_tried_one_by_one() -> None:
    lane, now = state(), 0.0
    for _ in range(2):
        tell(lane, A, busy(1.0), now)
        now += 1.0
    assert lane.is_fruitless

    assert ask(lane, A, now) == AdmissionGranted()
    assert isinstance(ask(lane, B, now), AdmissionDelayed)
    assert [ask(lane, target, now, LOOK, settling=True) for target in (B, C)] == [AdmissionGranted()] * 2


# --- the probes of a parked lane, and its end -----------------------------------------------------------


def test_a_parked_lane_tells_when_it_is_probed_next_and_when_it_is_given_up() -> None:
    lane = state()
    assert lane.probe_times() is None
    lane = parked(now=10.0)
    assert lane.probe_times() == (10.0 + FIRST_PROBE, 10.0 + PARK_FOR)
    until_refused(lane, 10.0)
    assert lane.probe_times() is None


def test_a_lane_that_is_given_up_says_why_and_settles_doubts_until_one_look_fails() -> None:
    lane = state()
    lane.give_up("parked: no token could be had", 0.0)

    assert (status(lane), lane.given_up, lane.hopeless) == ("parked", True, None)
    assert ask(lane, A, 0.0) == AdmissionRefused("parked: no token could be had")
    assert ask(lane, A, 0.0, LOOK) == AdmissionRefused("parked: no token could be had")
    assert ask(lane, A, 0.0, LOOK, settling=True) == AdmissionGranted()
    tell(lane, A, REMOVED, 1.0)  # it had left before, and opens nothing
    assert (status(lane), lane.given_up) == ("parked", True)
    lane.end_doubts()
    assert lane.hopeless == "parked: no token could be had"
    assert ask(lane, B, 0.0, LOOK, settling=True) == AdmissionRefused("parked: no token could be had")


def test_a_lane_that_is_given_up_has_no_lone_target_any_more() -> None:
    lane = parked()
    assert ask(lane, A, PARK_FOR - 1.0) == AdmissionGranted()
    lane.give_up("parked: no token could be had", PARK_FOR)

    assert not lane.leave(A)


def test_a_list_is_refused_with_the_reason_of_the_parked_lane() -> None:
    request = AdmissionRequest(A, LOOK, dispensable=True)

    assert parked().admit(request, FIRST_PROBE) == AdmissionRefused("parked: HTTP 502")


def test_a_look_that_fails_while_its_target_is_the_probe_puts_the_probe_off() -> None:
    """A snapshot that failed is followed by the undeploy of the same target."""
    lane = parked()
    assert ask(lane, A, FIRST_PROBE, LOOK) == AdmissionGranted()
    tell(lane, A, reading(Verdict.UNCLEAR), 6.0, LOOK)

    assert lane.probe_times() == (6.0 + FIRST_PROBE, PARK_FOR)
    assert ask(lane, A, 6.0) == AdmissionGranted()
    assert isinstance(ask(lane, B, 6.0), AdmissionDelayed)
    tell(lane, C, reading(Verdict.UNCLEAR), 9.0, LOOK)  # another one's look, from before
    assert lane.probe_times() == (6.0 + FIRST_PROBE, PARK_FOR)


def test_a_denied_look_at_a_doubt_keeps_its_turn_as_the_probe() -> None:
    lane = parked()
    due = FIRST_PROBE + FOR_OTHERS
    assert ask(lane, A, due, LOOK, settling=True) == AdmissionGranted()
    look(lane, A, Verdict.DENIED, due)
    assert isinstance(ask(lane, B, due, LOOK, settling=True), AdmissionDelayed)

    look(lane, A, Verdict.UP, due)
    assert ask(lane, B, due, LOOK, settling=True) == AdmissionGranted()


def test_a_snapshot_that_was_read_keeps_its_target_the_probe() -> None:
    lane = parked()
    assert ask(lane, A, FIRST_PROBE, LOOK) == AdmissionGranted()
    tell(lane, A, reading(Verdict.UP), FIRST_PROBE, LOOK)

    assert isinstance(ask(lane, B, FIRST_PROBE), AdmissionDelayed)
    assert ask(lane, A, FIRST_PROBE) == AdmissionGranted()


# --- from one process to another ------------------------------------------------------------------------


def handed_over(lane: LaneState, now: float) -> LaneState:
    """Return a lane of another process that goes on where this one stands."""
    other = state()
    other.take_up(lane.describe_standing(now), now)
    assert other.describe_standing(now) == lane.describe_standing(now)
    return other


def test_another_process_probes_a_parked_lane_soon_and_gives_it_up_in_time() -> None:
    lane = handed_over(parked(now=0.0), 100.0)

    assert (lane.state, lane.reason) == ("parked", "parked: HTTP 502")
    assert lane.probe_times() == (100.0 + FIRST_PROBE, PARK_FOR)


@pytest.mark.promise(6)
@pytest.mark.parametrize("now", [PARK_FOR - 1.0, PARK_FOR, PARK_FOR + 3600.0])
def test_another_process_that_comes_late_probes_once_before_it_gives_the_lane_up(now: float) -> None:
    """The run was paused meanwhile, and the gateway may be well again."""
    lane = handed_over(parked(now=0.0), now)
    at = max(now, PARK_FOR)

    assert ask(lane, A, at) == AdmissionGranted()
    assert isinstance(ask(lane, B, at), AdmissionDelayed)
    tell(lane, A, DOUBT, at + 1.0)
    assert ask(lane, B, at + 1.0) == AdmissionRefused("parked: HTTP 502")


def test_another_process_keeps_the_pause_of_a_lane() -> None:
    lane = state()
    tell(lane, A, busy(12.0), 0.0)

    assert lane.describe_standing(4.0).paused_until == 12.0
    assert ask(handed_over(lane, 4.0), A, 4.0) == AdmissionDelayed(8.0)
    assert lane.describe_standing(12.0).paused_until is None


def paced(rate: float) -> LaneState:
    return LaneState(RetryPolicy(), PARK_FOR, limits=Limits(rate=rate))


@pytest.mark.promise(6)
@pytest.mark.parametrize(("sent", "rate", "asked"), [(0.0, 2.0, 0.25), (100.0, 0.5, 101.0)])
def test_another_process_keeps_the_plan_s_rate_since_the_newest_undeploy(
    sent: float, rate: float, asked: float
) -> None:
    lane, other = paced(rate), paced(rate)
    assert ask(lane, A, sent) == AdmissionGranted()

    other.take_up(lane.describe_standing(asked), asked)

    assert until_granted(other, B, asked) == sent + 1.0 / rate
    assert until_granted(other, C, asked) == sent + 2.0 / rate
    assert ask(other, C, asked, LOOK) == AdmissionGranted()  # looks have a pace of their own


def test_another_process_sends_at_once_where_the_distance_has_passed_or_nothing_was_sent() -> None:
    idle, lane, other = paced(0.5), paced(0.5), paced(0.5)
    assert ask(lane, A, 100.0) == AdmissionGranted()

    idle.take_up(paced(0.5).describe_standing(100.0), 100.0)
    other.take_up(lane.describe_standing(103.0), 103.0)

    assert ask(idle, A, 100.0) == AdmissionGranted()
    assert ask(other, B, 103.0) == AdmissionGranted()
    assert ask(other, C, 103.0) == AdmissionDelayed(2.0)


@pytest.mark.promise(6)
@pytest.mark.parametrize(("rate", "leaves"), [(0.2, 12.0), (0.05, 20.0)])
def test_another_process_waits_for_the_pause_and_for_the_plan_s_rate(rate: float, leaves: float) -> None:
    lane, other = paced(rate), paced(rate)
    assert ask(lane, A, 0.0) == AdmissionGranted()
    tell(lane, A, busy(12.0), 0.0)

    other.take_up(lane.describe_standing(4.0), 4.0)

    assert until_granted(other, B, 4.0) == leaves
    assert until_granted(other, C, leaves) == leaves + 1.0 / rate


def until_granted(lane: LaneState, target: TargetId, now: float) -> float:
    """Return when an undeploy leaves that asks again after each delay."""
    turn = AdmissionRequest(target, UNDEPLOY)
    while isinstance(decision := lane.admit(turn, now), AdmissionDelayed):
        now += decision.seconds
    assert decision == AdmissionGranted()
    return now


def test_another_process_knows_the_faults_and_whether_the_gateway_has_answered() -> None:
    lane = state()
    tell(lane, C, REMOVED, 0.0)
    for number in range(4):
        tell(lane, TargetId(f"gw/{number}"), UNSENT, 0.0)
    standing = lane.describe_standing(0.0)
    assert (len(standing.faulty), standing.unsent, standing.has_answered) == (4, 4, True)

    lane = handed_over(lane, 0.0)
    tell(lane, A, DOUBT, 0.0)
    assert status(lane) == "parked"


def test_another_process_opens_no_lane_that_was_given_up_or_closed() -> None:
    gone, closed = state(), state()
    gone.give_up("parked: no token", 0.0)
    closed.close("denied: no")

    assert ask(handed_over(gone, 1.0), A, 1.0) == AdmissionRefused("parked: no token")
    assert handed_over(gone, 1.0).probe_times() is None
    assert ask(handed_over(closed, 1.0), A, 1.0) == AdmissionRefused("denied: no")


def test_the_pace_that_a_lane_found_is_told_to_another_process() -> None:
    lane = LaneState(RetryPolicy(), PARK_FOR, learned=4.0)

    assert lane.describe_standing(0.0).rate == 4.0


# --- closed ---------------------------------------------------------------------------------------------


@pytest.mark.promise(4)
def test_a_wrong_place_closes_the_lane_at_once_and_for_good() -> None:
    lane = state()
    tell(lane, A, ELSEWHERE, 0.0)
    refused = AdmissionRefused("wrong_place: E.3030 no instance")

    assert ask(lane, B, 0.0) == refused
    assert ask(lane, B, 0.0, LOOK, settling=True) == refused


def test_a_gateway_that_takes_nothing_is_asked_by_one_at_a_time() -> None:
    """Two pauses with nothing but refusals: from then on one request a pause, until one is taken."""
    lane, now = state(), 0.0
    sent = []
    for _ in range(6):
        going = [
            one
            for one in (A, B)
            if isinstance(lane.admit(AdmissionRequest(one, UNDEPLOY), now), AdmissionGranted)
        ]
        sent.append(len(going))
        for one in going:
            tell(lane, one, busy(1.0), now)
        now += 1.0

    assert sent == [2, 2, 1, 1, 1, 1]

    assert isinstance(lane.admit(AdmissionRequest(A, UNDEPLOY), now), AdmissionGranted)
    tell(lane, A, REMOVED, now)
    assert not lane.is_fruitless


@pytest.mark.promise(6)
def test_nothing_but_429_to_looks_ends_the_looks_after_park_for() -> None:
    """A refused look costs its target nothing, so the lane must bound how long it may go on."""
    lane = LaneState(RetryPolicy(), PARK_FOR)
    busy = reading(Verdict.BUSY, wait=30.0)
    for second in range(0, int(PARK_FOR) + 30, 30):
        assert lane.refusal(Act.LOOK) is None
        tell(lane, A, busy, float(second), LOOK)

    assert "parked" in (lane.refusal(Act.LOOK) or "")
    assert lane.refusal(Act.UNDEPLOY) is None


@pytest.mark.promise(10)
def test_nothing_but_looks_that_cannot_be_sent_gives_the_lane_up_after_park_for() -> None:
    lane, unsent = state(), reading(Verdict.UNSENT, message="refused")
    for second in range(0, int(PARK_FOR), 30):
        assert lane.refusal(LOOK, settling=True) is None
        tell(lane, A, unsent, float(second), LOOK)
    assert status(lane) == "open"
    tell(lane, A, unsent, PARK_FOR, LOOK)

    assert (status(lane), lane.given_up) == ("parked", True)
    assert lane.refusal(LOOK, settling=True) == lane.refusal(UNDEPLOY) == "parked: refused"


def test_a_few_looks_that_could_not_be_sent_in_a_long_night_give_up_nothing() -> None:
    lane, unsent = state(), reading(Verdict.UNSENT, message="refused")
    for hour in range(4):
        tell(lane, A, unsent, 3600.0 * hour, LOOK)
    tell(lane, B, REMOVED, 5 * 3600.0)
    for hour in range(6, 10):
        tell(lane, A, unsent, 3600.0 * hour, LOOK)

    assert status(lane) == "open"
