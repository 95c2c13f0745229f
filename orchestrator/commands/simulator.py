"""undeploy simulator: serve the simulators of the platforms on loopback, for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.simulator.faults import FaultScenario
    from orchestrator.simulator.fixtures import SimulatorFixture

_READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("simulator")
@click.option("--seed-from", "plan", type=_READABLE, metavar="PLAN", help="Hold the targets of this plan.")
@click.option("--seed-file", type=_READABLE, metavar="FILE", help="Hold what this JSON file describes.")
@click.option(
    "--storm", metavar="SHARE[:FAULTS]", help="Strike this share of the requests, e.g. 20%:500,reset."
)
@click.option(
    "--storm-seed", type=int, default=0, metavar="N", help="Strike other requests than seed 0 does."
)
@click.option("--faults", type=_READABLE, metavar="FILE", help="Strike what this JSON file says, see above.")
@click.option("--rate", metavar="N/s", help="Answer 429 above this many requests a second and gateway.")
@click.option("--latency", metavar="TIME", help="Answer that much later, e.g. 50ms.")
@click.option("--token-life", metavar="TIME", help="How long the tokens live that logins give, e.g. 30s.")
@click.option("--shape", type=click.Choice(["a", "b"]), help="Apinizer: which of its two success bodies.")
@click.option("--errors", type=click.Choice(["old", "new"]), help="Apinizer: which of its two error bodies.")
@click.option("--old", is_flag=True, help="Apinizer: a version that offers no look.")
@click.option("--port", type=click.IntRange(1, 65535), help="The first gateway's port; the next ones follow.")
def command(
    plan: Path | None,
    seed_file: Path | None,
    storm: str | None,
    storm_seed: int,
    faults: Path | None,
    port: int | None,
    **settings: Any,
) -> None:
    """Serve the simulators of the platforms on loopback until SIGINT or SIGTERM.

    Prints one line a gateway on stdout, its name and its URL, when all of them listen. They accept the token
    `rehearsal-token`, unless the seed file names others. The plan's users log in with the password
    `rehearsal-password`; where it has access keys they are `REHEARSALKEY00000000` and
    `rehearsalSecretKeyRehearsalSecretKey0000`, and the security token, if any, is
    `rehearsal-security-token`. IAM is at the address of its gateway, and so is
    the Elasticsearch that an Apinizer logs its traffic to. GET /_books on any of them tells what
    they saw.

    A fault is written `[ACT:]NAME[-after][@SECONDS]`, such as `500`, `429@2` (with `Retry-After: 2`),
    `reset-after` (the request took effect first), `look:hang`, `login:500` or `any:401`; a wrong name is
    answered with all names. A file of faults has target ids or names of gateways for keys, and each fault
    strikes once: `{"script": {"apim": ["502", "login-page"]}}`.
    """
    import asyncio
    import time

    from orchestrator.simulator.platforms import SimulatedPlatforms
    from orchestrator.simulator.server import serve_until_ended

    platforms = SimulatedPlatforms(
        _load_fixture(plan, seed_file, settings), _load_faults(storm, storm_seed, faults), now=time.time()
    )
    asyncio.run(serve_until_ended(platforms, _print_urls, port=port or 0))


def _print_urls(urls: Mapping[str, str]) -> None:
    for name, url in urls.items():
        click.echo(f"{name} {url}")


def _load_fixture(plan: Path | None, seed_file: Path | None, options: dict[str, Any]) -> SimulatorFixture:
    from orchestrator.simulator.fixtures import SimulatorFixture

    if (plan is None) == (seed_file is None):
        raise UsageError("the simulators need targets: give either --seed-from PLAN or --seed-file FILE")
    fixture = (
        _make_fixture_of_plan(plan) if plan is not None else SimulatorFixture.from_file(seed_file or Path())
    )
    return _adjust(fixture, options)


def _make_fixture_of_plan(path: Path) -> SimulatorFixture:
    from orchestrator.plan.reader import read_plan
    from orchestrator.plan.target_sink import TargetList
    from orchestrator.simulator.fixtures import SimulatorFixture

    listing = TargetList()
    loaded = read_plan(path, listing)
    return SimulatorFixture.from_plan(loaded.plan, listing.targets)


def _adjust(fixture: SimulatorFixture, options: dict[str, Any]) -> SimulatorFixture:
    from orchestrator.simulator.kinds import FIXTURES
    from orchestrator.simulator.limits import parse_rate, parse_seconds

    common: dict[str, Any] = {}
    if options["rate"]:
        common["rate"] = parse_rate(options["rate"])
    if options["latency"]:
        common["latency"] = parse_seconds(options["latency"])
    if options["token_life"]:
        common["token_life"] = _parse_token_life(options["token_life"])
    apinizer = {name: options[name] for name in ("shape", "errors") if options[name]}
    if options["old"]:
        apinizer |= {"looks": False, "histories": False}
    return fixture.with_settings({**dict.fromkeys(FIXTURES, common), "apinizer": common | apinizer})


def _parse_token_life(text: str) -> float:
    from orchestrator.simulator.limits import parse_seconds

    seconds = parse_seconds(text)
    if seconds <= 0:
        raise UsageError("a token lives for more than 0 seconds; write --token-life 30s, for example")
    return seconds


def _load_faults(storm: str | None, storm_seed: int, path: Path | None) -> FaultScenario:
    from msgspec import structs

    from orchestrator.simulator.faults import FaultScenario, parse_storm
    from orchestrator.simulator.fixtures import read_json_file

    faults = read_json_file(path, FaultScenario, "faults") if path else FaultScenario()
    if storm is None:
        return faults
    if faults.storm is not None:
        raise UsageError(f"{path} has a storm; leave out --storm, or take it out of the file")
    return structs.replace(faults, storm=parse_storm(storm, storm_seed))
