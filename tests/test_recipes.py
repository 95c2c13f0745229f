"""The recipes and the page for newcomers are sound: commands are real, files parse, and some of it runs."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import yaml
from msgspec import structs

import orchestrator
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.command_lines import (
    find_argument_lists,
    find_command_lines,
    list_command_lines,
    list_fences,
    parse_command_line,
)
from tests.support.commands import run_command

pytestmark = pytest.mark.source

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
INDEX = DOCS / "recipes" / "README.md"
RECIPES = sorted(page for page in INDEX.parent.glob("*.md") if page != INDEX)
NEWCOMERS = DOCS / "coming-from.md"
OTHERS = [
    ROOT / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.parent != INDEX.parent and page != NEWCOMERS),
]
# tests/packaging/test_stories.py runs what these show.
STORIES = [DOCS / "tutorial.md", *(DOCS / "stories").glob("*.md")]
TARGETS = tuple(
    ("Shop", proxy, environment)
    for proxy in ("orders-api", "baskets-api")
    for environment in ("test", "production")
)


def name_page(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", [*RECIPES, NEWCOMERS], ids=name_page)
def test_each_command_line_of_a_recipe_is_one_that_the_program_takes(page: Path) -> None:
    lines = list_command_lines(page)

    assert lines
    for arguments in lines:
        parse_command_line(arguments)


@pytest.mark.parametrize("page", [page for page in OTHERS if page not in STORIES], ids=name_page)
def test_each_command_line_that_a_page_shows_is_one_that_the_program_takes(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `simulator` looks for the plan while it parses.
    (tmp_path / "plan.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for fence in list_fences(page, "console", "cron", "sh"):
        for arguments in find_command_lines(fence.text):
            assert parse_command_line(arguments).info_name == arguments[0]


def test_a_command_line_ends_where_its_shell_or_its_quote_ends() -> None:
    text = """\
$ cd /srv && undeploy run plan.yaml --only 'apim/Shop/**' --yes > out # and no more
sh 'undeploy resume latest --quiet'
ExecStart=/opt/bin/undeploy worker --zone east \\
    --on temporal://t:7233/n
`undeploy run` is a mention, `undeploy check a.yaml` is none; retire-undeploy run is another program
"""
    assert find_command_lines(text) == [
        ["run", "plan.yaml", "--only", "apim/Shop/**", "--yes"],
        ["resume", "latest", "--quiet"],
        ["worker", "--zone", "east", "--on", "temporal://t:7233/n"],
        ["check", "a.yaml"],
    ]
    pod = {"containers": [{"command": ["undeploy"], "args": ["runs"]}], "argv": ["undeploy", "status"]}
    assert list(find_argument_lists(pod)) == [["runs"], ["status"]]


def test_a_variable_that_is_exported_has_got_a_value() -> None:
    pages = [*RECIPES, NEWCOMERS, *OTHERS]
    exports = [line for page in pages for line in page.read_text("utf-8").splitlines() if " export " in line]

    assert exports
    # Without a value the old one stays, which whoever types the line by night does not see.
    assert [line for line in exports if not re.search(r"\bread .*export|export \w+=", line)] == []


def test_what_pip_is_told_to_install_may_be_pasted_into_any_shell() -> None:
    texts = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "plans").iterdir()]
    texts += (ROOT / "orchestrator").rglob("*.py")
    extras = re.compile(r"pip install (\S*)undeploy-orchestrator\[")
    opened = [found for text in texts for found in extras.findall(text.read_text("utf-8"))]

    # zsh takes bare brackets for a pattern, and runs nothing.
    assert opened
    assert {*opened} == {"'"}


def test_the_index_names_every_recipe() -> None:
    assert {*re.findall(r"\]\((\S+\.md)\) \|", INDEX.read_text("utf-8"))} == {page.name for page in RECIPES}


@pytest.mark.parametrize("page", [INDEX, *RECIPES, NEWCOMERS, *OTHERS], ids=name_page)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        path, _, heading = link.partition("#")
        if "://" in link:
            continue
        linked = (page.parent / path) if path else page
        assert linked.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors or linked.suffix == ".html", link


@pytest.mark.parametrize("page", [*RECIPES, NEWCOMERS], ids=name_page)
def test_the_yaml_of_a_recipe_parses(page: Path) -> None:
    for fence in list_fences(page, "yaml"):
        assert all(yaml.safe_load_all(fence.text))


@pytest.mark.parametrize("name", ["second-person", "secrets"])
def test_the_plan_of_a_recipe_is_a_plan(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(capfd, "check", write_plan(name, tmp_path)).status == 0


def write_plan(name: str, folder: Path) -> Path:
    """Write the plan of the page ``name`` into ``folder``."""
    (plan,) = (
        fence.text
        for fence in list_fences(INDEX.parent / f"{name}.md", "yaml")
        if fence.text.startswith("version: 1\n")
    )
    path = folder / "maintenance.yaml"
    path.write_text(plan, "utf-8")
    return path


def test_the_plans_for_newcomers_are_plans(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "retired.csv").write_text("project,proxy,environment\nShop,orders-api,test\n", "utf-8")
    texts = [fence.text for fence in list_fences(NEWCOMERS, "yaml")]
    plans = [text for text in texts if text.startswith("version: 1\n")]

    assert len(plans) == 2
    for text in plans:
        (tmp_path / "plan.yaml").write_text(text, "utf-8")
        assert run_command(capfd, "check", tmp_path / "plan.yaml").status == 0


def test_a_job_of_cron_says_nothing_where_all_went_well() -> None:
    for crontab in list_fences(INDEX.parent / "cron.md", "cron"):
        jobs = [line for line in crontab.text.splitlines() if " undeploy " in line]
        # The id of a run and the folder of its reports go to stdout, also with --quiet.
        assert jobs
        assert [job for job in jobs if not job.endswith(" --quiet > /dev/null")] == []


def test_a_pod_leaves_the_state_folder_to_its_user_alone() -> None:
    (fence,) = list_fences(INDEX.parent / "kubernetes.md", "yaml")
    for job in yaml.safe_load_all(fence.text):
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        # Without it each mount makes the volume writable for the group, and the program refuses such a state.
        assert pod["securityContext"]["fsGroup"]
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_a_pod_finds_the_files_of_its_plan_and_may_run_in_a_restricted_namespace() -> None:
    (fence,) = list_fences(INDEX.parent / "kubernetes.md", "yaml")
    for job in yaml.safe_load_all(fence.text):
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        # A resume, too, reads the files that the plan names, in the folder where the plan was.
        assert {"state", "plan", "tmp"} == {mount["name"] for mount in container["volumeMounts"]}
        assert {"state", "plan", "tmp"} == {volume["name"] for volume in pod["volumes"]}
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def read_jobs_of_gitlab() -> dict[str, dict[str, Any]]:
    """Return the jobs of the pipeline by their names."""
    (fence,) = list_fences(INDEX.parent / "gitlab.md", "yaml")
    pipeline = yaml.safe_load(fence.text)
    return {name: value for name, value in pipeline.items() if isinstance(value, dict) and "script" in value}


def starts_in_schedule(job: dict[str, Any]) -> bool:
    """Return whether a scheduled pipeline of GitLab has the job."""
    if "rules" not in job:
        return True
    return any(rule.get("when") != "never" for rule in job["rules"] if "schedule" in rule.get("if", ""))


def test_a_schedule_of_gitlab_resumes_without_waiting_for_another_job() -> None:
    jobs = read_jobs_of_gitlab()

    assert [name for name, job in jobs.items() if starts_in_schedule(job)] == ["resume"]


def test_each_job_of_gitlab_that_waits_says_itself_how_long_it_may_take() -> None:
    (fence,) = list_fences(INDEX.parent / "gitlab.md", "yaml")

    # GitLab reads a timeout under `default` and does not obey it: the project's limit would end a run.
    assert "timeout" not in yaml.safe_load(fence.text)["default"]
    jobs = read_jobs_of_gitlab()
    assert {name for name, job in jobs.items() if "timeout" in job} == jobs.keys() - {"preview"}


def test_a_failed_undeploy_leaves_the_restore_of_gitlab_to_be_started() -> None:
    # GitLab skips a manual job whose earlier stages have failed.
    assert read_jobs_of_gitlab()["restore"]["needs"] == []


def test_the_playbook_fails_with_every_status_but_success() -> None:
    (fence,) = list_fences(INDEX.parent / "rundeck.md", "yaml")[1:]
    first, *_, last = yaml.safe_load(fence.text)[0]["tasks"]

    for status in (0, 1, 2, 3, 4, 130):
        run = SimpleNamespace(rc=status)
        # Conditions of this form mean the same in Ansible and in Python.
        failed = eval(first["failed_when"], {"run": run})
        assert "ansible.builtin.fail" in last
        assert (failed or eval(last["when"], {"run": run})) is (status != 0)


def test_a_workflow_of_github_gives_secrets_to_its_own_steps_alone() -> None:
    fences = list_fences(INDEX.parent / "github.md", "yaml")
    assert fences
    for fence in fences:
        workflow = yaml.safe_load(fence.text)
        jobs = workflow["jobs"].values()
        steps = [step for job in jobs for step in job["steps"]]
        holders = [step for step in steps if "secrets." in str(step)]

        assert holders
        assert all("run" in step for step in holders)
        # An action sees the variables of its workflow and its job as well.
        assert "secrets." not in str([workflow.get("env"), *(job.get("env") for job in jobs)])


# The first version of each action that runs on Node 24; runners have no older Node any more.
ACTIONS = {
    "actions/checkout": 5,
    "actions/upload-artifact": 6,
    "actions/download-artifact": 7,
    "mikepenz/action-junit-report": 6,
}


def test_the_actions_of_a_workflow_run_on_a_node_that_runners_have() -> None:
    text = (INDEX.parent / "github.md").read_text("utf-8")
    used = re.findall(r"uses: (\S+)@v(\d+)", text)

    assert {name for name, _ in used} == ACTIONS.keys()
    assert [name for name, version in used if int(version) < ACTIONS[name]] == []


def test_each_line_of_a_crontab_is_a_setting_a_comment_or_a_job() -> None:
    (*crontabs,) = list_fences(INDEX.parent / "cron.md", "cron")
    line = re.compile(r"([A-Z]+=.*|#.*||((\*|\d+(-\d+)?) +){5}cd /srv/undeploy && undeploy [^%]*)")

    assert len(crontabs) == 2
    for crontab in crontabs:
        assert [each for each in crontab.text.splitlines() if not line.fullmatch(each)] == []


def read_units() -> dict[str, str]:
    """Return the units of the page about systemd, by the names of their files."""
    units = [fence.text for fence in list_fences(INDEX.parent / "systemd.md", "ini")]
    return {unit.partition("\n")[0].rpartition("/")[2]: unit for unit in units}


def test_the_units_of_systemd_land_what_is_in_flight() -> None:
    units = read_units()
    assert len(units) == 3
    for name, text in units.items():
        unit = configparser.RawConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[method-assign, assignment]
        unit.read_string(text)
        if name.endswith(".service"):
            service = unit["Service"]
            assert int(service["TimeoutStopSec"]) >= 150 + 15
            assert service["SuccessExitStatus"] == "4"
            # The root of a state directory is the service's own; the plan is not written to.
            assert f"=/var/lib/{service['StateDirectory']}/" in service["Environment"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_in_the_units(tmp_path: Path) -> None:
    units = read_units()
    for name, text in units.items():
        # It looks whether the program is there, and its user.
        (tmp_path / name).write_text(text.replace("/opt/undeploy/bin/undeploy", "/bin/true"), "utf-8")
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in units)],
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in found.stderr.splitlines() if "undeploy-" in line]
    assert (len(units), ours) == (3, [])


def test_the_brackets_of_the_pipelines_of_jenkins_match() -> None:
    pipelines = list(list_fences(INDEX.parent / "jenkins.md", "groovy"))
    assert len(pipelines) == 2
    for fence in pipelines:
        code = re.sub(r"//[^\n]*|'[^'\n]*'|\"[^\"\n]*\"", "", fence.text)
        open_ones: list[str] = []
        for bracket in re.findall(r"[(){}\[\]]", code):
            if bracket in "({[":
                open_ones.append(bracket)
            else:
                assert open_ones.pop() + bracket in {"()", "{}", "[]"}

        assert open_ones == []
        assert "'" not in code


def test_no_pipeline_of_jenkins_fails_by_a_run_that_is_to_be_resumed() -> None:
    for fence in list_fences(INDEX.parent / "jenkins.md", "groovy"):
        # A plain `sh` fails the build with every status but 0.
        runs = [line for line in fence.text.splitlines() if re.search(r"undeploy (run|resume)\b.*--", line)]
        assert runs
        assert all("returnStatus: true" in line for line in runs)
        assert "if (status == 4) {\n            unstable " in fence.text


def test_the_entry_for_the_catalog_of_editors_matches_plans_by_name_and_nothing_else() -> None:
    entry = json.loads((DOCS / "examples" / "schemastore.json").read_bytes())
    name = entry["url"].rpartition("/")[2]
    (settings,) = list_fences(INDEX.parent / "editors.md", "json")
    (patterns,) = json.loads(settings.text)["yaml.schemas"].values()

    assert set(entry) == {"name", "description", "fileMatch", "url"}
    assert f"src/schemas/json/{name}" in (INDEX.parent / "editors.md").read_text("utf-8")
    assert entry["fileMatch"] == patterns
    assert any(fnmatchcase("orders.undeploy.yaml", pattern) for pattern in patterns)
    assert not any(fnmatchcase(other, each) for other in ("plan.yaml", "undeploy.yml") for each in patterns)


@pytest.fixture(scope="module")
def manager() -> Iterator[RunningSimulators]:
    """A simulated manager with the shop's proxies."""
    with start_simulators(SimulatorFixture(gateways=(ApinizerFixture(name="apim", targets=TARGETS),))) as it:
        yield it


def test_the_window_that_a_second_person_approves_goes_as_its_page_shows(
    manager: RunningSimulators,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    plan = write_plan("second-person", tmp_path)
    now = datetime.now(UTC)
    window = (
        f"window: {{opens: {now - timedelta(hours=1):%FT%TZ}, closes: {now + timedelta(hours=1):%FT%TZ}}}"
    )
    text = plan.read_text("utf-8").replace("https://apim.example.com", manager.urls["apim"])
    plan.write_text(re.sub(r"window: .*", window, text), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APINIZER_TOKEN", FAKE_TOKEN)
    monkeypatch.setenv("UNDEPLOY_APPROVAL_KEY", "a key that is long enough")
    shown = [
        re.findall(r"^\$ (.*)$|^(\d+)$", fence.text, re.MULTILINE)
        for fence in list_fences(INDEX.parent / "second-person.md", "console")
    ]
    steps = [step for fence in shown for step in fence if step[0] != "echo $?"]
    commands, statuses = steps[::2], steps[1::2]

    assert [int(status) for _, status in statuses] == [
        run_command(capfd, *shlex.split(command)[1:]).status for command, _ in commands
    ]
    assert [status for _, status in statuses] == ["0", "2", "0", "0"]
    books = manager.books().targets
    assert len(books) == len(TARGETS)
    assert {(seen.undeploys, seen.down) for seen in books.values()} == {(1, False)}


def test_the_programs_of_the_page_about_python_undeploy_and_bring_back_what_the_plan_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, options, way_back = (fence.text for fence in list_fences(DOCS / "python.md", "python"))
    plan = write_plan("second-person", tmp_path).rename(tmp_path / "plan.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APINIZER_TOKEN", FAKE_TOKEN)
    names: dict[str, Any] = {}

    with start_simulators(SimulatorFixture(gateways=(ApinizerFixture(name="apim", targets=TARGETS),))) as it:
        text = plan.read_text("utf-8").replace("https://apim.example.com", it.urls["apim"])
        plan.write_text(re.sub(r"window: .*\n|approval: .*\n", "", text), "utf-8")
        exec(compile(program, "python.md", "exec"), names)

        assert all(seen.down for seen in it.books().targets.values())

        exec(compile(options + way_back, "python.md", "exec"), names)
        anyio.run(
            names["finish_and_restore"],
            structs.replace(names["options"], state=Path(".undeploy"), only=("apim/Shop/**",)),
        )

        assert not any(seen.down for seen in it.books().targets.values())


def test_the_page_about_python_names_every_public_name() -> None:
    page = (DOCS / "python.md").read_text("utf-8")
    # Types of what the calls give, which nobody makes.
    given = {"LoadedPlan", "Report", "Restoration", "RunFolder"}

    assert {name for name in orchestrator.__all__ if not re.search(rf"\b{name}\b", page)} == given


def test_a_credential_comes_from_vault_as_its_page_shows(
    manager: RunningSimulators,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    plan = write_plan("secrets", tmp_path)
    value = yaml.safe_load(plan.read_text("utf-8"))
    gateway = value["gateways"]["from-vault"] | {"url": manager.urls["apim"]}
    targets = [target for target in value["targets"] if target["gateway"] == "from-vault"]
    plan.write_text(
        yaml.safe_dump(value | {"gateways": {"from-vault": gateway}, "targets": targets}), "utf-8"
    )
    vault = tmp_path / "vault"
    vault.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\nprintf '%s\\n' {FAKE_TOKEN}\n", "utf-8")
    vault.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert run_command(capfd, "preview", plan).status == 0
    assert (tmp_path / "asked").read_text().split() == gateway["auth"]["token"]["command"][1:]
