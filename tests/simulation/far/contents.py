"""The contents of the simulation beyond one machine as data, as docs/trust.md shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.contents import has_things
from tests.simulation.far.scene import FOR_EVER, FarScene, WorkerFate

FAR_ORACLES: dict[int, str] = {
    1: "The report that the driver makes of what it took over, whichever driver, and however many before it "
    "were lost; the books of the platforms.",
    2: "At each arrival the server has confirmed its row. Each request leaves the worker that has the chunk "
    "by the server's books. After a chunk is lost, each target with an open intent gets a look first. The "
    "journal holds at least the undeploys and deploys that left.",
    4: "Once another installation has answered an undeploy nothing more leaves for that gateway, whichever "
    "worker has its lane.",
    6: "No lane has two chunks out at once, nor more requests under way than its limits allow. What a worker "
    "was told by a `Retry-After` holds for the next one.",
    7: "Undeploys and deploys of a target within `attempts`, over all workers; none leaves too late for the "
    "window of the driver that began its session.",
    8: "Where server and workers are well, nothing leaves 3 s after the first interrupt. After the second "
    "one the driver ends within 5 s.",
    10: "Each driver ends within the sum of what its plan, the losses and the waits for zones allow. No wait "
    "is longer, whatever the clocks of the workers say, and no duration of a report longer than the true "
    "one.",
    11: "As on one machine, of restores whose workers and drivers are lost as well.",
}
"""What judges promises beside the judges of one machine, by the number of the promise."""


class FarCapability(NamedTuple):
    """Something of a run beyond one machine, with the misfortunes that a scene may add to it."""

    name: str
    misfortunes: str
    is_in: Callable[[FarScene], bool]
    """Whether a scene has it."""


def _list_fates(scene: FarScene) -> list[WorkerFate]:
    return [fate for fates in scene.workers.values() for fate in fates]


FAR_CAPABILITIES = (
    FarCapability(
        "one to three workers in each of up to three zones",
        "a kill at any step, a standstill of seconds or minutes, a SIGTERM; others take their places",
        lambda scene: any(fate != WorkerFate() for fate in _list_fates(scene)),
    ),
    FarCapability(
        "a zone without a worker",
        "for a while, beyond `park_for`, or for the whole session",
        lambda scene: any(span.end >= FOR_EVER for span in scene.absences.values()),
    ),
    FarCapability(
        "the server",
        "away for up to 90 s, reached by all but one process; answers get lost after they took effect",
        lambda scene: scene.away is not None or (bool(scene.cuts) and scene.lost > 0.0),
    ),
    FarCapability(
        "the driver",
        "up to three kills at any step, a full disk; the next one takes the session over",
        lambda scene: bool(scene.crashes) and bool(scene.full),
    ),
    FarCapability(
        "the wall clocks of drivers and workers",
        "forward or back, by seconds or hours, from the start or in mid-run; those of two workers differ",
        lambda scene: len(scene.clocks) > 1,
    ),
    FarCapability(
        "workflows",
        "chunks of 1 to 200 targets, parts of lanes, histories that continue as new, tasks that time out; "
        "replays in other workers must decide the same",
        lambda scene: scene.longest_history < 100 and scene.chunk_targets < 10,
    ),
    FarCapability(
        "`restore`, with `--accept` and `--roll-back`",
        "all of these again: other workers, zones, losses and kills than in the run before",
        lambda scene: any(map(has_things, scene.near.fixture.gateways)),
    ),
    FarCapability(
        "gateways, plans and operators",
        "those of one machine, with their faults, windows, stop rules, `after`, signals and control commands",
        lambda scene: bool(scene.near.acts) and bool(scene.near.needs),
    ),
)
"""Every capability is in some scene."""
