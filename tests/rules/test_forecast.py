"""When a run is done, and whom its window leaves too little time: the fold that all forecasts share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.forecast import Forecast
from orchestrator.rules.forecast import (
    RunPart,
    WorkAhead,
    encode_forecast,
    find_last_starts,
    foresee,
)

NOW = 1_795_374_000.0


def work(gateway: str, targets: int, seconds: float | None, under_way: int = 0) -> WorkAhead:
    return WorkAhead(gateway=gateway, targets=targets, seconds=seconds, under_way=min(under_way, targets))


def part(wave: str, *here: WorkAhead, rest: float = 0.0) -> RunPart:
    return RunPart(wave=wave, work=here, rest=rest)


def seen(
    *parts: RunPart, closes: float | None = None, hindered: str | None = None, **timeouts: float
) -> Forecast:
    last = find_last_starts(None if closes is None else NOW + closes, timeouts)
    return foresee(parts, now=NOW, last=last, hindered=hindered)


def late(forecast: Forecast) -> dict[str, int]:
    return {gateway.name: gateway.late for gateway in forecast.gateways}


def test_parts_come_one_after_another_and_their_gateways_side_by_side() -> None:
    found = seen(
        part("one", work("roma", 10, 20.0), work("apim", 5, 50.0), rest=100.0),
        part("two", work("roma", 1, 3.0)),
    )

    assert found.done == NOW + 50 + 100 + 3
    assert [(wave.name, wave.done) for wave in found.waves] == [("one", NOW + 50), ("two", NOW + 153)]
    assert [(gateway.name, gateway.done) for gateway in found.gateways] == [
        ("roma", NOW + 153),
        ("apim", NOW + 50),
    ]
    assert (found.spare, found.fits, found.late) == (None, None, 0)


def test_the_steps_of_a_wave_are_one_wave() -> None:
    found = seen(part("one", work("roma", 1, 1.0)), part("one", work("roma", 9, 9.0)))

    assert [(wave.name, wave.done) for wave in found.waves] == [("one", NOW + 10)]


def test_each_gateway_stops_one_of_its_own_timeouts_before_the_window_closes() -> None:
    """A window of a minute: half of the work cannot start at all, though the other half fits well."""
    found = seen(part("all", work("roma", 30, 2.0), work("apim", 15, 5.0)), closes=60, roma=30, apim=150)

    assert late(found) == {"roma": 0, "apim": 15}
    assert found.fits is False
    assert [gateway.starts_until for gateway in found.gateways] == [NOW + 30, NOW - 90]


def test_what_starts_in_time_starts_and_what_is_late_is_counted() -> None:
    found = seen(part("all", work("roma", 100, 200.0)), closes=180, roma=30)

    assert late(found) == {"roma": 25}
    assert found.spare == -50
    assert found.done == NOW + 200


def test_a_gateway_that_the_window_stops_does_not_delay_the_next_wave() -> None:
    found = seen(
        part("one", work("apim", 100, 1000.0)),
        part("two", work("roma", 10, 10.0)),
        closes=150,
        roma=5,
        apim=100,
    )

    assert late(found) == {"apim": 95, "roma": 0}


def test_while_the_end_is_unknown_only_certainly_late_targets_are_counted() -> None:
    unknown = seen(part("one", work("roma", 10, None)), part("two", work("apim", 3, 1.0)), closes=60, roma=30)
    sure = seen(part("one", work("roma", 10, None), work("apim", 3, None)), closes=60, roma=30, apim=150)
    parked = seen(part("one", work("roma", 10, 1.0)), closes=60, roma=30, hindered="roma is parked")

    assert (unknown.done, unknown.fits, unknown.late) == (None, None, 0)
    assert (late(sure), sure.fits) == ({"roma": 0, "apim": 3}, False)
    assert (parked.done, parked.fits, parked.hindered) == (None, None, "roma is parked")


def test_while_a_gateway_stands_still_the_latest_end_is_that_of_each_at_its_longest() -> None:
    ill = WorkAhead(gateway="roma", targets=10, seconds=None, at_most=600.0)
    well = WorkAhead(gateway="apim", targets=1, seconds=5.0, at_most=5.0)
    parts = part("one", ill, rest=10.0), part("two", well)

    assert seen(*parts, hindered="roma is parked").latest == NOW + 600 + 10 + 5
    assert seen(*parts).latest is None
    assert seen(part("one", work("roma", 1, 1.0)), hindered="roma is parked").latest is None  # nobody knows


def test_the_tightest_gateway_says_how_much_time_is_to_spare() -> None:
    found = seen(part("all", work("roma", 10, 20.0), work("apim", 5, 50.0)), closes=180, roma=30, apim=100)

    assert found.spare == 80 - 50


def test_a_wave_without_a_pause_is_followed_at_once() -> None:
    first = RunPart(wave="one", work=(work("roma", 1, 5.0),))

    assert seen(first, part("two", work("roma", 1, 5.0))).done == NOW + 10


def test_a_pause_between_waves_takes_time_from_the_window() -> None:
    waves = part("one", work("roma", 1, 1.0), rest=100.0), part("two", work("apim", 3, 1.0))

    assert late(seen(*waves, closes=130, roma=30, apim=30)) == {"roma": 0, "apim": 3}
    assert late(seen(*waves, closes=132, roma=30, apim=30)) == {"roma": 0, "apim": 0}


def test_work_of_unknown_length_makes_no_other_gateway_late() -> None:
    waves = part("one", work("roma", 10, None)), part("two", work("apim", 3, 0.0))

    assert late(seen(*waves, closes=150.5, roma=30, apim=150)) == {"roma": 0, "apim": 0}


def test_at_the_last_instant_a_target_may_start() -> None:
    assert late(seen(part("one", work("roma", 3, None)), closes=30, roma=30)) == {"roma": 0}
    assert late(seen(part("one", work("roma", 10, 5.0)), closes=30.5, roma=30)) == {"roma": 9}


def test_what_waits_for_its_reply_is_not_late_however_soon_the_window_closes() -> None:
    flying = WorkAhead(gateway="roma", targets=8, under_way=8, seconds=8.0)
    half = WorkAhead(gateway="roma", targets=8, under_way=4, seconds=8.0)
    closing = seen(part("all", flying), closes=31, roma=30)
    closed = seen(part("all", half), closes=29, roma=30)

    assert (closing.late, closing.spare, closing.fits) == (0, None, None)
    # Each reply makes room for one more: the last of the four starts after the first four replies.
    assert (seen(part("all", half), closes=34, roma=30).spare, closed.late) == (0, 4)
    assert late(seen(part("all", half), closes=32, roma=30)) == {"roma": 2}


def test_nothing_left_is_done_now() -> None:
    assert seen(closes=10, roma=30).done == NOW


PARTS = st.lists(
    st.builds(
        part,
        st.just("w"),
        st.builds(work, st.just("roma"), st.integers(1, 50), st.floats(0, 1e4)),
        st.builds(work, st.just("apim"), st.integers(1, 50), st.floats(0, 1e4), st.integers(0, 8)),
        rest=st.floats(0, 1e3),
    ),
    max_size=4,
)


@given(parts=PARTS, closes=st.floats(-100, 2e4), roma=st.floats(1, 300), apim=st.floats(1, 300))
def test_it_fits_if_and_only_if_none_is_late(
    parts: list[RunPart], closes: float, roma: float, apim: float
) -> None:
    found = seen(*parts, closes=closes, roma=roma, apim=apim)

    assert found.fits is (None if not parts else found.late == 0)  # roma has something to start in each
    assert 0 <= found.late <= sum(work.targets for one in parts for work in one.work)
    assert found.done is not None


@given(parts=PARTS, closes=st.floats(0, 2e4), more=st.floats(0, 1e4))
def test_a_longer_window_leaves_no_more_out(parts: list[RunPart], closes: float, more: float) -> None:
    assert (
        seen(*parts, closes=closes + more, roma=30, apim=150).late
        <= seen(*parts, closes=closes, roma=30, apim=150).late
    )


def test_the_json_of_a_forecast_is_in_utc() -> None:
    values = encode_forecast(seen(part("all", work("roma", 100, 200.0)), closes=180, roma=30))

    assert values["done"] == "2026-11-22T19:03:20Z"
    assert values["spare"] == -50
    assert encode_forecast(seen(part("all", work("roma", 1, 20.0006)), closes=60, roma=30), "spare") == {
        "spare": 9.999
    }
    assert (values["fits"], values["late"]) == (False, 25)
    assert values["gateways"][0] == {
        "name": "roma",
        "done": "2026-11-22T19:03:20Z",
        "starts_until": "2026-11-22T19:02:30Z",
        "late": 25,
    }


@pytest.mark.parametrize("empty", [{}, {"roma": 30.0}])
def test_without_a_window_no_gateway_stops(empty: dict[str, float]) -> None:
    assert find_last_starts(None, empty) == {}
