"""The errors that end a command, and the exit statuses.

Inside a run, a fault of a gateway is a value (see ``Reading``), since the other targets go on. These errors
end the command:

    OrchestratorError
    ├── UsageError        the command line asks for something that cannot be done
    ├── PlanError         the plan has problems; carries all of them
    ├── CredentialError   a reference cannot be resolved; never repeats what it found
    ├── RunError          no such run, a run held by another process, an edited plan.yaml
    └── JournalError      the journal cannot be read or written
        └── DiskError     a write failed while a run was going on (full disk, read-only folder)
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TypeVar

from msgspec import Struct

Fault = TypeVar("Fault", bound=BaseException)


class ExitStatus(IntEnum):
    """The exit statuses of ``undeploy``, in order: the first one that applies counts."""

    BUG = 3
    NOTHING_SENT = 2
    INTERRUPTED = 130
    STOPPED = 4
    UNFINISHED = 1
    DONE = 0


class Problem(Struct, frozen=True, kw_only=True):
    """One mistake in a plan, or in a file that the plan names.

    ``line`` and ``column`` count from 1; 0 means the file as a whole. ``path`` is the key path
    (``gateways.roma-eu.retry.attempts``), empty if no key is wrong. ``hint`` may be empty.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.path}:" if self.path else ":" if not self.line else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{key} {self.message}{hint}"


class OrchestratorError(Exception):
    """Base of every error that a person can mend. Its text is written for that person."""


class UsageError(OrchestratorError):
    """The command line (or the call) asks for something that cannot be done; nothing was sent."""


class PlanError(OrchestratorError):
    """The plan cannot be used. ``problems`` holds all of them, in file order; nothing was sent."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class CredentialError(OrchestratorError):
    """A credential reference cannot be resolved. The text names the reference, never the credential."""


class RunError(OrchestratorError):
    """The run cannot be opened: it does not exist, another process holds it, or its plan was edited."""


class JournalError(OrchestratorError):
    """The journal cannot be read: another format, cut short, or not a journal at all."""


class DiskError(JournalError):
    """A write to the journal failed. Everything that was durable before stays durable."""


def make_damage_error(what: str, path: object = None) -> JournalError:
    """Return the error for a journal that holds what the program did not write.

    ``what`` is damaged, in a clause; ``path`` is the journal's, where it is known.
    """
    where = "" if path is None else f"{path}: "
    return JournalError(
        f"{where}the journal is damaged ({what});"
        " `undeploy report RUN --verify` tells where; restore it from a copy"
    )


class UnfitError(ValueError):
    """A text does not fit its form. ``message`` says what is wrong, ``hint`` how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def list_grouped(group: BaseExceptionGroup[Fault]) -> Iterator[Fault]:
    """Yield the errors of a group of tasks, and of the groups within it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from list_grouped(error)
        else:
            yield error
