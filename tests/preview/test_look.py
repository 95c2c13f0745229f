"""The look at live state, and that a gateway which gives no answer ends it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.errors import UsageError
from orchestrator.lanes.environment import Environment
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.preview.gateway_look import LOOK_WITHIN
from orchestrator.preview.look import take_preview
from orchestrator.preview.silence import SILENT_FOR
from orchestrator.preview.states import Preview, TargetState
from orchestrator.runs.load import load_plan
from tests.support.engine import EPOCH, environment, played

PLAN = """
version: 1
name: look
gateways:
  quick: {kind: apinizer, url: "https://quick.example", auth: {token: {env: TOKEN}}}
  mute: {kind: apinizer, url: "https://mute.example", auth: {token: {env: TOKEN}}}
targets:
"""
EACH = "  - {{gateway: {gateway}, project: P, proxy: api-{number}, environment: test}}\n"

DEPLOYED = {
    "status": "SUCCESS",
    "resultCount": 1,
    "resultList": [{"deployed": True, "lastDeployTime": "2026-11-02T08:15:00Z", "revision": 7}],
}

Answering = Callable[[Request], Awaitable[Reply | Lost]]


def make_reply(status: int, body: object) -> Reply:
    return Reply(status, {}, json.dumps(body).encode(), EPOCH + anyio.current_time())


async def answer_at_once(request: Request) -> Reply | Lost:
    await anyio.sleep(0.1)
    if "deploy-status" not in request.url:
        return make_reply(404, "no such page")
    return make_reply(200, DEPLOYED)


async def hang(_: Request) -> Reply | Lost:
    await anyio.sleep(LOOK_WITHIN)
    return Lost(sent=True, detail="no reply within 30 s")


async def refuse(_: Request) -> Reply | Lost:
    return Lost(sent=False, detail="connection refused")


def ask_for_pause(seconds: int) -> Answering:
    """Return a gateway that asks for one long pause, and answers every later request."""
    asked = list[bool]()

    async def pauses(request: Request) -> Reply | Lost:
        if not asked:
            asked.append(True)
            return Reply(429, {"retry-after": str(seconds)}, b"", EPOCH + anyio.current_time())
        return await answer_at_once(request)

    return pauses


def fall_silent_after(after: int) -> Answering:
    """Return a gateway that answers so many requests, and no further one."""
    given = list[bool]()

    async def falls(request: Request) -> Reply | Lost:
        given.append(True)
        return await (answer_at_once if len(given) <= after else hang)(request)

    return falls


def answer_between(mute: Answering) -> Environment:
    @asynccontextmanager
    async def connect(gateway: Gateway) -> AsyncIterator[Send]:
        yield mute if gateway.name == "mute" else answer_at_once

    return replace(environment(), connect=connect)


def time_look(
    folder: Path,
    mute: Answering,
    *,
    targets: int = 100,
    demanding: bool = False,
    plan: str = PLAN,
    here: Environment | None = None,
) -> tuple[float, Preview | str]:
    """Return how many seconds the look took, and its preview, or the error that ended it."""
    path = folder / "plan.yaml"
    both = ("quick", "mute")
    lines = [EACH.format(gateway=name, number=n) for name in both for n in range(targets)]
    path.write_text(plan + "".join(lines))

    async def main() -> tuple[float, Preview | str]:
        with load_plan(path) as loaded:
            options = RunOptions(state=folder / "state")
            try:
                seen: Preview | str = await take_preview(
                    loaded, options, here or answer_between(mute), demanding=demanding
                )
            except UsageError as error:
                seen = str(error)
            return anyio.current_time(), seen

    return played(main)


def list_states(preview: Preview, gateway: str) -> list[TargetState]:
    return [seen.state for seen in preview.targets if seen.target.gateway == gateway]


def test_a_look_that_did_not_leave_is_not_counted(tmp_path: Path) -> None:
    _, seen = time_look(tmp_path, refuse, targets=3)

    assert isinstance(seen, Preview)
    assert {each.name: each.requests > 0 for each in seen.gateways} == {"quick": True, "mute": False}


def test_each_request_of_a_look_that_left_is_counted_those_of_lists_too(tmp_path: Path) -> None:
    sent = list[str]()

    async def answer(request: Request) -> Reply | Lost:
        sent.append(request.url)
        return await answer_at_once(request)

    _, seen = time_look(tmp_path, answer)

    assert isinstance(seen, Preview)
    (mute,) = (each for each in seen.gateways if each.name == "mute")
    assert any("deploy-status" not in url for url in sent)
    assert mute.requests == len(sent)
    assert {round(each, 3) for each in mute.seconds} == {0.1}


@pytest.mark.promise(10)
@pytest.mark.parametrize(("timeout", "within"), [(600, LOOK_WITHIN), (12, 12)])
def test_no_look_waits_longer_for_its_reply_than_the_plan_lets_it(
    tmp_path: Path, timeout: float, within: float
) -> None:
    bounds = dict[str, float]()

    @asynccontextmanager
    async def connect(gateway: Gateway) -> AsyncIterator[Send]:
        bounds[gateway.name] = gateway.reply_timeout
        yield answer_at_once

    entry = 'url: "https://mute.example"'
    time_look(
        tmp_path,
        answer_at_once,
        targets=1,
        plan=PLAN.replace(entry, f"{entry}, timeout: {timeout}s"),
        here=replace(environment(), connect=connect),
    )

    assert bounds["mute"] == within


@pytest.mark.promise(10)
def test_a_gateway_that_gives_no_answer_ends_its_look_after_a_minute(tmp_path: Path) -> None:
    seconds, seen = time_look(tmp_path, hang)

    assert seconds == pytest.approx(SILENT_FOR, abs=1)
    assert isinstance(seen, Preview)
    assert list_states(seen, "quick") == [TargetState.DEPLOYED] * 100
    assert list_states(seen, "mute") == [TargetState.UNKNOWN] * 100
    [of_list, warning] = next(place.warnings for place in seen.gateways if place.name == "mute")
    assert of_list.startswith("its list of proxies could not be read (no reply within 30 s)")
    assert warning == "it gave no answer for 60 s (no reply within 30 s), so nothing more was asked"
    assert {seen.why for seen in seen.targets if seen.target.gateway == "mute"} == {
        "not looked at: it gave no answer for 60 s (no reply within 30 s)"
    }


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("mute", "most", "cause"),
    [
        (hang, SILENT_FOR + 1, "it gave no answer for 60 s (no reply within 30 s)"),
        (refuse, SILENT_FOR + 1, "it gave no answer (connection refused)"),
        (fall_silent_after(8), SILENT_FOR + 2, "it gave no answer for 60 s (no reply within 30 s)"),
    ],
    ids=["hangs", "refuses", "falls silent"],
)
def test_before_a_question_it_ends_all_with_its_name_and_cause(
    tmp_path: Path, mute: Answering, most: float, cause: str
) -> None:
    seconds, told = time_look(tmp_path, mute, demanding=True)

    assert seconds <= most
    assert told == (
        f"mute could not be looked at: {cause}. Nothing was undeployed; --no-preview asks without a look"
    )


@pytest.mark.promise(10)
def test_a_gateway_whose_lists_alone_give_no_answer_is_not_silent(tmp_path: Path) -> None:
    """Its targets can be read one by one, so they must be before the silence of its lists counts."""

    async def answer_but_lists(request: Request) -> Reply | Lost:
        return await (hang if "reports" in request.url else answer_at_once)(request)

    _, seen = time_look(tmp_path, answer_but_lists)

    assert isinstance(seen, Preview)
    assert list_states(seen, "mute") == [TargetState.DEPLOYED] * 100


def test_a_pause_that_is_asked_for_is_no_silence(tmp_path: Path) -> None:
    seconds, seen = time_look(tmp_path, ask_for_pause(300), targets=5, demanding=True)

    assert isinstance(seen, Preview)
    assert seconds >= 300
    assert list_states(seen, "mute") == [TargetState.DEPLOYED] * 5


def test_few_targets_at_a_gateway_that_refuses_connections_do_not_take_a_minute(tmp_path: Path) -> None:
    seconds, told = time_look(tmp_path, refuse, targets=2, demanding=True)

    assert seconds < 10
    assert "mute could not be looked at: it gave no answer (connection refused)" in str(told)


ROMA = """
version: 1
name: look
in_use: warn
gateways:
  mute: {kind: roma, url: "https://mute.example", project_id: p, instance_id: i, auth: {token: {env: TOKEN}}}
targets:
  - {gateway: mute, ld_api_ids: [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9]}
"""


async def answer_but_statistics(request: Request) -> Reply | Lost:
    """A ROMA Connect instance whose backend APIs have a front end each, and whose statistics are dead."""
    if "/statistics/" in request.url:
        return await hang(request)
    await anyio.sleep(0.1)
    path = request.url.partition("/instances/i/")[2]
    kind, name, *rest = (*path.partition("?")[0].split("/"), "")
    if kind == "livedata-apis" and rest[:1] == ["deploy"]:
        record = {"id": "1", "ld_api_id": name, "api_id": f"front-{name}", "group_id": "g", "env_id": "e"}
        return make_reply(200, {"deploys": [{**record, "deploy_time": "2026-11-02T08:15:00Z"}]})
    if kind == "livedata-apis" and name:
        return make_reply(200, {"id": name, "status": 4, "name": name})
    if kind == "apis" and name and rest[:1] != ["attached-plugins"]:
        front = {"id": name, "group_id": "g", "run_env_id": "e", "req_protocol": "HTTPS", "auth_type": "APP"}
        return make_reply(200, {**front, "ld_api_id": name.removeprefix("front-"), "req_uri": "/x"})
    return make_reply(404, "no such page")


@pytest.mark.promise(10)
def test_dead_statistics_are_no_silence_of_their_gateway(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(ROMA)

    async def main() -> tuple[float, Preview]:
        with load_plan(path) as loaded:
            options = RunOptions(state=tmp_path / "state")
            seen = await take_preview(loaded, options, answer_between(answer_but_statistics))
            return anyio.current_time(), seen

    seconds, seen = played(main)

    assert seconds < 300
    assert list_states(seen, "mute") == [TargetState.DEPLOYED] * 10
    assert all(one.usage is not None and one.usage.calls is None for one in seen.targets)
    assert {one.usage.why for one in seen.targets if one.usage} >= {"no reply within 30 s"}
