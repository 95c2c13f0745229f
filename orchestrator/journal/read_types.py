"""The forms of what a journal holds, found out before several threads read one."""

from __future__ import annotations

import msgspec

from orchestrator.gateways import KINDS
from orchestrator.journal.engine_mark import EngineMark
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.notes import ControlNote
from orchestrator.journal.sessions import SessionOptions
from orchestrator.model.plan import PlanHeader, Wave


def prepare_read_types() -> None:
    """Have msgspec find out now what the structs of a journal look like.

    It does so for the first value of a type, in the middle of which another thread would crash the process.
    """
    for kind in (PlanHeader, Wave, LockHolder, SessionOptions, ControlNote, EngineMark, *KINDS.values()):
        msgspec.json.Decoder(kind)
