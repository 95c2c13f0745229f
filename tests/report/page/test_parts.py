"""What the scripts of the pages share, compared with the program's own rules."""

from __future__ import annotations

import re
from ast import literal_eval
from importlib.resources import files

from orchestrator.text.characters import make_visible


def test_the_pages_write_out_the_same_characters_as_everything_else() -> None:
    source = files("orchestrator.report.page").joinpath("shared/parts.js").read_text("utf-8")
    found = re.search(r'new RegExp\((.*?), "gu"\);', source, re.DOTALL)
    assert found is not None
    pieces = "".join(literal_eval(piece.strip()) for piece in found[1].split(" +\n"))
    pattern = re.compile(re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: f"\\U{code[1]:0>8}", pieces))
    everything = "".join(map(chr, range(0x110000)))
    rest = pattern.sub("", everything)

    assert make_visible(rest) == rest
    assert [letter for letter in pattern.findall(everything) if make_visible(letter) == letter] == []
