"""The commands of the tutorial and of the stories print today what the pages say they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.stories import BLOCK, DOCS, PAGES, Command, mask, record, split_commands
from tests.support.plans import load_plan


@pytest.mark.long("runs the commands of a page, each as a process")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_print(page: Path) -> None:
    assert mask(record(page)).splitlines() == mask(page.read_text(encoding="utf-8")).splitlines()


@pytest.mark.parametrize(
    ("page", "file"), [("tutorial.md", "orders.yaml"), ("stories/rollback.md", "shop.yaml")]
)
def test_a_reader_gets_the_digest_that_the_page_shows(tmp_path: Path, page: str, file: str) -> None:
    """A plan whose digest differs from the page's would look like another plan."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (plan,) = (block["text"] for block in BLOCK.finditer(text) if block["file"] == file)
    digest = load_plan(tmp_path, plan)[0].digest

    assert digest[:32] in text


def test_a_page_is_recorded_in_one_shell_and_an_empty_folder(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = (
        '# Page\n\n```text title="one.txt"\n1\n```\n\n'
        "```console\n$ ls\n{}$ word=two; false\n```\n\n"
        "```console\n$ echo $? $word\n{}$ echo 8791; cat one.txt\n{}```\n\nEnd\n"
    )
    page.write_text(text.format("old\n", "", "old\n"))

    assert record(page) == text.format("one.txt\n", "1 two\n", "8791\n1\n")


def test_what_differs_between_recordings_is_masked() -> None:
    first = "run: 20261129-092158327-orders-4168\ntook  19 ms\ndigest: 9c5b8b302b99a8a5"
    second = "run: 20261130-102158328-orders-51aa\ntook 1 min 02 s\ndigest: 1c5b8b302b99a8a6"

    assert mask(first) == mask(second) == "run: <orders>\ntook <time>\ndigest: <hex>"
    assert mask("7 undeployed") != mask("7 failed")


def test_a_block_is_split_into_its_commands() -> None:
    assert list(split_commands("$ one\na\n\nb\n$ two\n")) == [
        Command("one", ["a", "", "b"]),
        Command("two", []),
    ]
