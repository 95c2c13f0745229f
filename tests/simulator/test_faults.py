"""What goes wrong, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.model.reading import Act
from orchestrator.simulator.exchange import TWISTS, FaultKind
from orchestrator.simulator.faults import (
    NAMES,
    STORM_FAULTS,
    FaultPicker,
    FaultScenario,
    FaultScope,
    FaultStorm,
    InjectedFault,
    parse_fault,
    parse_storm,
)

TARGET = "apim/P/x/test"


def weather(**faults: object) -> FaultPicker:
    return FaultPicker(FaultScenario(**faults), "apim", TWISTS)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500", InjectedFault(kind=FaultKind.STATUS, status=500)),
        ("503@2", InjectedFault(kind=FaultKind.STATUS, status=503, retry_after="2")),
        ("500-after", InjectedFault(kind=FaultKind.STATUS, status=500, effect=True)),
        ("reset-after", InjectedFault(kind=FaultKind.RESET, effect=True)),
        ("slow@1.5", InjectedFault(kind=FaultKind.SLOW, delay=1.5)),
        ("look:hang", InjectedFault(kind=FaultKind.HANG, on=FaultScope.LOOK)),
        ("any:401", InjectedFault(kind=FaultKind.STATUS, on=FaultScope.ANY, status=401)),
        ("no-pods", InjectedFault(kind=FaultKind.NO_PODS, on=FaultScope.LOOK)),
        ("pod-unreached", InjectedFault(kind=FaultKind.POD_UNREACHED, on=FaultScope.LOOK)),
        ("pod-silent", InjectedFault(kind=FaultKind.POD_SILENT, on=FaultScope.LOOK)),
    ],
)
def test_a_fault_is_read_from_its_text(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "boom", "600", "500@soon", "run:500", "reset-before", "-after"])
def test_a_fault_that_does_not_exist_is_answered_with_those_that_do(text):
    with pytest.raises(UsageError, match="inner-false"):
        parse_fault(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_written(name):
    assert parse_fault(name).kind.value == name


@pytest.mark.parametrize("text", STORM_FAULTS)
def test_the_default_storm_can_strike_both_platforms(text):
    assert parse_fault(text).kind not in TWISTS


def test_a_storm_is_read_from_its_text():
    assert parse_storm("30%", 7).share == 0.3
    kinds = parse_storm("0.5:500,reset-after").kinds
    assert [str(kind) for kind in kinds] == ["500", "reset-after"]


@pytest.mark.parametrize("text", ["", "2", "101%", "x:500", "0.5:boom", "-0.1", "nan"])
def test_a_storm_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError):
        parse_storm(text)


def test_each_request_takes_the_first_fault_of_its_act():
    faults = weather(script={TARGET: ("500", "look:404", "reset")})

    picked = [
        faults.pick(TARGET, act, 1) for act in (Act.LOOK, Act.UNDEPLOY, Act.UNDEPLOY, Act.UNDEPLOY, Act.LOOK)
    ]

    assert [str(fault) if fault else None for fault in picked] == ["404", "500", "reset", None, None]


def test_a_fault_may_strike_often_or_for_ever():
    faults = weather(
        script={
            TARGET: (
                InjectedFault(kind=FaultKind.RESET, times=2),
                InjectedFault(kind=FaultKind.HANG, times=0),
            )
        }
    )

    picked = [faults.pick(TARGET, Act.UNDEPLOY, n).kind for n in range(1, 6)]

    assert picked == [FaultKind.RESET] * 2 + [FaultKind.HANG] * 3


def test_a_targets_script_goes_before_its_gateways():
    faults = weather(script={"apim": ("any:500",), TARGET: ("any:404",)})

    picked = [str(faults.pick(target, Act.LOOK, 1)) for target in (TARGET, None)]

    assert picked == ["404", "500"]


def test_only_a_fault_on_any_strikes_a_request_without_an_act():
    assert weather(script={"apim": ("500", "look:500")}).pick(None, None, 0) is None
    assert weather(script={"apim": ("any:500",)}).pick(None, None, 0) is not None


def test_a_twist_of_another_platform_is_refused_in_a_script_and_left_out_of_a_storm():
    with pytest.raises(UsageError, match="'partial'"):
        FaultPicker(FaultScenario(script={"roma-eu": ("partial",)}), "roma-eu", frozenset())
    storm = FaultScenario(storm=FaultStorm(share=1.0, kinds=("partial", "500")))
    assert FaultPicker(storm, "roma-eu", frozenset()).pick("roma-eu/a", Act.UNDEPLOY, 1).status == 500


@given(seed=st.integers(), share=st.sampled_from([0.0, 0.2, 1.0]))
def test_a_storm_strikes_its_share_and_the_same_requests_again(seed, share):
    storms = [weather(storm=FaultStorm(share=share, seed=seed, kinds=("500",))) for _ in range(2)]

    struck = [[storm.pick(f"apim/{n}", Act.UNDEPLOY, 1) is not None for n in range(500)] for storm in storms]

    assert struck[0] == struck[1]
    assert abs(sum(struck[0]) / 500 - share) < 0.12


def test_a_storm_does_not_depend_on_the_order_of_arrival():
    def rolled(order: list[int]) -> dict[int, bool]:
        storm = weather(storm=FaultStorm(share=0.5, kinds=("500",)))
        return {n: storm.pick(f"apim/{n}", Act.UNDEPLOY, 1) is not None for n in order}

    assert rolled(list(range(100))) == rolled(list(reversed(range(100))))


def test_a_storm_may_spare_a_target_after_some_requests_and_other_gateways():
    storm = FaultStorm(share=1.0, kinds=("500",), first=2)

    assert [bool(weather(storm=storm).pick(TARGET, Act.UNDEPLOY, n)) for n in (1, 2, 3)] == [
        True,
        True,
        False,
    ]
    elsewhere = FaultStorm(share=1.0, kinds=("500",), gateways=("roma-eu",))
    assert weather(storm=elsewhere).pick(TARGET, Act.UNDEPLOY, 1) is None
