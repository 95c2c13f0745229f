"""The folder of a run: who may read it, who works on it, how it is made and found."""

import errno
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from orchestrator.errors import JournalError, RunError
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder, runs_folder
from orchestrator.journal.holder import LockHolder, UnkeptEnding, read_lock, take_lock
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.journal.run_lookup import find_run, list_runs
from orchestrator.report.formats import FORMATS
from orchestrator.report.writing import write_all
from tests.support.journals import START, small

NOTE = "INSERT INTO note (session, at, kind, text) VALUES (1, 0.0, 'warning', 'x')"


def made(
    state: Path, *, name: str = "retirement", suffix: str = "0001", rehearsal: bool = False
) -> RunFolder:
    place = state.parent / f"draft-{name}-{suffix}"
    place.mkdir(parents=True)
    small(place)
    (place / "plan.yaml").write_text("version: 1\n")
    return publish_draft(place, name_folder(state, name=name, suffix=suffix, at=START, rehearsal=rehearsal))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "work" / ".undeploy"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Who may read it.


@pytest.mark.promise(9)
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_any_of_it(state: Path, umask: int) -> None:
    state.parent.mkdir()
    before = os.umask(umask)
    try:
        run = made(state)
        with run.lock(), closing(run.open(write=True)) as database:
            with database.transaction():
                database.run(NOTE)
            with run.open_source() as source:
                write_all(source, run.path)
            files = {path.name: mode(path) for path in run.path.iterdir()}
    finally:
        os.umask(before)
    assert {mode(folder) for folder in (run.path, run.path.parent, state)} == {0o700}
    reports = {form.file for form in FORMATS.values()}
    assert set(files) == {
        "journal.sqlite",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
        "plan.yaml",
        "lock",
        *reports,
    }
    assert set(files.values()) == {0o600}


def test_a_state_folder_that_was_there_keeps_its_mode(state: Path) -> None:
    state.mkdir(parents=True)
    state.chmod(0o750)
    made(state)
    assert mode(state) == 0o750


# Who works on it.

HOLDER = """
import sys
from pathlib import Path
from orchestrator.journal.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock() as entry:
    print(entry, flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_child(run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("{")
        yield child
        child.kill()


def test_a_second_process_is_told_who_works_on_the_run(state: Path) -> None:
    run = made(state)
    assert run.describe_holder() is None
    with held_by_child(run) as child:
        told = run.describe_holder()
        assert told is not None
        assert f" on {socket.gethostname()}, process {child.pid}, since 20" in told
        with pytest.raises(RunError, match=f"run {run.id} is going on: held by .*, process {child.pid}, "):
            run.lock().__enter__()
        with pytest.raises(RunError, match="is going on"):
            run.remove()
    assert run.journal.is_file()


def test_the_lock_of_a_killed_process_is_taken_over(state: Path) -> None:
    run = made(state)
    with held_by_child(run) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert str(child.pid) in (run.path / "lock").read_text()
        assert run.describe_holder() is None
        with run.lock():
            assert f"process {os.getpid()}" in (run.describe_holder() or "")
    assert run.describe_holder() is None


ALICE = "held by alice on host-1, process 123, since 2026-11-26T22:00:00+00:00"


def entry(run: RunFolder, **fields: object) -> None:
    """Leave the entry of a holder who was killed."""
    who = {"user": "alice", "host": "host-1", "pid": 123, "since": "2026-11-26T22:00:00+00:00"}
    (run.path / "lock").write_text(json.dumps(who | fields))


def test_a_dead_holder_is_told_of_once_and_a_clean_end_leaves_no_entry(state: Path) -> None:
    run = made(state)
    with run.lock():
        assert run.remarks == ()
    assert (run.path / "lock").read_text() == ""
    entry(run)
    with run.lock() as ours:
        (remark,) = run.remarks
        assert remark == f"the run was {ALICE}, which has ended"
        assert (run.path / "lock").read_text() == ours
    with suppress(KeyError), run.lock():
        assert run.remarks == ()
        raise KeyError
    assert (run.path / "lock").read_text() == ""


ENDING = UnkeptEnding(session=1, state="stopped", stopped_by="disk: it is full", exit_status=4)


def read_end(run: RunFolder) -> tuple[str, str | None, int | None]:
    ended = run.read_overview().run
    return ended.state, ended.stopped_by, ended.exit_status


def test_an_end_that_the_journal_does_not_have_stays_with_the_lock(state: Path) -> None:
    run = made(state)
    with run.lock():
        run.keep_ending(ENDING)
    with run.open_source() as source:
        reasons = {target.reason for target in source.targets()}

    assert (read_end(run), reasons) == (("stopped", "disk: it is full", 4), {"disk: it is full"})
    assert run.describe_holder() is None
    with run.lock():  # a resume that is refused before its session begins
        assert run.remarks == ()
        assert read_end(run)[0] == "running"
    assert read_end(run) == ("stopped", "disk: it is full", 4)


def test_an_end_that_stays_with_the_lock_is_that_of_its_session(state: Path) -> None:
    run = made(state)
    with run.lock():
        run.keep_ending(ENDING)
    with closing(open_database(run.journal, write=True)) as database:
        for number, told in ((1, "stopped"), (2, "killed")):
            with database.transaction():
                database.run(
                    "INSERT INTO session (number, started, holder, options) VALUES (?, 1.0, '{}', '{}')",
                    (number,),
                )
            assert read_end(run)[0] == told


def test_the_holder_is_a_value(state: Path) -> None:
    run = made(state)
    assert run.read_holder() is None
    with run.lock():
        holding = run.read_holder()
        assert holding is not None
        assert (holding.host, holding.pid, holding.is_here) == (socket.gethostname(), os.getpid(), True)
        (run.path / "lock").write_text('{"user":"x","host":"y","pid":7,"since":"z"}')
        assert run.read_holder() == LockHolder(user="x", host="y", pid=7, since="z")
        assert not (run.read_holder() or holding).is_here
        (run.path / "lock").write_text("{")
        assert run.read_holder() == LockHolder()
        assert not LockHolder().is_here


# On a network file system another host's lock need not be seen.


def test_on_a_network_file_system_the_entry_of_another_host_holds(state: Path) -> None:
    run = RunFolder(made(state).path, network=lambda _: "nfs4")
    entry(run)
    holding = run.read_holder()
    assert (str(holding), run.describe_holder()) == (ALICE, ALICE)
    assert holding is not None
    assert holding.unseen
    with pytest.raises(RunError) as caught:
        run.lock().__enter__()
    told = str(caught.value)
    assert told.startswith(
        f"run {run.id} may be going on: {ALICE}. The folder is on a network file system (nfs4)"
    )
    assert told.endswith(f"End it there, or remove {run.path / 'lock'} if host-1 is gone")
    assert "host-1" in (run.path / "lock").read_text()
    (run.path / "lock").unlink()
    with run.lock():
        assert len(run.remarks) == 1
        assert "is on a network file system (nfs4)" in run.remarks[0]


def test_on_a_network_file_system_a_dead_holder_of_this_host_is_taken_over(state: Path) -> None:
    run = RunFolder(made(state).path, network=lambda _: "nfs4")
    entry(run, host=socket.gethostname())
    assert run.describe_holder() is None
    with run.lock():
        before, network = run.remarks
    assert before.endswith(", which has ended")
    assert network.startswith(f"{run.path} is on a network file system (nfs4): ")


def test_on_a_local_file_system_another_host_is_this_one_by_another_name(state: Path) -> None:
    run = RunFolder(made(state).path, network=lambda _: None)
    entry(run)
    assert run.describe_holder() is None
    with run.lock():
        assert len(run.remarks) == 1


def test_a_run_knows_its_state_folder(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(state)
    elsewhere = RunFolder(tmp_path / "copy")
    monkeypatch.chdir(run.path.parent)
    assert run.find_state_folder(tmp_path) == RunFolder(Path(run.id)).find_state_folder(tmp_path) == state
    assert elsewhere.find_state_folder(tmp_path / "x") == tmp_path / "x"


def test_one_process_does_not_hold_it_twice(state: Path) -> None:
    run = made(state)
    with run.lock(), pytest.raises(RunError, match=f"process {os.getpid()}"):
        run.lock().__enter__()


def test_who_asks_for_the_holder_is_not_mistaken_for_one(state: Path) -> None:
    run = made(state)
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            run.describe_holder()

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(200):
            with run.lock():
                pass
    finally:
        done.set()
        for asker in askers:
            asker.join()


def test_a_lock_without_a_readable_entry_still_holds(state: Path) -> None:
    run = made(state)
    with run.lock():
        for text in ("", "{", "[]", '{"user": "x"}', "\x00"):
            (run.path / "lock").write_text(text)
            assert run.describe_holder() == "held by another process"


def test_a_folder_in_which_nothing_can_be_made_is_named(state: Path) -> None:
    run = RunFolder(state / "runs" / "gone")
    assert run.describe_holder() is None
    with pytest.raises(RunError, match=f"{run.path}: the run cannot be locked: No such file"):
        run.lock().__enter__()


def test_removing_leaves_nothing(state: Path) -> None:
    run = made(state)
    run.remove()
    assert list(runs_folder(state).iterdir()) == []


# How it is found.


def test_a_run_is_found_by_id_by_folder_and_as_the_latest(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made(state, suffix="0001"), made(state, suffix="0002")
    rehearsal = made(state, suffix="0003", rehearsal=True)
    (runs_folder(state) / "29991231-not-a-run").mkdir()
    assert find_run(state, "latest").path == second.path
    assert find_run(state, first.id).path == first.path
    assert find_run(state, rehearsal.id).path == rehearsal.path
    assert find_run(state.parent / "elsewhere", str(first.path)).path == first.path
    monkeypatch.chdir(first.path.parent)
    assert find_run(Path("nowhere"), first.id).journal.is_file()
    assert [run.id for run in list_runs(state)] == [second.id, first.id]
    assert [run.id for run in list_runs(state, rehearsals=True)] == [rehearsal.id]


def named(state: Path, suffix: str, plan: str, act: str = "undeploy") -> RunFolder:
    """Make a run of a plan, which may be a restore."""
    run = made(state, suffix=suffix)
    with closing(run.open(write=True)) as database, database.transaction():
        database.run("UPDATE meta SET value = json_set(value, '$.name', ?) WHERE key = 'plan'", (plan,))
        database.run("INSERT INTO meta VALUES ('act', ?)", (act,))
    return run


def test_a_run_is_found_by_the_beginning_of_its_id(state: Path) -> None:
    first = made(state, name="night", suffix="0001")
    rehearsal = made(state, name="day", suffix="0001", rehearsal=True)
    stamp = first.id.partition("-night")[0]

    assert find_run(state, f"{stamp}-n").path == first.path
    assert find_run(state, f"{stamp}-d").path == rehearsal.path
    with pytest.raises(RunError) as caught:
        find_run(state, stamp[:8])
    assert str(caught.value).splitlines() == [
        f"{stamp[:8]} is the beginning of 2 runs; give more of the one that is meant:",
        f"    {first.id}",
        f"    {rehearsal.id}",
    ]


def test_an_exact_id_is_meant_though_another_one_begins_so(state: Path) -> None:
    first = made(state, suffix="00")
    made(state, suffix="0001")

    assert find_run(state, first.id).path == first.path


def test_many_that_may_be_meant_are_counted(state: Path) -> None:
    for number in range(23):
        made(state, suffix=f"{number:04}")

    with pytest.raises(RunError, match=r"and 3 more$"):
        find_run(state, "2")


def test_a_run_is_found_by_the_name_of_its_plan(state: Path) -> None:
    """The newest undeploy: no restore, no rehearsal."""
    named(state, "0001", "o\u0308deme night")
    second = named(state, "0002", "\u00f6deme night")
    named(state, "0003", "\u00f6deme night", act="restore")
    named(state, "0004", "other")

    assert find_run(state, "o\u0308deme night").path == second.path
    with pytest.raises(RunError, match="there is no run"):
        find_run(state, "deme")


def test_a_folder_is_one_that_holds_a_slash(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(state)
    other = named(state, "0002", run.id)  # a plan may be called like a run
    monkeypatch.chdir(run.path.parent)

    assert find_run(state, run.id).path == run.path
    assert find_run(Path("nowhere"), f"./{run.id}").path.resolve() == run.path
    with pytest.raises(RunError, match="there is no run"):
        find_run(state, f"runs/{other.id}")


@pytest.mark.parametrize("ref", ["./", "../a-link/", "a-link/../", "../../a-link"])
def test_a_run_has_its_own_name_whatever_leads_to_its_folder(
    state: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    """A restore names by it what it brings back, and a resume looks for that name."""
    run = made(state)
    monkeypatch.chdir(run.path)
    for link in (run.path.parent / "a-link", state / "a-link"):
        link.symlink_to(run.path)
    (run.path / "a-link").mkdir()

    found = find_run(Path("nowhere"), ref)

    assert (found.id, found.path.resolve()) == (run.id, run.path.resolve())


@pytest.mark.parametrize("ref", ["latest", "no-such-run", "", "..", "."])
def test_a_run_that_is_not_there_is_told_with_the_folder(state: Path, ref: str) -> None:
    made(state, rehearsal=True)
    with pytest.raises(RunError, match=str(state)):
        find_run(state, ref)


def test_where_only_rehearsals_are_the_newest_of_them_is_named(state: Path) -> None:
    made(state, suffix="0001", rehearsal=True)
    newest = made(state, suffix="0002", rehearsal=True)
    with pytest.raises(RunError, match=f"a rehearsal is named by its id, as {newest.id}"):
        find_run(state, "latest")


def test_ids_sort_by_time(state: Path) -> None:
    later = name_folder(state, name="a", suffix="0000", at=START + 1).name
    assert name_folder(state, name="b", suffix="ffff", at=START).name < later


# How it is made.


def refuse(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def unpublished(tmp_path: Path, state: Path) -> tuple[Path, Path]:
    place = tmp_path / "draft"
    place.mkdir()
    small(place)
    return place, name_folder(state, name="x", suffix="0001", at=START)


def test_a_draft_on_another_file_system_is_copied(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, folder = unpublished(tmp_path, state)
    rename = os.rename

    def within_one_folder(old: Path, new: Path) -> None:
        (rename if Path(old).parent == Path(new).parent else refuse(errno.EXDEV))(old, new)

    monkeypatch.setattr(os, "rename", within_one_folder)
    run = publish_draft(place, folder)
    assert not place.exists()
    with closing(open_database(run.journal, write=False)) as database:
        assert database.one("SELECT COUNT(*) FROM target") == (3,)
    assert (mode(run.path), mode(run.journal)) == (0o700, 0o600)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "chmod"), (Path, "rename"), (Path, "mkdir"), (shutil, "copytree")],
)
def test_a_folder_that_cannot_be_made_leaves_no_half_of_it(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    place, folder = unpublished(tmp_path, state)
    with monkeypatch.context() as patched:
        if name == "copytree":
            patched.setattr(os, "rename", refuse(errno.EXDEV))
        patched.setattr(owner, name, refuse(errno.ENOSPC))
        with pytest.raises(JournalError) as caught:
            publish_draft(place, folder)
    named = folder if folder.parent.is_dir() else folder.parent
    assert str(caught.value) == f"{named}: runs cannot be kept here: No space left on device"
    left = [path for path in state.rglob("*") if path != folder.parent]
    assert left == []


def test_a_run_of_the_same_name_is_not_harmed(tmp_path: Path, state: Path) -> None:
    run = made(state)
    place = tmp_path / "again"
    place.mkdir()
    small(place)
    with pytest.raises(JournalError):
        publish_draft(place, run.path)
    assert run.journal.is_file()
    assert [path.name for path in run.path.parent.iterdir()] == [run.id]


def test_a_file_in_the_place_of_the_state_folder_is_named(tmp_path: Path, state: Path) -> None:
    place, folder = unpublished(tmp_path, state)
    state.parent.mkdir()
    state.write_text("")
    with pytest.raises(RunError, match=f"{state}: this is a file, and runs are kept in a folder"):
        publish_draft(place, folder)


# What this user may not look into.


def forbid(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_state_folder_that_cannot_be_looked_at_is_told_of() -> None:
    with pytest.raises(RunError, match="File name too long"):
        list_runs(Path("x" * 300))


def test_a_word_that_no_folder_can_be_called_means_no_run(state: Path) -> None:
    for ref in ("x" * 300, "./" + "x" * 300):
        with pytest.raises(RunError, match="there is no run"):
            find_run(state, ref)


def test_a_folder_of_runs_that_cannot_be_read_is_told_of(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(state)
    monkeypatch.setattr(Path, "iterdir", forbid)

    with pytest.raises(RunError, match="cannot be read: Permission denied"):
        list_runs(state)


def test_a_run_that_cannot_be_looked_into_is_listed_and_tells_why(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(state)
    monkeypatch.setattr(Path, "is_file", forbid)

    assert [each.id for each in list_runs(state)] == [run.id]
    with pytest.raises(JournalError, match="Permission denied"):
        find_run(state, run.id).open()


# A disk that can be read only. Whoever is root may write everywhere, so the child is somebody else.

STRANGER = """
import os, sys
from pathlib import Path
from orchestrator.errors import OrchestratorError
from orchestrator.journal.folder import RunFolder
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
run = RunFolder(Path(sys.argv[1]))
def tell(what, act):
    try:
        print(what, act())
    except OrchestratorError as error:
        print(what, type(error).__name__, error)
tell("state:", run.read_state)
tell("holder:", run.describe_holder)
tell("lock:", lambda: run.lock().__enter__())
tell("write:", lambda: run.open(write=True))
"""


def test_a_run_on_a_read_only_disk_says_what_cannot_be_done(state: Path, tmp_path: Path) -> None:
    run = made(state)
    for parent in (*tmp_path.parents, tmp_path, state.parent, state, run.path.parent):
        with suppress(OSError):
            if os.getuid() == 0 and parent.stat().st_mode & 0o005 != 0o005:
                parent.chmod(parent.stat().st_mode | 0o005)
    with run.lock(), closing(run.open(write=True)):
        pass  # as after a session: the journal is one that readers and a writer may share
    for path in run.path.iterdir():
        path.chmod(0o444)
    run.path.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", STRANGER, str(run.path)],
            env={**os.environ, "UNDEPLOY_TRUST_STATE": str(state)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        run.path.chmod(0o700)
    assert done.stderr == ""
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert told["holder"] == "None"
    assert told["lock"] == f"RunError {run.path}: the run cannot be locked: Permission denied"
    assert told["write"].startswith(f"DiskError {run.journal}: ")
    assert told["state"] == "killed"


def test_a_stranger_has_no_name(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    def unknown(_: int) -> NoReturn:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    run = made(state)
    with run.lock():
        assert (run.describe_holder() or "").startswith(f"held by {os.getuid()} on ")


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_stands_in_the_place_of_a_lock_is_neither_followed_nor_waited_for(
    tmp_path: Path, kind: str
) -> None:
    path, other = tmp_path / "lock", tmp_path / "other"
    other.write_text("kept")
    if kind == "link":
        path.symlink_to(other)
    else:
        os.mkfifo(path)

    with pytest.raises(OSError, match="lock"):
        take_lock(path)
    with pytest.raises(OSError, match="lock"):
        read_lock(path)
    assert other.read_text() == "kept"


def test_a_full_disk_is_told_in_its_own_words_where_many_files_could_not_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = f"[Errno 28] No space left on device: '{tmp_path}/journal.sqlite'"

    def fail(*_: object) -> None:
        raise shutil.Error([("from", "to", why), ("from2", "to2", why)])

    monkeypatch.setattr(shutil, "move", fail)
    (tmp_path / "draft").mkdir()
    with pytest.raises(JournalError, match=r"runs cannot be kept here: No space left on device$"):
        publish_draft(tmp_path / "draft", tmp_path / "state" / "runs" / "a-run")


def test_advice_on_a_run_names_its_state_folder_unless_it_is_the_usual_one(tmp_path: Path) -> None:
    assert RunFolder(Path(".undeploy/runs/a")).state_option == ""
    assert RunFolder(Path("other/runs/a")).state_option == " --state other"
    assert RunFolder(tmp_path / "a").state_option == ""


def test_rows_that_a_kill_left_beside_the_journal_change_its_stamp(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    small(tmp_path)
    before = folder.read_journal_stamp()
    with closing(open_database(folder.journal, write=True)) as database:
        written = folder.journal.stat().st_mtime_ns
        for second in range(2):
            database.run(
                "INSERT INTO note (session, at, kind, text) VALUES (1, ?, 'remark', 'goes on')",
                (START + second,),
            )
            assert folder.journal.stat().st_mtime_ns == written
            before, earlier = folder.read_journal_stamp(), before
            assert before != earlier
        with closing(open_database(folder.journal, write=False)):
            pass

        assert folder.read_journal_stamp() == before
