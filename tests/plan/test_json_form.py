"""A plan comes back from the journal as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.plan.json_form import decode_plan, encode_plan
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList

PLANS = sorted(Path(__file__).parents[2].glob("plans/*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_comes_back_as_it_was(path: Path) -> None:
    plan = read_plan(path, TargetList()).plan

    again = decode_plan(encode_plan(plan))

    assert again == plan
    assert [type(gateway) for gateway in again.gateways] == [type(gateway) for gateway in plan.gateways]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"{}", b'{"gateways": 5}', b'{"gateways": [5]}', b'{"gateways": []}', b"\xff"],
)
def test_json_that_is_no_plan_is_a_fault_of_the_journal(raw: bytes) -> None:
    with pytest.raises(JournalError):
        decode_plan(raw)


def test_a_kind_of_another_program_is_named() -> None:
    with pytest.raises(JournalError, match="a gateway of kind 'kong', which this program lacks"):
        decode_plan(b'{"name": "x", "gateways": [{"kind": "kong"}], "waves": []}')
