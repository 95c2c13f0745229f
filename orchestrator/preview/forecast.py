"""Forecasts the requests of a run after a preview, and the time that they take at least. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import groupby
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.forecast import Forecast
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, WaveStep, Window
from orchestrator.preview.request_count import RequestCounter, RequestLoad
from orchestrator.preview.states import Preview, SeenTarget
from orchestrator.preview.use import is_left_for_use
from orchestrator.rules.forecast import RunPart, WorkAhead, find_last_starts, foresee
from orchestrator.rules.upcoming import count_upcoming


class RunForecast(Struct, frozen=True, kw_only=True):
    """The least that a run needs: if no request fails, and undeploys answer as fast as looks did."""

    looks: int
    """Pages of lists included."""
    undeploys: int
    pages: int
    """Pages of lists, which spare single looks."""
    seconds: float | None
    """None where no look was answered: then no reply time is known."""
    left: float | None
    """Seconds that the window leaves from the moment a run may begin; negative where the window is over."""
    timing: Forecast
    """When a run that begins as soon as it may is done, and which gateway the window stops."""

    @property
    def fits(self) -> bool | None:
        """Whether every target can start in the window; None without a window, or where that is unknown."""
        if self.left is not None and self.left < 0:
            return False
        return self.timing.fits

    @property
    def requests(self) -> int:
        """Looks and undeploys together."""
        return self.looks + self.undeploys


def forecast_run(plan: Plan, preview: Preview, *, guarded: bool) -> RunForecast:
    """Return the forecast. ``guarded``: the run compares each target with an approval, which costs reads."""
    counters = _make_counters(plan, preview, guarded=guarded)
    loads, parts = list[RequestLoad](), list[RunPart]()
    for part, part_loads in _forecast_parts(plan, preview, counters):
        parts.append(part)
        loads += part_loads
    begins, last = _bound_run(plan, preview)
    timing = foresee(parts, now=begins, last=last)
    return RunForecast(
        looks=sum(load.looks for load in loads),
        undeploys=sum(load.undeploys for load in loads),
        pages=sum(load.pages for load in loads),
        seconds=None if timing.done is None else timing.done - begins,
        left=measure_window_left(preview.window, preview.taken),
        timing=timing,
    )


def _make_counters(plan: Plan, preview: Preview, *, guarded: bool) -> dict[str, RequestCounter]:
    """Return what counts the requests of each gateway, by its name."""
    gateways = {gateway.name: gateway for gateway in plan.gateways}
    asks_use = plan.in_use != "ignore"
    return {
        found.name: RequestCounter(
            gateways[found.name],
            found,
            # The drift guard compares each target with its approval, which takes the same reads.
            with_snapshots=guarded or plan.snapshot != "off" or asks_use,
            with_bindings=plan.snapshot != "off",
            guarded=guarded,
            refuses=partial(is_left_for_use, plan),
            asks_use=asks_use,
        )
        for found in preview.gateways
    }


def _forecast_parts(
    plan: Plan, preview: Preview, counters: Mapping[str, RequestCounter]
) -> Iterator[tuple[RunPart, list[RequestLoad]]]:
    """Yield each part of the run, with the requests of each gateway in it."""
    gateways = {gateway.name: gateway for gateway in plan.gateways}
    medians = {gateway.name: median(gateway.seconds) for gateway in preview.gateways if gateway.seconds}
    upcoming = count_upcoming(_count_targets(preview.targets), plan.waves)
    for wave_step, seen_targets in groupby(preview.targets, key=_find_step):
        wave, loads, work = plan.waves[wave_step.wave], list[RequestLoad](), list[WorkAhead]()
        rest = wave.pause_after or 0.0
        for name, here in _group_by_gateway(seen_targets):
            load = counters[name].count_step(here, later=upcoming[wave_step].get(name, 0))
            load, piece = _add_time(gateways[name], counters[name], load, len(here), medians.get(name))
            counters[name].pass_time(rest, targets=0)
            loads.append(load)
            work.append(piece)
        yield RunPart(wave=wave.name, work=tuple(work), rest=rest, asks=wave.proceed == "ask"), loads


def _find_step(seen: SeenTarget) -> WaveStep:
    return WaveStep(seen.target.wave, seen.step)


def _count_targets(seen_targets: Iterable[SeenTarget]) -> dict[WaveStep, Counter[str]]:
    """Return the targets of each wave step by gateway name."""
    counts = defaultdict[WaveStep, Counter[str]](Counter)
    for seen in seen_targets:
        counts[_find_step(seen)][seen.target.gateway] += 1
    return counts


def _add_time(
    gateway: Gateway, counter: RequestCounter, load: RequestLoad, targets: int, reply_seconds: float | None
) -> tuple[RequestLoad, WorkAhead]:
    """Return the requests and the work of a gateway in one step, with the lists that it reads meanwhile."""
    work = estimate_work(gateway, load, reply_seconds)
    if again := counter.pass_time(work.seconds or 0.0, targets=targets):
        load = replace(load, looks=load.looks + again, pages=load.pages + again)
        work = estimate_work(gateway, load, reply_seconds)
    return load, work


def _group_by_gateway(wave_step: Iterable[SeenTarget]) -> Iterator[tuple[str, list[SeenTarget]]]:
    seen_targets = sorted(wave_step, key=lambda seen: seen.target.gateway)
    for name, here in groupby(seen_targets, key=lambda seen: seen.target.gateway):
        yield name, list(here)


def _bound_run(plan: Plan, preview: Preview) -> tuple[float, dict[str, float]]:
    """Return when a run may begin, and until when an undeploy may start at each gateway, in Unix times."""
    window = preview.window
    opens = window.opens if window else None
    closes = window.closes if window else None
    begins = preview.taken if opens is None else max(preview.taken, _to_unix(opens))
    timeouts = {gateway.name: gateway.reply_timeout for gateway in plan.gateways}
    return begins, find_last_starts(None if closes is None else _to_unix(closes), timeouts)


def estimate_work(gateway: Gateway, load: RequestLoad, reply_seconds: float | None) -> WorkAhead:
    """Return a gateway's part of a wave as work; a request takes ``reply_seconds``, None if unknown."""
    seconds = None if reply_seconds is None else estimate_seconds(gateway, load, reply_seconds)
    return WorkAhead(gateway=gateway.name, targets=load.undeploys, seconds=seconds)


def estimate_seconds(gateway: Gateway, load: RequestLoad, reply_seconds: float) -> float:
    """Return how many seconds the requests take at least, if each takes ``reply_seconds``."""
    # The requests for one target go one after the other, however many workers the lane has, and so do the
    # pages of a list.
    others = load.looks - load.pages + load.undeploys
    in_flight = (load.pages + max(others / gateway.concurrency, load.chain)) * reply_seconds
    # A rate bounds undeploys and, apart from them, looks.
    rate = gateway.limits.rate
    return in_flight if rate is None else max(in_flight, load.looks / rate, load.undeploys / rate)


def measure_window_left(window: Window | None, now: float) -> float | None:
    """Return how many seconds of a window a run has that begins as soon as it may; None without an end."""
    if window is None or window.closes is None:
        return None
    opens = _to_unix(window.opens) if window.opens else now
    return _to_unix(window.closes) - max(now, opens)


def _to_unix(at: datetime) -> float:
    return at.timestamp()
