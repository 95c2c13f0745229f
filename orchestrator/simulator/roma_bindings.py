"""The things that hang on the front-end APIs of a simulated ROMA Connect, from both of their sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from orchestrator.simulator.bound_types import TYPES, BoundFixture, TypeKey, make_owner_id
from orchestrator.simulator.pages import KeptLists

_Key: TypeAlias = tuple[TypeKey, str, str]
"""The type and id of a thing, and an environment."""


class SimulatedBinding(Struct, frozen=True):
    """One thing that hangs on a front-end API in one environment. ``number`` counts all bindings from 1."""

    what: BoundFixture
    owner: str
    front: str
    environment: str
    number: int
    at: float


class SimulatedBindings:
    """All things that can hang on a front-end API, and those that do.

    A front end is known by its id. ``foreign`` are the names of things that belong to another user.
    """

    def __init__(self, names: Iterable[tuple[TypeKey, str]], foreign: Iterable[str]) -> None:
        self._foreign = frozenset(foreign)
        self.names: dict[TypeKey, dict[str, str]] = {key: {} for key in TYPES}
        """Names by the type and the id of a thing."""
        self._by_front: dict[str, dict[_Key, SimulatedBinding]] = {}
        self._by_owner: dict[tuple[TypeKey, str], dict[tuple[str, str], SimulatedBinding]] = {}
        self._made = 0
        self._states: Counter[tuple[TypeKey, str]] = Counter()
        """Of each thing how often its bindings changed."""
        self._lists = KeptLists()
        for key, name in names:
            self.names[key][make_owner_id(key, name)] = name

    def is_foreign(self, key: TypeKey, owner: str) -> bool:
        """Return whether a thing belongs to another user."""
        return self.names[key].get(owner) in self._foreign

    def find(self, front: str, environment: str, what: BoundFixture) -> SimulatedBinding | None:
        """Return the binding of a thing to a front-end API in an environment, if there is one."""
        return self._by_front.get(front, {}).get((what.type, what.id, environment))

    def hang(self, front: str, environment: str, what: BoundFixture, now: float) -> SimulatedBinding:
        """Hang a thing on a front-end API in one environment, in place of what it was there before."""
        self._made += 1
        owner = what.id
        self.names[what.type].setdefault(owner, what.name)
        binding = SimulatedBinding(what, owner, front, environment, self._made, now)
        self._by_front.setdefault(front, {})[what.type, owner, environment] = binding
        self._by_owner.setdefault((what.type, owner), {})[front, environment] = binding
        self._states[what.type, owner] += 1
        return binding

    def drop(self, front: str, environment: str | None = None) -> list[SimulatedBinding]:
        """Take all things off a front-end API, or those of one environment; return them."""
        things = self._by_front.get(front, {})
        lost = [each for each in things.values() if environment in (None, each.environment)]
        for each in lost:
            del things[each.what.type, each.owner, each.environment]
            del self._by_owner[each.what.type, each.owner][front, each.environment]
            self._states[each.what.type, each.owner] += 1
        if not things:
            self._by_front.pop(front, None)
        return lost

    def list_owners(self, key: TypeKey) -> Sequence[tuple[str, str]]:
        """Return the id and the name of each thing of a type, without those of other users."""
        names = self.names[key]
        return self._lists.find(
            key,
            len(names),
            lambda: [(owner, name) for owner, name in names.items() if name not in self._foreign],
        )

    def count_of_owner(self, key: TypeKey, owner: str) -> int:
        """Count the bindings of one thing."""
        return len(self._by_owner.get((key, owner), ()))

    def list_of_front(
        self, front: str, key: TypeKey | None = None, environment: str | None = None
    ) -> list[SimulatedBinding]:
        """Return what hangs on a front-end API, or what of it is of one type or in one environment."""
        return [
            each
            for each in self._by_front.get(front, {}).values()
            if key in (None, each.what.type) and environment in (None, each.environment)
        ]

    def list_of_owner(
        self, key: TypeKey, owner: str, environment: str | None, front: str | None
    ) -> Sequence[SimulatedBinding]:
        """Return the bindings of one thing; of one environment or one front-end API where that is asked."""
        bound = self._by_owner.get((key, owner), {})
        return self._lists.find(
            (key, owner, environment, front),
            self._states[key, owner],
            lambda: [
                each
                for each in bound.values()
                if environment in (None, each.environment) and front in (None, each.front)
            ],
        )
