"""When a run will be done, and which gateway its window leaves without enough time. Pure.

One fold answers every forecast: the preview's, the live display's and that of ``undeploy status``. Callers
say what each gateway still has to do in each part of the run, and how long that takes; the fold knows how a
run goes. Waves (and their steps) come one after another, the gateways of one side by side, and a gateway
that has nothing to do in a part waits for the others. Each gateway stops to start undeploys one of its own
timeouts before the window closes.

Instants are Unix times, durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct


class Work(Struct, frozen=True, kw_only=True):
    """What one gateway has left in one part of a run. A closed lane has no work: it stays undone."""

    gateway: str
    targets: int
    """How many undeploys have to be started yet; 0 where all that is left is to look."""
    seconds: float | None
    """How long they take once the part has begun; None where nobody can tell."""


class Part(Struct, frozen=True, kw_only=True):
    """A wave, or one step of it."""

    wave: str
    work: tuple[Work, ...]
    rest: float = 0.0
    """The ``pause_after`` that follows, where another part follows."""


class GatewayForecast(Struct, frozen=True, kw_only=True):
    """What is to be expected of one gateway."""

    name: str
    done: float | None = None
    """When its last target ends if the window does not stop it; None where nobody can tell."""
    starts_until: float | None = None
    """The last instant at which it starts an undeploy; None without a window."""
    late: int = 0
    """At least so many of its targets cannot start before that."""


class WaveForecast(Struct, frozen=True, kw_only=True):
    """When one wave is done; None where nobody can tell."""

    name: str
    done: float | None = None


class Forecast(Struct, frozen=True, kw_only=True):
    """When the work will be done, and what of it the window leaves out."""

    done: float | None = None
    """When the last target ends if the window stops nothing; None where nobody can tell."""
    spare: float | None = None
    """Seconds that the tightest gateway has to spare, negative where the window stops it; None without a
    window, or where nobody can tell."""
    hindered: str | None = None
    """Why nobody can tell, where a gateway does not work: ``roma-eu is parked``."""
    gateways: tuple[GatewayForecast, ...] = ()
    """Those that have something left, in the order of the parts."""
    waves: tuple[WaveForecast, ...] = ()

    @property
    def late(self) -> int:
        """Return how many targets cannot start before the window stops their gateway, at the least."""
        return sum(gateway.late for gateway in self.gateways)

    @property
    def fits(self) -> bool | None:
        """Return whether all can start in the window; None without a window, or where nobody can tell."""
        if self.late:
            return False
        return None if self.spare is None else self.spare >= 0


def last_starts(closes: float | None, timeouts: Mapping[str, float]) -> dict[str, float]:
    """Return until when each gateway starts undeploys: one of its timeouts must end before the window closes.

    ``timeouts`` and the result are by gateway name; the result is empty without a close.
    """
    if closes is None:
        return {}
    return {name: closes - timeout for name, timeout in timeouts.items()}


def foresee(
    parts: Sequence[Part], *, now: float, last: Mapping[str, float], hindered: str | None = None
) -> Forecast:
    """Return how a run goes that begins the first of ``parts`` at ``now``.

    ``last`` is what ``last_starts`` gives. ``hindered`` names a gateway that does not work at present: then
    nobody can tell when it is done, and only what cannot start in any case is counted.
    """
    free = list(_fold(parts, now))
    done = [ends for _, _, ends in free]
    late = _late(parts, now, last)
    names = dict.fromkeys(work.gateway for part in parts for work in part.work)
    known = None not in done and hindered is None
    return Forecast(
        done=_latest(done, now) if known else None,
        spare=_spare(parts, done, last) if known else None,
        hindered=hindered,
        gateways=tuple(
            GatewayForecast(
                name=name,
                done=_latest([ends for _, gateway, ends in free if gateway == name], now),
                starts_until=last.get(name),
                late=late.get(name, 0),
            )
            for name in names
        ),
        waves=tuple(
            WaveForecast(name=name, done=_latest([ends for wave, _, ends in free if wave == name], now))
            for name in dict.fromkeys(part.wave for part in parts)
        ),
    )


def _spare(parts: Sequence[Part], done: Sequence[float | None], last: Mapping[str, float]) -> float | None:
    """Return how many seconds before its last start the tightest piece of work is done."""
    pieces = zip((work for part in parts for work in part.work), done, strict=True)
    return min(
        (
            last[work.gateway] - ends
            for work, ends in pieces
            if work.targets and ends is not None and work.gateway in last
        ),
        default=None,
    )


def _latest(instants: Iterable[float | None], now: float) -> float | None:
    latest: float | None = now
    for instant in instants:
        latest = None if latest is None or instant is None else max(latest, instant)
    return latest


def _fold(parts: Sequence[Part], now: float) -> Iterator[tuple[str, str, float | None]]:
    """Yield wave, gateway and end of each piece of work, as if there were no window."""
    begins: float | None = now
    for part in parts:
        ends = [_end(begins, work.seconds) for work in part.work]
        yield from ((part.wave, work.gateway, end) for work, end in zip(part.work, ends, strict=True))
        over = None if begins is None else _latest(ends, begins)
        begins = _end(over, part.rest)


def _end(begins: float | None, seconds: float | None) -> float | None:
    return None if begins is None or seconds is None else begins + seconds


def _late(parts: Sequence[Part], now: float, last: Mapping[str, float]) -> dict[str, int]:
    """Count by gateway the targets that cannot start any more, at the least.

    A gateway that the window stops holds up the next part no longer, and work of unknown length may be
    short.
    """
    late: dict[str, int] = {}
    begins = now
    for part in parts:
        over = begins
        for work in part.work:
            stops = last.get(work.gateway, math.inf)
            late[work.gateway] = late.get(work.gateway, 0) + work.targets - _starting(work, stops - begins)
            over = max(over, min(begins + (work.seconds or 0.0), stops))
        begins = over + part.rest
    return late


def _starting(work: Work, within: float) -> int:
    """Return how many targets start ``within`` so many seconds, at the most, if they go at an even pace."""
    if within < 0:
        return 0
    if not work.seconds or within >= work.seconds:
        return work.targets
    return math.floor(work.targets * within / work.seconds)


def forecast_values(forecast: Forecast, *keys: str) -> dict[str, Any]:
    """Return a forecast as ``status`` and ``preview`` write it in JSON; instants are UTC.

    With ``keys`` only those.
    """
    values = {
        "done": _instant(forecast.done),
        "spare": None if forecast.spare is None else round(forecast.spare, 3),
        "fits": forecast.fits,
        "hindered": forecast.hindered,
        "late": forecast.late,
        "gateways": [
            {
                "name": gateway.name,
                "done": _instant(gateway.done),
                "starts_until": _instant(gateway.starts_until),
                "late": gateway.late,
            }
            for gateway in forecast.gateways
        ],
        "waves": [{"name": wave.name, "done": _instant(wave.done)} for wave in forecast.waves],
    }
    return {key: values[key] for key in keys or values}


def _instant(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
