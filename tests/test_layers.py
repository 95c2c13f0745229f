"""The import rules of docs/architecture.md, over the syntax tree; a broken one fails with its place."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "orchestrator"

# Above the line of the architecture page: no socket, no clock, no die. `report/` and `plan/` may read and
# write the files that they are handed.
PURE = (
    "errors",
    "wire",
    "model",
    "names",
    "catalog",
    "events",
    "forecast",
    "framing",
    "masking",
    "plan",
    "preview.approval",
    "preview.forecast",
    "preview.lines",
    "preview.replay",
    "preview.states",
    "preview.warnings",
    "gateways",
    "retry",
    "schedule",
    "report",
    "progress",
    "proxies",
)
WITH_FILES = ("plan", "report")
IMPURE = {
    "aiohttp", "anyio", "asyncio", "click", "concurrent", "http", "multiprocessing", "random", "requests",
    "rich", "secrets", "select", "selectors", "signal", "socket", "sqlite3", "ssl", "structlog", "subprocess",
    "tenacity", "threading", "time", "urllib.request",
}  # fmt: skip
FILES = {"glob", "io", "os", "pathlib", "shutil", "tempfile"}

# Who may import what: the prefixes of module names below `orchestrator`.
CONFINED = {
    "aiohttp": ("connections", "transport", "simulator"),
    "sqlite3": ("journal",),
    "tenacity": ("undeploy",),
    "structlog": ("log",),
    "rich": ("console", "commands"),
    "click": ("cli", "commands", "simulate.__main__"),
    "jinja2": ("report",),
    "ssl": ("trust", "doctor"),
    "yaml": ("plan",),
}

# (importing, imported): what must not know of what. An inner layer knows nothing of an outer one.
FORBIDDEN = (
    ("undeploy", "transport"),
    ("undeploy", "journal"),
    ("model", "gateways"),
    ("gateways", "plan"),
    ("retry", "lane"),
    ("schedule", "lane"),
    ("report", "journal"),
    ("report", "api"),
    ("journal", "api"),
    ("journal", "executor"),
    ("lane", "executor"),
    ("lane", "journal"),
    ("executor", "api"),
    ("executor", "console"),
    ("executor", "log"),
    ("api", "cli"),
    ("api", "commands"),
    ("api", "console"),
    ("api", "log"),
    ("console", "api"),
    ("log", "api"),
    ("trust", "transport"),
    ("proxies", "transport"),
    ("transport", "lane"),
    ("transport", "executor"),
    ("simulator", "gateways"),
    ("catalog", "gateways"),
    ("discover", "journal"),
    ("discover", "commands"),
    ("discover", "executor"),
)


class Import(NamedTuple):
    """One import statement: in which module, of what, and where."""

    module: str
    imported: str
    where: str


def imports_of(path: Path, package: Path) -> Iterator[Import]:
    parts = path.relative_to(package).with_suffix("").parts
    module = ".".join(part for part in parts if part != "__init__")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(package.parent)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}: a relative import hides its direction"
            yield from (Import(module, f"{node.module}.{alias.name}", where) for alias in node.names)


def typing_only(path: Path) -> set[int]:
    """The lines under ``if TYPE_CHECKING``: they import nothing when the program runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or block.lineno) + 1)}


def running_imports(package: Path = PACKAGE) -> Iterator[Import]:
    for path in sorted(package.rglob("*.py")):
        skipped = typing_only(path)
        for found in imports_of(path, package):
            if int(found.where.rpartition(":")[2]) not in skipped:
                yield found


def within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def ours(imported: str) -> str:
    return imported.removeprefix("orchestrator.")


def impure(found: Import) -> bool:
    if not within(found.module, *PURE):
        return False
    banned = IMPURE if within(found.module, *WITH_FILES) else IMPURE | FILES
    return within(found.imported, *banned)


def unconfined(found: Import) -> bool:
    homes = next((homes for library, homes in CONFINED.items() if within(found.imported, library)), None)
    return homes is not None and not within(found.module, *homes)


def reaches_out(found: Import) -> bool:
    if not found.imported.startswith("orchestrator."):
        return False
    return any(within(found.module, a) and within(ours(found.imported), b) for a, b in FORBIDDEN)


KINDS = {"gateways": ("apinizer", "roma"), "report": ("csv", "html", "json", "junit", "markdown")}


def knows_its_sibling(found: Import) -> bool:
    """Gateways do not know one another, and neither do report formats."""
    for folder, members in KINDS.items():
        homes = tuple(f"{folder}.{member}" for member in members)
        home = next((home for home in homes if within(found.module, home)), None)
        others = tuple(other for other in homes if other != home)
        if home and within(ours(found.imported), *others) and found.imported.startswith("orchestrator."):
            return True
    return False


RULES: dict[str, Callable[[Import], bool]] = {
    "purity": impure,
    "confinement": unconfined,
    "direction": reaches_out,
    "independence": knows_its_sibling,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_package_obeys(rule: str) -> None:
    broken = [
        f"{found.where} {found.module} imports {found.imported}"
        for found in running_imports()
        if RULES[rule](found)
    ]

    assert not broken, f"{rule}:\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "file", "source"),
    [
        ("purity", "retry.py", "import time"),
        ("purity", "gateways/roma.py", "from pathlib import Path"),
        ("purity", "schedule.py", "def f():\n    from random import random"),
        ("confinement", "executor.py", "import sqlite3"),
        ("confinement", "api.py", "from aiohttp import ClientSession"),
        ("confinement", "transport.py", "import ssl"),
        ("direction", "undeploy.py", "from orchestrator.transport import connect"),
        ("direction", "api.py", "from orchestrator import console"),
        ("independence", "gateways/roma.py", "from orchestrator.gateways.apinizer import Apinizer"),
        ("independence", "report/csv.py", "from orchestrator.report import html"),
    ],
)
def test_a_broken_rule_is_found_with_its_place(tmp_path: Path, rule: str, file: str, source: str) -> None:
    path = tmp_path / "orchestrator" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)

    broken = [found for found in running_imports(tmp_path / "orchestrator") if RULES[rule](found)]

    assert [found.where for found in broken] == [f"orchestrator/{file}:{len(source.splitlines())}"]


def test_what_only_the_type_checker_reads_is_not_an_import(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator" / "retry.py"
    path.parent.mkdir()
    path.write_text("if TYPE_CHECKING:\n    import time\n")

    assert list(running_imports(tmp_path / "orchestrator")) == []


def test_every_rule_speaks_of_modules_that_exist() -> None:
    """A renamed module must not slip out of its rule."""
    named = {
        *PURE,
        *(home for homes in CONFINED.values() for home in homes),
        *(name for pair in FORBIDDEN for name in pair),
    }
    files = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")}
    modules = {".".join(path.parts) for path in files} | {path.parts[0] for path in files}

    assert named <= modules


def test_nothing_catches_everything() -> None:
    """A few places may: to make status 3, to drop a listener that fails, to tell those who wait for a commit,
    to answer who steers a run (a bug there must not end it), to note a simulated run's bug.

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
        "desk.py",
        "journal/writer.py",
        "journal/writer.py",
        "session.py",
        "simulate/play.py",
    ]
