"""The targets as the page's script reads them."""

from __future__ import annotations

import gzip
from base64 import b64decode
from io import StringIO
from random import Random

import pytest

from orchestrator.report.page.rows import PackedWriter
from tests.support.made_up_runs import make_up_run, render_report


def test_a_packed_text_comes_out_as_it_went_in_whatever_its_pieces() -> None:
    dice = Random(3)
    pieces = [f"{dice.random()}</script>ü" * dice.randint(0, 3000) for _ in range(40)]
    out = StringIO()
    writer = PackedWriter(out)

    for piece in pieces:
        writer.write(piece)
    writer.end()

    assert gzip.decompress(b64decode(out.getvalue())).decode() == "".join(pieces)
    assert max(map(len, out.getvalue().splitlines())) <= 76 * 64
    assert "<" not in out.getvalue()


@pytest.mark.long("writes a large report")
def test_the_page_of_many_targets_takes_less_than_a_hundred_bytes_of_each() -> None:
    many = len(render_report("html", make_up_run(12_000)))
    few = len(render_report("html", make_up_run(4_000)))

    assert (many - few) / 8_000 < 100
