"""Made-up states of a run for the live page, as ``GET /state`` writes them: one a name, always the same.

The sums of a state agree: the waves and the lanes count the same targets, and the causes explain the trouble.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from orchestrator.model.live_status import LiveStatus

NOW = 1_795_836_667.0
"""The Unix time of every made-up state."""
OFFSET = 3 * 3600
"""Seconds east of UTC at the place of the made-up run."""
OUTCOMES = ("undeployed", "already_undeployed", "failed", "unknown", "not_started")
RESTORE_OUTCOMES = ("restored", "already_deployed", "failed", "unknown", "not_started")
HOSTILE = "<img src=x onerror=alert(1)>\u202e&amp;\u0000</script>"
"""A name that would do harm as HTML, and that turns the direction of text."""

State = dict[str, Any]


def make_status(name: str) -> State:
    """Return the made-up state of that name; see ``STATES``."""
    state = _MAKERS[name]()
    # The status of a run knows these keys and no other; only a newer server may have more.
    newer = {key: state.pop(key) for key in set(state) - set(LiveStatus.__struct_fields__)}
    known: State = msgspec.to_builtins(msgspec.convert(state, LiveStatus))
    return known | newer


def count_targets(state: State) -> int:
    """Return how many targets the plan of a state has."""
    total: int = state["verdict"]["counts"]["targets"]
    return total


def _join(*parts: str) -> str:
    return " \N{MIDDLE DOT} ".join(parts)


def _wave(name: str, total: int, ended: dict[str, int] | None = None, **keys: Any) -> State:
    counts = {outcome: (ended or {}).get(outcome, 0) for outcome in OUTCOMES}
    done = sum(counts.values())
    state = "ended" if done == total else "going" if done else "to come"
    wave = {
        "name": name,
        "state": state,
        "total": total,
        "ended": done,
        "counts": counts,
        "step": None,
        "steps": 1,
        "done_by": None,
        "pause_after": 0.0,
    }
    return wave | keys


def _lane(name: str, total: int, ended: dict[str, int] | None = None, **keys: Any) -> State:
    counts = {outcome: (ended or {}).get(outcome, 0) for outcome in OUTCOMES}
    done = sum(counts.values())
    lane = {
        "name": name,
        "kind": "apinizer" if name.startswith("apim") else "roma",
        "url": f"https://{name}.example.com",
        "state": "open",
        "state_words": "open",
        "reason": None,
        "total": total,
        "ended": done,
        "left": total - done,
        "counts": counts,
        "in_flight": 0,
        "limit": 8,
        "rate": 0.0,
        "bound": None,
        "refused": 0,
        "repeating": 0,
        "list_asked": None,
        "until": None,
        "probe_at": None,
        "gives_up_at": None,
        "given_up": False,
        "done_by": None,
        "warning": None,
        "fault": None,
    }
    return lane | keys


def _cause(
    outcome: str, label: str, text: str | None, count: int, *gateways: str, examples: Iterable[str] = ()
) -> State:
    return {
        "outcome": outcome,
        "label": label,
        "text": text,
        "count": count,
        "gateways": list(gateways),
        "examples": list(examples),
    }


def _state(
    verdict: State, waves: list[State], lanes: list[State], causes: Iterable[State] = (), **keys: Any
) -> State:
    counts: Counter[str] = Counter()
    for wave in waves:
        counts.update(wave["counts"])
    waves = [{"number": number, **wave} for number, wave in enumerate(waves, 1)]
    targets = sum(wave["total"] for wave in waves)
    totals = {
        "targets": targets,
        "ended": sum(wave["ended"] for wave in waves),
        **{key: counts[key] for key in OUTCOMES},
    }
    run = {
        "id": "20261128-053107-orders-retirement-6bce",
        "plan": "orders-retirement",
        "act": "undeploy",
        "act_words": "undeploy",
        "goal": "down",
        "targets": targets,
        "rehearsal": False,
        "reason": "CHG-1042 scheduled maintenance",
        "session": 1,
        "resumed": False,
        "started": NOW - 600,
        "opens": NOW - 600,
        "closes": NOW + 1800,
        "approval": "digest typed, by ops",
        "protect": "protect: 1 pattern is in force, 3 targets are protected",
        "utc_offset": OFFSET,
    }
    run |= keys.pop("run", {})
    empty = {"tone": "going", "sentence": "", "done_by": "", "against_close": ""}
    state = {
        "at": NOW,
        "run": run,
        "verdict": {**empty, "counts": totals, **verdict},
        "waves": waves,
        "waves_left_out": 0,
        "lanes": lanes,
        "causes": list(causes),
        "over_time": _over_time(),
        "controls": [],
        "question": None,
        "headroom": [],
        "warnings": [],
        "waits_for": None,
        "until": None,
        "stopping": None,
        "closes": run["closes"],
        "forecast": None,
        "ended": None,
        "unrestorable": 0,
    }
    return state | keys


def _over_time(buckets: int = 60, width: float = 10.0) -> State:
    ended = [
        {"undeployed": 4 + (7 * at) % 5} | ({"failed": 1} if at % 7 == 3 else {}) for at in range(buckets)
    ]
    return {
        "start": NOW - buckets * width,
        "seconds": width,
        "ended": ended,
        "sent": [0.5 + ((3 * at) % 7) / 10 for at in range(buckets)],
        "bound": [None if at < 5 else 1.5 for at in range(buckets)],
        "in_flight": [3 + at % 4 for at in range(buckets)],
        "marks": [{"at": NOW - 400, "kind": "wave", "text": "wave everything"}],
    }


_HEADROOM = {
    "rule": "failed",
    "count": 9,
    "of": 423,
    "limit": "5%",
    "more": 12,
    "near": False,
    "text": "failed: 9 of 423 (2.1%); 12 more stop the run (5%)",
}
_CAUSES = [
    _cause(
        "failed",
        "APIG.3201",
        "The API is being used by a plan and cannot be taken offline",
        6,
        "roma-eu",
        examples=[f"roma-eu/bd42c0ffee{at:04}" for at in range(5)],
    ),
    _cause(
        "failed",
        "HTTP 409",
        "conflict: another deployment of this proxy is under way",
        3,
        "apim",
        examples=[f"apim/Retail/orders-{at}-api/production" for at in range(3)],
    ),
    _cause(
        "unknown",
        "no reply",
        "no reply within 30 s; no look could settle it",
        2,
        "roma-eu",
        examples=["roma-eu/bd42c0ffee0101", "roma-eu/bd42c0ffee0117"],
    ),
]
_CONTROLS = [
    {
        "at": NOW - 300,
        "act": "limits roma-eu concurrency=4 rate=5/s",
        "by": "ops",
        "origin": "bastion-2, process 4711, pts/3",
    },
    {"at": NOW - 120, "act": "pause", "by": "deniz", "origin": "through the live page, from 127.0.0.1"},
    {"at": NOW - 95, "act": "continue", "by": "deniz", "origin": "through the live page, from 127.0.0.1"},
]


def _running() -> State:
    waves = [
        _wave("canary", 12, {"undeployed": 11, "already_undeployed": 1}, pause_after=120.0),
        _wave(
            "everything",
            2800,
            {"undeployed": 370, "already_undeployed": 30, "failed": 9, "unknown": 2},
            step=2,
            steps=3,
            done_by=NOW + 540,
        ),
        _wave("leftovers", 188, done_by=NOW + 620),
    ]
    lanes = [
        _lane(
            "roma-eu",
            1800,
            {"undeployed": 250, "already_undeployed": 21, "failed": 6, "unknown": 2},
            in_flight=6,
            limit=8,
            rate=18.4,
            bound=20.0,
            refused=12,
            repeating=3,
            done_by=NOW + 540,
        ),
        _lane(
            "apim",
            1000,
            {"undeployed": 131, "already_undeployed": 10, "failed": 3},
            in_flight=4,
            limit=4,
            rate=7.1,
            done_by=NOW + 610,
            fault="conflict: another deployment is under way",
        ),
        _lane(
            "roma-tr",
            200,
            in_flight=0,
            limit=8,
            state="paused",
            state_words="paused 12 s",
            reason="429: Too many requests",
            rate=0.0,
            bound=4.5,
            refused=3,
            until=NOW + 12,
            done_by=NOW + 620,
        ),
    ]
    return _state(
        {
            "state": "running",
            "tone": "going",
            "headline": _join("412 of 3,000 down", "9 failed", "2 unknown"),
            "sentence": "wave 2 of 3, everything, goes on: step 2 of 3",
            "done_by": "done by 06:42",
            "against_close": "fits the window, 18 min to spare",
        },
        waves,
        lanes,
        _CAUSES,
        controls=_CONTROLS,
        headroom=[_HEADROOM],
        warnings=["apim: the clock of the gateway is 41 s behind ours"],
    )


def _starting() -> State:
    waves = [_wave("canary", 12), _wave("everything", 2988)]
    lanes = [_lane("roma-eu", 2000, list_asked="page 3 of the list"), _lane("apim", 1000)]
    return _state(
        {
            "state": "starting",
            "tone": "going",
            "headline": "0 of 3,000 down",
            "sentence": "wave 1 of 2, canary, begins",
            "done_by": "forecast: not yet known",
        },
        waves,
        lanes,
        over_time=_over_time(0),
        run={"started": NOW - 2},
    )


def _empty() -> State:
    return _state(
        {"state": "starting", "tone": "going", "headline": "0 of 0 down", "sentence": "the run begins"},
        [],
        [],
        over_time=_over_time(0),
        run={"closes": None, "opens": None, "reason": None, "started": NOW},
    )


def _waiting() -> State:
    state = _starting()
    state["verdict"] |= {
        "state": "waiting",
        "tone": "waiting",
        "sentence": "waits for the window to open at 22:00, in 3 h 28 min",
        "done_by": "",
        "against_close": "",
    }
    return state | {"waits_for": "the window", "until": NOW + 12_480}


def _paused() -> State:
    state = _running()
    state["verdict"] |= {
        "state": "paused",
        "tone": "waiting",
        "sentence": "paused by deniz; 10 requests land",
        "done_by": "",
        "against_close": "",
    }
    state["controls"] = _CONTROLS[:2]
    return state | {"waits_for": "continue"}


def _parked() -> State:
    state = _running()
    state["verdict"] |= {
        "tone": "waiting",
        "sentence": "waits for roma-tr, parked 40 s; probe in 12 s; gives up 06:38",
        "done_by": "roma-tr is parked: the end is unknown; at the latest 06:58",
        "against_close": "",
    }
    state["lanes"][2] |= {
        "state": "parked",
        "state_words": "parked: answers 503",
        "reason": "5 targets in a row met 503 Service Unavailable",
        "until": None,
        "probe_at": NOW + 12,
        "gives_up_at": NOW + 413,
        "done_by": None,
        "fault": "upstream connect error or disconnect/reset before headers",
    }
    state["lanes"][1] |= {
        "state": "closed",
        "state_words": "closed: denied",
        "reason": "401 after a new login: Invalid credentials",
        "in_flight": 0,
        "rate": 0.0,
        "done_by": None,
    }
    return state | {"waits_for": "roma-tr"}


def _three_parked() -> State:
    """Return a state in which the run waits for three parked lanes, as ``status.find_wait`` tells it."""
    state = _parked()
    for lane in state["lanes"]:
        lane |= {
            key: state["lanes"][2][key] for key in ("state", "state_words", "reason", "done_by", "fault")
        }
        lane |= {"in_flight": 0, "rate": 0.0, "probe_at": NOW + 12, "gives_up_at": NOW + 413}
    told = "roma-eu, apim and roma-tr, parked; next probe in 12 s; the last gives up 06:38:00"
    state["verdict"] |= {
        "state": "parked",
        "sentence": f"waits for {told}",
        "done_by": "roma-eu is parked and 2 more stand still: the end is unknown; at the latest 06:58",
    }
    return state | {"waits_for": told, "until": NOW + 12}


def _many_gateways() -> State:
    """Return a state with more gateways than a screen holds; four in the plan's middle are in trouble."""
    lanes = [_lane(f"roma-{at:02}", 100, {"undeployed": 40}, in_flight=3, rate=2.5) for at in range(14)]
    for lane in lanes[5:9]:
        lane |= {"state": "parked", "state_words": "parked: answers 503", "in_flight": 0, "rate": 0.0}
        lane |= {"reason": "503 Service Unavailable", "probe_at": NOW + 9, "gives_up_at": NOW + 900}
    return _state(
        {
            "state": "running",
            "tone": "going",
            "headline": "560 of 1,400 down",
            "sentence": "wave 1 of 1, everything, goes on; waits for roma-05, roma-06, roma-07 and 1 more,"
            " parked; next probe in 9 s; the last gives up 06:46:07",
            "done_by": "roma-05 is parked and 3 more stand still: the end is unknown",
        },
        [_wave("everything", 1400, {"undeployed": 560})],
        lanes,
    )


def _question() -> State:
    waves = [_wave("canary", 12, {"undeployed": 11, "failed": 1}), _wave("everything", 2988)]
    lanes = [
        _lane("roma-eu", 2000, {"undeployed": 8, "failed": 1}, rate=2.0, bound=20.0),
        _lane("apim", 1000, {"undeployed": 3}, limit=4),
    ]
    return _state(
        {
            "state": "waiting",
            "tone": "waiting",
            "headline": _join("11 of 3,000 down", "1 failed"),
            "sentence": "wave canary has ended; waits for an answer",
            "done_by": "",
            "against_close": "",
        },
        waves,
        lanes,
        [_CAUSES[0] | {"count": 1, "examples": _CAUSES[0]["examples"][:1]}],
        question=(
            "wave canary has ended: 11 down, 1 failed (APIG.3201: The API is being used by a plan);"
            " go on with everything, 2,988 targets?"
        ),
        waits_for="an answer",
    )


def _stopping() -> State:
    state = _running()
    state["verdict"] |= {
        "state": "stopping",
        "tone": "bad",
        "sentence": "nothing new starts; 4 requests land",
        "done_by": "",
        "against_close": "",
    }
    return state | {"stopping": "stop_rule: failed 151 of 2,912 (5.2%), limit 5%"}


def _failed() -> State:
    waves = [
        _wave("canary", 4, {"undeployed": 4}),
        _wave("everything", 16, {"failed": 14, "unknown": 2}),
        _wave("leftovers", 4, {"not_started": 4}),
    ]
    lanes = [
        _lane(
            "roma-eu",
            20,
            {"undeployed": 4, "failed": 14, "unknown": 2},
            state_words="done",
            refused=2,
        ),
        _lane(
            "apim",
            4,
            {"not_started": 4},
            state="closed",
            state_words="closed: denied",
            reason="401 after a new login: Invalid credentials",
        ),
    ]
    causes = [
        _CAUSES[0] | {"count": 14},
        _CAUSES[2],
        _cause(
            "not_started",
            "denied",
            "denied: 401 after a new login: Invalid credentials",
            4,
            "apim",
            examples=[f"apim/Retail/legacy-{at}/test" for at in range(4)],
        ),
    ]
    return _state(
        {
            "state": "stopped",
            "tone": "bad",
            "headline": _join("4 of 24 down", "14 failed", "2 unknown", "4 not started"),
            "sentence": "stopped by a stop rule: failed 14 of 20 (70%), limit 20% of wave everything",
        },
        waves,
        lanes,
        causes,
        ended=_ended("stopped", 4, "4 of 24 targets are down; 14 failed."),
    )


def _ended(state: str, status: int, headline: str) -> State:
    return {
        "at": NOW,
        "state": state,
        "exit_status": status,
        "headline": headline,
        "reports": ".undeploy/runs/20261128-053107-orders-retirement-6bce",
    }


def _complete() -> State:
    waves = [
        _wave("canary", 12, {"undeployed": 11, "already_undeployed": 1}),
        _wave("everything", 2988, {"undeployed": 2900, "already_undeployed": 88}),
    ]
    lanes = [
        _lane("roma-eu", 2000, {"undeployed": 1950, "already_undeployed": 50}, state_words="done"),
        _lane("apim", 1000, {"undeployed": 961, "already_undeployed": 39}, state_words="done"),
    ]
    return _state(
        {
            "state": "complete",
            "tone": "good",
            "headline": "3,000 of 3,000 down",
            "sentence": "all that was wanted is down, after 9 min 12 s",
        },
        waves,
        lanes,
        ended=_ended("complete", 0, "All 3,000 targets are down."),
    )


def _restore() -> State:
    waves = [_wave("everything", 60), _wave("canary", 4)]
    for wave, ended in zip(waves, ({"restored": 20, "already_deployed": 2, "failed": 1}, {}), strict=True):
        counts = {outcome: ended.get(outcome, 0) for outcome in RESTORE_OUTCOMES}
        wave |= {"counts": counts, "ended": sum(counts.values())}
    waves[0]["state"] = "going"
    lane = _lane("roma-eu", 64, in_flight=3, rate=3.2) | {
        "counts": waves[0]["counts"],
        "ended": 23,
        "left": 41,
    }
    state = _state(
        {
            "state": "running",
            "tone": "going",
            "headline": _join("22 of 64 deployed again", "1 failed"),
            "sentence": "wave 1 of 2, everything, goes on",
            "done_by": "done by 06:36",
        },
        waves,
        [lane],
        [_CAUSES[1] | {"count": 1, "examples": _CAUSES[1]["examples"][:1]}],
        run={
            "act": "restore",
            "act_words": "restore",
            "goal": "deployed again",
            "opens": None,
            "closes": None,
        },
        unrestorable=3,
    )
    state["verdict"]["counts"] = {"targets": 64, "ended": 23, **waves[0]["counts"]}
    return state


def _rehearsal() -> State:
    return _running() | {
        "run": _running()["run"] | {"act_words": "rehearsal of an undeploy", "rehearsal": True}
    }


def _crowded() -> State:
    """Return a state with as many waves, lanes and causes as one may have."""
    size = 60
    waves = [
        _wave(
            f"wave-{at:02}-of-a-gateway",
            50,
            {"undeployed": 49, "failed": 1} if at < 20 else {"undeployed": 17} if at == 20 else {},
            done_by=NOW + 60 * at if at > 20 else None,
        )
        for at in range(size)
    ]
    lanes = [
        _lane(
            f"{'apim' if at % 3 else 'roma'}-{at:02}",
            50,
            waves[at]["counts"],
            in_flight=4 if at == 20 else 0,
            rate=3.0 if at == 20 else 0.0,
            **(
                {
                    "state": "parked",
                    "state_words": "parked: answers 503",
                    "reason": "503 Service Unavailable",
                    "probe_at": NOW + 9,
                    "gives_up_at": NOW + 900,
                }
                if at in (7, 31)
                else {"state_words": "done"}
                if at < 20
                else {}
            ),
        )
        for at in range(size)
    ]
    causes = [
        _cause(
            "failed",
            f"APIG.{3200 + at}",
            f"cause number {at}",
            1,
            lanes[at]["name"],
            examples=[f"{lanes[at]['name']}/{at:032x}"],
        )
        for at in range(20)
    ]
    return _state(
        {
            "state": "running",
            "tone": "going",
            "headline": _join("997 of 3,000 down", "20 failed"),
            "sentence": "wave 21 of 60, wave-20-of-a-gateway, goes on",
            "done_by": "wave 24 of 60 done by 06:40; the rest is not yet known",
        },
        waves,
        lanes,
        causes,
    )


def _hostile() -> State:
    state = _running()
    long = HOSTILE + "x" * 300
    state["run"] |= {"plan": HOSTILE, "reason": HOSTILE}
    state["verdict"] |= {"sentence": f"waits for {HOSTILE}"}
    state["waves"][1]["name"] = long
    # Names that the page might take for its own.
    state["waves"][0]["name"] = state["lanes"][1]["name"] = "template"
    state["waves"][2]["name"] = state["lanes"][2]["name"] = "list"
    state["lanes"][0] |= {
        "name": HOSTILE,
        "url": "javascript:alert(1)",
        "fault": long,
        "reason": HOSTILE,
        "warning": HOSTILE,
    }
    state["causes"][0] |= {"label": HOSTILE, "text": long, "gateways": [HOSTILE], "examples": [long]}
    state["controls"] = [{"at": NOW, "act": f"skip {HOSTILE}", "by": HOSTILE, "origin": long}]
    state["warnings"] = [long]
    return state | {"a_key_of_a_newer_server": {"unknown": [1, 2, 3]}}


def _huge() -> State:
    state = _running()
    state["run"]["targets"] = 100_000
    factor = 100_000 / 3_000
    for part in (*state["waves"], *state["lanes"]):
        part["counts"] = {key: int(value * factor) for key, value in part["counts"].items()}
        part |= {"total": int(part["total"] * factor), "ended": sum(part["counts"].values())}
        part["left"] = part["total"] - part["ended"]
    state["waves"][0] |= {"total": state["waves"][0]["ended"]}
    for parts in (state["waves"], state["lanes"]):
        parts[2]["total"] += 100_000 - sum(part["total"] for part in parts)
    counts = {key: sum(wave["counts"][key] for wave in state["waves"]) for key in OUTCOMES}
    state["verdict"] |= {
        "counts": {"targets": 100_000, "ended": sum(counts.values()), **counts},
        "headline": _join(
            f"{counts['undeployed'] + counts['already_undeployed']:,} of 100,000 down",
            f"{counts['failed']:,} failed",
            f"{counts['unknown']:,} unknown",
        ),
    }
    return state


_MAKERS: dict[str, Callable[[], State]] = {
    "empty": _empty,
    "starting": _starting,
    "running": _running,
    "waiting": _waiting,
    "paused": _paused,
    "parked": _parked,
    "three_parked": _three_parked,
    "many_gateways": _many_gateways,
    "question": _question,
    "stopping": _stopping,
    "failed": _failed,
    "complete": _complete,
    "restore": _restore,
    "rehearsal": _rehearsal,
    "crowded": _crowded,
    "hostile": _hostile,
    "huge": _huge,
}
STATES = tuple(_MAKERS)
"""The names of the made-up states."""


def make_rows(state: State) -> list[State]:
    """Return the targets of a state as ``GET /targets`` gives them: failures first, then as in the plan."""
    rows = [
        row
        for wave in state["waves"]
        for row in _make_rows(wave, [lane["name"] for lane in state["lanes"]] or ["roma-eu"])
    ]
    order = {"failed": 0, "unknown": 1, "not_started": 2}
    return sorted(rows, key=lambda row: order.get(row["outcome"], 3))


def _make_rows(wave: State, gateways: list[str]) -> Iterable[State]:
    outcomes = [outcome for outcome, count in wave["counts"].items() for _ in range(count)]
    for at in range(wave["total"]):
        outcome = outcomes[at] if at < len(outcomes) else None
        gateway = gateways[at % len(gateways)]
        is_roma = not gateway.startswith("apim")
        key = f"{at:06}"
        yield {
            "id": f"{gateway}/bd42c0ffee{key}"
            if is_roma
            else f"{gateway}/Retail/orders-{key}-api/production",
            "name": f"orders-{key}-v1" if is_roma else None,
            "gateway": gateway,
            "wave": wave["name"],
            "outcome": outcome,
            "reason": _REASONS.get(outcome or ""),
            "attempts": 0 if outcome in (None, "not_started") else 1 + at % 3 * (outcome == "failed"),
            "seconds": None if outcome is None else round(0.08 + at % 17 / 20, 3),
        }


_REASONS = {
    "failed": "APIG.3201: The API is being used by a plan and cannot be taken offline",
    "unknown": "no reply within 30 s; no look could settle it",
    "not_started": "denied: 401 after a new login: Invalid credentials",
}
