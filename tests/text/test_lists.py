"""Files in which each line is one entry."""

from __future__ import annotations

from orchestrator.text.lists import ListedLine, read_listed_lines


def test_each_line_is_an_entry_at_its_position() -> None:
    text = "# a comment\r\na/b\r\t c/d # all of it\t\n\n   \n  # indented\nlast"

    assert list(read_listed_lines(text)) == [
        ListedLine("a/b", 2, 1),
        ListedLine("c/d # all of it", 3, 3),
        ListedLine("last", 7, 1),
    ]


def test_a_space_that_is_no_blank_stays() -> None:
    assert list(read_listed_lines("\xa0a")) == [ListedLine("\xa0a", 1, 1)]
