"""Loading a plan: it is read, checked, and laid out in the draft of a journal."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from orchestrator.errors import DiskError, JournalError, Problem, UsageError
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta
from orchestrator.model.plan import Plan, RunId
from orchestrator.plan.given_targets import GivenTarget
from orchestrator.plan.reader import ParsedPlan, read_plan
from orchestrator.version import __version__


class LoadedPlan:
    """A valid plan, with its targets in the draft of a journal.

    Close it, or use it in a ``with`` statement: it holds a temporary folder until a run takes it over.
    """

    def __init__(self, loaded: ParsedPlan, draft: Draft, place: Path) -> None:
        self.plan: Plan = loaded.plan
        self.digest: str = loaded.digest
        self.folder: Path = loaded.folder
        self.targets: int = loaded.targets
        self.by_gateway: dict[str, int] = loaded.by_gateway
        self.by_wave: dict[str, int] = loaded.by_wave
        self.warnings: tuple[Problem, ...] = loaded.warnings
        """The places where the plan is valid but its author hardly means it, in file order."""
        self.draft = draft
        self.place = place

    def close(self) -> None:
        """Remove the temporary folder, unless a run has taken it over."""
        self.draft.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def __enter__(self) -> LoadedPlan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_plan(path: Path, *, targets: Sequence[str | GivenTarget] | None = None) -> LoadedPlan:
    """Read a plan and the files that it includes. Raises PlanError with every problem; sends nothing.

    ``targets`` are ids that replace the plan's own targets; the plan then needs none.
    """
    try:
        place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    except OSError as error:
        raise explain_no_room(error) from error
    try:
        return _load_into(place, path, targets)
    except BaseException as error:
        # An interrupt, too, must leave no temporary folder behind.
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, DiskError | OSError):
            raise explain_no_room(error) from error
        raise


def _load_into(place: Path, path: Path, targets: Sequence[str | GivenTarget] | None) -> LoadedPlan:
    draft = Draft(place / "journal.sqlite")
    try:
        loaded = read_plan(path, draft, instead=targets)
        _copy_source(loaded, place / "plan.yaml")
        draft.finish(loaded.plan, _describe_run(loaded))
    except BaseException:
        draft.close()
        raise
    return LoadedPlan(loaded, draft, place)


def explain_no_room(error: Exception) -> JournalError:
    """Return the error for a draft that the temporary folder has no room for."""
    # No DiskError: that stops a run that can be resumed, and here is no run yet.
    return JournalError(
        f"a plan cannot be prepared in the temporary folder: {error}; nothing was sent."
        " Make room there, or name another folder in TMPDIR"
    )


def _copy_source(loaded: ParsedPlan, copy: Path) -> None:
    """Copy the plan's file. Raises UsageError if the file was changed since it was read."""
    shutil.copyfile(loaded.source, copy)
    if digest_file(copy) != loaded.source_digest:
        raise UsageError(f"{loaded.source} was changed while it was read; nothing was sent. Start again")


def _describe_run(loaded: ParsedPlan) -> RunMeta:
    return RunMeta(
        digest=loaded.digest,
        folder=_name_folder(loaded.folder),
        source=loaded.source_digest,
        program=__version__,
        parent=None if loaded.plan.parent is None else RunId(loaded.plan.parent),
    )


def _name_folder(folder: Path) -> str:
    """Return the name of a plan's folder as a journal keeps it. Raises UsageError if no journal can."""
    name = str(folder)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{name}: the name of the plan's folder is not UTF-8, and no journal can hold it; rename the"
            " folder, or move the plan. Nothing was sent"
        ) from None
    return name


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; raises JournalError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror or error}") from error
