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


def work(gateway: str, targets: int, seconds: float | None) -> WorkAhead:
    return WorkAhead(gateway=gateway, targets=targets, seconds=seconds)


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


def test_nothing_left_is_done_now() -> None:
    assert seen(closes=10, roma=30).done == NOW


PARTS = st.lists(
    st.builds(
        part,
        st.just("w"),
        st.builds(work, st.just("roma"), st.integers(1, 50), st.floats(0, 1e4)),
        st.builds(work, st.just("apim"), st.integers(1, 50), st.floats(0, 1e4)),
        rest=st.floats(0, 1e3),
    ),
    max_size=4,
)


@given(parts=PARTS, closes=st.floats(-100, 2e4), roma=st.floats(1, 300), apim=st.floats(1, 300))
def test_it_fits_if_and_only_if_none_is_late(
    parts: list[RunPart], closes: float, roma: float, apim: float
) -> None:
    found = seen(*parts, closes=closes, roma=roma, apim=apim)

    assert found.fits is (None if not parts else found.late == 0)
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
