"""When a finding is good, when it is a warning, and when a run would fail."""

from __future__ import annotations

import pytest

from orchestrator.doctor import findings
from orchestrator.doctor.findings import CHECKS, Finding, FindingState, GatewayDiagnosis, complete_findings
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.text.formats import format_time_left

NOW = 1_795_000_000.0
HOUR, DAY = 3600.0, 86400.0
ENV = CredentialReference(env="TOKEN")
TOKEN = Auth(token=ENV)
COMMAND = Auth(token=CredentialReference(command=("mint", "--secret-flag")))
KEYS = Auth(access_key=ENV, secret_key=ENV)
TEMPORARY = Auth(access_key=ENV, secret_key=ENV, security_token=ENV)
LOGIN = Auth(login=ManagerLogin(user="ops", password=ENV))
IAM = Auth(iam=IamLogin(url="https://iam.example.com", user="ops", domain="corp", password=ENV))


@pytest.mark.parametrize(
    ("left", "closes", "state"),
    [
        (90 * DAY, None, FindingState.OK),
        (14 * DAY, None, FindingState.OK),
        (14 * DAY - 1, None, FindingState.WARN),
        (20 * DAY, 19 * DAY, FindingState.OK),
        (20 * DAY, 21 * DAY, FindingState.WARN),
    ],
)
def test_a_certificate_is_judged_by_its_end(left: float, closes: float | None, state: FindingState) -> None:
    found = findings.judge_certificate(NOW + left, now=NOW, closes=None if closes is None else NOW + closes)

    assert (found.check, found.state, found.value) == ("tls", state, left)
    assert ("window" in found.text) == (closes is not None and state is FindingState.WARN)
    assert bool(found.advice) == (state is not FindingState.OK)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("far", "signs", "state"),
    [
        (0.0, False, FindingState.OK),
        (299.0, True, FindingState.OK),
        (300.0, False, FindingState.WARN),
        (900.0, True, FindingState.WARN),
        (901.0, True, FindingState.FAIL),
        (901.0, False, FindingState.WARN),
    ],
)
def test_a_clock_is_judged_by_what_it_is_needed_for(
    side: int, far: float, signs: bool, state: FindingState
) -> None:
    found = findings.judge_clock(side * far, signs=signs)

    assert (found.state, found.value) == (state, side * far)
    if far:
        assert ("ahead of" if side > 0 else "behind") in found.text


@pytest.mark.parametrize(
    ("left", "auth", "closes", "state"),
    [
        (3 * HOUR, TOKEN, None, FindingState.OK),
        (HOUR - 1, TOKEN, None, FindingState.WARN),
        (-1.0, TOKEN, None, FindingState.WARN),
        (3 * HOUR, TOKEN, 4 * HOUR, FindingState.WARN),
        (HOUR / 2, TOKEN, HOUR / 4, FindingState.OK),
        (HOUR / 2, COMMAND, 4 * HOUR, FindingState.OK),
        (HOUR / 2, LOGIN, 4 * HOUR, FindingState.OK),
        (None, LOGIN, 4 * HOUR, FindingState.OK),
        (DAY, IAM, 4 * DAY, FindingState.OK),
        (None, KEYS, 4 * HOUR, FindingState.OK),
        (None, TEMPORARY, 4 * HOUR, FindingState.UNKNOWN),
        (None, TOKEN, 4 * HOUR, FindingState.UNKNOWN),
    ],
)
def test_only_what_cannot_be_renewed_is_warned_of(
    left: float | None, auth: Auth, closes: float | None, state: FindingState
) -> None:
    ends = None if left is None else NOW + left
    found = findings.judge_lifetime(ends, auth, now=NOW, closes=None if closes is None else NOW + closes)

    assert (found.state, found.value) == (state, left)
    assert "secret-flag" not in found.text


def test_a_life_is_never_rounded_up() -> None:
    assert [format_time_left(seconds) for seconds in (0, 1, 61, 3599, 12_000, 41.9 * DAY)] == [
        "no time",
        "less than a minute",
        "1 min",
        "59 min",
        "3 h 20 min",
        "41 days",
    ]


@pytest.mark.parametrize(
    ("reading", "text", "advice"),
    [
        (
            Reading(verdict=Verdict.DENIED, code="E.401", message="bad"),
            "refused: E.401 bad",
            "put a valid one",
        ),
        (Reading(verdict=Verdict.REFUSED, message="not yours"), "not yours", "right to read"),
        (Reading(verdict=Verdict.BUSY, code="HTTP 429"), "fewer requests: HTTP 429", "later"),
        (Reading(verdict=Verdict.STRANGE, message="a page", hint="check url"), "a page", "check url"),
        (Reading(verdict=Verdict.UNCLEAR), "no reason was given", "is well"),
    ],
)
def test_a_fault_says_what_to_do(reading: Reading, text: str, advice: str) -> None:
    found = findings.judge_fault("credential", reading)

    assert found.state is FindingState.FAIL
    assert text in found.text
    assert advice in found.advice


def test_the_looks_that_are_there_are_named_and_those_that_are_not() -> None:
    kinds = ("status", "health", "record")

    assert findings.judge_looks({"status": True}, kinds).text == "status"
    assert (
        findings.judge_looks({"status": False, "record": True}, kinds).text == "record; not offered: status"
    )
    assert findings.judge_looks({}, kinds).state is FindingState.UNKNOWN
    assert findings.judge_looks({"status": False, "health": False}, kinds).state is FindingState.WARN


UP, DOWN = Reading(verdict=Verdict.UP), Reading(verdict=Verdict.DOWN)


@pytest.mark.parametrize(
    ("seen", "state", "text"),
    [
        ([UP, UP, DOWN], FindingState.OK, "3 of 9 looked at: 2 deployed, 1 not deployed"),
        (
            [UP, Reading(verdict=Verdict.ABSENT, code="E.1")],
            FindingState.WARN,
            "1 deployed, 1 not found (E.1)",
        ),
        ([Reading(verdict=Verdict.ABSENT, hidden=True)], FindingState.WARN, "1 not visible, or not there"),
        ([Reading(verdict=Verdict.PARTIAL)], FindingState.WARN, "1 not deployed everywhere"),
        (
            [Reading(verdict=Verdict.UNCLEAR, message="no reply")],
            FindingState.WARN,
            "1 could not be told (no reply)",
        ),
        ([], FindingState.UNKNOWN, "none was looked at"),
    ],
)
def test_the_sample_is_counted(seen: list[Reading], state: FindingState, text: str) -> None:
    found = findings.judge_targets(seen, 9)

    assert found.state is state
    assert text in found.text
    assert bool(found.advice) == (state is FindingState.WARN)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (Finding.ok("answer", "answers"), True),
        (Finding.unknown("clock", "not told"), True),
        (Finding.failure("tls", "not believed", "mend it"), False),
        (findings.judge_targets([Reading(verdict=Verdict.UP)], 9), True),
        (findings.judge_targets([Reading(verdict=Verdict.ABSENT)], 9), True),
        (findings.judge_targets([Reading(verdict=Verdict.DENIED, hidden=True)], 9), True),
        (findings.judge_targets([Reading(verdict=Verdict.UP), Reading(verdict=Verdict.UNCLEAR)], 9), False),
        (findings.judge_targets([Reading(verdict=Verdict.DENIED)], 9), False),
        (Finding.missed("traffic log", "no reply", "see to it"), False),
    ],
)
def test_all_is_known_where_nothing_fails_and_all_was_read(found: Finding, known: bool) -> None:
    assert make_diagnosis(found).is_known is known


def test_the_latency_is_the_median() -> None:
    assert findings.judge_latency([0.1, 9.0, 0.2]).value == 0.2
    assert findings.judge_latency([]).state is FindingState.UNKNOWN


def make_diagnosis(*found: Finding) -> GatewayDiagnosis:
    return GatewayDiagnosis(gateway="g", kind="k", url="u", findings=complete_findings(found), requests=0)


def test_the_first_failure_is_the_cause_and_beats_every_warning() -> None:
    late = Finding.failure("credential", "denied", "mend it")
    early = Finding.failure("clock", "off", "set it")
    one = make_diagnosis(late, Finding.warning("tls", "ends soon", "renew it"), early)

    assert (one.state, one.worst) == (FindingState.FAIL, (early, late))
    assert make_diagnosis(Finding.warning("tls", "ends soon", "renew it")).state is FindingState.WARN
    assert make_diagnosis().state is FindingState.OK
    assert make_diagnosis().worst == ()


def test_every_check_has_one_finding_and_the_newest_counts() -> None:
    found = complete_findings([Finding.ok("version", "v1"), Finding.ok("version", "v2")])

    assert tuple(finding.check for finding in found) == CHECKS
    assert {finding.text for finding in found} == {"v2", "not checked"}
