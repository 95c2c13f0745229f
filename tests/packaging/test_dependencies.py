"""The page and the bill of materials tell each dependency, and its licence is an allowed one."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from docs import dependencies, sbom
from docs.licences import ALLOWED, NOTES, is_allowed, read_licence
from docs.locks import DEVELOPMENT_LOCK, EXTRAS_LOCK, PROJECT, RUNTIME_LOCK, Pin, read_lock

pytestmark = pytest.mark.source


def test_every_licence_is_allowed() -> None:
    refused = {name: read_licence(name) for name in read_lock(DEVELOPMENT_LOCK)}
    refused = {name: licence for name, licence in refused.items() if not is_allowed(licence)}

    assert refused == {}


@pytest.mark.parametrize(
    "licence",
    ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT OR ISC) AND AGPL-3.0-only", "MIT WITH some-exception"],
)
def test_another_licence_is_refused(licence: str) -> None:
    assert not is_allowed(licence)


@pytest.mark.parametrize("licence", ["MIT", "MIT OR GPL-2.0-only", "(MIT OR GPL-2.0-only) AND ISC"])
def test_one_allowed_choice_is_enough(licence: str) -> None:
    assert is_allowed(licence)


def test_a_package_that_names_no_licence_must_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.licences._read_notes", dict)

    with pytest.raises(ValueError, match="no licence of jinja2 is known"):
        read_licence("jinja2")


def test_the_notes_speak_of_packages_in_the_locks() -> None:
    notes = tomllib.loads(NOTES.read_text(encoding="utf-8"))
    pins = read_lock(DEVELOPMENT_LOCK)

    assert set(notes["purpose"]) == {pin.name for pin in pins.values() if PROJECT in pin.wanted_by}
    assert set(notes["licence"]) <= set(pins)


def test_the_page_names_the_allowed_licences() -> None:
    page = " ".join(dependencies.PAGE.read_text(encoding="utf-8").split())
    found = re.search(r"a licence that is not one of ([^:]*?)\. ", page)

    assert found is not None
    assert set(re.split(r", | and ", found[1])) == ALLOWED


def test_a_release_whose_day_the_registry_did_not_tell_has_no_age() -> None:
    pin = Pin("click", "1.0", (), ("other",))
    days = {"locked": date(2026, 11, 29)}

    assert list(dependencies.write_rows([pin], days))[2] == (
        "| click | 1.0 | BSD-3-Clause | not known | not known | needed by other |"
    )
    days["click==1.0"] = date(2026, 11, 20)
    assert "| 2026-11-20 | 9 |" in list(dependencies.write_rows([pin], days))[2]


@pytest.mark.parametrize("lock", [RUNTIME_LOCK, EXTRAS_LOCK], ids=lambda lock: lock.name)
def test_the_bill_of_materials_has_every_pin(lock: Path, tmp_path: Path) -> None:
    pins = read_lock(lock)
    sbom.main(tmp_path / "dist" / "bom.json", lock)
    bill = json.loads((tmp_path / "dist" / "bom.json").read_text(encoding="utf-8"))

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {each["name"]: each["version"] for each in bill["components"]} == {
        pin.name: pin.version for pin in pins.values()
    }
    for component in bill["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert tuple(each["content"] for each in component["hashes"]) == pins[component["name"]].hashes
        assert is_allowed(component["licenses"][0]["expression"])


def test_the_bill_of_materials_tells_who_needs_whom() -> None:
    bill = json.loads(json.dumps(sbom.make_bill()))
    links = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    program = bill["metadata"]["component"]["bom-ref"]
    reached, todo = {program}, [program]
    while todo:
        new = set(links[todo.pop()]) - reached
        reached |= new
        todo += new

    assert reached == set(links) == {program, *(each["bom-ref"] for each in bill["components"])}


def test_the_same_lock_gives_the_same_bill() -> None:
    assert sbom.make_bill() == sbom.make_bill()
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", str(sbom.make_bill()["serialNumber"]))
