"""One reply out of bytes that come in any pieces, and the bounds within which it is read."""

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.transport.losses import UnreadableReplyError
from orchestrator.transport.reply_reader import MOST_FRAMING, ReplyReader
from orchestrator.transport.route import pick_headers
from orchestrator.transport.unpacking import MOST_MEMBERS, unpack

START = b"HTTP/1.1 200 OK\r\nDate: now\r\nServer: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
LARGEST = 1000
REPLIES: dict[str, tuple[bytes, bytes]] = {
    "length": (START + b"Content-Length: 4\r\n\r\nabcd", b"abcd"),
    "empty": (START + b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (CHUNKED + b"2\r\nab\r\n2;x=y\r\ncd\r\n0\r\n\r\n", b"abcd"),
    "no chunk": (CHUNKED + b"0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 X\r\n\r\n", b""),
    "interim": (b"HTTP/1.1 100 X\r\n\r\n" + START + b"Content-Length: 1\r\n\r\n!", b"!"),
    "1.0": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n!", b"!"),
}


def read(*pieces: bytes, largest: int = LARGEST, ended: bool = False) -> tuple[ReplyReader, bool]:
    """Feed a reader; return it, and whether the reply became whole with the last piece that it took."""
    with asyncio.Runner() as runner:
        reader = ReplyReader(runner.get_loop(), largest)
        whole = False
        for piece in pieces:
            assert not whole, "fed after the end"
            whole = reader.feed(piece)
        if ended:
            reader.end()
        return reader, whole


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@pytest.mark.promise(3)
@given(data=st.data(), name=st.sampled_from(sorted(REPLIES)))
def test_a_reply_is_whole_with_its_last_byte_in_any_pieces(data: st.DataObject, name: str) -> None:
    reply, body = REPLIES[name]
    pieces = cut(reply, data.draw(st.lists(st.integers(0, len(reply)), max_size=5)))
    reader, whole = read(*pieces)
    assert whole
    assert reader.leaves_open
    assert reader.unpack_body() == body
    _, early = read(*cut(reply[:-1], []))
    assert not early


@pytest.mark.promise(3)
@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("junk", [b"x", b"\r\n", START, b"0\r\n\r\n", CHUNKED + b"0\r\n\r\n"])
def test_bytes_behind_a_reply_leave_it_whole_and_end_the_connection(name: str, junk: bytes) -> None:
    reply, body = REPLIES[name]
    reader, whole = read(reply + junk)
    assert whole
    assert reader.unpack_body() == body
    assert not reader.leaves_open


@pytest.mark.parametrize(
    "head",
    [
        START + b"Connection: close\r\nContent-Length: 1\r\n\r\n!",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n!",
        CHUNKED + b"1\r\n!\r\n0\r\nX: trailer\r\n\r\n",
        b"HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["close", "1.0", "trailer", "204 with a length", "101"],
)
def test_what_may_go_on_ends_the_connection(head: bytes) -> None:
    reader, _ = read(head, ended=head.startswith(b"HTTP/1.1 101"))
    assert not reader.leaves_open


def test_the_headers_that_are_wanted_are_handed_on() -> None:
    reader, _ = read(START + b"Retry-After:  7 \r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    assert reader.status == 200
    assert pick_headers(reader.headers) == {"date": "now", "retry-after": "7"}


# How a connection may end.


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    reader, whole = read(START + b"\r\nab", b"cd", ended=True)
    assert not whole
    assert reader.unpack_body() == b"abcd"
    assert not reader.leaves_open


@pytest.mark.promise(3)
@pytest.mark.parametrize("reply", [START, b"HTTP/1.1 2", b"HTTP/1.1 100 X\r\n\r\n"])
def test_an_end_before_the_head_is_no_reply(reply: bytes) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        read(reply, ended=True)


@pytest.mark.promise(3)
@pytest.mark.parametrize("name", ["length", "chunks"])
def test_an_end_within_the_body_is_no_reply(name: str) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        read(REPLIES[name][0][:-1], ended=True)


# Bounds.


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (START + b"Content-Length: 1001\r\n\r\n", "larger than 1000"),
        (CHUNKED + b"1\r\nx\r\n" * (MOST_FRAMING // 4), "too small pieces"),
        (CHUNKED + b"1;" + b"a" * 2 * MOST_FRAMING, "too small pieces"),
        (START + b"\r\n" + bytes(300_000), "larger than 1000"),
        (CHUNKED + b"zz\r\n", "not HTTP"),
        (b"ICY 200 OK\r\n\r\n", "not HTTP"),
    ],
)
def test_a_reply_without_measure_is_refused(reply: bytes, why: str) -> None:
    with pytest.raises(UnreadableReplyError, match=why):
        read(*cut(reply, range(0, len(reply), 65536)))


def test_a_body_in_chunks_has_the_same_bound_to_the_byte() -> None:
    def chunk(size: int) -> bytes:
        return CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))

    assert len(read(chunk(LARGEST))[0].unpack_body()) == LARGEST
    with pytest.raises(UnreadableReplyError, match="larger than 1000"):
        read(chunk(LARGEST + 1))[0].unpack_body()


# Packed bodies.


def raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}


@given(text=st.binary(max_size=LARGEST), name=st.sampled_from(sorted(PACKERS)))
def test_a_packed_body_comes_out_as_it_was(text: bytes, name: str) -> None:
    coding, pack = PACKERS[name]
    assert unpack(pack(text), coding, LARGEST) == text


@pytest.mark.promise(10)
@pytest.mark.parametrize("name", PACKERS)
def test_no_more_is_unpacked_than_is_allowed(name: str) -> None:
    coding, pack = PACKERS[name]
    assert unpack(pack(bytes(LARGEST)), coding, LARGEST) == bytes(LARGEST)
    for size in (LARGEST + 1, 50_000_000):
        with pytest.raises(UnreadableReplyError, match="larger than 1000"):
            unpack(pack(bytes(size)), coding, LARGEST)


@pytest.mark.promise(3)
@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("fault", ["cut", "damaged"])
def test_a_packed_body_that_is_not_whole_is_no_reply(name: str, fault: str) -> None:
    coding, pack = PACKERS[name]
    packed = pack(b"a text that is not short" * 9)
    with pytest.raises(aiohttp.ClientPayloadError):
        unpack(packed[:-1] if fault == "cut" else packed[:2] + b"\xff\xff\xff" + packed[5:], coding, LARGEST)


def test_a_body_of_several_packed_texts_is_one_up_to_a_bound() -> None:
    assert unpack(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", LARGEST) == b"abcd"
    with pytest.raises(aiohttp.ClientPayloadError):
        unpack(gzip.compress(b"") * (MOST_MEMBERS + 1), "gzip", LARGEST)


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_a_coding_that_was_not_asked_for_is_no_reply(coding: str) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        unpack(b"abc", coding, LARGEST)
