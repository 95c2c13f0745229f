"""How the requests of one target ask their lane for admission."""

from __future__ import annotations

import pytest

from orchestrator.engine.attempts import make_change_request, make_look_request
from orchestrator.model.reading import Act
from orchestrator.rules.retry import LOOKS_PER_DOUBT, TargetHistory
from tests.support.engine import target


@pytest.mark.promise(7)
def test_every_change_after_the_first_is_a_repeat_that_the_gateway_s_budget_pays_for() -> None:
    asked = {
        (charged, unsent): make_change_request(
            target(), Act.UNDEPLOY, TargetHistory(charged=charged, unsent=unsent)
        ).repeats
        for charged, unsent in ((0, 0), (1, 0), (0, 1), (2, 3))
    }

    assert asked == {(0, 0): False, (1, 0): True, (0, 1): True, (2, 3): True}


def test_a_look_settles_a_doubt_after_a_change_only_and_the_last_one_says_so() -> None:
    before, *after = (
        [make_look_request(target(), TargetHistory(charged=charged, looks=looks)) for looks in range(4)]
        for charged in (0, 1, 2)
    )

    assert LOOKS_PER_DOUBT == 3
    assert [(each.settling, each.last) for each in before] == [(False, False)] * 4
    for asked in after:
        assert [each.settling for each in asked] == [True] * 4
        assert [each.last for each in asked] == [False, False, True, True]
