"""The limit to open descriptors is raised as far as the system allows, and never lowered."""

from __future__ import annotations

import resource

import pytest

from orchestrator.engine.signals import run_interruptibly
from orchestrator.system.limits import ENOUGH_FILES, raise_file_limit

UNBOUND = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1024, 1_048_576, ENOUGH_FILES),
        (1024, UNBOUND, ENOUGH_FILES),
        (1024, 4096, 4096),
        (4096, 4096, None),
        (65_536, 1_048_576, None),
        (UNBOUND, UNBOUND, None),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: given.append(both))

    raise_file_limit()

    assert given == ([] if after is None else [(after, hard)])


def test_a_system_that_allows_less_than_it_says_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    raise_file_limit()


def test_a_command_that_connects_raises_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: given.append(both))

    async def work() -> str:
        return "done"

    assert run_interruptibly(work) == "done"
    assert given == [(4096, 4096)]
