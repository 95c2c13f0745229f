"""The locks: what one pins, the larger ones pin alike, by hashes; and none names an address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.locks import DEVELOPMENT_LOCK, EXTRAS_LOCK, PROJECT, ROOT, RUNTIME_LOCK, read_lock

pytestmark = pytest.mark.source

LOCKS = [RUNTIME_LOCK, EXTRAS_LOCK, DEVELOPMENT_LOCK]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_packages(requirements: list[str]) -> set[str]:
    """Return the normalised names of the packages that requirements name."""
    return {
        re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]).lower()
        for line in requirements
    }


def list_direct(path: Path) -> set[str]:
    """Return the packages of a lock that pyproject.toml itself names."""
    return {pin.name for pin in read_lock(path).values() if PROJECT in pin.wanted_by}


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [(RUNTIME_LOCK, EXTRAS_LOCK), (EXTRAS_LOCK, DEVELOPMENT_LOCK)],
    ids=["extras", "dev"],
)
def test_a_larger_lock_pins_alike_what_the_smaller_one_pins(smaller: Path, larger: Path) -> None:
    pins, others = read_lock(smaller), read_lock(larger)

    assert pins
    for name, pin in pins.items():
        assert others[name].version == pin.version
        assert others[name].hashes == pin.hashes


def test_each_lock_has_what_pyproject_names() -> None:
    program = name_packages(SETTINGS["dependencies"])
    extras = {name: name_packages(lines) for name, lines in SETTINGS["optional-dependencies"].items()}
    shipped = {name for extra in extras.keys() - {"dev", "keyring"} for name in extras[extra]}

    assert list_direct(RUNTIME_LOCK) == program
    assert list_direct(EXTRAS_LOCK) == program | shipped
    assert list_direct(DEVELOPMENT_LOCK) == program | extras["dev"]


def test_a_lock_has_no_package_that_nothing_wants() -> None:
    for path in LOCKS:
        pins = read_lock(path)
        for pin in pins.values():
            assert pin.wanted_by, pin.name
            assert set(pin.wanted_by) <= {PROJECT, *pins}, pin.name


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


@pytest.mark.parametrize("line", ["--pre\n", "aiohttp==3.14.5\n", "aiohttp>=3 \\\n"])
def test_a_lock_with_anything_but_pins_is_refused(line: str, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(RUNTIME_LOCK.read_text(encoding="utf-8") + line, encoding="utf-8")

    with pytest.raises(ValueError, match="more than pins"):
        read_lock(lock)


def test_set_up_installs_both_by_their_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [line.split() for line in makefile.splitlines() if "--require-hashes" in line]

    assert len(installs) == 1
    assert installs[0][-4:] == ["-r", RUNTIME_LOCK.name, "-r", DEVELOPMENT_LOCK.name]
