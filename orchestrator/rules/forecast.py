"""When a run will be done, and which gateway its window leaves without enough time. Pure.

The preview, the live display and ``undeploy status`` all use this forecast. The caller says what each gateway
has left in each part of the run, and how long that takes. The parts (waves, or their steps) run one after
another. Within a part the gateways work side by side, and a gateway that is done waits for the others. Each
gateway starts its last undeploy one of its own timeouts before the window closes.

Instants are Unix times, durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.forecast import Forecast, GatewayForecast, WaveForecast

LOOKS_PAST_CLOSE = 30.0
"""Seconds after the window's close in which a look may still settle a doubt."""


class WorkAhead(Struct, frozen=True, kw_only=True):
    """The work left to one gateway in one part of a run. A closed lane has no work: nothing will be sent."""

    gateway: str
    targets: int
    """How many targets have no outcome; 0 if only looks are left."""
    under_way: int = 0
    """How many of them were sent their undeploy, and wait for its reply or a look: no window stops these."""
    seconds: float | None
    """How long they take once the part has begun; None if unknown."""
    at_most: float | None = None
    """How long they take at most, if the gateway stands still now; None if unknown."""

    @property
    def to_start(self) -> int:
        """Return how many undeploys are still to be started."""
        return max(0, self.targets - self.under_way)

    @property
    def seconds_to_last_start(self) -> float:
        """Return when the last of them starts, at an even pace, after the part has begun; 0 if unknown.

        Each target that ends makes room for one more, and those under way end first. Where none is under way,
        the last one counts as started when all has ended, which promises no more than it must.
        """
        return (self.seconds or 0.0) * self.to_start / max(self.targets, 1)


class RunPart(Struct, frozen=True, kw_only=True):
    """A wave, or one step of it."""

    wave: str
    work: tuple[WorkAhead, ...]
    rest: float = 0.0
    """Seconds of the ``pause_after`` that follows, if another part follows."""
    asks: bool = False
    """Whether a person is asked then (``proceed: ask``), if another part follows."""


def find_last_starts(closes: float | None, timeouts: Mapping[str, float]) -> dict[str, float]:
    """Return the last instant at which each gateway starts an undeploy, so that its reply can still come.

    That is one of its timeouts before the window ``closes``. ``timeouts`` and the result are by gateway name.
    The result is empty if there is no window.
    """
    if closes is None:
        return {}
    return {name: closes - timeout for name, timeout in timeouts.items()}


def foresee(
    parts: Sequence[RunPart], *, now: float, last: Mapping[str, float], hindered: str | None = None
) -> Forecast:
    """Return the forecast for a run that begins the first of ``parts`` at ``now``.

    ``last`` comes from ``find_last_starts``. ``hindered`` names a gateway that does not work at present. Then
    the end is unknown, and ``late`` counts only the targets that cannot start in any case.
    """
    unlimited = list(_forecast_work(parts, now))
    done = [piece.ends for piece in unlimited]
    late = _count_late(parts, now, last)
    known = None not in done and hindered is None
    questions = sum(part.asks for part in parts[:-1])
    by_gateway = _find_last_ends(((piece.work.gateway, piece.ends) for piece in unlimited), now)
    by_wave = _find_last_ends(((piece.wave, piece.ends) for piece in unlimited), now)
    return Forecast(
        done=_find_latest(done, now) if known else None,
        # No time bounds the answer of a person.
        latest=_find_bound(parts, now) if hindered is not None and not questions else None,
        spare=_find_spare(unlimited, last) if known else None,
        questions=questions,
        hindered=hindered,
        gateways=tuple(
            GatewayForecast(name=name, done=ends, starts_until=last.get(name), late=late.get(name, 0))
            for name, ends in by_gateway.items()
        ),
        waves=tuple(WaveForecast(name=name, done=ends) for name, ends in by_wave.items()),
    )


def _find_last_ends(ends: Iterable[tuple[str, float | None]], now: float) -> dict[str, float | None]:
    """Return the latest end under each name; None if one of them is unknown."""
    latest: dict[str, float | None] = {}
    for name, end in ends:
        known = latest.get(name, now)
        latest[name] = None if known is None or end is None else max(known, end)
    return latest


def _find_bound(parts: Sequence[RunPart], now: float) -> float | None:
    """Return when all is done at the latest, if each gateway that stands still does so as long as it may."""
    longest = [
        RunPart(
            wave=part.wave,
            rest=part.rest,
            work=tuple(replace(work, seconds=work.at_most) for work in part.work),
        )
        for part in parts
    ]
    return _find_latest((piece.ends for piece in _forecast_work(longest, now)), now)


def _find_spare(pieces: Iterable[_ForecastPiece], last: Mapping[str, float]) -> float | None:
    """Return how many seconds before its last possible start the tightest piece has started all its work."""
    return min(
        (
            last[work.gateway] - (begins + work.seconds_to_last_start)
            for _, work, begins, _ in pieces
            if work.to_start and begins is not None and work.gateway in last
        ),
        default=None,
    )


def _find_latest(instants: Iterable[float | None], now: float) -> float | None:
    latest: float | None = now
    for instant in instants:
        latest = None if latest is None or instant is None else max(latest, instant)
    return latest


class _ForecastPiece(NamedTuple):
    """The work of one gateway in one part, and when it begins and ends; None if unknown."""

    wave: str
    work: WorkAhead
    begins: float | None
    ends: float | None


def _forecast_work(parts: Sequence[RunPart], now: float) -> Iterator[_ForecastPiece]:
    """Yield each piece of work with its times, as if there were no window."""
    begins: float | None = now
    for part in parts:
        ends = [_add_seconds(begins, work.seconds) for work in part.work]
        for work, end in zip(part.work, ends, strict=True):
            yield _ForecastPiece(part.wave, work, begins, end)
        over = None if begins is None else _find_latest(ends, begins)
        begins = _add_seconds(over, part.rest)


def _add_seconds(begins: float | None, seconds: float | None) -> float | None:
    return None if begins is None or seconds is None else begins + seconds


def _count_late(parts: Sequence[RunPart], now: float, last: Mapping[str, float]) -> dict[str, int]:
    """Count, by gateway, the least number of targets that cannot start any more."""
    late: dict[str, int] = {}
    if not last:
        return late
    begins = now
    for part in parts:
        over = begins
        for work in part.work:
            stops = last.get(work.gateway, math.inf)
            late[work.gateway] = (
                late.get(work.gateway, 0) + work.to_start - _count_startable(work, stops - begins)
            )
            # Once the window stops a gateway, the next part need not wait for that gateway. Work of unknown
            # length counts as none: otherwise the sum would not be the least number.
            over = max(over, min(begins + (work.seconds or 0.0), stops))
        begins = over + part.rest
    return late


def _count_startable(work: WorkAhead, within: float) -> int:
    """Return the greatest number of targets that can start ``within`` so many seconds at an even pace."""
    if within < 0:
        return 0
    if not work.seconds or within >= work.seconds_to_last_start:
        return work.to_start
    return min(work.to_start, math.floor(work.targets * within / work.seconds))


def encode_forecast(forecast: Forecast, *keys: str) -> dict[str, Any]:
    """Return a forecast as ``status`` and ``preview`` write it in JSON, all of it or only ``keys``.

    Instants are UTC.
    """
    values = {
        "done": _format_instant(forecast.done),
        "latest": _format_instant(forecast.latest),
        "spare": None if forecast.spare is None else round(forecast.spare, 3),
        "fits": forecast.fits,
        "questions": forecast.questions,
        "hindered": forecast.hindered,
        "late": forecast.late,
        "gateways": [
            {
                "name": gateway.name,
                "done": _format_instant(gateway.done),
                "starts_until": _format_instant(gateway.starts_until),
                "late": gateway.late,
            }
            for gateway in forecast.gateways
        ],
        "waves": [{"name": wave.name, "done": _format_instant(wave.done)} for wave in forecast.waves],
    }
    return {key: values[key] for key in keys or values}


def _format_instant(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
