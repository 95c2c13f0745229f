"""Check that the sizes of a wave's steps go together."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.plan import StepSize
from orchestrator.plan.nodes import ListNode
from orchestrator.plan.problems import Problems

_TO_THE_END = "end the list with 100%"


def check_sizes(node: ListNode, sizes: Sequence[StepSize], path: str, problems: Problems) -> bool:
    """Return whether each of ``sizes`` goes further than those before, and the last to the end.

    Adds a problem for each size that does not. Shares are only compared with shares, and counts with
    counts: the number of the wave's targets is not known yet.
    """
    if not sizes:
        problems.add(node.at, path, "the list of sizes is empty", _TO_THE_END)
        return False
    faults = [_find_fault(sizes[:index], size) for index, size in enumerate(sizes)]
    if not any(faults) and sizes[-1].share != 1:
        faults[-1] = "the last step leaves targets of the wave out"
    for index, (fault, value) in enumerate(zip(faults, node.values, strict=True)):
        if fault and value is not None:
            problems.add(value.at, f"{path}[{index}]", fault, _TO_THE_END)
    return not any(faults)


def _find_fault(before: Sequence[StepSize], size: StepSize) -> str:
    if any(earlier.share == 1 for earlier in before):
        return "nothing is left for a step after 100%"
    same = [earlier for earlier in before if (earlier.count is None) == (size.count is None)]
    if same and _get_reach(size) <= max(map(_get_reach, same)):
        return "a step goes no further than one before it; sizes are counted from the wave's beginning"
    return ""


def _get_reach(size: StepSize) -> float:
    return size.count or size.share or 0
