"""Sends the traces and metrics of a run, if the environment asks for it; the run never waits for them.

OpenTelemetry's own threads send. Their queue has a bound: what does not fit is dropped and counted.
At the end of the run they have ``LAST_SENDING`` seconds for the rest, or fewer after a second signal.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.lanes.masking import Mask
from orchestrator.model.events import AnyEvent, RunStarted
from orchestrator.system.interrupts import find_time_left, handle_signals
from orchestrator.telemetry.settings import TelemetrySettings, list_collector_secrets, read_settings
from orchestrator.text.characters import make_visible
from orchestrator.transport.proxy import list_passwords

if TYPE_CHECKING:
    from orchestrator.telemetry.providers import TelemetryProviders

LAST_SENDING = 3.0
"""Seconds that the end of a run waits for the collector."""

LAST_SHARE = 0.25
"""The share of the time that a second signal leaves to the program; its output needs the rest."""

NOT_INSTALLED = (
    "telemetry: the environment asks for OpenTelemetry, which is not installed; nothing is sent, and the run"
    " goes on. `pip install 'undeploy-orchestrator[otel]'` installs it"
)


@contextmanager
def open_telemetry(tell: Callable[[str], None]) -> Iterator[TelemetrySender | None]:
    """Give the listener that the environment of this process asks for, if it does, for the block.

    ``tell`` gets a line for people about what is not done and what did not arrive; no fault of a collector
    raises. On the main thread, since the wait at the block's end handles signals.
    """
    settings = read_settings(os.environ)
    for remark in settings.remarks:
        tell(f"telemetry: {remark}")
    if not settings.is_wanted:
        yield None
        return
    if not _is_installed():
        tell(NOT_INSTALLED)
        yield None
        return
    sender = TelemetrySender(settings, tell)
    within = LAST_SENDING
    try:
        yield sender
    except KeyboardInterrupt:
        within = 0.0
        raise
    finally:
        sender.close(within)


def _is_installed() -> bool:
    try:
        # Here, before the run: an import in the middle of it would hold its requests.
        import orchestrator.telemetry.providers  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


class TelemetrySender:
    """Listener: begins to send when a run starts that is no rehearsal."""

    def __init__(self, settings: TelemetrySettings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._mask = _build_mask()
        self._providers: TelemetryProviders | None = None

    def __call__(self, event: AnyEvent) -> None:
        """Take in the next event."""
        if self._providers is None:
            # A rehearsal needs no network.
            if not isinstance(event, RunStarted) or event.rehearsal:
                return
            self._providers = self._begin(event)
        if self._providers is not None:
            self._providers.observe(event)

    def close(self, within: float) -> None:
        """Send what is left, for ``within`` seconds; a signal ends the wait. Tell what did not arrive."""
        if (providers := self._providers) is None:
            return
        is_over = threading.Event()
        threads = [threading.Thread(target=end, daemon=True) for end in providers.list_ends()]
        with handle_signals(lambda _: is_over.set()):
            for thread in threads:
                thread.start()
            threading.Thread(target=_join_all, args=(threads, is_over), daemon=True).start()
            is_over.wait(min(within, LAST_SHARE * find_time_left()))
        providers.tell_losses()
        if not any(thread.is_alive() for thread in threads):
            providers.release()

    def _begin(self, started: RunStarted) -> TelemetryProviders | None:
        from orchestrator.telemetry.providers import TelemetryProviders  # noqa: PLC0415

        try:
            return TelemetryProviders(self._settings, started, self._mask, self._tell)
        except (OSError, RuntimeError, ValueError) as error:  # the text of a variable is none that fits
            reason = make_visible(self._mask.clean_text(str(error)))
            self._tell(f"telemetry: nothing is sent, and the run goes on: {reason}")
            return None


def _join_all(threads: list[threading.Thread], is_over: threading.Event) -> None:
    for thread in threads:
        thread.join()
    is_over.set()


def _build_mask() -> Mask:
    secrets = set(list_collector_secrets(os.environ))
    with suppress(UsageError):  # a proxy that cannot be read: the run itself says so
        secrets.update(password.reveal() for password in list_passwords(None, os.environ))
    return Mask(secrets)
