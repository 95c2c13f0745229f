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

INTERRUPTED = 130


@click.command("worker")
@click.option("--zone", required=True, metavar="NAME", help="The network zone, as gateways of plans name it.")
@needed_engine_options
@state_option
@log_options
def command(
    zone: str,
    engine: EngineOptions,
    state: Path,
    log_level: str | None,
    log_format: Literal["text", "json"] | None,
) -> int:
    """Send the requests of such runs in one network zone.

    Serves the runs on a Temporal server, and sends their requests to the gateways of one zone.

    Dials out only: to the server, and to the gateways. Credentials are those of this machine, by the
    references of each plan; paths in a plan begin in the present folder, and none of them leaves. Serves
    until SIGINT or SIGTERM; what is in flight lands then, and the rest goes on at another worker of the zone.
    A second signal ends it at once.
    """
    from orchestrator.engine.signals import run_interruptibly

    _check_zone(zone)
    landed = run_interruptibly(_serve, engine.read(), zone, state, log_level, log_format)
    return 0 if landed else INTERRUPTED


async def _serve(
    access: EngineAccess,
    zone: str,
    state: Path,
    log_level: str | None,
    log_format: Literal["text", "json"] | None,
) -> bool:
    from orchestrator.display.log import log_events
    from orchestrator.distributed.worker import WorkerSpec, name_process, serve_zone
    from orchestrator.engine.signals import ProcessSignals
    from orchestrator.runs.machine import make_real_environment

    def tell_serving(line: str) -> None:
        (print_result if line.startswith("serves ") else tell)(line)

    observe = log_events(log_level or "warning", log_format or "text")
    spec = WorkerSpec(zone=zone, state=state, name=name_process(), url=access.url, observe=observe)
    client = await access.connect()
    return await serve_zone(client, spec, make_real_environment(Path()), ProcessSignals(), tell_serving)


def _check_zone(zone: str) -> None:
    import re

    from orchestrator.errors import UsageError
    from orchestrator.model.gateway import ZONE

    if not re.match(ZONE, zone):
        raise UsageError(f"--zone {zone!r}: a zone has letters, digits, and . _ - only")
