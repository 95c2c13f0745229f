"""Words of a plan that belong to no field: its version, reserved keys, and paths that may hold secrets."""

from __future__ import annotations

import re

from msgspec import Struct

from orchestrator.model.gateway import Gateway

READS_VERSION = 1

# People paste credentials where a reference belongs, and messages end up in logs and tickets.
_SECRET = re.compile(r"(gateways\..+\.(auth|url|proxy)|notify)(?![^.\[])")

SHORT_WAVE = "targets"
"""The name of the one wave of a plan without waves, and of the wave of ids from the command line."""


UNSUPPORTED_KEYS: dict[type[Struct], frozenset[str]] = {
    Gateway: frozenset({"zone"}),
}
"""Keys of the format that this program cannot obey yet. It refuses them: to ignore a key is to disobey it."""


def is_secret(path: str) -> bool:
    """Return whether a text at the key path ``path`` may be a credential. No message repeats such a text."""
    return _SECRET.match(path) is not None
