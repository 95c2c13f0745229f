from collections.abc import Callable
from pathlib import Path

import pytest

Undeploy = Callable[..., tuple[int, str, str]]


def test_counts_and_digest_go_to_stdout(plan: Callable[..., Path], undeploy: Undeploy) -> None:
    status, out, err = undeploy("check", plan())
    lines = out.splitlines()

    assert (status, err) == (0, "")
    assert lines[:2] == ["plan: clean-up", "targets: 6"]
    assert [line.split() for line in lines[2:4]] == [
        ["gateway", "apim", "apinizer", "6"],
        ["wave", "targets", "6"],
    ]
    assert lines[4].startswith("digest: ")
    assert len(lines[4]) == len("digest: ") + 64


def test_every_problem_is_told_at_once_with_its_place(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text("version: 1\nname: x\nnonsense: 1\ngateways: {}\ntargets: 7\n")
    status, out, err = undeploy("check", "p.yaml")

    assert (status, out) == (2, "")
    assert len(err.splitlines()) >= 2
    assert all(line.startswith("p.yaml:") for line in err.splitlines())


def test_a_plan_that_is_not_there_is_told(folder: Path, undeploy: Undeploy) -> None:
    status, _, err = undeploy("check", "nowhere.yaml")

    assert status == 2
    assert "nowhere.yaml" in err
    assert "Traceback" not in err


def test_check_leaves_nothing_behind(plan: Callable[..., Path], undeploy: Undeploy, folder: Path) -> None:
    path = plan()
    undeploy("check", path)

    assert list(folder.iterdir()) == [path]


def test_targets_come_from_a_file_too(plan: Callable[..., Path], undeploy: Undeploy, folder: Path) -> None:
    (folder / "ids").write_text("# two\napim/Retail/proxy-1/test\n\napim/Retail/proxy-2/test\n")
    path = plan()
    listed = undeploy("check", path, "--targets-from", "ids")
    named = undeploy("check", path, "--target", "apim/Retail/proxy-1/test", "apim/Retail/proxy-2/test")

    assert listed == named
    assert "targets: 2" in listed[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--targets-from", "nowhere"], "cannot read the list of targets nowhere"),
        (["--targets-from", "empty"], "empty names no target"),
        (["apim/Retail/proxy-1/test"], "unexpected extra arguments"),
        (["--target", "apim/Retail"], "apim/Retail"),
    ],
)
def test_targets_that_are_none_are_told(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, arguments: list[str], told: str
) -> None:
    (folder / "empty").touch()
    status, out, err = undeploy("check", plan(), *arguments)

    assert (status, out) == (2, "")
    assert told in err
