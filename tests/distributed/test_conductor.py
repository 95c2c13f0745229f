"""A run on a Temporal server: its workflows are real, and the workers' chunks send nothing."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeGuard

import anyio
import anyio.to_thread
import pytest
from msgspec.structs import replace
from temporalio.client import WorkflowExecutionStatus

from orchestrator.api import RunOptions, load_plan, resume, run
from orchestrator.display.progress import RunProgress
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.connection import connect
from orchestrator.distributed.kept_runs import read_run_start
from orchestrator.distributed.names import name_journal_workflow, name_run_workflow
from orchestrator.distributed.open_requests import LOST
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import ChunkOrder, Orders, StopOrder
from orchestrator.distributed.run_start import start_run
from orchestrator.engine.control_commands import ContinueRun, ControlCommand, PauseRun, StopRun
from orchestrator.engine.request import Prompt
from orchestrator.errors import ExitStatus, UsageError
from orchestrator.journal.engine_mark import read_engine_mark
from orchestrator.journal.run_lookup import list_runs
from orchestrator.model.events import AnyEvent, AttemptEnded, AttemptStarted, LaneChanged, RunWarned
from orchestrator.model.outcome import Outcome
from orchestrator.runs.control_socket import ControlQuestion, send_command
from orchestrator.runs.result import RunResult
from tests.support.made_up_worker import MadeUpChunks, serve
from tests.support.temporal import TemporalServer

pytestmark = pytest.mark.long("a Temporal server of its own")


class Stage:
    """A plan of two zones, whose names no other test has, and the run of it."""

    def __init__(
        self,
        folder: Path,
        server: TemporalServer,
        *,
        a: int = 5,
        b: int = 3,
        keys: str = "",
        waves: str = "",
    ) -> None:
        """``keys`` are further keys of both gateways; ``waves`` stands in the place of the targets."""
        end = secrets.token_hex(3)
        self.zones = (f"a-{end}", f"b-{end}")
        self.folder = folder
        self.server = server
        self.events: list[AnyEvent] = []
        self.progress = RunProgress()
        own = f"auth: {{token: {{env: NOT_SET_HERE}}}}{keys}"
        first = ", ".join(f"p{number}" for number in range(a))
        second = ", ".join(f"q{number}" for number in range(b))
        targets = (
            "targets:\n"
            f"  - {{gateway: a, project: P, proxies: [{first}], environment: e}}\n"
            f"  - {{gateway: b, project: P, proxies: [{second}], environment: e}}\n"
        )
        (folder / "plan.yaml").write_text(
            "version: 1\nname: far\nsnapshot: off\ngateways:\n"
            f"  a: {{kind: apinizer, url: https://a.example.com, zone: {self.zones[0]}, {own}}}\n"
            f"  b: {{kind: apinizer, url: https://b.example.com, zone: {self.zones[1]}, {own}}}\n"
            f"{waves or targets}"
        )
        self._names = {
            "a": [(seq + 1, f"a/P/p{seq}/e") for seq in range(a)],
            "b": [(a + seq + 1, f"b/P/q{seq}/e") for seq in range(b)],
        }

    def find(self, order: ChunkOrder) -> Sequence[tuple[int, str]]:
        place = order.place
        return self._names[place.gateway][place.first : place.first + place.count]

    def find_all(self, order: ChunkOrder) -> Sequence[tuple[int, str]]:
        """Return all targets of a gateway, for chunks of a later session: what is done, they leave out."""
        return self._names[order.place.gateway]

    def hear(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.progress.observe(event)

    def conductor(self) -> TemporalConductor:
        return TemporalConductor(self.server.address, lease=5.0)

    @property
    def options(self) -> RunOptions:
        return RunOptions(state=self.folder / "state")

    async def run(self, prompt: Prompt | None = None) -> RunResult:
        with load_plan(self.folder / "plan.yaml") as loaded:
            return await run(
                loaded, self.options, listeners=[self.hear], prompt=prompt, conductor=self.conductor()
            )

    async def resume(self, state: Path | None = None, *, engine_gone: bool = False) -> RunResult:
        """Go on with the one run that is kept, as a process of its own would."""
        options = replace(
            self.options,
            state=state or self.options.state,
            engine_gone=engine_gone,
            reach_engine=lambda _: self.conductor(),
        )
        (folder,) = list_runs(options.state)
        self.events.clear()
        self.progress = RunProgress()
        return await resume(folder, options, listeners=[self.hear], conductor=self.conductor())

    async def run_beside(self, steer: Callable[[], Awaitable[None]]) -> RunResult:
        """Run, while ``steer`` does something beside."""
        results: list[RunResult] = []

        async def go() -> None:
            results.append(await self.run())

        async with anyio.create_task_group() as group:
            group.start_soon(go)
            await steer()
        return results[0]

    async def run_until_lost(self, count: int) -> None:
        """Run until so many targets have ended here; then this process is gone, as if it was killed."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.run)
            await self.wait_for(count)
            group.cancel_scope.cancel()

    async def wait_for(self, count: int) -> None:
        """Wait until so many targets have ended here."""
        with anyio.fail_after(30):
            while names(self.events).count("TargetEnded") < count:  # noqa: ASYNC110 - a listener is no task
                await anyio.sleep(0.05)

    async def send(self, command: ControlCommand) -> str:
        """Steer the run as a person on its machine does."""
        (folder,) = list_runs(self.options.state)
        question = ControlQuestion(command=command)
        return await anyio.to_thread.run_sync(send_command, folder.path, question)

    def play(self, main: Callable[[], Awaitable[RunResult]], *chunks: MadeUpChunks) -> RunResult:
        """Play with a worker in the first zones, one for each of ``chunks``."""

        async def play() -> RunResult:
            client = await connect(self.server.address)
            async with serve(client, *zip(self.zones, chunks, strict=False)):
                return await main()

        return anyio.run(play)


def names(events: Sequence[AnyEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_the_results_of_two_zones_come_into_one_report(tmp_path: Path, temporal: TemporalServer) -> None:
    stage = Stage(tmp_path, temporal)
    chunks = MadeUpChunks(stage.find)

    result = stage.play(stage.run, chunks, chunks)

    assert (result.exit_status, result.report.run.state) == (ExitStatus.DONE, "complete")
    assert {gateway.name: gateway.totals.undeployed for gateway in result.report.gateways} == {"a": 5, "b": 3}
    assert result.report.totals.requests == 8
    told = names(stage.events)
    assert told[:2] == ["RunStarted", "WaveStarted"]
    assert told[-2:] == ["WaveEnded", "RunEnded"]
    assert told.count("TargetEnded") == 8
    assert stage.progress.count_in_run(Outcome.UNDEPLOYED) == 8
    assert stage.progress.in_flight == 0
    # The engine has forgotten the run: nothing holds other runs off its targets.
    assert result.folder.read_holder() is None
    assert read_engine_mark(result.folder.path) is None


def test_results_come_while_a_chunk_is_under_way_and_a_stop_reaches_it(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=60, b=1)
    slow = MadeUpChunks(stage.find, seconds=0.2)

    async def steer() -> None:
        await stage.wait_for(5)
        assert await stage.send(StopRun())

    result = stage.play(lambda: stage.run_beside(steer), slow, slow)

    totals = result.report.totals
    assert (result.exit_status, result.report.run.state) == (ExitStatus.STOPPED, "stopped")
    assert 5 <= totals.undeployed < 61
    assert totals.undeployed + totals.not_started == 61
    assert "stopped it" in (result.report.run.stopped_by or "")
    assert names(stage.events).count("TargetEnded") == totals.undeployed


def test_a_pause_holds_a_chunk_and_continue_hands_the_rest_out_again(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=30, b=1)
    slow = MadeUpChunks(stage.find, seconds=0.1)

    async def steer() -> None:
        await stage.wait_for(5)
        await stage.send(PauseRun())
        await anyio.sleep(3)
        here = names(stage.events).count("TargetEnded")
        await anyio.sleep(1)
        assert names(stage.events).count("TargetEnded") == here < 31
        await stage.send(ContinueRun())

    result = stage.play(lambda: stage.run_beside(steer), slow, slow)

    assert (result.report.run.state, result.report.run.stopped_by) == ("complete", None)
    assert result.report.totals.undeployed == 31


@pytest.mark.promise(10)
def test_a_paused_run_whose_workflow_is_terminated_ends_and_a_resume_does_the_rest(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=30, b=1)
    slow = MadeUpChunks(stage.find_all, seconds=0.1)
    stopped: list[RunResult] = []

    async def steer() -> None:
        await stage.wait_for(5)
        await stage.send(PauseRun())
        await anyio.sleep(3)
        (folder,) = list_runs(stage.options.state)
        client = await connect(temporal.address)
        await client.get_workflow_handle(name_run_workflow(folder.id, 1)).terminate()

    async def main() -> RunResult:
        with anyio.fail_after(40):
            stopped.append(await stage.run_beside(steer))
            return await stage.resume()

    result = stage.play(main, slow, slow)

    (first,) = stopped
    assert (first.exit_status, first.report.run.state) == (ExitStatus.STOPPED, "stopped")
    assert "was terminated there, not by this program" in (first.report.run.stopped_by or "")
    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.DONE, 31)
    assert result.report.totals.requests == 31


def test_a_session_whose_process_ended_goes_on_and_is_taken_over_with_nothing_lost(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=40, b=2)
    slow = MadeUpChunks(stage.find, seconds=0.1)

    async def main() -> RunResult:
        await stage.run_until_lost(5)
        first = names(stage.events).count("TargetEnded")
        result = await stage.resume()
        assert first + names(stage.events).count("TargetEnded") == 42
        return result

    result = stage.play(main, slow, slow)

    assert (result.exit_status, result.report.run.state) == (ExitStatus.DONE, "complete")
    assert (result.report.totals.undeployed, result.report.totals.requests) == (42, 42)
    assert len(result.report.run.sessions) == 1
    assert len(slow.orders) == 2
    assert stage.progress.count_in_run(Outcome.UNDEPLOYED) == 42
    told = names(stage.events)
    assert (told.count("WaveStarted"), told.count("WaveEnded")) == (1, 1)


def test_a_stop_holds_although_another_driver_has_ordered_something_meanwhile(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=60, b=1)
    slow = MadeUpChunks(stage.find, seconds=0.2)

    async def steer() -> None:
        await stage.wait_for(3)
        (folder,) = list_runs(stage.options.state)
        # Another driver has ordered something that this one does not know of.
        client = await connect(temporal.address)
        run = client.get_workflow_handle(name_run_workflow(folder.id, 1))
        await run.signal("orders", Orders(number=5, skips={"a/P/p59/e": "bob"}))
        await anyio.sleep(0.5)
        await stage.send(StopRun())

    result = stage.play(lambda: stage.run_beside(steer), slow, slow)

    assert (result.report.run.state, result.exit_status) == ("stopped", ExitStatus.STOPPED)
    assert 3 <= result.report.totals.undeployed < 61
    warned = [event.text for event in stage.events if isinstance(event, RunWarned)]
    assert [text.partition(";")[0] for text in warned] == ["another undeploy command steers this run, too"]


@pytest.mark.promise(2)
def test_what_a_lost_worker_told_is_taken_over_and_its_open_request_counts_as_lost(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=6, b=1)
    chunks = MadeUpChunks(stage.find, lost_after=3)

    result = stage.play(stage.run, chunks, MadeUpChunks(stage.find))

    # The lost one began a request for the fourth: it is in the journal, and the next one counts on from it.
    assert (result.report.run.state, result.report.totals.undeployed) == ("complete", 7)
    assert result.report.totals.requests == 8
    assert [len(order.beats) for order in chunks.orders] == [0, 4]
    lost = [event for event in stage.events if isinstance(event, AttemptEnded) and event.status is None]
    assert [(event.target, event.number, event.message) for event in lost] == [("a/P/p3/e", 1, LOST)]
    assert [event.number for event in stage.events if begins(event, "a/P/p3/e")] == [1, 2]
    assert stage.progress.in_flight == 0
    assert {lane.in_flight for lane in stage.progress.lanes.values()} == {0}


def begins(event: AnyEvent, target: str) -> TypeGuard[AttemptStarted]:
    return isinstance(event, AttemptStarted) and event.target == target


def test_a_zone_without_a_worker_is_given_up_and_the_other_one_goes_on(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, keys=", park_for: 8s")

    result = stage.play(stage.run, MadeUpChunks(stage.find))

    by_name = {gateway.name: gateway for gateway in result.report.gateways}
    assert result.exit_status == ExitStatus.STOPPED
    assert by_name["a"].totals.undeployed == 5
    assert (by_name["b"].lane, by_name["b"].totals.not_started) == ("parked", 3)
    states = [event.state for event in stage.events if isinstance(event, LaneChanged)]
    assert states == ["parked", "parked"]
    with result.folder.open_source() as source:
        reasons = {target.reason for target in source.targets() if target.gateway == "b"}
    assert reasons == {f"parked: no worker of zone {stage.zones[1]} took its work for 8 s"}


WAVES = """\
waves:
  - name: first
    proceed: ask
    targets: [{gateway: a, project: P, proxies: [p0, p1], environment: e}]
  - name: second
    targets: [{gateway: a, project: P, proxies: [p2, p3, p4], environment: e}]
"""


def find_in_waves(order: ChunkOrder) -> Sequence[tuple[int, str]]:
    numbers = ((0, 1), (2, 3, 4))[order.place.wave]
    return [(number + 1, f"a/P/p{number}/e") for number in numbers]


def test_the_operator_is_asked_between_two_waves(tmp_path: Path, temporal: TemporalServer) -> None:
    stage = Stage(tmp_path, temporal, waves=WAVES)
    chunks = MadeUpChunks(find_in_waves, wave=lambda order: ("first", "second")[order.place.wave])
    asked: list[str] = []

    async def prompt(wave: str) -> bool:
        asked.append(wave)
        assert names(stage.events).count("TargetEnded") == 2
        return True

    result = stage.play(lambda: stage.run(prompt), chunks)

    assert (result.report.run.state, asked) == ("complete", ["first"])
    kept = ("WaveStarted", "WaveEnded", "RunWaiting", "RunContinued")
    assert [name for name in names(stage.events) if name in kept] == [
        *("WaveStarted", "WaveEnded", "RunWaiting", "RunContinued"),
        *("WaveStarted", "WaveEnded"),
    ]


def test_a_stop_rule_of_the_workflow_stops_the_run(tmp_path: Path, temporal: TemporalServer) -> None:
    stage = Stage(tmp_path, temporal, waves=f"stop_when: {{failed: 1}}\n{WAVES.replace('ask', 'automatic')}")
    chunks = MadeUpChunks(
        find_in_waves,
        wave=lambda order: ("first", "second")[order.place.wave],
        outcome=lambda _: (Outcome.FAILED, "refused: no"),
    )

    result = stage.play(stage.run, chunks)

    assert result.exit_status == ExitStatus.STOPPED
    assert result.report.run.stopped_by == "stop_rule: failed: 2 in the run, now in wave first, limit 1"
    assert (result.report.totals.failed, result.report.totals.not_started) == (2, 3)


# --- without a worker -----------------------------------------------------------------------------------


def count_open_workflows(stage: Stage) -> int:
    """Return how many workflows the server keeps open for the one run that is kept."""

    async def count() -> int:
        client = await connect(stage.server.address)
        (folder,) = list_runs(stage.options.state)
        left = 0
        for name in (
            name_run_workflow(folder.id, 1),
            name_journal_workflow(name_run_workflow(folder.id, 1), 0),
        ):
            described = await client.get_workflow_handle(name).describe()
            left += described.status is WorkflowExecutionStatus.RUNNING
        return left

    return anyio.run(count)


@pytest.mark.promise(10)
def test_a_run_that_no_worker_takes_says_so_and_ends_after_park_for(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, keys=", park_for: 7s")

    result = anyio.run(stage.run)

    assert (result.exit_status, result.report.run.state) == (ExitStatus.STOPPED, "stopped")
    assert result.report.totals.not_started == 8
    assert "takes the run's work for 7 s (park_for)" in (result.report.run.stopped_by or "")
    told = [event.text for event in stage.events if isinstance(event, RunWarned)]
    assert sum("start one with `undeploy worker --zone ZONE" in text for text in told) == 1
    assert count_open_workflows(stage) == 0
    assert read_engine_mark(result.folder.path) is None


@pytest.mark.promise(8)
def test_a_stop_of_a_run_that_no_worker_takes_ends_it_and_a_resume_does_the_work(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal)

    async def steer() -> None:
        with anyio.fail_after(30):
            while "RunWarned" not in names(stage.events):  # noqa: ASYNC110 - a listener is no task
                await anyio.sleep(0.05)
        await stage.send(StopRun())

    stopped = anyio.run(lambda: stage.run_beside(steer))

    assert (stopped.exit_status, stopped.report.totals.not_started) == (ExitStatus.STOPPED, 8)
    assert count_open_workflows(stage) == 0
    chunks = MadeUpChunks(stage.find)
    resumed = stage.play(stage.resume, chunks, chunks)
    assert (resumed.exit_status, resumed.report.totals.undeployed) == (ExitStatus.DONE, 8)


@pytest.mark.promise(8)
def test_a_stop_after_all_workers_are_lost_leaves_the_session_to_a_resume(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=30, b=1)
    slow = MadeUpChunks(stage.find, seconds=0.2)

    async def main() -> RunResult:
        client = await connect(temporal.address)
        results: list[RunResult] = []

        async def go() -> None:
            results.append(await stage.run())

        async with anyio.create_task_group() as group:
            async with serve(client, *zip(stage.zones, (slow, slow), strict=True)):
                group.start_soon(go)
                await stage.wait_for(5)
            await stage.send(StopRun())
        return results[0]

    left = anyio.run(main)

    totals = left.report.totals
    assert left.exit_status is ExitStatus.STOPPED
    assert "is not known here" in (left.report.run.stopped_by or "")
    told = [event.text for event in stage.events if isinstance(event, RunWarned)]
    assert "takes over what there is once a worker is back" in told[-1]
    assert totals.undeployed >= 5
    assert totals.undeployed + totals.not_started + totals.unknown == 31
    assert read_engine_mark(left.folder.path) is not None


def test_a_chunk_that_is_called_back_before_a_worker_took_it_is_none_of_its_results(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal)

    async def steer() -> None:
        await stage.wait_for(5)
        await stage.send(PauseRun())
        await anyio.sleep(2)
        await stage.send(StopRun())

    result = stage.play(lambda: stage.run_beside(steer), MadeUpChunks(stage.find))

    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.STOPPED, 5)
    assert result.report.totals.not_started == 3


# --- taken up again -------------------------------------------------------------------------------------


@pytest.mark.promise(1)
def test_a_run_at_work_is_not_begun_beside_itself_because_its_engine_is_said_to_be_gone(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=40, b=2)
    slow = MadeUpChunks(stage.find_all, seconds=0.1)

    async def main() -> RunResult:
        await stage.run_until_lost(5)
        with pytest.raises(UsageError, match=r"still open on .*the engine is not gone"):
            await stage.resume(engine_gone=True)
        return await stage.resume()

    result = stage.play(main, slow, slow)

    assert (result.exit_status, len(result.report.run.sessions)) == (ExitStatus.DONE, 1)
    assert result.report.totals.requests == 42


@pytest.mark.promise(8)
def test_a_session_that_was_stopped_without_its_driver_is_followed_by_another_at_once(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=40, b=2)
    slow = MadeUpChunks(stage.find_all, seconds=0.1)

    async def main() -> RunResult:
        await stage.run_until_lost(5)
        (folder,) = list_runs(stage.options.state)
        client = await connect(temporal.address)
        handle = client.get_workflow_handle(name_run_workflow(folder.id, 1))
        await handle.signal("orders", Orders(number=9, stop=StopOrder(kind="interrupt", text="SIGINT came")))
        return await stage.resume()

    result = stage.play(main, slow, slow)

    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.DONE, 42)
    assert [session.exit_status for session in result.report.run.sessions] == [130, 0]
    assert names(stage.events).count("RunStarted") == 1
    assert "RunStopping" not in names(stage.events)


@pytest.mark.promise(1)
def test_a_session_that_was_done_from_another_folder_is_taken_over_before_another_begins(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal, a=30, b=2)
    slow = MadeUpChunks(stage.find_all, seconds=0.1)
    other = tmp_path / "other"

    async def steer() -> None:
        await stage.wait_for(5)
        await stage.send(StopRun())

    async def main() -> RunResult:
        await stage.run_beside(steer)
        shutil.copytree(stage.options.state, other)
        there = await stage.resume(other)
        assert (there.exit_status, there.report.totals.undeployed) == (ExitStatus.DONE, 32)
        return await stage.resume()

    result = stage.play(main, slow, slow)

    totals = result.report.totals
    assert (result.exit_status, totals.undeployed, totals.already_undeployed) == (ExitStatus.DONE, 32, 0)
    assert len(result.report.run.sessions) == 2


def test_a_session_that_has_ended_keeps_the_id_of_its_workflow(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    stage = Stage(tmp_path, temporal)
    chunks = MadeUpChunks(stage.find)

    async def main() -> RunResult:
        result = await stage.run()
        client = await connect(temporal.address)
        workflow = name_run_workflow(result.folder.id, 1)
        before = await client.get_workflow_handle(workflow).describe()
        given = (await read_run_start(client, workflow, ServerPatience())).given
        await start_run(client, given, workflow, ServerPatience())
        after = await client.get_workflow_handle(workflow).describe()
        assert after.run_id == before.run_id
        return result

    assert stage.play(main, chunks, chunks).exit_status is ExitStatus.DONE
