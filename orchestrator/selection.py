"""Which targets of a plan a run may touch: filters, and what is protected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.pending import Hold, hold_back, split
from orchestrator.model import Gateway, Plan, Reason, Window
from orchestrator.plan.globs import matcher
from orchestrator.schedule import step_bounds


class RunOptions(Struct, frozen=True, kw_only=True):
    """What a caller may say of a run besides its plan. Globs are those of target ids."""

    state: Path = Path(".undeploy")
    report_dir: Path | None = None
    """Where the reports are written as well; the run's folder always has them."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    window: Window | None = None
    """Replaces the plan's."""
    wait: bool = False
    """Wait for the window to open."""
    past_stop: bool = False
    """Resume a run that a stop rule has stopped."""
    after_restore: bool = False
    """Resume a run of which a restore has begun."""
    protect: tuple[str, ...] = ()
    """A site's own patterns; their first part also matches the host of a gateway's URL."""


def refuse_idle(database: Database, options: RunOptions) -> None:
    """Raise UsageError for a pattern that matches no target: a typo in it would take down what it spares."""
    for option, patterns in (("--only", options.only), ("--skip", options.skip)):
        idle = {pattern: matcher((pattern,)) for pattern in patterns}
        for (name,) in database.rows("SELECT id FROM target") if idle else ():
            idle = {pattern: match for pattern, match in idle.items() if match(name) is None}
            if not idle:
                break
        for pattern in idle:
            raise UsageError(f"{option} {pattern} matches no target of the plan; nothing was sent")


def hold(database: Database, plan: Plan, options: RunOptions) -> None:
    """Keep out of the run what is protected, and what the filters leave out."""
    unknown = [name for name in options.waves if name not in {wave.name for wave in plan.waves}]
    if unknown:
        names = ", ".join(wave.name for wave in plan.waves)
        raise UsageError(f"no wave is named {unknown[0]!r}; the plan has {names}")
    wanted = wanted_by(plan, options)
    filters = Hold(
        Reason.FILTERED,
        lambda name, wave: None if wanted(name, wave) else "left out by --only, --skip or --wave",
    )
    hold_back(database, [*protections(plan, options), filters])


def split_waves(database: Database, plan: Plan) -> None:
    """Split the waves that have sizes into steps, by how many of their targets are left to be done."""
    sized = [(index, partial(step_bounds, wave.sizes)) for index, wave in enumerate(plan.waves) if wave.sizes]
    if sized:
        split(database, sized)


def wanted_by(plan: Plan, options: RunOptions) -> Callable[[str, int], bool]:
    """Return the test that the filters are, on a target's id and the index of its wave."""
    only, skip = matcher(options.only), matcher(options.skip)
    waves = {index for index, wave in enumerate(plan.waves) if wave.name in options.waves}

    def wanted(name: str, wave: int) -> bool:
        if options.waves and wave not in waves:
            return False
        if options.only and only(name) is None:
            return False
        return not options.skip or skip(name) is None

    return wanted


def touched_by(plan: Plan, options: RunOptions) -> Callable[[str, int], bool]:
    """Return the test for what a resume may touch: the filters let it through and nothing protects it."""
    wanted, holds = wanted_by(plan, options), protections(plan, options)

    def touched(name: str, wave: int) -> bool:
        return wanted(name, wave) and all(hold.test(name, wave) is None for hold in holds)

    return touched


def protections(plan: Plan, options: RunOptions) -> list[Hold]:
    """Return what is never touched: the plan's own patterns, and the site's, which also know hosts."""
    holds = []
    if plan.protect:
        by_plan = matcher(plan.protect)
        holds.append(Hold(Reason.PROTECTED, lambda name, _: by_plan(name)))
    if options.protect:
        by_site = matcher(options.protect)
        by_host = matcher(_with_small_hosts(options.protect))
        hosts = {gateway.name: _host(gateway) for gateway in plan.gateways}

        def site(name: str, _wave: int) -> str | None:
            gateway, _, rest = name.partition("/")
            return by_site(name) or by_host(f"{hosts[gateway]}/{rest}")

        holds.append(Hold(Reason.PROTECTED, site))
    return holds


def _with_small_hosts(patterns: tuple[str, ...]) -> list[str]:
    """Return the patterns with their first part in small letters: the case of a host does not count."""
    parts = (pattern.partition("/") for pattern in patterns)
    return [f"{first.lower()}{slash}{rest}" for first, slash, rest in parts]


def _host(gateway: Gateway) -> str:
    return urlsplit(gateway.url).hostname or ""
