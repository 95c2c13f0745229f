"""Statuses of live runs, for the tests of what draws them."""

from typing import Any

from orchestrator.model.causes import CauseGroup
from orchestrator.model.live_status import (
    ControlStatus,
    LaneStatus,
    LiveStatus,
    OverTime,
    RuleHeadroom,
    RunFacts,
    RunVerdict,
    WaveStatus,
)
from orchestrator.model.outcome import Outcome
from tests.support.story import START

NOW = START + 600


def make_facts(**given: Any) -> RunFacts:
    usual: dict[str, Any] = {
        "id": "20261122-220000123-orders-retirement-9bf1",
        "plan": "orders-retirement",
        "act": "undeploy",
        "act_words": "undeploy",
        "goal": "down",
        "rehearsal": False,
        "reason": "CHG-1042 scheduled maintenance",
        "targets": 3000,
        "session": 1,
        "resumed": False,
        "started": START,
        "opens": START,
        "closes": START + 3600,
        "approval": "digest typed, by alice",
        "protect": "protect: 2 patterns are in force, 4 targets are protected",
        "utc_offset": 0,
    }
    return RunFacts(**{**usual, **given})


def make_verdict(**given: Any) -> RunVerdict:
    counts = {"targets": 3000, "ended": 423, "undeployed": 400, "already_undeployed": 12, "failed": 9}
    usual: dict[str, Any] = {
        "state": "running",
        "tone": "going",
        "headline": "412 of 3,000 down · 9 failed · 2 unknown",
        "sentence": "wave 2 of 3, everything, goes on",
        "done_by": "done by 06:40",
        "against_close": "fits the window, 12 min to spare",
        "counts": {**counts, "unknown": 2, "not_started": 0},
    }
    return RunVerdict(**{**usual, **given})


def make_lane(name: str = "roma-eu", **given: Any) -> LaneStatus:
    usual: dict[str, Any] = {
        "kind": "roma",
        "url": f"https://{name}.example.com",
        "state": "open",
        "state_words": "open",
        "total": 1200,
        "ended": 300,
        "left": 900,
        "counts": {"undeployed": 290, "failed": 9, "unknown": 1},
        "in_flight": 4,
        "limit": 8,
        "rate": 3.2,
        "bound": 20.0,
        "done_by": NOW + 300,
    }
    return LaneStatus(name=name, **{**usual, **given})


def make_parked_lane(name: str, **given: Any) -> LaneStatus:
    parked: dict[str, Any] = {
        "state": "parked",
        "state_words": "parked: five targets in a row met HTTP 503",
        "reason": "parked: five targets in a row met HTTP 503",
        "in_flight": 0,
        "rate": None,
        "done_by": None,
        "since": NOW - 40,
        "probe_at": NOW + 12,
        "gives_up_at": NOW + 420,
    }
    return make_lane(name, **{**parked, **given})


def make_wave(number: int, state: str, **given: Any) -> WaveStatus:
    ended = {"ended": 100, "going": 40, "to come": 0}[state]
    usual: dict[str, Any] = {
        "name": f"wave-{number}",
        "number": number,
        "state": state,
        "total": 100,
        "ended": ended,
        "counts": {"undeployed": ended},
        "done_by": None if state == "ended" else NOW + 60 * number,
    }
    return WaveStatus(**{**usual, **given})


def make_waves(count: int, going: int) -> tuple[WaveStatus, ...]:
    """Return ``count`` waves of which number ``going`` goes on."""
    states = {-1: "ended", 0: "going", 1: "to come"}
    return tuple(make_wave(n, states[(n > going) - (n < going)]) for n in range(1, count + 1))


def make_causes(count: int = 2) -> tuple[CauseGroup, ...]:
    return tuple(
        CauseGroup(
            outcome=Outcome.FAILED if n % 2 == 0 else Outcome.UNKNOWN,
            label=f"APIG.{1000 + n}",
            text=f"the gateway refused it, number {n}",
            count=count - n,
            gateways=("roma-eu", "apim"),
            examples=(f"roma-eu/{n:032}",),
        )
        for n in range(count)
    )


def make_headroom(more: int = 7, count: int = 3) -> RuleHeadroom:
    text = f"failed: {count} of 40 in wave canary, limit 20%: {more} more stop the run"
    return RuleHeadroom(rule="failed", count=count, of=40, limit="20%", more=more, near=more <= 3, text=text)


def make_control(act: str = "skip apim/**") -> ControlStatus:
    return ControlStatus(at=NOW - 30, act=act, by="alice", origin="host-1, process 4711, pts/3")


def make_status(**given: Any) -> LiveStatus:
    usual: dict[str, Any] = {
        "at": NOW,
        "run": make_facts(),
        "verdict": make_verdict(),
        "wave": 1,
        "waves": make_waves(1, 1),
        "lanes": (make_lane(), make_lane("apim")),
        "over_time": OverTime(
            start=START, seconds=4.0, ended=tuple({"undeployed": n % 7} for n in range(150))
        ),
        "closes": START + 3600,
    }
    return LiveStatus(**{**usual, **given})


def make_busy_status(**given: Any) -> LiveStatus:
    """Return the status of a run with much to tell: 12 gateways, 3 of them parked, 40 waves, an interrupt."""
    names = ["roma-tr", "roma-eu", "roma-us", *(f"apim-{n}" for n in range(9))]
    parked = [make_parked_lane(name) for name in names[1:4]]
    busy: dict[str, Any] = {
        "verdict": make_verdict(
            state="stopping", tone="waiting", sentence="nothing new starts; 4 requests land", done_by=""
        ),
        "waves": make_waves(40, 17),
        "wave": 17,
        "lanes": (make_lane(names[0]), *parked, *(make_lane(name) for name in names[4:])),
        "causes": make_causes(12),
        "headroom": (make_headroom(), make_headroom(2)),
        "controls": tuple(make_control(f"skip apim/{n}") for n in range(4)),
        "warnings": tuple(f"apim: warning {n}" for n in range(5)),
        "stopping": "SIGINT was received",
        "is_interrupted": True,
        "unrestorable": 3,
    }
    return make_status(**{**busy, **given})
