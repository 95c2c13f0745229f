"""The patterns that keep targets from a run, in numbers: what a session tells of them at its start."""

from __future__ import annotations

from msgspec import Struct


class ProtectionSummary(Struct, frozen=True):
    """What the patterns in force keep from a run."""

    patterns: int
    """How many patterns are in force."""
    protected: int
    """How many targets they have kept from the run."""
    warnings: tuple[tuple[str, str], ...] = ()
    """What an operator should look at, in words, each after the gateway that it is about."""
