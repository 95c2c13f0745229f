"""Fit the pages of the source tree into the site that MkDocs builds: their links hold in the tree."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parent.parent
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages at the top of the source tree, and their names in the site."""

# What follows "](" or src=": a path in the tree, with no scheme, and maybe an anchor.
LINK = re.compile(
    r'(?P<before>!?\[(?P<text>[^\]]*)\]\(|src=")(?P<path>[^)":#\s]+)(?P<rest>#[^)"]*)?(?P<end>[)"])'
)
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages that the navigation does not name to its recipes, in the how-to section."""
    named = set(_list_pages(config.nav))
    how_to = next(section["How-to"] for section in config.nav or [] if "How-to" in section)
    pages = (path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")))
    recipes: list[str] = next(entry["Recipes"] for entry in how_to if "Recipes" in entry)
    recipes += [page for page in pages if page not in named]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the top of the source tree."""
    for source, target in OUTSIDE.items():
        files.append(File.generated(config, target, abs_src_path=str(DOCS.parent / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Return a page with links as they hold in the site, except in its blocks of code."""
    outside = page.file.src_uri in OUTSIDE.values()
    folder = "" if outside else posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def rewrite(found: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, found["path"]))
        target = OUTSIDE.get(place, place.removeprefix("docs/"))
        if target == place:  # a file of the source tree, which the site does not have
            return found["text"] or ""
        path = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return f"{found['before']}{path}{found['rest'] or ''}{found['end']}"

    parts = FENCE.split(markdown)
    return "".join(part if FENCE.fullmatch(part) else LINK.sub(rewrite, part) for part in parts)


def _list_pages(entry: Any) -> Iterator[str]:
    """Yield the pages that an entry of the navigation names: a path, a list, or a title with either."""
    if isinstance(entry, str):
        yield entry
    for part in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from _list_pages(part)
