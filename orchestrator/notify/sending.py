"""The notifications of one run: opened before it, told of its events, and closed after its reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.model.events import AnyEvent
from orchestrator.model.plan import (
    ALL_NOTIFICATIONS,
    MOST_NOTIFICATIONS,
    NotificationKind,
    PlannedNotification,
)
from orchestrator.model.settings import CredentialReference
from orchestrator.notify.channel import MessageSender, NotificationChannel, open_service
from orchestrator.notify.messages import MessageMaker, RunMessage
from orchestrator.transport.credentials import read_reference

LAST_SENDING = 8.0
"""Seconds that the services get for the last message, once the reports are written."""

LAST_SENDING_INTERRUPTED = 2.0
"""The same after an interrupt: a second one ends the command within 5 s."""


class NotificationSpec(NamedTuple):
    """A place that is to be told, as a plan or an option names it."""

    name: str
    """For people; never the address."""
    reference: CredentialReference
    folder: Path
    """Where a relative path of the reference begins."""
    on: tuple[NotificationKind, ...] = ALL_NOTIFICATIONS


class Notifier:
    """Listener: tells each channel what it is to be told."""

    def __init__(
        self,
        channels: Sequence[tuple[NotificationChannel, tuple[NotificationKind, ...]]],
        tell: Callable[[str], None],
    ) -> None:
        self._channels = channels
        self._tell = tell
        self._maker = MessageMaker()
        self._last: RunMessage | None = None
        self._within = LAST_SENDING

    def __call__(self, event: AnyEvent) -> None:
        """Queue the message for an event that is worth one."""
        if (message := self._maker.observe(event)) is not None:
            for channel, kinds in self._channels:
                if message.kind in kinds:
                    channel.post(message)

    def finish(self, last: RunMessage, *, interrupted: bool) -> None:
        """Give the message for the end of the run."""
        if self._maker.has_begun:
            self._last = last
        self._within = LAST_SENDING_INTERRUPTED if interrupted else LAST_SENDING

    def fail(self, error: OrchestratorError) -> None:
        """Give the message of an error that ends the command: who heard of the beginning hears of it, too."""
        self._last = self._maker.make_failure(str(error))

    def close(self, within: float | None = None) -> None:
        """Send what waits, within a bounded time for all channels together; tell what was not sent."""
        ends = time.monotonic() + (self._within if within is None else within)
        last = self._last
        for channel, kinds in self._channels:
            channel.end(last if last is not None and last.kind in kinds else None)
        # The run is over, so an interrupt ends the wait and nothing else.
        with suppress(KeyboardInterrupt):
            for channel, _ in self._channels:
                if warning := channel.join(max(0.0, ends - time.monotonic())):
                    self._tell(f"warning: {warning}")


@contextmanager
def open_notifications(
    specs: Sequence[NotificationSpec], tell: Callable[[str], None]
) -> Iterator[Notifier | None]:
    """Give the listener that tells the services of ``specs`` how the run of the block goes; None without any.

    Raises UsageError and CredentialError before anything is sent. ``tell`` gets a line for people about what
    was not sent.
    """
    if not specs:
        yield None
        return
    notifier = Notifier(_open_channels(specs), tell)
    try:
        yield notifier
    except OrchestratorError as error:
        notifier.fail(error)
        notifier.close()
        raise
    except BaseException:
        notifier.close(0.0)
        raise
    notifier.close()


def _open_channels(
    specs: Sequence[NotificationSpec],
) -> list[tuple[NotificationChannel, tuple[NotificationKind, ...]]]:
    if len(specs) > MOST_NOTIFICATIONS:
        raise UsageError(
            f"{len(specs)} places are to be notified; {MOST_NOTIFICATIONS} are the most. Nothing was sent"
        )
    # All are opened before the first thread starts: one of them may be refused.
    senders = [_open_sender(spec) for spec in specs]
    return [
        (NotificationChannel(spec.name, sender), spec.on) for spec, sender in zip(specs, senders, strict=True)
    ]


def _open_sender(spec: NotificationSpec) -> MessageSender:
    return open_service(read_reference(spec.reference, spec.folder, "notify:"), spec.name)


def list_specs(
    options: Sequence[str], planned: Sequence[PlannedNotification], folder: Path
) -> tuple[NotificationSpec, ...]:
    """Return all places that a run tells: of the ``options`` (``env:NAME``, ``file:PATH``), and of its plan.

    ``folder`` is that of the plan. Raises UsageError for an option that is no reference.
    """
    return (
        *map(_parse_option, options),
        *(NotificationSpec(str(one.url), one.url, folder, one.on) for one in planned),
    )


def _parse_option(text: str) -> NotificationSpec:
    form, colon, name = text.partition(":")
    if not (colon and name) or form not in ("env", "file"):
        # The value may be the address itself, so no message repeats it.
        raise UsageError(
            "--notify is neither env:NAME nor file:PATH; an address itself does not belong there"
        )
    found = CredentialReference(env=name) if form == "env" else CredentialReference(file=name)
    return NotificationSpec(text, found, Path())
