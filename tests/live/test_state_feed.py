"""The feed of a run: whoever applies its differences has the state, whatever changes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.live.state_feed import LONGEST_DELTA, StateFeed
from tests.support.made_up_status import make_status

KEYED = ("lanes", "waves", "causes")
NAMES = st.sampled_from(["a", "b", "c", "a b", "ü<>"])
VALUES = st.integers(0, 2) | st.none() | st.text(max_size=3)
LANES = st.lists(st.fixed_dictionaries({"name": NAMES, "left": VALUES, "reason": VALUES}), max_size=4)
CAUSES = st.lists(
    st.fixed_dictionaries(
        {"outcome": st.sampled_from(["failed", "unknown"]), "label": NAMES, "count": VALUES}
    ),
    max_size=4,
)
STATUSES = st.fixed_dictionaries(
    {
        "at": st.floats(0, 9),
        "verdict": st.fixed_dictionaries({"state": VALUES}),
        "until": VALUES,
        "lanes": LANES,
        "waves": LANES,
        "causes": CAUSES,
        "over_time": st.fixed_dictionaries({"ended": VALUES}),
    }
)


def apply(state: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """Do what the page does with a difference."""
    state = state | delta.get("set", {}) | {"seq": delta["seq"]}
    for name in KEYED:
        items = {item["key"]: item for item in state[name]}
        for key, patch in delta.get("lists", {}).get(name, {}).items():
            items[key] = items.get(key, {}) | patch
        order = delta.get("order", {}).get(name, list(items))
        state[name] = [items[key] for key in order]
    return state


def read(feed: StateFeed) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.json.decode(feed.state)
    return state


@settings(max_examples=40)
@given(st.lists(STATUSES, min_size=2, max_size=5))
def test_the_differences_lead_from_each_state_to_the_next(statuses: list[dict[str, Any]]) -> None:
    feed = StateFeed(10)
    feed.advance(statuses[0])
    seen = read(feed)
    for status in statuses[1:]:
        before = feed.seq
        if feed.advance(status):
            assert feed.delta is not None
            delta = msgspec.json.decode(feed.delta)
            assert (delta["base"], delta["seq"]) == (before, before + 1) == (feed.base, feed.seq)
            seen = apply(seen, delta)
        else:
            assert feed.seq == before
        # The time alone makes no difference: the heartbeat has it.
        assert seen | {"at": 0} == read(feed) | {"at": 0}


def test_a_state_that_stays_makes_no_difference() -> None:
    feed = StateFeed(1)
    status = make_status("running")

    first, second = feed.advance(status), feed.advance(status | {"at": status["at"] + 1})

    assert (first, second, feed.seq) == (True, False, 2)


def test_only_the_changed_fields_of_a_lane_are_in_a_difference() -> None:
    feed = StateFeed(1)
    status = make_status("running")
    feed.advance(status)
    lane = status["lanes"][0]

    feed.advance(status | {"lanes": [lane | {"in_flight": 99}, *status["lanes"][1:]]})

    assert feed.delta is not None
    delta = msgspec.json.decode(feed.delta)
    assert delta["lists"] == {"lanes": {lane["name"]: {"in_flight": 99}}}
    assert "order" not in delta
    assert list(delta["set"]) == ["at"]


def test_two_waves_of_one_name_have_two_keys() -> None:
    feed = StateFeed(1)

    feed.advance({"at": 0.0, "waves": [{"name": "w"}, {"name": "w"}]})

    assert len({wave["key"] for wave in read(feed)["waves"]}) == 2


def test_the_values_of_the_charts_are_not_in_the_state_but_their_number_is() -> None:
    feed = StateFeed(1)
    feed.advance({"at": 0.0, "over_time": {"sent": [1]}})
    first = read(feed)
    feed.advance({"at": 1.0, "over_time": {"sent": [2]}})

    assert "over_time" not in first
    assert (first["charts"], read(feed)["charts"], feed.over_time) == (1, 2, {"sent": [2]})


@pytest.mark.parametrize("name", ["crowded", "huge"])
def test_a_difference_that_is_too_long_is_none(name: str) -> None:
    feed = StateFeed(1)

    feed.advance(make_status(name))

    assert len(feed.state) > LONGEST_DELTA
    assert feed.delta is None


def test_a_tick_of_a_run_fits_into_a_difference() -> None:
    """Eight gateways, all of whose counts change: what a busy run sends twice a second."""
    lanes = [make_status("running")["lanes"][0] | {"name": f"gateway-{number}"} for number in range(8)]
    feed = StateFeed(1)
    status = make_status("running") | {"lanes": lanes}
    feed.advance(status)

    moved = [
        lane | {"ended": 1, "left": 9, "counts": lane["counts"] | {"failed": 7}, "rate": 2.5}
        for lane in lanes
    ]
    feed.advance(status | {"lanes": moved, "verdict": status["verdict"] | {"headline": "412 of 3,000 down"}})

    assert feed.delta is not None
    assert len(feed.delta) < LONGEST_DELTA
