"""Addresses of a Temporal server: what ``--on`` takes, and what it refuses with a hint."""

from __future__ import annotations

import pytest

from orchestrator.distributed.address import parse_engine_address
from orchestrator.errors import UsageError


def test_an_address_is_read_with_its_defaults() -> None:
    given = {
        "temporal://temporal.example.com:7233/retire": "temporal://temporal.example.com:7233/retire",
        "temporal://Temporal.Example.com": "temporal://temporal.example.com:7233/default",
        "temporal://localhost:9000": "temporal://localhost:9000/default",
        "temporal://localhost/": "temporal://localhost:7233/default",
        "TEMPORAL://localhost/a.b-c_d/": "temporal://localhost:7233/a.b-c_d",
        "temporal://127.0.0.1:1/x": "temporal://127.0.0.1:1/x",
        "temporal://[::1]:7233/x": "temporal://[::1]:7233/x",
        "temporal://[2001:DB8:0::1]": "temporal://[2001:db8::1]:7233/default",
    }
    for text, url in given.items():
        address = parse_engine_address(text)
        assert address.url == url, text
        assert parse_engine_address(address.url) == address, text


def test_what_is_no_address_is_refused_with_the_reason() -> None:
    given = {
        "": "write temporal://",
        "localhost:7233": "write temporal://",
        "http://localhost:7233/default": "write temporal://",
        "temporal://": "the host is missing",
        "temporal://:7233/x": "the host is missing",
        "temporal://-host/x": "no name",
        "temporal://host:0/x": "between 1 and 65535",
        "temporal://host:65536/x": "between 1 and 65535",
        "temporal://host:7233/a/b": "write temporal://",
        "temporal://host:7233/a b": "a namespace has",
        "temporal://[::z]/x": "no IPv6 address",
        "temporal://::1/x": "write temporal://",
        "temporal://host/x?tls=1": "a namespace has",
        "temporal://host/x\n": "a namespace has",
    }
    for text, why in given.items():
        with pytest.raises(UsageError) as raised:
            parse_engine_address(text)
        assert why in str(raised.value), text


@pytest.mark.promise(9)
def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as raised:
        parse_engine_address("temporal://me:very-secret@host:7233/default")

    assert "very-secret" not in str(raised.value)
    assert "user information" in str(raised.value)
