"""What a run and a preview tell of a cause: the status, where a redirect points to, and one cause as one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scenarios.test_lies import recorder
from tests.support.stage import INSTANCE, Stage, roma_id

pytestmark = pytest.mark.long("waits for real timeouts and repeats")

FEW = "retry: {attempts: 1}, park_for: 1s"
EVERYWHERE = ("report.json", "report.md", "report.html", "report.xml", "report.csv")


@pytest.mark.promise(3)
def test_a_redirect_is_told_by_its_status_and_its_host(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    with recorder(302, {"Location": "https://sso.example.com/login?ticket=M4rk3r"}) as sso:
        plan = stage.write_plan(urls={"roma-eu": sso.url}, roma=FEW, top="snapshot: best")
        ended = stage.undeploy("run", plan, "--yes")
        looked = stage.undeploy("preview", plan)
        examined = stage.undeploy("doctor", plan)

    assert ended.status == 4, ended
    assert all("HTTP 302 to sso.example.com" in reason for reason in stage.reasons().values())
    attempts = [attempt for target in stage.report()["targets"] for attempt in target["attempts"]]
    assert {(each["status"], each["message"]) for each in attempts} == {(302, "HTTP 302 to sso.example.com")}
    told = [ended.out + ended.err, looked.out, examined.out]
    told += [(stage.run / name).read_text().replace("\\", "") for name in EVERYWHERE]
    assert all("HTTP 302 to sso.example.com" in text for text in told)
    assert not any("no reason was given" in text or "M4rk3r" in text for text in told)


def test_a_page_of_an_error_is_told_by_its_status(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    with recorder(503, body=b"no healthy upstream") as proxy:
        plan = stage.write_plan(urls={"roma-eu": proxy.url}, roma=FEW)
        ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 4, ended
    assert all("HTTP 503, plain text (19 bytes)" in reason for reason in stage.reasons().values())


def test_a_wrong_instance_reads_as_one_cause(staged: Callable[..., Stage]) -> None:
    """Its looks are refused with the same code as its undeploys: that is no version without looks."""
    stage = staged(12, 0)
    plan = stage.write_plan(top="snapshot: best")
    plan.write_text(plan.read_text().replace(INSTANCE, INSTANCE.replace("f", "0")))
    ended = stage.undeploy("run", plan, "--yes")
    looked = stage.undeploy("preview", plan)

    assert ended.status == 4, ended
    assert len(set(stage.reasons().values())) == 1
    assert stage.reasons()[roma_id(0)].startswith("wrong_place: APIG.3030")
    (warning,) = stage.report()["gateways"][0]["warnings"]
    assert "APIG.3030" in warning
    assert "offers no look" not in ended.out + ended.err + looked.out
    assert looked.out.count("APIG.3030") >= 10
