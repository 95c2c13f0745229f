"""One round: the sessions of one run under faults, each checked against the simulators' books."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from orchestrator.model.reading import Act
from orchestrator.simulator.faults import FaultScenario, FaultStorm
from orchestrator.simulator.process import RunningSimulators
from tests.chaos.faults import PATIENCE, Process
from tests.support.commands import CommandResult
from tests.support.stage import FINISHED, Stage, first_acts, make_fixture

BYSTANDERS = 5
"""Targets of each platform that the plan does not name: nothing may be sent to them."""

MOST_SESSIONS = 6
"""Undisturbed sessions within which a run reaches its end: a closed lane is open in the next one."""

STORM = ("500", "500-after", "hang", "hang-after", "reset", "reset-after", "look:500", "look:reset")
QUICK = "retry: {attempts: 8, first: 5ms, ceiling: 20ms}, timeout: 700ms"

Disturbance: TypeAlias = Callable[[Stage, Random, Process], None]


class ChaosRound:
    """One plan, both platforms, and the sessions of its run. ``folder`` is empty.

    The methods raise AssertionError if a promise is broken. ``processes`` and ``faults`` count, and
    ``killed`` the processes that were killed, by the command that they ran.
    """

    def __init__(self, folder: Path, platform: RunningSimulators, dice: Random) -> None:
        self.dice = dice
        self.act = Act.UNDEPLOY
        self.processes = self.faults = 0
        self.killed = Counter[str]()
        roma, apim = dice.randint(20, 60), dice.randint(8, 25)
        platform.refill(make_fixture(roma + BYSTANDERS, apim + BYSTANDERS, latency=dice.uniform(0.0, 0.03)))
        is_stormy = dice.random() < 0.4
        storm = FaultStorm(share=0.15, seed=dice.randrange(1000), kinds=STORM) if is_stormy else None
        platform.expect(FaultScenario(storm=storm))
        self.stage = Stage(folder, platform, roma, apim)
        self.write_plan()
        self.first: tuple[str, ...] = ("run", "plan.yaml", "--yes")
        """The command that begins the run."""
        self._parent: Path | None = None
        self._finished: dict[str, int] = {}

    def write_plan(self, top: str = "") -> None:
        """Write the plan, whose requests soon time out and are soon repeated; ``top`` are further lines."""
        self.stage.write_plan(roma=QUICK, apim=QUICK, top=top)

    @property
    def has_run(self) -> bool:
        """Whether the run of this act exists."""
        return self.stage.has_run and self.stage.run != self._parent

    def begin_restore(self, *options: str) -> None:
        """From now on the sessions restore the run that has ended."""
        self._parent, self.act, self._finished = self.stage.run, Act.DEPLOY, {}
        self.first = ("restore", str(self._parent), "--yes", *options)

    def run_session(self, disturb: Disturbance | None = None, **options: Any) -> CommandResult:
        """Begin the run or go on with it, to the end of the process; ``disturb`` acts on it meanwhile."""
        command = ("resume", str(self.stage.run)) if self.has_run else self.first
        return self.run_command(command, disturb, **options)

    def run_command(
        self, command: tuple[str, ...], disturb: Disturbance | None = None, **options: Any
    ) -> CommandResult:
        """Run one command that may send, and check what it has sent and left behind."""
        before, doubtful = self.stage.settled(), self.list_doubtful()
        ended = self.run_process(command, disturb, **options)
        self.check_session(before, doubtful)
        if ended.status == 2:
            assert self.stage.requests() == before, f"status 2, and something was sent: {ended.err}"
        return ended

    def run_process(
        self, command: tuple[str, ...], disturb: Disturbance | None = None, **options: Any
    ) -> CommandResult:
        """Run one command and check how it ends."""
        with self.stage.started(*command, **options) as process:
            if disturb is not None:
                disturb(self.stage, self.dice, process)
                self.faults += 1
            ended = _wait(process)
        self.processes += 1
        self.killed[command[0]] += ended.status == -signal.SIGKILL
        self.stage.settled()
        check_status(ended)
        return ended

    def finish(self) -> None:
        """Resume undisturbed until the run has reached its end, and compare it with the books."""
        for _ in range(MOST_SESSIONS):
            ended = self.run_session()
            if ended.status in (0, 1):
                break
        assert ended.status in (0, 1), f"no end after {MOST_SESSIONS} sessions: {ended}"
        self.judge()

    def judge(self) -> None:
        """Compare the report and the journal of a run that has reached its end with the books."""
        stage = self.stage
        if self.act is Act.UNDEPLOY:
            stage.assert_truth()
        else:
            _check_restored(stage)
        self.check_strays()
        verified = stage.undeploy("report", str(stage.run), "--verify", timeout=PATIENCE)
        assert verified.status == 0, verified

    def list_doubtful(self) -> list[str]:
        """Return the targets whose newest intent has no result."""
        kept = self.stage.journal(self.act).values() if self.has_run else ()
        return [target.id for target in kept if target.left_open and target.outcome not in self._final]

    def check_session(self, before: int, doubtful: list[str]) -> None:
        """Check what was sent since request ``before``, and the journal that is left now."""
        stage = self.stage
        acts = first_acts(stage.list_requests(before))
        blind = [target for target in doubtful if acts.get(target, Act.LOOK) is not Act.LOOK]
        assert not blind, f"sent again before a look: {blind}"
        sent = self._count_sent()
        again = [target for target, count in self._finished.items() if sent[target] != count]
        assert not again, f"sent again after their end: {again}"
        if not self.has_run:
            assert self.act is not Act.UNDEPLOY or stage.requests() == 0, "sent without a run"
            return
        stage.assert_intents(self.act)
        kept = stage.journal(self.act)
        self._finished |= {name: sent[name] for name, target in kept.items() if target.outcome in self._final}

    @property
    def _final(self) -> frozenset[str]:
        return FINISHED if self.act is Act.UNDEPLOY else frozenset({"restored", "already_deployed", "failed"})

    def _count_sent(self) -> dict[str, int]:
        facts = self.stage.platform.books().targets.values()
        return {each.id: each.undeploys if self.act is Act.UNDEPLOY else each.deploys for each in facts}

    def check_strays(self) -> None:
        """Check that nothing was sent to what the plan does not name, and nothing was deleted."""
        books, ours = self.stage.platform.books(), set(self.stage.ids)
        assert not books.destroyed
        strays = [each.id for each in books.targets.values() if each.id not in ours and each.undeploys]
        assert not strays, f"sent to targets that the plan does not name: {strays}"
        for gateway in books.gateways.values():
            assert not gateway.strays, f"{gateway.name}: {gateway.strays} sent to targets that do not exist"
            assert not gateway.overlaps, f"{gateway.name}: two changes of one thing overlapped"


def _wait(process: Process) -> CommandResult:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it has not ended within {PATIENCE:g} s") from None
    except ValueError:  # whoever killed it has read its pipes
        out, err = "", ""
    return CommandResult(process.returncode, out, err)


def check_status(ended: CommandResult) -> None:
    """Check that a process ended as documented, and that nothing in it went wrong by itself."""
    assert ended.status in (0, 1, 2, 4, 130, -9), f"status {ended.status}: {ended.err}"
    assert "Traceback" not in ended.err, ended.err
    assert "bug of ours" not in ended.err, ended.err


def _check_restored(stage: Stage) -> None:
    """Check that what a restore calls up is up, and that each target of it has one outcome."""
    report, books = stage.report(), stage.platform.books()
    assert report["run"]["act"] == "restore", report["run"]
    outcomes = stage.outcomes()
    for target, outcome in outcomes.items():
        if outcome in ("restored", "already_deployed"):
            assert not books.targets[target].down, (target, outcome)
    for target in set(stage.ids) - set(outcomes):
        assert not books.targets[target].deploys, target
