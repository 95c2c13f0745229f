"""The gate of the live page: hosts, origins, the token and the session."""

from collections.abc import Mapping
from itertools import count

import pytest

from orchestrator.live.access import AccessGuard, AccessRefusal
from orchestrator.live.address import PageAddress

LOOPBACK = PageAddress("127.0.0.1", 8787)
OPEN = PageAddress("0.0.0.0", 8787)
HERE = {"Host": "127.0.0.1:8787"}
POST = HERE | {"Origin": "http://127.0.0.1:8787"}


def make_guard(address: PageAddress = LOOPBACK) -> AccessGuard:
    secrets = count(1)
    return AccessGuard(address, lambda: f"secret-{next(secrets)}", ("ops-host",))


def refuse(headers: Mapping[str, str], path: str = "/state", method: str = "GET") -> int | None:
    refusal = make_guard().check(method, path, headers)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8787", "localhost:8787", "localhost:9000", "[::1]:8787", "LOCALHOST", "127.0.0.1"]
)
def test_loopback_is_found_under_its_own_names_and_any_port_of_a_tunnel(host: str) -> None:
    assert refuse({"Host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "attacker.example",
        "attacker.example:8787",
        "127.0.0.1.attacker.example:8787",
        "localhost.attacker.example",
        "10.0.0.1:8787",
        "ops-host:8787",
        "user@attacker.example:8787",
        "[::1",
        "[::1].attacker.example",
        "127.0.0.1:8787@attacker.example",
        "0177.0.0.1",
    ],
)
def test_a_name_that_was_rebound_to_loopback_is_refused(host: str) -> None:
    assert refuse({"Host": host}) == 421


def test_an_open_address_is_found_by_every_ip_address_and_the_names_of_the_machine() -> None:
    guard = make_guard(OPEN)

    for host in ("10.0.0.1:8787", "[fe80::1]:8787", "ops-host:8787", "OPS-HOST", "localhost:8787"):
        refusal = guard.check("GET", "/", {"Host": host})
        assert refusal is None, host
    assert guard.check("GET", "/", {"Host": "attacker.example"}) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8788"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
@pytest.mark.parametrize("path", ["/state", "/events", "/targets", "/charts", "/metrics"])
def test_a_page_of_another_site_reads_nothing(headers: dict[str, str], path: str) -> None:
    assert refuse(HERE | headers, path) == 403


@pytest.mark.parametrize("path", ["/", "/report"])
def test_a_link_on_another_site_opens_the_page_and_a_frame_does_not(path: str) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert refuse(HERE | link | {"Sec-Fetch-Dest": "document"}, path) is None
    assert refuse(HERE | link | {"Sec-Fetch-Dest": "iframe"}, path) == 403


@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "same-origin"}])
def test_the_page_itself_posts(site: dict[str, str]) -> None:
    assert refuse(POST | site, "/control", "POST") is None


@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        HERE | {"Sec-Fetch-Site": "same-origin"},
        HERE | {"Origin": "http://attacker.example"},
        POST | {"Sec-Fetch-Site": "cross-site"},
        POST | {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("path", ["/control", "/session"])
def test_no_other_page_posts(headers: dict[str, str], path: str) -> None:
    assert refuse(headers, path, "POST") == 403


def test_the_token_makes_one_session() -> None:
    guard = make_guard()

    session = guard.exchange(guard.token)
    again = guard.exchange(guard.token)

    assert isinstance(session, str)
    assert session != guard.token
    assert guard.has_session({"Cookie": f"other=1; {guard.cookie}={session}"})
    assert isinstance(again, AccessRefusal)
    assert (again.status, guard.token in again.text) == (403, False)


@pytest.mark.parametrize(
    "cookie",
    ["", "undeploy-8787=", "undeploy-8787=wrong", "undeploy-1=secret-2", "=;;\x00", 'undeploy-8787="\udcff"'],
)
def test_without_the_cookie_there_is_no_session(cookie: str) -> None:
    guard = make_guard()
    assert not guard.has_session({"Cookie": cookie})

    guard.exchange(guard.token)

    assert not guard.has_session({"Cookie": cookie})
    assert not guard.has_session({})


@pytest.mark.parametrize(
    "other", ["path=1", 'layout={"x":1}', "a=b c", "a=é", "=v", "bare", 'a="open', "a b=c"]
)
def test_a_cookie_of_another_program_hides_no_session(other: str) -> None:
    guard = make_guard()
    session = guard.exchange(guard.token)

    assert guard.has_session({"Cookie": f"{other}; {guard.cookie}={session}"})
    assert guard.has_session({"Cookie": f"{guard.cookie}={session}; {other}"})
    assert not guard.has_session({"Cookie": f"{other}; x{guard.cookie}={session}"})


def test_the_token_is_no_cookie() -> None:
    guard = make_guard()
    guard.exchange(guard.token)

    assert not guard.has_session({"Cookie": f"{guard.cookie}={guard.token}"})


def test_no_number_of_wrong_tokens_keeps_the_right_one_out() -> None:
    """Any user of the machine may post wrong ones, so a bound on them would lock the operator out."""
    guard = make_guard()
    for number in range(100):
        refusal = guard.exchange(f"guess {number} ü\udcff")
        assert isinstance(refusal, AccessRefusal)
        assert refusal.status == 403

    assert isinstance(guard.exchange(guard.token), str)


@pytest.mark.parametrize(
    "path", ["/state", "/events", "/targets", "/target", "/charts", "/metrics", "/control"]
)
def test_on_an_open_address_reading_needs_the_session(path: str) -> None:
    guard = make_guard(OPEN)
    headers = {"Host": "10.0.0.1:8787"}
    refusal = guard.check("GET", path, headers)
    session = guard.exchange(guard.token)

    assert refusal is not None
    assert refusal.status == 401
    assert guard.check("GET", path, headers | {"Cookie": f"{guard.cookie}={session}"}) is None


@pytest.mark.parametrize("path", ["/", "/session", "/page/live.js", "/shared/style.css"])
def test_on_an_open_address_the_page_without_facts_is_free(path: str) -> None:
    assert make_guard(OPEN).check("GET", path, {"Host": "10.0.0.1:8787"}) is None


def test_on_an_open_address_the_report_at_the_root_is_not_free() -> None:
    assert not make_guard(OPEN).may_read({"Host": "10.0.0.1:8787"})
    assert make_guard(LOOPBACK).may_read(HERE)
