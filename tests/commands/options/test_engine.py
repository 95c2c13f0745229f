"""The options about a distributed engine: what they mean together, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from shlex import quote, split

import pytest

from orchestrator.commands.options.engine import EngineOptions, make_conductor, reach_conductor
from orchestrator.errors import CredentialError, UsageError

NONE = EngineOptions(
    on=None, tls=False, tls_ca=None, tls_cert=None, tls_key=None, tls_server_name=None, api_key=None
)
ON = NONE._replace(on="temporal://localhost")


def test_without_an_engine_there_is_none() -> None:
    assert NONE.find() is None


def test_an_engine_is_reached_without_encryption_unless_it_is_asked_for() -> None:
    found = ON.find()

    assert found is not None
    assert (found.url, found.tls, found.api_key) == ("temporal://localhost:7233/default", None, None)
    assert found.list_words() == "--on temporal://localhost:7233/default"


def test_each_option_about_certificates_asks_for_encryption(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    here = quote(str(tmp_path))
    for more, words in (
        ({"tls": True}, "--tls"),
        ({"tls_ca": Path("ca.pem")}, f"--tls-ca {here}/ca.pem"),
        (
            {"tls_cert": Path("c.pem"), "tls_key": Path("/k.pem")},
            f"--tls-cert {here}/c.pem --tls-key /k.pem",
        ),
        ({"tls_server_name": "temporal"}, "--tls-server-name temporal"),
    ):
        found = ON._replace(**more).read()
        assert found.tls is not None, more
        assert found.list_words() == f"--on {found.url} {words}"


def test_an_api_key_is_a_reference_and_travels_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_KEY", "a-key-of-the-server")

    found = ON._replace(api_key="env:TEMPORAL_KEY").read()

    assert (found.tls is not None, found.revealed_key) == (True, "a-key-of-the-server")
    assert "a-key" not in found.list_words() + repr(found)
    assert found.list_words() == f"--on {found.url} --api-key env:TEMPORAL_KEY"
    spaced = ON._replace(tls_ca=Path("our ca.pem")).read()
    assert spaced.list_words() == f"--on {found.url} --tls-ca '{Path.cwd()}/our ca.pem'"
    with pytest.raises(UsageError, match="neither env:NAME nor file:PATH") as caught:
        ON._replace(api_key="a-key-of-the-server").read()
    assert "a-key" not in str(caught.value)
    with pytest.raises(CredentialError, match="--api-key"):
        ON._replace(api_key="env:NOT_SET_HERE").read()


def test_an_advised_command_names_the_file_of_a_key_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The advice may be followed in another folder, much later."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("a-key-of-the-server")

    found = ON._replace(on="temporal://[::1]", api_key="file:key").read()

    assert split(found.list_words()) == ["--on", found.url, "--api-key", f"file:{tmp_path}/key"]
    assert "'temporal://[::1]:7233/default'" in found.list_words()  # zsh takes brackets for a pattern


def test_the_conductor_knows_with_which_options_it_is_reached() -> None:
    conductor = make_conductor(ON._replace(tls_server_name="temporal"))

    assert conductor is not None
    assert conductor.options == f"--on {conductor.address} --tls-server-name temporal"
    assert reach_conductor(NONE._replace(tls=True), "temporal://other").options.endswith("/default --tls")


def test_what_is_about_an_engine_wants_one() -> None:
    for name, value in {"tls": True, "tls_server_name": "x", "api_key": "env:X"}.items():
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is about a distributed engine"):
            NONE._replace(**{name: value}).find()


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(UsageError, match=r"undeploy-orchestrator\[temporal\]"):
        ON.read()
