import ssl
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import pytest

from orchestrator.cli import COMMANDS, RUNNING, execute
from orchestrator.errors import (
    CredentialError,
    DiskError,
    JournalError,
    PlanError,
    Problem,
    RunError,
    UsageError,
)
from orchestrator.lanes.masking import KnownSecrets
from orchestrator.model.credentials import Secret
from tests.support.spelling import SPELLINGS


class Fails:
    """Stands in for a command's module: its command raises the given error."""

    def __init__(self, error: BaseException) -> None:
        @click.command("check")
        def command() -> None:
            raise error

        self.command = command


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    def run(error: BaseException) -> int:
        monkeypatch.setattr("orchestrator.cli.import_module", lambda _: Fails(error))
        return execute(["run"])

    return run


PROBLEM = Problem(file="p.yaml", line=3, column=5, path="waves", message="no wave", hint="add one")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no"), 2),
        (PlanError((PROBLEM,)), 2),
        (CredentialError("no"), 2),
        (RunError("no"), 2),
        (JournalError("no"), 2),
        (click.BadParameter("no"), 2),
        (click.FileError("x"), 2),
        (DiskError("no"), 4),
        (KeyboardInterrupt(), 130),
        (RuntimeError("no"), 3),
        (BrokenPipeError(), 0),
    ],
)
def test_each_error_has_its_status(
    failing: Callable[[BaseException], int],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
) -> None:
    monkeypatch.setattr("orchestrator.commands.terminal.output.discard_stdout", lambda: None)

    assert failing(error) == status


def test_a_file_for_the_keys_of_tls_that_cannot_be_written_is_no_bug(
    failing: Callable[[BaseException], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    with pytest.raises(OSError, match="keys") as met:
        ssl.create_default_context()

    assert failing(met.value) == 2
    assert "SSLKEYLOGFILE names a file that cannot be written" in capsys.readouterr().err
    monkeypatch.delenv("SSLKEYLOGFILE")
    assert failing(met.value) == 3


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - RUNNING))
def test_no_disk_stops_a_command_that_has_no_run_to_go_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr("orchestrator.cli.import_module", lambda _: Fails(DiskError("disk full")))

    assert execute([command]) == 2
    assert capsys.readouterr().err == "disk full\n"


def test_a_problem_is_told_with_its_place_and_its_hint(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(PlanError((PROBLEM, PROBLEM)))

    told = capsys.readouterr()
    assert told.err.splitlines() == ["p.yaml:3:5 waves: no wave; add one"] * 2
    assert told.out == ""


def test_a_message_moves_no_cursor(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(UsageError("no \x1b[2J"))

    assert "\x1b" not in capsys.readouterr().err


RARE = pytest.mark.long("formats a traceback for each spelling")


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "spelling",
    [pytest.param(each, marks=[RARE] if number else []) for number, each in enumerate(SPELLINGS)],
)
def test_a_bug_shows_its_traceback_without_any_credential(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    secret = Secret("s3cr3t/t0ken=value")
    spelt = SPELLINGS[spelling](secret.reveal())
    failing(ValueError(f"invalid header: Bearer {spelt}"))

    told = capsys.readouterr().err
    assert "ValueError: invalid header: Bearer •••" in told
    assert spelt not in told
    assert "bug of ours" in told


@pytest.mark.promise(9)
def test_a_bug_shows_no_token_that_was_in_use_before(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but the mask of the run holds a token once another one has taken its place."""
    known = KnownSecrets()
    known.add(["a-token-that-was-renewed"])
    failing(ValueError("who is a-token-that-was-renewed?"))

    assert "ValueError: who is •••?" in capsys.readouterr().err
    assert known.mask.secrets


@pytest.mark.promise(9)
def test_a_bug_shows_no_password_of_a_proxy(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://svc:s3cr3t%23word@proxy.corp:3128")
    failing(ValueError("no way through http://svc:s3cr3t%23word@proxy.corp:3128, s3cr3t#word"))

    assert "no way through http://svc:•••@proxy.corp:3128, •••" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"), [("chek", "check"), ("rum", "run"), ("reprot", "report"), ("resme", "resume")]
)
def test_an_unknown_command_suggests_the_near_one(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([typed]) == 2
    assert f"There is no command {typed}. Did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("runs", "--prune", "--format", "json"), "--prune wants a value, and --format is an option"),
        (("run", "p.yaml", "--only", "--yes"), "--only wants a value, and --yes is an option"),
        (("preview", "p.yaml", "--save", "-h"), "--save wants a value, and -h is an option"),
        (("--state", "s", "remainder", "r", "-o", "--force"), "-o--force if that is meant"),
        (("run", "p.yaml", "--close-at", ""), "--close-at wants a value, and the one that it has is empty"),
        (("resume", "latest", "--window="), "--window wants a value, and the one that it has is empty"),
        (("discover", "--deployed-before", "", "--from", "p"), "--deployed-before wants a value"),
        (("preview", "p.yaml", "--usage="), "--usage wants a value, and the one that it has is empty"),
    ],
)
def test_an_option_is_no_value_of_the_one_before_it(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be swallowed: a pattern or a file of its name, and nobody would have said yes.

    An empty value is that of a variable which is not set: a run without its end, a search without its bound.
    """
    assert execute(arguments) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert told in shown
    assert f"Usage: undeploy {next(word for word in arguments if word in COMMANDS)}" in shown


def test_an_empty_state_folder_before_the_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--state", "", "runs"]) == 2
    assert "--state wants a value, and the one that it has is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["preview", "discover"])
def test_a_value_that_may_be_left_out_is_left_out_before_another_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, source = ("--usage", ()) if name == "preview" else ("--unused", ("--from",))

    assert execute([name, option, "--quiet", *source, "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["--nonsense"], ["run"], ["check", "a", "b"], ["report", "x", "--format", "pdf"]]
)
def test_a_command_line_that_makes_no_sense_is_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(arguments) == 2
    told = capsys.readouterr()
    assert "Usage: undeploy" in told.err or "unexpected extra" in told.err
    assert told.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = import_module(f"orchestrator.commands.{name}").command

    assert command.name == name
    assert command.help.startswith(COMMANDS[name].rstrip("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_explains_itself(name: str) -> None:
    command: click.Command = import_module(f"orchestrator.commands.{name}").command
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]

    assert [option.name for option in options if not option.help] == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0

    told = capsys.readouterr().out
    assert [
        line.split()[0] for line in told.partition("Commands:\n")[2].split("\n\n")[0].splitlines()
    ] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_breaks_no_option_in_two(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click.formatting, "FORCED_WIDTH", 80)

    assert execute([name, "--help"]) == 0

    assert [line for line in capsys.readouterr().out.splitlines() if line.endswith("-")] == []


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.startswith("undeploy ")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["completion", shell]) == 0
    assert "_UNDEPLOY_COMPLETE" in capsys.readouterr().out


def test_a_process_with_temporal_s_threads_ends_without_taking_the_interpreter_down() -> None:
    """The threads of its library crash an interpreter that is taken down below them: status 134 or 139."""
    code = (
        "import atexit, sys; atexit.register(print, 'taken down'); sys.modules['temporalio'] = sys;"
        "from orchestrator.cli import main; main(['--version'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (ended.returncode, "taken down" in ended.stdout) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "p.yaml", "--targets-from", "more"), "cannot read the list of targets more"),
        (("run", "nowhere.yaml", "--only", "plan"), "nowhere.yaml"),
        (("resume", "nowhere", "--events", "run"), "nowhere"),
    ],
)
def test_a_value_may_be_called_like_an_argument(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``more`` is a file here; it is also what `run` calls its further ids."""
    assert execute(arguments) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert "is an option" not in shown
