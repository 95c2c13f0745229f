"""Structs with abstract methods."""

from __future__ import annotations

from abc import ABCMeta

from msgspec import StructMeta


class AbstractStructMeta(StructMeta, ABCMeta):
    """Lets a struct have abstract methods, so that a kind without a required answer cannot be made."""
