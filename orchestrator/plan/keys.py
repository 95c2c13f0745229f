"""Words of a plan that belong to no value: its version, reserved names and keys, and what stays secret."""

from __future__ import annotations

import re

from msgspec import Struct

from orchestrator.model.gateway import Gateway

READS_VERSION = 1

_SECRET = re.compile(r"gateways\..+\.(auth|url|proxy)(?![^.\[])")

SHORT_WAVE = "targets"
"""The name of the one wave of a plan whose targets stand at the top level, and of targets given by id."""


UNSUPPORTED_KEYS: dict[type[Struct], frozenset[str]] = {
    Gateway: frozenset({"zone"}),
}
"""Keys that the format knows and this program does not obey: refused, never ignored."""


def is_secret(path: str) -> bool:
    """Say whether texts at the key path ``path`` may be a credential, so that no message repeats them."""
    return _SECRET.match(path) is not None
