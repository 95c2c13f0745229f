"""What every vendor's reply may hold."""

from __future__ import annotations

import time
from typing import Any

import pytest

from orchestrator.gateways.envelope import (
    as_whole_number,
    decode_text,
    describe_reply,
    find_text,
    find_wait,
    parse_object,
    parse_seconds,
)
from orchestrator.lanes.masking import Mask
from orchestrator.model.http import Reply

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
        # What servers send besides.
        ("Sun Nov 22 22:00:30 UTC 2026", 30.0),
        ("Sun, 22 Nov 2026 22:00:30 UTC", 30.0),
        ("Mon, 23 Nov 2026 01:00:30 +0300", 30.0),
        ("  sun, 22 nov 2026 22:00:30 gmt ", 30.0),
        ("2026-11-22T22:00:30Z", 30.0),
        ("2026-11-23T01:00:30+03:00", 30.0),
        ("1795384830", 30.0),
        ("1s", 1.0),
        ("1 second", 1.0),
        ("30 Seconds.", 30.0),
        ("500ms", 0.5),
        ("2 minutes", 120.0),
        ("+7", 7.0),
        ('"7"', 7.0),
        ("3, 9", 9.0),
        ("Sun, 22 Nov 2026 22:00:30 GMT, 5", 30.0),
        ("soon, 5", 5.0),
    ],
)
def test_a_wait_is_read_in_every_form_that_servers_send(asked: str, wait: float) -> None:
    assert find_wait(Reply(503, {"retry-after": asked}, b"", ARRIVED)) == wait


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "0",
        "0.0",
        "-1",
        "-5 seconds",
        "soon",
        "\u0665",
        "1e3",
        "9" * 400,
        "inf",
        "nan",
        ",",
        "Sun, 22 Nov 2026 21:59:59 GMT",
        "Sun, 99 Nov 2026 99:99:99 GMT",
        "Sun, 22 Nov 99999999999 22:00:30 GMT",
        "Mon, 23 Nov 2026 01:00:30 TRT",
        "Mon, 23 Nov 2026 01:00:30 +99999999",
        "2026-11-22T22:00:30",
        "GMT",
    ],
)
def test_a_wait_that_cannot_be_kept_is_none_and_never_zero(asked: str) -> None:
    assert find_wait(Reply(503, {"retry-after": asked}, b"", ARRIVED)) is None


def test_a_date_is_measured_by_the_clock_that_made_it() -> None:
    """The server's clock is five minutes slow: what it calls in 30 s is long gone by ours."""
    headers = {"retry-after": "Sun, 22 Nov 2026 21:55:30 GMT", "date": "Sun, 22 Nov 2026 21:55:00 GMT"}

    assert find_wait(Reply(429, headers, b"", ARRIVED)) == 30.0
    assert find_wait(Reply(429, headers | {"date": "today"}, b"", ARRIVED)) is None


def test_no_header_asks_for_nothing() -> None:
    assert find_wait(Reply(503, {}, b"", ARRIVED)) is None


@pytest.mark.parametrize("value", [True, None, [], "x", 0, -3, float("inf"), 10**400])
def test_what_is_no_wait_is_none(value: object) -> None:
    assert parse_seconds(value) is None


def said(body: bytes, kind: str = "application/json", status: int = 404) -> Reply:
    return Reply(status, {"content-type": kind}, body, ARRIVED)


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"[]",
        b'"true"',
        b"null",
        b"<html>",
        b'{"a": 1',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' * 9000,
        b"[" * 100_000,
        b"\xff\xfe{\x00",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_only_a_whole_json_object_is_one_and_nothing_is_raised(body: bytes, status: int) -> None:
    assert parse_object(said(body, status=status)) is None


WORDS = "Müşteri ğİ bulunamadi"


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        ("utf-8", "application/json"),
        ("utf-8", "application/json;charset=ISO-8859-1"),
        ("utf-8-sig", "application/json;charset=UTF-8"),
        ("iso-8859-9", "application/json;charset=ISO-8859-9"),
        ("iso-8859-9", 'text/plain; Charset = "latin5"'),
        ("cp1254", "application/json; charset='windows-1254'"),
        ("utf-16", "application/json"),
        ("utf-16-le", "application/json;charset=utf-16"),
        ("utf-16-be", ""),
        ("utf-32", "application/json;charset=ISO-8859-9"),
        ("utf-32-be", ""),
    ],
)
def test_a_body_is_read_by_its_character_set(codec: str, kind: str) -> None:
    """Of two that contradict each other the bytes are believed, where they can be only one of them."""
    body = f'{{"error": "{WORDS}"}}'.encode(codec)

    assert parse_object(said(body, kind)) == {"error": WORDS}


@pytest.mark.promise(10)
def test_no_header_takes_long_to_read() -> None:
    """While a reply is read nothing else goes on: no timeout ends it, and no interrupt."""
    began = time.process_time()
    for filler in (" ", "charset=", 'charset ="  '):
        decode_text(said(b"\xff", f"text/html; charset={filler * 60_000}!"))
    assert time.process_time() - began < 10


@pytest.mark.promise(10)
def test_no_address_of_a_redirect_takes_long_to_read() -> None:
    began = time.process_time()
    headers = {"location": "https://a" + "\u0301\u0316" * 60_000}
    assert describe_reply(Reply(302, headers, b"", ARRIVED)) == "HTTP 302 to an overlong address"
    assert time.process_time() - began < 10


@pytest.mark.parametrize("named", ["", "x-unheard-of", "rot13", "unicode_escape", "hex", "utf-8", "utf-7"])
def test_letters_that_cannot_be_decoded_leave_the_rest_readable(named: str) -> None:
    found = parse_object(
        said(b'{"error": "M\xfc\xfeteri is \\u0022gone\\u0022"}', f"text/html; charset={named}")
    )

    assert found == {"error": 'M\ufffd\ufffdteri is "gone"'}


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ud83d\ud83d", r"\ude00\ud83d"])
def test_half_a_surrogate_pair_leaves_the_rest_readable(half: str, status: int) -> None:
    """A server that cuts a text at a length may cut between the two."""
    whole = r"\ud83d\ude00 \\ud83d"
    found = parse_object(said(f'{{"error": "{half}", "b": ["{whole}", 1e5]}}'.encode(), status=status))

    assert found is not None
    assert set(found["error"]) == {"\ufffd"}
    assert found["b"] == ["\U0001f600 \\ud83d", 1e5]
    for broken in (
        rb'{"a": "\ud83d", "b": NaN}',
        rb'{"a": "\ud83d"',
        rb'{"a": "\ud83d", "b": ' + b"[" * 100_000,
    ):
        assert parse_object(said(broken, status=status)) is None


@pytest.mark.promise(3)
def test_a_success_that_says_a_thing_twice_and_not_the_same_says_nothing() -> None:
    body = b'{"row": {"success": false, "success": true}}'

    assert parse_object(said(body, status=200)) is None
    assert parse_object(said(body, status=404)) == {"row": {"success": True}}
    for once in (b'{"a": 1, "a": 1}', b'{"a": "x:y", "b": [{"a": 1}, {"a": 2}]}', b'{"a": %d}' % 10**30):
        assert parse_object(said(once, status=200)) == parse_object(said(once))
        assert parse_object(said(once)) is not None
    for twice in (
        rb'{"a": "\ud83d", "a": 1}',
        b'{"a": 1, "a": true}',
        b'{"a": "\\u003a", "a": 1}',
        b'{"a": "\\u003A", "\\u0061": 1}',
    ):
        assert parse_object(said(twice, status=200)) is None


@pytest.mark.promise(10)
def test_a_key_that_is_written_twice_at_each_level_of_a_deep_body_takes_no_longer_than_at_one() -> None:
    """While a body is read, the program hears neither another gateway nor an interrupt."""
    large = b"[%s]" % b",".join([b"1"] * 100_000)

    def measure(levels: int) -> float:
        body = b'{"a": 1, "a": 1, "b": ' * levels + large + b"}" * levels
        begun = time.process_time()
        assert parse_object(said(body, status=200)) is not None
        return time.process_time() - begun

    assert measure(400) < 40 * measure(1)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-32-be", "utf-8-sig"])
def test_the_nature_of_a_body_is_seen_in_any_character_set(codec: str) -> None:
    for text, told in (("<!DOCTYPE html><p>", "an HTML page"), ("{}", "JSON"), ("gone", "plain text")):
        assert describe_reply(said(text.encode(codec), status=502)).startswith(f"HTTP 502, {told}")
    assert describe_reply(said(b"  ", status=503)) == "HTTP 503 without a body"


@pytest.mark.parametrize(
    ("status", "location", "told"),
    [
        (302, "https://sso.example.com/login?token=M4rk3r", "HTTP 302 to sso.example.com"),
        (307, "http://user:M4rk3r@sso.example.com:8080/", "HTTP 307 to sso.example.com"),
        (302, "//sso.example.com/x", "HTTP 302 to sso.example.com"),
        (301, "/login", "HTTP 301 to the same host"),
        (302, "https://[::1]/x", "HTTP 302 to ::1"),
        (302, "https://[bad", "HTTP 302 without a body"),
        (302, "", "HTTP 302 without a body"),
        (302, "https://a\u202eb/", "HTTP 302 to another host"),
        (302, f"https://{'a' * 254}/", "HTTP 302 to another host"),
        (302, "https://Sso.Example.com:8443/", "HTTP 302 to Sso.Example.com"),
        (201, "https://sso.example.com/", "HTTP 201 without a body"),
    ],
)
def test_a_redirect_tells_its_host_and_nothing_else(status: int, location: str, told: str) -> None:
    headers = {"location": location} if location else {}
    assert describe_reply(Reply(status, headers, b"", 0.0)) == told
    page = describe_reply(Reply(status, headers, b"<html>moved</html>", 0.0))
    assert page == f"{told.removesuffix(' without a body')}, an HTML page (18 bytes)"


@pytest.mark.promise(9)
def test_a_host_that_repeats_a_credential_is_masked() -> None:
    token = "AbCdEf0123456789xyzXYZ"
    reply = Reply(302, {"location": f"https://me@{token}.example.com:444/"}, b"", 0.0)
    assert Mask([token]).clean_text(describe_reply(reply)) == "HTTP 302 to •••.example.com"


@pytest.mark.parametrize(
    ("value", "number"), [(4, 4), (0, 0), (True, None), (4.0, None), ("4", None), (None, None)]
)
def test_a_whole_number_is_written_as_one(value: object, number: int | None) -> None:
    assert as_whole_number(value) == number


def test_the_first_text_with_something_in_it_is_taken() -> None:
    fields: dict[str, Any] = {"a": None, "b": "  ", "c": 5, "d": "text", "e": "later"}

    assert find_text(fields, "a", "b", "c", "d", "e") == "text"
    assert find_text(fields, "a") is None
