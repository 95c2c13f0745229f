"""The measures that judge a page tell apart what they must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import PageOpener
from tests.support.page_measures import find_alike, look_in_grey, measure_first_paint, metered, weigh

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATCHES = """<!doctype html><html lang=en><title>patches</title><script src="work.js"></script><style>
i { display: inline-block; width: 30px; height: 30px; background: #777 }
#dark { background: #115522 } #grey { background: #8a6a8a }
#striped { background: repeating-linear-gradient(45deg, #999 0 4px, #555 4px 8px) }
</style><i id=plain></i><i id=dark></i><i id=grey></i><i id=striped></i><p>words"""


@pytest.mark.long("measures a page several times")
async def test_the_measures_of_a_page(tmp_path: Path, open_page: PageOpener) -> None:
    (tmp_path / "page.html").write_text(PATCHES)
    (tmp_path / "work.js").write_text(
        "let held; const work = () => { held = Array(1e6).fill().map(() => ({})); };"
    )
    watched = await open_page((tmp_path / "page.html").as_uri())
    page = watched.page

    async with metered(page) as meter:
        idle, empty = await meter.read(), await meter.measure_heap()
        await page.evaluate("new Promise((done) => setTimeout(() => done(work())))")
        busy, full = await meter.read(), await meter.measure_heap()
    looks = await look_in_grey(page, {name: f"#{name}" for name in ("plain", "dark", "grey", "striped")})

    assert busy["ScriptDuration"] > idle["ScriptDuration"]
    assert full > empty + 4_000_000
    assert 0 < await measure_first_paint(page) < 30_000
    assert 200 < await weigh(watched) < 600
    assert find_alike(looks) == [("plain", "grey")]
