"""The help texts of the pages are those of the program, and the plans that they show are plans."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from msgspec import Struct

from docs import commands, dependencies, events, manual, metrics, packages
from docs.made_part import MadePart
from orchestrator import cli
from orchestrator.gateways import KINDS
from orchestrator.model.forecast import Forecast, GatewayForecast, WaveForecast
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan, StopWhen, Wave, Window
from orchestrator.model.reading import LookFacts, Snapshot
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    IamLogin,
    Limits,
    ManagerLogin,
    Retry,
    Tls,
)
from orchestrator.model.usage import Usage
from orchestrator.rules.forecast import encode_forecast
from orchestrator.simulator.control import control
from orchestrator.simulator.faults import NAMES, FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.platforms import SimulatedPlatforms

ROOT = Path(__file__).parent.parent
COMMANDS = ROOT / "docs" / "commands.md"
PLAN = re.compile(r"^```yaml\n(?P<plan>version: 1\n.*?)^```$", re.DOTALL | re.MULTILINE)
# A fenced block whose first line is a command that asks for help; its output follows.
BLOCK = re.compile(
    r"^```[a-z]*\n\$ undeploy (?P<arguments>[^\n]*--help)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


def test_the_page_about_commands_shows_the_help_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click.formatting, "FORCED_WIDTH", 80)
    shown = {found["arguments"]: found["text"] for found in BLOCK.finditer(COMMANDS.read_text("utf-8"))}

    assert shown.keys() == {"--help", *(f"{name} --help" for name in cli.COMMANDS)}
    for arguments, text in shown.items():
        assert cli.execute(shlex.split(arguments)) == 0
        assert text.strip() == capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", ["README.md", "docs/plan-format.md"])
def test_a_plan_that_is_shown_is_a_plan(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "retired.csv").write_text("ld_api_id\nbd42841c20184da6bbf457c6d8a06e38\n")
    shown = PLAN.findall((ROOT / page).read_text(encoding="utf-8"))
    assert shown
    for number, text in enumerate(shown):
        plan = tmp_path / f"{number}.yaml"
        plan.write_text(text, encoding="utf-8")

        assert cli.execute(["check", str(plan)]) == 0, capsys.readouterr().err


@pytest.mark.source
@pytest.mark.parametrize(
    "part",
    [commands.PART, dependencies.PART, events.PART, metrics.PART, packages.PART],
    ids=lambda part: part.module,
)
def test_what_a_command_writes_into_a_page_is_as_the_code_is(part: MadePart) -> None:
    assert part.renew() == part.read(), f"python -m {part.module} writes it anew"


@pytest.mark.source
@pytest.mark.parametrize("struct", [*events.list_events(), *events.list_parts()], ids=events.name_struct)
def test_the_page_about_events_says_what_each_field_holds(struct: type[Struct]) -> None:
    texts = events.read_field_texts(struct) | dict.fromkeys(events.COMMON, "said")
    told = set(re.findall(r"``(\w+)``", inspect.getdoc(struct) or ""))

    assert [name for name in struct.__struct_fields__ if not texts[name] and name not in told] == []


STRUCTS = (
    Plan,
    Wave,
    StopWhen,
    Window,
    Auth,
    CredentialReference,
    IamLogin,
    ManagerLogin,
    Limits,
    Retry,
    Tls,
)


@pytest.mark.parametrize("struct", [*STRUCTS, *KINDS.values()], ids=lambda struct: struct.__name__)
def test_the_page_about_plans_describes_every_key(struct: type[Struct]) -> None:
    page = re.sub(
        r"```.*?```", "", (ROOT / "docs/plan-format.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    described = {word for code in re.findall(r"`([^`]+)`", page) for word in re.findall(r"\w+", code)}

    assert set(struct.__struct_fields__) <= described


def test_the_page_about_reports_says_what_each_word_of_a_reason_means() -> None:
    page = (ROOT / "docs/report-format.md").read_text(encoding="utf-8")
    _, _, section = page.partition("### The words of a reason")
    table, _, _ = section.partition("\n#")

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(Reason)


@pytest.mark.parametrize(("option", "page"), [("events", "events"), ("notify", "notifications")])
def test_the_page_about_an_option_names_every_command_that_has_it(option: str, page: str) -> None:
    beginning = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")[:300]
    named = set(re.findall(r"`(\w+)`", beginning)) & set(cli.COMMANDS)
    context = click.Context(cli.undeploy)
    commands = {name: cli.undeploy.get_command(context, name) for name in cli.COMMANDS}

    assert named == {
        name for name, each in commands.items() if each and option in (one.name for one in each.params)
    }


def list_torn_lists(text: str) -> Iterator[str]:
    """Yield each line of prose that stands at the margin right below an item of a list."""
    inside, fenced = False, False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        item = re.match(r"([-*]|\d+\.) ", line) is not None
        if inside and not fenced and line and not item and not line.startswith((" ", "<!--", "```")):
            yield line
        inside = not fenced and (item or (inside and line.startswith(" ")))


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_paragraph_of_a_page_sticks_to_a_list(page: Path) -> None:
    assert list(list_torn_lists("- one\n  more\nA torn one\n\n- two\n\nWhole")) == ["A torn one"]
    assert list(list_torn_lists(page.read_text("utf-8"))) == []


def test_decisions_have_their_dates_and_stand_in_that_order() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text("utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    dates = [re.search(r"\((\d{4}-\d\d-\d\d)[^()]*\)$", title) for title in titles]

    assert [title for title, date in zip(titles, dates, strict=True) if date is None] == []
    days = [date[1] for date in dates if date]
    assert days == sorted(days)


def test_the_readme_is_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


FOLDERS = ("orchestrator", "tests", "docs", "bench", "plans", ".ci")
# Decisions tell of files that were; the changelog tells no files.
TODAY = [page for page in PAGES if page.name not in {"decisions.md", "CHANGELOG.md"}]


@pytest.mark.source
@pytest.mark.parametrize("page", TODAY, ids=lambda page: page.stem)
def test_each_file_of_the_source_that_a_page_names_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    packages = {path.name for path in (ROOT / "orchestrator").iterdir() if path.is_dir()}
    for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text):
        first = name.partition("/")[0]
        if first in FOLDERS:
            assert (ROOT / name).exists(), name
        elif first in packages:
            assert (ROOT / "orchestrator" / name).exists(), name


def test_the_page_about_commands_has_the_variables_of_the_manual_page() -> None:
    _, _, section = COMMANDS.read_text("utf-8").partition("## Environment variables\n")
    named = set(re.findall(r"`([A-Z_]+\*?)`", section.partition("\n## ")[0]))

    assert named == {name for names in manual.ENVIRONMENT for name in names.split(", ")}


def test_the_page_about_runs_names_each_key_of_the_status_and_its_forecast() -> None:
    page = (ROOT / "docs" / "running.md").read_text("utf-8")
    (told,) = re.findall(r"^`--format json` writes one object a line.*?\n\n", page, re.DOTALL | re.MULTILINE)
    gateway, wave = GatewayForecast(name="roma-eu"), WaveForecast(name="canary")
    forecast = encode_forecast(Forecast(gateways=(gateway,), waves=(wave,)))

    keys = {*forecast, *forecast["gateways"][0], *forecast["waves"][0]}
    assert keys <= set(re.findall(r"`(\w+)`", told))


@pytest.mark.parametrize(
    ("page", "structs"),
    [("running", (Snapshot, LookFacts)), ("preview", (Usage,))],
    ids=["running", "preview"],
)
def test_a_page_names_each_key_of_what_programs_read(page: str, structs: tuple[type[Struct], ...]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    named = {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}

    assert {name for struct in structs for name in struct.__struct_fields__} <= named


SIMULATORS = ROOT / "docs" / "simulators.md"


def test_the_page_about_simulators_names_each_fault_and_each_key_of_one() -> None:
    page = SIMULATORS.read_text("utf-8")
    named = set(re.findall(r"`([a-z_-]+)(?:@[\d.]+)?`", page))

    assert named >= {*NAMES, *InjectedFault.__struct_fields__, *(scope.value for scope in FaultScope)}


def test_the_documents_for_simulators_are_taken(tmp_path: Path) -> None:
    page = SIMULATORS.read_text("utf-8")
    faults, seed = re.findall(r"```json title=\S+\n(.*?)```", page, re.DOTALL)
    (tmp_path / "seed.json").write_text(seed, "utf-8")
    platforms = SimulatedPlatforms(
        SimulatorFixture.from_file(tmp_path / "seed.json"), FaultScenario(), now=1e9
    )

    for method, address, body in (
        ("GET", "/_books", ""),
        ("GET", "/_requests?after=0&limit=1", ""),
        ("POST", "/_faults", faults),
        ("POST", "/_seed", seed),
    ):
        assert f"`{method} {address.partition('?')[0]}" in page
        assert control(platforms, method, address, body.encode(), now=1e9).status in {200, 204}
    assert set(re.findall(r"^\| `(\w+ /_\w+)", page, re.MULTILINE)) == set(
        re.findall(r"(\w+ /_\w+)", control(platforms, "GET", "/_", b"", now=1e9).body.decode())
    )


@pytest.mark.source
def test_no_message_sends_a_person_to_a_page_that_the_wheel_does_not_bring() -> None:
    for module in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Raise | ast.Call):
                texts = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
                assert not any(isinstance(text, str) and "docs/" in text for text in texts), module
