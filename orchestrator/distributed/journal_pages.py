"""A run's journal and plan as pages that workflows keep: packed where the run is, unpacked elsewhere."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import msgspec

from orchestrator.distributed.bounds import PAGE_BYTES
from orchestrator.distributed.payloads import JournalPages
from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import open_database

FetchJournal: TypeAlias = Callable[[JournalPages, Path], Awaitable[None]]
"""Fetches a journal and its plan.yaml into a folder."""


class PackedJournal(NamedTuple):
    """A journal in pages, and what names them."""

    journal: JournalPages
    pages: Sequence[bytes]


class _Files(msgspec.Struct, frozen=True, array_like=True):
    """The two files of a run that another machine needs."""

    journal: bytes
    plan: bytes


def pack_journal(folder: Path, workflow: str) -> PackedJournal:
    """Return the journal and the plan of a run's ``folder`` in pages; ``workflow`` is the run's workflow.

    The journal may be open and written to: the pages hold one moment of it. Raises DiskError and
    JournalError.
    """
    plain = msgspec.msgpack.encode(_Files(_copy_journal(folder), (folder / "plan.yaml").read_bytes()))
    packed = zlib.compress(plain)
    pages = [packed[first : first + PAGE_BYTES] for first in range(0, len(packed), PAGE_BYTES)]
    journal = JournalPages(
        workflow=workflow, pages=len(pages), size=len(plain), digest=hashlib.sha256(plain).hexdigest()
    )
    return PackedJournal(journal, pages)


def _copy_journal(folder: Path) -> bytes:
    try:
        with TemporaryDirectory(prefix="undeploy-") as place:
            copy = Path(place) / "journal.sqlite"
            with closing(open_database(folder / "journal.sqlite", write=False, whole=False)) as database:
                database.copy_to(copy)
            return copy.read_bytes()
    except OSError as error:
        raise DiskError(f"the journal cannot be copied in the temporary folder: {error}") from error


def unpack_journal(pages: Iterable[bytes], journal: JournalPages, folder: Path) -> None:
    """Write ``journal.sqlite`` and ``plan.yaml`` into a folder. Raises JournalError for pages of another run.

    Nothing is written unless the pages are what ``journal`` names.
    """
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(b"".join(pages), journal.size + 1)
    except zlib.error as error:
        raise JournalError(f"the pages of the journal cannot be read: {error}") from error
    if len(plain) != journal.size or hashlib.sha256(plain).hexdigest() != journal.digest:
        raise JournalError("the pages of the journal are not those that were sent")
    files = msgspec.msgpack.decode(plain, type=_Files)
    for name, content in (("plan.yaml", files.plan), ("journal.sqlite", files.journal)):
        path = folder / name
        try:
            path.write_bytes(content)
            path.chmod(0o600)
        except OSError as error:
            raise DiskError(f"{path}: {error.strerror or error}") from error
