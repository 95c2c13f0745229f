"""The live page of real runs: the program as a process, the platforms in another one, viewers on sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.support.page_client import LINK, PageClient, started_on_terminal
from tests.support.stage import Stage, kill, until

SLOW = "limits: {concurrency: 4, rate: 20/s}"
long = pytest.mark.long("looks at running processes")


@long
def test_the_page_of_a_run_is_served_from_its_start_to_its_end(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 4, latency=0.05)
    plan = stage.write_plan(roma=SLOW, apim=SLOW)
    with stage.started("run", plan, "--yes", "--serve", "127.0.0.1:0") as process:
        page = PageClient.read_from(process)
        with page.watch() as events:
            first = page.state()
            told = events.read().decode()
        out, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == ["run", "reports"]
    assert (first["run"]["plan"] or "scene", page.token) == ("scene", "")
    assert told.rstrip().splitlines()[-3] == "event: end"
    stage.assert_truth()


def test_a_port_in_use_ends_with_2_before_anything_is_sent(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    plan = stage.write_plan()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = stage.undeploy("run", plan, "--yes", "--serve", place)

    assert (ended.status, stage.requests(), stage.has_run) == (2, 0, False)
    assert f"the live page cannot be served at {place}: Address already in use" in ended.err


@long
@pytest.mark.parametrize("command", ["run", "watch"])
def test_an_address_that_is_none_ends_with_2(staged: Callable[..., Stage], command: str) -> None:
    stage = staged(2, 0)
    plan = stage.write_plan()
    if command == "watch":
        assert stage.undeploy("run", plan, "--yes").status == 0
    what = (plan, "--yes") if command == "run" else ("latest",)
    before = stage.requests()

    ended = stage.undeploy(command, *what, "--serve", "example.com:80")

    assert (ended.status, stage.requests()) == (2, before)
    assert "'example.com:80' is no address" in ended.err


@long
def test_viewers_see_where_a_run_stands_and_every_target(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 10, latency=0.05)
    plan = stage.write_plan(roma=SLOW, apim=SLOW)
    with stage.started("run", plan, "--yes", "--serve", "[::1]:0") as process:
        page = PageClient.read_from(process)
        stage.wait_for_requests(10, process)
        state = page.state()
        rows = page.list_targets()
        down = page.get("/targets?outcome=undeployed&gateway=roma-eu&n=1")["rows"][0]
        one = page.get(f"/target?id={down['id']}")
        missing = page.ask("/target?id=roma-eu/none")
        metrics = page.ask("/metrics")[1].decode()
        process.communicate(timeout=30)

    assert {lane["name"] for lane in state["lanes"]} == {"roma-eu", "apim"}
    assert state["verdict"]["counts"]["targets"] == 40
    assert sum(wave["total"] for wave in state["waves"]) == 40
    assert sorted({row["id"] for row in rows}) == sorted(stage.ids)
    assert one["attempts"][0]["status"] == 204
    reported = next(target for target in stage.report()["targets"] if target["id"] == down["id"])
    assert one == reported | {"name": None}
    assert missing[0] == 404
    assert 'plan="scene"' in metrics


@long
def test_an_act_by_the_page_goes_the_way_of_control_and_is_kept(staged: Callable[..., Stage]) -> None:
    stage = staged(60, 20, latency=0.05)
    plan = stage.write_plan(roma=SLOW, apim=SLOW)
    with started_on_terminal(stage, "run", plan, "--yes", "--serve", "127.0.0.1:0") as (process, shown):
        page = PageClient.find(shown)
        page.open_session()
        stage.wait_for_requests(4, process)
        paused = page.steer(act="pause")
        stage.settled()
        time.sleep(0.3)
        state, sent = page.state(), stage.requests()
        time.sleep(0.5)
        still = stage.requests()
        foreseen = page.steer(act="skip", pattern="apim/**", preview=True)
        limits = page.steer(act="limits", gateway="roma-eu", concurrency=2, preview=True)
        skipped = page.steer(act="skip", pattern="apim/**", typed="skip")
        goes_on = page.steer(act="continue")
        stops = page.steer(act="stop", preview=True)
        stopped = page.steer(act="stop", typed="stop")
        process.communicate(timeout=30)
    controls = stage.report()["controls"]

    assert [each["status"] for each in (paused, foreseen, limits, skipped, goes_on, stops, stopped)] == [
        200
    ] * 7
    assert (state["verdict"]["state"], sent) == ("paused", still)
    assert "will be passed over" in foreseen["text"]
    assert limits["text"] == "roma-eu: 4 at once, 20/s now; 2 at once, 20/s then"
    assert "undeploy resume" in stops["text"]
    assert process.returncode == 4
    assert [control["act"] for control in controls] == ["pause", "skip apim/**", "continue", "stop"]
    assert {control["from"] for control in controls} == {
        f"{socket.gethostname()}, process {process.pid}, live page, from 127.0.0.1"
    }
    assert any(reason.startswith("skipped") for reason in stage.reasons().values())
    stage.assert_truth()


@long
def test_the_question_of_a_wave_is_answered_by_the_page(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    plan = stage.write_plan(waves=True)
    plan.write_text(plan.read_text().replace("- name: first", "- name: first\n  proceed: ask"))
    with stage.started("run", plan, "--yes") as process:
        until(lambda: stage.has_run and stage.requests() >= 3)
        with started_on_terminal(stage, "watch", "latest") as (_, shown):
            page = PageClient.find(shown)
            page.open_session()
            until(lambda: bool(page.state()["question"]))
            question = page.state()["question"]
            answer = page.steer(act="continue")
            process.communicate(timeout=30)

    assert "first" in question
    assert answer["status"] == 200
    assert process.returncode == 0
    assert [control["act"] for control in stage.report()["controls"]] == ["continue"]


@long
@pytest.mark.promise(2)
def test_watch_follows_a_run_that_is_killed_and_resumed_and_becomes_its_report(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(80, 10, latency=0.05)
    plan = stage.write_plan(roma="limits: {concurrency: 4, rate: 3/s}")
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(10, process)
        with started_on_terminal(stage, "watch", "latest") as (watching, shown):
            page = PageClient.find(shown)
            page.open_session()
            live = page.state()
            kill(process)
            killed = _wait_for_state(page, "interrupted")
            refused, killed_root = page.steer(act="pause"), page.ask("/")[1]
            in_doubt = {name: kept for name, kept in stage.journal().items() if kept.open_intents}
            with stage.started("resume", "latest") as resumed:
                again = _wait_for_state(page, "running")
                faster = page.steer(act="limits", gateway="roma-eu", unbounded=True)
                with page.watch() as events:
                    told = events.read().decode()
                resumed.communicate(timeout=30)
            ended = _wait_for_state(page, "complete")
            root, report = page.ask("/"), page.ask("/report")
            watching.send_signal(signal.SIGINT)
            status = watching.wait(5)

    assert live["verdict"]["state"] == "running"
    assert "undeploy resume" in killed["verdict"]["sentence"]
    assert (killed["ended"], refused["status"]) == (None, 409)
    assert b"live.js" in killed_root
    assert len(in_doubt) <= 8
    assert (again["run"]["session"], again["run"]["resumed"], faster["status"]) == (2, True, 200)
    assert "event: end" in told
    assert ended["verdict"]["counts"]["undeployed"] + ended["verdict"]["counts"]["already_undeployed"] == 90
    assert ended["ended"]["exit_status"] == 0
    assert root == report == (200, (stage.run / "report.html").read_bytes())
    assert status == 0
    stage.assert_truth()


def _wait_for_state(page: PageClient, wanted: str) -> dict[str, Any]:
    until(lambda: page.state()["verdict"]["state"] == wanted)
    return page.state()


@long
@pytest.mark.promise(8)
@pytest.mark.promise(10)
@pytest.mark.parametrize("signals", [1, 2])
def test_viewers_keep_no_run_from_its_end(staged: Callable[..., Stage], signals: int) -> None:
    """Ten viewers look on, one of them never reads; an interrupt ends the run as without any of them."""
    stage = staged(60, 0, latency=0.3)
    plan = stage.write_plan(roma="limits: {concurrency: 4, rate: 8/s}")
    with stage.started("run", plan, "--yes", "--serve", "127.0.0.1:0") as process:
        page = PageClient.read_from(process)
        stage.wait_for_requests(8, process)
        viewers = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(10)]
        for viewer in viewers:
            viewer.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1.0)
        began = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        process.communicate(timeout=30)
        took = time.monotonic() - began
        for viewer in viewers:
            viewer.close()

    assert process.returncode == 130
    assert took < (6.0 if signals == 2 else 15.0)
    assert stage.undeploy("resume", "latest", timeout=60).status == 0
    stage.assert_truth()


@long
@pytest.mark.promise(2)
def test_a_run_whose_page_is_read_without_pause_keeps_every_intent(staged: Callable[..., Stage]) -> None:
    stage = staged(200, 20, latency=0.01)
    plan = stage.write_plan(roma="limits: {concurrency: 8}", apim="limits: {concurrency: 4}")
    over = Event()
    answers: list[int] = []
    with stage.started("run", plan, "--yes", "--serve", "127.0.0.1:0") as process:
        page = PageClient.read_from(process)

        def look() -> None:
            while not over.is_set():
                try:
                    answers.extend(page.ask(path)[0] for path in ("/targets?n=200", "/state", "/metrics"))
                except OSError:
                    return

        readers = [Thread(target=look) for _ in range(4)]
        for reader in readers:
            reader.start()
        process.communicate(timeout=60)
        over.set()
        for reader in readers:
            reader.join()

    assert process.returncode == 0
    assert set(answers) <= {200, 503}
    assert answers.count(200) > 3
    stage.assert_truth()
    stage.assert_intents()


@long
@pytest.mark.promise(9)
def test_token_and_session_are_on_the_terminal_and_in_the_browser_and_nowhere_else(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(30, 0, latency=0.05)
    plan = stage.write_plan(roma=SLOW)
    arguments = (
        "run",
        plan,
        "--yes",
        "--serve",
        "127.0.0.1:0",
        "--log-level",
        "debug",
        "--events",
        "events.jsonl",
    )
    with started_on_terminal(stage, *arguments) as (process, shown):
        page = PageClient.find(shown)
        seen = (
            Path(f"/proc/{process.pid}/cmdline").read_bytes()
            + Path(f"/proc/{process.pid}/environ").read_bytes()
        )
        page.ask("/session", "POST", {"token": "wrong"})
        page.open_session()
        page.ask("/session", "POST", {"token": page.token})
        stage.wait_for_requests(4, process)
        page.steer(act="skip", pattern="**", typed="skip")
        out, _ = process.communicate(timeout=30)
    session = page.cookie["Cookie"].partition("=")[2].encode()
    token = page.token.encode()
    files = [path for path in stage.folder.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)

    assert len(token) > 40
    assert len(session) > 40
    assert b"live page, from 127.0.0.1" in kept
    for secret in (token, session):
        assert secret not in seen + kept + out.encode()
    assert shown.text.count(page.token) == 1
    assert session.decode() not in shown.text


@long
def test_a_log_gets_no_token(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--serve", "127.0.0.1:0")

    found = LINK.search(ended.err)
    assert found is not None
    assert found[3] is None
    assert "`undeploy watch` on a terminal shows one" in ended.err


@long
def test_an_address_of_all_the_network_is_warned_of(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--serve", "0.0.0.0:0")

    assert ended.status == 0
    assert "without TLS" in ended.err


@long
def test_a_journal_that_is_locked_or_gone_is_said_and_ends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    with started_on_terminal(stage, "watch", "latest") as (watching, shown):
        page = PageClient.find(shown)
        whole = page.ask("/targets")
        page.state()
        with closing(sqlite3.connect(stage.run / "journal.sqlite", isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            locked = page.ask("/targets")
            other.execute("ROLLBACK")
        removed = stage.undeploy("runs", "--prune", "0s")
        gone = page.ask("/targets")
        state = page.state()
        going = watching.poll() is None

    assert whole[0] == 200
    assert locked[0] in (200, 503)
    assert (removed.status, gone[0], going) == (0, 503, True)
    assert state["verdict"]["sentence"] == "nothing newer is known: the run's folder is gone"


@long
def test_a_rehearsal_a_resume_and_a_restore_serve_their_page(staged: Callable[..., Stage]) -> None:
    stage = staged(24, 0, latency=0.05)
    plan = stage.write_plan(roma="limits: {concurrency: 2, rate: 5/s}", top="snapshot: best")
    seen = []
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(10, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    for command in (
        ("rehearse", plan, "--storm", "0"),
        ("resume", "latest"),
        ("restore", "latest", "--yes", "--accept", "new-front-end-id"),
    ):
        with stage.started(*command, "--serve", "127.0.0.1:0") as process:
            page = PageClient.read_from(process)
            seen.append(read_begun(page)["run"])
            _, err = process.communicate(timeout=60)
        assert process.returncode in (0, 1), err

    assert [(run["act"], run["rehearsal"]) for run in seen] == [
        ("undeploy", True),
        ("undeploy", False),
        ("restore", False),
    ]
    assert seen[1]["session"] == 2


def read_begun(page: PageClient) -> dict[str, Any]:
    """Return the first state of a run that has begun; a further one might find the server gone."""
    states: list[dict[str, Any]] = []

    def has_begun() -> bool:
        states.append(page.state())
        return bool(states[-1]["verdict"]["state"] != "starting")

    until(has_begun)
    return states[-1]


@long
def test_the_report_of_a_run_that_has_ended_is_at_its_page(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0
    (stage.run / "report.html").unlink()
    with stage.started("watch", "latest") as process:
        assert process.stdout is not None
        place = process.stdout.readline().strip()
        page = PageClient(int(place.rstrip("/").rpartition(":")[2]))
        status, body = page.ask("/")
        state = page.state()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)

    assert process.returncode == 0
    assert (status, body[:15].lower()) == (200, b"<!doctype html>")
    assert stage.ids[0].encode() in body or b"DecompressionStream" in body
    assert (state["ended"]["exit_status"], state["report"]) == (0, "/report")
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"undeploy-*-{process.pid}.html"))
    assert json.loads((stage.run / "report.json").read_text())["run"]["exit_status"] == 0
