"""One place under many spellings is one place."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.text.urls import (
    find_host,
    normalize_authority,
    normalize_host,
    normalize_url,
    parse_address,
)

SPELLINGS = {
    "https://roma.example.com": [
        "HTTPS://Roma.Example.com:443/",
        "https://roma.example.com.",
        "https://roma.example.com.:0443//",
        "https://roma.example.com/.",
        "https://roma.example.com/x/..",
        "https://%72oma.example.com/./",
        "https://roma.\uff45xample.com",
        "https://roma\u3002example\uff0ecom",
    ],
    "https://host/Base/a": [
        "https://host/Base/a/",
        "https://host//Base///a",
        "https://host/Base/./a",
        "https://host/Base/x/../a",
        "https://host/Base/%2e/a",
        "https://host/Base/x/%2E%2e/a",
        "https://host/%42ase/%61",
        "https://host/../Base/a",
    ],
    "https://host/a%2Fb%7Cc": ["https://host/a%2fb%7cc", "https://host/a%2fb|c/"],
    "https://bücher.example": ["https://xn--bcher-kva.example/", "https://XN--BCHER-KVA.EXAMPLE."],
    "https://straße.example": ["https://xn--strae-oqa.example"],
    "http://[::1]": [
        "http://[::1]:80",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[0000::0001]/",
        "http://[::1%25lo]",
        "http://[::1%lo]",
        "http://[::0.0.0.1]",
    ],
    "http://[fe80::1%eth0]": ["http://[FE80:0::1%25eth0]", "http://[fe80::1%eth0]:80"],
    "http://127.0.0.1:8080": [
        "http://[::ffff:127.0.0.1]:8080",
        "http://[::ffff:7f00:1]:8080/",
        "http://127.1:8080",
        "http://0x7f.1:8080",
        "http://0177.0.0.01:8080",
        "http://2130706433:8080",
        "http://0x7F000001:8080",
        "http://\uff11\uff12\uff17.0.0.1:8080",
    ],
}


@pytest.mark.parametrize(
    ("wanted", "url"), [(one, url) for one in SPELLINGS for url in [one, *SPELLINGS[one]]]
)
def test_equal_places_give_equal_texts(wanted: str, url: str) -> None:
    assert normalize_url(url) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://host", "http://host"),
        ("http://host:443", "https://host"),
        ("https://host", "https://host:8443"),
        ("https://host/Base", "https://host/base"),
        ("https://host/a%2Fb", "https://host/a/b"),
        ("https://host/a%252Fb", "https://host/a%2Fb"),
        ("https://host/a%FF", "https://host/a%FE"),
        ("https://a.example", "https://example"),
        ("https://strasse.example", "https://xn--strae-oqa.example"),
        ("https://xn--zzzz---.example", "https://zzzz--.example"),
        ("http://[fe80::1%25eth0]", "http://[fe80::1%25eth1]"),
        ("http://[::1]", "http://127.0.0.1"),
        ("http://08.1", "http://8.0.0.1"),
        ("http://1.2.3.4.5", "http://1.2.3.4"),
        ("http://256.1", "http://1.0.0.1"),
    ],
)
def test_different_places_stay_different(one: str, other: str) -> None:
    assert normalize_url(one) != normalize_url(other)


def test_a_host_may_come_with_its_port() -> None:
    assert find_host("https://[::1]:8443/x") == "::1"
    assert [normalize_authority(text) for text in ("APIM.:08443", "[::1]:1", "::1", "[::1]", "apim")] == [
        "apim:8443",
        "[::1]:1",
        "::1",
        "::1",
        "apim",
    ]


@given(
    st.lists(
        st.sampled_from(["0", "1", "255", "256", "0x7f", "0x", "0377", "08", "65535", "a", ""]), min_size=1
    )
)
def test_odd_addresses_are_read_as_the_system_reads_them(pieces: list[str]) -> None:
    text = ".".join(pieces)
    try:
        wanted = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        wanted = None
    found = parse_address(text)
    assert wanted == (None if found is None else str(found))


LABEL = "(xn--)?[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?"


@given(st.from_regex(rf"{LABEL}(\.{LABEL}){{0,3}}", fullmatch=True))
def test_any_name_is_one_in_all_of_its_spellings(name: str) -> None:
    once = normalize_host(name)
    encoded = "".join(f"%{ord(sign):02x}" for sign in name)
    spellings = (once, name.upper(), f"{name}.", encoded, name.replace(".", "\u3002"), f"[{name}]")

    assert [normalize_host(each) for each in spellings] == [once] * len(spellings)


@given(st.text(max_size=20))
def test_no_text_ends_in_another_error_than_the_documented_one(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(normalize_host(text), str)
