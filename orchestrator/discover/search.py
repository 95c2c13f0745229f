"""One search for targets, from the chosen gateways to the parts of the plan that is written."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from orchestrator.discover.explore import survey_gateways
from orchestrator.discover.filters import DiscoveryFilters, assign_filters, check_group, choose_group
from orchestrator.discover.plan_text import DiscoveredPlan, PlanOrigin, SurveySummary
from orchestrator.discover.survey import SurveyListener, SurveyResult
from orchestrator.discover.target_lines import TargetLines
from orchestrator.errors import UsageError, list_grouped
from orchestrator.lanes.environment import Environment
from orchestrator.model.gateway import DEFAULT_ZONE, Gateway
from orchestrator.model.search import FoundTarget
from orchestrator.plan.nodes import MappingNode
from orchestrator.plan.patterns import Patterns
from orchestrator.plan.problems import suggest_nearest
from orchestrator.plan.template import PlanTemplate, has_relative_paths
from orchestrator.runs.machine import make_real_environment
from orchestrator.system.temporary import open_temporary_file
from orchestrator.system.users import find_login_name


class SearchRequest(Struct, frozen=True, kw_only=True):
    """The targets to search for, and the gateways to search.

    ``source`` is the plan as the person named it. An empty ``gateways`` means all gateways of the plan.
    """

    frame: PlanTemplate
    source: str
    gateways: tuple[str, ...] = ()
    filters: DiscoveryFilters = DiscoveryFilters()
    group_by: str | None = None
    protect: tuple[str, ...] = ()
    """The site's own protect patterns, besides those of the plan."""
    unused: int | None = None
    """Hours in which nobody may have called a wanted target; None asks nobody."""
    zone: str = DEFAULT_ZONE
    """The network zone of this machine: gateways of another one cannot be reached from here."""


class Discovery:
    """Surveys gateways, and keeps the targets that it finds in a file."""

    def __init__(
        self, request: SearchRequest, listener: SurveyListener, environment: Environment | None = None
    ) -> None:
        """Check the request, without sending anything.

        Raises ``UsageError`` for a gateway of another zone, and for a gateway, a filter or a grouping that
        the plan's gateways do not have.
        ``environment`` is this machine's if it is not given.
        """
        self._request = request
        self._listener = listener
        self._environment = environment or make_real_environment(request.frame.folder)
        self._chosen = _choose_gateways(request.frame, request.gateways)
        _refuse_elsewhere(request, self._chosen)
        self._wanted = assign_filters(request.filters, self._chosen)
        check_group(request.group_by, self._chosen)
        self._twins = _find_twins(self._chosen)
        self._results: dict[str, SurveyResult] = {}

    @contextmanager
    def keep_targets(self) -> Iterator[None]:
        """Hold the file of found targets open. Results can be read only within the block."""
        with open_temporary_file() as file:
            frame = self._request.frame
            patterns = Patterns((*frame.header.protect, *self._request.protect), frame.gateways)
            self._found = TargetLines(file, patterns.find_first)
            yield

    def tell_count(self) -> str:
        """Return in words how many targets were found so far."""
        return f"{self._found.matched.total():,} found"

    async def run(self) -> None:
        """Survey the gateways.

        Raises ``CredentialError`` and ``UsageError`` before anything is sent, and ``UsageError`` where the
        file of found targets has no room.
        """
        # An installation with two names would give each of its targets twice, which no plan may.
        gateways = [gateway for gateway in self._chosen if gateway.name not in self._twins]
        try:
            self._results = await survey_gateways(
                gateways,
                self._wanted,
                self._environment,
                self._listener,
                self._keep,
                unused=self._request.unused,
            )
        except BaseExceptionGroup as group:
            full, bugs = group.split(UsageError)
            if full is None or bugs is not None:
                raise
            raise next(list_grouped(full)) from group

    def _keep(self, gateway: Gateway, found: FoundTarget) -> str | None:
        return self._found.add(gateway, found, choose_group(self._request.group_by, gateway.name, found))

    def build_plan(self, entries: MappingNode, *, stdout: bool) -> DiscoveredPlan:
        """Return the parts of the plan; ``entries`` are the frame's, with paths for the new plan's place."""
        frame = self._request.frame
        origin = PlanOrigin(
            at=f"{datetime.fromtimestamp(self._environment.now(), UTC):%Y-%m-%dT%H:%M:%SZ}",
            who=_describe_person(),
            source=self._request.source,
            filters=self._describe_filters(),
            folder=str(frame.folder) if stdout and has_relative_paths(frame) else None,
        )
        return DiscoveredPlan(
            origin=origin,
            surveys=[self._summarize(gateway) for gateway in self._chosen],
            entries=entries,
            at_most=frame.header.at_most,
            targets=self._found,
        )

    def _describe_filters(self) -> str:
        hours = self._request.unused
        unused = "" if hours is None else f"--unused {hours}h"
        return " ".join(filter(None, (str(self._request.filters), unused)))

    def _summarize(self, gateway: Gateway) -> SurveySummary:
        return SurveySummary(
            gateway=gateway.name,
            url=gateway.url,
            result=self._results.get(gateway.name, SurveyResult()),
            matched=self._found.matched[gateway.name],
            twin=self._twins.get(gateway.name),
        )


def _choose_gateways(frame: PlanTemplate, names: Sequence[str]) -> list[Gateway]:
    known = {gateway.name: gateway for gateway in frame.gateways}
    for name in names:
        if name not in known:
            hint = suggest_nearest(name, known) or f"the gateways are {', '.join(known)}"
            raise UsageError(f"the plan names no gateway {name}; {hint}")
    return [gateway for gateway in frame.gateways if gateway.name in names or not names]


def _refuse_elsewhere(request: SearchRequest, chosen: Sequence[Gateway]) -> None:
    """Raise ``UsageError`` for a gateway of a zone that this machine is not in.

    A search through a worker would need the whole list of what is live to travel, and a gateway that is
    left out would make a plan with a gap.
    """
    elsewhere = [gateway for gateway in chosen if gateway.zone != request.zone]
    if not elsewhere:
        return
    named = ", ".join(f"{gateway.name} (zone {gateway.zone})" for gateway in elsewhere)
    zone = elsewhere[0].zone
    there = _compose_command(request, zone, chosen)
    here = _compose_command(request, request.zone, chosen)
    has_others = any(gateway.zone == request.zone for gateway in chosen)
    rest = f"; here, `{here}` looks at the others" if has_others else ""
    raise UsageError(
        f"only a machine of its own zone reaches {named}, and this one counts as zone {request.zone}: run"
        f" `{there}` on a machine of that zone{rest}"
    )


def _compose_command(request: SearchRequest, zone: str, chosen: Sequence[Gateway]) -> str:
    """Return the command that makes the same search at the chosen gateways of one zone, for a shell."""
    # Without its filters the advised command would make a plan of all that is live.
    options = [text for option in request.filters.list_options() for text in option]
    options += [] if request.unused is None else ["--unused", f"{request.unused}h"]
    options += [] if request.group_by is None else ["--group-by", request.group_by]
    options += [] if zone == DEFAULT_ZONE == request.zone else ["--zone", zone]
    names = [gateway.name for gateway in chosen if gateway.zone == zone]
    return shlex.join(["undeploy", "discover", "--from", request.source, *options, *names])


def _find_twins(gateways: Sequence[Gateway]) -> dict[str, str]:
    """Return the gateways that are the same installation as an earlier gateway, with that one's name."""
    first: dict[str, str] = {}
    twins: dict[str, str] = {}
    for gateway in gateways:
        name = first.setdefault(gateway.installation, gateway.name)
        if name != gateway.name:
            twins[gateway.name] = name
    return twins


def _describe_person() -> str:
    user = find_login_name() or f"user {os.getuid()}"
    return f"{user} on {socket.gethostname()}"
