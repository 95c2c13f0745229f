"""What every vendor's reply may hold."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.gateways.envelope import first_text, json_object, seconds, wait_asked, whole_number
from orchestrator.wire import Reply

ARRIVED = 1795384800.0  # Sun, 22 Nov 2026 22:00:00 GMT


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("5", 5.0),
        (" 1.5 ", 1.5),
        ("99999999", 99999999.0),
        ("Sun, 22 Nov 2026 22:00:30 GMT", 30.0),
        ("Sunday, 22-Nov-26 22:00:30 GMT", 30.0),
        ("Sun Nov 22 22:00:30 2026", 30.0),
    ],
)
def test_a_wait_is_read_in_every_form_that_http_has(asked: str, wait: float) -> None:
    assert wait_asked(Reply(503, {"retry-after": asked}, b"", ARRIVED)) == wait


@pytest.mark.parametrize(
    "asked", ["", "0", "-1", "soon", "\u0665", "1e3", "9" * 400, "Sun, 22 Nov 2026 21:59:59 GMT"]
)
def test_a_wait_that_cannot_be_kept_is_none_and_never_zero(asked: str) -> None:
    assert wait_asked(Reply(503, {"retry-after": asked}, b"", ARRIVED)) is None


def test_no_header_asks_for_nothing() -> None:
    assert wait_asked(Reply(503, {}, b"", ARRIVED)) is None


@pytest.mark.parametrize("value", [True, None, [], "x", 0, -3, float("inf"), 10**400])
def test_what_is_no_wait_is_none(value: object) -> None:
    assert seconds(value) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"true"',
        b"null",
        b"<html>",
        b'{"a": 1',
        b'{"a": "\xff"}',
        b'{"a":' * 9000,
        b"\xff\xfe{\x00",
    ],
)
def test_only_a_whole_json_object_is_one(body: bytes) -> None:
    assert json_object(body) is None


def test_a_byte_order_mark_does_no_harm() -> None:
    assert json_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("value", "number"), [(4, 4), (0, 0), (True, None), (4.0, None), ("4", None), (None, None)]
)
def test_a_whole_number_is_written_as_one(value: object, number: int | None) -> None:
    assert whole_number(value) == number


def test_the_first_text_with_something_in_it_is_taken() -> None:
    fields: dict[str, Any] = {"a": None, "b": "  ", "c": 5, "d": "text", "e": "later"}

    assert first_text(fields, "a", "b", "c", "d", "e") == "text"
    assert first_text(fields, "a") is None
