"""The durations of a report, and the waits of a session, by the true time: whatever the wall clock does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from orchestrator.journal.folder import RunFolder
from orchestrator.report.values import Report, TargetReport
from tests.simulation.promises import ANSWERED_WITHIN, MORE
from tests.simulation.scene import SeedScene
from tests.simulation.wall_clock import ClockJump
from tests.simulation.wire import SessionWire

ROUNDING = 1.0
"""Seconds that the durations of a report may differ from the true time."""

SLOWEST = 20.0
"""Seconds between two steps at the slowest pace, login or renewal that a scene may have."""


def check_durations(
    folder: RunFolder, true: float, jumps: Sequence[ClockJump], *, taken_over: bool = False
) -> Iterator[str]:
    """Yield each duration in the report of a run that is negative, or longer than the run truly took.

    ``taken_over``: another driver may have brought to its end what one with another clock had begun.
    """
    with folder.open_source(ours=True) as source:
        targets = list(source.targets())
        yield from judge_durations(
            source.report, targets, true, has_jumped=bool(jumps), taken_over=taken_over
        )


def judge_durations(
    report: Report,
    targets: Sequence[TargetReport],
    true: float,
    *,
    has_jumped: bool,
    taken_over: bool = False,
) -> Iterator[str]:
    """Yield each duration of a report that cannot be, and each target whose attempts are out of order.

    All are measured on a clock that does not jump, but for that of a killed session, which told no end: its
    last sign of life is an instant of the wall clock. So are beginning and end of a session that was taken
    over, on the clocks of two machines.
    """
    is_open = any(session.ended is None for session in report.run.sessions)
    is_guessed = has_jumped and (is_open or taken_over)
    told: dict[str, float | None] = {
        "the run": min(report.run.seconds, true) if is_guessed else report.run.seconds
    }
    for target in targets:
        told[target.id] = target.seconds
        told |= {f"attempt {each.number} of {target.id}": each.seconds for each in target.attempts}
        if [each.number for each in target.attempts] != [*range(1, len(target.attempts) + 1)]:
            yield f"the attempts of {target.id} are out of order"
    for what, seconds in told.items():
        if seconds is not None and not 0.0 <= seconds <= true + ROUNDING:
            yield f"{what} is reported to have taken {seconds:.1f} s, in a run of {true:.1f} s"


def check_gaps(scene: SeedScene, wire: SessionWire, ended: float) -> Iterator[str]:
    """Yield each time in which a session did nothing for longer than all waits of its plan together.

    A wait that is measured on a wall clock, and is then put back, takes as much longer.
    """
    most = compute_longest_rest(scene)
    moments = [wire.began, ended, *(each.left for each in wire.exchanges)]
    moments += [each.came for each in wire.exchanges if each.came is not None]
    for before, after in pairwise(sorted(moments)):
        if (idle := wire.measure(before, after)) > most:
            yield f"promise 10: nothing was done for {idle:.0f} s from {before:.3f} on, {most:.0f} s at most"


def compute_longest_rest(scene: SeedScene) -> float:
    """Return the seconds of the longest pause between waves, park, exchange, back-off and pace together."""
    waves, gateways = scene.plan.waves, scene.plan.gateways
    rest = max(wave.pause_after or 0.0 for wave in waves)
    if scene.acts or any(wave.proceed == "ask" for wave in waves):
        rest += ANSWERED_WITHIN
    return rest + max(
        gateway.park_for + gateway.reply_timeout + MORE + gateway.retry.ceiling + SLOWEST
        for gateway in gateways
    )
