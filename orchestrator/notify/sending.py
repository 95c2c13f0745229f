"""The notifications of one run: opened before it, told of its events, and closed after its reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.model.events import AnyEvent
from orchestrator.model.settings import CredentialReference
from orchestrator.notify.channel import MessageSender, NotificationChannel, open_service
from orchestrator.notify.messages import MessageMaker, RunMessage
from orchestrator.transport.credentials import read_reference

MOST_CHANNELS = 10
"""Places that one run tells."""

LAST_SENDING = 8.0
"""Seconds that the services get for the last message, once the reports are written."""

LAST_SENDING_INTERRUPTED = 2.0
"""The same after an interrupt: a second one ends the command within 5 s."""


class Notifier:
    """Listener: tells all channels what happens."""

    def __init__(self, channels: Sequence[NotificationChannel], tell: Callable[[str], None]) -> None:
        self._channels = channels
        self._tell = tell
        self._maker = MessageMaker()
        self._last: RunMessage | None = None
        self._within = LAST_SENDING

    def __call__(self, event: AnyEvent) -> None:
        """Queue the message for an event that is worth one."""
        if (message := self._maker.observe(event)) is not None:
            for channel in self._channels:
                channel.post(message)

    def finish(self, last: RunMessage, *, interrupted: bool) -> None:
        """Give the message for the end of the run."""
        self._last = last
        self._within = LAST_SENDING_INTERRUPTED if interrupted else LAST_SENDING

    def close(self, within: float | None = None) -> None:
        """Send what waits, within a bounded time for all channels together; tell what was not sent."""
        ends = time.monotonic() + (self._within if within is None else within)
        for channel in self._channels:
            channel.end(self._last)
        # The run is over, so an interrupt ends the wait and nothing else.
        with suppress(KeyboardInterrupt):
            for channel in self._channels:
                if warning := channel.join(max(0.0, ends - time.monotonic())):
                    self._tell(f"warning: {warning}")


@contextmanager
def open_notifications(references: Sequence[str], tell: Callable[[str], None]) -> Iterator[Notifier | None]:
    """Give the listener that tells the services behind ``references`` (``env:NAME`` or ``file:PATH``).

    None without references. Raises UsageError and CredentialError before anything is sent. ``tell`` gets a
    line for people about what was not sent.
    """
    if not references:
        yield None
        return
    notifier = Notifier(_open_channels(references), tell)
    try:
        yield notifier
    except BaseException:
        notifier.close(0.0)
        raise
    notifier.close()


def _open_channels(references: Sequence[str]) -> list[NotificationChannel]:
    if len(references) > MOST_CHANNELS:
        raise UsageError(f"--notify is given {len(references)} times; {MOST_CHANNELS} are the most")
    # All are opened before the first thread starts: one of them may be refused.
    senders = [(name, _open_reference(name)) for name in references]
    return [NotificationChannel(name, sender) for name, sender in senders]


def _open_reference(reference: str) -> MessageSender:
    form, colon, name = reference.partition(":")
    if not (colon and name) or form not in ("env", "file"):
        # The value may be the address itself, so no message repeats it.
        raise UsageError(
            "--notify is neither env:NAME nor file:PATH; an address itself does not belong there"
        )
    found = CredentialReference(env=name) if form == "env" else CredentialReference(file=name)
    return open_service(read_reference(found, Path(), "--notify"), reference)
