"""The body of ``POST /control``: a command, whether only to preview it, and the word that confirms it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from orchestrator.engine.control_commands import ControlCommand, ReadStatus, SkipTargets, StopRun
from orchestrator.errors import UsageError


class ControlRequest(Struct, frozen=True, kw_only=True):
    """A command of a viewer."""

    command: ControlCommand
    preview: bool
    """Tell what the command would do, and do nothing."""
    typed: str
    """What the viewer typed to confirm it."""

    @property
    def wanted(self) -> str | None:
        """The word that must be typed before the command is carried out; None where none is needed."""
        match self.command:
            case StopRun():
                return "stop"
            case SkipTargets():
                return "skip"
            case _:
                return None


class _Manner(Struct, frozen=True, kw_only=True):
    preview: bool = False
    typed: str = ""


def parse_control_request(body: bytes) -> ControlRequest:
    """Return the request that a body of JSON means. Raises ``UsageError`` for anything else."""
    try:
        command = msgspec.json.decode(body, type=ControlCommand)
        manner = msgspec.json.decode(body, type=_Manner)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"this is no act: {error}") from None
    if isinstance(command, ReadStatus):
        raise UsageError("this is no act: GET /state tells the status")
    return ControlRequest(command=command, preview=manner.preview, typed=manner.typed)
