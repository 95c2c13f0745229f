"""The tests of this folder see what goes wrong in a page: each fault here is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import PageOpener, assert_accessible, assert_no_overhang

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.long("plants faults in pages of a browser"),
]

POLICY = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'self'\">"


@pytest.mark.parametrize(
    ("markup", "fault"),
    [
        ("<script>nowhere.to.be.found()</script>", "nowhere is not defined"),
        ("<script>Promise.reject(new Error('nobody waits'))</script>", "nobody waits"),
        (f"{POLICY}<p style='color: red'>", "Content Security Policy"),
        (f"{POLICY}<script>document.title = 'it ran'</script>", "Content Security Policy"),
        ("<img src='http://127.0.0.1:9/x.png'>", "asked elsewhere: http://127.0.0.1:9/x.png"),
        ("<script>console.error('it says so itself')</script>", "it says so itself"),
    ],
    ids=["error", "rejection", "style", "script", "elsewhere", "console"],
)
async def test_a_fault_of_a_page_is_seen(
    markup: str, fault: str, tmp_path: Path, open_page: PageOpener
) -> None:
    (tmp_path / "page.html").write_text(f"<!doctype html><title>page</title>{markup}")

    watched = await open_page((tmp_path / "page.html").as_uri())

    with pytest.raises(AssertionError, match=fault):
        await open_page.assert_no_faults()
    watched.expect(".")


async def test_what_sticks_out_and_what_cannot_be_read_are_seen(
    tmp_path: Path, open_page: PageOpener
) -> None:
    wide = "<main><h1>wide</h1><p style='width: 500px; color: #eee; background: #fff'>words</p></main>"
    (tmp_path / "page.html").write_text(f"<!doctype html><html lang=en><title>page</title>{wide}")

    page = (await open_page((tmp_path / "page.html").as_uri(), size=(390, 844))).page

    with pytest.raises(AssertionError, match=r"p\.null"):
        await assert_no_overhang(page)
    with pytest.raises(AssertionError, match="color-contrast"):
        await assert_accessible(page)
