"""One thing to take offline, and its id."""

from __future__ import annotations

from typing import NewType

from msgspec import Struct

from orchestrator.model.bindings import Bindings

TargetId = NewType("TargetId", str)


class Target(Struct, frozen=True):
    """One thing to take offline. ``parts`` are its coordinates, in the order that its kind names them."""

    seq: int
    """Its place in the plan, from 1."""
    id: TargetId
    gateway: str
    wave: int
    """Index of its wave, from 0."""
    parts: tuple[str, ...]
    description: str | None = None
    persistent: bool | None = None
    deploy: str | None = None
    """In a restore: the JSON that its snapshot kept for the vendor's deploy."""
    pods: int = 0
    """Number of pods that answered the snapshot; 0 where the snapshot did not ask them."""
    name: str | None = None
    """The name that people know, by its snapshot; None where that tells none, or the id holds it."""
    bindings: Bindings | None = None
    """In a restore: what hung on its front ends, by its snapshot; None where that was not read."""
