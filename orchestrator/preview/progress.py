"""How far a preview has come, for a display."""

from __future__ import annotations

from typing import Protocol


class PreviewListener(Protocol):
    """Hears how far a preview has come."""

    def on_target_seen(self, done: int, of: int, /) -> None:
        """Hear that ``done`` of the targets have been looked at."""

    def on_pause(self, gateway: str, reason: str, seconds: float, /) -> None:
        """Hear that a gateway asks for a pause; 0 seconds where the pause is over."""


class LookProgress:
    """Counts, over all gateways, the targets that have been looked at, and tells the listener, if any."""

    def __init__(self, listener: PreviewListener | None, of: int) -> None:
        self._listener = listener
        self._of = of
        self._done = 0

    def begin(self) -> None:
        """Tell that the looks begin."""
        if self._listener is not None:
            self._listener.on_target_seen(self._done, self._of)

    def add_target(self) -> None:
        """Count one more target."""
        self._done += 1
        if self._listener is not None:
            self._listener.on_target_seen(self._done, self._of)

    def tell_pause(self, gateway: str, reason: str, seconds: float) -> None:
        """Tell that a gateway asks for a pause."""
        if self._listener is not None:
            self._listener.on_pause(gateway, reason, seconds)
