"""undeploy status and undeploy show: a run that ended, one that goes on, one that gives no answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.commands.show import render_text
from orchestrator.display.status import read_status
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.run_lookup import find_run
from orchestrator.model.causes import CauseGroup
from orchestrator.model.forecast import Forecast, GatewayForecast
from orchestrator.model.live_status import LiveStatus, RuleHeadroom
from orchestrator.model.outcome import Outcome
from orchestrator.report.values import OwnReads
from orchestrator.runs import control_socket
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.process import RunningSimulators
from tests.support import story
from tests.support.commands import Undeploy

Write = Callable[..., Path]

NOON = 1_795_867_200.0
REFUSED = InjectedFault(
    kind=FaultKind.STATUS, status=403, on=FaultScope.UNDEPLOY, code="forbidden", message="No right", times=0
)


@pytest.fixture
def run(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> str:
    """A run of six targets of which one was refused."""
    platform.expect(FaultScenario(script={"apim/Retail/proxy-2/test": (REFUSED,)}))
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes")
    assert ended.status == 1, ended
    return ended.run


@pytest.fixture
def live(run: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[LiveStatus | OSError], None]:
    """Lets the run go on, and gives what it answers."""

    def answer(given: LiveStatus | OSError) -> None:
        def ask(*_: Any, **__: Any) -> bytes:
            if isinstance(given, OSError):
                raise given
            return msgspec.json.encode(given)

        monkeypatch.setattr(control_socket, "send_command", ask)
        monkeypatch.setattr(RunFolder, "read_holder", lambda _: LockHolder(user="ada", host="ops-1"))

    return answer


def parked(**more: Any) -> LiveStatus:
    progress = story.fold(
        story.started({"apim": 6}), story.wave_started(), story.ended("apim/Retail/proxy-1/test")
    )
    status = read_status(progress, NOON)
    (lane,) = status.lanes
    lane = replace(
        lane,
        state="parked",
        state_words="parked: HTTP 503",
        left=5,
        in_flight=1,
        repeating=2,
        bound=2.5,
        probe_at=NOON + 5,
        gives_up_at=NOON + 600,
    )
    return replace(status, lanes=(lane,), waits_for="apim, parked 40 s", until=NOON + 5, **more)


def test_a_run_that_ended_says_what_comes_next(run: str, undeploy: Undeploy) -> None:
    ended = undeploy("status", run)

    assert ended.status == 0, ended
    assert f"run       {run}: undeploy of clean-up, complete\n" in ended.out
    assert "targets   5 of 6 targets are down; 1 failed." in ended.out
    assert "lane      apim is open\n" in ended.out
    assert "causes    1 failed: forbidden: No right (apim)\n" in ended.out
    assert f"undeploy remainder {run}" in ended.out


def test_a_run_with_a_closed_lane_says_why_it_is_closed(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APINIZER_TOKEN", "not-a-token-of-theirs")
    stopped = undeploy("run", plan(platform.urls["apim"]), "--yes")
    told = undeploy("status", stopped.run)

    assert (stopped.status, told.status) == (4, 0)
    assert "lane      apim is closed\n          denied: the credential was rejected" in told.out
    assert "causes    6 not started: denied: the credential was rejected" in told.out


def test_a_run_that_ended_as_json(run: str, undeploy: Undeploy) -> None:
    found = json.loads(undeploy("status", "--format", "json").out)

    assert found["run"]["id"] == run
    assert (found["totals"]["undeployed"], found["totals"]["failed"]) == (5, 1)
    assert (found["waits_for"], found["until"], found["forecast"], found["lanes"]) == (None, None, None, [])
    assert found["wave"] == {"name": "targets", "number": 1, "of": 1, "step": 1, "steps": 1}
    assert "targets" not in found


def test_a_run_that_goes_on_is_asked(
    run: str, undeploy: Undeploy, live: Callable[[LiveStatus | OSError], None]
) -> None:
    late = GatewayForecast(name="apim", late=3, starts_until=NOON + 60, done=NOON + 200)
    refused = CauseGroup(
        outcome=Outcome.FAILED, label="APIG.9999", text="System error", count=2, gateways=("apim",)
    )
    too_late = CauseGroup(outcome=Outcome.NOT_STARTED, label="window", text="window: too late", count=1)
    room = RuleHeadroom(
        rule="failed",
        count=2,
        of=3,
        limit="20%",
        more=14,
        text="failed: 2 of 3 in wave everything, limit 20%: 14 more stop the run",
    )
    live(
        parked(
            stopping="stop by ada",
            forecast=Forecast(done=NOON + 200, spare=-140.0, gateways=(late,)),
            causes=(refused, too_late),
            headroom=(room,),
            question="wave one has ended; go on with the next?",
        )
    )
    ended = undeploy("status")
    found = json.loads(undeploy("status", run, "--format", "json").out)

    assert ended.status == 0, ended
    assert "lane      apim is parked: HTTP 503; " in ended.out
    assert "5 left, 1 in flight, 2 to be repeated, at most 2.5/s\n" in ended.out
    assert "waits for apim, parked 40 s\n" in ended.out
    assert "stopping  stop by ada\n" in ended.out
    assert "forecast  " in ended.out
    assert "targets   1 of 6 down\n" in ended.out
    assert (
        "causes    2 failed: APIG.9999: System error (apim)\n          1 not started: window: too late\n"
    ) in ended.out
    assert "stops if  failed: 2 of 3 in wave everything, limit 20%: 14 more stop the run\n" in ended.out
    assert "asks      wave one has ended; go on with the next?\n" in ended.out
    assert [(cause["label"], cause["count"]) for cause in found["causes"]] == [
        ("APIG.9999", 2),
        ("window", 1),
    ]
    assert [room["rule"] for room in found["headroom"]] == ["failed"]
    assert found["until"] == found["lanes"][0]["probe_at"]
    assert found["lanes"][0]["gives_up_at"].endswith("Z")
    assert found["forecast"]["spare"] == -140.0


def test_a_run_that_cannot_be_read_hides_no_other_one(
    run: str, undeploy: Undeploy, live: Callable[[LiveStatus | OSError], None], folder: Path
) -> None:
    live(parked())
    broken = folder / ".undeploy" / "runs" / "20990101-000000-broken-0000"
    shutil.copytree(broken.parent / run, broken)
    (broken / "journal.sqlite").write_bytes(b"no database at all, and longer than a header of one" * 100)

    told, named = undeploy("status"), undeploy("status", broken.name)

    assert (told.status, named.status) == (2, 2)
    assert f"run       {run}: undeploy of " in told.out
    assert f"{broken.name}: " in told.err


def test_a_paused_run_says_how_it_goes_on(
    run: str, undeploy: Undeploy, live: Callable[[LiveStatus | OSError], None]
) -> None:
    live(replace(parked(), waits_for=f"paused; `undeploy control {run} continue` goes on"))

    assert f"\npaused    `undeploy control {run} continue` goes on\n" in undeploy("status").out


def test_a_run_that_gives_no_answer_is_read_from_its_journal(
    run: str, undeploy: Undeploy, live: Callable[[LiveStatus | OSError], None]
) -> None:
    live(TimeoutError("no answer"))
    ended = undeploy("status", run)

    assert ended.status == 0, ended
    assert f"{run} goes on and was asked in vain (no answer); this is what its journal says" in ended.err
    assert "5 of 6 targets are down" in ended.out


@pytest.mark.parametrize("ref", ["apim/Retail/proxy-2/test", "proxy-2/test", "**/proxy-2/*", "proxy-2"])
def test_one_target_with_all_that_is_kept(run: str, undeploy: Undeploy, ref: str) -> None:
    ended = undeploy("show", run, ref)

    assert ended.status == 0, ended
    assert ended.out.startswith(
        "target    apim/Retail/proxy-2/test\ngateway   apim (apinizer), wave targets\n"
    )
    assert "outcome   failed: refused: forbidden No right\n" in ended.out
    assert "snapshot  none\n" in ended.out
    assert "requests  1\n" in ended.out
    assert "  403 after " in ended.out


def test_one_target_is_its_object_of_the_report(run: str, undeploy: Undeploy) -> None:
    found = json.loads(undeploy("show", run, "proxy-1", "--format", "json").out)
    report = json.loads(undeploy("report", run).out)
    (told,) = [target for target in report["targets"] if target["id"] == found["id"]]

    assert found == {**told, "snapshot": None}


def test_a_snapshot_and_what_a_restore_did_are_shown(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    path = plan(platform.urls["apim"])
    path.write_text(path.read_text().replace("snapshot: off", "snapshot: best"))
    run = undeploy("run", path, "--yes").run
    back = undeploy("restore", run, "--yes").run
    ended = undeploy("show", run, "proxy-1")

    assert "snapshot  up, taken 2" in ended.out
    assert " with 1 read of its own\n" in ended.out
    assert f"restore   {back}: restored\n" in ended.out
    assert json.loads(undeploy("show", run, "proxy-1", "--format", "json").out)["snapshot"]["verdict"] == "up"


@pytest.mark.parametrize(
    ("own_reads", "lines"),
    [
        (OwnReads(0, 0), [" off the gateway's lists", "          read off the gateway's lists"]),
        (OwnReads(2, 5), [" with 2 reads of its own", "          read with 5 reads of its own"]),
        (OwnReads(1, 0), [" with 1 read of its own", "          read off the gateway's lists"]),
    ],
)
def test_it_is_told_whether_a_snapshot_came_off_lists(
    run: str, folder: Path, own_reads: OwnReads, lines: list[str]
) -> None:
    with find_run(folder / ".undeploy", run).open_source() as source:
        kept = source.read_target("apim/Retail/proxy-1/test")
    taken = datetime(2026, 11, 28, tzinfo=UTC)
    snapshot = {
        "verdict": "up",
        "taken": taken,
        "fronts": [{"id": "f"}],
        "bindings": {},
    }
    told = list(render_text(replace(kept, snapshot=snapshot, own_reads=own_reads)))

    (line,) = [line for line in told if line.startswith("snapshot")]
    assert line.endswith(lines[0])
    assert told[told.index("bound     nothing") + 1] == lines[1]


@pytest.mark.parametrize(
    ("snapshot", "lines"),
    [
        ({"fronts": [{"id": "front"}]}, ["bound     not read"]),  # from before bindings were kept
        ({"fronts": [{"id": "front"}], "bindings": {}}, ["bound     nothing"]),
        ({}, []),  # of a gateway without front ends
        (
            {
                "fronts": [{"id": "front"}],
                "bindings": {
                    "found": [
                        {"what": "application", "environment": "TEST", "id": "a1", "name": "web-shop"},
                        {"what": "plug-in", "environment": "TEST", "id": "p1", "name": "cors\n\x1b[2J"},
                    ]
                },
            },
            [
                "bound     application web-shop (a1) in TEST",
                r"          plug-in cors\u000a\u001b[2J (p1) in TEST",
            ],
        ),
    ],
)
def test_the_bindings_of_a_snapshot_are_told(
    run: str, folder: Path, snapshot: dict[str, Any], lines: list[str]
) -> None:
    with find_run(folder / ".undeploy", run).open_source() as source:
        kept = source.read_target("apim/Retail/proxy-1/test")
    kept = replace(kept, snapshot={"verdict": "up", "taken": None, **snapshot})
    told = list(render_text(kept))

    assert [line for line in told if line.startswith("bound") or "plug-in" in line] == lines


@pytest.mark.parametrize(
    ("ref", "said"), [("proxy-9", "has no target proxy-9; its report names all"), ("proxy", "say which:")]
)
def test_no_target_and_several_are_no_answer(run: str, undeploy: Undeploy, ref: str, said: str) -> None:
    ended = undeploy("show", run, ref)

    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
