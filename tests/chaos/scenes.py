"""The scenes: each plays one round of one sort of fault, to the end of its run."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from random import Random
from time import monotonic
from types import MappingProxyType
from typing import Any, TypeAlias

from orchestrator.journal.schema import FORMAT
from tests.chaos.earlier import OLDEST, make_earlier, read_planned
from tests.chaos.faults import (
    PATIENCE,
    Process,
    damage,
    freeze_somewhere,
    grow_disk,
    kill_somewhere,
    limit_process,
    mount_small,
    move_into_journal,
)
from tests.chaos.sessions import ChaosRound, check_status
from tests.support.commands import CommandResult
from tests.support.stage import Stage, kill

KILLS = 4

Scene: TypeAlias = Callable[[ChaosRound], None]


def kill_run(play: ChaosRound) -> None:
    """Kill the run and its resumes at random instants."""
    for _ in range(play.dice.randint(1, KILLS)):
        play.run_session(kill_somewhere)
    play.finish()


def kill_restore(play: ChaosRound) -> None:
    """Let the run end, and kill its restore and the resumes of that."""
    play.write_plan(top="snapshot: best")
    play.finish()
    play.begin_restore("--accept", "new-front-end-id")
    for _ in range(play.dice.randint(1, KILLS)):
        play.run_session(kill_somewhere)
    play.finish()


def kill_reader(play: ChaosRound) -> None:
    """Kill commands that read a killed run; the journal stays as it is, and a file is whole or as before."""
    play.run_session(kill_somewhere)
    if not play.has_run:
        play.finish()
    run, file = str(play.stage.run), play.stage.folder / "told.json"
    began = monotonic()
    before = play.run_process(("report", run)).out
    kill_while_it_reads = partial(kill_within, monotonic() - began)
    for _ in range(3):
        command = play.dice.choice(
            (("report", run, "-o", file.name, "--force"), ("status", run), ("report", run, "--verify"))
        )
        play.run_process(command, kill_while_it_reads)
        assert not file.exists() or json.loads(file.read_bytes())["targets"]
        assert play.run_process(("report", run)).out == before
    play.finish()


def kill_within(longest: float, _stage: Stage, dice: Random, process: Process) -> None:
    """Kill a command that only reads within so many seconds: no request tells how far it is."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(dice.uniform(0.0, longest))
        return
    kill(process)


def earlier_format(play: ChaosRound) -> None:
    """Let a journal be one of an earlier format; kill the resumes, which convert it, and a restore."""
    play.write_plan(top="snapshot: best")
    _begin_killed(play)
    _age_journal(play)
    for _ in range(play.dice.randint(1, KILLS)):
        play.run_session(kill_somewhere)
    play.finish()
    _age_journal(play)
    if not _has_snapshots(play):
        return
    play.begin_restore("--accept", "new-front-end-id", "--accept", "missing-history")
    play.run_session(kill_somewhere)
    play.finish()


def _has_snapshots(play: ChaosRound) -> bool:
    """Return whether the run can be restored: the oldest format kept no snapshots."""
    planned = play.run_process(("restore", str(play.stage.run), "--dry-run"))
    assert planned.status in (0, 1) or "no snapshot had seen deployed" in planned.err, planned
    return planned.status != 2


def _begin_killed(play: ChaosRound) -> None:
    """Kill the first session of a run that exists then."""
    while not play.has_run:
        play.run_session(kill_somewhere)


def _age_journal(play: ChaosRound) -> None:
    make_earlier(play.stage.run / "journal.sqlite", play.dice.randrange(OLDEST, FORMAT))
    play.faults += 1


def freeze(play: ChaosRound) -> None:
    """Stop and continue a run."""
    play.run_session(freeze_somewhere)
    play.finish()


def full_disk(play: ChaosRound) -> None:
    """Run on a disk that fills up, and resume with room; without the right to mount, files may not grow."""
    place = play.stage.folder / ".undeploy"
    with mount_small(place, play.dice.randint(40, 400)) as mounted:
        if mounted:
            play.faults += 1
            for _ in range(play.dice.randint(1, 2)):
                play.run_session()
            grow_disk(place)
            play.finish()
    if not mounted:
        limit_files(play)


def limit_files(play: ChaosRound) -> None:
    """Run with a limit to the size of a file, which is met in the journal or in a report."""
    _limit(play, resource.RLIMIT_FSIZE, play.dice.randint(8, 400) << 10)


def limit_descriptors(play: ChaosRound) -> None:
    """Run with few descriptors: the start-up, or the connections, may want more."""
    _limit(play, resource.RLIMIT_NOFILE, play.dice.randint(8, 40))


def limit_memory(play: ChaosRound) -> None:
    """Run with little memory: from too little to start to enough."""
    _limit(play, resource.RLIMIT_AS, play.dice.randint(40, 400) << 20)


def _limit(play: ChaosRound, which: int, most: int) -> None:
    play.faults += 1
    play.run_session(preexec_fn=limit_process(which, most))
    play.finish()


def slow_disk(play: ChaosRound) -> None:
    """Run with commits that take up to a second, and kill some of these runs."""
    longest = play.dice.choice((0.05, 0.3, 1.0))
    play.faults += 1
    disturb = kill_somewhere if play.dice.random() < 0.6 else None
    play.run_session(disturb, program="tests.chaos.program", env={"CHAOS_COMMIT": str(longest)})
    play.finish()


def jump_clock(play: ChaosRound) -> None:
    """Let the time of day jump during a run, forward or back; no duration of the report is negative."""
    seconds = play.dice.choice((-86_400, -3_600, -60, 60, 3_600, 86_400))
    after = play.dice.uniform(0.0, 1.5)
    play.faults += 1
    disturb = kill_somewhere if play.dice.random() < 0.4 else None
    play.run_session(disturb, program="tests.chaos.program", env={"CHAOS_CLOCK": f"{seconds}@{after}"})
    play.finish()
    report = play.stage.report()
    negative = [
        each["id"]
        for each in report["targets"]
        if min([each["seconds"] or 0.0, *(attempt["seconds"] or 0.0 for attempt in each["attempts"])]) < 0.0
    ]
    assert not negative, f"negative durations: {negative}"
    assert (report["run"]["seconds"] or 0.0) >= 0.0, report["run"]


def damage_journal(play: ChaosRound) -> None:
    """Damage the journal of a killed run; then each command refuses it, or agrees with the books."""
    _begin_killed(play)
    _read_damaged(play, _damage(play), ("report --verify", "report", "resume"))


def damage_earlier_format(play: ChaosRound) -> None:
    """Do so to a journal of an earlier format, which has no digest of its plan and its targets.

    Where these were damaged no command can know it: then they are only read, and end as documented.
    """
    _begin_killed(play)
    _age_journal(play)
    journal = play.stage.run / "journal.sqlite"
    before = read_planned(journal, play.stage.folder / "before")
    done = _damage(play)
    if read_planned(journal, play.stage.folder / "after") in (None, before):
        _read_damaged(play, done, ("report --verify", "report", "resume"))
    else:
        for command in ("report", "report --verify", "status", "remainder"):
            name, *options = command.split()
            play.run_process((name, str(play.stage.run), *options))


def _damage(play: ChaosRound) -> str:
    """Damage the journal of a run without a process; return in words what was done."""
    run = play.stage.run
    if play.dice.random() < 0.6:
        move_into_journal(run / "journal.sqlite")
    files = [path for path in sorted(run.glob("journal.sqlite*")) if path.stat().st_size]
    held = play.dice.choice([path for path in files if not path.name.endswith("-shm")])
    play.faults += 1
    return damage(held, play.dice, play.stage.ids)


def _read_damaged(play: ChaosRound, done: str, commands: Sequence[str]) -> None:
    try:
        for command in commands:
            name, *options = command.split()
            _check_damaged(play, name, play.run_process((name, str(play.stage.run), *options)))
    except AssertionError as error:
        raise AssertionError(f"{done}: {error}") from None


def _check_damaged(play: ChaosRound, command: str, ended: CommandResult) -> None:
    """Check that a command says that the journal is damaged, or tells the truth.

    The last commits may be cut off, and no reader can know that: so a target that is down may be told as not
    started. None that is up is told as down, and nothing is sent elsewhere.
    """
    play.check_strays()
    if ended.status == 2:
        assert ended.err.strip() or ended.out.strip(), ended
        return
    if command == "report" and ended.out.startswith("{"):
        _check_told(play, json.loads(ended.out))
    if command == "resume" and ended.status in (0, 1):
        report = play.stage.report()
        _check_told(play, report)
        assert [target["id"] for target in report["targets"]] == play.stage.ids


def _check_told(play: ChaosRound, report: Mapping[str, Any]) -> None:
    targets = play.stage.platform.books().targets
    for target in report["targets"]:
        if target["outcome"] in ("undeployed", "already_undeployed"):
            facts = targets.get(target["id"])
            assert facts is not None, f"{target['id']} is no target of the plan"
            assert facts.down, f"{target['id']} is told as {target['outcome']}, and is up"


def resume_twice(play: ChaosRound) -> None:
    """Let two or three processes resume one killed run at the same moment."""
    _begin_killed(play)
    before, doubtful = play.stage.settled(), play.list_doubtful()
    command = ("resume", str(play.stage.run))
    with ExitStack() as stack:
        both = [stack.enter_context(play.stage.started(*command)) for _ in range(play.dice.randint(2, 3))]
        ended = []
        for process in both:
            out, err = process.communicate(timeout=PATIENCE)
            ended.append(CommandResult(process.returncode, out, err))
    play.processes += len(both)
    play.faults += 1
    play.stage.settled()
    for each in ended:
        check_status(each)
    assert any(each.status != 2 for each in ended), ended
    play.check_session(before, doubtful)
    play.finish()


SCENES: Mapping[str, Scene] = MappingProxyType(
    {
        "kill-run": kill_run,
        "kill-restore": kill_restore,
        "kill-reader": kill_reader,
        "freeze": freeze,
        "full-disk": full_disk,
        "limit-files": limit_files,
        "limit-descriptors": limit_descriptors,
        "limit-memory": limit_memory,
        "slow-disk": slow_disk,
        "jump-clock": jump_clock,
        "earlier-format": earlier_format,
        "damage-journal": damage_journal,
        "damage-earlier-format": damage_earlier_format,
        "resume-twice": resume_twice,
    }
)
