"""A fake report source, and made-up runs of any size, which are the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from orchestrator.model.live_status import MarkKind, TimeMark
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.model.reading import Act
from orchestrator.report.values import (
    AttemptReport,
    ClockSpan,
    ControlReport,
    GatewayReport,
    LatencyPercentiles,
    PaceTimeline,
    Report,
    RunReport,
    RunTimeline,
    TargetReport,
    Totals,
    WaveReport,
)
from orchestrator.report.writing import write_report

STARTED = datetime(2026, 11, 22, 19, 0, 3, 412_000, tzinfo=UTC)
KINDS = {"roma-eu": "roma", "apim": "apinizer", "roma-me": "roma"}


class FakeReportSource:
    """A ``ReportSource`` made from a sequence of targets: counts as the journal would count."""

    def __init__(
        self,
        targets: Sequence[TargetReport],
        run: RunReport,
        lanes: dict[str, GatewayReport] | None = None,
        *,
        controls: Sequence[ControlReport] = (),
        curves: Sequence[PaceTimeline] = (),
        marks: Sequence[TimeMark] = (),
    ) -> None:
        self._targets = targets
        self._marks = tuple(marks)
        self._curves = tuple(curves)
        names = dict.fromkeys(target.gateway for target in targets)
        waves = dict.fromkeys(target.wave for target in targets)
        self.report = Report(
            run=run,
            totals=count_totals(targets),
            gateways=tuple(self._gateway(name, (lanes or {}).get(name)) for name in names),
            waves=tuple(WaveReport(name=name, totals=count_totals(self._of(wave=name))) for name in waves),
            controls=tuple(controls),
        )

    def targets(self) -> Iterable[TargetReport]:
        return iter(self._targets)

    def trouble(self) -> Iterable[TargetReport]:
        return (target for target in self._targets if target.outcome not in DONE)

    def timeline(self, buckets: int) -> RunTimeline:
        width = max(self.report.run.seconds, 0.001) / buckets
        ended: list[Counter[str]] = [Counter() for _ in range(buckets)]
        requests = [0] * buckets
        for target in self._targets:
            for attempt in target.attempts:
                after = (attempt.started - self.report.run.started).total_seconds()
                requests[min(int(after / width), buckets - 1)] += 1
            if target.attempts:
                last = target.attempts[-1]
                end = (last.started - self.report.run.started).total_seconds() + (last.seconds or 0)
                ended[min(int(end / width), buckets - 1)][target.outcome.value] += 1
        run = self.report.run
        return RunTimeline(
            width=width,
            ended=tuple(map(dict, ended)),
            requests=tuple(requests),
            spans=(ClockSpan(started=run.started.timestamp(), seconds=run.seconds),),
            marks=self._marks,
        )

    def pace_timelines(self, buckets: int) -> tuple[PaceTimeline, ...]:
        return self._curves

    def _of(self, wave: str) -> list[TargetReport]:
        return [target for target in self._targets if target.wave == wave]

    def _gateway(self, name: str, lane: GatewayReport | None) -> GatewayReport:
        mine = [target for target in self._targets if target.gateway == name]
        base = lane or GatewayReport(
            name=name, kind=mine[0].kind, totals=Totals(), seconds=LatencyPercentiles(), lane="open"
        )
        base = replace(base, url=f"https://{name}.example.com")
        return replace(base, totals=count_totals(mine), seconds=find_percentiles(mine))


def count_totals(targets: Iterable[TargetReport]) -> Totals:
    targets = list(targets)
    counts = Counter(target.outcome.value for target in targets)
    undeploys = [
        sum(attempt.act is not Act.LOOK for attempt in target.attempts)
        for target in targets
        if target.attempts
    ]
    return Totals(
        targets=len(targets),
        requests=sum(len(target.attempts) for target in targets),
        retries=sum(max(0, count - 1) for count in undeploys),
        **counts,
    )


def find_percentiles(targets: Iterable[TargetReport]) -> LatencyPercentiles:
    seconds = sorted(
        attempt.seconds
        for target in targets
        for attempt in target.attempts
        if attempt.act is not Act.LOOK and attempt.seconds is not None and attempt.status is not None
    )
    if not seconds:
        return LatencyPercentiles()
    p50, p95, p99 = (seconds[int((len(seconds) - 1) * share)] for share in (0.5, 0.95, 0.99))
    return LatencyPercentiles(p50=p50, p95=p95, p99=p99)


def build_run(
    *,
    state: Literal["running", "complete", "stopped", "interrupted", "killed"] = "complete",
    stopped_by: str | None = None,
    exit_status: int | None = 0,
    seconds: float = 12.3456,
    plan: str = "orders-retirement",
    reason: str | None = "CHG-1042 scheduled maintenance",
) -> RunReport:
    return RunReport(
        id="20261122-190003-7f3a",
        plan=plan,
        digest="9c1b7a40e2d85f6633b0c4a1d7e8f92055aa10bb42cc93dd7e61f0a8b3c4d5e6",
        reason=reason,
        started=STARTED,
        ended=None if state in {"running", "killed"} else STARTED + timedelta(seconds=seconds),
        seconds=seconds,
        state=state,
        stopped_by=stopped_by,
        exit_status=exit_status,
    )


def build_report(lane: Any = "open", run: dict[str, Any] | None = None, **counts: int) -> Report:
    """Return a report on one gateway with these ``counts`` of outcomes."""
    totals = Totals(targets=sum(counts.values()), **counts)
    gateway = GatewayReport(
        name="roma-eu", kind="roma", totals=totals, seconds=LatencyPercentiles(), lane=lane
    )
    return Report(run=build_run(**(run or {})), totals=totals, gateways=(gateway,), waves=())


def build_control(
    act: str = "limits roma-eu rate=5/s", by: str = "alice", origin: str = "host-1, process 4711, pts/3"
) -> ControlReport:
    return ControlReport(at=STARTED + timedelta(seconds=3), act=act, by=by, origin=origin)


def build_pacing(gateway: str = "roma-eu", **curves: Sequence[float | None]) -> PaceTimeline:
    """Four buckets of two seconds, in which a bound is found in the third; ``curves`` replace one of them."""
    found: dict[str, Any] = {
        "bound": (None, None, 50.0, 87.5),
        "sent": (120.0, 160.0, 40.0, 80.0),
        "refused": (0, 0, 12, 1),
        "in_flight": (10.0, 12.0, 4.0, 8.0),
    }
    return PaceTimeline(gateway=gateway, width=2.0, **(found | curves))


def build_attempt(
    number: int = 1,
    status: int | None = 204,
    code: str | None = None,
    message: str | None = None,
    *,
    act: Act = Act.UNDEPLOY,
    after: float = 0.0,
    seconds: float | None = 0.1234,
    sent: bool = True,
) -> AttemptReport:
    return AttemptReport(
        number=number,
        act=act,
        started=STARTED + timedelta(seconds=after),
        seconds=seconds,
        status=status,
        code=code,
        message=message,
        sent=sent,
    )


def build_target(
    id: str = "roma-eu/bd42841c20184da6bbf457c6d8a06e37",  # noqa: A002
    outcome: Outcome = Outcome.UNDEPLOYED,
    reason: str | None = None,
    *,
    gateway: str = "roma-eu",
    wave: str = "everything",
    evidence: str | None = None,
    attempts: tuple[AttemptReport, ...] = (),
    coordinates: dict[str, str] | None = None,
) -> TargetReport:
    return TargetReport(
        id=id,
        gateway=gateway,
        kind=KINDS.get(gateway, "roma"),
        wave=wave,
        coordinates=coordinates or {"ld_api_id": id.partition("/")[2]},
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        seconds=sum(attempt.seconds or 0 for attempt in attempts) if attempts else None,
        attempts=attempts,
    )


class WorkerClock:
    """Knows when each of a few workers is free again, so that a made-up run has a plausible timeline."""

    def __init__(self, workers: int) -> None:
        self.free = [0.0] * workers

    def take(self) -> int:
        return min(range(len(self.free)), key=self.free.__getitem__)


class AttemptStory:
    """Makes the attempts of one target, one after the other, on one worker."""

    def __init__(self, dice: Random, clock: WorkerClock, base: float) -> None:
        self.dice, self.clock, self.base = dice, clock, base
        self.worker = clock.take()
        self.attempts: list[AttemptReport] = []

    def send(
        self,
        status: int | None,
        code: str | None = None,
        message: str | None = None,
        *,
        act: Act = Act.UNDEPLOY,
        wait: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        took = seconds or self.base * self.dice.lognormvariate(0, 0.45)
        at = self.clock.free[self.worker] + wait
        self.clock.free[self.worker] = at + took
        number = len(self.attempts) + 1
        self.attempts.append(
            build_attempt(number, status, code, message, act=act, after=at, seconds=round(took, 6))
        )


Ending = tuple[Outcome, str | None, str | None]


def _tell_removed(story: AttemptStory, name: str, kind: str) -> Ending:
    story.send(*((204,) if kind == "roma" else (200,)))
    return Outcome.UNDEPLOYED, None, "204" if kind == "roma" else "deploymentResult"


def _tell_errors(story: AttemptStory, name: str, kind: str) -> Ending:
    for turn in range(story.dice.randint(1, 3)):
        wait = 0.4 * 2**turn if turn else 0.0
        story.send(500, "APIG.9999" if kind == "roma" else None, "System error", wait=wait)
    return _tell_removed(story, name, kind)


def _tell_pause(story: AttemptStory, name: str, kind: str) -> Ending:
    story.send(
        429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit,limit:200"
    )
    story.clock.free[story.worker] += 1.0
    return _tell_removed(story, name, kind)


def _tell_already(story: AttemptStory, name: str, kind: str) -> Ending:
    story.send(400, "bad_request", f"ApiProxy with name ({name}) can not be undeployed!")
    story.send(200, act=Act.LOOK)
    return Outcome.ALREADY_UNDEPLOYED, None, "look"


def _tell_absent(story: AttemptStory, name: str, kind: str) -> Ending:
    if kind == "roma":
        text = f"The livedata API does not exist, id: {name}"
        story.send(404, "APIG.3084", text)
        return Outcome.FAILED, f"absent: APIG.3084 {text}", "code"
    text = (
        f"ApiProxy with name ({name}) can not be undeployed from Environment(test) because it is not exist!"
    )
    story.send(400, "bad_request", text)
    return Outcome.FAILED, f"absent: {text}", "code"


def _tell_refused(story: AttemptStory, name: str, kind: str) -> Ending:
    text = "No permissions to request this method"
    story.send(403, "APIG.1005", text)
    return Outcome.FAILED, f"refused: APIG.1005 {text}", "code"


def _tell_partial(story: AttemptStory, name: str, kind: str) -> Ending:
    for turn in range(5):
        story.send(200, None, "pod did not answer in time", wait=0.4 * 2**turn if turn else 0, seconds=2.4)
    story.send(200, None, "podsResponded 3, podsActive 1", act=Act.LOOK)
    return Outcome.FAILED, "partial: worker-prod-7d9f4c-x2x9k still serves; 2 of 3 pods obeyed", "look"


def _tell_unknown(story: AttemptStory, name: str, kind: str) -> Ending:
    for turn in range(5):
        story.send(None, None, "no reply within 30 s", wait=0.4 * 2**turn if turn else 0, seconds=4.0)
    story.send(503, None, "Service Unavailable", act=Act.LOOK)
    return Outcome.UNKNOWN, "spent: 5 requests may have arrived and no look could settle it", None


def _tell_window(story: AttemptStory, name: str, kind: str) -> Ending:
    return Outcome.NOT_STARTED, "window: closes at 2026-11-22T23:00:00Z, one timeout would end after it", None


def _tell_denied(story: AttemptStory, name: str, kind: str) -> Ending:
    return Outcome.NOT_STARTED, "denied: the gateway refuses the credential {env: ROMA_ME_TOKEN}", None


TargetTale = Callable[[AttemptStory, str, str], Ending]
ROMA: dict[TargetTale, float] = {
    _tell_removed: 92,
    _tell_errors: 4,
    _tell_pause: 1.5,
    _tell_absent: 1.2,
    _tell_refused: 0.4,
    _tell_unknown: 0.4,
}
APINIZER: dict[TargetTale, float] = {
    _tell_removed: 90,
    _tell_errors: 2,
    _tell_already: 5,
    _tell_absent: 1,
    _tell_partial: 0.6,
    _tell_unknown: 0.3,
}
PROXIES = (
    "orders-api",
    "petstore-api",
    "invoice sync",
    "müşteri-sorgu",
    "payments/v2",
    "stock-feed",
    "geo-lookup",
)
PROJECTS = ("Retail", "Payments", "Core Banking", "Logistics")


def make_up_run(count: int, *, seed: int = 11, stopped: bool = False) -> FakeReportSource:
    """Make a run of ``count`` targets over two gateways; with 60 targets or more, a third one is closed.

    With ``stopped`` the window closed when three quarters were done.
    """
    dice = Random(seed)
    clocks = {"roma-eu": WorkerClock(8), "apim": WorkerClock(4), "roma-me": WorkerClock(1)}
    targets = tuple(_build_targets(count, dice, clocks, stopped=stopped))
    seconds = max(max(clock.free) for clock in clocks.values())
    bad = any(target.outcome not in DONE for target in targets)
    left_undone = stopped or count >= 60
    run = build_run(
        state="stopped" if left_undone else "complete",
        stopped_by="window: closed" if stopped else "lane: roma-me is closed" if left_undone else None,
        exit_status=4 if left_undone else int(bad),
        seconds=seconds,
    )
    return FakeReportSource(targets, run, _build_lanes(), marks=list(_build_marks(run)))


def _build_marks(run: RunReport) -> Iterator[TimeMark]:
    """Yield what happens in a run, at shares of its time; two marks stand close together."""
    happened: tuple[tuple[float, MarkKind, str], ...] = (
        (0.0, "wave", "wave canary"),
        (0.08, "wave", "wave everything"),
        (0.4, "park", "roma-me parked"),
        (0.42, "steer", "alice: limits roma-eu rate=5/s"),
        (0.6, "wave", "wave the rest"),
    )
    for share, kind, text in happened:
        yield TimeMark(at=run.started.timestamp() + share * run.seconds, kind=kind, text=text)


def _build_lanes() -> dict[str, GatewayReport]:
    denied = (
        "The credential {env: ROMA_ME_TOKEN} was rejected with 401 APIG.1002 and is still the same: renew it."
    )
    closed = GatewayReport(
        name="roma-me",
        kind="roma",
        totals=Totals(),
        seconds=LatencyPercentiles(),
        lane="closed",
        warnings=(denied,),
    )
    slow = "429 paused this gateway 3 times, 14 s in all."
    return {"roma-me": closed, "roma-eu": replace(closed, name="roma-eu", lane="open", warnings=(slow,))}


def _build_targets(
    count: int, dice: Random, clocks: dict[str, WorkerClock], *, stopped: bool
) -> Iterator[TargetReport]:
    for index in range(count):
        gateway = (
            "roma-me" if count >= 60 and index % 30 == 29 else dice.choice(("roma-eu", "roma-eu", "apim"))
        )
        kind = KINDS[gateway]
        tales = ROMA if kind == "roma" else APINIZER
        tale = dice.choices(list(tales), list(tales.values()))[0]
        if gateway == "roma-me":
            tale = _tell_denied
        elif stopped and index >= count * 3 // 4:
            tale = _tell_window
        name, coordinates, target_id = _choose_name(dice, gateway, kind, index)
        story = AttemptStory(dice, clocks[gateway], 0.09 if kind == "roma" else 0.8)
        outcome, reason, evidence = tale(story, name, kind)
        yield build_target(
            target_id,
            outcome,
            reason,
            gateway=gateway,
            wave="canary"
            if index < max(1, count // 20)
            else "everything"
            if index < count // 2
            else "the rest",
            evidence=evidence,
            attempts=tuple(story.attempts),
            coordinates=coordinates,
        )


def _choose_name(dice: Random, gateway: str, kind: str, index: int) -> tuple[str, dict[str, str], str]:
    if kind == "roma":
        name = f"{dice.getrandbits(128):032x}"
        return name, {"ld_api_id": name}, f"{gateway}/{name}"
    project, proxy = dice.choice(PROJECTS), f"{dice.choice(PROXIES)}-{index}"
    environment = dice.choice(("test", "production"))
    parts = (project, proxy.replace("/", "%2F"), environment)
    coordinates = {"project": project, "proxy": proxy, "environment": environment}
    return proxy, coordinates, "/".join((gateway, *parts))


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"'><img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.com","x")',
    "a|b`c``d\\|e",
    "*bold* _it_ [link](http://example.com) ![i](x) @team #1",
    "\u202egnp.exe\u202c",
    "bell\x07 null\x00 escape\x1b[31m",
    "line\nbreak\r\ttab",
    "]]>&amp;&lt;",
    "{{ 7 * 7 }}{% raw %}",
    "\ufffe\U0001f4a5\u2028",
    "-1+1",
    "'quoted",
)


def make_hostile_run() -> FakeReportSource:
    """Make a run in which every text from outside is hostile."""
    targets = tuple(
        build_target(
            f"roma-eu/{text}",
            Outcome.FAILED,
            f"refused: {text}",
            wave=text,
            evidence="code",
            attempts=(build_attempt(1, 400, text, text),),
        )
        for text in HOSTILE
    )
    run = build_run(
        exit_status=1, plan=HOSTILE[0], reason=" ".join(HOSTILE), stopped_by=HOSTILE[4], state="stopped"
    )
    lane = GatewayReport(
        name="roma-eu",
        kind="roma",
        totals=Totals(),
        seconds=LatencyPercentiles(),
        lane="closed",
        warnings=HOSTILE,
    )
    controls = [build_control(text, text, text) for text in HOSTILE]
    curves = [build_pacing(text) for text in HOSTILE]
    marks = [TimeMark(at=STARTED.timestamp() + 1, kind="steer", text=text) for text in HOSTILE]
    return FakeReportSource(targets, run, {"roma-eu": lane}, controls=controls, curves=curves, marks=marks)


def render_report(name: str, source: FakeReportSource) -> str:
    """Return the report in format ``name`` as text."""
    out = StringIO()
    write_report(name, source, out)
    return out.getvalue()
