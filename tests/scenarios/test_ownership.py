"""A state folder of somebody else: its plans name programs, and are not believed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from orchestrator.cli import execute
from orchestrator.errors import RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.run_lookup import find_run
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.commands import CommandResult
from tests.support.stage import Stage, kill, roma_id

pytestmark = pytest.mark.long("starts other interpreters and other users")

HANGS = InjectedFault(kind=FaultKind.HANG, times=0)
NOBODY = 65534
OTHERS = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be, and can make, somebody else")
Told = Callable[[Sequence[str]], tuple[int, str]]
READERS = (
    ("resume", "latest"),
    ("restore", "latest", "--yes"),
    ("restore", "latest", "--dry-run"),
    ("report", "latest"),
    ("remainder", "latest"),
    ("runs",),
    ("control", "latest", "stop"),
    ("run", "plan.yaml", "--yes"),
    ("rehearse", "plan.yaml"),
)
"""Every command that reads what stands in a state folder, or adds to it."""


@pytest.fixture
def stopped(staged: Callable[..., Stage]) -> Iterator[Stage]:
    """A stage with a run that can be resumed, and whose plan runs a program for its credential.

    Its folder can be reached by all users, which one of pytest's cannot.
    """
    stage = staged(2, 0)
    with TemporaryDirectory() as folder:
        stage.folder = Path(folder)
        stage.folder.chmod(0o755)
        _stop_in(stage)
        yield stage


def _stop_in(stage: Stage) -> None:
    path = stage.write_plan()
    program = f"command: [/bin/sh, -c, 'touch ran; echo {FAKE_TOKEN}']"
    path.write_text(path.read_text().replace("env: ROMA_TOKEN", program))
    stage.expect({roma_id(1): (HANGS,)})
    with stage.started("run", path, "--yes") as process:
        stage.wait_for_requests(2, process)
        kill(process)
    stage.expect()
    (stage.folder / "ran").unlink()


def refused(stage: Stage, ended: CommandResult, sent: int, *told: str) -> None:
    assert (ended.status, stage.requests()) == (2, sent), ended
    assert not (stage.folder / "ran").exists()
    for text in told:
        assert text in ended.err


def give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)


@pytest.fixture
def told(stopped: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Told:
    """Runs a command in the stage's folder, and gives its status and what it told on stderr."""
    monkeypatch.chdir(stopped.folder)

    def tell(command: Sequence[str]) -> tuple[int, str]:
        capfd.readouterr()
        return execute(command), capfd.readouterr().err

    return tell


@OTHERS
def test_root_does_nothing_in_the_folder_of_another_user(stopped: Stage, told: Told) -> None:
    give(stopped.folder / ".undeploy", NOBODY)
    sent = stopped.requests()
    for command in READERS:
        status, said = told(command)

        assert (status, stopped.requests()) == (2, sent), command
        assert said.startswith(".undeploy belongs to nobody, and you are root. "), command
        assert f"UNDEPLOY_TRUST_STATE={stopped.folder / '.undeploy'}" in said
    assert not (stopped.folder / "ran").exists()


def test_a_folder_that_others_may_write_to_is_refused(stopped: Stage, told: Told) -> None:
    sent = stopped.requests()
    for mode in (0o770, 0o702):
        (stopped.folder / ".undeploy").chmod(mode)
        for command in READERS:
            status, said = told(command)

            assert (status, stopped.requests()) == (2, sent), command
            assert f"may be written to by others (mode 0{mode:o})" in said
    assert not (stopped.folder / "ran").exists()


def flaws(folder: RunFolder) -> list[str]:
    """What is said of a run's folder whose every place may, one after the other, be written to by others."""
    told = []
    for place in (folder.path.parent, folder.path, folder.journal, folder.plan, folder.path / "lock"):
        mode = place.stat().st_mode
        place.chmod(mode | 0o020)
        with pytest.raises(RunError, match="may be written to by others") as refusal:
            find_run(folder.path.parents[1], "latest").open()
        told.append(str(refusal.value).partition(" ")[0])
        place.chmod(mode)
    return told


def test_so_is_whatever_lies_in_it(stopped: Stage) -> None:
    run = RunFolder(stopped.run)

    assert flaws(run) == [str(run.path.parent), *(str(run.path / name) for name in ("", *NAMES))]


NAMES = ("journal.sqlite", "plan.yaml", "lock")


@OTHERS
def test_a_run_into_which_somebody_has_put_a_file_is_refused(stopped: Stage) -> None:
    for name in NAMES:
        os.chown(stopped.run / name, NOBODY, NOBODY)
        with pytest.raises(RunError, match=f"{name} belongs to nobody"):
            RunFolder(stopped.run).open()
        os.chown(stopped.run / name, 0, 0)


@OTHERS
def test_a_run_that_lies_elsewhere_is_looked_at_too(stopped: Stage, tmp_path: Path) -> None:
    moved = shutil.move(stopped.run, tmp_path / "theirs")
    give(Path(moved), NOBODY)
    sent = stopped.requests()

    refused(stopped, stopped.undeploy("resume", str(moved)), sent, "theirs belongs to nobody")
    trusting = stopped.undeploy("resume", str(moved), env={"UNDEPLOY_TRUST_STATE": str(moved)})
    assert trusting.status == 0, trusting


@OTHERS
def test_who_means_it_says_so_with_the_whole_path(stopped: Stage) -> None:
    state = stopped.folder / ".undeploy"
    give(state, NOBODY)
    sent = stopped.requests()
    for name in (".undeploy", f"{state}/runs"):
        ended = stopped.undeploy("resume", "latest", env={"UNDEPLOY_TRUST_STATE": name})
        refused(stopped, ended, sent, "UNDEPLOY_TRUST_STATE")
    ended = stopped.undeploy("resume", "latest", env={"UNDEPLOY_TRUST_STATE": f"{state}/"})

    assert ended.status == 0, ended
    assert stopped.requests() > sent


def by_another(stage: Stage, *command: str | Path) -> CommandResult:
    """Run the program as another user, with an interpreter that they may use."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = os.pathsep.join((stage.env["PYTHONPATH"], sysconfig.get_path("purelib")))
    for interpreter in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with suppress(OSError):
            done = subprocess.run(
                [interpreter, "-m", "orchestrator", *map(str, command)],
                cwd=stage.folder,
                env={**stage.env, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
            if "No module named" not in done.stderr:
                return CommandResult(done.returncode, done.stdout, done.stderr)
    pytest.skip("no interpreter with what the program needs that another user may use")


@OTHERS
def test_another_user_is_refused_what_is_roots_and_works_in_their_own(stopped: Stage) -> None:
    state = stopped.folder / "state"
    (stopped.run / "control").unlink(missing_ok=True)  # what a killed run leaves, and no file
    shutil.copytree(stopped.folder / ".undeploy", state)
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    stopped.folder.chmod(0o777)

    as_nobody = partial(by_another, stopped, "resume", "latest", "--state", state)
    sent = stopped.requests()
    theirs = as_nobody()
    refused(stopped, theirs, sent, "belongs to root, and you are nobody")
    give(state, NOBODY)
    for path in (state, *state.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    ended = as_nobody()

    assert ended.status == 0, ended


@OTHERS
def test_a_state_folder_that_is_a_link_is_judged_by_where_it_leads(stopped: Stage, tmp_path: Path) -> None:
    shutil.move(stopped.folder / ".undeploy", tmp_path / "elsewhere")
    (stopped.folder / ".undeploy").symlink_to(tmp_path / "elsewhere")
    assert stopped.undeploy("runs").status == 0
    give(tmp_path / "elsewhere", NOBODY)
    sent = stopped.requests()

    refused(stopped, stopped.undeploy("resume", "latest"), sent, "belongs to nobody")


def test_what_the_program_makes_is_its_users_alone_whatever_the_umask(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", preexec_fn=lambda: os.umask(0))
    again = stage.undeploy("runs", preexec_fn=lambda: os.umask(0))

    assert (ended.status, again.status) == (0, 0), (ended, again)
    for path in (stage.folder / ".undeploy", *(stage.folder / ".undeploy").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
