"""The table of formats, and how reports get onto the disk."""

from __future__ import annotations

import ast
import errno
import gc
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, cast

import pytest
from msgspec.structs import replace

from orchestrator.errors import JournalError, UsageError
from orchestrator.report.formats import FORMATS, ReportFormat, ReportStream, find_format
from orchestrator.report.values import ReportSource, SessionReport, TargetReport
from orchestrator.report.writing import ReportError, are_current, write_all, write_report
from tests.support.made_up_runs import (
    STARTED,
    FakeReportSource,
    build_run,
    build_target,
    make_up_run,
    render_report,
)

FILES = {
    "json": "report.json",
    "csv": "report.csv",
    "junit": "report.xml",
    "markdown": "report.md",
    "html": "report.html",
}


def test_the_table_keeps_the_names_of_formats_and_files_that_other_programs_know() -> None:
    assert {name: FORMATS[name].file for name in FILES} == FILES


def test_importing_the_package_imports_no_format_and_no_template_engine() -> None:
    code = (
        "import sys, orchestrator.report.writing; from orchestrator.report.formats import FORMATS; "
        "heavy = {'jinja2', *(form.module for form in FORMATS.values())}; "
        "print(sorted(heavy & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("ending", "name"),
    [(".json", "json"), (".XML", "junit"), (".htm", "html"), (".markdown", "markdown"), ("", None)],
)
def test_the_ending_of_a_file_stands_for_a_format(ending: str, name: str | None) -> None:
    assert find_format(ending) == name


def _write_plain(source: ReportSource, out: TextIO) -> ReportStream:
    out.write(f"{source.report.run.id}\n")
    while targets := (yield):
        out.writelines(f"{target.id}\n" for target in targets)


def test_a_new_format_is_a_module_and_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = ModuleType("added")
    added.write = _write_plain  # type: ignore[attr-defined]  # a module's own
    monkeypatch.setitem(sys.modules, "added", added)
    monkeypatch.setitem(cast("dict[str, ReportFormat]", FORMATS), "text", ReportFormat("added", (".txt",)))

    source = make_up_run(1)

    write_all(source, tmp_path)

    told = [build_run().id, *(target.id for target in source.targets())]
    assert (tmp_path / "report.txt").read_text(encoding="utf-8").splitlines() == told
    assert find_format(".TXT") == "text"


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_imports_another(name: str) -> None:
    spec = find_spec(FORMATS[name].module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))

    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert not imported & {form.module for form in FORMATS.values()}


def test_the_error_for_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'pdf'.*json, junit, html, markdown, csv"):
        write_report("pdf", make_up_run(1), StringIO())


def test_all_reports_are_written_private_and_whole(tmp_path: Path) -> None:
    source = make_up_run(60)

    write_all(source, tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {form.file for form in FORMATS.values()}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    for name, form in FORMATS.items():
        assert (tmp_path / form.file).read_bytes().decode() == render_report(name, source)


def test_a_report_that_was_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old", encoding="utf-8")

    write_all(make_up_run(1), tmp_path)

    assert (tmp_path / "report.json").read_text(encoding="utf-8").startswith('{"schema":1')


def test_one_format_that_fails_leaves_the_others_and_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "report.csv").mkdir()  # nothing can be renamed onto it

    run = re.escape(make_up_run(6).report.run.id)
    advice = rf"report\.csv.*`undeploy report {run} --format FORMAT --state elsewhere`"
    with pytest.raises(ReportError, match=advice) as caught:
        write_all(make_up_run(6), tmp_path, state_option=" --state elsewhere")

    assert set(caught.value.failures) == {"report.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {form.file for form in FORMATS.values()}


class _Torn(FakeReportSource):
    def targets(self) -> Iterable[TargetReport]:
        yield build_target()
        raise JournalError("the journal ends in the middle of a row")


def test_a_journal_that_breaks_half_way_keeps_the_old_report(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old", encoding="utf-8")

    with pytest.raises(ReportError, match="middle of a row") as caught:
        write_all(_Torn((build_target(),), build_run()), tmp_path)

    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "old"
    assert caught.value.failures.keys() >= {"report.json", "report.xml", "report.html", "report.csv"}
    whole = {form.file for form in FORMATS.values()} - caught.value.failures.keys()
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", *whole}


class _CountingReads(FakeReportSource):
    """Counts how often its targets are read, and how many of them."""

    reads = 0
    taken = 0

    def targets(self) -> Iterable[TargetReport]:
        self.reads += 1
        for target in super().targets():
            self.taken += 1
            yield target


def test_one_read_of_the_targets_serves_all_formats(tmp_path: Path) -> None:
    source = _CountingReads(tuple(make_up_run(500).targets()), build_run())

    write_all(source, tmp_path)

    assert (source.reads, source.taken) == (1, 500)


def _count_iterators() -> int:
    gc.collect()
    return sum(isinstance(each, Iterator) for each in gc.get_objects())


def test_a_report_leaves_nothing_in_memory() -> None:
    source = make_up_run(3)

    def write_each() -> None:
        for name in FORMATS:
            write_report(name, source, StringIO())

    write_each()  # what is kept for all further reports
    before = _count_iterators()
    write_each()
    write_each()

    assert _count_iterators() == before


def test_a_report_without_targets_reads_none() -> None:
    source = _CountingReads(tuple(make_up_run(500).targets()), build_run())

    write_report("markdown", source, StringIO())

    assert source.taken == 0


@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_is_full_in_the_middle_of_one_report_spares_the_others(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_until_full(source: ReportSource, out: TextIO) -> ReportStream:
        out.write("the beginning")
        yield
        yield
        raise OSError(errno.ENOSPC, "No space left on device")

    full = ModuleType("full")
    full.write = write_until_full  # type: ignore[attr-defined]  # a module's own
    monkeypatch.setitem(sys.modules, "full", full)
    form = FORMATS[name]
    monkeypatch.setitem(cast("dict[str, ReportFormat]", FORMATS), name, ReportFormat("full", form.endings))
    (tmp_path / form.file).write_text("old", encoding="utf-8")
    source = make_up_run(1_000)

    with pytest.raises(ReportError, match="No space left on device") as caught:
        write_all(source, tmp_path)

    assert caught.value.failures.keys() == {form.file}
    assert (tmp_path / form.file).read_text(encoding="utf-8") == "old"
    assert {path.name for path in tmp_path.iterdir()} == {form.file for form in FORMATS.values()}
    others = FORMATS.keys() - {name}
    for other in others:
        assert (tmp_path / FORMATS[other].file).read_bytes().decode() == render_report(other, source)


def test_an_interrupt_leaves_no_half_file(tmp_path: Path) -> None:
    class Interrupted(FakeReportSource):
        def targets(self) -> Iterable[TargetReport]:
            yield from super().targets()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(Interrupted(tuple(make_up_run(500).targets()), build_run()), tmp_path)

    # The Markdown report needs no targets, so it was whole before them.
    assert {path.name for path in tmp_path.iterdir()} == {"report.md"}


def _make_source(**run: Any) -> FakeReportSource:
    return FakeReportSource(tuple(make_up_run(60).targets()), replace(build_run(), **run))


def test_reports_of_the_last_end_are_current(tmp_path: Path) -> None:
    assert not are_current(_make_source(), tmp_path)

    write_all(_make_source(), tmp_path)

    assert are_current(_make_source(), tmp_path)


@pytest.mark.parametrize("form", FORMATS.values())
def test_a_missing_report_is_not_current(form: ReportFormat, tmp_path: Path) -> None:
    write_all(_make_source(), tmp_path)
    (tmp_path / form.file).unlink()

    assert not are_current(_make_source(), tmp_path)


@pytest.mark.parametrize("form", FORMATS.values())
def test_a_report_from_before_the_last_end_is_not_current(form: ReportFormat, tmp_path: Path) -> None:
    """As where the disk was full when the newest session wrote it, so that an older one stayed."""
    source = _make_source()
    write_all(source, tmp_path)
    assert source.report.run.ended is not None
    before = source.report.run.ended.timestamp() - 1
    os.utime(tmp_path / form.file, (before, before))

    assert not are_current(source, tmp_path)


@pytest.mark.parametrize(
    "change", [{"state": "stopped"}, {"exit_status": 4}, {"sessions": ()}, {"ended": None}]
)
def test_reports_of_another_state_are_not_current(change: dict[str, Any], tmp_path: Path) -> None:
    session = SessionReport(started=STARTED, ended=STARTED, exit_status=0, by="ops", host="build-7")
    write_all(_make_source(sessions=(session,)), tmp_path)

    assert are_current(_make_source(sessions=(session,)), tmp_path)
    assert not are_current(_make_source(**{"sessions": (session,)} | change), tmp_path)


class _Counting(FakeReportSource):
    """Fails the test when a format takes targets without writing what it took."""

    out: StringIO
    longest = 0

    def targets(self) -> Iterable[TargetReport]:
        for target in super().targets():
            before = self.out.tell()
            yield target
            self.longest = max(self.longest, self.out.tell() - before)


@pytest.mark.parametrize("name", ["json", "csv", "junit", "html"])
def test_targets_are_written_as_they_come(name: str) -> None:
    source = _Counting(tuple(make_up_run(2_000).targets()), build_run())
    source.out = StringIO()

    write_report(name, source, source.out)

    assert source.longest < len(source.out.getvalue()) / 4


@pytest.mark.promise(9)
@pytest.mark.parametrize("name", FORMATS)
def test_nothing_but_the_values_goes_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROMA_TOKEN", "a-secret-of-the-environment")

    text = render_report(name, make_up_run(60))

    assert "a-secret-of-the-environment" not in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert str(Path(__file__).parent) not in text
