"""A fork of the imported program is to the tests what a program that was started is."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import ROOT, ForkedProgram, start_program

pytestmark = pytest.mark.source

PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)


def start(folder: Path, code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OWN": "its own"}
    return start_program(arguments, folder=folder, env=env, code=f"import os, signal, sys\n{code}", **options)


def test_it_has_its_own_arguments_folder_environment_and_streams(tmp_path: Path) -> None:
    tell = "print(sys.argv[1:], os.environ['OWN'], sys.stdin.read()); print(os.getcwd(), file=sys.stderr)"
    with start(tmp_path, tell, "a", "b c", **PIPES) as fork:
        out, err = fork.communicate("said", timeout=30)

    assert isinstance(fork, ForkedProgram)
    assert (out, err, fork.returncode) == ("['a', 'b c'] its own said\n", f"{tmp_path}\n", 0)


@pytest.mark.parametrize(
    ("code", "status"),
    [("sys.exit(4)", 4), ("os._exit(5)", 5), ("os.kill(os.getpid(), signal.SIGKILL)", -9), ("1 / 0", 1)],
)
def test_its_status_is_told(tmp_path: Path, code: str, status: int) -> None:
    with start(tmp_path, code, stderr=subprocess.DEVNULL) as fork:
        assert fork.wait(timeout=30) == status
    fork.kill()  # nothing is left that could be killed
    assert fork.poll() == status


def test_it_takes_signals_and_holds_no_stream_of_another_one(tmp_path: Path) -> None:
    wait = "print(signal.getsignal(signal.SIGINT).__name__, sorted(os.listdir('/proc/self/fd')), flush=True)"
    with (
        start(tmp_path, f"{wait}\nsignal.pause()", **PIPES) as first,
        start(
            tmp_path, f"{wait}\nsignal.pause()", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as second,
    ):
        for each in (first, second):
            assert each.stdout
            # The last one is that of the listing.
            assert each.stdout.readline() == "default_int_handler ['0', '1', '2', '3']\n"
            with pytest.raises(subprocess.TimeoutExpired):
                each.wait(timeout=0)
            with pytest.raises(subprocess.TimeoutExpired):
                each.communicate(timeout=0.01)
            each.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=30)
        assert (out, err.splitlines()[-1], first.returncode) == ("", "KeyboardInterrupt", -2)
        out, err = second.communicate(timeout=30)
        assert (out.splitlines()[-1], err, second.returncode) == ("KeyboardInterrupt", None, -2)


@pytest.mark.parametrize("option", [{"preexec_fn": lambda: None}, {"env": "PYTHONUTF8"}])
def test_what_asks_for_an_interpreter_of_its_own_gets_one(tmp_path: Path, option: dict[str, Any]) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), option.pop("env", "OWN"): "1"}
    code = "import os; print(os.getppid())"
    with start_program([], folder=tmp_path, env=env, code=code, stdout=subprocess.PIPE, **option) as process:
        out, _ = process.communicate(timeout=30)

    assert not isinstance(process, ForkedProgram)
    assert out == f"{os.getpid()}\n"
