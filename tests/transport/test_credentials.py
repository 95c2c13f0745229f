"""References to secrets: what they give, and that no message repeats it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orchestrator.errors import CredentialError
from orchestrator.model.credentials import AccessKeys, LoginPassword, Secret
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, ManagerLogin
from orchestrator.transport.credentials import LARGEST, find_short_secrets, resolve
from tests.support.engine import gateway

SECRET = "marker-5f1c-marker"


def read(folder: Path, **reference: Any) -> str:
    found = resolve(gateway(auth=Auth(token=CredentialReference(**reference))), folder)
    assert isinstance(found, Secret)
    return found.reveal()


def complaint(folder: Path, auth: Auth | None = None, **reference: Any) -> str:
    with pytest.raises(CredentialError) as caught:
        resolve(gateway(auth=auth or Auth(token=CredentialReference(**reference))), folder)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_the_environment_is_read_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKED", "first")
    assert read(tmp_path, env="MARKED") == "first"
    monkeypatch.setenv("MARKED", "second")
    assert read(tmp_path, env="MARKED") == "second"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_break_at_a_file_s_end_is_not_part_of_the_token(tmp_path: Path, end: str) -> None:
    (tmp_path / "token").write_bytes(f"{SECRET}{end}".encode())

    assert read(tmp_path, file="token") == SECRET
    assert read(Path("/"), file=str(tmp_path / "token")) == SECRET


def test_a_file_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text(SECRET)

    assert read(Path("/nowhere"), file="~/token") == SECRET


def test_a_missing_secret_is_named_by_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKED", raising=False)

    assert complaint(tmp_path, env="MARKED") == (
        "gateway gw: the token {env: MARKED} is not set in the environment"
    )
    assert complaint(tmp_path, file="gone") == (
        "gateway gw: the token {file: gone} cannot be read: No such file or directory"
    )
    assert "Is a directory" in complaint(tmp_path, file=".")
    assert "home folder" in complaint(tmp_path, file="~nobody-of-this-name/token")


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "text",
    [
        f"{SECRET} ",
        f"{SECRET}\n{SECRET}",
        f"{SECRET}\n\n",
        f"{SECRET}\n\r\n",
        f"{SECRET}\r",
        f"\n{SECRET}",
        f"{SECRET}ü",
        f"\ufeff{SECRET}",
        f"\t{SECRET}",
        f"{SECRET}\x7f",
    ],
)
def test_a_secret_that_no_header_can_carry_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MARKED", text)
    (tmp_path / "token").write_bytes(text.encode())

    for reference in ({"env": "MARKED"}, {"file": "token"}, {"command": ("cat", "token")}):
        assert complaint(tmp_path, **reference).endswith("another character that no header can carry")


@pytest.mark.promise(9)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_in_the_environment_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("MARKED", f"{SECRET}{end}")

    assert "holds a space, a line break" in complaint(tmp_path, env="MARKED")


def test_an_empty_credential_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKED", "")
    (tmp_path / "token").write_text("\n")

    assert complaint(tmp_path, env="MARKED").endswith(" is empty")
    assert complaint(tmp_path, file="token").endswith(" is empty")


@pytest.mark.promise(9)
def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(SECRET.encode() + b"\xff")
    (tmp_path / "large").write_bytes(SECRET.encode() * (LARGEST // 8))

    assert complaint(tmp_path, file="binary").endswith("is not text in UTF-8")
    assert "is larger than 65536 bytes" in complaint(tmp_path, file="large")


@pytest.mark.promise(9)
def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    assert "is not a regular file" in complaint(tmp_path, file="/dev/zero")


def program(folder: Path, text: str, name: str = "print-token") -> str:
    """Write an executable shell script; return how a plan beside it names it."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return f"./{name}"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_command_prints_the_token_with_or_without_a_line_break(tmp_path: Path, end: str) -> None:
    (tmp_path / "kept").write_bytes(f"{SECRET}{end}".encode())

    assert read(tmp_path, command=("cat", "kept")) == SECRET


def test_a_command_is_run_in_the_plan_s_folder_and_named_from_there(tmp_path: Path) -> None:
    name = program(tmp_path, 'basename "$PWD"')

    assert read(tmp_path, command=(name,)) == tmp_path.name


def test_a_command_is_run_anew_each_time(tmp_path: Path) -> None:
    name = program(tmp_path, "echo x >> count; wc -l < count | tr -d ' '")

    assert [read(tmp_path, command=(name,)) for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(
    "argument", ["$(touch${IFS}made)", ";touch${IFS}made", "`touch${IFS}made`", "*", "$HOME", "~"]
)
def test_no_shell_reads_a_command_s_arguments(tmp_path: Path, argument: str) -> None:
    assert read(tmp_path, command=("printf", "%s", argument)) == argument
    assert not (tmp_path / "made").exists()


def test_a_command_has_no_input_to_wait_for(tmp_path: Path) -> None:
    assert complaint(tmp_path, command=("cat",)).endswith("the token {command: cat …} is empty")


@pytest.mark.promise(9)
def test_a_failed_command_is_named_without_its_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = program(tmp_path, f"echo {SECRET}; echo {SECRET} >&2; exit 3")

    assert complaint(tmp_path, command=(name, SECRET)) == (
        "gateway gw: the token {command: ./print-token …} ended with status 3; run it by hand to see why"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.promise(9)
def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.transport.credentials.COMMAND_TIMEOUT", 0.2)
    printing = program(tmp_path, f"echo {SECRET}; echo $$ > pid; exec sleep 50")
    silent = program(tmp_path, f"echo {SECRET}; exec >&-; exec sleep 50", "silent")

    told = complaint(tmp_path, command=(printing,))

    assert told.endswith("{command: ./print-token …} has not ended within 0.2 seconds")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert "has not ended within" in complaint(tmp_path, command=(silent,))


@pytest.mark.promise(9)
def test_a_command_that_prints_no_text_or_far_too_much_is_told(tmp_path: Path) -> None:
    endless = program(tmp_path, f"while :; do echo {SECRET}; done")
    (tmp_path / "binary").write_bytes(SECRET.encode() + b"\xff")

    assert "printed more than 65536 bytes" in complaint(tmp_path, command=(endless,))
    assert complaint(tmp_path, command=("cat", "binary")).endswith("did not print text in UTF-8")


def test_a_command_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo x")

    assert complaint(tmp_path, command=("no-such-program-here",)).endswith(
        "{command: no-such-program-here …} cannot be started: No such file or directory"
    )
    assert complaint(tmp_path, command=("./plain",)).endswith("cannot be started: Permission denied")


class LockedError(Exception):
    """What a keyring raises; its text may hold anything."""


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in place of the package, which reads these entries."""
    kept: dict[tuple[str, str], str] = {}

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise LockedError(SECRET)
        if service == "away":
            raise ConnectionError(SECRET)
        return kept.get((service, user))

    package = ModuleType("keyring")
    vars(package).update(get_password=get_password)
    monkeypatch.setitem(sys.modules, "keyring", package)
    return kept


def test_a_keyring_s_entry_is_read_by_service_and_user(
    tmp_path: Path, entries: dict[tuple[str, str], str]
) -> None:
    entries["roma", "me"] = "one"
    entries["https://apim/x", "me@example.com"] = "two"

    assert read(tmp_path, keyring="roma/me") == "one"
    assert read(tmp_path, keyring="https://apim/x/me@example.com") == "two"


@pytest.mark.promise(9)
def test_a_keyring_that_gives_nothing_is_told(tmp_path: Path, entries: dict[tuple[str, str], str]) -> None:
    entries["roma", "empty"] = ""
    entries["roma", "line"] = f"{SECRET}\n"

    assert complaint(tmp_path, keyring="roma/me") == (
        "gateway gw: the token {keyring: roma/me} is not in the keyring"
    )
    assert complaint(tmp_path, keyring="locked/me").endswith(
        "{keyring: locked/me} cannot be read: LockedError"
    )
    # A backend may raise what its own library does: one that talks to another process, for instance.
    assert complaint(tmp_path, keyring="away/me").endswith(
        "{keyring: away/me} cannot be read: ConnectionError"
    )
    assert complaint(tmp_path, keyring="roma/empty").endswith("{keyring: roma/empty} is empty")
    assert complaint(tmp_path, keyring="roma/line").endswith("another character that no header can carry")


def test_a_keyring_without_its_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert complaint(tmp_path, keyring="roma/me").endswith(
        "{keyring: roma/me} needs the package keyring: pip install 'undeploy-orchestrator[keyring]'"
    )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with an access key, its secret key, a security token and a password."""
    for name, text in {"AK": "ak", "SK": SECRET, "ST": f"{SECRET}-2", "PW": f"{SECRET} ü ş"}.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


IAM = Auth(
    iam=IamLogin(url="https://iam.example", user="u", domain="d", password=CredentialReference(env="PW"))
)
LOGIN = Auth(login=ManagerLogin(user="u", password=CredentialReference(env="PW")))
PAIR = Auth(access_key=CredentialReference(env="AK"), secret_key=CredentialReference(env="SK"))
TEMPORARY = Auth(
    access_key=CredentialReference(env="AK"),
    secret_key=CredentialReference(env="SK"),
    security_token=CredentialReference(env="ST"),
)


@pytest.mark.usefixtures("given")
def test_each_way_to_log_in_resolves_to_its_own_material(tmp_path: Path) -> None:
    password = LoginPassword(Secret(f"{SECRET} ü ş"))

    assert resolve(gateway(auth=IAM), tmp_path) == password
    assert resolve(gateway(auth=LOGIN), tmp_path) == password
    assert resolve(gateway(auth=PAIR), tmp_path) == AccessKeys(Secret("ak"), Secret(SECRET))
    assert resolve(gateway(auth=TEMPORARY), tmp_path) == AccessKeys(
        Secret("ak"), Secret(SECRET), Secret(f"{SECRET}-2")
    )


@pytest.mark.promise(9)
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("auth", [IAM, LOGIN, PAIR, TEMPORARY], ids=["iam", "login", "pair", "temporary"])
def test_no_material_prints_its_secret(tmp_path: Path, auth: Auth) -> None:
    found = resolve(gateway(auth=auth), tmp_path)

    assert not any(SECRET in text for text in (repr(found), str(found), f"{found}"))


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("name", "key"), [("AK", "access_key"), ("SK", "secret_key"), ("ST", "security_token")]
)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "is not set in the environment"),
        ("", "is empty"),
        (f"{SECRET}\n", "holds a space, a line break or another character that no header can carry"),
        (f"{SECRET} ", "holds a space, a line break or another character that no header can carry"),
    ],
)
def test_a_key_that_could_only_lock_the_account_is_refused(
    tmp_path: Path, given: pytest.MonkeyPatch, name: str, key: str, text: str | None, told: str
) -> None:
    given.delenv(name)
    if text is not None:
        given.setenv(name, text)

    assert complaint(tmp_path, TEMPORARY) == f"gateway gw: the {key} {{env: {name}}} {told}"


@pytest.mark.promise(9)
@pytest.mark.parametrize("auth", [IAM, LOGIN], ids=["iam", "login"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        (f"{SECRET}\n", "holds a line break or another control character"),
        (f"{SECRET}\x07", "holds a line break or another control character"),
        (f"{SECRET}\u2028", "holds a line break or another control character"),
    ],
)
def test_a_password_that_cannot_be_typed_is_refused(
    tmp_path: Path, given: pytest.MonkeyPatch, auth: Auth, text: str, told: str
) -> None:
    given.setenv("PW", text)

    assert complaint(tmp_path, auth) == f"gateway gw: the password {{env: PW}} {told}"


@pytest.mark.promise(9)
def test_bytes_of_the_environment_that_are_no_text_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKED", f"{SECRET}\udcff")
    password = Auth(login=ManagerLogin(user="u", password=CredentialReference(env="MARKED")))

    assert "no header can carry" in complaint(tmp_path, env="MARKED")
    assert "control character" in complaint(tmp_path, password)


def test_an_auth_without_any_way_in_is_told(tmp_path: Path) -> None:
    assert complaint(tmp_path, Auth()) == "gateway gw: auth names no credential"


@pytest.mark.parametrize(("text", "short"), [("1234567", True), ("12345678", False), (None, False)])
def test_a_short_credential_is_seen_without_resolving_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, short: bool
) -> None:
    variable, file = CredentialReference(env="MARKED"), CredentialReference(file="marked")
    program = CredentialReference(command=("touch", str(tmp_path / "was-run")))
    if text is not None:
        monkeypatch.setenv("MARKED", text)
        (tmp_path / "marked").write_text(text)

    def seen(**auth: Any) -> tuple[CredentialReference, ...]:
        return find_short_secrets(gateway(auth=Auth(**auth)), tmp_path)

    assert seen(token=variable) == ((variable,) if short else ())
    assert seen(login=ManagerLogin(user="me", password=file)) == ((file,) if short else ())
    assert seen(access_key=variable, secret_key=program) == ()
    assert not (tmp_path / "was-run").exists()


def test_a_pipe_shows_no_length_and_counts_as_long_enough(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reference = CredentialReference(file="pipe")

    assert find_short_secrets(gateway(auth=Auth(token=reference)), tmp_path) == ()
