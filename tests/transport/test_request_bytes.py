"""The bytes of a request, and what cannot be written as one."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.http import Request
from orchestrator.transport.request_bytes import RequestEncoder


def lines(
    headers: Mapping[str, str], method: str = "POST", body: bytes | None = None, more: str = ""
) -> list[str]:
    head, _, rest = (
        RequestEncoder("h", more)
        .encode(Request(method, "http://h/a", headers, body), "/a")
        .partition(b"\r\n\r\n")
    )
    assert rest == (body or b"")
    return head.decode().split("\r\n")


def test_a_request_is_written_in_its_order() -> None:
    assert lines({"X-Auth-Token": "t"}) == [
        "POST /a HTTP/1.1",
        "Host: h",
        "User-Agent: undeploy-orchestrator",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "X-Auth-Token: t",
        "Content-Length: 0",
    ]


def test_what_a_request_says_itself_is_said_once() -> None:
    own = {"host": "h:443", "ACCEPT": "a/b", "User-Agent": "me", "accept-encoding": "identity"}
    assert lines(own)[1:-1] == [f"{name}: {value}" for name, value in own.items()]


def test_a_get_without_a_body_has_no_length() -> None:
    assert not any(line.startswith("Content-Length") for line in lines({}, "GET"))
    assert "Content-Length: 2" in lines({}, "GET", b"{}")


def test_the_lines_of_the_way_are_added() -> None:
    assert "Proxy-Authorization: Basic x" in lines({}, more="Proxy-Authorization: Basic x\r\n")


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "ü", "日本", "~", "a: b"])
def test_a_value_that_is_one_line_is_written(value: str) -> None:
    assert f"X: {value}" in lines({"X": value})


@pytest.mark.promise(9)
@given(
    before=st.text(),
    sign=st.sampled_from([*map(chr, range(9)), *map(chr, range(10, 32)), "\x7f"]),
    after=st.text(),
)
def test_a_value_that_is_no_line_is_refused_unseen(before: str, sign: str, after: str) -> None:
    with pytest.raises(ValueError, match=r"^the value of a header holds a control character$"):
        lines({"X": before + sign + after})


@given(value=st.text(st.characters(codec="utf-8")))
def test_no_value_makes_another_line(value: str) -> None:
    try:
        written = RequestEncoder("h").encode(Request("GET", "http://h/a", {"X": value}), "/a")
    except ValueError:
        return
    assert written.count(b"\r\n") == 7
    assert written.count(b"\n") == written.count(b"\r") == 7


@pytest.mark.parametrize("name", ["", "X:", "X Y", "X\r\nY", "Ü", "X\0", "(x)"])
def test_a_name_that_no_header_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a header"):
        lines({name: "v"})


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "Expect", "Upgrade", "TE", "Trailer"]
)
def test_no_header_frames_the_request_otherwise(name: str) -> None:
    with pytest.raises(ValueError, match="frames the request"):
        lines({name: "1"})


def test_a_header_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        lines({"X-Auth-Token": "a", "x-auth-token": "b"})


@pytest.mark.parametrize("target", ["/a b", "/a\r\n", "/ü", "/a\tb", "/\x7f"])
def test_a_target_that_is_no_word_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="in one line"):
        RequestEncoder("h").encode(Request("GET", "http://h", {}), target)


@pytest.mark.parametrize("method", ["get", "G ET", "GET\r\n", "", "CONNECT", "TRACE"])
def test_a_method_that_is_not_ours_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="in one line"):
        RequestEncoder("h").encode(Request(method, "http://h", {}), "/")


def test_an_encoder_keeps_few_headers_and_writes_the_right_ones() -> None:
    """Signed requests have new headers each time."""
    encoder = RequestEncoder("h")
    for number in [*range(100), *range(100)]:
        written = encoder.encode(Request("GET", "http://h", {"Authorization": f"signature {number}"}), "/")
        assert f"Authorization: signature {number}\r\n".encode() in written

    assert len(encoder._encoded) <= 16
