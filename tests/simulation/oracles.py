"""The oracles of simulated runs: which promise each judges, and by what. docs/trust.md shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.jitter import check_jitter
from tests.simulation.lanes import (
    check_astray,
    check_credentials,
    check_neighbours,
    check_parking,
    check_pauses,
    check_place,
    check_repeats,
)
from tests.simulation.scene import SeedScene
from tests.simulation.stopping import check_stop
from tests.simulation.wire import SessionWire
from tests.simulation.wording import check_words

WIRE_JUDGES: tuple[Callable[[SeedScene, SessionWire], Iterator[str]], ...] = (
    check_place,
    check_credentials,
    check_pauses,
    check_parking,
    check_neighbours,
    check_repeats,
    check_jitter,
    check_stop,
    check_astray,
    check_words,
)


def check_wire(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each promise that a session broke by what it sent."""
    for judge in WIRE_JUDGES:
        yield from judge(scene, wire)
