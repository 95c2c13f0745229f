import pytest
from msgspec.structs import replace

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.model.events import AttemptStarted, ListAsked, PartLeft, WaveStarted
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from tests.support import story
from tests.support.story import START, ended, fold, parked, paused, reopened, retry, sent, started


def test_targets_that_ended_are_counted_by_gateway_and_outcome() -> None:
    progress = fold(*story.short_run())

    assert (progress.done, progress.total, progress.in_flight) == (3, 3, 0)
    assert progress.count(Outcome.UNDEPLOYED) == 2
    assert progress.lanes["roma-eu"].outcomes[Outcome.FAILED] == 1


def test_a_target_waits_from_its_fault_until_its_next_request() -> None:
    progress = fold(started(), sent("apim/P/x/test"), story.answered("apim/P/x/test"), retry("apim/P/x/test"))
    waiting = len(progress.lanes["apim"].waiting)
    progress.observe(sent("apim/P/x/test"))

    assert (waiting, len(progress.lanes["apim"].waiting), progress.in_flight) == (1, 0, 1)


def test_a_page_of_a_list_is_in_flight_and_named() -> None:
    asked = ListAsked(at=START, gateway="apim", text="reads its list of proxies, page 1")
    progress = fold(started(), asked)
    (status,) = (lane for lane in read_status(progress, START).lanes if lane.name == "apim")
    shown = (progress.in_flight, status.in_flight, status.list_asked)
    progress.observe(ListAsked(at=START, gateway="apim", text=None))

    assert shown == (1, 1, "reads its list of proxies, page 1")
    assert (progress.in_flight, progress.lanes["apim"].list_asked) == (0, None)


def test_a_target_is_begun_once_however_many_requests_it_takes_and_by_no_look() -> None:
    look = AttemptStarted(
        at=START, target=TargetId("apim/a"), gateway="apim", number=2, act=Act.LOOK
    )  # after a deploy, or to settle a doubt
    progress = fold(started({"apim": 9}), look, sent("apim/b"))
    before = progress.lanes["apim"].begun
    for event in (sent("apim/a"), retry("apim/a"), sent("apim/a")):
        progress.observe(event)

    assert (before, progress.lanes["apim"].begun) == (1, 2)


def test_a_target_that_was_not_started_does_not_count_as_pace() -> None:
    progress = fold(started({"apim": 100}), *(ended(f"apim/{n}", Outcome.NOT_STARTED) for n in range(50)))

    assert progress.done == 50
    assert progress.pace.measure_rate(START + 10) == 0


def test_a_pause_has_an_end() -> None:
    lane = fold(started(), paused("apim", START + 5, 12.0)).lanes["apim"]

    assert (lane.state, lane.reason, lane.paused_until) == ("paused", "429", START + 17)


def test_a_gateway_with_nothing_left_to_do_may_still_change_its_state() -> None:
    progress = fold(started({"apim": 1}), story.parked("elsewhere"))

    assert progress.lanes["elsewhere"].state == "parked"
    assert progress.total == 1


def ends(progress: RunProgress, now: float) -> tuple[float | None, float | None, str | None]:
    """Return when it is done (seconds from the start), what the window spares, and what hinders it."""
    forecast = progress.make_forecast(now)
    assert forecast is not None
    done = None if forecast.done is None else round(forecast.done - START, 3)
    return done, forecast.spare, forecast.hindered


def test_the_end_is_estimated_by_the_slowest_gateway() -> None:
    events = [ended(f"roma-eu/{n}", at=START + n % 10) for n in range(50)]
    events += [ended(f"apim/{n}", at=START + n) for n in range(10)]
    progress = fold(started({"roma-eu": 100, "apim": 30}), *events)

    assert ends(progress, START + 10) == (30, None, None)


def test_no_end_is_estimated_while_one_gateway_has_ended_nothing() -> None:
    progress = fold(started(), ended("roma-eu/a"))

    assert ends(progress, START + 10) == (None, None, None)


def steady(*events: object, closes: float | None = None) -> RunProgress:
    """Ten a second for ten seconds, of two hundred; then ``events``."""
    work = [ended(f"apim/{n}", at=START + n / 10) for n in range(100)]
    return fold(started({"apim": 200}, closes=closes), *work, *events)


def test_the_forecast_compares_the_rest_at_the_present_pace_with_the_window() -> None:
    assert ends(steady(), START + 10) == (20, None, None)
    assert ends(steady(closes=START + 50), START + 10) == (20, 30, None)
    assert ends(steady(closes=START + 15), START + 10) == (20, -5, None)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (parked(at=START + 10), "apim is parked"),
        (paused("apim", START + 10, 60.0), "apim is paused"),
        (story.waiting("pause_after"), None),
    ],
)
def test_the_end_is_unknown_while_nothing_goes_on(event: object, why: str | None) -> None:
    assert ends(steady(event), START + 10) == (None, None, why)


def test_the_forecast_leaves_out_a_gateway_that_is_given_up() -> None:
    """Like one that is closed: the forecast is of the others, and ``status`` names nothing to wait for."""
    progress = fold(started({"apim": 200, "roma-eu": 5}))
    for n in range(100):
        progress.observe(ended(f"apim/{n}", at=START + n / 10))
    progress.observe(parked("roma-eu", START + 5))
    held = read_status(progress, START + 10)
    progress.observe(parked("roma-eu", START + 10, given_up=True))
    left = read_status(progress, START + 10)

    assert (held.waits_for, held.forecast and held.forecast.done) == (
        "roma-eu, parked 5 s",
        None,
    )
    assert (left.waits_for, left.until) == (None, None)
    assert left.forecast is not None
    assert (left.forecast.done, left.forecast.hindered) == (START + 20, None)
    (lane,) = (lane for lane in left.lanes if lane.name == "roma-eu")
    assert lane.state_words == "given up until a resume: five faults in a row"


def test_a_run_that_waited_goes_on_at_the_pace_that_it_had() -> None:
    progress = steady(story.waiting("paused", START + 10), story.goes_on(START + 70))

    assert ends(progress, START + 70.5)[0] == pytest.approx(81, abs=0.5)


def test_a_brief_pause_is_part_of_the_pace() -> None:
    assert ends(steady(paused("apim", START + 10, 2.0)), START + 10) == (20, None, None)


@pytest.mark.parametrize(
    "events",
    [
        [paused("apim", START + 10, 60.0)],
        [parked(at=START + 10), reopened(at=START + 70)],
    ],
    ids=["paused", "parked"],
)
def test_time_in_which_the_run_stood_still_does_not_count_as_pace(events: list[object]) -> None:
    progress = steady(*events)

    assert ends(progress, START + 70.5) == (None, None, None)
    for n in range(50):
        progress.observe(ended(f"apim/{100 + n}", at=START + 70 + n / 10))
    assert ends(progress, START + 75) == (80, None, None)


def test_a_probe_that_is_told_to_wait_leaves_its_lane_parked() -> None:
    lane = fold(started(), parked(), paused()).lanes["apim"]

    assert (lane.state, lane.reason) == ("parked", "five faults in a row")


def test_a_closed_lane_takes_no_more_time_and_an_ended_run_has_no_forecast() -> None:
    closed = story.LaneChanged(at=START, gateway="roma-eu", state="closed", reason="denied: no")
    progress = fold(started({"roma-eu": 5, "apim": 2}), closed, ended("apim/a", at=START + 1))

    assert ends(progress, START + 2) == (4, None, None)
    assert fold(*story.short_run()).make_forecast(START + 5) is None
    assert steady(story.stopping()).make_forecast(START + 10) is None
    assert fold(started({"apim": 1}), ended("apim/a")).make_forecast(START + 1) is None


def part(wave: str, rest: float = 0.0, number: int = 1, **left: int) -> PartLeft:
    return PartLeft(wave=wave, number=number, left=left, rest=rest)


def wave(name: str, at: float) -> WaveStarted:
    return WaveStarted(at=at, wave=name, left=1)


class TestParts:
    """Waves come one after another, and each gateway starts nothing in its last timeout."""

    TWO = (part("one", rest=100.0, apim=100, roma=20), part("two", apim=50, roma=40))
    BOTH = started({"apim": 150, "roma": 60}, parts=TWO)

    def work(self, name: str, count: int, since: float, per_second: float) -> list[object]:
        return [ended(f"{name}/{n}", at=START + since + n / per_second) for n in range(count)]

    def test_the_next_wave_waits_for_the_slowest_gateway(self) -> None:
        events = [wave("one", START), *self.work("apim", 20, 0, 2.0), *self.work("roma", 10, 0, 1.0)]
        found = fold(self.BOTH, *events).make_forecast(START + 10)

        assert found is not None
        assert [(one.name, round((one.done or 0) - START)) for one in found.waves] == [
            ("one", 10 + 40),  # of apim, 80 are left at two a second
            ("two", 10 + 40 + 100 + 40),
        ]

    def test_an_idle_gateway_keeps_the_pace_that_it_had(self) -> None:
        """The quick one has ended its part of the wave: that it has nothing to do is no slowness."""
        events = [wave("one", START), *self.work("roma", 20, 0, 2.0), *self.work("apim", 40, 0, 1.0)]
        progress = fold(self.BOTH, *events)

        assert ends(progress, START + 40)[0] == pytest.approx(
            40 + 60 + 100 + 50, abs=2
        )  # two: 50 at one a second
        progress.observe(wave("two", START + 100))
        progress.observe(ended("roma/20", at=START + 100.5))
        found = progress.make_forecast(START + 101)
        assert found is not None
        assert {one.name: one.done for one in found.gateways}["roma"] == pytest.approx(START + 121, abs=3)

    def test_what_an_operator_skips_takes_no_time(self) -> None:
        """They end as soon as a worker comes to them, which may be hours later."""
        events = [wave("one", START), *self.work("apim", 20, 0, 2.0), *self.work("roma", 20, 0, 2.0)]
        parts = (part("one", apim=40), part("two", apim=50, roma=39), part("three", apim=1))
        skip = replace(story.controlled("skip **"), skipped=parts)
        progress = fold(self.BOTH, *events, skip)

        # Of apim 40 are left in the wave, and of roma 1 behind its pause.
        assert ends(progress, START + 10)[0] == pytest.approx(10 + 20 + 100 + 0.5, abs=0.5)
        passed = [
            replace(ended(f"apim/s{n}", Outcome.NOT_STARTED, at=START + 10), reason="skipped: **, by ada")
            for n in range(40)
        ]
        for event in passed:
            progress.observe(event)
        assert ends(progress, START + 10)[0] == pytest.approx(10 + 20 + 100 + 0.5, abs=0.5)

    def test_targets_left_behind_in_a_wave_do_not_come_again(self) -> None:
        progress = fold(self.BOTH, wave("one", START), wave("two", START + 1))
        found = progress.make_forecast(START + 1)

        assert found is not None
        assert [one.name for one in found.waves] == ["two"]

    def test_while_the_run_waits_the_end_is_unknown_but_late_targets_are_counted(self) -> None:
        begun = started(
            {"apim": 150, "roma": 60},
            parts=self.TWO,
            closes=START + 130,
            timeouts={"apim": 120.0, "roma": 20.0},
        )
        waits = story.RunWaiting(at=START + 5, why="pause_after", until=START + 105, wave="one")
        found = fold(begun, wave("one", START), waits).make_forecast(START + 6)

        assert found is not None
        assert (found.done, found.fits) == (None, False)
        assert {one.name: one.late for one in found.gateways} == {"apim": 50, "roma": 0}
        assert {one.name: one.starts_until for one in found.gateways} == {
            "apim": START + 10,
            "roma": START + 110,
        }
