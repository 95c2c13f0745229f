"""The address of the live page: what is taken, what is refused, and that it is bound."""

import socket
from contextlib import closing

import pytest

from orchestrator.errors import UsageError
from orchestrator.live.address import PageAddress, bind, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8787", "127.0.0.1", 8787),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:80", "127.0.0.1", 80),
        ("[::1]:0", "::1", 0),
        ("[0:0:0:0:0:0:0:1]:7", "::1", 7),
        ("0.0.0.0:8787", "0.0.0.0", 8787),
        ("10.1.2.3:65535", "10.1.2.3", 65535),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert parse_address(text) == PageAddress(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8787",
        ":8787",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:80x",
        "127.0.0.1:٨٠",
        "::1:80",
        "[127.0.0.1]:80",
        "[::1]",
        "example.com:80",
        "http://127.0.0.1:80",
        "127.0.0.1:80/",
        "127.1:80",
        "127.0.0.1:80\n",
    ],
)
def test_what_is_no_address_is_refused_and_named(text: str) -> None:
    with pytest.raises(UsageError, match="is no address") as error:
        parse_address(text)

    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("host", "loopback", "url"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:8787/"),
        ("127.9.9.9", True, "http://127.9.9.9:8787/"),
        ("::1", True, "http://[::1]:8787/"),
        ("0.0.0.0", False, "http://0.0.0.0:8787/"),
        ("10.0.0.1", False, "http://10.0.0.1:8787/"),
    ],
)
def test_an_address_knows_whether_others_reach_it(host: str, loopback: bool, url: str) -> None:
    address = PageAddress(host, 8787)

    assert (address.is_loopback, address.url) == (loopback, url)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_is_taken_and_told(host: str) -> None:
    listener, address = bind(PageAddress(host, 0))
    with listener, closing(socket.create_connection((host, address.port), timeout=5)):
        assert address.port > 0


def test_a_port_in_use_is_refused_with_its_reason() -> None:
    listener, address = bind(PageAddress("127.0.0.1", 0))
    with listener, pytest.raises(UsageError, match=rf"127\.0\.0\.1:{address.port}: Address already in use"):
        bind(address)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:0: Cannot assign requested address"):
        bind(PageAddress("192.0.2.1", 0))
