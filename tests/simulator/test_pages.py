"""A page of a long list costs its own entries, and not the whole list."""

from __future__ import annotations

import pytest

from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.pages import KeptLists
from tests.support.simulated import PLACE, SimulatedClient, document, roma

IDS = tuple(f"{index:032x}" for index in range(60))
SHOP = BoundFixture(type="applications", name="web-shop")


def test_a_list_is_made_again_once_its_state_has_changed():
    lists, made = KeptLists(), []

    def make() -> list[int]:
        made.append(len(made))
        return list(made)

    assert [lists.find("all", state, make) for state in (0, 0, 1, 1)] == [[0], [0], [0, 1], [0, 1]]


def test_few_lists_are_kept():
    lists, made = KeptLists(), []
    for key in (*range(20), 19, 0):
        lists.find(key, 0, lambda: made.append(1) or [])  # type: ignore[func-returns-value]

    assert len(made) == 21


@pytest.mark.parametrize(
    "path", ["livedata-apis?", "livedata-apis?status=4&", "apis?", f"app-auths/binded-apis?app_id={SHOP.id}&"]
)
def test_the_pages_of_a_list_are_cut_from_one_list(path, monkeypatch):
    made = []
    find = KeptLists.find

    def counting(self, key, state, make):
        return find(self, key, state, lambda: made.append(key) or make())

    monkeypatch.setattr(KeptLists, "find", counting)
    client = SimulatedClient(roma(targets=IDS, down=(), bound=(SHOP,)))
    pages = [
        document(client.ask("GET", f"/v2/{PLACE}/{path}limit=20&offset={at}")) for at in range(0, 60, 20)
    ]

    assert [page["size"] for page in pages] == [20, 20, 20]
    assert len(made) == 1
    client.ask("POST", f"/v2/{PLACE}/livedata-apis/{IDS[0]}/undeploy")
    left = document(client.ask("GET", f"/v2/{PLACE}/{path}limit=1"))["total"]
    assert left == (60 if path == "livedata-apis?" else 59)
