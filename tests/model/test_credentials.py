"""No form of printing shows a secret."""

from __future__ import annotations

import copy
import pickle
from traceback import TracebackException

import msgspec
import pytest

from orchestrator.model.credentials import Secret
from orchestrator.model.http import Request

TEXT = "marker-5f1c-marker"


@pytest.mark.promise(9)
def test_a_secret_shows_in_no_form_of_print() -> None:
    secret = Secret(TEXT)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        f"{[secret]}",
    ]

    assert set(shown) == {"•••", "[•••]"}
    assert secret.reveal() == TEXT


@pytest.mark.promise(9)
def test_a_secret_is_stored_nowhere() -> None:
    secret = Secret(TEXT)
    for store in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode):
        with pytest.raises(TypeError) as caught:
            store(secret)
        assert TEXT not in str(caught.value)


@pytest.mark.promise(9)
def test_a_traceback_with_its_variables_tells_no_secret() -> None:
    def sign(secret: Secret, request: Request) -> None:
        raise ValueError("no")

    try:
        sign(Secret(TEXT), Request("POST", "https://gw.example", {"X-Auth-Token": TEXT}, TEXT.encode()))
    except ValueError as error:
        told = "".join(TracebackException.from_exception(error, capture_locals=True).format())

    assert "•••" in told
    assert "Request(POST https://gw.example)" in told
    assert TEXT not in told


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
