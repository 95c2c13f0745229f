"""A pattern that matches no target gets the nearest one that would."""

from __future__ import annotations

import pytest

from orchestrator.plan import near_patterns
from orchestrator.plan.near_patterns import suggest_patterns

TARGETS = (
    "apim/Retail/petstore-api/test",
    "apim/Retail/petstore-api/production",
    "apim/Payments/cards/production",
    "roma/bd42841c20184da6bbf457c6d8a06e37",
    "other/Retial/x/y",
)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("apim/Retial/**", "apim/Retail/**"),
        ("apim/retail/**/test", "apim/Retail/**/test"),
        ("apim/Payments/*/prodution", "apim/Payments/*/production"),
        ("apim/Retail/petstoreapi/test", "apim/Retail/petstore-api/test"),
        ("apim/Retail/petstore-ap?/tset", "apim/Retail/petstore-ap?/test"),
        ("roma/bd42841c20184da6bbf457c6d8a06e73", "roma/bd42841c20184da6bbf457c6d8a06e37"),
        ("apim/Cards/**", None),
        ("apim/Retial/petstore-api/tset", None),
        ("apim/*/*/*", None),
        ("apim/**", None),
    ],
)
def test_one_part_is_mended(pattern: str, meant: str | None) -> None:
    gateway = pattern.partition("/")[0]

    assert suggest_patterns({pattern: (gateway,)}, TARGETS).get(pattern) == meant


def test_the_first_part_may_be_a_host() -> None:
    found = suggest_patterns({"apim.example.com/Retial/**": ("apim",)}, TARGETS)

    assert found == {"apim.example.com/Retial/**": "apim.example.com/Retail/**"}


def test_the_work_is_bounded_and_a_slip_is_found_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_patterns, "MOST_TARGETS", 3_000)
    names = iter([f"roma/{number * 2654435761 % 2**32:08x}" for number in range(10_000)])
    meant = f"roma/{2_900 * 2654435761 % 2**32:08x}"
    wrong = meant[:-1] + ("0" if meant[-1] != "0" else "1")

    found = suggest_patterns({wrong: ("roma",), **{f"roma/no{n}": ("roma",) for n in range(9)}}, names)

    assert found == {wrong: meant}
    assert len(list(names)) == 7_000
