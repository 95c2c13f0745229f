"""docs/trust.md is written by the command, and its figures are sums of the trials that were kept."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.trust import page
from bench.trust.ledger import Ledger, Trial
from bench.trust.page import KINDS, PAGE, write_page

TRIAL = Trial(of="seeds", when="2026-11-29 08:00 UTC", commit="abc1234", counts={"seeds": 400}, span=(1, 400))


@pytest.mark.source
def test_the_page_is_as_the_command_writes_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page()


def test_trials_of_one_thing_add_up(tmp_path: Path) -> None:
    ledger = Ledger("simulation", tmp_path)
    ledger.keep(TRIAL)
    ledger.keep(
        replace(
            TRIAL,
            when="2026-11-30 08:00 UTC",
            commit="def5678",
            broke=("seed 7: promise 2",),
            span=(401, 800),
        )
    )

    told = write_page(tmp_path)

    assert "| seeds | 800 | 1 | 2026-11-30 08:00 UTC | def5678 |" in told
    assert "- seed 7: promise 2 (def5678)" in told


def test_a_trial_that_goes_on_takes_its_own_place(tmp_path: Path) -> None:
    ledger = Ledger("simulation", tmp_path)
    ledger.keep(TRIAL)
    ledger.keep(replace(TRIAL, counts={"seeds": 800}, span=(1, 800)))

    assert [each.counts["seeds"] for each in ledger.read()] == [800]
    assert ledger.find_next("seeds") == 801
    assert ledger.find_next("seeds beyond one machine") == 1


def test_numbers_that_another_command_has_kept_do_not_count_twice(tmp_path: Path) -> None:
    ledger = Ledger("simulation", tmp_path)
    ledger.keep(TRIAL)

    with pytest.raises(ValueError, match="some of seeds 301 to 500 were kept by another command"):
        ledger.keep(replace(TRIAL, when="2026-11-29 08:01 UTC", span=(301, 500)))
    ledger.keep(replace(TRIAL, of="seeds beyond one machine", when="2026-11-29 08:02 UTC", span=(1, 100)))
    assert [each.span for each in ledger.read()] == [(1, 400), (1, 100)]


def test_a_trial_of_a_changed_program_replaces_what_was_kept(tmp_path: Path) -> None:
    ledger = Ledger("mutants", tmp_path)
    other = replace(TRIAL, of="rules/pace")
    ledger.keep(TRIAL)
    ledger.keep(other)
    ledger.replace(replace(TRIAL, when="2026-12-01 08:00 UTC"))

    assert [(each.of, each.when) for each in ledger.read()] == [
        ("rules/pace", other.when),
        ("seeds", "2026-12-01 08:00 UTC"),
    ]


def test_a_mutant_that_survived_stands_with_its_reason(tmp_path: Path) -> None:
    Ledger("mutants", tmp_path).keep(replace(TRIAL, of="rules/pace.py", broke=("f: a -> b", "f: a -> c")))

    told = write_page(tmp_path, {"rules/pace.py": {"f: a -> b": "nothing reaches it"}})

    assert "| rules/pace.py | 400 | 2 |" in told
    assert "  - `f: a -> b`: nothing reaches it\n  - `f: a -> c`: not judged yet\n" in told


def test_trials_that_are_kept_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    names = [f"aim {number}" for number in range(20)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Ledger("fuzz", tmp_path).keep(replace(TRIAL, of=name)), names))

    assert sorted(each.of for each in Ledger("fuzz", tmp_path).read()) == sorted(names)


def test_what_was_never_tried_is_said(tmp_path: Path) -> None:
    assert write_page(tmp_path).count("Not tried yet.") == len(KINDS)


@pytest.mark.source
def test_each_command_of_the_page_is_a_verb_of_the_makefile() -> None:
    verbs = (page.ROOT / "Makefile").read_text(encoding="utf-8")

    for kind in KINDS:
        assert f"\n{kind.command.split()[1]}:" in verbs


@pytest.mark.source
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("verb", [kind.command.split()[1] for kind in KINDS])
def test_a_verb_writes_the_page_of_a_trial_that_failed_and_fails_then(
    verb: str, status: int, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$2" >> {tmp_path}/called\ncase "$2" in *.trust) ;; *) exit {status};; esac\n'
    )
    python.chmod(0o700)
    ready = tmp_path / "ready"
    ready.touch()

    done = subprocess.run(
        ["make", verb, f"BIN={tmp_path}", f"READY={ready}"], cwd=page.ROOT, capture_output=True, check=False
    )

    *tried, last = (tmp_path / "called").read_text().split()
    assert last == "bench.trust"
    assert tried
    assert "bench.trust" not in tried
    assert bool(done.returncode) is bool(status)
