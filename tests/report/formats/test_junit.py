"""report.xml."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree  # type: ignore[import-untyped]

from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from tests.support.made_up_runs import (
    HOSTILE,
    FakeReportSource,
    build_attempt,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)

SCHEMA = etree.XMLSchema(file=str(Path(__file__).with_name("junit.xsd")))


def read(source: FakeReportSource) -> etree._Element:
    return etree.fromstring(render_report("junit", source).encode())


@pytest.mark.parametrize("count", [0, 1, 6, 60, 2_000])
def test_every_run_is_valid(count: int) -> None:
    source = make_up_run(count) if count else FakeReportSource((), build_run())

    SCHEMA.assertValid(read(source))


def test_the_schema_refuses_what_is_not_junit() -> None:
    assert not SCHEMA.validate(etree.fromstring("<testsuites><testcase/></testsuites>"))


def test_suites_are_waves_and_their_counts_are_those_of_their_cases() -> None:
    source = make_up_run(300, stopped=True)
    suites = read(source).findall("testsuite")

    assert [suite.get("name") for suite in suites] == ["canary", "everything", "the rest"]
    for suite in suites:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped", "")) == len(suite.findall("testcase/skipped"))


@pytest.mark.parametrize(
    ("outcome", "child"),
    [
        (Outcome.UNDEPLOYED, None),
        (Outcome.ALREADY_UNDEPLOYED, None),
        (Outcome.FAILED, "failure"),
        (Outcome.UNKNOWN, "failure"),
        (Outcome.NOT_STARTED, "skipped"),
    ],
)
def test_an_outcome_becomes_a_result(outcome: Outcome, child: str | None) -> None:
    case = read(FakeReportSource((build_target("roma-eu/a", outcome, "spent: why"),), build_run())).find(
        "testsuite/testcase"
    )
    assert case is not None

    assert (case.get("classname"), case.get("name")) == ("roma-eu", "roma-eu/a")
    assert [element.tag for element in case] == ([child] if child else [])
    assert [element.get("message") for element in case] == (["spent: why"] if child else [])


def test_a_failure_tells_every_request() -> None:
    attempts = (
        build_attempt(1, None, None, "no reply within 30 s", seconds=30.0),
        build_attempt(2, 500, "APIG.9999", "System error", act=Act.LOOK),
        build_attempt(3, None, seconds=None),
    )
    source = FakeReportSource(
        (build_target(outcome=Outcome.UNKNOWN, reason="spent: x", attempts=attempts),), build_run()
    )

    assert read(source).findtext("testsuite/testcase/failure") == (
        "1 undeploy: no reply after 30.000 s: no reply within 30 s\n"
        "2 look: 500 after 0.123 s: APIG.9999 System error\n"
        "3 undeploy: no reply"
    )


def test_each_suite_names_the_run() -> None:
    properties = read(make_up_run(6)).findall("testsuite[1]/properties/property")

    assert {element.get("name"): element.get("value") for element in properties} == {
        "run": "20261122-190003-7f3a",
        "plan": "orders-retirement",
        "digest": "9c1b7a40e2d85f6633b0c4a1d7e8f92055aa10bb42cc93dd7e61f0a8b3c4d5e6",
        "reason": "CHG-1042 scheduled maintenance",
        "state": "complete",
        "act": "undeploy",
        "rehearsal": "false",
        "url:roma-eu": "https://roma-eu.example.com",
    }


def test_hostile_texts_stay_texts_and_only_what_xml_cannot_hold_is_replaced() -> None:
    root = read(make_hostile_run())
    illegal = dict.fromkeys([0x00, 0x07, 0x1B, 0xFFFE], "\ufffd")

    SCHEMA.assertValid(root)
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == [f"roma-eu/{text}".translate(illegal) for text in HOSTILE]
