"""Every screen and every file holds every name unbroken, in whatever script it is."""

from __future__ import annotations

import csv
import html
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from orchestrator.cli import execute
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from orchestrator.text.cells import cut_to_width, measure_width
from tests.support.collector import read_attributes, running_collector
from tests.support.names import ACCENTS_APART, CHINESE, FAMILY, GERMAN, MISLEADING, NAMES, REASON, TURKISH
from tests.support.told import serve_told

pytestmark = [
    pytest.mark.long("a simulator's process, and a run with all the commands about it"),
    pytest.mark.timeout(240),
]

ROOT = Path(__file__).parents[2]
PLAN = f"{TURKISH}, {CHINESE}"
ENVIRONMENT = "\u00fcretim 生产"
REFUSED = f"\u0130ste\u011fe izin verilmedi: {CHINESE}"
TARGETS = {name: f"apim/{text}/{text}-api/{ENVIRONMENT}" for name, text in NAMES.items()}
FOLDER = f"{GERMAN} {CHINESE}"
STATE = "durum ü"
ENVIRON = {"APINIZER_TOKEN": FAKE_TOKEN, "UNDEPLOY_STATE": "durum ü", "TERM": "dumb"}
PLAN_FILE, TABLE, APPROVAL = "计划 \u0131.yaml", "hedefler \u0131ğ.csv", "Freigabe ß.json"


def write_plan(folder: Path, url: str) -> None:
    """Write a plan with a wave for each name: most name their target, the last reads it from a table."""
    waves = [
        {
            "name": text,
            "targets": [
                {
                    "gateway": "apim",
                    "project": text,
                    "proxy": f"{text}-api",
                    "environment": ENVIRONMENT,
                    "description": f"{text} {FAMILY}",
                }
            ],
        }
        for text in NAMES.values()
    ]
    chinese = waves[list(NAMES).index("Chinese")]["targets"][0]  # type: ignore[index]
    # Beside the target that is refused: a wave in which nothing goes down ends the run.
    chinese["environments"] = [chinese.pop("environment"), "test"]
    last = waves[-1]["targets"][0]  # type: ignore[index]
    del last["gateway"]
    with (folder / TABLE).open("w", encoding="utf-8-sig", newline="") as table:
        writer = csv.DictWriter(table, fieldnames=list(last))
        writer.writeheader()
        writer.writerow(last)
    waves[-1]["targets"] = [{"gateway": "apim", "from_file": TABLE}]
    gateway = {"kind": "apinizer", "url": url, "auth": {"token": {"env": "APINIZER_TOKEN"}}}
    plan = {
        "version": 1,
        "name": PLAN,
        "reason": REASON,
        "gateways": {"apim": gateway},
        "stop_when": {"failed": "100%", "unknown": "100%", "surprising": "100%"},
        "waves": waves,
    }
    (folder / PLAN_FILE).write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")


class Command(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


class Walk:
    """A run of the plan and all commands about it; ``texts`` are what they show and write, by a name."""

    def __init__(self, folder: Path, platform: RunningSimulators) -> None:
        self.folder = folder
        self.platform = platform
        self.texts: dict[str, str] = {}
        self.run = ""

    def undeploy(self, *arguments: str, env: Mapping[str, str] | None = None) -> Command:
        """Run a command line in this process, in the walk's folder and in UTF-8."""
        out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
            for name, value in {**ENVIRON, **(env or {})}.items():
                patch.setenv(name, value)
            status = execute(arguments)
        return Command(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]

    def show(self, name: str, *arguments: str, status: int = 0) -> Command:
        """Run a command that ends with ``status``, and keep what it writes to stdout."""
        ended = self.undeploy(*arguments)
        assert ended.status == status, ended
        self.texts[name] = ended.out
        return ended


def take_walk(walk: Walk) -> None:
    """Go from the plan through a run to its restore, and keep every text on the way."""
    walk.show("check", "check", PLAN_FILE)
    walk.show("preview", "preview", PLAN_FILE, "--save", APPROVAL)
    walk.show("preview as Markdown", "preview", PLAN_FILE, "--format", "markdown")
    walk.show("preview as JSON", "preview", PLAN_FILE, "--format", "json")
    walk.texts["approval"] = (walk.folder / APPROVAL).read_text(encoding="utf-8")
    with serve_told() as people, running_collector() as collector:
        ran = walk.undeploy(
            *("run", PLAN_FILE, "--approval", APPROVAL, "--events", "olaylar.jsonl", "--notify", "env:HOOK"),
            *("--report-dir", "报告"),
            env={"HOOK": people.url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
        )
    assert ran.status == 1, ran
    walk.run = ran.out.partition("\n")[0].removeprefix("run: ")
    walk.texts["lines of the run"] = ran.err
    walk.texts["notifications"] = json.dumps(people.told, ensure_ascii=False)
    spans = [read_attributes(span.attributes) for span in collector.spans]
    walk.texts["spans"] = json.dumps(spans, ensure_ascii=False)
    walk.texts["events"] = (walk.folder / "olaylar.jsonl").read_text(encoding="utf-8")
    for form in ("json", "html", "md", "csv", "xml"):
        kept = walk.folder / STATE / "runs" / walk.run / f"report.{form}"
        walk.texts[f"report.{form}"] = kept.read_text(encoding="utf-8")
        assert (walk.folder / "报告" / f"report.{form}").read_bytes() == kept.read_bytes()
    walk.texts["what the gateway was sent"] = repr(walk.platform.books())
    walk.show("runs", "runs")
    walk.show("runs as JSON", "runs", "--format", "json")
    walk.show("status", "status", walk.run)
    walk.show("status as JSON", "status", walk.run, "--format", "json")
    walk.show("remainder", "remainder", walk.run)
    (walk.folder / "kalan.yaml").write_text(walk.texts["remainder"], encoding="utf-8")
    walk.show("check of the remainder", "check", "kalan.yaml")
    restored = walk.undeploy(
        "restore", walk.run, "--yes", "--log-level", "debug", "--log-format", "json", "--quiet"
    )
    assert restored.status == 0, restored
    walk.texts["log as JSON"] = restored.err
    walk.show("report of the chain", "report", walk.run, "--chain", "--format", "markdown")
    walk.show("discover", "discover", "--from", PLAN_FILE)
    (walk.folder / "bulunan.yaml").write_text(walk.texts["discover"], encoding="utf-8")
    walk.show("check of what was discovered", "check", "bulunan.yaml")
    rehearsed = walk.undeploy(
        "rehearse", PLAN_FILE, "--storm", "0", "--log-level", "debug", "--log-format", "text"
    )
    assert rehearsed.status == 0, rehearsed
    walk.texts["log as text"] = rehearsed.err


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("languages") / FOLDER
    folder.mkdir()
    targets = tuple((text, f"{text}-api", ENVIRONMENT) for text in NAMES.values())
    refused = InjectedFault(
        kind=FaultKind.STATUS, status=403, on=FaultScope.UNDEPLOY, code="forbidden", message=REFUSED, times=0
    )
    # A platform of its own: the walk lasts over many tests.
    manager = ApinizerFixture(name="apim", targets=(*targets, (CHINESE, f"{CHINESE}-api", "test")))
    with start_simulators(SimulatorFixture(gateways=(manager,))) as platform:
        write_plan(folder, platform.urls["apim"])
        platform.expect(FaultScenario(script={TARGETS["Chinese"]: (refused,)}))
        walk = Walk(folder, platform)
        take_walk(walk)
        yield walk


def as_it_is(text: str) -> str:
    return text


def read_json_lines(text: str) -> str:
    """Return JSON without its escapes, as a program reads it."""
    return "\n".join(json.dumps(json.loads(line), ensure_ascii=False) for line in text.splitlines())


def read_json(text: str) -> str:
    return json.dumps(json.loads(text), ensure_ascii=False)


def read_xml(text: str) -> str:
    return "\n".join(
        "\n".join(element.attrib.values()) + (element.text or "") for element in ET.fromstring(text).iter()
    )


IDS: dict[str, Callable[[str], str]] = {
    "preview": as_it_is,
    "preview as Markdown": as_it_is,
    "preview as JSON": read_json,
    "approval": read_json,
    "events": read_json_lines,
    "spans": as_it_is,
    "report.json": read_json,
    "report.html": html.unescape,
    "report.csv": as_it_is,
    "report.xml": read_xml,
    "what the gateway was sent": as_it_is,
    "log as text": as_it_is,
    "log as JSON": read_json_lines,
}
"""What names all targets that it is about."""

WAVES: dict[str, Callable[[str], str]] = {
    "check": as_it_is,
    "preview": as_it_is,
    "preview as JSON": read_json,
    "events": read_json_lines,
    "lines of the run": as_it_is,
    "spans": as_it_is,
    "report.json": read_json,
    "report.html": html.unescape,
    "report.md": as_it_is,
    "report.csv": as_it_is,
    "report.xml": read_xml,
    "status as JSON": read_json,
    "notifications": as_it_is,
}
"""What names all waves."""

PLANS: dict[str, Callable[[str], str]] = {
    **IDS,
    **WAVES,
    "runs": as_it_is,
    "runs as JSON": read_json,
    "status": as_it_is,
    "remainder": as_it_is,
    "check of the remainder": as_it_is,
    "report of the chain": as_it_is,
    "discover": as_it_is,
    "check of what was discovered": as_it_is,
}
"""What names the plan."""

WITHOUT_PLAN = {"approval", "report.csv", "what the gateway was sent"}
OF_WHAT_WENT_DOWN = {"log as JSON"}
"""It is of the restore, which has nothing to do with the target that was refused."""


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("screen", IDS)
def test_a_targets_name_is_whole_in(walk: Walk, screen: str, name: str) -> None:
    is_there = TARGETS[name] in IDS[screen](walk.texts[screen])

    assert is_there or (screen in OF_WHAT_WENT_DOWN and name == "Chinese")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("screen", WAVES)
def test_a_waves_name_is_whole_in(walk: Walk, screen: str, name: str) -> None:
    assert NAMES[name] in WAVES[screen](walk.texts[screen])


@pytest.mark.parametrize("screen", sorted(PLANS.keys() - WITHOUT_PLAN))
def test_the_plans_name_is_whole_in(walk: Walk, screen: str) -> None:
    assert PLAN in PLANS[screen](walk.texts[screen])


@pytest.mark.parametrize(
    "screen",
    ["report.json", "report.html", "report.md", "report.csv", "report.xml", "lines of the run", "spans"],
)
def test_what_a_gateway_says_is_whole_in(walk: Walk, screen: str) -> None:
    assert REFUSED in PLANS[screen](walk.texts[screen])


@pytest.mark.parametrize(
    "screen", ["report.json", "report.xml", "runs as JSON", "status as JSON", "log as JSON"]
)
def test_a_reason_is_whole_in_data(walk: Walk, screen: str) -> None:
    assert REASON in PLANS[screen](walk.texts[screen])


@pytest.mark.parametrize("screen", ["preview", "report.html", "report.md"])
def test_a_joiner_of_pictures_is_written_out_for_people(walk: Walk, screen: str) -> None:
    text = html.unescape(walk.texts[screen])

    assert REASON.replace("\u200d", "\\u200d") in text
    assert not any(letter in text for letter in MISLEADING.values())


def test_the_gateway_gets_names_and_descriptions_as_they_are_written(walk: Walk) -> None:
    """Its books hold the ids by what the addresses decode to, and each proxy was taken down once."""
    books = walk.platform.books().targets

    assert set(books) == {*TARGETS.values(), f"apim/{CHINESE}/{CHINESE}-api/test"}
    assert [name for name, target in TARGETS.items() if books[target].undeploys != 1] == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_target_is_shown_with_its_accents_as_they_are_typed(walk: Walk, form: Any) -> None:
    for text in NAMES.values():
        shown = walk.undeploy("show", walk.run, normalize(form, f"{text}-api/{ENVIRONMENT}"))
        assert shown.status == 0, shown
        assert f"apim/{text}/{text}-api/{ENVIRONMENT}" in shown.out


@pytest.mark.parametrize(("screen", "begins"), [("check", "wave     {}"), ("preview", "{}  ")])
def test_columns_stand_below_each_other(walk: Walk, screen: str, begins: str) -> None:
    lines = walk.texts[screen].splitlines()
    rows = [line for line in lines for text in NAMES.values() if line.startswith(begins.format(text))]

    assert len(rows) == len(NAMES)
    assert len({measure_width(line) for line in rows}) == 1


def test_a_pattern_goes_by_letters_and_never_by_case(walk: Walk) -> None:
    """In Turkish the capital of i is \u0130; no pattern is folded in any way."""
    asked = {
        "apim/\u00d6deme \u0130\u015flemleri*/**": 1,
        "apim/\u00d6deme I\u015flemleri*/**": 0,
        "apim/\u00f6deme*/**": 0,
        "apim/\u00d6DEME*/**": 0,
        f"apim/{normalize('NFC', ACCENTS_APART)}/**": 1,
        f"apim/{normalize('NFD', TURKISH)}/**": 1,
        "apim/Pr\u00fcfstelle Strassenverkehr*/**": 0,
        "apim/*/*/\u00fcretim ??": len(NAMES),
        "apim/????/**": 1,
    }
    for pattern, count in asked.items():
        ended = walk.undeploy("preview", PLAN_FILE, "--format", "json", "--only", pattern)
        found = json.loads(ended.out)["targets"] if ended.status in (0, 1) and ended.out else []
        assert sum(each["state"] != "filtered" for each in found) == count, pattern


def test_no_terminal_ends_a_command_by_its_character_set(walk: Walk) -> None:
    """Latin-1 lacks the Chinese characters and half of the Turkish ones."""
    walk.platform.expect(FaultScenario())
    for command in (["check", PLAN_FILE], ["run", PLAN_FILE, "--yes", "--state", "durum 2"], ["runs"]):
        ended = subprocess.run(
            [sys.executable, "-m", "orchestrator", *command],
            cwd=walk.folder,
            env={**os.environ, **ENVIRON, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=40,
            check=False,
        )
        assert ended.returncode == 0, (command, ended.stderr)
        assert "\\u652f\\u4ed8" in f"{ended.stdout.decode('latin-1')}{ended.stderr.decode('latin-1')}"
    (report,) = walk.folder.glob("durum 2/runs/*/report.json")
    assert json.loads(report.read_bytes())["totals"]["undeployed"] == len(NAMES) + 1


@pytest.fixture
def tmux(walk: Walk) -> Iterator[Callable[..., str]]:
    """Runs a command of a terminal multiplexer, with a server of its own: one that ends refuses sessions."""
    program = shutil.which("tmux")
    if program is None:
        pytest.skip("tmux is not installed")
    server = uuid4().hex

    def run(*arguments: str) -> str:
        command = [program, "-L", server, "-f", os.devnull, *arguments]
        env = {**os.environ, **ENVIRON, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        return subprocess.run(
            command, cwd=walk.folder, env=env, capture_output=True, check=True
        ).stdout.decode()

    yield run
    run("kill-server")


@pytest.mark.parametrize("columns", [80, 140])
def test_the_live_picture_fits_a_terminal(walk: Walk, tmux: Callable[..., str], columns: int) -> None:
    """What the multiplexer takes for a wide character is two cells of the picture, too."""
    rehearsal = ("rehearse", PLAN_FILE, "--storm", "100%:slow@3", "--state", f"wide {columns}")
    command = shlex.join([sys.executable, "-m", "orchestrator", *rehearsal])
    tmux("new-session", "-d", "-x", str(columns), "-y", "40", "-s", "s", f"{command}; sleep 60")
    ends = time.monotonic() + 60
    while f"wave 2 of {len(NAMES)}" not in (shown := tmux("capture-pane", "-p", "-t", "s")):
        assert time.monotonic() < ends, shown
        time.sleep(0.1)
    tmux("send-keys", "-t", "s", "C-c", "C-c")
    lines = shown.splitlines()
    (heading,) = (line for line in lines if line.startswith("wave ") and "unknown" in line)
    rows = [line for line in lines if line[:2] in ("\u2713 ", "\u25b6 ", "\u00b7 ") and "/" in line]
    end = measure_width(heading[: heading.index("ended") + len("ended")])

    assert f"REHEARSAL  {PLAN}" in lines[0]
    assert max(map(measure_width, lines)) < columns
    assert f"wave 2 of {len(NAMES)}, {GERMAN}, goes on" in shown
    assert [rows[place][2:].startswith(text) for place, text in enumerate((TURKISH, GERMAN, CHINESE))] == [
        True
    ] * 3
    assert len(rows) == len(NAMES)
    assert {cut_to_width(row, end)[-3:-1] for row in rows} == {"0/", "1/"}
