"""The definition of a backend API (LdApiInfo) as a snapshot needs it, and its edits since a deploy."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Self

import msgspec
from msgspec import Struct

from orchestrator.gateways.envelope import find_text
from orchestrator.model.search import parse_instant

NEEDED = ("name", "roma_app_id", "modified_time")
"""The fields of a definition that a snapshot goes by."""

_PASSING = frozenset({"status", "created_time", "modified_time"})
"""Fields about the life of a definition, not about its content."""


class FieldDigest(Struct, frozen=True):
    """A field of a definition that is kept for a comparison alone: a script may have a megabyte."""

    value: bytes

    @classmethod
    def of(cls, field: object) -> Self:
        text = msgspec.json.encode(field, order="sorted")
        return cls(blake2b(text, digest_size=8).digest())


def condense_definition(fields: Mapping[str, Any], *, comparable: bool) -> dict[str, Any]:
    """Return what a snapshot needs of a definition; with digests of the other fields if ``comparable``."""
    needed = {name: fields[name] for name in NEEDED if isinstance(fields.get(name), str)}
    if not comparable:
        return needed
    return {name: FieldDigest.of(value) for name, value in fields.items()} | needed


def was_edited(now: Mapping[str, Any] | None, then: object) -> bool | None:
    """Return whether the definition has changed since its deploy; None where the reads do not tell."""
    if not now or not isinstance(then, dict):
        return None
    shared = (now.keys() & then.keys()) - _PASSING
    return any(_differs(now[key], then[key]) for key in shared)


def _differs(now: object, then: object) -> bool:
    if isinstance(now, FieldDigest) and not isinstance(then, FieldDigest):
        then = FieldDigest.of(then)
    return bool(now != then)


def is_untouched(definition: Mapping[str, Any] | None, publish_time: object) -> bool:
    """Return whether a definition was surely not edited since its front end was published, anywhere.

    The vendor does not say whether a deploy itself moves ``modified_time``: a later one proves no edit.
    """
    edited = parse_instant(find_text(definition or {}, "modified_time"))
    published = list(map(parse_instant, split_environments(publish_time)))
    return edited is not None and bool(published) and all(at is not None and edited <= at for at in published)


def find_newest(publish_time: object) -> str | None:
    """Return the newest of the times at which a front end was published, as the vendor wrote it."""
    texts = split_environments(publish_time)
    instants = [at for at in map(parse_instant, texts) if at is not None]
    if not texts or len(instants) < len(texts):
        return " | ".join(texts) or None
    return texts[instants.index(max(instants))]


def split_environments(text: object) -> list[str]:
    """Return the texts of a field in which the vendor joins those of several environments."""
    return [each.strip() for each in text.split("|") if each.strip()] if isinstance(text, str) else []
