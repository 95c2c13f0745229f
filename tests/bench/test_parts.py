"""Each part of the benchmark works, with numbers so small that its figures mean nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.figures import BenchmarkError
from bench.goals import YARDSTICKS
from bench.parts import PARTS, choose_parts

ROOT = Path(__file__).parents[2]


@pytest.mark.long("starts servers, and measures")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", PARTS)
def test_a_part_finds_each_of_its_figures(name: str, tmp_path: Path) -> None:
    part = PARTS[name]

    found = list(part.measure(tmp_path, part.tiny))

    assert {figure.name for figure in found} == {row.name for row in YARDSTICKS.values() if row.part == name}
    assert all(figure.values or figure.absent for figure in found)


def test_a_part_is_found_by_its_name_and_by_its_figures() -> None:
    assert choose_parts(["p4", "run", "P2"]) == ["run", "pace"]
    assert choose_parts(["p13"]) == ["requests"]
    assert choose_parts([]) == list(PARTS)
    with pytest.raises(BenchmarkError, match="no part or figure p99"):
        choose_parts(["p99"])


def test_every_figure_has_its_part() -> None:
    assert {row.part for row in YARDSTICKS.values()} == set(PARTS)


@pytest.mark.long("starts servers, and is interrupted")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_servers_too(number: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bench", "--tiny", "pace"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        while not process.stdout.readline().startswith("pace:"):
            pass
        process.send_signal(number)
        process.communicate(timeout=30)

    assert process.returncode == 130
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
