"""The figures of the benchmark that are counts: CI asserts these, and leaves seconds to `make bench-gate`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.control import count_requests_to_an_ill_one, measure_pace
from bench.figures import Figure, Sizes
from bench.goals import YARDSTICKS
from bench.requests import count_requests

pytestmark = [
    pytest.mark.long("runs thousands of targets against gateways with a limit"),
    pytest.mark.timeout(180),
]


def keep_floor(figures: Iterator[Figure], *names: str) -> dict[str, float]:
    """Assert that each figure with one of these names keeps its floor; return them, by name and variant."""
    found = {(figure.name, figure.variant): max(figure.values) for figure in figures if figure.name in names}
    for (name, variant), value in found.items():
        floor = YARDSTICKS[name].floor
        assert floor is not None
        assert value <= floor, (name, variant, value)
    assert {name for name, _ in found} == set(names)
    return {f"{name} {variant}": value for (name, variant), value in found.items()}


@pytest.mark.promise(6)
def test_a_run_learns_a_limit_with_few_refusals_and_keeps_a_known_one_without(tmp_path: Path) -> None:
    keep_floor(measure_pace(tmp_path, Sizes(3000, 1)), "P3 refused", "P4 refused")


def test_a_default_run_sends_hardly_more_requests_than_it_has_targets(tmp_path: Path) -> None:
    figures = list(count_requests(tmp_path, Sizes(1000, 1)))
    keep_floor(iter(figures), "P13 ROMA", "P13 Apinizer", "P13 report")
    (bindings,) = (figure.values[0] for figure in figures if figure.name == "P13 bindings")

    lists, pages, compared = 5, 6 * 2, 5 * 3  # two pages for each of six things; three targets read alone
    assert bindings == lists + pages + compared


@pytest.mark.promise(6)
def test_an_ill_gateway_is_spared(tmp_path: Path) -> None:
    found = keep_floor(count_requests_to_an_ill_one(tmp_path, Sizes(1000, 1)), "P6")

    assert len(found) == 2
