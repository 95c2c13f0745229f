"""The shared reads of the use, whatever a server answers: they never raise, and never say "unused" for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.http import Reply
from orchestrator.model.reading import FrontEnd, Reading, Snapshot, Verdict
from orchestrator.model.usage import Usage
from tests.gateways.test_contract import replies
from tests.support.recorded import PARTS, every_kind, feature, gateway, target

FRONT = "5f918d104dc84480a75166ba99efff21"
ROMA = gateway("roma")
HOURS = 3

counts = st.one_of(st.integers(-2, 5), st.none(), st.text(max_size=2), st.booleans(), st.floats(0, 3))
samples = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"req_count": counts},
            optional={
                "current_minute": st.one_of(st.integers(0, 4), st.text(max_size=1), st.none()),
                "api_id": st.sampled_from([FRONT, "another", "", None, 7]),
            },
        ),
        st.none(),
    ),
    max_size=6,
)


@pytest.mark.parametrize("kind", every_kind("traffic"))
@settings(deadline=None)
@given(reply=replies)
def test_no_reply_makes_a_shared_read_raise(kind: str, reply: Reply) -> None:
    read = feature(kind, "traffic").next_shared_read({}, HOURS)
    if read is None:
        return
    found = read.read(reply)
    if isinstance(found, Reading):
        assert found.verdict in {Verdict.BUSY, Verdict.DENIED, Verdict.NOT_OFFERED, Verdict.UNCLEAR}
    else:
        assert reply.status == 200


@settings(deadline=None)
@given(listed=samples)
def test_statistics_of_any_form_tell_calls_only_by_whole_samples(listed: list[Any]) -> None:
    """What one reader takes for the calls is the sum of numbers that cover the hours; any other is untold."""
    reply = Reply(200, {}, msgspec.json.encode({"list": listed}), 0.0)
    assert ROMA.traffic is not None
    read = ROMA.traffic.next_shared_read({}, HOURS)
    assert read is not None
    seen_at = Snapshot(verdict=Verdict.UP, fronts=(FrontEnd(id=FRONT),))

    usage = ROMA.traffic.next_read(
        target(*PARTS["roma"]), seen_at, {read.name: read.read(reply)}, {}, {"statistics": "none"}, HOURS
    )

    assert isinstance(usage, Usage)
    if usage.calls is not None:
        numbers = [sample["req_count"] for sample in listed]
        assert all(type(number) is int and number >= 0 for number in numbers)
        assert len(listed) >= HOURS
        ours = [one["req_count"] for one in listed if one.get("api_id") == FRONT]
        assert usage.calls == (sum(ours) if sum(numbers) else 0)
