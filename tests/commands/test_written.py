"""Files that are written where a person names them: for the user alone, and never through a link."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.simulator.process import RunningSimulators

Write = Callable[..., Path]
Undeploy = Callable[..., tuple[int, str, str]]
FRAME = (
    "version: 1\nname: found\ngateways:\n  apim: {{kind: apinizer, url: '{url}',"
    " auth: {{token: {{env: APINIZER_TOKEN}}}}}}\n"
)
WRITERS: dict[str, tuple[str, ...]] = {
    "events": ("run", "plan.yaml", "--yes", "--events"),
    "approval": ("preview", "plan.yaml", "--save"),
    "plan": ("discover", "--from", "frame.yaml", "--force", "-o"),
    "starter": ("init",),
    "report": ("report", "latest", "--force", "-o"),
    "remainder": ("remainder", "latest", "--force", "-o"),
}


OF_A_RUN = ("report", "remainder")
"""What is written about the latest run."""


@pytest.fixture
def name() -> str:
    """The writer that a test is about, unless the test has it as a parameter."""
    return "report"


@pytest.fixture
def ready(platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path, name: str) -> Path:
    """A folder with a plan; and if the writer is about a run, one that has left something."""
    plan(platform.urls["apim"])
    (folder / "frame.yaml").write_text(FRAME.format(url=platform.urls["apim"]))
    if name in OF_A_RUN:
        undeploy("run", "plan.yaml", "--yes", "--only", "**/proxy-0/*")
    return folder


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
def test_it_is_its_users_alone_whatever_the_umask(ready: Path, undeploy: Undeploy, name: str) -> None:
    before = os.umask(0)
    try:
        ended = undeploy(*WRITERS[name], "out")
    finally:
        os.umask(before)

    assert ended[0] in (0, 1), ended
    assert read_mode(ready / "out") == 0o600
    assert (ready / "out").stat().st_size > 0
    assert not [path for path in ready.iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("leads", ["victim", "nowhere"])
def test_no_link_is_written_through(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators, name: str, leads: str
) -> None:
    (ready / "victim").write_text("precious")
    (ready / "out").symlink_to(leads)
    sent = platform.books().requests
    status, _, err = undeploy(*WRITERS[name], "out")

    assert status == 2
    assert "it is a link" in err or "exists and is left as it is" in err
    assert (ready / "victim").read_text() == "precious"
    assert not (ready / "nowhere").exists()
    assert platform.books().requests == sent


@pytest.mark.parametrize("name", WRITERS)
def test_a_name_that_no_file_can_have_is_refused(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators, name: str
) -> None:
    sent = platform.books().requests
    status, _, err = undeploy(*WRITERS[name], "x" * 300)

    assert status == 2
    assert "cannot write" in err
    assert platform.books().requests == sent


def test_a_folder_of_reports_that_cannot_be_there_is_refused(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators
) -> None:
    sent = platform.books().requests
    status, _, err = undeploy("run", "plan.yaml", "--yes", "--report-dir", "x" * 300)

    assert status == 2
    assert "cannot write" in err
    assert platform.books().requests == sent


@pytest.mark.parametrize("name", WRITERS)
def test_nobody_waits_for_a_pipe_that_nobody_reads(ready: Path, undeploy: Undeploy, name: str) -> None:
    os.mkfifo(ready / "out")
    assert undeploy(*WRITERS[name], "out")[0] == 2


@pytest.mark.parametrize("name", ["events", "report", "remainder"])
def test_a_pipe_that_somebody_reads_is_written_to(ready: Path, undeploy: Undeploy, name: str) -> None:
    os.mkfifo(ready / "out")
    got: list[bytes] = []
    handle = os.open(ready / "out", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(handle, True)

    def read() -> None:
        with os.fdopen(handle, "rb") as pipe:
            got.append(pipe.read())

    reader = threading.Thread(target=read)
    held = os.open(ready / "out", os.O_WRONLY)  # so that the reader waits for us
    reader.start()
    status, _, err = undeploy(*WRITERS[name], "out")
    os.close(held)
    reader.join(10)

    assert status in (0, 1), err
    assert got[0]


@pytest.mark.parametrize("name", ["events", "report", "remainder"])
@pytest.mark.parametrize("place", ["/dev/null", "/dev/stderr", "/dev/fd/2"])
def test_descriptors_of_ours_and_devices_are_written_to(
    ready: Path, undeploy: Undeploy, name: str, place: str
) -> None:
    status, _, err = undeploy(*WRITERS[name], place)

    assert status in (0, 1), err
    assert place == "/dev/null" or len(err) > 200


@pytest.mark.parametrize("digits", [10, 100])
def test_a_descriptor_that_no_system_has_is_refused(ready: Path, undeploy: Undeploy, digits: int) -> None:
    status, _, err = undeploy(*WRITERS["events"], f"/dev/fd/{'9' * digits}")

    assert (status, "cannot write /dev/fd/999" in err) == (2, True), err


def test_events_are_added_to_a_file_that_is_there(ready: Path, undeploy: Undeploy) -> None:
    (ready / "out").write_text('{"event":"run_ended"}\n')
    (ready / "out").chmod(0o644)
    undeploy(*WRITERS["events"], "out")

    assert (ready / "out").read_text().startswith('{"event":"run_ended"}\n{"event":"stream"')
    assert read_mode(ready / "out") == 0o600


@pytest.mark.parametrize("cut", ["{", '{"event":"run_ended"}\n{"event":"at'])
def test_a_line_of_events_that_a_crash_cut_off_gets_its_end(
    ready: Path, undeploy: Undeploy, cut: str
) -> None:
    (ready / "out").write_text(cut)
    undeploy(*WRITERS["events"], "out")

    assert (ready / "out").read_text().startswith(cut + '\n{"event":"stream"')


def test_events_are_added_to_no_file_that_holds_something_else(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators
) -> None:
    before = (ready / "plan.yaml").read_bytes(), platform.books().requests
    status, _, err = undeploy(*WRITERS["events"], "plan.yaml")

    assert (status, err) == (2, "cannot write plan.yaml: it holds something else; name a new file\n")
    assert ((ready / "plan.yaml").read_bytes(), platform.books().requests) == before


def test_reports_replace_a_link_and_write_to_no_folder_behind_one(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators
) -> None:
    (ready / "victim").write_text("precious")
    (ready / "reports").mkdir()
    (ready / "reports" / "report.json").symlink_to("../victim")
    undeploy("run", "plan.yaml", "--yes", "--report-dir", "reports")
    assert (ready / "victim").read_text() == "precious"
    assert read_mode(ready / "reports" / "report.json") == 0o600
    assert not (ready / "reports" / "report.json").is_symlink()

    (ready / "elsewhere").mkdir()
    (ready / "link").symlink_to("elsewhere")
    sent = platform.books().requests
    for command in (("run", "plan.yaml", "--yes"), ("resume", "latest")):
        for place in ("link", "victim"):
            status, _, err = undeploy(*command, "--report-dir", place)

            assert (status, platform.books().requests) == (2, sent), err
            assert f"cannot write {place}: " in err
    assert list((ready / "elsewhere").iterdir()) == []


def test_an_approval_takes_the_place_of_nothing_but_an_approval(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators
) -> None:
    text = (ready / "plan.yaml").read_text()
    (ready / "empty").touch()
    first = undeploy(*WRITERS["approval"], "out")
    again = undeploy(*WRITERS["approval"], "out")
    empty = undeploy(*WRITERS["approval"], "empty")
    sent = platform.books().requests
    refused = undeploy(*WRITERS["approval"], "plan.yaml")

    assert (first[0], again[0], empty[0]) == (0, 0, 0)
    assert (refused[0], refused[1]) == (2, "")
    assert "plan.yaml exists and is no approval; it is left as it is" in refused[2]
    assert (ready / "plan.yaml").read_text() == text
    assert platform.books().requests == sent


@pytest.mark.parametrize("name", ["plan", "starter", "report", "remainder"])
def test_a_dash_is_standard_output(ready: Path, undeploy: Undeploy, name: str) -> None:
    status, out, _ = undeploy(*WRITERS[name], "-")

    assert status in (0, 1)
    assert out.startswith(("# ", '{"schema":1'))
    assert not (ready / "-").exists()


@pytest.mark.parametrize("place", ["plan.yaml/reports", "plan.yaml/a/b"])
def test_reports_that_could_not_be_written_are_told_before_anything_is_sent(
    ready: Path, undeploy: Undeploy, platform: RunningSimulators, place: str
) -> None:
    sent = platform.books().requests
    status, out, err = undeploy("run", "plan.yaml", "--yes", "--report-dir", place)

    assert (status, out) == (2, "")
    assert f"cannot write {place}: " in err
    assert "plan.yaml is no folder" in err
    assert platform.books().requests == sent
