"""A zone's worker in the test's own process, between a real server and the simulators' process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace
from temporalio.testing import ActivityEnvironment

from orchestrator.api import RunOptions, load_plan, run
from orchestrator.distributed import look_activity
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.connection import connect
from orchestrator.distributed.look_activity import LookWorker
from orchestrator.distributed.look_payloads import LookOrder
from orchestrator.distributed.looking import Looking, examine_on, preview_on
from orchestrator.distributed.worker import WorkerSpec, serve_zone
from orchestrator.engine.signals import HeldSignal
from orchestrator.errors import CredentialError, ExitStatus, RunError
from orchestrator.model.reading import Verdict
from orchestrator.runs.machine import make_real_environment
from orchestrator.simulator.books import SimulatedGatewayFacts
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.process import RunningSimulators, start_simulators
from tests.support.commands import FIXTURE, PROXIES
from tests.support.played_zone import PAGES
from tests.support.temporal import TemporalServer

pytestmark = [pytest.mark.long("a Temporal server of its own"), pytest.mark.timeout(120)]


class SentSignals:
    """The signals of a worker, as the test sends them."""

    def __init__(self) -> None:
        self._queue = asyncio.Queue[str]()

    def send(self, name: str) -> None:
        self._queue.put_nowait(name)

    async def receive(self) -> AsyncIterator[str]:
        while True:
            yield await self._queue.get()

    @contextmanager
    def hold(self, *, before: bool = False) -> Iterator[HeldSignal]:
        yield HeldSignal()


class ServedZone:
    """A plan with one gateway in a zone of its own, and that zone's worker."""

    def __init__(self, folder: Path, server: TemporalServer, simulators: RunningSimulators) -> None:
        self.folder = folder
        self.server = server
        self.zone = f"z-{secrets.token_hex(4)}"
        self.signals = SentSignals()
        self.told: list[str] = []
        self.has_landed: bool | None = None
        """What the worker said at its end."""
        self._simulators = simulators
        simulators.refill(replace(FIXTURE, gateways=(replace(FIXTURE.gateways[0], latency=0.05),)))
        folder.joinpath("plan.yaml").write_text(
            f"version: 1\nname: far\ngateways:\n  apim: {{kind: apinizer, url: '{simulators.urls['apim']}',"
            f" zone: {self.zone}, auth: {{token: {{env: APINIZER_TOKEN}}}}, limits: {{concurrency: 1}}}}\n"
            "targets:\n"
            f"  - {{gateway: apim, project: Retail, proxies: [{', '.join(PROXIES)}], environments: [test]}}\n"
        )

    def facts(self) -> SimulatedGatewayFacts:
        return self._simulators.books().gateways["apim"]

    async def serve(self) -> None:
        """Serve the zone until a signal comes."""
        state = self.folder / "worker"
        spec = WorkerSpec(zone=self.zone, state=state, name="the worker", url=self.server.url)
        client = await connect(self.server.address)
        environment = make_real_environment(Path())
        self.has_landed = await serve_zone(client, spec, environment, self.signals, self.told.append)
        assert list(state.joinpath("workers").iterdir()) == []

    def play(self, main: Callable[[], Awaitable[None]], *signals: str) -> None:
        """Play with a worker, which gets signals at the end."""

        async def play() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.serve)
                await main()
                for name in signals:
                    self.signals.send(name)

        anyio.run(play)

    async def looking(self, wait: float = 20.0) -> Looking:
        return Looking(await connect(self.server.address), self.told.append, wait)


async def wait_until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - another process brings it about
            await anyio.sleep(0.01)


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with start_simulators(FIXTURE) as running:
        yield running


@pytest.fixture
def zone(
    tmp_path: Path,
    temporal: TemporalServer,
    simulators: RunningSimulators,
    monkeypatch: pytest.MonkeyPatch,
) -> ServedZone:
    monkeypatch.setenv("APINIZER_TOKEN", FAKE_TOKEN)
    return ServedZone(tmp_path, temporal, simulators)


def test_a_run_goes_on_at_the_next_worker_after_a_signal_to_the_first(zone: ServedZone) -> None:
    async def main() -> None:
        with load_plan(zone.folder / "plan.yaml") as loaded:
            options = RunOptions(state=zone.folder / "state")
            go = partial(run, loaded, options, conductor=TemporalConductor(zone.server.address, lease=10.0))
            running = asyncio.create_task(go())
            await wait_until(lambda: zone.facts().down)
            zone.signals.send("SIGTERM")
            await wait_until(lambda: zone.has_landed is not None)
            landed.append(zone.facts().down)
            async with anyio.create_task_group() as group:
                group.start_soon(zone.serve)
                results.append(await running)
                zone.signals.send("SIGTERM")

    landed: list[int] = []
    results = []
    zone.play(main)
    assert zone.has_landed
    assert 0 < landed[0] < len(PROXIES)
    (result,) = results
    assert result.exit_status is ExitStatus.DONE
    assert result.report.totals.undeployed == len(PROXIES)
    assert zone.facts().down == len(PROXIES)
    serves = f"serves zone {zone.zone} on {zone.server.url}"
    assert [line for line in zone.told if line.startswith("serves")] == [serves, serves]


def test_a_worker_looks_for_a_preview_and_for_a_doctor(zone: ServedZone) -> None:
    async def main() -> None:
        with load_plan(zone.folder / "plan.yaml") as loaded:
            looking = await zone.looking()
            previews.append(await preview_on(looking, loaded, RunOptions(), seen))
            diagnoses.extend(await examine_on(looking, loaded))

    seen, previews, diagnoses = Seen(), [], []
    zone.play(main, "SIGTERM")
    (preview,) = previews
    assert [each.snapshot.verdict for each in preview.targets] == [Verdict.UP] * len(PROXIES)
    assert seen.told[0] == (0, len(PROXIES))
    (diagnosis,) = diagnoses
    assert (diagnosis.gateway, diagnosis.requests > 0) == ("apim", True)
    assert zone.facts().down == 0


class Seen:
    """Hears how far a preview is."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def on_target_seen(self, done: int, of: int) -> None:
        self.told.append((done, of))

    def on_pause(self, gateway: str, reason: str, seconds: float) -> None:
        return


def test_a_look_that_a_zone_cannot_take_is_told(zone: ServedZone, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with load_plan(zone.folder / "plan.yaml") as loaded:
            looking = await zone.looking()
            with pytest.raises(CredentialError, match=f"zone {zone.zone}: .*APINIZER_TOKEN"):
                await preview_on(looking, loaded, RunOptions())
        plan = zone.folder / "plan.yaml"
        plan.write_text(plan.read_text().replace(f"zone: {zone.zone}", f"zone: {zone.zone}-none"))
        with load_plan(plan) as loaded:
            looking = await zone.looking(wait=1.0)
            preview = await preview_on(looking, loaded, RunOptions())
            (diagnosis,) = await examine_on(looking, loaded)
        told.extend((preview.targets[0].snapshot.message, *(each.text for each in diagnosis.findings)))

    monkeypatch.delenv("APINIZER_TOKEN")
    told: list[str | None] = []
    zone.play(main, "SIGTERM")
    assert told[0] == f"not looked at: no worker of zone {zone.zone}-none took the look for 1 s"
    assert f"no worker of zone {zone.zone}-none took the look for 1 s" in told[1:]


def test_a_second_signal_ends_a_worker_at_once(zone: ServedZone) -> None:
    async def main() -> None:
        await wait_until(lambda: zone.told)

    zone.play(main, "SIGTERM", "SIGTERM")
    assert zone.has_landed is False


def test_a_worker_refuses_a_folder_that_it_cannot_write_to(zone: ServedZone) -> None:
    (zone.folder / "worker").mkdir(mode=0o700)
    (zone.folder / "worker" / "workers").write_text("a file")

    with pytest.raises(RunError, match="a worker can keep nothing there"):
        anyio.run(zone.serve)


def test_an_error_of_a_look_leaves_no_text_of_this_machine_unmasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make_real_environment(Path())
    environment.known.add([FAKE_TOKEN])

    async def fail(*_: object) -> None:
        raise ExceptionGroup("of a task group", [RuntimeError(f"no such thing as {FAKE_TOKEN}")])

    monkeypatch.setattr(look_activity, "fetch_journal", fail)
    looks = LookWorker(None, environment, tmp_path)  # type: ignore[arg-type]
    order = LookOrder(journal=PAGES, zone="east", ask="preview")
    with pytest.raises(look_activity.ApplicationError) as raised:
        anyio.run(partial(ActivityEnvironment().run, looks.look, order))

    assert raised.value.type == "trouble"
    assert raised.value.message.startswith("RuntimeError: no such thing as •••")
    assert list(tmp_path.iterdir()) == []
