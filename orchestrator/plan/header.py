"""Read the keys at the top of a plan: its version, its window and its rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from msgspec import UNSET, inspect

from orchestrator.model.plan import MOST_NOTIFICATIONS, PlanHeader, Window
from orchestrator.plan.keys import READS_VERSION
from orchestrator.plan.nodes import MappingNode, Node, ScalarNode
from orchestrator.plan.problems import Problems, UnreadableError, find_misspelt
from orchestrator.plan.records import add_missing_key, list_keys, read_record, read_value
from orchestrator.plan.scalars import WHOLE

_READ_ELSEWHERE = ("gateways", "waves", "targets")


def refuse_other_version(node: Node | None) -> None:
    """Raise ``UnreadableError`` if the plan has another version, whose keys may mean something else."""
    if not isinstance(node, ScalarNode) or not re.fullmatch(WHOLE, node.text):
        return
    if int(node.text) != READS_VERSION:
        message = f"this plan is of version {node.text}; this program reads version {READS_VERSION}"
        raise UnreadableError(node.at, message, path="version")


def read_header(header: MappingNode, problems: Problems) -> PlanHeader | None:
    """Return the keys at the top of the plan; None after adding a problem."""
    is_version = _check_version(header, problems)
    values = read_record(header, PlanHeader, "", problems, before=("version",), beside=_READ_ELSEWHERE)
    if values is None or not is_version:
        return None
    window = values.get("window")
    is_window = _check_window(window, header.values.get("window"), problems)
    is_use, is_notify = _check_in_use(header, values, problems), _check_notify(header, values, problems)
    return PlanHeader(**values) if is_use and is_notify and is_window else None


def _check_in_use(header: MappingNode, values: Mapping[str, Any], problems: Problems) -> bool:
    """Return whether something obeys ``in_use_over``; add a problem where nothing asks for calls."""
    if "in_use_over" not in header.keys or values.get("in_use", "ignore") != "ignore":
        return True
    hint = "write in_use: warn or in_use: refuse, or leave in_use_over out"
    problems.add(header.keys["in_use_over"], "in_use_over", "in_use: ignore counts no calls", hint)
    return False


def _check_notify(header: MappingNode, values: Mapping[str, Any], problems: Problems) -> bool:
    """Return whether a run can tell all that ``notify`` names; add a problem where it cannot."""
    if not values.get("notify"):
        return True
    at, count = header.keys["notify"], len(values["notify"])
    if find_spec("apprise") is None:
        hint = "pip install 'undeploy-orchestrator[notify]'"
        problems.add(at, "notify", "notifications need the package apprise, which is missing here", hint)
        return False
    if count > MOST_NOTIFICATIONS:
        problems.add(at, "notify", f"{count} places are too many; {MOST_NOTIFICATIONS} are the most")
        return False
    return True


def _check_version(header: MappingNode, problems: Problems) -> bool:
    """Return whether the plan has the version that this program reads; add a problem for another one."""
    if "version" not in header.keys:
        return False
    bounds = inspect.IntType(ge=READS_VERSION, le=READS_VERSION)
    return read_value(header.values["version"], bounds, "version", problems) is not UNSET


def _check_window(window: Window | None, node: Node | None, problems: Problems) -> bool:
    if window is None or not isinstance(node, MappingNode):
        return True
    if window.opens is None and window.closes is None:
        problems.add(node.at, "window", "neither opens nor closes is given")
        return False
    if window.opens is None or window.closes is None or window.opens < window.closes:
        return True
    closes = node.values["closes"]
    assert closes is not None  # noqa: S101 - it was read
    problems.add(closes.at, "window.closes", "the window closes before it opens, or at that moment")
    return False


def check_parts(header: MappingNode, problems: Problems, *, targets: bool = True) -> None:
    """Add a problem for each part of a plan that is missing or given twice: gateways, waves, targets.

    ``targets`` says whether the plan must have some; ids on the command line may replace them.
    """
    known = [*list_keys(PlanHeader), *_READ_ELSEWHERE]
    if "gateways" not in header.keys:
        add_missing_key(header, "gateways", known, "", problems)
    lists = ("waves", "targets")
    is_bare = not any(key in header.keys or find_misspelt(key, header.keys, known) for key in lists)
    if targets and is_bare:
        problems.add(header.at, "", "the plan has no targets; give waves, or targets for one wave")
    if "waves" in header.keys and "targets" in header.keys:
        at = max(header.keys["waves"], header.keys["targets"])
        problems.add(at, "", "waves and targets are both given", "targets at the top stands for one wave")
