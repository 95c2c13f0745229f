"""For the tests of the engine: a gateway whose answers a test writes out, and time that jumps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anyio
import msgspec

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import Prompt, RunRequest
from orchestrator.engine.resources import RunResources, SessionSpec
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.pending import UntouchedTarget
from orchestrator.lanes.announcer import LaneNews
from orchestrator.lanes.environment import Environment
from orchestrator.lanes.lane import NOTHING_LEARNED, Lane, LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Access, Material, Secret
from orchestrator.model.events import AnyEvent
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.model.target import Target, TargetId
from orchestrator.model.usage import Usage
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.rules.stop_rules import StopRules
from tests.simulation.clock import VirtualLoop, play

Result = TypeVar("Result")

EPOCH = 1_795_000_000.0
"""Unix seconds at second 0 of the virtual clock."""

LOOK = Operation(Act.LOOK, "show")
Answer = Reading | Lost
Told = tuple[float, Act, str]
"""When a request reached the gateway, its act, and its target."""


class Scripted(Gateway, frozen=True, kw_only=True):
    """A kind whose replies are readings; targets with the same part 2, if any, exclude each other."""

    KIND: ClassVar[str] = "scripted"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = ()
    EVIDENCE: ClassVar[str] = "204"
    CONCURRENCY: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 30.0

    @property
    def installation(self) -> str:
        return self.name

    def exclusive_key(self, target: Target) -> str | None:
        return target.parts[1] if len(target.parts) > 1 else None

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        assert isinstance(access, Secret)
        return Request(operation.act, target.id, {"token": access.reveal()})

    def read(self, operation: Operation, target: Target, reply: Reply) -> Reading:
        return msgspec.json.decode(reply.body, type=Reading)

    def next_look(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        if LOOK.via in lacking:
            return Reading(verdict=Verdict.NOT_OFFERED)
        return seen.get(LOOK.via, LOOK)


def gateway(name: str = "gw", **fields: Any) -> Scripted:
    """Return a gateway of the scripted kind."""
    auth = Auth(token=CredentialReference(env="TOKEN"))
    given: dict[str, Any] = {"name": name, "url": "https://gw.example", "auth": auth}
    return Scripted(**given | fields)


def target(seq: int = 1, gateway: str = "gw", *, like: str | None = None, wave: int = 0) -> Target:
    """Return a target ``gw/t1``, or ``gw/t1/x``: those with the same ``like`` exclude each other."""
    parts = (f"t{seq}",) if like is None else (f"t{seq}", like)
    return Target(seq, TargetId("/".join((gateway, *parts))), gateway, wave, parts)


def _nothing(*_: object) -> Any:
    raise AssertionError("this test needs no journal and no connection")


def environment(
    credential: Callable[[Gateway], Material] = lambda _: Secret("the-token"),
    *,
    roll: Callable[[], float] = lambda: 1.0,
) -> Environment:
    """Return an environment with the virtual clock, the test's own dice, and a credential."""

    async def resolved(entry: Gateway) -> Material:
        return credential(entry)

    return Environment(
        now=lambda: EPOCH + anyio.current_time(),
        monotonic=anyio.current_time,
        roll=roll,
        connect=_nothing,
        credential=resolved,
    )


def played(main: Callable[[], Awaitable[Result]]) -> Result:
    """Run on a virtual clock that starts at second 0; a test that would hang raises DeadlockError."""

    async def body() -> Result:
        return await main()

    return play(VirtualLoop(), body())


class Wire:
    """The connection of one lane. Each answer takes ``takes`` seconds.

    ``answers`` gives the answer to a request of an act for a target's id.
    """

    def __init__(self, answers: Callable[[Act, str], Answer], takes: float = 0.0) -> None:
        self.told: list[Told] = []
        self.tokens: list[str] = []
        self._answers = answers
        self._takes = takes

    async def send(self, request: Request) -> Reply | Lost:
        act = Act(request.method)
        self.told.append((anyio.current_time(), act, request.url))
        self.tokens.append(request.headers["token"])
        answer = self._answers(act, request.url)
        await anyio.sleep(self._takes)
        if isinstance(answer, Lost):
            return answer
        status = 401 if answer.verdict is Verdict.DENIED else 200
        return Reply(status, {}, msgspec.json.encode(answer), EPOCH + anyio.current_time())

    def times(self, act: Act = Act.UNDEPLOY) -> list[float]:
        """Return the seconds at which requests of an act arrived."""
        return [round(at, 6) for at, asked, _ in self.told if asked is act]


def script(undeploys: list[Answer], looks: list[Answer] | None = None) -> Callable[[Act, str], Answer]:
    """Return answers in order, for any target; a request after the last one fails the test."""
    left = {Act.UNDEPLOY: list(undeploys), Act.LOOK: list(looks or [])}
    return lambda act, _: left[act].pop(0)


class Journal:
    """A record that keeps what it is told in memory, in order."""

    def __init__(
        self, *, takes: float = 0.0, fails_at: int | None = None, fault: Exception | None = None
    ) -> None:
        self.rows: list[tuple[str, int, Act | Verdict]] = []
        self.usages: list[Usage] = []
        self._takes = takes
        self._fails_at = fails_at
        self._fault = fault

    async def keep_intent(self, target: Target, number: int, operation: Operation, at: float) -> None:
        await anyio.sleep(self._takes)
        if number == self._fails_at and self._fault is not None:
            raise self._fault
        self.rows.append(("intent", number, operation.act))

    def keep_result(
        self, target: Target, number: int, answer: Reply | Lost, reading: Reading, *, seconds: float
    ) -> None:
        self.rows.append(("result", number, reading.verdict))

    def keep_snapshot(self, target: Target, snapshot: Snapshot, at: float) -> None:
        return

    def keep_usage(self, target: Target, usage: Usage, at: float) -> None:
        self.usages.append(usage)


class Heard:
    """Keeps what is told of a lane, in order: its states with their reasons, its warnings, its paces,
    its pages of lists, and how many requests were its own."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str | None]] = []
        self.warnings: list[str] = []
        self.paces: list[float | None] = []
        self.requests = 0
        self.lists: list[str | None] = []
        self.probes: list[tuple[float, float]] = []

    def on_lane_state(
        self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None, /
    ) -> None:
        if state == "warning":
            self.warnings.append(reason or "")
        else:
            self.states.append((state, reason))

    def on_pace(self, gateway: str, rate: float | None, /) -> None:
        self.paces.append(rate)

    def on_lane_request(self, gateway: str, /) -> None:
        self.requests += 1

    def on_probe(self, gateway: str, wait: float, gives_up: float, /) -> None:
        self.probes.append((round(wait, 3), round(gives_up, 3)))

    def on_list(self, gateway: str, text: str | None, /) -> None:
        self.lists.append(text)

    def on_answer(self, gateway: str, answer: Reply | Lost, /) -> None:
        return


def lane(
    entry: Gateway,
    here: Environment,
    run_gate: RunGate,
    heard: Heard | None = None,
    *,
    material: Material | None = None,
    send: Any = None,
    learned: LearnedLimits = NOTHING_LEARNED,
) -> Lane:
    """Return a new lane, with a token unless another credential is given."""
    return Lane(entry, material or Secret("the-token"), send, here, run_gate, heard or Heard(), learned)


class NothingPending:
    """The open targets of a run whose journal the test does without."""

    has_approvals = False

    def read_approved(self, seq: int) -> StateAtApproval | None:
        return None

    def read_snapshot(self, seq: int) -> Snapshot | None:
        return None

    def list_untouched(self) -> tuple[list[UntouchedTarget], ...]:
        return ()


def resources(
    here: Environment,
    run_gate: RunGate,
    record: Any,
    emit: Callable[[AnyEvent], None] = lambda _: None,
    *,
    plan: Plan | None = None,
    pending: Any = None,
    stop_rules: StopRules | None = None,
    lanes: dict[str, Lane] | None = None,
    prompt: Prompt | None = None,
    **spec: Any,
) -> RunResources:
    """What a session's parts share; its spec is that of a first session unless the test says otherwise."""
    plan = plan or Plan(name="p", gateways=(gateway(),), waves=(Wave(name="w"),), snapshot="off")
    given: dict[str, Any] = {
        "request": RunRequest(options=RunOptions(), prompt=prompt),
        "folder": RunFolder(Path("r")),
        "plan": plan,
        "number": 1,
        "holder": "{}",
        "window": None,
        "window_from": "plan",
        "materials": {},
    }
    return RunResources(
        spec=SessionSpec(**given | spec),
        environment=here,
        run_gate=run_gate,
        record=record,
        pending=pending or NothingPending(),
        stop_rules=stop_rules or StopRules(plan.stop_when, {}, first_run=True),
        emit=emit,
        lanes={} if lanes is None else lanes,
    )
