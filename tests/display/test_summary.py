"""The last lines of a run on the screen."""

from orchestrator.display.summary import TROUBLE_SHOWN, list_trouble
from orchestrator.model.outcome import Outcome
from orchestrator.report.values import TargetReport, Totals


def make_failed(number: int, name: str | None = None) -> TargetReport:
    return TargetReport(
        id=f"roma-eu/{number}",
        gateway="roma-eu",
        kind="roma",
        wave="everything",
        coordinates={"ld_api_id": str(number)},
        outcome=Outcome.FAILED,
        reason="refused: locked",
        evidence=None,
        seconds=0.1,
        attempts=(),
        name=name,
    )


def test_a_failed_target_is_named_with_the_name_that_people_know() -> None:
    lines = list(list_trouble([make_failed(1, "Orders API"), make_failed(2)], Totals(targets=9, failed=2)))

    assert lines == [
        "failed   roma-eu/1 (Orders API): refused: locked",
        "failed   roma-eu/2: refused: locked",
    ]


def test_of_many_failed_targets_the_first_are_named_and_the_others_counted() -> None:
    lines = list(list_trouble(map(make_failed, range(50)), Totals(targets=50, failed=50)))

    assert len(lines) == TROUBLE_SHOWN + 1
    assert lines[-1] == f"… and {50 - TROUBLE_SHOWN} more; the reports name them all"
