"""The site of the documentation builds with strict links, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import html

from docs.locks import ROOT
from docs.stories import PAGES

pytestmark = [
    pytest.mark.source,
    pytest.mark.long("builds the whole site"),
]

LOADED = "//script/@src | //link[@rel!='canonical']/@href | //img/@src | //iframe/@src | //source/@src"
STYLED = re.compile(r"(?:@import\s*|url\(\s*)[\"']?((?:https?:)?//[^\"')]+)")
"""What a page or a style sheet loads by itself; a link that a reader follows is none of that."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    built = subprocess.run(
        [*command, "-f", ROOT / "docs/site/mkdocs.yml", "-d", folder],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def list_loaded(page: Path) -> Iterator[str]:
    """Yield what a browser loads for a page, as it is written there."""
    text = page.read_text(encoding="utf-8")
    yield from html.fromstring(text.encode()).xpath(LOADED)
    yield from STYLED.findall(text)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    loaded = {name for page in pages for name in list_loaded(page)}
    elsewhere = {name for name in loaded if re.match(r"(?:[a-z]+:)?//", name)}
    for sheet in site.rglob("*.css"):
        elsewhere.update(STYLED.findall(sheet.read_text(encoding="utf-8")))

    assert len(pages) > len(PAGES)
    assert {Path(name).suffix for name in loaded} >= {".css", ".js"}
    assert elsewhere == set()


def test_the_site_has_every_page_and_picture(site: Path) -> None:
    sources = (path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
    pages = [path.with_name(path.stem.replace("README", "index") + ".html") for path in sources]

    assert [page for page in pages if not (site / page).is_file()] == []
    for page in ("index.html", "changelog.html", "contributing.html"):
        assert (site / page).is_file()
    for picture in ("terminal.svg", "report.png"):
        assert (site / picture).is_file()
    assert not list(site.rglob("*.py"))
