"""undeploy worker: send the requests of distributed runs to the gateways of one zone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.commands.options.display import log_options
from orchestrator.commands.options.engine import EngineOptions, needed_engine_options
from orchestrator.commands.options.runs import state_option
from orchestrator.commands.terminal.output import print_result, tell

if TYPE_CHECKING:
    from orchestrator.commands.options.engine import EngineAccess
    from orchestrator.lanes.environment import Environment
    from orchestrator.model.events import Listener


@click.command("worker")
@click.option("--zone", required=True, metavar="NAME", help="The network zone, as gateways of plans name it.")
@needed_engine_options
@click.option(
    "--allow-commands",
    is_flag=True,
    help="Run the programs that plans name as credentials; else such a gateway is refused.",
)
@state_option
@log_options
def command(
    zone: str,
    engine: EngineOptions,
    state: Path,
    *,
    allow_commands: bool,
    log_level: str | None,
    log_format: Literal["text", "json"] | None,
) -> int:
    """Send the requests of runs on a Temporal server, in one zone.

    Dials out only: to the server, and to the gateways of the zone. Credentials are those of this machine, by
    the references of each plan, and never leave it; paths in a plan begin in the present folder. The programs
    that plans name as credentials are run with --allow-commands only: a plan comes from whoever may write to
    the server's namespace. Serves until SIGINT or SIGTERM; what is in flight lands then, and the rest goes on
    at another worker of the zone. A second signal ends it at once.
    """
    from orchestrator.display.log import log_events
    from orchestrator.distributed.refused_programs import refuse_programs
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.errors import ExitStatus
    from orchestrator.runs.machine import make_real_environment

    _check_zone(zone)
    environment = make_real_environment(Path())
    if not allow_commands:
        environment = refuse_programs(environment)
    observe = log_events(log_level or "warning", log_format or "text")
    landed = run_interruptibly(_serve, engine.read(), zone, state, environment, observe)
    return ExitStatus.DONE if landed else ExitStatus.INTERRUPTED


async def _serve(
    access: EngineAccess,
    zone: str,
    state: Path,
    environment: Environment,
    observe: Listener,
) -> bool:
    from orchestrator.distributed.worker import WorkerSpec, name_process, serve_zone
    from orchestrator.engine.signals import ProcessSignals

    def tell_serving(line: str) -> None:
        (print_result if line.startswith("serves ") else tell)(line)

    spec = WorkerSpec(zone=zone, state=state, name=name_process(), url=access.url, observe=observe)
    client = await access.connect()
    if access.api_key is not None:  # a fault of this machine's own, which the server is told, may repeat it
        environment.known.add((access.api_key.reveal(),))
    return await serve_zone(client, spec, environment, ProcessSignals(), tell_serving)


def _check_zone(zone: str) -> None:
    from orchestrator.errors import UnfitError, UsageError
    from orchestrator.model.gateway import ZONE_NAME

    try:
        ZONE_NAME.check(zone)
    except UnfitError as unfit:
        raise UsageError(f"--zone: {unfit.message}; {unfit.hint}") from None
