"""Where a head ends, however it comes, and when a reply is known to have ended."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.transport.framing import LARGEST_HEAD, MOST_LINES, FramingError, HeadReader, ReplyHead

START = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def fed(pieces: Sequence[bytes]) -> tuple[ReplyHead, bytes] | None:
    """What a reader makes of the pieces; what comes after the head is joined."""
    reader = HeadReader()
    for number, piece in enumerate(pieces):
        if found := reader.feed(piece):
            return found[0], found[1] + b"".join(pieces[number + 1 :])
    return None


def head_of(data: bytes) -> ReplyHead:
    found = fed([data])
    assert found is not None
    return found[0]


@given(data=st.data(), interims=st.integers(0, 3))
def test_a_head_is_found_in_any_pieces(data: st.DataObject, interims: int) -> None:
    head, rest = START + b"Content-Length: 3\r\nX: y\r\n\r\n", b"abc\r\n\r\nHTTP/1.1 204"
    whole = INTERIM * interims + head + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert fed(pieces) == (ReplyHead(head, length=3), rest)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Content-Length: 12\r\n", (12, False)),
        (b"content-length:12\r\n", (12, False)),
        (b"Content-Length: 12\r\nContent-Length: 12\r\n", (None, False)),
        (b"Content-Length: 12, 12\r\n", (None, False)),
        (b"Content-Length: -1\r\n", (None, False)),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", (None, False)),
        (b"X-Content-Length: 12\r\n", (None, False)),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n", (None, True)),
        (b"", (None, False)),
    ],
)
def test_a_head_says_how_its_body_is_framed(lines: bytes, expected: tuple[int | None, bool]) -> None:
    head = head_of(START + lines + b"\r\n")
    assert (head.length, head.chunked) == expected


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"\x16\x03\x01", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 2x0 a\r\n\r\n"]
)
def test_bytes_that_are_not_http_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(FramingError, match="not HTTP"):
        fed([data])


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([START + b"X: "] + [b"y" * 1024] * (LARGEST_HEAD // 1024 + 1), "larger than"),
        ([INTERIM] * (LARGEST_HEAD // len(INTERIM) + 1), "larger than"),
        ([INTERIM * LARGEST_HEAD], "larger than"),
        ([START + b"X: " + b"y" * LARGEST_HEAD + b"\r\n\r\n"], "larger than"),
        ([START + b"X: y\r\n" * MOST_LINES + b"\r\n"], "lines"),
    ],
    ids=["endless header", "endless interim replies", "many at once", "long", "lines"],
)
def test_a_head_is_bounded(pieces: list[bytes], why: str) -> None:
    with pytest.raises(FramingError, match=why):
        fed(pieces)


@pytest.mark.parametrize(
    ("lines", "body", "ended"),
    [
        (b"Content-Length: 2\r\n", b"{}", True),
        (b"Content-Length: 2\r\n", b"{", False),
        (b"Content-Length: 2\r\n", b"{}\n", False),
        (b"Content-Length: 0\r\n", b"", True),
        (b"", b"", False),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n", True),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\nX: y\r\n\r\n", False),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\nHTTP/1.1 2", False),
    ],
)
def test_a_reply_has_ended_only_where_that_is_sure(lines: bytes, body: bytes, ended: bool) -> None:
    head = head_of(START + lines + b"\r\n")
    assert head.ends_at(len(head.data) + len(body), body[-5:]) == ended


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("lines", [b"", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_some_replies_end_with_their_head(status: int, lines: bytes) -> None:
    head = head_of(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, lines))
    assert head.bodiless
    assert head.ends_at(len(head.data), b"") == (not lines)
    assert not head.ends_at(len(head.data) + 1, b"x")
