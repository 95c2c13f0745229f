"""The targets that a text means, for ``undeploy show``."""

from __future__ import annotations

from typing import Literal
from unicodedata import normalize

import pytest

from orchestrator.journal.folder import RunFolder
from tests.support.journals import apim, journal, plan, target
from tests.support.names import NAMES

GIVEN = [f"apim/{each}/{each}/test" for each in NAMES.values()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with a target of each name, which the tests only read."""
    folder = tmp_path_factory.mktemp("run")
    made = journal(folder, plan(apim("apim")), (target(seq, each) for seq, each in enumerate(GIVEN, 1)))
    folder.chmod(0o700)
    return RunFolder(made.parent)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", ["apim/{0}/{0}/test", "apim/{0}/**", "{0}/test", "pim/{0}/"])
def test_a_target_is_found_with_its_accents_as_they_are_typed(
    run: RunFolder, name: str, form: Literal["NFC", "NFD"], text: str
) -> None:
    with run.open_source() as source:
        found = source.find_ids(normalize(form, text.format(NAMES[name])))
        kept = source.read_target(found[0])

    assert found == [f"apim/{NAMES[name]}/{NAMES[name]}/test"]
    assert kept.target.id == found[0]


@pytest.mark.parametrize("ref", ["a\udcff", "apim/\udcff/*", "apim/\n**"])
def test_a_text_that_no_id_holds_means_no_target(run: RunFolder, ref: str) -> None:
    with run.open_source() as source:
        assert source.find_ids(ref) == []
