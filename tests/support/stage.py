"""A folder, both simulated platforms in a process of their own, and the program as a process beside them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.engine.control_commands import ControlCommand
from orchestrator.model.reading import Act
from orchestrator.runs.control_socket import ControlQuestion, send_command
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SeenRequest
from orchestrator.simulator.faults import FaultScenario, FaultStorm, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.support.commands import CommandResult
from tests.support.forked import start_program

PROJECT = "0123456789abcdef0123456789abcdef"
INSTANCE = "f0fa1789-3b76-433b-a787-9892951c620e"
CONCURRENCY = {"roma-eu": 6, "apim": 3}
FINISHED = frozenset({"undeployed", "already_undeployed", "failed"})
NAMES_IN_LINE = 1000
PATIENCE = 30.0
"""Seconds after which a process that should have got somewhere counts as stuck."""


class Kept(NamedTuple):
    """The state of one target in a journal."""

    id: str
    outcome: str | None
    reason: str | None
    undeploys: int
    """Intents to undeploy (or to deploy), but for those of which the program knows that nothing left."""
    open_intents: int
    """Intents to undeploy (or to deploy) without a result."""
    left_open: bool
    """Whether the newest intent of any act has no result."""


def backend(number: int) -> str:
    return f"{number:032x}"


def roma_id(number: int) -> str:
    return f"roma-eu/{backend(number)}"


def apim_id(number: int) -> str:
    return f"apim/Retail/proxy-{number}/test"


class Stage:
    """One test's folder and platforms. Paths of commands are relative to ``folder``."""

    def __init__(self, folder: Path, platform: RunningSimulators, roma: int, apim: int) -> None:
        self.folder = folder
        self.platform = platform
        self.roma = roma
        self.apim = apim
        self.env = {
            **{
                name: text for name, text in os.environ.items() if not name.startswith(("UNDEPLOY_", "OTEL_"))
            },
            "ROMA_TOKEN": FAKE_TOKEN,
            "APINIZER_TOKEN": FAKE_TOKEN,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TERM": "dumb",
        }

    @property
    def ids(self) -> list[str]:
        """The ids of all targets."""
        return [*map(roma_id, range(self.roma)), *map(apim_id, range(self.apim))]

    def write_plan(
        self,
        *,
        urls: Mapping[str, str] | None = None,
        roma: str = "",
        apim: str = "",
        top: str = "",
        waves: bool = False,
    ) -> Path:
        """Write plan.yaml; ``roma`` and ``apim`` are further keys of the gateways, ``top`` further lines.

        ``waves`` puts the targets of Apinizer into a second wave.
        """
        at = {**self.platform.urls, **(urls or {})}
        gateways = {
            "roma-eu": f"kind: roma, project_id: '{PROJECT}', instance_id: {INSTANCE},"
            f" auth: {{token: {{env: ROMA_TOKEN}}}}, {roma}",
            "apim": f"kind: apinizer, auth: {{token: {{env: APINIZER_TOKEN}}}}, {apim}",
        }
        counts = {"roma-eu": self.roma, "apim": self.apim}
        kept = "" if "snapshot:" in top else "snapshot: off"
        lines = ["version: 1", "name: scene", kept, top, "gateways:"]
        for name, keys in gateways.items():
            if counts[name]:
                limits = "" if "limits" in keys else f"limits: {{concurrency: {CONCURRENCY[name]}}},"
                lines.append(f"  {name}: {{url: '{at[name]}', {limits} {keys}}}")
        backends = _join_names([f"'{backend(number)}'" for number in range(self.roma)])
        proxies = _join_names([f"proxy-{number}" for number in range(self.apim)])
        entries = [f"  - {{gateway: roma-eu, ld_api_ids: [{backends}]}}"] if self.roma else []
        second = [f"  - {{gateway: apim, project: Retail, proxies: [{proxies}], environment: test}}"]
        if waves:
            lines += [
                "waves:",
                "- name: first",
                "  targets:",
                *entries,
                "- name: second",
                "  targets:",
                *second,
            ]
        else:
            lines += ["targets:", *entries, *(second if self.apim else [])]
        path = self.folder / "plan.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def refill(self, **fields: Any) -> None:
        """Begin again: all targets up, empty books, no faults. ``fields`` are for both gateways' fixtures."""
        self.platform.refill(make_fixture(self.roma, self.apim, **fields))

    def expect(
        self,
        script: dict[str, tuple[InjectedFault | str, ...]] | None = None,
        storm: FaultStorm | None = None,
    ) -> None:
        """Replace all faults to come."""
        self.platform.expect(FaultScenario(script=script or {}, storm=storm))

    def undeploy(self, *arguments: str | Path, timeout: float = PATIENCE, **options: Any) -> CommandResult:
        """Run a command to its end."""
        with self.started(*arguments, **options) as process:
            out, err = process.communicate(timeout=timeout)
        return CommandResult(process.returncode, out, err)

    def control(self, *arguments: str, state: str = ".undeploy") -> CommandResult:
        """Steer the newest run from a process of its own."""
        return self.undeploy("control", "latest", *arguments, "--state", state)

    def steer(self, demand: ControlCommand) -> str:
        """Steer the newest run from here, which is faster than a process."""
        return send_command(self.run, ControlQuestion(command=demand))

    @contextmanager
    def started(self, *arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run a command; it is killed on leaving if it still goes on.

        The option ``program`` names another module to start the command by, with an interpreter of its own.
        """
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE) | {"stdin": subprocess.DEVNULL}
        environment = {**self.env, **options.pop("env", {})}
        if program := options.pop("program", None):
            command = [sys.executable, "-m", program, *map(str, arguments)]
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, text=True, **streams | options
            )
        else:
            process = start_program(
                [*map(str, arguments)], folder=self.folder, env=environment, **streams | options
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    @property
    def run(self) -> Path:
        """The folder of the newest run."""
        return max((self.folder / ".undeploy" / "runs").iterdir())

    @property
    def has_run(self) -> bool:
        runs = self.folder / ".undeploy" / "runs"
        return runs.is_dir() and any(not path.name.startswith(".") for path in runs.iterdir())

    def report(self) -> dict[str, Any]:
        """The newest run's report.json."""
        found: dict[str, Any] = msgspec.json.decode((self.run / "report.json").read_bytes())
        return found

    def outcomes(self) -> dict[str, str]:
        """Outcome by target id, from report.json; each target stands there once."""
        targets = self.report()["targets"]
        assert len({target["id"] for target in targets}) == len(targets)
        return {target["id"]: target["outcome"] for target in targets}

    def reasons(self) -> dict[str, str]:
        """Reason (empty for none) by target id, from report.json."""
        return {target["id"]: target["reason"] or "" for target in self.report()["targets"]}

    def journal(self, act: Act = Act.UNDEPLOY) -> dict[str, Kept]:
        """Read the newest run's journal from a copy: a reader of the original might repair it."""
        copy = self.folder / "copied"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in self.run.glob("journal.sqlite*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        query = (
            "SELECT id, outcome, reason, COALESCE(SUM(act = :act AND sent IS NOT 0), 0),"
            " COALESCE(SUM(act = :act AND verdict IS NULL), 0),"
            " EXISTS (SELECT 1 FROM attempt AS a WHERE a.seq = target.seq AND a.verdict IS NULL"
            " AND a.number = (SELECT MAX(number) FROM attempt AS b WHERE b.seq = target.seq))"
            " FROM target LEFT JOIN attempt USING (seq) GROUP BY target.seq"
        )
        connection = sqlite3.connect(copy / "journal.sqlite")
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {row[0]: Kept(*row) for row in connection.execute(query, {"act": act})}
        finally:
            connection.close()

    def requests(self) -> int:
        """Return how many requests have arrived so far."""
        return self.platform.books().requests

    def list_requests(self, after: int = 0) -> list[SeenRequest]:
        """The requests behind the first ``after``, in the order of their arrival."""
        return self.platform.list_requests(after, 100_000)

    def settled(self) -> int:
        """Return how many requests have arrived, once no more come: the client must be gone, or wait."""
        count = -1
        while count != (count := self.requests()):
            time.sleep(0.03)
        return count

    def wait_for_requests(
        self, count: int, process: subprocess.Popen[str] | None = None, *, patience: float = PATIENCE
    ) -> None:
        """Return once ``count`` requests have arrived, or the process that sends them has ended."""
        until(
            lambda: self.requests() >= count or (process is not None and process.poll() is not None), patience
        )

    def assert_truth(self) -> None:
        """Assert that the report of the newest run agrees with the platforms."""
        books = self.platform.books()
        outcomes = self.outcomes()
        assert sorted(outcomes) == sorted(self.ids)
        assert not books.destroyed
        for target, outcome in outcomes.items():
            facts = books.targets[target]
            if outcome in ("undeployed", "already_undeployed"):
                assert facts.down, (target, outcome)
            elif outcome != "unknown":
                assert not facts.down_by, (target, outcome)

    def assert_intents(self, act: Act = Act.UNDEPLOY) -> None:
        """Assert that no request was sent without an intent on disk."""
        books = self.platform.books()
        for target, kept in self.journal(act).items():
            facts = books.targets[target]
            sent = facts.undeploys if act is Act.UNDEPLOY else facts.deploys
            assert kept.undeploys - kept.open_intents <= sent <= kept.undeploys, (target, kept, sent)


def _join_names(names: Sequence[str]) -> str:
    """Return names for a YAML list, on several lines: the program refuses a plan with a very long one."""
    firsts = range(0, len(names), NAMES_IN_LINE)
    return ",\n    ".join(", ".join(names[first : first + NAMES_IN_LINE]) for first in firsts)


def make_fixture(roma: int, apim: int, **fields: Any) -> SimulatorFixture:
    """Return a fixture in which so many targets of each kind are deployed."""
    own = {name: fields.pop(name, {}) for name in ("roma_eu", "apim_fields")}
    return SimulatorFixture(
        gateways=(
            RomaFixture(
                **{
                    "name": "roma-eu",
                    "project_id": PROJECT,
                    "instance_id": INSTANCE,
                    "targets": tuple(map(backend, range(roma))),
                }
                | fields
                | own["roma_eu"]
            ),
            ApinizerFixture(
                **{
                    "name": "apim",
                    "targets": tuple(("Retail", f"proxy-{number}", "test") for number in range(apim)),
                }
                | fields
                | own["apim_fields"]
            ),
        )
    )


def until(true: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until ``true`` returns true; fail after ``patience`` seconds."""
    ends = time.monotonic() + patience
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


def most_within(seconds: float, moments: Iterable[float]) -> int:
    """Return the most moments in any span of so many seconds."""
    times = sorted(moments)
    return max((bisect_left(times, at + seconds) - index for index, at in enumerate(times)), default=0)


def gaps(moments: Iterable[float]) -> list[float]:
    """Return the seconds between each moment and the next."""
    times = sorted(moments)
    return [after - before for before, after in pairwise(times)]


def first_acts(seen: list[SeenRequest]) -> dict[str, Act | None]:
    """Return the act of each target's first request."""
    acts: dict[str, Act | None] = {}
    for entry in seen:
        if entry.target is not None:
            acts.setdefault(entry.target, entry.act)
    return acts


def kill(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL, and wait until the process is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
