"""Several runs as one report: each target once, all attempts, the newest state that says something."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from orchestrator.errors import JournalError
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.journal.chain import ChainReportSource, find_chain, merge_journals, open_chain_source
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunAct, RunMeta
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, RunId
from orchestrator.report.formats import FORMATS
from orchestrator.report.headline import compose_headline
from orchestrator.report.writing import write_report
from orchestrator.system.state_folder import runs_folder
from tests.support.journals import START, draft, finish, plan, roma, target

Ends = dict[str, tuple[str | None, list[tuple[str, str | None]]]]
"""By id: the outcome, and act and verdict of each attempt."""


class State:
    """A state folder with made-up runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self,
        number: int,
        ends: Ends,
        *,
        parent: int | None = None,
        of: Plan | None = None,
        waves: dict[str, int] | None = None,
        state: str | None = "complete",
        at: float | None = None,
        brings_back: Sequence[int] = (),
    ) -> RunFolder:
        """Keep a run, or a restore of the runs that it ``brings_back``."""
        path = runs_folder(self.folder) / self.id(number)
        path.mkdir(parents=True)
        of = of or plan(roma("roma"), waves=("first", "rest"))
        made = draft(
            path / "journal.sqlite",
            [target(seq, name, (waves or {}).get(name, 0)) for seq, name in enumerate(ends, 1)],
        )
        finish(made, of)
        back = tuple(RunId(self.id(each)) for each in brings_back)
        act: RunAct = "restore" if back else "undeploy"
        before = None if parent is None else RunId(self.id(parent))
        made.keep(RunMeta(act=act, parent=before, brings_back=back))
        made.close()
        began = START + 3600 * number if at is None else at
        with closing(open_database(path / "journal.sqlite", write=True)) as database, database.transaction():
            for seq, (name, (outcome, attempts)) in enumerate(ends.items(), 1):
                reason = f"why: {name} in {number}"
                database.run(
                    "UPDATE target SET outcome = ?, reason = ?, ended = ? WHERE seq = ?",
                    (outcome, reason if outcome else None, began + 5 if outcome else None, seq),
                )
                for count, (act, verdict) in enumerate(attempts, 1):
                    values = (seq, count, act, "", began + count, 0.5, 204, verdict, 1)
                    database.run(
                        "INSERT INTO attempt (seq, number, act, via, started, seconds, status, verdict, sent)"
                        f" VALUES ({', '.join('?' * 9)})",
                        values,
                    )
            whole = state is not None
            session = (1, began, began + 10 if whole else None, "{}", "{}", state, None, 1 if whole else None)
            database.run(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*session, 10.0 if whole else None)
            )
            database.run(
                "INSERT INTO note VALUES (1, 1, ?, 'roma', 'warning', ?)", (began, f"told by {number}")
            )
            database.run("INSERT INTO note VALUES (2, 1, ?, 'roma', 'parked', 'parked: ill')", (began,))
        return RunFolder(path)

    @staticmethod
    def id(number: int) -> str:
        return f"20261122-19000000{number}-x-0000"


@pytest.fixture
def kept(tmp_path: Path) -> State:
    return State(tmp_path)


def told(folders: Sequence[RunFolder], form: str = "json") -> Any:
    out = StringIO()
    with open_chain_source(folders) as source:
        write_report(form, source, out)
    return json.loads(out.getvalue()) if form == "json" else out.getvalue()


def outcomes(folders: Sequence[RunFolder]) -> dict[str, tuple[str, str]]:
    return {each["id"]: (each["outcome"], each["reason"]) for each in told(folders)["targets"]}


SENT = [("undeploy", "removed")]
LOST = [("undeploy", "doubt"), ("look", "unclear")]
NIGHT = {
    "roma/a": ("undeployed", SENT),
    "roma/b": ("failed", [("undeploy", "refused")]),
    "roma/c": ("unknown", LOST),
    "roma/d": ("not_started", []),
}


def test_the_newest_outcome_counts_and_attempts_go_on(kept: State) -> None:
    first = kept.run(1, NIGHT, state="stopped")
    second = kept.run(
        2, {"roma/b": ("undeployed", SENT), "roma/c": ("already_undeployed", [("look", "down")])}, parent=1
    )
    report = told([first, second])

    assert [each["id"] for each in report["targets"]] == list(NIGHT)
    assert [each["outcome"] for each in report["targets"]] == [
        "undeployed", "undeployed", "already_undeployed", "not_started",
    ]  # fmt: skip
    assert [[a["number"] for a in each["attempts"]] for each in report["targets"]] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [],
    ]
    assert report["totals"] == {
        "targets": 4, "undeployed": 2, "already_undeployed": 1, "failed": 0, "unknown": 0, "not_started": 1,
        "requests": 6, "retries": 1,
    }  # fmt: skip
    run = report["run"]
    assert (run["id"], run["parent"], run["seconds"], run["state"]) == (kept.id(2), None, 20.0, "complete")
    assert all(each["totals"].keys() == report["totals"].keys() for each in report["chain"])
    assert run["started"] == report["chain"][0]["started"]
    assert run["ended"] == report["chain"][1]["ended"]
    assert [(each["id"], each["parent"], each["totals"]["targets"]) for each in report["chain"]] == [
        (kept.id(1), None, 4), (kept.id(2), kept.id(1), 2),
    ]  # fmt: skip
    assert set(report["gateways"][0]["warnings"]) == {
        "in session 1: told by 1",
        "told by 2",
        "parked: ill",
    }


def test_columns_are_merged_by_their_names(kept: State) -> None:
    """In a journal that was converted from an older format, the newest columns stand at the end."""
    first, second = kept.run(1, NIGHT), kept.run(2, {"roma/d": ("undeployed", SENT)}, parent=1)
    with closing(open_database(first.journal, write=True)) as database:
        for table, column in (("attempt", "code"), ("session", "stopped_by")):
            database.run(f"ALTER TABLE {table} DROP COLUMN {column}")
            database.run(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
        database.run("UPDATE attempt SET code = 'APIG.1', pods = '[[\"pod-1\"], 1]'")

    with merge_journals([first, second]) as (whole, _):
        kept_rows = set(whole.rows("SELECT via, status, code, verdict, pods FROM attempt WHERE act = 'look'"))
        assert kept_rows == {("", 204, "APIG.1", "unclear", '[["pod-1"], 1]')}
        assert set(whole.rows("SELECT holder, state, stopped_by, seconds FROM session")) == {
            ("{}", "complete", None, 10.0)
        }


def test_a_run_that_did_not_get_to_a_target_says_nothing_about_it(kept: State) -> None:
    first = kept.run(1, NIGHT)
    left = ("not_started", [])
    second = kept.run(2, {"roma/b": left, "roma/c": left, "roma/d": left}, parent=1)

    assert outcomes([first, second]) == {
        "roma/a": ("undeployed", "why: roma/a in 1"),
        "roma/b": ("failed", "why: roma/b in 1"),
        "roma/c": ("unknown", "why: roma/c in 1"),
        "roma/d": ("not_started", "why: roma/d in 2"),
    }


def test_a_look_that_saw_it_up_says_something(kept: State) -> None:
    first = kept.run(1, NIGHT)
    second = kept.run(2, {"roma/c": ("not_started", [("look", "up")])}, parent=1)

    assert outcomes([first, second])["roma/c"] == ("not_started", "why: roma/c in 2")


def test_a_snapshot_off_a_list_that_saw_it_up_says_something(kept: State) -> None:
    first, second = kept.run(1, NIGHT), kept.run(2, {"roma/a": ("not_started", [])}, parent=1)
    with closing(open_database(second.journal, write=True)) as database, database.transaction():
        database.run("INSERT INTO snapshot VALUES (1, 1.0, 'up', '{\"verdict\":\"up\"}')")

    assert outcomes([first, second])["roma/a"] == ("not_started", "why: roma/a in 2")


def test_a_target_is_up_again_only_if_no_run_has_changed_it_since_its_restore(kept: State) -> None:
    deployed = [("deploy", "removed")]
    first = kept.run(1, dict.fromkeys(("roma/a", "roma/b", "roma/c", "roma/d"), ("undeployed", SENT)))
    kept.run(
        2, dict.fromkeys(("roma/a", "roma/b", "roma/c"), ("restored", deployed)), parent=1, brings_back=[1]
    )
    third = kept.run(
        3,
        {"roma/a": ("undeployed", SENT), "roma/b": ("failed", []), "roma/c": ("not_started", [])},
        parent=1,
    )
    kept.run(4, {"roma/d": ("restored", deployed)}, parent=1, brings_back=[1])

    with open_chain_source([first, third]) as source:
        assert source.report.up_again == {"undeployed": 2}
        assert compose_headline(source.report) == "1 of 4 targets is down; 2 are up again, 1 failed."
    kept.run(5, {"roma/a": ("restored", deployed)}, parent=3, brings_back=[1, 3])
    with open_chain_source([first, third]) as source:
        assert source.report.up_again == {"undeployed": 3}


def test_a_killed_run_leaves_what_its_own_report_says(kept: State) -> None:
    first = kept.run(1, {"roma/a": (None, [("undeploy", None)]), "roma/b": (None, [])}, state=None)
    second = kept.run(2, {"roma/b": ("undeployed", SENT)}, parent=1, state=None)
    report = told([first, second])

    assert outcomes([first, second])["roma/a"] == ("unknown", "interrupt: the run was killed")
    assert report["run"]["state"] == "killed"
    with second.lock():
        assert told([first, second])["run"]["state"] == "running"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_be_made(kept: State, form: str) -> None:
    folders = [kept.run(1, NIGHT), kept.run(2, {"roma/d": ("undeployed", SENT)}, parent=1)]
    out = told(folders, form)

    if form == "junit":
        suites = ET.fromstring(out)
        assert [case.get("name") for case in suites.iter("testcase")] == list(NIGHT)
        assert f"{kept.id(1)} {kept.id(2)}" in out
    elif form == "csv":
        assert [line.partition(",")[0] for line in out.splitlines()[1:]] == list(NIGHT)
    elif form in ("html", "markdown"):
        assert kept.id(1) in out
        assert "2 undeploy runs up to" in out


def test_waves_stand_together_also_where_a_later_run_has_more(kept: State) -> None:
    first = kept.run(1, {"roma/a": ("undeployed", SENT), "roma/z": ("failed", [])}, waves={"roma/z": 1})
    more = {
        "roma/new": ("undeployed", SENT),
        "roma/z": ("undeployed", SENT),
        "roma/last": ("undeployed", SENT),
    }
    of = plan(roma("roma"), waves=("first", "rest", "third"))
    second = kept.run(2, more, parent=1, of=of, waves={"roma/z": 1, "roma/last": 2})
    report = told([first, second])

    assert [(each["id"], each["wave"]) for each in report["targets"]] == [
        ("roma/a", "first"), ("roma/new", "first"), ("roma/z", "rest"), ("roma/last", "third"),
    ]  # fmt: skip
    assert [(each["name"], each["totals"]["targets"]) for each in report["waves"]] == [
        ("first", 2), ("rest", 1), ("third", 1),
    ]  # fmt: skip


def _elsewhere(gateway: Roma) -> Gateway:
    return replace(gateway, instance_id="other")


def test_the_same_id_at_another_installation_is_another_target(kept: State) -> None:
    first = kept.run(1, {"roma/a": ("failed", [])})
    second = kept.run(2, {"roma/a": ("undeployed", SENT)}, parent=1, of=plan(_elsewhere(roma("roma"))))

    assert {name: end[0] for name, end in outcomes([first, second]).items()} == {
        "roma/a": "failed",
        "roma~2/a": "undeployed",
    }


def test_a_gateway_may_have_another_name_later(kept: State) -> None:
    first = kept.run(1, {"roma/a": ("failed", [])})
    second = kept.run(2, {"other/a": ("undeployed", SENT)}, parent=1, of=plan(roma("other")))

    assert {name: end[0] for name, end in outcomes([first, second]).items()} == {"roma/a": "undeployed"}


# Which runs belong together.


def test_any_run_of_a_chain_finds_all_of_it(kept: State) -> None:
    end: Ends = {"roma/a": ("failed", [])}
    runs = [kept.run(n, end, parent=parent) for n, parent in ((1, None), (2, 1), (3, 2), (4, 1), (5, None))]

    for run in runs[:4]:
        assert [each.id for each in find_chain(run, kept.folder).runs] == [kept.id(n) for n in (1, 2, 3, 4)]
        assert find_chain(run, kept.folder).remarks == ()
    assert [each.id for each in find_chain(runs[4], kept.folder).runs] == [kept.id(5)]


def test_a_missing_parent_and_an_unreadable_run_are_told(kept: State) -> None:
    run = kept.run(3, NIGHT, parent=2)
    broken = runs_folder(kept.folder) / kept.id(4)
    broken.mkdir()
    (broken / "journal.sqlite").write_bytes(b"no journal")
    chain = find_chain(run, kept.folder)

    assert [each.id for each in chain.runs] == [kept.id(3)]
    assert kept.id(2) in chain.remarks[0]
    assert kept.id(4) in chain.remarks[1]
    assert told(chain.runs)["run"]["parent"] == kept.id(2)
    with pytest.raises(JournalError):
        find_chain(RunFolder(broken), kept.folder)


def test_runs_that_name_each_other_end_the_search(kept: State) -> None:
    kept.run(1, NIGHT, parent=2)
    assert len(find_chain(kept.run(2, NIGHT, parent=1), kept.folder).runs) == 2


def test_twelve_nights_are_one_report(kept: State) -> None:
    """More than SQLite attaches at once."""
    folders = [
        kept.run(n, {"roma/a": ("failed", [("undeploy", "refused")])}, parent=n - 1 or None)
        for n in range(1, 10)
    ]
    folders = [folders[0], *folders, *folders[:3]]  # in any order, as often as it likes

    assert len(told(folders)["targets"][0]["attempts"]) == 13


@pytest.fixture
def source(kept: State) -> Iterator[ChainReportSource]:
    with open_chain_source(
        [kept.run(1, NIGHT), kept.run(2, {"roma/d": ("undeployed", SENT)}, parent=1)]
    ) as made:
        yield made


def test_the_time_line_covers_all_runs(source: ChainReportSource) -> None:
    timeline = source.timeline(4)

    assert timeline.width == 5.0
    assert timeline.requests == (4, 0, 1, 0)
    assert sum(sum(bucket.values()) for bucket in timeline.ended) == 4
    assert source.pace_timelines(4) == ()
    assert [each.id for each in source.trouble()] == ["roma/b", "roma/c"]


def test_a_mark_names_the_wave_of_its_own_run(kept: State) -> None:
    """The second run's plan has one wave, which is the second one of the whole."""
    first = kept.run(1, {"roma/a": ("undeployed", SENT)})
    of = plan(roma("roma"), waves=("rest",))
    second = kept.run(2, {"roma/b": ("undeployed", SENT)}, parent=1, of=of)
    for folder in (first, second):
        with closing(open_database(folder.journal, write=True)) as database, database.transaction():
            leg = "INSERT INTO note (session, at, kind, text) VALUES (1, ?, 'leg', '0 0')"
            database.run(leg, (START + 3600 * (1 if folder is first else 2) + 1,))

    with open_chain_source([first, second]) as source:
        marks = source.timeline(4).marks

    assert [mark.text for mark in marks if mark.kind in ("wave", "session")] == [
        "wave first", "session 2 begins", "wave rest",
    ]  # fmt: skip
