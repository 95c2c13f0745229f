"""The protection of targets from a run, in numbers, for the start of a session."""

from __future__ import annotations

from msgspec import Struct


class ProtectionSummary(Struct, frozen=True):
    """How many targets the patterns in force keep from a run."""

    patterns: int
    """How many patterns are in force."""
    protected: int
    """How many targets match them, and are not in the run."""
    warnings: tuple[tuple[str | None, str], ...] = ()
    """Warnings about patterns, in words, each after the gateway that it is about; None is no single one."""
