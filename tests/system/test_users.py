"""Who works here, by the environment and by the system."""

from __future__ import annotations

import getpass
import os
import pwd

import pytest

from orchestrator.system.users import find_login_name, find_user_name


def test_the_environment_names_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ops")

    assert find_login_name() == "ops"


def test_a_name_in_another_character_set_is_a_text_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"J\xfcrgen"))
    entry = pwd.getpwuid(0)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd((os.fsdecode(b"J\xfcrgen"), *entry[1:])))

    assert find_login_name() == find_user_name(0) == r"J\udcfcrgen"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_person_without_a_name_is_none(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)

    assert find_login_name() is None


def test_the_system_names_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_user_name(0) == pwd.getpwuid(0).pw_name

    def fail(_user: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", fail)

    assert find_user_name(12345) is None
