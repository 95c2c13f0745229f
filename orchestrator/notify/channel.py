"""A place where people are told: one apprise URL, with a thread of its own that never holds the run.

The URL is a secret, and so is whatever apprise says of it. Neither leaves this module.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from threading import Condition
from types import ModuleType
from typing import Any, Protocol

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.notify.messages import RunMessage, merge_messages
from orchestrator.system.threads import start_thread
from orchestrator.text.counting import count_noun

SPACING = 30.0
"""Seconds between two messages. What happens meanwhile is told in one: a lane may be parked many times."""

MOST_WAITING = 20
"""Messages that wait for the next one to be sent; further ones are counted only."""


class MessageSender(Protocol):
    """Sends one message, and returns whether the service took it."""

    def __call__(self, message: RunMessage) -> bool: ...


class NotificationChannel:
    """Sends messages one after the other. ``name`` is the reference of the URL, which people may see."""

    def __init__(
        self, name: str, send: MessageSender, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._send = send
        self._monotonic = monotonic
        self._changed = Condition()
        self._waiting: list[RunMessage] = []
        self._left_out = 0
        self._closing = False
        self._next = 0.0
        self._sent = self._failed = 0
        self._thread = start_thread(self._work, "notifications")

    def post(self, message: RunMessage) -> None:
        """Queue a message; returns at once."""
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(message)
            else:
                self._left_out += 1
            self._changed.notify()

    def end(self, last: RunMessage | None) -> None:
        """Queue the ``last`` message; what waits is sent without a further wait. Returns at once."""
        with self._changed:
            if last is not None:
                self._waiting.append(last)
            self._closing = True
            self._changed.notify()

    def join(self, within: float) -> str | None:
        """Wait until all is sent, ``within`` seconds at most; return a warning about what was not, if any.

        A service that takes longer is left alone: its thread does not hold the end of the process.
        """
        self._thread.join(within)
        return self._describe_faults(is_late=self._thread.is_alive())

    def _describe_faults(self, *, is_late: bool) -> str | None:
        if is_late:
            return f"notifications to {self.name}: the service did not take the last message in time"
        if not self._failed:
            return None
        total = count_noun(self._sent + self._failed, "message")
        return f"notifications to {self.name}: the service did not take {self._failed:,} of {total}"

    def _work(self) -> None:
        while (message := self._take()) is not None:
            try:
                is_taken = self._send(message)
            except Exception:  # noqa: BLE001 - any library may stand behind a URL; its text may hold the URL
                is_taken = False
            self._sent += is_taken
            self._failed += not is_taken

    def _take(self) -> RunMessage | None:
        """Wait for the next message and return it; None once all is sent and no more can come."""
        with self._changed:
            while not (self._closing or (self._waiting and self._monotonic() >= self._next)):
                wait = self._next - self._monotonic() if self._waiting else None
                self._changed.wait(wait)
            if not self._waiting:
                return None
            message = merge_messages(self._waiting, self._left_out)
            self._waiting, self._left_out = [], 0
            self._next = self._monotonic() + SPACING
            return message


def open_service(url: Secret, name: str) -> MessageSender:
    """Return the sender for an apprise URL. Raises UsageError if apprise is missing or knows no such URL."""
    try:
        import apprise  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        raise UsageError(
            f"notify: {name} needs the package apprise: pip install 'undeploy-orchestrator[notify]';"
            " nothing was sent"
        ) from None
    # Its log repeats addresses, and a service's replies.
    for logger in ("apprise", "urllib3", "requests"):
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    _forget_netrc()
    sender = _make_sender(apprise, url)
    if sender is None:
        raise UsageError(
            f"notify: {name} holds no URL that apprise knows; one for Slack is"
            " slack://TokenA/TokenB/TokenC/#channel. Nothing was sent"
        )
    return sender


def _forget_netrc() -> None:
    """Have apprise's HTTP library send no credential of ``.netrc`` along, which is meant for other programs.

    It would do so wherever a service wants no credential beside its address. apprise has no setting for it.
    """
    from requests import sessions  # noqa: PLC0415 - as apprise

    vars(sessions)["get_netrc_auth"] = lambda *_, **__: None


def _make_asset(library: ModuleType) -> Any:
    """Return apprise's settings: it follows no redirect, keeps nothing, and loads no code of others."""
    return library.AppriseAsset(
        app_id="undeploy",
        app_desc="undeploy",
        app_url="",
        async_mode=False,
        http_redirects=False,
        interpret_escapes=False,
        plugin_paths=[],
        secure_logging=True,
        storage_mode="memory",
    )


def _make_sender(library: ModuleType, url: Secret) -> MessageSender | None:
    """Return the sender for a URL; None if the library knows no such URL."""
    asset = _make_asset(library)
    service = library.Apprise(asset=asset)
    try:
        # Its first use imports all its services, some of which import what Python is about to lose.
        with warnings.catch_warnings(action="ignore"):
            plugin = library.Apprise.instantiate(url.reveal(), asset=asset)
    except Exception:  # noqa: BLE001 - as in NotificationChannel; the text may hold the URL
        return None
    if plugin is None or not service.add(plugin):
        return None
    plugin.redirects = False  # whatever the URL says: a redirect would carry its secret to another host

    def send(message: RunMessage) -> bool:
        form = library.NotifyFormat.MARKDOWN if message.markdown else library.NotifyFormat.TEXT
        taken = service.notify(
            title=message.title, body=message.body, notify_type=message.tone, body_format=form
        )
        return bool(taken)

    return send
