"""The status of a run from its events alone: sums, waits, ends, causes, time, and a bounded size."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.display.phrases import describe_wait
from orchestrator.display.picture import draw_picture
from orchestrator.display.status import read_status
from orchestrator.model.causes import CauseGroup
from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    GatewayFacts,
    GatewayWarned,
    LimitsChanged,
    OutcomeCount,
    PartLeft,
    ProbePlanned,
    RunStarted,
    RunWaiting,
    SnapshotMissed,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveFacts,
    WaveStarted,
)
from orchestrator.model.live_status import MOST_BUCKETS, MOST_LANES, MOST_MARKS, LiveStatus
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.model.plan import Threshold
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.runs.control_socket import LONGEST_ANSWER, ControlAnswer
from orchestrator.text.formats import format_clock
from tests.support import story
from tests.support.story import (
    START,
    answered,
    controlled,
    finish,
    fold,
    parked,
    paused,
    reopened,
    sent,
    stopping,
)

ROMA, APIM = "roma-eu", "apim"
UNDEPLOYED, FAILED, UNKNOWN = Outcome.UNDEPLOYED, Outcome.FAILED, Outcome.UNKNOWN
NOT_STARTED = Outcome.NOT_STARTED


def tell(*events: AnyEvent, at: float = START) -> LiveStatus:
    return read_status(fold(*events), at)


def gateway(
    targets: int, *, kind: str = "roma", concurrency: int = 8, rate: float | None = None
) -> GatewayFacts:
    return GatewayFacts(
        kind=kind, url=f"https://{kind}.example", targets=targets, concurrency=concurrency, rate=rate
    )


def begin(waves: dict[str, dict[str, int]], **more: Any) -> RunStarted:
    """Return the first event of a run of these waves, each with its targets by gateway."""
    left: dict[str, int] = {}
    for here in waves.values():
        for name, count in here.items():
            left[name] = left.get(name, 0) + count
    facts = {
        "waves": tuple(WaveFacts(name=name, targets=sum(here.values())) for name, here in waves.items()),
        "gateways": {name: gateway(count) for name, count in left.items()},
        "parts": tuple(PartLeft(wave=name, number=1, left=here) for name, here in waves.items()),
        "timeouts": dict.fromkeys(left, 30.0),
    }
    return RunStarted(
        **{
            "at": START,
            "run": "r1",
            "plan": "retirement",
            "targets": sum(left.values()),
            "left": left,
            "resumed": False,
            **facts,
            **more,
        }
    )


def wave(name: str, at: float = START, left: int = 0) -> WaveStarted:
    return WaveStarted(at=at, wave=name, left=left)


def end(
    target: str,
    name: str,
    outcome: Outcome = UNDEPLOYED,
    reason: str | None = None,
    *,
    at: float = START,
    doubted: bool = False,
) -> TargetEnded:
    return replace(story.ended(target, outcome, at, reason), wave=name, doubted=doubted)


def work(name: str, targets: int, since: float, per_second: float, *, in_wave: str) -> list[AnyEvent]:
    """Return the events of targets that go down at an even pace, each with a request of 0.1 s."""
    events: list[AnyEvent] = []
    for n in range(targets):
        target, at = f"{name}/{n}", START + since + n / per_second
        events += [sent(target, at), answered(target, at), end(target, in_wave, at=at)]
    return events


ENDS = st.lists(
    st.tuples(
        st.sampled_from([ROMA, APIM]),
        st.sampled_from(["one", "two"]),
        st.sampled_from(
            [
                (UNDEPLOYED, None),
                (Outcome.ALREADY_UNDEPLOYED, None),
                (Outcome.ALREADY_UNDEPLOYED, "absent: gone"),
                (FAILED, "refused: no"),
                (FAILED, "absent: gone"),
                (UNKNOWN, None),
                (NOT_STARTED, "window: too late"),
            ]
        ),
        st.sampled_from([None, 204, 403, 500]),
        st.sampled_from([None, "APIG.1"]),
    ),
    max_size=60,
)


@given(ends=ENDS, earlier=st.integers(0, 9))
@settings(deadline=None)
def test_the_sums_of_waves_lanes_and_causes_are_those_of_the_run_at_any_moment(
    ends: list[Any], earlier: int
) -> None:
    ended = {ROMA: {FAILED: earlier, UNDEPLOYED: 2 * earlier}}
    started = begin({"one": {ROMA: 60, APIM: 60}, "two": {ROMA: 60, APIM: 60}}, resumed=True)
    first = replace(started.waves[0], ended=ended, targets=120 + 3 * earlier)
    started = replace(
        started,
        targets=240 + 3 * earlier,
        waves=(first, started.waves[1]),
        causes=(CauseGroup(outcome=FAILED, label="refused", text=None, count=earlier),) if earlier else (),
    )
    progress = fold(started, wave("one"))
    for number, (name, here, (outcome, reason), status, code) in enumerate(ends):
        target = f"{name}/{number}"
        progress.observe(sent(target))
        progress.observe(replace(answered(target, status=status), code=code))
        progress.observe(end(target, here, outcome, reason))
        check_sums(read_status(progress, START + number))


def check_sums(found: LiveStatus) -> None:
    counts = found.verdict.counts
    trouble = {outcome.value for outcome in Outcome} - {outcome.value for outcome in DONE}
    for name, count in counts.items():
        if name not in ("targets", "ended"):
            assert sum(wave.counts[name] for wave in found.waves) == count
            assert sum(lane.counts[name] for lane in found.lanes) == count
        if name in trouble:
            assert sum(cause.count for cause in found.causes if cause.outcome == name) == count
    assert sum(wave.total for wave in found.waves) == counts["targets"]
    assert sum(lane.total for lane in found.lanes) == counts["targets"]


class TestAhead:
    """A plan with a wave a gateway, as ``discover --group-by gateway`` writes it."""

    WAVES: ClassVar = {"first": {"one": 40}, "second": {"two": 400}, "third": {"three": 200}}

    def test_a_gateway_that_has_not_sent_yet_is_as_fast_as_its_like(self) -> None:
        found = tell(
            begin(self.WAVES), wave("first"), *work("one", 20, 0, 2.0, in_wave="first"), at=START + 10
        )

        assert found.forecast is not None
        # The requests of 0.1 s, eight at once: 80 a second, as far as anyone knows.
        assert [wave.done and wave.done - START for wave in found.forecast.waves] == [20, 25, 27.5]
        assert found.verdict.done_by.startswith("done by ")

    def test_a_bound_is_all_that_is_known_of_another_kind(self) -> None:
        started = begin(self.WAVES)
        other = gateway(400, kind="apinizer", rate=4.0)
        unknown = gateway(200, kind="apinizer")
        events = work("one", 20, 0, 2.0, in_wave="first")
        bounded = replace(started, gateways=started.gateways | {"two": other})
        found = tell(bounded, wave("first"), *events, at=START + 10)
        partly = replace(started, gateways=started.gateways | {"two": other, "three": unknown})
        half = tell(partly, wave("first"), *events, at=START + 10)

        assert found.forecast is not None
        assert found.forecast.done == pytest.approx(START + 20 + 100 + 2.5, abs=0.001)
        assert half.forecast is not None
        assert half.forecast.done is None
        assert half.verdict.done_by.startswith("wave second done by ")
        assert half.verdict.done_by.endswith("; the rest is not yet known")

    def test_a_gateway_that_falls_silent_is_not_as_fast_as_it_was(self) -> None:
        waves = {"first": {"one": 400}}
        events = [*work("one", 100, 0, 10.0, in_wave="first"), sent("one/slow", START + 10)]
        started = begin(waves, closes=START + 230)
        found = tell(started, wave("first"), *events, at=START + 110)

        assert found.forecast is not None
        # Eight at once may go for a hundred seconds, and none has ended.
        assert found.forecast.done == pytest.approx(START + 110 + 300 / (8 / 100), abs=1)
        assert found.verdict.is_late
        stands = (
            parked("one", START + 100),
            ProbePlanned(at=START + 100, gateway="one", probe_at=START + 200, gives_up_at=START + 700),
        )
        probed = tell(begin(waves), wave("first"), *events, *stands, at=START + 110)
        assert probed.forecast is not None
        # A probe that waits for its reply is no pace.
        assert probed.forecast.latest == pytest.approx(START + 700 + 300 / 80, abs=0.1)

    def test_one_target_of_a_canary_is_no_pace(self) -> None:
        waves = {"canary": {"one": 1}, "rest": {"one": 800}}
        events = work("one", 1, 2.0, 1.0, in_wave="canary")
        found = tell(begin(waves), wave("canary"), *events, wave("rest", START + 5), at=START + 5)

        assert found.forecast is not None
        assert found.forecast.done == pytest.approx(START + 5 + 800 / 80, abs=0.001)

    def test_a_pause_between_waves_has_an_end(self) -> None:
        waves = {"first": {"one": 20}, "second": {"one": 160}}
        events = work("one", 20, 0, 2.0, in_wave="first")
        waits = RunWaiting(at=START + 10, why="pause_after", until=START + 310, wave="first")
        found = tell(begin(waves), wave("first"), *events, waits, at=START + 100)
        asks = tell(
            begin(waves), wave("first"), *events, RunWaiting(at=START + 10, why="proceed", wave="first")
        )

        assert found.forecast is not None
        assert found.forecast.done == START + 310 + 76  # 20 targets took 9.5 s, and 160 are left
        assert asks.forecast is not None
        assert (asks.forecast.done, asks.forecast.hindered) == (None, "the run waits for an answer")
        assert asks.verdict.done_by == "the run waits for an answer: the end is unknown"

    @pytest.mark.parametrize(
        ("asking", "condition"),
        [
            (("second",), ""),
            (("first",), ", if its question is answered at once"),
            (("first", "second"), ", if its question is answered at once"),
            (("first", "middle"), ", if its 2 questions are answered at once"),
        ],
    )
    def test_an_end_behind_a_question_is_told_with_its_condition(
        self, asking: tuple[str, ...], condition: str
    ) -> None:
        started = begin({"first": {"one": 40}, "middle": {"one": 10}, "second": {"one": 100}})
        asks = replace(
            started, waves=tuple(replace(each, asks=each.name in asking) for each in started.waves)
        )
        events = [wave("first"), *work("one", 20, 0, 2.0, in_wave="first")]
        goes, held = tell(asks, *events, at=START + 10), tell(asks, *events, parked("one"), at=START + 10)

        assert goes.verdict.done_by == tell(started, *events, at=START + 10).verdict.done_by + condition
        assert held.forecast is not None
        assert held.forecast.latest is None

    def test_while_a_lane_is_parked_only_the_latest_end_is_told(self) -> None:
        waves = {"first": {"one": 40, "two": 10}}
        events = work("one", 20, 0, 2.0, in_wave="first")
        probe = ProbePlanned(at=START + 10, gateway="one", probe_at=START + 22, gives_up_at=START + 610)
        found = tell(begin(waves), wave("first"), *events, parked("one", START + 10), probe, at=START + 10)

        assert found.forecast is not None
        assert found.forecast.done is None
        assert found.forecast.latest == START + 610 + 20 / 2  # its twenty left, at the pace that it had
        assert found.verdict.done_by.startswith("one is parked: the end is unknown; at the latest ")

    def test_the_latest_end_moves_no_further_away_while_a_lane_is_parked(self) -> None:
        events = work("one", 20, 0, 2.0, in_wave="first")
        probe = ProbePlanned(at=START + 10, gateway="one", probe_at=START + 60, gives_up_at=START + 610)
        parked_run = (begin({"first": {"one": 40}}), wave("first"), *events, parked("one", START + 10), probe)
        ends = [tell(*parked_run, at=START + at).forecast for at in (10, 20, 29, 40)]

        assert {end and end.latest for end in ends} == {START + 610 + 20 / 2.0}

    def test_the_window_bounds_the_end_of_a_run_that_stands_still(self) -> None:
        started = begin({"first": {"one": 40}}, closes=START + 600)
        found = tell(started, wave("first"), RunWaiting(at=START, why="paused"), at=START + 10)
        held = tell(started, wave("first"), parked("one"), at=START + 10)

        for forecast in (found.forecast, held.forecast):
            assert forecast is not None
            assert (forecast.done, forecast.latest) == (None, START + 630)

    @pytest.mark.parametrize(("closes", "words", "is_late"), [(4000, "fits", False), (110, "misses", True)])
    def test_a_verdict_says_whether_the_window_closes_too_soon(
        self, closes: float, words: str, is_late: bool
    ) -> None:
        started = begin({"first": {"one": 400}}, closes=START + closes)
        verdict = tell(
            started, wave("first"), *work("one", 40, 0, 2.0, in_wave="first"), at=START + 20
        ).verdict

        assert verdict.against_close.startswith(words)
        assert verdict.is_late is is_late

    def test_targets_whose_requests_have_left_do_not_miss_the_window(self) -> None:
        started = begin({"first": {"one": 16}}, closes=START + 100)
        flying = [sent(f"one/x{n}", START + 60) for n in range(8)]
        events = [started, wave("first"), *work("one", 8, 0, 1.0, in_wave="first"), *flying]
        all_fly = tell(*events, at=START + 75)
        answers = [answered(f"one/x{n}", START + 76) for n in range(8)]  # their looks come together
        looked = tell(*events, *answers, at=START + 77)
        repeats = [story.retry(f"one/x{n}", START + 76) for n in range(2)]
        two_wait = tell(*events, *answers, *repeats, at=START + 77)

        for found in (all_fly, looked):
            assert (found.verdict.is_late, found.verdict.against_close) == (False, "")
            assert found.forecast is not None
            assert (found.forecast.late, found.forecast.done is None) == (0, False)
        assert two_wait.forecast is not None
        assert (two_wait.forecast.late, two_wait.verdict.is_late) == (2, True)

    def test_many_waves_of_a_single_target_take_the_time_of_each(self) -> None:
        slow = [sent("one/0"), replace(answered("one/0", START + 30), seconds=30.0), end("one/0", "wave-0")]
        waves = {f"wave-{n}": {"one": 1, "two": 1} for n in range(10)}
        found = tell(begin(waves), wave("wave-0"), *slow, wave("wave-1"), at=START + 30)

        # Eight could go at once, and each wave has one.
        assert found.forecast is not None
        assert found.forecast.done == pytest.approx(START + 30 + 9 * 30, abs=0.001)

    def test_a_thousand_waves_are_no_burden(self) -> None:
        waves = {f"wave-{n}": {f"gateway-{n}": 10} for n in range(1000)}
        found = tell(
            begin(waves), wave("wave-0"), *work("gateway-0", 9, 0, 2.0, in_wave="wave-0"), at=START + 5
        )

        assert found.forecast is not None
        assert found.forecast.done is not None
        assert (len(found.waves), found.waves_left_out) == (MOST_LANES, 1000 - MOST_LANES)
        assert (len(found.lanes), found.lanes_left_out) == (MOST_LANES, 1000 - MOST_LANES)


class TestWaits:
    PLAN: ClassVar = {"one": {ROMA: 4, APIM: 4}, "two": {ROMA: 4}}

    def test_a_parked_lane_says_its_probe_and_when_it_is_given_up(self) -> None:
        probe = ProbePlanned(at=START, gateway=ROMA, probe_at=START + 52, gives_up_at=START + 600)
        found = tell(begin(self.PLAN), wave("one"), parked(ROMA), probe, at=START + 40)
        (lane,) = (lane for lane in found.lanes if lane.name == ROMA)

        assert found.waits_for is not None
        assert found.waits_for.startswith("roma-eu, parked 40 s; probe in 12 s; gives up ")
        assert found.until == START + 52
        assert (lane.since, lane.probe_at, lane.gives_up_at) == (START, START + 52, START + 600)
        assert found.verdict.sentence == f"wave 1 of 2, one, goes on; waits for {found.waits_for}"
        assert found.verdict.state == "running"

    def test_a_probe_that_the_end_of_the_parking_forestalls_is_not_promised(self) -> None:
        late = ProbePlanned(at=START, gateway=ROMA, probe_at=START + 61, gives_up_at=START + 50)
        found = tell(begin({"one": {ROMA: 3}}), wave("one"), parked(ROMA), late, at=START + 40)
        (lane,) = found.lanes

        assert found.waits_for == f"roma-eu, parked 40 s; gives up {format_clock(START + 50)}"
        assert (lane.probe_at, lane.gives_up_at, found.until) == (None, START + 50, START + 50)

    def test_a_parked_lane_of_which_nothing_is_left_is_probed_no_more(self) -> None:
        probe = ProbePlanned(at=START, gateway=ROMA, probe_at=START + 52, gives_up_at=START + 600)
        skipped = [end(f"roma-eu/{n}", "one", Outcome.NOT_STARTED, "skipped: by ops") for n in range(2)]
        plan = {"one": {ROMA: 2, APIM: 2}}
        found = tell(begin(plan), wave("one"), parked(ROMA), probe, *skipped, at=START + 60)
        (lane,) = (lane for lane in found.lanes if lane.name == ROMA)

        assert (lane.left, lane.state) == (0, "parked")
        assert (lane.probe_at, lane.gives_up_at) == (None, None)

    def test_a_run_whose_lanes_are_all_parked_is_parked_itself(self) -> None:
        found = tell(begin(self.PLAN), wave("one"), parked(ROMA), parked(APIM))

        assert (found.verdict.state, found.verdict.tone) == ("parked", "waiting")
        assert found.verdict.done_by == "roma-eu is parked and 1 more stands still: the end is unknown"
        assert found.verdict.sentence == "waits for roma-eu and apim, parked"

    def test_a_clock_that_is_set_back_makes_no_span_negative(self) -> None:
        found = tell(begin(self.PLAN), wave("one"), parked(ROMA, START), at=START - 3600)
        shown = draw_picture(found, width=100, height=40)

        assert found.waits_for == "roma-eu, parked 0 s"
        assert any(line.plain == "0 s so far" for line in shown.lines)

    def test_parked_lanes_are_told_in_one_sentence(self) -> None:
        names = ("roma-tr", ROMA, APIM)
        probes = [
            ProbePlanned(at=START, gateway=name, probe_at=START + 52 + n, gives_up_at=START + 600 + n)
            for n, name in enumerate(names)
        ]
        plan = {"one": dict.fromkeys(names, 2)}
        found = tell(begin(plan), wave("one"), *map(parked, names), *probes, at=START + 40)

        assert found.waits_for is not None
        assert found.waits_for.startswith(
            "roma-tr, roma-eu and apim, parked; next probe in 12 s; the last gives up "
        )
        assert found.waits_for.endswith(format_clock(START + 602))
        assert found.until == START + 52

    def test_a_lane_that_answers_again_is_waited_for_no_more(self) -> None:
        probe = ProbePlanned(at=START, gateway=ROMA, probe_at=START + 52, gives_up_at=START + 600)
        found = tell(begin(self.PLAN), wave("one"), parked(ROMA), probe, reopened(ROMA, START + 60))
        (lane,) = (lane for lane in found.lanes if lane.name == ROMA)

        assert (found.waits_for, lane.probe_at, lane.since) == (None, None, None)
        assert [mark.text for mark in found.over_time.marks] == [
            "wave one",
            "roma-eu parked",
            "roma-eu answers again",
        ]

    def test_a_pause_is_told_with_its_end(self) -> None:
        found = tell(begin(self.PLAN), wave("one"), paused(ROMA, START, 12.0), at=START + 2)

        assert (found.waits_for, found.until) == ("roma-eu, paused 2 s; goes on in 10 s", START + 12)
        assert found.lanes[0].state_words == "paused 10 s"
        assert tell(begin(self.PLAN), wave("one"), paused(ROMA, START, 12.0), at=START + 13).waits_for is None

    def test_a_pause_is_as_long_as_itself_and_not_as_the_run_since_the_first_one(self) -> None:
        events = (begin(self.PLAN), wave("one"), paused(ROMA, START, 12.0))
        later = tell(*events, paused(ROMA, START + 600, 12.0), at=START + 602)
        brief = tell(*events, paused(ROMA, START + 600, 1.0), at=START + 600)
        longer = tell(*events, paused(ROMA, START + 8, 12.0), at=START + 10)

        assert (later.waits_for, later.lanes[0].since) == (
            "roma-eu, paused 2 s; goes on in 10 s",
            START + 600,
        )
        assert (brief.waits_for, brief.lanes[0].since, brief.lanes[0].until) == (
            None,
            START + 600,
            START + 601,
        )
        assert longer.lanes[0].since == START

    def test_a_wave_that_waits_for_replies_names_the_gateways_that_owe_them(self) -> None:
        done = [end(f"apim/{n}", "one") for n in range(4)]
        events = (begin(self.PLAN), wave("one"), sent("apim/0"), answered("apim/0"), sent("roma-eu/0"), *done)

        assert tell(*events, at=START + 4).waits_for is None
        found = tell(*events, at=START + 22)
        assert (found.waits_for, found.until) == ("roma-eu, no reply for 22 s", None)
        assert found.verdict.sentence == "wave 1 of 2, one, goes on; waits for roma-eu, no reply for 22 s"

    def test_a_request_that_is_lost_ends_no_silence_and_a_reply_does(self) -> None:
        lost, again = answered("roma-eu/0", START + 15, None), sent("roma-eu/0", START + 16)
        events = (begin({"one": {ROMA: 4}}), wave("one"), sent("roma-eu/0"), lost, again)

        assert tell(*events, at=START + 20).waits_for == "roma-eu, no reply for 20 s"
        assert tell(*events, answered("roma-eu/0", START + 20), at=START + 40).waits_for is None

    def test_a_wave_of_which_one_gateway_answers_waits_for_none(self) -> None:
        events = (sent("roma-eu/0"), sent("apim/0", START + 20))

        assert tell(begin(self.PLAN), wave("one"), *events, at=START + 22).waits_for is None

    def test_a_question_tells_the_result_of_the_wave(self) -> None:
        events = [end(f"{ROMA}/{n}", "one") for n in range(3)]
        found = tell(
            begin(self.PLAN),
            wave("one"),
            *events,
            end("roma-eu/3", "one", FAILED, "refused: no"),
            WaveEnded(at=START, wave="one"),
            RunWaiting(at=START, why="proceed", wave="one"),
        )

        assert found.question == "wave one has ended: 3 of 8 down, 1 failed (refused); go on with the next?"
        assert found.verdict.state == "waiting"
        assert found.waits_for == "waits for an answer: `undeploy control r1 continue` goes on with the next"
        assert [wave.state for wave in found.waves] == ["ended", "to come"]

    def test_a_question_after_a_step_names_the_step_and_no_cause_of_an_earlier_wave(self) -> None:
        found = tell(
            begin(self.PLAN),
            wave("one"),
            end("roma-eu/0", "one", FAILED, "refused: no"),
            wave("two"),
            StepStarted(at=START, wave="two", number=1, steps=2, left=2),
            end("roma-eu/1", "two"),
            RunWaiting(at=START, why="proceed", wave="two"),
        )

        assert found.question == "step 1 of 2 of wave two has ended: 1 of 4 down; go on with the next?"

    def test_a_question_that_a_session_left_open_names_its_step_and_keeps_the_forecast(self) -> None:
        parts = tuple(PartLeft(wave="two", number=number, left={ROMA: 40}) for number in (2, 3))
        facts = WaveFacts(name="two", targets=120, steps=3, asks=True, ended={ROMA: {UNDEPLOYED: 40}})
        started = replace(begin({"two": {ROMA: 80}}, parts=parts, resumed=True), waves=(facts,))
        asks = RunWaiting(at=START, why="proceed", wave="two")
        progress = fold(started, asks)
        asked, words = read_status(progress, START), describe_wait(progress, START)
        step = StepStarted(at=START, wave="two", number=2, steps=3, left=40)
        for event in (story.goes_on(), wave("two", left=80), step, *work(ROMA, 20, 0, 2.0, in_wave="two")):
            progress.observe(event)
        going = read_status(progress, START + 10)

        assert asked.question == "step 1 of 3 of wave two has ended: 40 of 120 down; go on with the next?"
        assert words.startswith("wave two, step 1 of 3 has ended")
        assert asked.forecast is not None
        assert [each.name for each in asked.forecast.gateways] == [ROMA]
        assert going.forecast is not None
        assert going.forecast.done == START + 10 + 60 / 2

    def test_a_run_that_stops_says_what_lands(self) -> None:
        found = tell(begin(self.PLAN), wave("one"), sent("apim/a"), sent("apim/b"), stopping())

        assert found.verdict.sentence == "nothing new starts; 2 requests land"
        assert (found.verdict.state, found.stopping) == ("stopping", "SIGINT was received")
        assert found.is_interrupted

    def test_a_stop_by_an_operator_is_no_interrupt(self) -> None:
        by_hand = stopping(reason="interrupt: ada stopped it (ops-1, process 7)")
        going = tell(begin(self.PLAN), wave("one"), by_hand)
        ended = tell(begin(self.PLAN), wave("one"), by_hand, replace(finish(), state="stopped"))

        assert (going.stopping, going.is_interrupted) == ("ada stopped it (ops-1, process 7)", False)
        assert going.over_time.marks[-1].text == "stopping: ada stopped it (ops-1, process 7)"
        assert ended.verdict.sentence == "stopped: ada stopped it (ops-1, process 7)"


class TestLanes:
    PLAN: ClassVar = {"one": {ROMA: 400}}

    def test_refusals_are_counted_and_other_limits_are_in_force_at_once(self) -> None:
        busy = replace(answered("roma-eu/a", status=429), refused=True)
        changed = LimitsChanged(at=START, gateway=ROMA, concurrency=3, rate=2.0)
        before = tell(begin(self.PLAN), wave("one"))
        found = tell(begin(self.PLAN), wave("one"), sent("roma-eu/a"), busy, changed)

        assert (before.lanes[0].limit, before.lanes[0].refused) == (8, 0)
        assert (found.lanes[0].limit, found.lanes[0].refused) == (3, 1)

    def test_other_limits_bring_another_end_before_the_pace_shows_it(self) -> None:
        quick = work(ROMA, 100, 0, 10.0, in_wave="one")
        changed = [
            LimitsChanged(at=START + 10, gateway=ROMA, concurrency=2, rate=1.0),
            story.pace(ROMA, 1.0, START + 10),
        ]
        found = tell(begin(self.PLAN), wave("one"), *quick, *changed, at=START + 12)

        assert found.forecast is not None
        assert found.forecast.done == pytest.approx(START + 12 + 300, abs=0.001)

    @pytest.mark.parametrize(
        ("state", "ended", "words"), [("complete", 400, "done"), ("stopped", 3, "stopped")]
    )
    def test_what_a_run_that_ended_early_has_not_started_is_not_done(
        self, state: Any, ended: int, words: str
    ) -> None:
        outcomes = {"one": {ROMA: {UNDEPLOYED: 3, NOT_STARTED: 397}}}
        last = replace(finish(), state=state, exit_status=4, outcomes=outcomes)
        found = tell(begin(self.PLAN), wave("one"), last)

        assert [(lane.ended, lane.state_words) for lane in found.lanes] == [(ended, words)]
        assert [here.ended for here in found.waves] == [ended]

    def test_a_resume_counts_the_whole_run(self) -> None:
        started = begin(self.PLAN)
        facts = replace(started.waves[0], targets=1000, ended={ROMA: {UNDEPLOYED: 590, FAILED: 10}})
        earlier = (
            OutcomeCount(outcome=UNDEPLOYED, word="", count=590),
            OutcomeCount(outcome=FAILED, word="refused", count=10),
        )
        started = replace(
            started,
            targets=1000,
            waves=(facts,),
            resumed=True,
            session=2,
            earlier=earlier,
            stop_when={"failed": Threshold(count=12)},
            causes=(
                CauseGroup(outcome=FAILED, label="APIG.1", text="no", count=10, examples=("roma-eu/x",)),
            ),
        )
        found = tell(started, wave("one"), end("roma-eu/a", "one", FAILED, "refused: no"))
        past = tell(replace(started, past_stop=True), wave("one"), end("roma-eu/a", "one", FAILED, "x: y"))

        assert found.verdict.headline == "590 of 1,000 down · 11 failed"
        assert (found.waves[0].ended, found.lanes[0].ended, found.lanes[0].left) == (601, 601, 399)
        assert [cause.count for cause in found.causes] == [10, 1]
        assert [(room.count, room.more) for room in found.headroom] == [(11, 2)]
        assert [(room.count, room.more) for room in past.headroom] == [(1, 12)]

    def test_the_targets_of_the_next_wave_do_not_count_in_the_one_before_the_pause(self) -> None:
        plan = {"one": {ROMA: 1}, "two": {ROMA: 6}}
        started = begin(plan, stop_when={"failed": Threshold(share=0.2)})
        ended = (wave("one"), end("roma-eu/a", "one", UNDEPLOYED))
        paused = RunWaiting(at=START, why="pause_after", until=START + 60, wave="one")
        (before,) = tell(started, *ended, paused).headroom
        (held,) = tell(started, *ended, paused, RunWaiting(at=START, why="paused")).headroom
        (then,) = tell(started, *ended, paused, wave("two")).headroom

        assert (before.more, before.text) == (None, "failed: 0 of 1 in wave one, limit 20%")
        assert held == before
        assert then.text == "failed: 0 of 0 in wave two, limit 20%: 6 more stop the run"

    def test_an_accepted_doubt_does_not_count_past_a_stop(self) -> None:
        started = begin(self.PLAN, past_stop=True, stop_when={"unknown": Threshold(count=5)})
        found = tell(
            started,
            wave("one"),
            end("roma-eu/a", "one", UNKNOWN, "spent: x", doubted=True),
            end("roma-eu/b", "one", UNKNOWN, "spent: x"),
        )

        assert [room.count for room in found.headroom] == [1]
        assert found.verdict.counts["unknown"] == 2


class TestEnd:
    PLAN: ClassVar = {"one": {ROMA: 3}, "two": {ROMA: 5}}

    def test_targets_that_the_session_did_not_come_to_are_counted_at_its_end(self) -> None:
        ended = replace(
            finish(START + 9),
            state="stopped",
            exit_status=4,
            outcomes={"one": {ROMA: {UNDEPLOYED: 2, FAILED: 1}}, "two": {ROMA: {NOT_STARTED: 5}}},
            reasons=(
                OutcomeCount(outcome=UNDEPLOYED, word="", count=2),
                OutcomeCount(outcome=FAILED, word="refused", count=1),
                OutcomeCount(outcome=NOT_STARTED, word="stop_rule", count=5),
            ),
        )
        found = tell(
            begin(self.PLAN),
            wave("one"),
            end("roma-eu/a", "one"),
            end("roma-eu/b", "one"),
            sent("roma-eu/c"),
            replace(answered("roma-eu/c", status=403), code="APIG.2"),
            end("roma-eu/c", "one", FAILED, "refused: no"),
            ended,
            at=START + 20,
        )

        check_sums(found)
        assert found.verdict.headline == "2 of 8 down · 1 failed · 5 not started"
        assert [(cause.label, cause.count) for cause in found.causes] == [("APIG.2", 1), ("stop_rule", 5)]
        assert (found.verdict.state, found.verdict.tone, found.forecast) == ("stopped", "bad", None)
        assert found.ended is not None
        assert found.ended.exit_status == 4

    @pytest.mark.parametrize(
        ("counts", "status", "sentence", "tone"),
        [
            ({UNDEPLOYED: 8}, 0, "complete", "good"),
            ({UNDEPLOYED: 5, NOT_STARTED: 3}, 0, "complete", "good"),
            ({UNDEPLOYED: 7, FAILED: 1}, 1, "ended with failures", "bad"),
            ({UNDEPLOYED: 7, UNKNOWN: 1}, 1, "ended in doubt", "bad"),
            ({UNDEPLOYED: 7, NOT_STARTED: 1}, 1, "ended, not all was started", "over"),
            ({FAILED: 8}, 1, "ended, nothing is down", "bad"),
        ],
    )
    def test_the_end_is_called_complete_alone_only_if_nothing_is_left_to_be_wished_for(
        self, counts: dict[Outcome, int], status: int, sentence: str, tone: str
    ) -> None:
        last = replace(finish(), exit_status=status, outcomes={"one": {ROMA: counts}})
        found = tell(begin({"one": {ROMA: 8}}), wave("one"), last)

        assert (found.verdict.state, found.verdict.sentence) == ("complete", sentence)
        assert found.verdict.tone == tone

    def test_an_outcome_that_a_full_disk_lost_counts_only_as_the_report_has_it(self) -> None:
        """An event told of it before its row was to be written."""
        ended = replace(
            finish(START + 9),
            state="stopped",
            exit_status=4,
            outcomes={"one": {ROMA: {FAILED: 1, NOT_STARTED: 2}}, "two": {ROMA: {NOT_STARTED: 5}}},
            reasons=(
                OutcomeCount(outcome=FAILED, word="refused", count=1),
                OutcomeCount(outcome=NOT_STARTED, word="disk", count=7),
            ),
        )
        found = tell(
            begin(self.PLAN),
            wave("one"),
            end("roma-eu/a", "one", FAILED, "refused: no"),
            end("roma-eu/b", "one", FAILED, "spent: no"),
            end("roma-eu/c", "one", NOT_STARTED, "in_use: cannot be told"),
            ended,
            at=START + 20,
        )

        check_sums(found)
        assert [(cause.label, cause.count) for cause in found.causes] == [("refused", 1), ("disk", 7)]

    @pytest.mark.parametrize(
        ("outcome", "status", "tone"),
        [(UNDEPLOYED, 0, "good"), (NOT_STARTED, 0, "over"), (NOT_STARTED, 4, "over"), (FAILED, 1, "bad")],
    )
    def test_only_a_run_that_took_something_down_is_good(
        self, outcome: Outcome, status: int, tone: str
    ) -> None:
        found = tell(
            begin({"one": {ROMA: 1}}),
            wave("one"),
            end("roma-eu/a", "one", outcome, None if outcome in DONE else "filtered: x"),
            replace(finish(), exit_status=status),
        )

        assert found.verdict.tone == tone


class TestOverTime:
    def test_the_buckets_are_bounded_and_lose_nothing(self) -> None:
        plan = {"one": {ROMA: 5000}}
        progress = fold(begin(plan), wave("one"))
        for event in work(ROMA, 5000, 0, 1.0, in_wave="one"):
            progress.observe(event)
        found = read_status(progress, START + 5000).over_time

        assert MOST_BUCKETS // 2 < len(found.ended) <= MOST_BUCKETS
        assert sum(here.get("undeployed", 0) for here in found.ended) == 5000
        assert round(sum(found.sent) * found.seconds) == pytest.approx(5000, rel=0.01)
        assert len(found.sent) == len(found.bound) == len(found.in_flight) == len(found.ended)
        assert found.start + found.seconds * len(found.ended) > START + 5000

    def test_reading_changes_nothing_and_shows_the_time_without_events(self) -> None:
        progress = fold(begin({"one": {ROMA: 5}}), wave("one"), sent("roma-eu/a", START + 1))
        late = read_status(progress, START + 100_000).over_time
        progress.observe(sent("roma-eu/b", START + 2))
        soon = read_status(progress, START + 2).over_time

        assert late.in_flight[-1] == 1
        assert late.start + late.seconds * len(late.ended) > START + 100_000
        assert (soon.seconds, soon.sent, soon.in_flight) == (1.0, (0.0, 1.0, 1.0), (0, 1, 2))

    def test_marks_are_bounded_and_the_close_is_one(self) -> None:
        many = [controlled(f"limits roma-eu concurrency={n}") for n in range(1, 200)]
        progress = fold(begin({"one": {ROMA: 5}}, closes=START + 50), *many)
        open_still, closed = (read_status(progress, START + at).over_time for at in (49, 50))

        assert len(open_still.marks) == len(closed.marks) == MOST_MARKS
        assert (open_still.marks[-1].kind, closed.marks[-1].kind) == ("steer", "close")
        assert closed.marks[-1].at == START + 50

    def test_what_comes_after_the_close_stands_behind_it(self) -> None:
        late = replace(controlled("stop"), at=START + 60)
        found = tell(begin({"one": {ROMA: 5}}, closes=START + 50), wave("one"), late, at=START + 61)

        assert [mark.kind for mark in found.over_time.marks] == ["wave", "close", "steer"]

    def test_refused_undeploys_are_counted_in_the_bucket_of_their_reply(self) -> None:
        progress = fold(begin({"one": {ROMA: 5}}), wave("one"))
        for at in (0.5, 2.5, 2.6):
            progress.observe(sent("roma-eu/a", START + at - 0.4))
            progress.observe(
                replace(answered("roma-eu/a", START + at, status=429), refused=True, act=Act.UNDEPLOY)
            )
        progress.observe(sent("roma-eu/b", START + 2.7))
        look = replace(answered("roma-eu/b", START + 2.7, status=429), refused=True, act=Act.LOOK)
        progress.observe(look)
        found = read_status(progress, START + 3).over_time
        late = read_status(progress, START + MOST_BUCKETS + 1).over_time

        assert found.refused == (1, 0, 2, 0)
        assert (late.seconds, late.refused[:2], sum(late.refused)) == (2.0, (1, 2), 3)


def test_a_run_of_many_targets_costs_no_more_memory_than_one_of_few() -> None:
    plan = {"one": {ROMA: 3000}}
    progress = fold(begin(plan), wave("one"))
    for number in range(3000):
        target, fails = f"{ROMA}/{number}", number % 2
        progress.observe(sent(target))
        progress.observe(replace(answered(target, status=500 if fails else 204), code=f"C{number}"))
        progress.observe(SnapshotMissed(at=START, target=TargetId(target), gateway=ROMA, reason="x"))
        progress.observe(
            end(target, "one", FAILED if fails else UNDEPLOYED, "refused: no" if fails else None)
        )
    kept = [value for value in vars(progress).values() if isinstance(value, dict | set)]

    assert max(map(len, kept)) <= len(Outcome)
    assert len(progress.causes.list_groups()) <= 201
    assert sum(cause.count for cause in read_status(progress, START).causes) == 1500


def test_a_status_is_bounded_whatever_names_and_texts_a_run_has() -> None:
    """The control socket reads no longer line."""
    worst = "\u202e" * 5000
    waves = {f"{worst}{n}": {f"{worst}{n}": 1} for n in range(200)}
    progress = fold(begin(waves, reason=worst, plan=worst, closes=START), wave(next(iter(waves))))
    for name in [here for by_gateway in waves.values() for here in by_gateway]:
        target = TargetId(f"{name}/{worst}")
        progress.observe(sent(target))
        progress.observe(
            AttemptEnded(
                at=START,
                target=target,
                gateway=name,
                number=1,
                act=Act.UNDEPLOY,
                seconds=0.1,
                status=500,
                code=f"{name[-9:]}{worst}",
                message=worst,
            )
        )
        progress.observe(end(target, next(iter(waves)), FAILED, worst))
        progress.observe(parked(name, why=worst))
        progress.observe(GatewayWarned(at=START, gateway=name, text=worst))
        progress.observe(controlled(worst))
        progress.observe(story.retry(target))
    status = msgspec.json.encode(read_status(progress, START)).decode()

    assert len(msgspec.json.encode(ControlAnswer(done=True, text=status))) < LONGEST_ANSWER // 2
    assert "\u202e" not in status
