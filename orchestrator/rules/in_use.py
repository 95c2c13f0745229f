"""Whether a target counts as in use, and what a run says of it. Pure."""

from __future__ import annotations

from orchestrator.model.outcome import Reason
from orchestrator.model.plan import CallBound
from orchestrator.model.usage import Usage, describe_callers, describe_calls


def is_in_use(usage: Usage, over: CallBound) -> bool:
    """Return whether a target was called more than the plan allows. Untold calls are not more."""
    return usage.calls is not None and usage.calls > over.calls


def describe_doubt(usage: Usage, over: CallBound) -> str | None:
    """Return why a target may still be needed: its calls, or why these cannot be told; None if it is not.

    Only calls count: who may call stands beside them.
    """
    if usage.calls is None:
        return f"cannot be told: {usage.why or 'no reason was given'}"
    return describe_use(usage) if is_in_use(usage, over) else None


def describe_use(usage: Usage) -> str:
    """Return ``1,204 calls in 72 h by web-shop, billing``. The callers are those who may call."""
    if not (usage.callers or usage.is_open):
        return f"{describe_calls(usage)}; who may call now: {describe_callers(usage)}"
    return f"{describe_calls(usage)} by {describe_callers(usage)}"


def end_in_use(doubt: str) -> str:
    """Return the reason of a target that the run leaves for its use."""
    return f"{Reason.IN_USE}: {doubt}"
