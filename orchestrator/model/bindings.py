"""The things that hang on a target's front end, and are lost with it: permissions of callers, and policies.

A kind reads them before an undeploy, and a restore creates what is missing. Only ids, names and settings are
kept: some of the vendors' reads carry keys and secrets, which go nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct


class Binding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that hangs on a front end in one environment."""

    what: str
    """The kind's word for it, as people read it: ``application``, ``throttling policy``, ``plug-in``."""
    environment: str
    """The id of the environment."""
    id: str
    name: str | None = None
    settings: Mapping[str, Any] = {}
    """What else its creation needs, without any secret."""
    front: str | None = None
    """The id of the front end, where it is not the one that a deploy brings back."""


class UnreadBindings(Struct, frozen=True):
    """Bindings that could not be read: the word of the ones, and why, in words."""

    what: str
    why: str


class Bindings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that hangs on the front ends of one target, and what of it could not be read."""

    found: Sequence[Binding] = ()
    unread: Sequence[UnreadBindings] = ()
