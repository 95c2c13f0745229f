"""Gateways that may be one place give a warning; others do not."""

from __future__ import annotations

import pytest

from orchestrator.model.gateway import Gateway
from orchestrator.plan.lookalikes import find_lookalikes
from tests.plan.test_patterns import apim, roma


@pytest.mark.parametrize(
    ("gateways", "told"),
    [
        ([apim("a", "https://apim.test"), apim("b", "https://10.0.0.5:443/")], ["a"]),
        ([apim("a", "https://10.0.0.5/x"), apim("b", "https://apim.test//x/")], ["a"]),
        ([apim("a", "https://apim.test"), apim("b", "https://[fd00::5]")], ["a"]),
        ([apim("a", "http://localhost:8080"), apim("b", "http://2130706433:8080")], ["a"]),
        ([apim("a", "https://apim.test"), apim("b", "https://other.test")], []),
        ([apim("a", "https://10.0.0.4"), apim("b", "https://10.0.0.5")], []),
        ([apim("a", "https://apim.test"), apim("b", "https://10.0.0.5:8443")], []),
        ([apim("a", "https://apim.test/x"), apim("b", "https://10.0.0.5/y")], []),
        ([apim("a", "https://apim.test"), apim("b", "HTTPS://APIM.test:443")], []),
        ([apim("a", "https://gw.test"), roma("b", "https://10.0.0.5")], []),
        ([roma("a", "https://roma.test"), roma("b", "https://10.0.0.5")], ["a"]),
        ([roma("a", "https://roma.test"), roma("b", "https://10.0.0.5", instance="j")], []),
        ([apim("a", "http://apim.test"), apim("b", "https://apim.test")], ["a"]),
        ([apim("a", "http://apim.test:80/x"), apim("b", "https://APIM.test.:443/x")], ["a"]),
        ([apim("a", "http://apim.test:8080"), apim("b", "https://apim.test:8443")], []),
        ([apim("a", "http://127.0.0.1:4001"), apim("b", "http://127.0.0.1:4002")], []),
        ([apim("a", "https://apim.test")], []),
        ([], []),
    ],
)
def test_gateways_that_may_be_one_place_give_a_warning(gateways: list[Gateway], told: list[str]) -> None:
    assert [name for name, _ in find_lookalikes(gateways)] == told


def test_only_the_first_gateways_are_named() -> None:
    many = [apim(f"g{n}", f"https://10.0.0.{n}") for n in range(5)]
    ((name, text),) = find_lookalikes([apim("a", "https://apim.test"), *many])
    assert name == "a"
    assert text.startswith(
        "a (https://apim.test), g0 (https://10.0.0.0), g1 (https://10.0.0.1) and 3 more are possibly the same"
    )
