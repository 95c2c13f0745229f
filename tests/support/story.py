"""The events of a run, for the tests of listeners."""

from typing import Literal

from orchestrator.display.progress import RunProgress
from orchestrator.model.events import (
    AnyEvent,
    AttemptEnded,
    AttemptStarted,
    Controlled,
    LaneChanged,
    PaceChanged,
    PartLeft,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveStarted,
)
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId

START = 1_795_374_000.0


def started(
    left: dict[str, int] | None = None,
    *,
    at: float = START,
    resumed: bool = False,
    closes: float | None = None,
    timeouts: dict[str, float] | None = None,
    parts: tuple[PartLeft, ...] = (),
) -> RunStarted:
    left = left or {"roma-eu": 2, "apim": 1}
    return RunStarted(
        at=at,
        run=RunId("r1"),
        plan="retirement",
        targets=sum(left.values()),
        left=left,
        resumed=resumed,
        closes=closes,
        timeouts=dict.fromkeys(left, 0.0) if timeouts is None else timeouts,
        parts=parts,
    )


def wave_started(at: float = START, left: int = 3) -> WaveStarted:
    return WaveStarted(at=at, wave="everything", left=left)


def sent(target: str, at: float = START) -> AttemptStarted:
    return AttemptStarted(at=at, target=TargetId(target), gateway=gateway(target), number=1, act=Act.UNDEPLOY)


def answered(target: str, at: float = START, status: int | None = 204) -> AttemptEnded:
    return AttemptEnded(
        at=at,
        target=TargetId(target),
        gateway=gateway(target),
        number=1,
        act=Act.UNDEPLOY,
        seconds=0.1,
        status=status,
        code=None,
        message=None,
    )


def retry(target: str, at: float = START) -> RetryPlanned:
    return RetryPlanned(at=at, target=TargetId(target), gateway=gateway(target), act=Act.UNDEPLOY, wait=0.5)


def ended(
    target: str, outcome: Outcome = Outcome.UNDEPLOYED, at: float = START, reason: str | None = None
) -> TargetEnded:
    return TargetEnded(
        at=at,
        target=TargetId(target),
        gateway=gateway(target),
        wave="everything",
        outcome=outcome,
        reason=reason,
        evidence=None,
        seconds=0.1,
        attempts=1,
    )


def parked(
    name: str = "apim", at: float = START, why: str = "five faults in a row", *, given_up: bool = False
) -> LaneChanged:
    return LaneChanged(at=at, gateway=name, state="parked", reason=why, given_up=given_up)


def paused(name: str = "apim", at: float = START, seconds: float = 12.0) -> LaneChanged:
    return LaneChanged(at=at, gateway=name, state="paused", reason="429", seconds=seconds)


def reopened(name: str = "apim", at: float = START) -> LaneChanged:
    return LaneChanged(at=at, gateway=name, state="open")


def stopping(at: float = START, reason: str = "interrupt: SIGINT was received") -> RunStopping:
    return RunStopping(at=at, reason=reason, interrupted=reason.endswith("was received"))


def finish(at: float = START) -> RunEnded:
    return RunEnded(at=at, state="complete", exit_status=0)


def wave_ended(at: float = START) -> WaveEnded:
    return WaveEnded(at=at, wave="everything")


def step(at: float = START) -> StepStarted:
    return StepStarted(at=at, wave="everything", number=2, steps=3, left=39)


def waiting(why: Literal["window", "pause_after", "proceed", "paused"], at: float = START) -> RunWaiting:
    """Return a wait of 12 min 5 s, or one that the operator ends."""
    until = at + 725 if why in ("window", "pause_after") else None
    return RunWaiting(at=at, why=why, until=until, wave="everything" if why != "window" else None)


def goes_on(at: float = START) -> RunContinued:
    return RunContinued(at=at)


def pace(name: str, rate: float | None, at: float = START) -> PaceChanged:
    return PaceChanged(at=at, gateway=name, rate=rate)


def controlled(act: str, at: float = START) -> Controlled:
    return Controlled(at=at, act=act, by="alice", origin="host-1, process 4711, pts/3")


def gateway(target: str) -> str:
    return target.partition("/")[0]


def short_run() -> list[AnyEvent]:
    """Two gateways, three targets, one of which fails."""
    events: list[AnyEvent] = [started(), wave_started()]
    for second, target in enumerate(("roma-eu/a", "roma-eu/b", "apim/P/x/test"), start=1):
        failed = target == "roma-eu/b"
        outcome = Outcome.FAILED if failed else Outcome.UNDEPLOYED
        events += [
            sent(target, START + second),
            answered(target, START + second + 0.1),
            ended(target, outcome, START + second + 0.1, "refused: no" if failed else None),
        ]
    return [*events, wave_ended(START + 4), finish(START + 4)]


def fold(*events: AnyEvent) -> RunProgress:
    """Return the progress of a run after these events."""
    progress = RunProgress()
    for event in events:
        progress.observe(event)
    return progress
