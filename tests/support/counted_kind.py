"""A scripted kind that tells how often its targets are called, and may tell it of all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.credentials import Access, Secret
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage
from tests.support.engine import Answer, Scripted

CALLS = Operation(Act.LOOK, "calls")
EVERYTHING = "statistics of everything"
ASKED_OF_ONE, ASKED_OF_ALL = "calls ", "everything"
"""The addresses of the reads about calls: of one target, before its id, and of all."""


class Counted(Scripted, frozen=True, kw_only=True):
    """The scripted kind with calls."""

    KIND: ClassVar[str] = "counted"
    is_shared: bool = False
    is_silent: bool = False
    """Nothing but the read of everything tells calls."""

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        request = super().build_request(operation, target, access, note=note, now=now)
        return replace(request, url=f"{ASKED_OF_ONE}{target.id}") if operation == CALLS else request

    @property
    def traffic(self) -> CountedUsage:
        return CountedUsage(self.is_shared, self.is_silent)


class CountedUsage(Struct, frozen=True):
    """Calls by one read a target, unless the read of everything names the target."""

    is_shared: bool
    is_silent: bool

    def next_shared_read(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        if not self.is_shared or EVERYTHING in told:
            return None
        return SharedUsageRead(EVERYTHING, _ask_of_all, _read_all, is_alone=self.is_silent)

    def next_read(
        self,
        target: Target,
        snapshot: Snapshot | None,
        told: Mapping[str, Any],
        seen: Mapping[str, Reading],
        lacking: Mapping[str, str],
        hours: int,
    ) -> Operation | Usage:
        shared = told.get(EVERYTHING)
        if isinstance(shared, dict) and target.id in shared:
            return Usage(hours=hours, calls=shared[target.id], callers=("web-shop",))
        if self.is_silent:
            return Usage(hours=hours, why="it was not read")
        if CALLS.via in lacking:
            return Usage(hours=hours, why=lacking[CALLS.via])
        if (reading := seen.get(CALLS.via)) is None:
            return CALLS
        if reading.verdict is not Verdict.TOLD or reading.kept is None:
            return Usage(hours=hours, why=reading.message)
        return Usage(hours=hours, calls=reading.kept["calls"], callers=tuple(reading.kept["callers"]))


def _ask_of_all(access: Access, now: float) -> Request:
    assert isinstance(access, Secret)
    return Request(Act.LOOK, ASKED_OF_ALL, {"token": access.reveal()})


def _read_all(reply: Reply) -> Any:
    found = msgspec.json.decode(reply.body, type=Reading)
    return found.kept if found.verdict is Verdict.TOLD else found


def calls(count: int, *callers: str) -> Reading:
    """Return the answer to a read of the calls of one target."""
    return Reading(verdict=Verdict.TOLD, kept={"calls": count, "callers": callers or ("web-shop", "billing")})


Answers = Callable[[Act, str], Answer]
