"""The patterns that keep targets from a run, as a run tells of them at its start."""

from __future__ import annotations

from msgspec import Struct


class ProtectionSummary(Struct, frozen=True):
    """What keeps targets from a run, as it is told at the start."""

    patterns: int
    """How many patterns are in force."""
    protected: int
    """How many targets they have kept from the run."""
    warnings: tuple[tuple[str, str], ...] = ()
    """What to look at, in words, each with the gateway that it is about."""
