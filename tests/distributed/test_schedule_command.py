"""undeploy schedule and undeploy attach as commands: what they refuse, and what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import anyio
import pytest
from temporalio.client import ScheduleActionStartWorkflow

from orchestrator.distributed.connection import connect
from orchestrator.distributed.names import name_schedule
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import RunInput
from orchestrator.distributed.shipping import fetch_journal
from tests.support.commands import CommandResult, run_command
from tests.support.ports import find_free_port
from tests.support.temporal import TemporalServer

NOWHERE = f"temporal://127.0.0.1:{find_free_port()}/default"
PLAN = """\
version: 1
name: Orders retirement
gateways:
  a: {kind: apinizer, url: https://a.example.com, zone: dmz, timeout: 40s, auth: {token: {env: NOT_SET_HERE}}}
  b: {kind: apinizer, url: https://b.example.com, timeout: 40s, auth: {token: {env: NOT_SET_HERE}}}
protect: [a/P/kept/e]
waves:
  - name: first
    proceed: ask
    targets: [{gateway: a, project: P, proxies: [one, two, kept], environment: e}]
  - name: second
    targets: [{gateway: b, project: P, proxies: [one], environment: e}]
"""

Undeploy = Callable[..., CommandResult]


@pytest.fixture
def undeploy(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Undeploy:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return lambda *arguments: run_command(capfd, *arguments)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=0).isoformat()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--at", in_hours(2), "--for", "2h"], "schedule asks no question.*--approve DIGEST"),
        (["--yes"], "when is the run to start"),
        (["--yes", "--at", "2020-01-01T00:00:00Z", "--for", "2h"], "that time has passed"),
        (["--yes", "--at", in_hours(2)], "until when may the run start undeploys"),
        (["--yes", "--at", in_hours(2), "--for", "soon"], "--for soon: write a number"),
        (["--yes", "--at", in_hours(2), "--for", "5s"], "no longer fits"),
        (["--yes", "--cron", "0 22 * * 1-5"], "--cron wants --for"),
        (["--yes", "--cron", "22", "--for", "1h"], "write minute, hour"),
        (["--yes", "--close-at", "02:00"], "give --at, too"),
        (["--yes", "--at", in_hours(2), "--for", "2h", "--name", "Nightly!"], "small letters"),
        (["--yes", "--at", in_hours(2), "--for", "2h", "--skip", "a/Q/**"], "matches no target"),
        (["--approve", "0" * 64, "--at", in_hours(2), "--for", "2h"], "the digest of this plan is"),
        (["--yes", "--at", in_hours(2), "--for", "2h"], "no Temporal server can be reached"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_before_anything_is_sent(
    undeploy: Undeploy, arguments: list[str], why: str
) -> None:
    result = undeploy("schedule", "plan.yaml", *arguments, "--on", NOWHERE)

    assert (result.status, result.out) == (2, "")
    assert re.search(why, result.err, re.DOTALL), result.err


def test_what_there_is_wants_no_plan(undeploy: Undeploy) -> None:
    for arguments, why in (
        (("--list", "plan.yaml"), "--list takes no plan"),
        (("--delete", "x", "plan.yaml"), "--delete takes no plan"),
        (("--list", "--delete", "x"), "two things"),
        ((), "Missing argument 'PLAN'"),
        (("plan.yaml", "--yes", "--at", in_hours(1), "--for", "1h"), "Missing option '--on'"),
    ):
        on = () if "Missing option" in why else ("--on", NOWHERE)
        result = undeploy("schedule", *arguments, *on)
        assert result.status == 2, arguments
        assert why in result.err, arguments


@pytest.mark.long("starts a server")
def test_a_schedule_is_made_listed_and_taken_back(undeploy: Undeploy, temporal: TemporalServer) -> None:
    at = in_hours(30)
    made = undeploy(
        "schedule", "plan.yaml", "--yes", "--at", at, "--for", "2h", "--name", "night-1", "--on", temporal.url
    )

    assert (made.status, made.out) == (0, "schedule: night-1\n"), made.err
    moment = datetime.fromisoformat(at)
    run = f"{moment:%Y%m%d-%H%M%S}-night-1"
    for line in (
        "plan      Orders retirement, 3 targets",
        f"next      {moment:%Y-%m-%d %H:%M:%S} UTC, as run {run}",
        f"undeploy worker --zone default --on {temporal.url}, undeploy worker --zone dmz --on {temporal.url}",
        "warning   after wave first the run waits for a person, who must attach (proceed: ask)",
        f"To watch it:      undeploy attach {run} --on {temporal.url}",
        "the server keeps its results until somebody attaches",
        f"undeploy schedule --delete night-1 --on {temporal.url}",
    ):
        assert line in made.err, made.err
    again = undeploy(
        "schedule", "plan.yaml", "-y", "--at", at, "--for", "2h", "--name", "night-1", "--on", temporal.url
    )
    assert (again.status, "there is a schedule night-1 already" in again.err) == (2, True)
    deleted = undeploy("schedule", "--delete", "night-1", "--on", temporal.url)
    assert deleted.out == "schedule night-1 was taken back: nothing of it starts any more\n"
    assert undeploy("schedule", "--delete", "night-1", "--on", temporal.url).status == 2


@pytest.mark.long("starts a server")
def test_a_name_that_is_used_again_while_its_run_is_open_starts_the_plan_of_today(
    undeploy: Undeploy, temporal: TemporalServer, tmp_path: Path
) -> None:
    def schedule(at: str) -> CommandResult:
        given = ("--yes", "--at", at, "--for", "2h", "--name", "again", "--on", temporal.url)
        return undeploy("schedule", "plan.yaml", *given)

    def is_open() -> bool:
        return "again" in undeploy("attach", "--on", temporal.url).out

    assert schedule(in_hours(3 / 3600)).status == 0
    until = monotonic() + 20
    while not is_open():  # what the server lists is a moment old
        assert monotonic() < until
        sleep(0.1)
    assert undeploy("schedule", "--delete", "again", "--on", temporal.url).status == 0
    (tmp_path / "plan.yaml").write_text(PLAN.replace("name: Orders", "name: New orders"))
    made = schedule(in_hours(30))
    assert made.status == 0, made.err

    async def fetch() -> None:
        client = await connect(temporal.address)
        found = await client.get_schedule_handle(name_schedule("again")).describe()
        assert isinstance(found.schedule.action, ScheduleActionStartWorkflow)
        (given,) = await client.data_converter.decode(found.schedule.action.args, [RunInput])
        await fetch_journal(client, given.journal, tmp_path, ServerPatience())

    (tmp_path / "plan.yaml").unlink()
    anyio.run(fetch)
    assert "name: New orders" in (tmp_path / "plan.yaml").read_text()
    assert undeploy("schedule", "--delete", "again", "--on", temporal.url).status == 0


@pytest.mark.long("starts a server")
def test_many_starts_are_told_with_what_their_server_keeps(
    undeploy: Undeploy, temporal: TemporalServer
) -> None:
    made = undeploy(
        *("schedule", "plan.yaml", "-y", "--cron", "0 22 * * *", "--time-zone", "Europe/Istanbul"),
        *("--for", "4h", "--on", temporal.url),
    )

    assert made.status == 0, made.err
    name = made.out.removeprefix("schedule: ").strip()
    assert re.fullmatch("orders-retirement-[0-9a-f]{4}", name)
    assert made.err.count(" 19:00:00 UTC, as run ") == 3
    assert "keeps the results of each for 1 day after its end" in made.err
    for _ in range(50):  # the server lists a schedule a moment after it was made
        listed = undeploy("schedule", "--list", "--on", temporal.url)
        if name in listed.out:
            break
    assert "0 22 * * * Europe/Istanbul, for 4 h 00 min each" in listed.out
    assert undeploy("schedule", "--delete", name, "--on", temporal.url).status == 0


@pytest.mark.long("starts a server")
def test_a_run_that_the_server_does_not_have_is_named(undeploy: Undeploy, temporal: TemporalServer) -> None:
    result = undeploy("attach", "20991122-nothing", "--on", temporal.url)

    assert result.status == 2
    assert "there is no run '20991122-nothing' there; `undeploy attach --on URL` lists" in result.err


def test_an_engine_that_is_away_is_said_so(undeploy: Undeploy) -> None:
    for arguments in (("attach",), ("attach", "latest"), ("schedule", "--list")):
        result = undeploy(*arguments, "--on", NOWHERE)
        assert result.status == 2, arguments
        assert "no Temporal server can be reached" in result.err, arguments
