"""Listener: the log, through structlog, as text or JSON lines.

A line holds the fields of its event and nothing else; the engine has masked them before. ``info`` speaks of
the run as a whole; what is said of each target and each request is ``debug``.
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
    AttemptEnded,
    AttemptStarted,
    Controlled,
    GatewayWarned,
    LaneChanged,
    Listener,
    PaceChanged,
    RetryPlanned,
    RunContinued,
    RunEnded,
    RunStarted,
    RunStopping,
    RunWaiting,
    SnapshotMissed,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveStarted,
)
from orchestrator.text.characters import make_visible

LogFormat = Literal["text", "json"]

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

EVENT_LEVELS: Mapping[type[AnyEvent], int] = {
    RunStarted: logging.INFO,
    WaveStarted: logging.INFO,
    AttemptStarted: logging.DEBUG,
    AttemptEnded: logging.DEBUG,
    RetryPlanned: logging.DEBUG,
    TargetEnded: logging.DEBUG,
    SnapshotMissed: logging.WARNING,
    GatewayWarned: logging.WARNING,
    LaneChanged: logging.INFO,
    StepStarted: logging.INFO,
    RunWaiting: logging.INFO,
    RunContinued: logging.INFO,
    PaceChanged: logging.DEBUG,
    Controlled: logging.INFO,
    WaveEnded: logging.INFO,
    RunStopping: logging.WARNING,
    RunEnded: logging.INFO,
}
NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class _CurrentStderr:
    """Writes to whatever ``sys.stderr`` is at that moment: a live display puts itself in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def event_level(event: AnyEvent) -> int:
    """Return the level of ``event``'s line, as a number of ``logging``."""
    if isinstance(event, LaneChanged):
        return {"open": logging.INFO, "paused": logging.DEBUG}.get(event.state, logging.WARNING)
    if isinstance(event, RunWaiting) and event.why in ("proceed", "paused"):
        return logging.WARNING  # it goes on when somebody says so, and not before
    return EVENT_LEVELS[type(event)]


def _stamp(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    at = datetime.fromtimestamp(fields.pop("at"), UTC)
    return {"time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", **fields}


def _harmless(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: make_visible(value) if isinstance(value, str) else value for key, value in fields.items()}


def _json(fields: Any, **_options: Any) -> str:
    return msgspec.json.encode(fields).decode()


def _renderers(form: LogFormat) -> list[Callable[..., Any]]:
    if form == "json":
        return [structlog.processors.JSONRenderer(serializer=_json)]
    return [_harmless, structlog.processors.LogfmtRenderer(key_order=["time", "level", "event"])]


def log_events(level: str = "info", form: LogFormat = "text", out: TextIO | None = None) -> Listener:
    """Return a listener that logs what is at least as grave as ``level``, to ``out`` or else to stderr."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out or _CurrentStderr()),  # type: ignore[arg-type]  # it needs write and flush only
        processors=[structlog.processors.add_log_level, _stamp, *_renderers(form)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    least = LEVELS[level]

    def listen(event: AnyEvent) -> None:
        number = event_level(event)
        if number >= least:
            fields = msgspec.to_builtins(event)
            getattr(logger, NAMES[number])(fields.pop("event"), **fields)

    return listen
