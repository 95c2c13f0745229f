"""Runs each test that sends something with either client."""

import inspect

import pytest

from orchestrator.transport import client

FALLBACK = pytest.mark.long("the same once more through the fall-back, which few systems ever need")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every asynchronous test both clients in turn, unless it names its own."""
    named = [
        mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "client_name"
    ]
    if inspect.iscoroutinefunction(metafunc.function) and not named:
        metafunc.parametrize(
            "client_name", ["exchange", pytest.param("session", marks=FALLBACK)], indirect=True
        )


@pytest.fixture(autouse=True)
def client_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The name of the client that sends; None in a test that sends nothing."""
    name: str | None = getattr(request, "param", None)
    if name is not None:
        monkeypatch.setattr(client, "choose_client", lambda: name)
    return name
