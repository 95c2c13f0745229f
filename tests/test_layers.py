"""The import contracts of pyproject.toml hold, and a module that breaks one is named."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

pytestmark = pytest.mark.source

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "orchestrator"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the copy of the package in ``folder``."""
    command = [sys.executable, "-c", "from importlinter.cli import import_linter; import_linter()"]
    return subprocess.run(
        [*command, "lint", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def copy(folder: Path, planted: Iterable[tuple[str, str]]) -> Path:
    """Copy the package and its contracts to ``folder``, with a line more in some modules."""
    shutil.copytree(PACKAGE, folder / "orchestrator", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    for module, line in planted:
        path = folder / "orchestrator" / module
        path.write_text(f"{path.read_text()}\n{line}\n")
    return folder


def test_every_contract_holds() -> None:
    ended = lint(ROOT)

    assert ended.returncode == 0, ended.stdout


PURE = (
    "gateways/envelope.py",
    "model/plan.py",
    "plan/reader.py",
    "report/values.py",
    "rules/retry.py",
    "text/names.py",
)
"""A module of each pure package."""

PLANTED = {
    "Purity": [(module, "import time") for module in PURE],
    "Purity from files": [
        ("rules/retry.py", "from pathlib import Path"),
        ("gateways/roma/gateway.py", "import os"),
    ],
    "Layers": [
        ("engine/waves.py", "from orchestrator.runs import start"),
        ("lanes/lane.py", "from orchestrator.journal import database"),
        ("rules/retry.py", "from orchestrator.transport import client"),
        ("api.py", "from orchestrator.display import live; from orchestrator.commands import run"),
    ],
    "sqlite3 in journal": [("engine/waves.py", "import sqlite3")],
    "OpenTelemetry and Prometheus in telemetry": [
        ("display/log.py", "from opentelemetry import trace"),
        ("report/values.py", "import prometheus_client"),
    ],
    "temporalio in distributed": [
        ("commands/run.py", "from temporalio.client import Client"),
        ("engine/session.py", "import temporalio.workflow"),
    ],
    "aiohttp": [("api.py", "from aiohttp import ClientSession")],
    "ssl in transport": [("engine/window.py", "import ssl")],
    "tenacity in engine": [("lanes/login.py", "import tenacity")],
    "structlog in the log": [("display/plain.py", "import structlog")],
    "rich in display and commands": [("preview/lines.py", "import rich")],
    "apprise in notify": [("display/phrases.py", "import apprise")],
    "click in the command line": [("runs/start.py", "import click")],
    "jinja2 in the HTML report": [("preview/markdown.py", "import jinja2")],
    "yaml in plan": [("discover/plan_text.py", "import yaml")],
    "A gateway knows no other": [
        ("gateways/roma/gateway.py", "from orchestrator.gateways.apinizer import gateway"),
    ],
    "A report's format knows no other": [
        ("report/formats/csv.py", "from orchestrator.report.formats import html")
    ],
}


def test_each_contract_is_broken_once() -> None:
    """A contract that nothing breaks might allow everything."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = [contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]]
    planted = re.compile(rf"(?:{'|'.join(map(re.escape, PLANTED))})(?:[:,]| and |$)")

    assert names
    assert [name for name in names if not planted.match(name)] == []


def test_each_contract_names_the_module_that_breaks_it(tmp_path: Path) -> None:
    ended = lint(copy(tmp_path, [line for lines in PLANTED.values() for line in lines]))

    assert ended.returncode == 1, ended.stdout
    told = ended.stdout.partition("Broken contracts")[2]
    for contract, lines in PLANTED.items():
        assert contract in told
        for module, _ in lines:
            assert f"orchestrator.{module.removesuffix('.py').replace('/', '.')} ->" in told, (
                contract,
                module,
            )


def test_a_new_package_must_be_given_its_place(tmp_path: Path) -> None:
    copy(tmp_path, [])
    (tmp_path / "orchestrator" / "utilities").mkdir()
    (tmp_path / "orchestrator" / "utilities" / "__init__.py").write_text("")

    ended = lint(tmp_path)

    assert ended.returncode == 1
    assert "orchestrator.utilities" in ended.stdout


def read_aiohttp_imports(path: Path) -> set[str]:
    """Return what a module takes from aiohttp: ``web`` is its server, all else its client."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            names |= {"".join(rest[:1]) or "ClientSession" for root, *rest in parts if root == "aiohttp"}
        elif isinstance(node, ast.ImportFrom) and node.module == "aiohttp":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp."):
            names.add(str(node.module).split(".")[1].partition("_")[0])
    return names


def find_misplaced_aiohttp(package: Path) -> list[str]:
    """Return the modules that take the server outside simulator and live, or the client outside transport."""
    found = []
    for path in sorted(package.rglob("*.py")):
        home = path.relative_to(package).parts[0]
        taken = read_aiohttp_imports(path)
        if ("web" in taken and home not in ("simulator", "live")) or (
            taken - {"web"} and home != "transport"
        ):
            found.append(path.relative_to(package).as_posix())
    return found


@pytest.mark.long("reads the whole tree")
def test_aiohttp_has_its_servers_and_its_client_at_home(tmp_path: Path) -> None:
    """import-linter knows aiohttp only as a whole."""
    lines = [
        ("live/server.py", "from aiohttp import ClientSession"),
        ("simulator/server.py", "from aiohttp import ClientSession"),
        ("simulator/process.py", "import aiohttp"),
        ("transport/client.py", "from aiohttp import web"),
        ("transport/tls.py", "from aiohttp.web_runner import AppRunner"),
    ]

    assert find_misplaced_aiohttp(PACKAGE) == []
    assert find_misplaced_aiohttp(copy(tmp_path, lines) / "orchestrator") == sorted(path for path, _ in lines)


@pytest.mark.long("reads the whole tree")
def test_nothing_catches_everything() -> None:
    """A few places may: to make status 3, to drop a listener that fails, to tell those who wait for a commit,
    to answer whoever steers a run or looks at its page (a bug there must not end it), to call a library whose
    errors may hold a secret, to try parts of aiohttp that may differ, to tell a run, or a
    look, of a bug in its worker, to raise an error again where no group of tasks wraps it.

    What tidies up and raises again catches nothing.
    """
    wide = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and ast.unparse(node.body[-1]) != "raise"
    ]

    assert [place.partition(":")[0] for place in wide] == [
        "cli.py",
        "display/live.py",
        "distributed/chunk_activity.py",
        "distributed/chunk_activity.py",
        "distributed/look_activity.py",
        "distributed/outage.py",
        "engine/dispatcher.py",
        "journal/writer.py",
        "journal/writer.py",
        "live/own_run.py",
        "live/routes.py",
        "live/server.py",
        "live/thread.py",
        "notify/channel.py",
        "notify/channel.py",
        "runs/control_socket.py",
        "transport/aiohttp_parts.py",
        "transport/credentials.py",
    ]


STATEMENT = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|PRAGMA|WITH|CREATE|DROP|ALTER|ATTACH|BEGIN|COMMIT)\s+"
    r"[\w*(]"
)
"""How a text begins that SQLite would run. A lone word is none: ``DELETE`` is a method of HTTP as well."""


def statements(text: str) -> list[int]:
    """Return the lines of the constants in a module's text that begin like an SQL statement."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value)
    ]


@pytest.mark.long("reads the whole tree")
def test_only_the_journal_speaks_sql() -> None:
    elsewhere = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "journal"
        for line in statements(path.read_text(encoding="utf-8"))
    ]

    assert elsewhere == []


@pytest.mark.parametrize(
    "line",
    [
        'rows = database.rows("SELECT id, wave FROM target")',
        'meta = dict(database.rows("SELECT key, value FROM meta"))',
        'database.run("PRAGMA user_version")',
        'NTH = f"SELECT seq FROM target WHERE {where}"',
        'NOTE = """\nINSERT INTO note VALUES (1)"""',
        'database.run("UPDATE target SET step = 1")',
    ],
)
def test_a_statement_is_found_wherever_it_begins(line: str) -> None:
    assert statements(line) == [1]


@pytest.mark.parametrize("line", ['method = "DELETE"', 'said = "Update the plan"', 'text = "select one"'])
def test_a_word_alone_is_no_statement(line: str) -> None:
    assert statements(line) == []
