"""Runs of ours as a process, against simulated gateways that are processes of their own."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bench.plans import GATEWAY, INSTANCE, KINDS, PROJECT, PlanText
from bench.processes import run_program, serve_program

Faults: TypeAlias = Mapping[int, Sequence[str]]
"""The faults of single targets, by their number."""

LATENCY = 0.02
PAUSE = 1.0
"""Seconds that each 429 of a simulator asks for."""
_FIXTURES: dict[str, dict[str, Any]] = {
    "roma": {"kind": "roma", "project_id": PROJECT, "instance_id": INSTANCE},
    "apinizer": {"kind": "apinizer"},
}


class SimulatedRun(NamedTuple):
    """What the events of a run tell."""

    seconds: float
    """From its first request to its last reply."""
    requests: int
    refused: int
    status: int
    own_seconds: float
    """Until the last target of the first gateway had ended, apart from those beside it."""
    paused: float
    """Seconds of pauses that the 429s asked for."""


class GatewayBooks(NamedTuple):
    """What a simulator saw of a run."""

    seconds: float
    """From the first request that arrived to the last."""
    accepted: int
    refused: int

    @property
    def share_refused(self) -> float:
        return self.refused / (self.accepted + self.refused)


@contextmanager
def serve_simulator(
    folder: Path, name: str, targets: int, kind: str = "roma", faults: Faults | None = None, **fields: Any
) -> Iterator[str]:
    """Serve one gateway with so many targets for the block; yields its address.

    ``fields`` are further ones of its fixture; ``name`` begins the names of its files.
    """
    parts = [tuple(KINDS[kind].name_target(number).values()) for number in range(targets)]
    listed = [each[0] for each in parts] if kind == "roma" else parts
    entry = {"name": GATEWAY, "targets": listed, "latency": LATENCY, **_FIXTURES[kind], **fields}
    seed = folder / f"{name}.json"
    seed.write_text(json.dumps({"gateways": [entry]}), encoding="utf-8")
    command = [sys.executable, "-m", "orchestrator", "simulator", "--seed-file", str(seed)]
    if faults:
        script = folder / f"{name}.faults.json"
        named = {"/".join([GATEWAY, *parts[number]]): list(each) for number, each in faults.items()}
        script.write_text(json.dumps({"script": named}), encoding="utf-8")
        command += ["--faults", str(script)]
    with serve_program(command) as line:
        yield line.split()[1]


@contextmanager
def serve_ill_gateway(illness: str) -> Iterator[str]:
    """Yield the address of a gateway that refuses connections, or answers nothing but 500."""
    if illness == "refusing":
        # Of the discard service, on which no machine listens any more.
        yield "http://127.0.0.1:9"
        return
    with serve_program([sys.executable, "-m", "bench.server", "--status", "500"]) as port:
        yield f"http://127.0.0.1:{port}"


def run_plan(folder: Path, name: str, text: PlanText) -> SimulatedRun:
    """Run a plan; ``name`` begins the names of its files."""
    plan, events = text.write(folder / f"{name}.yaml"), folder / f"{name}.events"
    command = [sys.executable, "-m", "orchestrator", "run", str(plan), "--yes", "--quiet"]
    state = ["--state", str(folder / f"{name}.state")]
    run_program([*command, *state, "--events", str(events)], statuses=(0, 1, 4))
    with events.open(encoding="utf-8") as lines:
        return _read_events([json.loads(line) for line in lines])


def _read_events(events: list[dict[str, Any]]) -> SimulatedRun:
    began = next(event["at"] for event in events if event["event"] == "attempt_started")
    replies = [event for event in events if event["event"] == "attempt_ended"]
    own = [
        event["at"] for event in events if event["event"] == "target_ended" and event["gateway"] == GATEWAY
    ]
    refusals = [event["at"] for event in replies if event["status"] == 429]
    return SimulatedRun(
        seconds=replies[-1]["at"] - began,
        requests=len(replies),
        refused=len(refusals),
        status=events[-1]["exit_status"],
        own_seconds=own[-1] - began if own else 0.0,
        paused=_sum_pauses(refusals),
    )


def _sum_pauses(begins: Iterable[float]) -> float:
    """Return how many seconds lie in pauses that begin at these instants; they may overlap."""
    total, until = 0.0, 0.0
    for begin in sorted(begins):
        total += max(0.0, begin + PAUSE - max(begin, until))
        until = max(until, begin + PAUSE)
    return total


_OF_BINDINGS = re.compile(r"/binded-\w+$|/attached-\w+$|/(apps|throttles|acls|signs|plugins)$")


def count_binding_reads(url: str) -> int:
    """Return how many reads of bindings, from either side, reached the simulator at ``url``."""
    paths = (request["path"].partition("?")[0] for request in _list_requests(url))
    return sum(_OF_BINDINGS.search(path) is not None for path in paths)


def _list_requests(url: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    while page := _read_control(url, f"/_requests?after={len(seen)}&limit=2000"):
        seen += page
    return seen


def read_books(url: str) -> GatewayBooks:
    """Read the books of the simulator whose gateway is at ``url``."""
    seen = _list_requests(url)
    refused = sum(request["status"] == 429 for request in seen)
    return GatewayBooks(seen[-1]["at"] - seen[0]["at"], len(seen) - refused, refused)


def _read_control(url: str, path: str) -> Any:
    origin = "/".join(url.split("/")[:3])
    with urllib.request.urlopen(origin + path, timeout=30) as reply:
        return json.load(reply)
