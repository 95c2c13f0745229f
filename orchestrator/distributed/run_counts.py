"""How the targets of a run have ended so far, and whether that stops the run. Pure, as ``run_conduct`` is."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from orchestrator.distributed.bounds import MOST_BROKEN
from orchestrator.distributed.payloads import ChunkReport, EndCount, RunInput, StepWork, StopOrder
from orchestrator.distributed.run_state import RunState
from orchestrator.model.outcome import Outcome
from orchestrator.rules.stop_rules import SHARES_FROM, StopRules, is_fruitless


class RunCounts:
    """Counts in the run's state what the lanes report, and asks the stop rules."""

    def __init__(self, given: RunInput, state: RunState) -> None:
        self._act = given.act
        self._state = state
        self._rules = StopRules(given.stop_when, {}, first_run=given.first_run, past_stop=given.past_stop)
        self._rules.take_up(state.counts)
        self.total = sum(step.count_targets().total() for step in given.steps)
        """The targets of all steps."""

    @property
    def is_overfull(self) -> bool:
        """Whether more targets are kept, since others wait for them in vain, than Temporal may take."""
        return sum(map(len, self._state.broken.values())) > MOST_BROKEN

    def begin_step(self, step: StepWork) -> None:
        """Count for a step from nothing."""
        self._state.in_step = []
        self._rules.begin_wave(step.name, f"step {step.step + 1} of {step.steps}" if step.steps > 1 else "")
        self._state.counts = self._rules.state

    def take_report(self, report: ChunkReport) -> StopOrder | None:
        """Count what ended in a chunk. Returns why the run must stop, if it must."""
        state = self._state
        state.has_sent = True
        state.broken.pop(chunk := f"{report.workflow}:{report.first}", None)
        if report.broken:  # a run of many chunks continues as new with all of them
            state.broken[chunk] = report.broken
        for end in report.counts:
            self._rules.count_ends(end.outcome, end.word, end.count, doubted=end.doubted)
            state.ended += end.count
            state.left[report.gateway] = state.left.get(report.gateway, 0) - end.count
        state.in_step = _add_up([*state.in_step, *report.counts])
        state.counts = self._rules.state
        breach = self._rules.find_breach(shares_from=SHARES_FROM)
        return report.breach or (None if breach is None else StopOrder(kind="stop_rule", text=breach))

    def find_fault(self, step: StepWork, *, is_too_late: bool) -> str | None:
        """Return why the run must stop before the next step, since this one shows that something is wrong.

        When it ``is_too_late`` for further targets, a step without a success is no sign of a mistake.
        """
        if breach := self._rules.find_breach():
            return breach
        # An operator who resumed past a stop saw how the earlier steps ended.
        if step.accepted or is_too_late:
            return None
        counts = Counter[tuple[Outcome, str]]()
        for end in (*step.before, *self._state.in_step):
            counts[end.outcome, end.word] += end.count
        left = step.count_targets().total() - sum(end.count for end in self._state.in_step)
        if not is_fruitless(counts, left=left):
            return None
        done = "restored" if self._act == "restore" else "undeployed"
        where = f"wave {step.name}" if step.steps == 1 else f"step {step.step + 1} of wave {step.name}"
        return f"nothing in {where} was {done}"


def _add_up(ends: list[EndCount]) -> list[EndCount]:
    """Return the counts with one entry for ends that look alike."""
    counts = Counter[EndCount]()
    for end in ends:
        counts[replace(end, count=0)] += end.count
    return [replace(end, count=count) for end, count in counts.items()]
