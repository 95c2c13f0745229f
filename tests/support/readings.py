"""Readings as tests write them, without anything of the engine."""

from __future__ import annotations

from typing import Any

from orchestrator.model.reading import Reading, Verdict


def reading(verdict: Verdict, **fields: Any) -> Reading:
    """Return a reading with only the fields that a test needs."""
    return Reading(verdict=verdict, **fields)
