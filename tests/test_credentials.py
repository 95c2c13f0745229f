"""References to secrets: what they give, and that no message repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import gateway

from orchestrator.credentials import LARGEST, resolve
from orchestrator.errors import CredentialError
from orchestrator.model import Auth, Reference

SECRET = "marker-5f1c-marker"


def read(folder: Path, **reference: str) -> str:
    return resolve(gateway(auth=Auth(token=Reference(**reference))), folder).reveal()


def complaint(folder: Path, **reference: str) -> str:
    with pytest.raises(CredentialError) as caught:
        read(folder, **reference)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_the_environment_is_read_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKED", "first")
    assert read(tmp_path, env="MARKED") == "first"
    monkeypatch.setenv("MARKED", "second")
    assert read(tmp_path, env="MARKED") == "second"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_line_break_at_a_file_s_end_is_not_part_of_the_token(tmp_path: Path, end: str) -> None:
    (tmp_path / "token").write_bytes(f"{SECRET}{end}".encode())

    assert read(tmp_path, file="token") == SECRET
    assert read(Path("/"), file=str(tmp_path / "token")) == SECRET


def test_a_file_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text(SECRET)

    assert read(Path("/nowhere"), file="~/token") == SECRET


def test_what_is_not_there_is_told_by_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    "text", [f"{SECRET} ", f"{SECRET}\n{SECRET}", f"{SECRET}ü", f"\t{SECRET}", f"{SECRET}\x7f"]
)
def test_what_no_header_can_carry_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")

    assert complaint(tmp_path, file="token").endswith("another character that no header can carry")


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
