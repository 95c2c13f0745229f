"""Whatever happens to a lane: one probe at most, closed stays closed, and time alone brings a decision."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from orchestrator.rules.pacing import IDLE
from orchestrator.rules.retry import RetryPolicy
from tests.rules.test_admission import (
    DENIED,
    DOUBT,
    ELSEWHERE,
    LOOK,
    PARK_FOR,
    REFUSED,
    REMOVED,
    UNDEPLOY,
    UNSENT,
    A,
    ask,
    busy,
    state,
    tell,
)
from tests.support.examples import count_examples
from tests.support.readings import reading

PATIENCE = 60.0 + RetryPolicy().ceiling
"""Seconds for which a request that goes alone is waited for."""


class Machine(RuleBasedStateMachine):
    """A lane and four workers, one target each: whatever comes, time alone brings every one a decision."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lane = state()
        self.flying: dict[int, tuple[AdmissionRequest, float, bool]] = {}

    @initialize(first_alone=st.booleans(), rate=st.sampled_from([None, 0.5, 20.0]))
    def begin(self, first_alone: bool, rate: float | None) -> None:
        limits = Limits(rate=rate)
        self.lane = LaneState(RetryPolicy(), PARK_FOR, limits=limits, first_alone=first_alone)

    def name(self, worker: int) -> TargetId:
        return TargetId(f"gw/{worker}")

    @rule(worker=st.integers(0, 7), act=st.sampled_from([UNDEPLOY, UNDEPLOY, LOOK]), flag=st.booleans())
    def send(self, worker: int, act: Act, flag: bool) -> None:
        if worker in self.flying:
            return
        looks = act is LOOK
        turn = AdmissionRequest(self.name(worker), act, settling=looks and flag, repeats=flag and not looks)
        probing = self.lane.alone or (self.lane.state == "parked" and not self.lane.given_up)
        match self.lane.admit(turn, self.now):
            case AdmissionGranted():
                beside = [began for _, began, _ in self.flying.values() if began > self.now - PATIENCE]
                assert not (self.lane.alone and beside)
                self.flying[worker] = (turn, self.now, probing)
            case AdmissionRefused():
                assert self.lane.state != "open" or (looks and self.lane.refusal(LOOK))
            case AdmissionDelayed(seconds):
                assert seconds > 0.0

    @rule(
        worker=st.integers(0, 7),
        said=st.sampled_from([REMOVED, REFUSED, DOUBT, DOUBT, UNSENT, busy(), busy(5.0), busy(1e9), DENIED]),
        takes=st.floats(0, 40),
    )
    def land(self, worker: int, said: Reading, takes: float) -> None:
        if worker not in self.flying:
            return
        turn, _, _ = self.flying.pop(worker)
        self.now += takes
        if turn.act is LOOK and said.verdict not in (Verdict.BUSY, Verdict.DENIED):
            said = reading(Verdict.UNCLEAR if said is DOUBT else Verdict.UP)
        tell(self.lane, turn.target, said, self.now, turn.act)
        if said not in (UNSENT, DOUBT, DENIED):
            self.lane.confirm_credential()

    @rule(worker=st.integers(0, 7))
    def leave(self, worker: int) -> None:
        if worker not in self.flying:
            self.lane.leave(self.name(worker))

    @rule(passes=st.floats(0, 700))
    def wait(self, passes: float) -> None:
        self.now += passes

    @rule(rate=st.sampled_from([None, 0.5, 20.0]))
    def limit(self, rate: float | None) -> None:
        self.lane.limit(rate, self.now)

    @invariant()
    def one_probe_at_most(self) -> None:
        probes = [turn for turn, _, probing in self.flying.values() if probing]
        assert sum(turn.target == self.lane._probes.prober for turn in probes) <= 1
        assert self.lane.state != "open" or self.lane.refusal(UNDEPLOY) is None

    def teardown(self) -> None:
        """All that fly land with a fault, their targets end, and one more asks until it is told."""
        for worker, (turn, _, _) in list(self.flying.items()):
            tell(
                self.lane, turn.target, DOUBT if turn.act is UNDEPLOY else reading(Verdict.UNCLEAR), self.now
            )
            self.flying.pop(worker)
        for worker in range(8):
            self.lane.leave(self.name(worker))
        turn, waits = AdmissionRequest(A, UNDEPLOY, repeats=True), 0
        while isinstance(said := self.lane.admit(turn, self.now), AdmissionDelayed):
            self.now += said.seconds
            waits += 1
            assert waits < 10


TestWhateverComes = Machine.TestCase
TestWhateverComes.settings = settings(max_examples=count_examples(1.5), stateful_step_count=40, deadline=None)


@given(
    later=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from([REMOVED, DOUBT, UNSENT, busy(), busy(900.0), DENIED, ELSEWHERE]),
        ),
        max_size=30,
    )
)
def test_closed_stays_closed_whatever_lands_afterwards(later: list[tuple[int, Reading]]) -> None:
    """What was in flight when the lane closed may bring faults of five targets, or success."""
    lane = state()
    lane.close("denied: no")
    for number, (target, said) in enumerate(later):
        tell(lane, TargetId(f"gw/{target}"), said, number * 100.0)

    assert (lane.state, lane.reason) == ("closed", "denied: no")
    assert ask(lane, A, 1e9) == AdmissionRefused("denied: no")


STEPS = st.lists(
    st.tuples(
        st.sampled_from([UNDEPLOY, UNDEPLOY, LOOK]),
        st.integers(0, 7),
        st.sampled_from([REMOVED, DOUBT, DOUBT, UNSENT, busy(), busy(5.0), busy(1e9), DENIED]),
        st.floats(0, 100),
    ),
    max_size=60,
)


@pytest.mark.promise(6)
@given(steps=STEPS)
def test_no_lane_waits_longer_than_park_for_without_being_asked_again(
    steps: list[tuple[Act, int, Reading, float]],
) -> None:
    """A wait is finite, or it ends with the probe that is under way. Those who wait for a slot stand in line:
    each has one behind those before it, and no pace is slower than one in a pause of ``park_for``."""
    lane, now = state(), 0.0
    turns: dict[tuple[int, Act], AdmissionRequest] = {}
    for act, number, said, passes in steps:
        turn = turns.setdefault((number, act), AdmissionRequest(TargetId(f"gw/{number}"), act))
        now += passes
        match lane.admit(turn, now):
            case AdmissionGranted():
                del turns[number, act]
                tell(lane, turn.target, said, now, act)
            case AdmissionDelayed(seconds):
                in_line = sum(one.act is act and one.slot is not None for one in turns.values())
                assert 0.0 < seconds <= (PARK_FOR + IDLE) * max(1, in_line)
