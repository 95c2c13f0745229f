"""The forms of stored values, found out before several threads read the first of them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.gateways import KINDS
from orchestrator.journal.engine_mark import EngineMark
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.notes import ControlNote
from orchestrator.journal.sessions import SessionOptions
from orchestrator.model.plan import PlanHeader, Wave


def prepare_types(kinds: Iterable[type[msgspec.Struct]]) -> None:
    """Have msgspec find out now what structs look like.

    It does so for the first value of a type, in the middle of which another thread would crash the process.
    """
    for kind in kinds:
        msgspec.json.Decoder(kind)


def prepare_read_types() -> None:
    """Prepare the structs of a journal, as ``prepare_types`` does."""
    prepare_types((PlanHeader, Wave, LockHolder, SessionOptions, ControlNote, EngineMark, *KINDS.values()))
