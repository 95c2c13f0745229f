import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy

Write = Callable[..., Path]
REFUSED = InjectedFault(kind=FaultKind.STATUS, status=403, times=0)


def test_everything_undeployed_is_0(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes")

    assert ended.status == 0
    assert ended.out.splitlines() == [f"run: {ended.run}", f"reports: .undeploy/runs/{ended.run}"]
    assert "all 6 targets are down" in ended.err.lower()
    assert platform.books().gateways["apim"].down == 6


def test_something_failed_is_1_and_says_what(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    platform.expect(FaultScenario(script={"apim/Retail/proxy-3/test": (REFUSED,)}))
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes")

    assert ended.status == 1
    assert "failed   apim/Retail/proxy-3/test: refused" in ended.err


def test_a_stop_rule_is_4_and_resume_goes_on_past_it(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    platform.expect(FaultScenario(script={"apim/Retail/proxy-0/test": (REFUSED,)}))
    ended = undeploy("run", plan(platform.urls["apim"], more="stop_when: {failed: 0}"), "--yes")
    refused = undeploy("resume", "latest")
    resumed = undeploy("resume", ended.run, "--past-stop")

    assert ended.status == 4
    assert f"undeploy resume {ended.run} --past-stop" in ended.err
    assert (refused.status, refused.out) == (2, "")
    assert "--past-stop" in refused.err
    assert resumed.run == ended.run
    assert platform.books().gateways["apim"].down == 5


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("29991231-235959999-restore-clean-up-0000", True),
        ("29991231-235959999-restore-other-0000", False),
        ("20001231-235959999-restore-clean-up-0000", False),
    ],
)
def test_what_may_be_a_restore_of_the_run_and_cannot_be_read_keeps_it_from_being_resumed(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, name: str, *, is_refused: bool
) -> None:
    """A newer version of the program may have made it: what it brought back would go down again."""
    platform.expect(FaultScenario(script={"apim/Retail/proxy-0/test": (REFUSED,)}))
    ended = undeploy("run", plan(platform.urls["apim"], more="stop_when: {failed: 0}"), "--yes")
    folder = Path(".undeploy/runs") / name
    folder.mkdir(mode=0o700)
    (folder / "journal.sqlite").write_bytes(b"of another format")

    resumed = undeploy("resume", ended.run, "--past-stop")

    assert (resumed.status == 2) == is_refused, resumed
    assert (f"{name} may be a restore of it" in resumed.err) == is_refused


@pytest.mark.parametrize("options", [(), ("--only", "nothing/**")])
def test_nothing_is_sent_without_a_credential_or_a_target(
    platform: RunningSimulators,
    plan: Write,
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    if not options:
        monkeypatch.delenv("APINIZER_TOKEN")
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes", *options)

    assert (ended.status, ended.out) == (2, "")
    assert platform.books().requests == 0


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (
            "2020-01-01T00:00:00Z/2020-01-01T01:00:00Z",
            " days ago (at 2020-01-01T01:00:00+00:00); give another",
        ),
        ("2999-01-01T00:00:00Z/2999-01-01T01:00:00Z", "--wait waits for it, --window or --close-at gives"),
    ],
)
@pytest.mark.parametrize("consent", [("--yes",), ()])
def test_outside_its_window_nothing_is_sent_and_nothing_asked(
    platform: RunningSimulators,
    plan: Write,
    undeploy: Undeploy,
    consent: tuple[str, ...],
    window: str,
    told: str,
) -> None:
    ended = undeploy("run", plan(platform.urls["apim"]), *consent, "--window", window)

    assert (ended.status, platform.books().requests) == (2, 0)
    assert "no terminal" not in ended.err
    assert told in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--on", "x"), "'x' is no address of a Temporal server"),
        (("--tls",), "--tls is about a distributed engine; --on temporal://HOST:PORT/NAMESPACE names one"),
        (("--lease", "5"), "--lease is about a distributed engine"),
        (("--on", "temporal://127.0.0.1:1", "--dry-run"), "--dry-run looks from this machine"),
        (("--on", "temporal://127.0.0.1:1"), "no Temporal server can be reached at 127.0.0.1:1"),
    ],
)
def test_an_engine_that_cannot_work_is_refused_before_anything_is_sent(
    plan: Write, undeploy: Undeploy, folder: Path, options: tuple[str, ...], told: str
) -> None:
    ended = undeploy("run", plan(), "--yes", *options)

    assert (ended.status, ended.out) == (2, "")
    assert told in ended.err
    assert not list((folder / ".undeploy").glob("runs/*"))


def test_without_a_terminal_somebody_must_have_agreed(plan: Write, undeploy: Undeploy) -> None:
    ended = undeploy("run", plan())

    assert ended.status == 2
    assert "--yes" in ended.err
    assert "--approve" in ended.err


def test_without_a_terminal_no_consent_is_advised_that_the_plan_does_not_take(
    plan: Write, undeploy: Undeploy
) -> None:
    ended = undeploy("run", plan(more="approval: digest"))

    assert ended.status == 2
    assert "run it with --approve " in ended.err
    assert "--yes" not in ended.err


def test_the_targets_given_run_instead_of_the_plans(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    ids = [f"apim/Retail/proxy-{number}/test" for number in (1, 4)]
    path = plan(platform.urls["apim"])
    digest = undeploy("check", path, "--target", *ids).out.splitlines()[-1].removeprefix("digest: ")
    ended = undeploy("run", path, "--target", ids[0], "--target", ids[1], "--approve", digest)

    assert ended.status == 0
    assert sorted(target.id for target in platform.books().targets.values() if target.down) == ids


def test_a_protect_file_of_the_site_holds_beside_the_one_given(
    platform: RunningSimulators,
    plan: Write,
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
) -> None:
    (folder / "site").write_text("# never\n127.0.0.1*/Retail/proxy-0/*\n\n")
    (folder / "mine").write_text("apim/Retail/proxy-1/test\n")
    monkeypatch.setenv("UNDEPLOY_PROTECT_FILE", str(folder / "site"))
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes", "--protect-file", "mine")

    up = sorted(target.id for target in platform.books().targets.values() if not target.down)
    assert (ended.status, up) == (0, ["apim/Retail/proxy-0/test", "apim/Retail/proxy-1/test"])


def test_events_on_stdout_are_all_that_is_there(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    ended = undeploy("run", plan(platform.urls["apim"]), "--yes", "--events", "-")
    events = [json.loads(line) for line in ended.out.splitlines()]

    run = events[1]["run"]
    assert events[0] == {"event": "stream", "schema": 1, "run": run}
    assert [event["event"] for event in events[1:]][:: len(events) - 2] == ["run_started", "run_ended"]


def test_events_in_a_file_follow_those_that_are_there(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    (folder / "events").write_text('{"event":"old"}\n')
    undeploy("run", plan(platform.urls["apim"]), "--yes", "--events", "events")
    lines = (folder / "events").read_text().splitlines()

    assert [json.loads(line)["event"] for line in lines[:3]] == ["old", "stream", "run_started"]


def test_a_resume_of_a_run_that_has_ended_has_the_first_line_of_a_stream_alone(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    events = undeploy("run", plan(platform.urls["apim"]), "--yes", "--events", "-").out.splitlines()

    assert undeploy("resume", "latest", "--events", "-").out.splitlines() == events[:1]


def test_a_command_that_refuses_begins_no_stream(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    refused = undeploy("run", plan(platform.urls["apim"]), "--yes", "--only", "no/such/*", "--events", "-")

    assert (refused.status, refused.out) == (2, "")


def test_quiet_says_nothing_where_nothing_is_wrong(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    assert undeploy("run", plan(platform.urls["apim"]), "--yes", "--quiet").err == ""


def test_the_log_takes_the_place_of_the_lines(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    ended = undeploy(
        "run", plan(platform.urls["apim"]), "--yes", "--log-format", "json", "--log-level", "debug"
    )
    logged = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]

    assert sum(line["event"] == "target_ended" for line in logged) == 6
    assert "wave targets starts" not in ended.err


SAME_AGAIN = pytest.mark.long("a real process, as for SIGINT")


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(each, marks=SAME_AGAIN) for each in (signal.SIGTERM, signal.SIGHUP))],
)
def test_an_interrupted_run_is_130_and_can_be_resumed(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path, number: signal.Signals
) -> None:
    platform.expect(FaultScenario(script={"apim": (InjectedFault(kind=FaultKind.SLOW, delay=0.4, times=0),)}))
    path = plan(platform.urls["apim"])
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", path, "--yes"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while platform.books().requests == 0 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    platform.expect(FaultScenario())
    resumed = undeploy("resume", "latest")

    assert process.returncode == 130, err
    assert f"stopping: {number.name} was received" in err
    assert out.splitlines()[0] == f"run: {resumed.run}"
    assert resumed.status == 0
    assert platform.books().gateways["apim"].down == 6
