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
    assert lines[-1].startswith("digest: ")
    assert len(lines[-1]) == len("digest: ") + 64


STEERED = """
stop_when: {failed: 3, unknown: 12.5%}
window: {opens: 2026-11-22T22:00:00+03:00, closes: 2026-11-23T02:00:00+03:00}
gateways:
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
    limits: {rate: 100/m}
    park_for: 90s
protect: ["apim/P/a/*"]
waves:
  - name: one
    pause_after: 5m
    targets: [{gateway: apim, project: P, proxy: first, environment: e}]
  - name: many
    sizes: [1, 10%, 100%]
    pause_after: 10s
    proceed: ask
    targets:
      - gateway: apim
        project: P
        proxies: [a, b, c, d]
        environments: [e, f, g, h, i]
        after: [apim/P/first/e]
"""


def test_it_explains_how_the_plan_would_go(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text(f"version: 1\nname: steered{STEERED}")
    (folder / "protected").write_text("apim/P/b/e\napim.example.com/P/c/*\n")
    status, out, _ = undeploy("check", "p.yaml", "--protect-file", "protected")
    lines = out.splitlines()

    assert status == 0
    assert lines[5].startswith("window: from 2026-11-22 ")
    assert lines[6:-1] == [
        (
            "gateway apim: 4 requests in flight at most; 100/m undeploys and 100/m looks at most; "
            "parked for 1 min 30 s at most"
        ),
        "wave one: pauses 5 min after it",
        "wave many: steps of 1, 8 targets; pauses 10 s after each; asks before it goes on",
        "after: 20 targets come after another",
        "protected: 11 targets",
        "stops when more than 3 targets of the run failed",
        "stops when more than 12.5% of the ended targets are unknown",
        (
            "stops when more than 50% of the ended targets are surprising: they do not exist, drifted, "
            "or (in a first run) were undeployed already"
        ),
        "stops when a wave or step ends with none of its targets undeployed",
        (
            "a share is one of a wave or step: from 20 ended targets on, "
            "and at any number before the next one starts"
        ),
    ]


def test_the_sites_protect_file_counts_too(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "site").write_text("apim/Retail/proxy-1/*\n")
    path = plan()
    assert "protected" not in undeploy("check", path)[1]
    monkeypatch.setenv("UNDEPLOY_PROTECT_FILE", "site")

    assert "protected: 1 target\n" in undeploy("check", path)[1]


def test_a_protect_file_that_is_not_there_is_told(plan: Callable[..., Path], undeploy: Undeploy) -> None:
    status, out, err = undeploy("check", plan(), "--protect-file", "nowhere")

    assert (status, out) == (2, "")
    assert "cannot read the protect file nowhere" in err


def test_given_ids_have_neither_steps_nor_an_order(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text(f"version: 1\nname: steered{STEERED}")
    _, out, _ = undeploy("check", "p.yaml", "--target", "apim/P/a/e", "apim/P/first/e")

    assert not [line for line in out.splitlines() if line.startswith(("wave ", "after:"))][1:]


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
