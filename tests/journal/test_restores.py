"""The restores of a run, found in the journals beside it, and what they have brought back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.journal.database import Value, open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.journal.restores import (
    collect_touched_again,
    collect_up_again,
    drop_changed_since,
    find_restores,
    find_unreadable,
    read_restored_outcome,
    select_restores,
)
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.model.plan import RunId
from tests.support.journals import START, apim, draft, plan, roma, small, target

OURS = RunId("20261122-190000000-retirement-0001")
IDS = ("roma/a1", "roma/a2", "roma/a3", "roma/a4")
SESSION = "INSERT INTO session (number, started, holder, options, state) VALUES (?, 1.0, '{}', '{}', ?)"


class KeptRuns:
    """A state folder, in which runs are made."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.runs = state / "runs"
        self._number = 0

    def make(self, meta: RunMeta, *, name: str = "restore-retirement", gateway: str = "roma") -> RunFolder:
        """Make a run with one target for each of ``IDS``."""
        self._number += 1
        place = self.state.parent / f"draft-{self._number}"
        place.mkdir(parents=True)
        targets = (target(seq, each.replace("roma", gateway)) for seq, each in enumerate(IDS, 1))
        made = draft(place / "journal.sqlite", targets)
        made.finish(plan(roma(gateway), apim()), replace(meta, created=START))
        made.close()
        at = START + self._number
        return publish_draft(place, name_folder(self.state, name=name, suffix=f"{self._number:04}", at=at))

    def restore(self, *brings_back: RunId, gateway: str = "roma") -> RunFolder:
        """Make a restore that has sent nothing yet."""
        return self.make(RunMeta(act="restore", brings_back=brings_back), gateway=gateway)

    def selected(self) -> tuple[str, ...]:
        return tuple(each.id for each in select_restores(OURS, find_restores(self.runs)))


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    return KeptRuns(tmp_path / "work" / ".undeploy")


def write(run: RunFolder, statement: str, *rows: Sequence[Value]) -> None:
    with closing(open_database(run.journal, write=True)) as database, database.transaction():
        database.run_many(statement, rows)


def end(run: RunFolder, seq: int, outcome: str, at: float, reason: str | None = None) -> None:
    write(run, UPDATE_OUTCOME, (outcome, reason, "look", 1.0, at, seq))


def test_where_nothing_is_kept_there_is_no_restore(kept: KeptRuns) -> None:
    assert find_restores(kept.runs) == ()
    assert list(find_unreadable(kept.runs, "-restore-")) == []


@pytest.mark.promise(11)
def test_a_restore_counts_from_its_first_intent_on_and_before_it_while_a_process_works_on_it(
    kept: KeptRuns,
) -> None:
    run = kept.restore(OURS)
    assert kept.selected() == ()
    with run.lock():
        assert kept.selected() == (run.id,)
    assert kept.selected() == ()

    write(run, INSERT_INTENT, (1, 1, "look", "show", START + 60.0))
    (found,) = find_restores(kept.runs)

    assert kept.selected() == (run.id,)
    assert (found.begun, found.live, found.whole, found.journal) == (START + 60.0, False, False, run.journal)


@pytest.mark.promise(11)
def test_an_intent_that_never_left_begins_no_restore_and_a_login_does(kept: KeptRuns) -> None:
    run = kept.restore(OURS)
    write(run, INSERT_INTENT, (1, 1, "look", "show", START + 60.0))
    write(run, UPDATE_RESULT, (0.1, None, None, "refused", "unsent", 0, None, 1, 1))
    assert kept.selected() == ()

    write(run, "INSERT INTO note (session, at, kind, text) VALUES (1, ?, 'request', '')", (START + 90.0,))

    assert kept.selected() == (run.id,)
    assert find_restores(kept.runs)[0].begun == START + 90.0


def test_only_a_restore_of_this_run_counts_also_one_of_a_chain(kept: KeptRuns) -> None:
    undeploy = kept.make(RunMeta(act="undeploy", parent=OURS), name="retirement")
    other = kept.restore(RunId("20261122-190000000-retirement-9999"))
    chain = kept.restore(RunId("20261122-190000000-retirement-9999"), OURS)
    early = kept.make(RunMeta(act="restore", parent=OURS))  # before there were restores of a chain
    for run in (undeploy, other, chain, early):
        write(run, INSERT_INTENT, (1, 1, "look", "show", START))

    assert kept.selected() == (chain.id, early.id)
    assert undeploy.id not in {each.id for each in find_restores(kept.runs)}


def test_a_restore_is_whole_once_its_newest_session_has_come_to_its_end(kept: KeptRuns) -> None:
    run = kept.restore(OURS)
    found = []
    for number, state in enumerate(("stopped", "complete", None), 1):
        write(run, SESSION, (number, state))
        found.append(find_restores(kept.runs)[0].whole)

    assert found == [False, True, False]


@pytest.mark.promise(11)
def test_a_later_run_that_cannot_be_read_is_named_and_keeps_no_other_from_being_found(kept: KeptRuns) -> None:
    broken, sound = kept.restore(OURS), kept.restore(OURS)
    write(sound, INSERT_INTENT, (1, 1, "look", "show", START))
    broken.journal.write_bytes(b"no journal at all" * 100)
    (kept.runs / f"{broken.id}-empty").mkdir()

    ((name, error),) = find_unreadable(kept.runs, "-restore-retirement-")

    assert name == broken.id
    assert str(broken.journal) in str(error)
    assert list(find_unreadable(kept.runs, "-restore-other-")) == []
    assert kept.selected() == (sound.id,)


@pytest.mark.promise(11)
def test_what_is_up_again_or_may_be_is_known_under_the_run_s_own_names(
    kept: KeptRuns, tmp_path: Path
) -> None:
    first, second = kept.restore(OURS, gateway="other-name"), kept.restore(OURS)
    end(first, 1, "restored", START + 10.0)
    end(first, 2, "failed", START + 10.0, "partial: deployed, but without its plug-ins")
    end(first, 3, "failed", START + 10.0, "refused: no")
    end(second, 1, "already_deployed", START + 20.0)
    end(second, 4, "not_started", START + 20.0, "interrupt: SIGINT")
    write(second, INSERT_INTENT, (4, 1, "deploy", "", START + 15.0))  # killed before its reply
    restores, gateways = find_restores(kept.runs), plan().gateways

    with closing(open_database(small(tmp_path, 4), write=True)) as ours:
        collect_up_again(ours, gateways, restores)
        collect_touched_again(ours, gateways, restores)
        up, touched = (
            dict(ours.rows(f"SELECT id, at FROM {table}")) for table in ("up_again", "touched_again")
        )
        ours.run("UPDATE target SET outcome = 'undeployed', ended = ? WHERE id = 'roma/a2'", (START + 11.0,))
        ours.run("UPDATE target SET outcome = 'undeployed', ended = ? WHERE id = 'roma/a1'", (START + 19.0,))
        drop_changed_since(ours)
        still = [name for (name,) in ours.rows("SELECT id FROM up_again")]

    assert up == {"roma/a1": START + 20.0, "roma/a2": START + 10.0}
    assert touched == up | {"roma/a4": START + 20.0}
    assert still == ["roma/a1"]


def test_the_outcome_in_a_restore_is_found_by_installation(kept: KeptRuns) -> None:
    run = kept.restore(OURS, gateway="other-name")
    end(run, 2, "failed", START, "refused: no")
    (restore,) = find_restores(kept.runs)
    gateways = plan().gateways

    assert read_restored_outcome(restore, gateways, "roma/a2") == ("failed", "refused: no")
    assert read_restored_outcome(restore, gateways, "roma/a1") == (None, None)
    assert read_restored_outcome(restore, gateways, "roma/none") is None
    assert read_restored_outcome(restore, gateways, "apim/a1") is None
    run.journal.unlink()
    assert read_restored_outcome(restore, gateways, "roma/a2") is None
