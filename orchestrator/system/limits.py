"""The number of files and connections that the system lets this process have open."""

from __future__ import annotations

import resource
from contextlib import suppress

ENOUGH_FILES = 16_384
"""Descriptors for several gateways with 1000 requests in flight each, the journal and the live page."""


def raise_file_limit() -> None:
    """Have as many descriptors as the system allows without being asked, up to ``ENOUGH_FILES``.

    Shells begin with 1024. A lane that met this limit would take its gateway for ill.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(ENOUGH_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # the system allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
