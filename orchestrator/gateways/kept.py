"""What the kinds of gateways keep in the snapshots of a journal, read again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import MsgspecError

from orchestrator.errors import make_damage_error


@contextmanager
def refuse_strange_deploy() -> Iterator[None]:
    """Turn the error of a kept deploy that no version of this program has written into JournalError."""
    try:
        yield
    except (MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise make_damage_error(f"the deploy in a snapshot cannot be read: {error}") from error
