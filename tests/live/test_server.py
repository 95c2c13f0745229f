"""The server of the live page, through real sockets, with a made-up run behind it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from contextlib import AsyncExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.engine.control_commands import ContinueRun, PauseRun, SkipTargets, StopRun
from orchestrator.live.address import PageAddress
from orchestrator.live.routes import BURST, HEADERS, LONGEST_BODY, MOST_REQUESTS, RequestPace
from orchestrator.live.state_feed import LONGEST_DELTA
from orchestrator.live.viewers import HEARTBEAT, MOST_VIEWERS
from tests.support.live_page import MadeUpLink, ask, follow, make_request, open_session, post, serve_made_up
from tests.support.made_up_status import make_status

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"


async def test_the_state_has_a_number_and_every_key_of_a_status() -> None:
    async with serve_made_up() as server:
        answer = await ask(server.address, "/state")

    assert answer.status == 200
    assert set(answer.json) == {"seq", "report", "charts", *make_status("running")} - {
        "over_time",
        "requests",
    }
    assert answer.json["verdict"] == make_status("running")["verdict"]


@pytest.mark.parametrize("path", ["/", "/state", "/session", "/nothing", "/control", "/page/live.js"])
async def test_every_answer_has_the_headers_that_keep_others_out(path: str) -> None:
    async with serve_made_up() as server:
        answer = await ask(server.address, path)

    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["Content-Security-Policy"].startswith(POLICY)


async def test_the_page_and_its_files_come_compressed_or_whole() -> None:
    async with serve_made_up() as server:
        whole = await ask(server.address, "/")
        packed = await ask(server.address, "/", headers={"Accept-Encoding": "gzip, br"})

    assert whole.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Content-Encoding" not in whole.headers
    assert gzip.decompress(packed.body) == whole.body


@pytest.mark.parametrize(
    "path",
    ["/page/../server.py", "/page/%2e%2e/server.py", "/page/", "/page/index.html", "/etc/passwd", "//"],
)
async def test_no_other_file_is_served(path: str) -> None:
    async with serve_made_up() as server:
        answer = await ask(server.address, path)

    assert answer.status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/state", 405), ("GET", "/control", 405), ("PUT", "/control", 405), ("DELETE", "/", 405)],
)
async def test_another_method_is_refused(method: str, path: str, status: int) -> None:
    async with serve_made_up() as server:
        origin = {"Origin": server.address.url.rstrip("/")}
        answer = await ask(server.address, path, method, origin)

    assert answer.status == status


@pytest.mark.long("waits on the real clock")
async def test_a_run_that_nobody_looks_at_is_not_read() -> None:
    async with serve_made_up() as server:
        await asyncio.sleep(1.2)

    assert server.link.reads == 0


@pytest.mark.long("waits on the real clock")
async def test_the_run_is_read_at_most_twice_a_second_however_many_ask() -> None:
    async with serve_made_up() as server:
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 1.0:
            await asyncio.gather(*(ask(server.address, "/state") for _ in range(10)))
        took = asyncio.get_running_loop().time() - began

    assert server.link.reads <= took / 0.4 + 1


async def test_a_viewer_gets_the_differences_of_the_state() -> None:
    async with serve_made_up() as server:
        seq = (await ask(server.address, "/state")).json["seq"]
        async with follow(server.address, seq) as events:
            server.link.status = make_status("running") | {"waits_for": "roma-tr"}
            name, number, delta = await events.read_news()

    assert (name, number, delta["base"], delta["seq"]) == ("delta", seq + 1, seq, seq + 1)
    assert delta["set"]["waits_for"] == "roma-tr"


@pytest.mark.parametrize("known", [None, 1, 7])
async def test_a_viewer_with_a_gap_is_told_to_fetch_the_state(known: int | None) -> None:
    async with serve_made_up() as server, follow(server.address, known) as events:
        name, number, data = await events.read()
        seq = (await ask(server.address, "/state")).json["seq"]

    assert (name, number, data) == ("stale", seq, {"seq": seq})


async def test_the_last_event_id_of_a_viewer_that_comes_again_counts() -> None:
    async with serve_made_up() as server:
        seq = (await ask(server.address, "/state")).json["seq"]
        async with follow(server.address, 1, {"Last-Event-ID": str(seq)}) as events:
            name, _, _ = await events.read()

    assert name == "beat"


@pytest.mark.long("waits on the real clock")
async def test_a_viewer_hears_a_heartbeat_while_nothing_changes() -> None:
    async with serve_made_up() as server:
        seq = (await ask(server.address, "/state")).json["seq"]
        async with follow(server.address, seq) as events:
            await events.read()
            began = asyncio.get_running_loop().time()
            names = [(await events.read())[0] for _ in range(2)]
            took = asyncio.get_running_loop().time() - began

    assert names == ["beat", "beat"]
    assert took < 2 * (HEARTBEAT + 1.5)


async def test_a_difference_that_is_too_long_says_to_fetch_the_state() -> None:
    async with serve_made_up() as server:
        seq = (await ask(server.address, "/state")).json["seq"]
        async with follow(server.address, seq) as events:
            server.link.status = make_status("crowded")
            name, number, _ = await events.read_news()
        state = await ask(server.address, "/state")

    assert (name, number) == ("stale", seq + 1)
    assert len(state.body) > LONGEST_DELTA


async def test_the_end_of_the_run_is_told_behind_its_last_state() -> None:
    async with serve_made_up() as server:
        seq = (await ask(server.address, "/state")).json["seq"]
        async with follow(server.address, seq) as events:
            server.link.status = make_status("complete")
            server.link.is_over = server.link.shows_report = True
            names = [name for name, _, _ in await events.read_all() if name != "beat"]
        state = (await ask(server.address, "/state")).json

    assert names[0] in ("stale", "delta")
    assert names[1:] == ["end"]
    assert (state["verdict"]["state"], state["report"]) == ("complete", "/report")


@pytest.mark.long("waits on the real clock")
async def test_a_run_that_goes_on_again_has_viewers_again() -> None:
    """A stopped run that is resumed while its page is open."""
    link = MadeUpLink()
    link.is_over = link.shows_report = True
    async with serve_made_up(link) as server:
        await asyncio.sleep(1.2)
        link.is_over = link.shows_report = False
        async with follow(server.address) as events:
            names = [(await events.read())[0] for _ in range(2)]

    assert names == ["stale", "beat"]


async def test_viewers_are_bounded_and_a_place_is_free_again() -> None:
    async with serve_made_up() as server:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_VIEWERS):
                await stack.enter_async_context(follow(server.address))
            refused = await ask(server.address, "/events")
        await asyncio.sleep(0.3)
        async with follow(server.address) as events:
            name, _, _ = await events.read()

    assert (refused.status, name) == (503, "stale")


async def test_all_viewers_get_the_same_event() -> None:
    async with serve_made_up() as server, AsyncExitStack() as stack:
        seq = (await ask(server.address, "/state")).json["seq"]
        readers = [await stack.enter_async_context(follow(server.address, seq)) for _ in range(10)]
        server.link.status = make_status("running") | {"until": 5.0}
        told = [json.dumps(await reader.read_news()) for reader in readers]

    assert len(set(told)) == 1


async def test_an_act_needs_a_session() -> None:
    async with serve_made_up() as server:
        answer = await post(server, "/control", {"act": "pause"})
        forged = await post(server, "/control", {"act": "pause"}, {"Cookie": f"{server.guard.cookie}=x"})

    assert (answer.status, forged.status, server.link.executed) == (401, 401, [])


async def test_the_cookie_of_the_session_is_for_this_page_alone() -> None:
    async with serve_made_up() as server:
        answer = await post(server, "/session", {"token": server.guard.token})

    parts = answer.headers["Set-Cookie"].split("; ")
    assert parts[0].startswith(f"undeploy-{server.address.port}=")
    assert sorted(parts[1:]) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert server.guard.token not in answer.headers["Set-Cookie"]


async def test_an_act_shows_its_effect_first_and_then_takes_place() -> None:
    async with serve_made_up() as server:
        cookie = await open_session(server)
        shown = await post(server, "/control", {"act": "pause", "preview": True}, cookie)
        before = list(server.link.executed)
        done = await post(server, "/control", {"act": "pause"}, cookie)
        goes_on = await post(server, "/control", {"act": "continue"}, cookie)

    assert (shown.json, before) == ({"done": False, "text": "would pause", "typed": None}, [])
    assert done.json == {"done": True, "text": "did pause", "typed": None}
    assert goes_on.status == 200
    assert server.link.executed == [(PauseRun(), "127.0.0.1"), (ContinueRun(), "127.0.0.1")]


async def test_an_act_whose_page_has_given_up_does_not_take_place_later() -> None:
    """A process that was suspended finds the acts of that time when it goes on."""
    async with serve_made_up() as server:
        cookie = await open_session(server)
        headers = {
            "Origin": server.address.url.rstrip("/"),
            "Content-Type": "application/json",
            **cookie,
        }
        act = make_request(server.address, "/control", "POST", headers, b'{"act": "continue"}')
        # It blocks this loop, as a suspended process does nothing.
        with socket.create_connection((server.address.host, server.address.port)) as page:
            page.sendall(act)
        done = await post(server, "/control", {"act": "pause"}, cookie)

    assert done.status == 200
    assert server.link.executed == [(PauseRun(), "127.0.0.1")]


@pytest.mark.parametrize(
    ("act", "command"),
    [({"act": "stop"}, StopRun()), ({"act": "skip", "pattern": "apim/**"}, SkipTargets("apim/**"))],
)
async def test_stop_and_skip_want_their_word(act: dict[str, str], command: object) -> None:
    async with serve_made_up() as server:
        cookie = await open_session(server)
        shown = await post(server, "/control", act | {"preview": True}, cookie)
        without = await post(server, "/control", act, cookie)
        wrong = await post(server, "/control", act | {"typed": "yes"}, cookie)
        nothing = list(server.link.executed)
        done = await post(server, "/control", act | {"typed": act["act"]}, cookie)

    assert shown.json["typed"] == act["act"]
    assert (without.status, wrong.status, nothing) == (400, 400, [])
    assert f"type {act['act']} to confirm" in without.json["error"]
    assert (done.status, server.link.executed) == (200, [(command, "127.0.0.1")])


@pytest.mark.parametrize("preview", [True, False])
async def test_what_the_run_refuses_is_said(preview: bool) -> None:
    async with serve_made_up() as server:
        server.link.refuses = "the plan has no gateway 'x'"
        cookie = await open_session(server)
        answer = await post(
            server,
            "/control",
            {"act": "limits", "gateway": "x", "concurrency": 1, "preview": preview},
            cookie,
        )

    assert (answer.status, answer.json) == (409, {"error": "the plan has no gateway 'x'"})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"act=stop&typed=stop", 415),
        ({"Content-Type": "text/plain"}, b'{"act": "stop", "typed": "stop"}', 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ({"Content-Type": ""}, b'{"act": "pause"}', 415),
        ({}, b'{"act": "dance"}', 400),
        ({}, b"[" * 2000, 400),
        ({}, b" " * (LONGEST_BODY + 1), 413),
        ({"Origin": "http://attacker.example"}, b'{"act": "pause"}', 403),
        ({"Origin": "null"}, b'{"act": "pause"}', 403),
        ({"Host": "attacker.example", "Origin": "http://attacker.example"}, b'{"act": "pause"}', 421),
    ],
)
async def test_an_act_in_another_form_or_of_another_page_is_refused(
    headers: dict[str, str], body: bytes, status: int
) -> None:
    async with serve_made_up() as server:
        cookie = await open_session(server)
        usual = {"Origin": server.address.url.rstrip("/"), "Content-Type": "application/json"}
        answer = await ask(server.address, "/control", "POST", {**usual, **cookie, **headers}, body)

    assert (answer.status, server.link.executed) == (status, [])
    assert "error" in answer.json


@pytest.mark.parametrize("body", [b"{}", b"", b'{"token": 7}', b'"x"', b'{"token": "\xff"}'])
async def test_a_body_without_a_token_is_refused(body: bytes) -> None:
    async with serve_made_up() as server:
        headers = {"Origin": server.address.url.rstrip("/"), "Content-Type": "application/json"}
        answer = await ask(server.address, "/session", "POST", headers, body)

    assert answer.status == 400


async def test_who_may_act_is_told() -> None:
    async with serve_made_up() as server:
        before = (await ask(server.address, "/session")).json
        cookie = await open_session(server)
        after = (await ask(server.address, "/session", headers=cookie)).json

    assert before["may_act"] is False
    assert "the link that the terminal" in before["text"]
    assert after == {"may_act": True, "text": ""}


async def test_on_an_open_address_the_facts_need_the_session() -> None:
    async with serve_made_up(at=PageAddress("0.0.0.0", 0)) as server:
        place = PageAddress("127.0.0.1", server.address.port)
        headers = {"Host": f"127.0.0.1:{place.port}"}
        page = await ask(place, "/", headers=headers)
        state = await ask(place, "/state", headers=headers)
        targets = await ask(place, "/targets", headers=headers)
        server.link.is_over = server.link.shows_report = True
        root = await ask(place, "/", headers=headers)
        report = await ask(place, "/report", headers=headers)
        token = json.dumps({"token": server.guard.token}).encode()
        origin = {"Origin": f"http://127.0.0.1:{place.port}", "Content-Type": "application/json"}
        session = await ask(place, "/session", "POST", headers | origin, token)
        cookie = {"Cookie": session.headers["Set-Cookie"].partition(";")[0]}
        after = await ask(place, "/state", headers=headers | cookie)

    assert (page.status, state.status, targets.status, report.status) == (200, 401, 401, 401)
    assert root.body == page.body
    assert after.status == 200


async def test_the_page_is_served_on_ipv6() -> None:
    async with serve_made_up(at=PageAddress("::1", 0)) as server:
        answer = await ask(server.address, "/state")

    assert answer.status == 200


async def test_a_bug_is_an_error_of_one_answer_and_told() -> None:
    async with serve_made_up() as server:
        server.link.fails = ZeroDivisionError("a bug")
        broken = await ask(server.address, "/state")
        server.link.fails = None
        whole = await ask(server.address, "/state")

    assert (broken.status, broken.json) == (500, {"error": "a bug of ours; the run goes on"})
    assert whole.status == 200
    assert server.complaints == ["the live page, /state: ZeroDivisionError('a bug')"]


async def test_the_charts_are_drawn_once_for_each_change() -> None:
    async with serve_made_up() as server:
        first = await ask(server.address, "/charts")
        again = await ask(server.address, "/charts")
        server.link.status = make_status("starting")
        await asyncio.sleep(0.6)
        nothing = await ask(server.address, "/charts")

    assert (first.status, first.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<svg" in first.body
    assert b"style=" not in first.body
    assert first.body == again.body
    assert (nothing.status, nothing.body) == (204, b"")


async def test_metrics_are_those_of_the_state() -> None:
    async with serve_made_up() as server:
        answer = await ask(server.address, "/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    plans = {sample.labels["plan"] for family in families for sample in family.samples}
    assert plans == {make_status("running")["run"]["plan"]}


def test_requests_that_come_too_fast_wait() -> None:
    pace = RequestPace()

    at_once = [pace.find_delay(100.0) for _ in range(BURST)]
    then = [pace.find_delay(100.0) for _ in range(3)]
    rested = pace.find_delay(110.0)

    assert set(at_once) == {0.0}
    assert then == pytest.approx([number / MOST_REQUESTS for number in (1, 2, 3)])
    assert rested == 0.0
