"""The link of the live page: with its token on a terminal alone, and no longer than that opens something."""

import sys

import pytest

from orchestrator.commands.terminal.live_page import compose_link
from orchestrator.live.access import AccessGuard
from orchestrator.live.address import PageAddress

ADDRESS = PageAddress("127.0.0.1", 8787)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_token_is_shown_on_a_terminal_until_it_is_used(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    guard = AccessGuard(ADDRESS, lambda: "secret", ())
    before = compose_link(ADDRESS, guard)
    guard.exchange("wrong")
    after_a_guess = compose_link(ADDRESS, guard)
    guard.exchange(guard.token)

    assert before == after_a_guess == ADDRESS.url + ("#token=secret" if is_terminal else "")
    assert compose_link(ADDRESS, guard) == ADDRESS.url
