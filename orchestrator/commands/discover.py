"""undeploy discover: write a plan from what is live."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.files import FILE
from orchestrator.commands.options.protection import read_protect_files
from orchestrator.commands.options.usage import UsageCommand, hours_option
from orchestrator.commands.terminal.output import tell
from orchestrator.commands.terminal.work_line import show_work
from orchestrator.errors import ExitStatus
from orchestrator.system.writing import check_place, write_whole_file

if TYPE_CHECKING:
    from orchestrator.discover.filters import DiscoveryFilters
    from orchestrator.discover.plan_text import DiscoveredPlan


class FilterOptions(NamedTuple):
    """The filters, as they were given."""

    name: tuple[str, ...]
    regex: tuple[str, ...]
    path: tuple[str, ...]
    project: tuple[str, ...]
    environment: tuple[str, ...]
    application: tuple[str, ...]
    type: tuple[str, ...]
    deployed_before: str | None

    def build_filters(self) -> DiscoveryFilters:
        """Return the filters as a search takes them."""
        from orchestrator.discover.filters import DiscoveryFilters

        names = ("name", "path", "project", "environment", "application", "type")
        texts = {name: getattr(self, name) for name in names}
        return DiscoveryFilters(
            texts={name: given for name, given in texts.items() if given},
            regexes=self.regex,
            before=self.deployed_before,
        )


filter_options = bundle_options(
    "filters",
    FilterOptions,
    click.option("--name", multiple=True, metavar="GLOB", help="Backend API's or proxy's name."),
    click.option("--regex", multiple=True, metavar="RE", help="The name; found anywhere in it."),
    click.option("--path", multiple=True, metavar="GLOB", help="Its path; * stays inside one part."),
    click.option("--project", multiple=True, metavar="GLOB", help="Project (Apinizer)."),
    click.option("--environment", multiple=True, metavar="GLOB", help="Environment (Apinizer)."),
    click.option("--application", multiple=True, metavar="GLOB", help="Application's name or id (ROMA)."),
    click.option(
        "--type",
        multiple=True,
        metavar="TYPE",
        help="data or function (ROMA); PRODUCTION, SANDBOX or TEST of the environment, or REST, SOAP, GRPC"
        " or WEBSOCKET (Apinizer).",
    ),
    click.option(
        "--deployed-before",
        metavar="DATE",
        help="Last deployed before this day or time; costs a request for each candidate.",
    ),
)


class PlaceOptions(NamedTuple):
    """Where to look, and from where."""

    gateways: tuple[str, ...]
    source: Path
    zone: str


place_options = bundle_options(
    "places",
    PlaceOptions,
    click.argument("gateways", nargs=-1, metavar="[GATEWAY...]"),
    click.option(
        "--from",
        "source",
        type=FILE,
        required=True,
        metavar="PLAN",
        help="The plan whose gateways are looked at; it needs no targets.",
    ),
    click.option(
        "--zone",
        metavar="NAME",
        default="default",
        help="The network zone of this machine; a gateway of another is refused. default if not given.",
    ),
)


@click.command("discover", cls=UsageCommand)
@place_options
@filter_options
@hours_option(
    "--unused",
    "Only what nobody called in so many hours; costs requests for each candidate. Of what cannot be told it"
    " says so, and leaves it out.",
)
@click.option(
    "--group-by",
    type=click.Choice(["project", "environment", "application", "gateway"]),
    help="A wave for each of these; one wave if not given.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE, not to stdout."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--quiet", "-q", is_flag=True, help="Tell only what goes wrong.")
def command(
    places: PlaceOptions,
    filters: FilterOptions,
    hours: int | None,
    group_by: str | None,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> int:
    """Write a plan from what is live; changes nothing.

    Looks at the gateways of PLAN that are named, or at all of them, and writes a plan with its header and its
    gateways, and a target for everything that is deployed and matches. Of a filter given several times one
    must match; different filters must all match. Comments at the top say what was seen and what was not.
    A gateway of another network zone than this machine's is refused: only that zone's machines reach it.

    Exits with 0 where everything could be seen, with 1 where something could not, or nothing
    matched, or more than at_most did.
    """
    from orchestrator.discover.plan_text import render_plan
    from orchestrator.discover.search import Discovery, SearchRequest
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.plan.protect import refuse_dead_lines
    from orchestrator.plan.template import move_paths, read_template

    frame = read_template(places.source)
    # A run in this place obeys the site's file, so the count of protected targets does.
    site = read_protect_files(())
    refuse_dead_lines(site, frame.gateways)
    request = SearchRequest(
        frame=frame,
        source=str(places.source),
        gateways=places.gateways,
        filters=filters.build_filters(),
        group_by=group_by,
        protect=tuple(text for file in site for text in file.patterns),
        unused=hours,
        zone=places.zone,
    )
    messages = _LaneMessages()
    discovery = Discovery(request, messages)
    place = None if output is None or str(output) == "-" else output
    if place is not None:
        # Tested before the search, which may take long.
        check_place(place, replace=force, streams=False)
    # The real folder: a path with .. behind a link would lead elsewhere.
    entries = frame.entries if place is None else move_paths(frame, Path(os.path.realpath(place.parent)))
    with discovery.keep_targets():
        with show_work("looks for targets", quiet=quiet, count=discovery.tell_count) as line:
            messages.write = line.tell
            run_interruptibly(discovery.run)
        result = discovery.build_plan(entries, stdout=place is None)
        if place is None:
            sys.stdout.writelines(f"{line}\n" for line in render_plan(result))
        else:
            with write_whole_file(place, replace=force, streams=False) as out:
                out.writelines(f"{line}\n" for line in render_plan(result))
        _tell_result(result, quiet=quiet)
    # A list with gaps looks like a whole one: `undeploy discover … && undeploy run …` must stop here.
    good = result.whole and result.matched and not result.excess
    return ExitStatus.DONE if good else ExitStatus.UNFINISHED


class _LaneMessages:
    """Writes the pauses and the warnings of lanes by ``write``."""

    def __init__(self) -> None:
        self.write = tell

    def on_lane_state(self, gateway: str, state: str, reason: str | None, seconds: float | None, /) -> None:
        from orchestrator.text.characters import make_visible

        if state != "open":
            wait = f" for {seconds:g} s" if seconds else ""
            told = f"{gateway}: {state.replace('_', ' ')}{wait}{f': {reason}' if reason else ''}"
            self.write(make_visible(told))


def _tell_result(result: DiscoveredPlan, *, quiet: bool) -> None:
    from orchestrator.discover.plan_text import list_gaps, list_summary

    if not quiet:
        for line in list_summary(result):
            _tell_line(line)
    for gap in list_gaps(result):
        _tell_line(f"not seen: {gap}")


def _tell_line(line: str) -> None:
    from orchestrator.text.characters import make_visible

    click.echo(make_visible(line), err=True)
