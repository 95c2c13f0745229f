"""The wheel and the sdist: what is in them, and that both ways to a wheel give the same bytes."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from docs.locks import ROOT

pytestmark = [pytest.mark.source, pytest.mark.long("builds the sdist, and the wheel twice")]
COMMIT = "0123456789ab"


def build(root: Path, to: Path, *targets: str, commit: str = "") -> None:
    """Build what is named from the tree ``root``, as of ``commit``."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(to)]
    environment: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "UNDEPLOY_COMMIT": commit}
    subprocess.run(
        [*command, *(word for target in targets for word in ("--target", target))],
        cwd=root,
        env=environment,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "sdist", "wheel", commit=COMMIT)
    return folder


def find_one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(find_one(built, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    build(find_one(tmp_path, "undeploy_orchestrator-*"), tmp_path / "again", "wheel")

    assert find_one(tmp_path / "again", "*.whl").read_bytes() == find_one(built, "*.whl").read_bytes()


def test_the_wheel_has_the_package_whole_and_nothing_else(built: Path) -> None:
    with ZipFile(find_one(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
        commit = wheel.read("orchestrator/commit.txt").decode()
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "orchestrator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert commit == f"{COMMIT}\n"
    assert source <= names
    rest = {name.partition("/")[::2] for name in names - source - {"orchestrator/commit.txt"}}
    assert {place.rpartition(".")[2] for place, _ in rest} == {"dist-info", "data"}
    assert {name for place, name in rest if place.endswith(".data")} == {
        "data/share/bash-completion/completions/undeploy",
        "data/share/fish/vendor_completions.d/undeploy.fish",
        "data/share/man/man1/undeploy.1",
        "data/share/zsh/site-functions/_undeploy",
    }


def test_the_sdist_has_what_its_tests_need(built: Path) -> None:
    with tarfile.open(find_one(built, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"Makefile", "README.md", "CONTRIBUTING.md", "requirements.lock", "requirements-dev.lock"} <= names
    assert {".ci/build_hook.py", "tests/conftest.py", "plans/example.yaml", "docs/locks.py"} <= names
