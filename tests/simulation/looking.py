"""The commands of a seed that only look, and what each of them may send: logins and reads, and no change."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from orchestrator.errors import OrchestratorError
from orchestrator.lanes.environment import Environment
from orchestrator.model.reading import Act
from orchestrator.simulator.books import SeenRequest, SimulatorBooks, list_differences
from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.simulation.clock import VirtualLoop, play
from tests.simulation.credentials import SECRETS
from tests.simulation.oracles import check_wire
from tests.simulation.scene import SeedScene
from tests.simulation.wire import SessionWire

Result = TypeVar("Result")

_HARMLESS = (RequestEffect.NONE, RequestEffect.GRANTED, RequestEffect.REFUSED)


class LookWitness:
    """Sees each request of a command that only looks, as it reaches its platform."""

    def __init__(self, command: str) -> None:
        self._command = command
        self.broken: list[str] = []

    def note_arrival(self, target: str, act: Act, at: float) -> None:
        """Note that a request about one target has reached its platform."""
        if act is not Act.LOOK:
            self.broken.append(f"{self._command} sent {act} of {target} at {at:.3f}")

    def note_shared_look(self, targets: Iterable[str]) -> None:
        """Do nothing: a look at several targets changes nothing either."""


class LookStage:
    """The process of one command that only looks: its clock and its network, and what it breaks there."""

    def __init__(
        self,
        command: str,
        scene: SeedScene,
        platforms: SimulatedPlatforms,
        *,
        loop: VirtualLoop,
        wire: SessionWire,
        environment: Environment,
        witness: LookWitness,
    ) -> None:
        self.command = command
        self.scene = scene
        self.wire = wire
        self.environment = environment
        self.books = platforms.books()
        """The books before the command."""
        self.requests: Sequence[SeenRequest] = ()
        """What the command has sent."""
        self.broken = witness.broken
        self.seconds = 0.0
        """How long it took."""
        self._platforms = platforms
        self._loop = loop

    def play(self, main: Coroutine[Any, Any, Result]) -> Result | OrchestratorError | None:
        """Return what the command has found, or its refusal; None if a bug ended it."""
        counted = len(self._platforms.list_requests())
        try:
            return play(self._loop, main)
        except OrchestratorError as refused:
            return refused
        except Exception as bug:  # noqa: BLE001 - whatever escapes is this seed's finding
            self.broken.append(f"{self.command} failed: {bug!r}")
            return None
        finally:
            self.seconds = self._loop.time()
            self.requests = self._platforms.list_requests(counted)
            after = self._platforms.books()
            self.broken += check_reads_only(self.command, self.books, after, self.requests)
            self.broken += check_wire(self.scene, self.wire)


def check_reads_only(
    command: str, before: SimulatorBooks, after: SimulatorBooks, requests: Sequence[SeenRequest]
) -> Iterator[str]:
    """Yield what a command that only looks has changed, or could have changed."""
    for seen in requests:
        is_read = seen.method == "GET" or seen.login or "_search" in seen.path
        if seen.effect not in _HARMLESS or not is_read:
            yield f"{command} sent {seen.method} {seen.path}, with the effect {seen.effect}"
    yield from (f"after {command} {difference}" for difference in list_differences(before, after))


def find_secrets(command: str, shown: str) -> Iterator[str]:
    """Yield a line if a command that only looks has shown a credential."""
    if any(secret in shown for secret in SECRETS):
        yield f"promise 9: {command} shows a credential"
