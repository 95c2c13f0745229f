"""The listener that writes the log, through structlog, as text or JSON lines.

A line holds the fields of its event and nothing else. The engine has masked them before. ``info`` tells of
the run as a whole, ``debug`` of each target and each request.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec
import structlog

from orchestrator.model.events import (
    AnyEvent,
    GatewayWarned,
    LaneChanged,
    ListAsked,
    Listener,
    PaceChanged,
    ProbePlanned,
    RunStopping,
    RunWaiting,
    RunWarned,
    SnapshotMissed,
    TargetInUse,
)
from orchestrator.text.characters import make_visible

LogFormat = Literal["text", "json"]

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

# An event that is not named here is ``debug`` if it has a target, else ``info``: one line a request or a
# target would bury the lines on the run.
EVENT_LEVELS: Mapping[type[AnyEvent], int] = {
    PaceChanged: logging.DEBUG,
    ProbePlanned: logging.DEBUG,
    ListAsked: logging.DEBUG,
    SnapshotMissed: logging.WARNING,
    TargetInUse: logging.WARNING,
    GatewayWarned: logging.WARNING,
    RunWarned: logging.WARNING,
    RunStopping: logging.WARNING,
}
LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}


class _CurrentStderr:
    """Writes to the ``sys.stderr`` of that moment: a live display puts its own stream there."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def find_level(event: AnyEvent) -> int:
    """Return the level at which ``event`` is logged, as a number of ``logging``."""
    # A gateway that throttles pauses its lane every second, which belongs to the details.
    if isinstance(event, LaneChanged):
        return {"open": logging.INFO, "paused": logging.DEBUG}.get(event.state, logging.WARNING)
    if isinstance(event, RunWaiting) and event.why in ("proceed", "paused"):
        return logging.WARNING  # the run stands still until a person answers
    usual = logging.DEBUG if hasattr(event, "target") else logging.INFO
    return EVENT_LEVELS.get(type(event), usual)


def _format_time(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    at = datetime.fromtimestamp(fields.pop("at"), UTC)
    return {"time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", **fields}


def _make_values_visible(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {key: make_visible(value) if isinstance(value, str) else value for key, value in fields.items()}


def _encode_json(fields: Any, **_options: Any) -> str:
    return msgspec.json.encode(fields).decode()


def _choose_renderers(form: LogFormat) -> list[Callable[..., Any]]:
    if form == "json":
        return [structlog.processors.JSONRenderer(serializer=_encode_json)]
    return [_make_values_visible, structlog.processors.LogfmtRenderer(key_order=["time", "level", "event"])]


def log_events(level: str = "info", form: LogFormat = "text", out: TextIO | None = None) -> Listener:
    """Return a listener that logs the events of ``level`` and graver ones, to ``out`` or else to stderr."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out or _CurrentStderr()),  # type: ignore[arg-type]  # it needs write and flush only
        processors=[structlog.processors.add_log_level, _format_time, *_choose_renderers(form)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    least = LEVELS[level]

    def listen(event: AnyEvent) -> None:
        grade = find_level(event)
        if grade >= least:
            fields = msgspec.to_builtins(event)
            getattr(logger, LEVEL_NAMES[grade])(fields.pop("event"), **fields)

    return listen
