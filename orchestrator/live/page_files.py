"""The files of the live page, held in memory: whole, and compressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

from orchestrator import live, report

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""The types of the files that are served; a file of another type is not."""


class PageFile(Struct, frozen=True, kw_only=True):
    """One file."""

    kind: str
    """Its media type."""
    body: bytes
    packed: bytes
    """The body, compressed by gzip."""


@cache
def load_files() -> dict[str, PageFile]:
    """Return the files by the path of their URL. The page itself is at ``/``."""
    own = dict(_read_folder(_find_folder(live) / "page", "/page/"))
    index = own.pop("/page/index.html", None)
    found = own | dict(_read_folder(_find_folder(report) / "page" / "shared", "/shared/"))
    return found if index is None else {"/": index, **found}


def _find_folder(package: object) -> Path:
    return Path(str(vars(package)["__file__"])).parent


def _read_folder(folder: Path, prefix: str) -> Iterator[tuple[str, PageFile]]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if (kind := TYPES.get(path.suffix)) is not None:
            yield f"{prefix}{path.name}", pack_file(kind, path.read_bytes())


def pack_file(kind: str, body: bytes) -> PageFile:
    """Return a file for a body of the media type ``kind``."""
    text = kind.startswith("text/") or kind == "application/json"
    return PageFile(
        kind=f"{kind}; charset=utf-8" if text else kind, body=body, packed=gzip.compress(body, mtime=0)
    )
