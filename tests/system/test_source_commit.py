"""The version tells the commit: of the stamp in the package, or of the checkout that it runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.system.source_commit import describe_commit

HASH = "0123456789abcdef0123456789abcdef01234567"
TOLD = "commit 0123456789ab, in its source tree"


def lay(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": f"{HASH}\n"},
        {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{HASH}\n"},
        {
            ".git/HEAD": "ref: refs/heads/main\n",
            ".git/packed-refs": f"# pack-refs\n{'f' * 40} refs/heads/other\n{HASH} refs/heads/main\n",
        },
        {
            ".git": "gitdir: ../main/.git/worktrees/tree\n",
            "../main/.git/worktrees/tree/HEAD": "ref: refs/heads/tree\n",
            "../main/.git/worktrees/tree/commondir": "../..\n",
            "../main/.git/refs/heads/tree": f"{HASH}\n",
        },
    ],
    ids=["detached", "branch", "packed", "second work tree"],
)
def test_a_checkout_tells_its_commit(files: dict[str, str], tmp_path: Path) -> None:
    assert describe_commit(lay(tmp_path / "tree", {"pyproject.toml": "[project]", **files})) == TOLD


def test_the_stamp_of_the_build_comes_first(tmp_path: Path) -> None:
    files = {
        "orchestrator/commit.txt": "0123456789ab-dirty\n",
        "pyproject.toml": "[project]",
        ".git/HEAD": HASH,
    }

    assert describe_commit(lay(tmp_path, files)) == "commit 0123456789ab-dirty"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pyproject.toml": "[project]"},
        {"pyproject.toml": "[project]", ".git/HEAD": "ref: refs/heads/unborn\n"},
        {"pyproject.toml": "[project]", ".git": "gitdir: elsewhere\n"},
        {".git/HEAD": HASH},
    ],
    ids=["nothing", "no repository", "no commit yet", "a lost work tree", "another program's repository"],
)
def test_where_nothing_tells_the_commit_there_is_none(files: dict[str, str], tmp_path: Path) -> None:
    assert describe_commit(lay(tmp_path, files)) is None


def test_a_stamp_that_is_no_text_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "orchestrator").mkdir()
    (tmp_path / "orchestrator" / "commit.txt").write_bytes(b"\xff\xfe")

    assert describe_commit(str(tmp_path)) is None
