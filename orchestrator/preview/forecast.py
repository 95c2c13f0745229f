"""How many requests a run will need for what a preview saw, and how long that takes at the least. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from statistics import median

from msgspec import Struct

from orchestrator.model import Ask, Facts, Gateway, Plan, Reading, Verdict, Window
from orchestrator.overview import WORTH
from orchestrator.preview.states import Group, Preview, Sight

LONGEST_PAGE = 500


class Load(Struct, frozen=True, kw_only=True):
    """The requests of a run to one gateway, in one step of a wave."""

    looks: int = 0
    undeploys: int = 0
    chain: int = 0
    """The most requests for one target, which go one after the other."""


class Forecast(Struct, frozen=True, kw_only=True):
    """What a run will need at the least: nothing of it fails, and undeploys answer as fast as looks did."""

    looks: int
    undeploys: int
    seconds: float | None
    """None where nothing was answered, so that nothing can be said."""
    left: float | None
    """What is left of the window when a run may begin, in seconds; negative where it is over."""
    fits: bool | None
    """Whether that is enough; None without a window, or where nothing can be said."""

    @property
    def requests(self) -> int:
        """Looks and undeploys together."""
        return self.looks + self.undeploys


def forecast(plan: Plan, preview: Preview, *, guarded: bool) -> Forecast:
    """Return the forecast; ``guarded`` where the run compares each target with an approval."""
    gateways = {gateway.name: gateway for gateway in plan.gateways}
    middles = {place.name: median(place.seconds) for place in preview.places if place.seconds}
    lacking = {place.name: place.lacking for place in preview.places}
    portrayed = guarded or plan.snapshot != "off"
    looks = undeploys = 0
    seconds: float | None = 0.0
    legs = [
        list(leg) for _, leg in groupby(preview.sights, key=lambda sight: (sight.target.wave, sight.step))
    ]
    for number, leg in enumerate(legs, 1):
        longest = 0.0
        for name in sorted({sight.target.gateway for sight in leg}):
            here = [sight for sight in leg if sight.target.gateway == name]
            load = load_of(gateways[name], here, lacking[name], portrayed=portrayed)
            looks, undeploys = looks + load.looks, undeploys + load.undeploys
            if (middle := middles.get(name)) is None:
                seconds = None
            longest = max(longest, lasting(gateways[name], load, middle or 0.0))
        if seconds is not None:
            pause = plan.waves[leg[0].target.wave].pause_after if number < len(legs) else None
            seconds += longest + (pause or 0.0)
    left = remaining(preview.window, preview.taken)
    timeout = min(gateway.reply_timeout for gateway in plan.gateways)
    fits = None if left is None or seconds is None else max(seconds, timeout) <= left
    return Forecast(looks=looks, undeploys=undeploys, seconds=seconds, left=left, fits=fits)


def load_of(gateway: Gateway, sights: Iterable[Sight], lacking: frozenset[str], *, portrayed: bool) -> Load:
    """Count the requests for targets of one gateway that go together."""
    always = gateway.look == "always"
    looks = undeploys = changing = chain = 0
    for sight in sights:
        before = looks + undeploys
        group = sight.group
        sends = group in (Group.WILL_CHANGE, Group.UNKNOWN)
        if portrayed:
            looks += max(sight.reads, 1)
        elif always:
            looks += 1
        else:
            sends = True  # nothing tells the run that it is down already
        undeploys += sends
        if sends and always:
            changing += 1
            looks += looks_when_down(gateway, sight, lacking)
        chain = max(chain, looks + undeploys - before)
    if always and gateway.LISTS and changing >= WORTH:
        looks += -(-changing // LONGEST_PAGE) - changing
    return Load(looks=looks, undeploys=undeploys, chain=chain)


def looks_when_down(gateway: Gateway, sight: Sight, lacking: frozenset[str]) -> int:
    """Count the reads of a look that finds a target down."""
    seen: dict[str, Reading] = {}
    found = gateway.next_look(sight.target, seen, lacking, None)
    while isinstance(found, Ask):
        seen[found.via] = Reading(verdict=Verdict.DOWN, facts=Facts(deployed=False))
        found = gateway.next_look(sight.target, seen, lacking, None)
    return len(seen)


def lasting(gateway: Gateway, load: Load, middle: float) -> float:
    """Return how long so many requests take at the least, in seconds, if each takes ``middle``."""
    in_flight = max((load.looks + load.undeploys) / gateway.concurrency, load.chain) * middle
    rate = gateway.limits.rate
    return in_flight if rate is None else max(in_flight, load.looks / rate, load.undeploys / rate)


def remaining(window: Window | None, now: float) -> float | None:
    """Return how much of a window is left for a run that begins as soon as it may; None without an end."""
    if window is None or window.closes is None:
        return None
    opens = _unix(window.opens) if window.opens else now
    return _unix(window.closes) - max(now, opens)


def _unix(at: datetime) -> float:
    return at.timestamp()
