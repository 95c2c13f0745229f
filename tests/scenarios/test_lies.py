"""Gateways that say one thing and do another, or are not what the plan takes them for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.limits import RateLimit, TokenExpiry
from tests.support.ports import find_free_port
from tests.support.stage import CONCURRENCY, Stage, apim_id, backend, roma_id

pytestmark = pytest.mark.long("runs are processes of their own, and some wait for real timeouts")

PATIENT = "stop_when: {failed: 100%, unknown: 100%, surprising: 100%}"
# Between the targets that are lied about others are answered, or the lanes would rightly park.
FEW = "limits: {concurrency: 2}, retry: {attempts: 2, first: 1ms, ceiling: 2ms}"
TWICE = "retry: {attempts: 2, first: 1ms, ceiling: 2ms}"


class Recorder:
    """A server that answers every request alike and keeps what came: request lines and headers."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        received: list[tuple[str, str]] = []
        self.received = received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                received.append((self.requestline, str(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                for name, text in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def recorder(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Iterator[Recorder]:
    recording = Recorder(status, headers or {}, body)
    thread = threading.Thread(target=recording.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield recording
    finally:
        recording.server.shutdown()
        thread.join()
        recording.server.server_close()


@pytest.mark.promise(3)
def test_no_false_success_is_taken_for_one_and_no_true_one_is_lost(staged: Callable[..., Stage]) -> None:
    lies = {
        roma_id(0): ("empty", "failed", "spent: "),
        roma_id(4): ("login-page", "failed", "spent: "),
        roma_id(8): ("redirect", "failed", "spent: "),
        roma_id(12): ("empty-after", "undeployed", ""),
        roma_id(16): ("reset-after", "undeployed", ""),
        roma_id(20): ("cut", "undeployed", ""),
        apim_id(0): ("inner-false", "failed", "spent: still deployed"),
        apim_id(4): ("partial", "failed", "partial: not everything obeyed: 10.0.0.12"),
        apim_id(8): ("quoted", "undeployed", ""),
        apim_id(12): ("empty", "failed", "spent: "),
        apim_id(16): ("login-page", "failed", "spent: "),
        apim_id(20): ("redirect", "failed", "spent: "),
        apim_id(24): ("no-result", "undeployed", ""),
        apim_id(28): ("empty-rows", "undeployed", ""),
        apim_id(32): ("refused-with-result", "failed", "refused: "),
    }
    stage = staged(24, 36)
    stage.expect({target: (lie,) * 9 for target, (lie, _, _) in lies.items()})
    ended = stage.undeploy("run", stage.write_plan(roma=FEW, apim=FEW, top=PATIENT), "--yes")
    reasons = stage.reasons()

    assert ended.status == 1, ended.err
    told = {target: (outcome, lies.get(target, ("",))[0]) for target, outcome in stage.outcomes().items()}
    expected = dict.fromkeys(stage.ids, ("undeployed", ""))
    assert told == expected | {target: (outcome, lie) for target, (lie, outcome, _) in lies.items()}
    assert {
        target for target, (*_, reason) in lies.items() if not reasons[target].startswith(reason)
    } == set()
    stage.assert_truth()


@pytest.mark.promise(9)
def test_no_credential_follows_a_redirect(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 2)
    with recorder(204) as elsewhere, recorder(307, {"Location": f"{elsewhere.url}/here"}) as gateway:
        urls = dict.fromkeys(stage.platform.urls, gateway.url)
        # More attempts than a lane makes before it parks: no target may have spent its own by then.
        keys = "retry: {attempts: 10, first: 1ms, ceiling: 2ms}, park_for: 1s"
        ended = stage.undeploy("run", stage.write_plan(urls=urls, roma=keys, apim=keys, top=PATIENT), "--yes")

    assert ended.status == 4, ended.err
    assert set(stage.outcomes().values()) == {"unknown"}
    assert [each for each in stage.reasons().values() if not each.startswith("parked: ")] == []
    assert elsewhere.received == []
    assert all(FAKE_TOKEN in headers for _, headers in gateway.received)


@pytest.mark.promise(4)
@pytest.mark.parametrize("gateway", ["roma-eu", "apim"])
def test_a_place_that_is_not_ours_closes_the_lane_and_not_the_other(
    staged: Callable[..., Stage], gateway: str
) -> None:
    stage = staged(30, 20, latency=0.05)
    stage.expect({gateway: (InjectedFault(kind=FaultKind.ELSEWHERE, times=0),)})
    ended = stage.undeploy("run", stage.write_plan(top=PATIENT), "--yes")
    books, report = stage.platform.books(), stage.report()
    lanes = {entry["name"]: entry for entry in report["gateways"]}

    assert ended.status == 4, ended.err
    assert books.gateways[gateway].requests <= CONCURRENCY[gateway]
    assert {name: entry["lane"] for name, entry in lanes.items()} == {
        name: "closed" if name == gateway else "open" for name in lanes
    }
    assert lanes[gateway]["totals"]["not_started"] == lanes[gateway]["totals"]["targets"]
    assert "wrong_place: " in ended.err
    assert sum(facts.down for facts in books.gateways.values()) == 50 - lanes[gateway]["totals"]["targets"]
    stage.assert_truth()


@pytest.mark.promise(4)
def test_v1_where_only_v2_answers_is_told(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 0, roma_eu={"dialects": ("v2",)})
    ended = stage.undeploy("run", stage.write_plan(), "--yes")

    assert ended.status == 4
    assert "try api_version: v2" in ended.err
    assert stage.requests() <= CONCURRENCY["roma-eu"]


@pytest.mark.promise(5)
def test_a_credential_that_dies_costs_its_lane_and_what_was_in_flight(staged: Callable[..., Stage]) -> None:
    stage = staged(40, 20, latency=0.03, roma_eu={"expiry": TokenExpiry(requests=10)})
    ended = stage.undeploy("run", stage.write_plan(top=PATIENT), "--yes")
    facts = stage.platform.books().gateways

    assert ended.status == 4, ended.err
    assert (facts["roma-eu"].down, facts["apim"].down) == (10, 20)
    assert facts["roma-eu"].denied <= CONCURRENCY["roma-eu"]
    assert "denied: " in ended.err
    stage.assert_truth()


@pytest.mark.promise(5)
def test_a_credential_that_is_renewed_goes_on(staged: Callable[..., Stage]) -> None:
    stage = staged(
        40, 0, latency=0.05, roma_eu={"expiry": TokenExpiry(requests=10), "tokens": ("old", "new")}
    )
    token = stage.folder / "token"
    token.write_text("old\n")
    plan = stage.write_plan()
    plan.write_text(plan.read_text().replace("{env: ROMA_TOKEN}", "{file: token}"))
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(7, process)
        token.write_text("new\n")
        _, err = process.communicate(timeout=20)
    facts = stage.platform.books().gateways["roma-eu"]

    assert process.returncode == 0, err
    assert facts.down == 40
    assert 0 < facts.denied <= CONCURRENCY["roma-eu"]


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("absent", "status", "outcome"), [("fail", 1, "failed"), ("ok", 0, "already_undeployed")]
)
def test_what_does_not_exist(staged: Callable[..., Stage], absent: str, status: int, outcome: str) -> None:
    gone = range(3, 6)
    stage = staged(6, 6)
    stage.refill(
        roma_eu={"targets": tuple(map(backend, range(3)))},
        apim_fields={"targets": tuple(("Retail", f"proxy-{number}", "test") for number in range(3))},
    )
    keys = f"absent: {absent}"
    ended = stage.undeploy("run", stage.write_plan(roma=keys, apim=keys, top=PATIENT), "--yes")
    outcomes, reasons = stage.outcomes(), stage.reasons()
    missing = [*map(roma_id, gone), *map(apim_id, gone)]

    assert ended.status == status, ended.err
    assert {target for target in outcomes if outcomes[target] == outcome} == set(missing)
    assert all(reasons[target].startswith("absent: ") for target in missing)
    assert stage.requests() == 12


@pytest.mark.promise(6)
def test_a_rate_limit_slows_its_lane_and_not_the_other(staged: Callable[..., Stage]) -> None:
    stage = staged(8, 30, roma_eu={"rate": RateLimit(per_second=2.0, burst=5.0)})
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--events", "events")
    facts = stage.platform.books().gateways
    seen = stage.list_requests()
    last = {name: max(entry.at for entry in seen if entry.gateway == name) for name in facts}

    assert ended.status == 0, ended.err
    assert facts["roma-eu"].busy <= 2 * CONCURRENCY["roma-eu"]
    assert last["apim"] < last["roma-eu"]
    assert '"state":"paused"' in (stage.folder / "events").read_text()
    # Retry-After is whole seconds: between the refusals and the next request lies one.
    refused = [entry.at for entry in seen if entry.status == 429]
    after = [entry.at for entry in seen if entry.gateway == "roma-eu" and entry.at > refused[0] + 0.5]
    assert min(after) - refused[0] >= 0.99
    assert stage.report()["totals"]["retries"] == facts["roma-eu"].busy


@pytest.mark.promise(6)
def test_a_dead_gateway_parks_and_does_not_slow_the_other(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 30, latency=0.02)
    plan = stage.write_plan(urls={"roma-eu": f"http://127.0.0.1:{find_free_port()}"}, roma=TWICE)
    began = time.time()
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(30, process)
        assert time.time() - began < 10
        time.sleep(0.3)
        process.terminate()
        _, err = process.communicate(timeout=10)
    report = stage.report()
    lanes = {entry["name"]: entry for entry in report["gateways"]}

    assert process.returncode == 130, err
    assert (lanes["roma-eu"]["lane"], lanes["apim"]["lane"]) == ("parked", "open")
    assert lanes["roma-eu"]["totals"]["not_started"] == 20
    assert lanes["roma-eu"]["totals"]["requests"] == 0
    assert lanes["apim"]["totals"]["undeployed"] == 30
    assert "roma-eu: parked, being probed: no connection to 127.0.0.1" in err

    stage.write_plan()  # the port cannot be had back: the run's own plan holds, so this one is a new run
    assert stage.undeploy("run", "plan.yaml", "--yes", "--only", "roma-eu/**").status == 0


@pytest.mark.promise(7)
def test_a_dead_gateway_ends_with_the_window(staged: Callable[..., Stage]) -> None:
    stage = staged(20, 10)
    keys = "timeout: 1s, retry: {attempts: 3, first: 1ms, ceiling: 1s}"
    closes = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6))
    plan = stage.write_plan(
        urls={"roma-eu": f"http://127.0.0.1:{find_free_port()}"},
        roma=keys,
        apim="timeout: 1s",
        top=f"window: {{opens: 2026-01-01T00:00:00Z, closes: {closes}}}",
    )
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 4, ended.err
    assert stage.platform.books().gateways["apim"].down == 10
    assert stage.report()["totals"]["not_started"] == 20


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("charset", "named"), [("ISO-8859-9", "ISO-8859-9"), ("utf-16", "UTF-16"), ("cp1254", "")]
)
def test_words_in_any_letters_are_believed_for_their_target_only(
    staged: Callable[..., Stage], charset: str, named: str
) -> None:
    stage = staged(0, 3)
    words = "Project (Müşteri) is not found or user does not have privilege to access it!"
    body = json.dumps({"error": "not_found", "error_description": words}, ensure_ascii=False)
    kind = f"application/json;charset={named}" if named else "application/json"
    with recorder(404, {"Content-Type": kind}, body.encode(charset)) as manager:
        plan = stage.write_plan(urls={"apim": manager.url}, apim=TWICE, top=PATIENT)
        plan.write_text(plan.read_text().replace("project: Retail", "project: Müşteri"))
        ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended.err
    assert set(stage.outcomes().values()) == {"failed"}
    assert all(reason.startswith("absent: not_found Project (M") for reason in stage.reasons().values())
    assert {"(Müşteri)" in reason for reason in stage.reasons().values()} == {bool(named)}
    assert [lane["lane"] for lane in stage.report()["gateways"]] == ["open"]


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("gateway", "status", "body"),
    [
        (
            "apim",
            200,
            {
                "success": True,
                "deploymentResult": {
                    "success": True,
                    "deploymentResults": [
                        {"environmentName": "production", "success": True, "message": "ok"}
                    ],
                },
            },
        ),
        ("apim", 404, {"error": "not_found", "error_description": "ApiProxy (another) is not found!"}),
        ("apim", 400, {"status": "FAILURE", "resultMessage": "Environment (another) is not found!"}),
        ("roma-eu", 404, {"error_code": "APIG.3084", "error_msg": f"It does not exist, id: {'f' * 32}"}),
        ("roma-eu", 200, {"id": "f" * 32, "status": 3}),
    ],
)
def test_a_reply_about_another_target_is_neither_its_end_nor_its_absence(
    staged: Callable[..., Stage], gateway: str, status: int, body: dict[str, object]
) -> None:
    """The manager and the instance answer every request so, looks among them."""
    stage = staged(2 * (gateway == "roma-eu"), 2 * (gateway == "apim"))
    with recorder(status, {"Content-Type": "application/json"}, json.dumps(body).encode()) as there:
        keys = f"{TWICE}, absent: ok, park_for: 100ms"
        plan = stage.write_plan(urls={gateway: there.url}, roma=keys, apim=keys, top=PATIENT)
        ended = stage.undeploy("run", plan, "--yes")

    assert ended.status in {1, 4}, ended.err
    assert set(stage.outcomes().values()) <= {"unknown", "failed", "not_started"}
    assert "the reply is about something else" in json.dumps(stage.report())


@pytest.mark.promise(10)
def test_a_list_without_an_end_ends_a_discovery(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    apis = [{"id": f"{number:032x}", "status": 4} for number in range(500)]
    body = json.dumps({"size": 500, "total": 10**15, "apis": apis}).encode()
    with recorder(200, {"Content-Type": "application/json"}, body) as instance:
        plan = stage.write_plan(urls={"roma-eu": instance.url})
        ended = stage.undeploy("discover", "--from", plan, "-o", "found.yaml")

    assert ended.status == 1, ended.err
    assert "500 were seen, and it says that there are 1,000,000,000,000,000" in ended.err
    assert len(instance.received) < 20
