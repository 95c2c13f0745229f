"""Whether the status of a run tells what its events told, and at the end what its report says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.model.events import AnyEvent, RunEnded
from orchestrator.model.live_status import LiveStatus
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.report.causes import group_by_cause
from orchestrator.report.values import ReportSource
from tests.simulation.credentials import SECRETS

_SECRETS = tuple(secret.encode() for secret in SECRETS)

EVERY = 40
"""Events between two looks at the status."""


class StatusWitness:
    """Listener of one session: notes each contradiction in the status."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._progress = RunProgress()
        self._events = 0

    def __call__(self, event: AnyEvent) -> None:
        self._progress.observe(event)
        self._events += 1
        self.broken += find_told_secrets(event)
        if self._events % EVERY == 0 or isinstance(event, RunEnded):
            self.broken += check_sums(read_status(self._progress, event.at))
        if isinstance(event, RunEnded) and not event.outcomes:
            self.broken.append("the last event has no counts")

    def check_report(self, source: ReportSource) -> Iterator[str]:
        """Yield each number of the last status that differs from the report's."""
        ended = self._progress.ended
        if ended is None:
            return
        status, report = read_status(self._progress, ended.at), source.report
        told = {name: getattr(report.totals, name) for name in status.verdict.counts if name != "ended"}
        counts = {name: count for name, count in status.verdict.counts.items() if name != "ended"}
        if told != counts:
            yield f"the status tells {counts}, and the report {told}"
        for group, kept in ((report.gateways, status.lanes), (report.waves, status.waves)):
            by_name = {entry.name: entry.totals for entry in group}
            for entry in kept:
                wanted = {name: getattr(by_name[entry.name], name) for name in entry.counts}
                if wanted != entry.counts:
                    yield f"{entry.name}: the status tells {entry.counts}, and the report {wanted}"
        yield from self._check_causes(source)

    def _check_causes(self, source: ReportSource) -> Iterator[str]:
        counted = Counter[Outcome]()
        for group in self._progress.causes.list_groups():
            counted[group.outcome] += group.count
        told = Counter[Outcome]()
        for group in group_by_cause(source.trouble()):
            told[group.outcome] += group.count
        if counted != told:
            yield f"the status has the causes {counted}, and the report {told}"


def find_told_secrets(event: AnyEvent) -> Iterator[str]:
    """Yield an event that holds a credential, as ``--events`` would write it."""
    line = msgspec.json.encode(event)
    if any(secret in line for secret in _SECRETS):
        yield f"promise 9: an event {type(event).__name__} holds a credential"


def check_sums(status: LiveStatus) -> Iterator[str]:
    """Yield each sum in a status that contradicts another one."""
    msgspec.json.encode(status)
    counts = status.verdict.counts
    trouble = sum(count for name, count in counts.items() if name in _TROUBLE)
    if sum(lane.ended for lane in status.lanes) != sum(wave.ended for wave in status.waves):
        yield f"lanes and waves ended differ at {status.at}"
    if sum(wave.ended for wave in status.waves) != counts["ended"]:
        yield f"the waves and the whole differ at {status.at}"
    if {sum(lane.total for lane in status.lanes), sum(wave.total for wave in status.waves)} != {
        counts["targets"]
    }:
        yield f"the totals differ at {status.at}"
    if sum(cause.count for cause in status.causes) != trouble:
        yield f"the causes of {trouble} differ at {status.at}"
    if status.forecast is not None and status.forecast.done is not None and _is_held(status):
        yield f"an end is told at {status.at} while a lane is parked"
    if any(value < 0 for lane in status.lanes for value in (lane.left, lane.in_flight, lane.repeating)):
        yield f"a lane has a negative count at {status.at}"


_TROUBLE = {outcome.value for outcome in Outcome if outcome not in DONE}


def _is_held(status: LiveStatus) -> bool:
    return any(lane.state == "parked" and lane.left and not lane.given_up for lane in status.lanes)
