"""The values of a forecast: when the work will be done, and what of it the window leaves out.

Instants are Unix times, durations are seconds. ``rules/forecast.py`` makes them.
"""

from __future__ import annotations

from msgspec import Struct


class GatewayForecast(Struct, frozen=True, kw_only=True):
    """The forecast for one gateway."""

    name: str
    done: float | None = None
    """When its last target would end without a window; None if unknown."""
    starts_until: float | None = None
    """The last instant at which it starts an undeploy; None without a window."""
    late: int = 0
    """The least number of its targets that cannot start by then."""


class WaveForecast(Struct, frozen=True, kw_only=True):
    """When one wave will be done; None if unknown."""

    name: str
    done: float | None = None


class Forecast(Struct, frozen=True, kw_only=True):
    """When the work will be done, and what of it the window leaves out."""

    done: float | None = None
    """When the last target would end without a window; None if unknown."""
    latest: float | None = None
    """While ``hindered``: when it is done at the latest. By then each gateway works again or is given up, or
    the window has closed. None if unknown, and where nothing hinders."""
    spare: float | None = None
    """Seconds by which the tightest gateway has started its last target before the window stops it.

    Negative if the window stops that gateway; None without a window, if unknown, and if all have started."""
    questions: int = 0
    """How many times the run asks a person on its way. An answer takes no time in this forecast."""
    hindered: str | None = None
    """Why the end is unknown while a gateway does not work: ``roma-eu is parked``."""
    gateways: tuple[GatewayForecast, ...] = ()
    """The gateways that have something left, in the order of the parts."""
    waves: tuple[WaveForecast, ...] = ()

    @property
    def late(self) -> int:
        """Return the least number of targets that cannot start before the window stops their gateway."""
        return sum(gateway.late for gateway in self.gateways)

    @property
    def fits(self) -> bool | None:
        """Return whether all targets can start in the window; None as for ``spare``."""
        if self.late:
            return False
        return None if self.spare is None else self.spare >= 0
