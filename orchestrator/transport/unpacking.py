"""Unpacks the body of a reply, within a bound. Pure."""

from __future__ import annotations

import zlib

import aiohttp

from orchestrator.transport.losses import UnreadableReplyError, describe_too_large

MOST_MEMBERS = 100
"""Packed texts that one body may consist of; each costs a copy of all that follow it."""

_MODES = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def unpack(packed: bytes, coding: str, largest: int) -> bytes:
    """Return the unpacked body, of at most ``largest`` bytes; ``coding`` is the one that its head names.

    No more than those bytes are ever unpacked. Raises UnreadableReplyError for a longer body, and
    ClientPayloadError for a damaged one, one that is cut short, and one in a coding that we do not ask for.
    """
    mode = _MODES.get(coding)
    if mode is None:
        raise aiohttp.ClientPayloadError(f"the coding {coding} was not asked for")
    # Some servers leave out the header that a deflate body begins with.
    if coding == "deflate" and packed[0] & 0x0F != zlib.DEFLATED:
        mode = -zlib.MAX_WBITS
    body = b""
    for _ in range(MOST_MEMBERS):
        unpacker = zlib.decompressobj(mode)
        try:
            body += unpacker.decompress(packed, largest + 1 - len(body))
        except zlib.error as error:
            raise aiohttp.ClientPayloadError from error
        if len(body) > largest:
            raise UnreadableReplyError(describe_too_large(largest))
        if not unpacker.eof:
            raise aiohttp.ClientPayloadError("the packed body is cut short")
        packed = unpacker.unused_data
        if not packed:
            return body
    raise aiohttp.ClientPayloadError("the packed body has too many parts")
