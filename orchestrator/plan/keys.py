"""Words of a plan that belong to no field: its version, the name of its short wave, and secret paths."""

from __future__ import annotations

import re

READS_VERSION = 1

# People paste credentials where a reference belongs, and messages end up in logs and tickets.
_SECRET = re.compile(r"(gateways\..+\.(auth|url|proxy)|notify)(?![^.\[])")

SHORT_WAVE = "targets"
"""The name of the one wave of a plan without waves, and of the wave of ids from the command line."""


def is_secret(path: str) -> bool:
    """Return whether a text at the key path ``path`` may be a credential. No message repeats such a text."""
    return _SECRET.match(path) is not None
