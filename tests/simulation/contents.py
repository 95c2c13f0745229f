"""The contents of the simulation as data: the oracle of each promise, and what a scene may hold.

docs/trust.md shows both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from orchestrator.simulator.kinds import AnyFixture
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.scene import SeedScene
from tests.simulation.surge import TARGETS

ORACLES: dict[int, str] = {
    1: "Each target of the plan stands once in the report, in the plan's order, and the totals are its sums. "
    "The run reaches its end within 40 sessions, whatever killed those before.",
    2: "At each arrival its row is on disk, by the disk's own commits. After a kill no more targets are in "
    "doubt than requests could be in flight, and the next session sends each of them a look first.",
    3: "What is reported undeployed is down in the books of its platform; what is reported not started was "
    "not taken down by us. An undeploy tells an Apinizer the words of the plan. A preview calls nothing "
    "deployed or undeployed that the books of its time call otherwise. A discover finds what is up alone, "
    "and leaves nothing out without a word. Neither they nor doctor send anything but logins and reads.",
    4: "What is reported absent is in no book, or in a project that is closed to the user, which is no "
    "success. Once another installation has answered an undeploy nothing more leaves for that gateway, and "
    "its lane ends closed.",
    5: "A credential is never used again after its first 401 was read, but by what was let go before. "
    "References are read once for each rejection; logins go one at a time, each for a cause, and never "
    "after a refusal; a first signature goes alone. No key and no user is ever locked.",
    6: "Until a `Retry-After` is over nothing leaves for its gateway, and after one to a look no look. After "
    "faults of five targets one request goes at a time, and after `park_for` none that changes "
    "anything. A lane that is well, and has work, never stands still.",
    7: "Undeploys, deploys and steps of a target within `attempts`; repeats of a gateway within its budget; "
    "no change leaves that could end after the window, and no look 30 s after it. The repeats of a dozen "
    "targets that met a fault at one moment leave over a fifth of their longest wait at least.",
    8: "Nothing at all leaves after the first interrupt; each request that left before has its result in the "
    "journal, and all reports are there. After the second the session ends within 5 s.",
    9: "No file of a run and no event holds a token, password, key or secret, though replies repeat them; "
    "each request goes to the host of its gateway, and none where a redirect points. No preview, discover, "
    "doctor or notification shows one.",
    10: "Each session ends within the sum of what its plan allows, and never waits for what cannot come or "
    "runs on while no time passes. A preview leaves a gateway that gives no answer for a minute. "
    "No wait is longer than the longest of the plan, and no duration of a report longer than the true one. "
    "Nobody waits for a notification, but for eight seconds at the end.",
    11: "What is reported restored is up, published where it was, with all that hung on it in the books; "
    "what lacks is named.",
}
"""What judges each promise, by its number, in the words of docs/trust.md."""


class Capability(NamedTuple):
    """Something that the program can do, with the misfortunes that a scene may add to it."""

    name: str
    misfortunes: str
    is_in: Callable[[SeedScene], bool]
    """Whether a scene has it."""


def _has_kind(kind: str) -> Callable[[SeedScene], bool]:
    return lambda scene: any(kind == gateway.KIND for gateway in scene.plan.gateways)


def has_things(fixture: AnyFixture) -> bool:
    """Return whether something hangs on a front end of a gateway, so that a restore has it to hang again."""
    return isinstance(fixture, RomaFixture) and any(each.bound for each in fixture.about.values())


CAPABILITIES = (
    Capability(
        "ROMA Connect, `v1` and `v2`",
        "lists that are short or miscount, unlisted and edited APIs, environments, second front ends",
        _has_kind("roma"),
    ),
    Capability(
        "Apinizer",
        "both shapes of replies, inner and quoted falsehoods, pods that do not obey, groups, late reports",
        _has_kind("apinizer"),
    ),
    Capability(
        "what both contracts leave open, `description` and `persistent`",
        "refusals after some pods obeyed, pods out of reach, other rows and envelopes, histories that "
        "forget, statuses without a meaning, projects that are closed or lose an environment in mid-run, "
        "versions that are not served",
        lambda scene: any(target.persistent for target in scene.targets),
    ),
    Capability(
        "WSO2 API Manager",
        "what the page and the code say differently, approvals, a list that lags, other revisions in place",
        _has_kind("wso2"),
    ),
    Capability(
        "tokens, logins, access keys",
        "early ends, wrong ones, references that cannot be read again, logins that fail",
        lambda scene: bool(scene.troubles),
    ),
    Capability(
        "waves with `sizes`, `pause_after` and `proceed: ask`",
        "an operator who answers late",
        lambda scene: any(wave.sizes for wave in scene.plan.waves),
    ),
    Capability("`after`", "what comes first fails, or is skipped", lambda scene: bool(scene.needs)),
    Capability(
        "`protect`, `--skip`, `snapshot`, stop rules",
        "snapshots that cannot be read",
        lambda scene: (bool(scene.plan.protect) and bool(scene.skip)) or scene.plan.snapshot == "required",
    ),
    Capability(
        "approvals and the drift guard",
        "targets that changed since",
        lambda scene: any(state.state == "down" for state in scene.approved.values()),
    ),
    Capability(
        "preview, and the approval of it",
        "the same faults, and targets that somebody else changes before the run",
        lambda scene: scene.preview is not None and scene.preview.is_approved,
    ),
    Capability(
        "discover, with filters and `--unused`",
        "the same faults, and lists that leave out what this user may not see",
        lambda scene: scene.discover is not None,
    ),
    Capability(
        "doctor",
        "the same faults; names, ports and certificates are taken for good",
        lambda scene: scene.has_doctor,
    ),
    Capability(
        "`in_use`",
        "calls that cannot be told, a traffic log that is dead or young",
        lambda scene: scene.plan.in_use == "refuse",
    ),
    Capability("a window", "it closes in mid-run", lambda scene: scene.closes is not None),
    Capability(
        "`rate`, `concurrency`, pacing",
        "rate limits with and without `Retry-After`",
        lambda scene: any(fixture.rate is not None for fixture in scene.fixture.gateways),
    ),
    Capability(
        "parking and probes",
        "gateways that answer 502, refuse, stay silent, or give no login",
        lambda scene: bool(scene.outages),
    ),
    Capability(
        "back-off with jitter",
        "many targets of one gateway meet a fault at one moment",
        lambda scene: any(gateway.concurrency == TARGETS for gateway in scene.plan.gateways),
    ),
    Capability(
        "a wrong place",
        "another installation answers single requests",
        lambda scene: any("elsewhere" in faults for faults in scene.faults.script.values()),
    ),
    Capability(
        "lists as looks",
        "lists that miscount, leave out, or are not offered",
        lambda scene: scene.worth_listing <= 10,
    ),
    Capability(
        "control commands",
        "pause, continue, stop, skip and limits at any moment",
        lambda scene: bool(scene.acts),
    ),
    Capability(
        "one and two signals", "at any moment, again in a restore", lambda scene: bool(scene.interrupts)
    ),
    Capability(
        "the journal and `resume`",
        "up to three kills at any step of disk or network, a full disk",
        lambda scene: bool(scene.crashes) or bool(scene.full),
    ),
    Capability(
        "`remainder`",
        "targets that come after protected ones, and whatever else has ended the run",
        lambda scene: bool(scene.needs) and bool(scene.plan.protect),
    ),
    Capability(
        "notifications",
        "services that take minutes, refuse, fail, or never answer",
        lambda scene: bool(scene.receivers),
    ),
    Capability(
        "a process that is stopped",
        "for a second or for a quarter of an hour, in mid-run",
        lambda scene: scene.freeze is not None,
    ),
    Capability(
        "a wall clock that jumps",
        "forward or back, by seconds or hours, and perhaps back again, in mid-run",
        lambda scene: bool(scene.jumps),
    ),
    Capability(
        "the transport",
        "requests that cannot be sent or never return, and replies that are cut, late, or not HTTP",
        lambda scene: scene.unsent > 0.0 or scene.stuck > 0.0 or scene.stray > 0.0,
    ),
    Capability(
        "`restore`, with `--accept` and `--roll-back`",
        "the same faults, and creates that are refused, skipped or doubled",
        lambda scene: any(map(has_things, scene.fixture.gateways)),
    ),
)
"""Every capability of a run is in some scene; what is not simulated stands in ``NOT_SIMULATED``."""

NOT_SIMULATED = (
    "looks and schedules on a Temporal server",
    "telemetry",
)
"""What other tests judge."""
