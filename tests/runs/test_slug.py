"""The name of a plan in the name of a run's folder."""

from __future__ import annotations

import re

import pytest

from orchestrator.model.plan import RUN_ID
from orchestrator.runs.start import make_slug
from tests.support.names import ACCENTS_APART, CHINESE, GERMAN, NAMES, TURKISH


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("orders-retirement", "orders-retirement"),
        (TURKISH, "odeme-islemleri-igusoc"),
        (TURKISH.upper(), "odeme-islemleri-igusoc"),
        (GERMAN, "prufstelle-strassenverkehr-ss"),
        (ACCENTS_APART, "cafe-odeme-guven"),
        (CHINESE, "plan"),
        (f"{CHINESE} 2026", "2026"),
        ("\u0141\u00f3d\u017a \u00d8re", "lodz-ore"),
        (f"{'a' * 39} b", "a" * 39),
        ("\uff21\uff22", "ab"),
    ],
)
def test_letters_lose_their_accents_and_no_more(name: str, slug: str) -> None:
    assert make_slug(name) == slug


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_any_name_has_an_id_that_a_plan_may_name(name: str) -> None:
    assert re.fullmatch(RUN_ID.pattern, f"20261122-190003412-{make_slug(NAMES[name])}-7f3a")
