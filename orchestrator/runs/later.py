"""A run that another program will start: the same checks as before any run, and no request of ours."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import SessionSpec
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import read_meta
from orchestrator.journal.pending import PendingTargets
from orchestrator.model.plan import Window
from orchestrator.rules.stop_rules import StopRules
from orchestrator.runs.prepare import WindowOrigin, find_shortest_timeout, list_open_gateways
from orchestrator.runs.start import RunDraft, select_targets


class LaterRun(Struct, frozen=True, kw_only=True):
    """The first session of a run that is yet to be started, as far as it is settled now."""

    spec: SessionSpec
    pending: PendingTargets
    stop_rules: StopRules
    takes: float
    """Seconds that the shortest undeploy may take."""

    def have_window(self, window: Window | None, origin: WindowOrigin) -> LaterRun:
        """Return the same with a window, and where that came from."""
        return replace(self, spec=replace(self.spec, window=window, window_from=origin))


def prepare_later_run(source: RunDraft, options: RunOptions, name: str) -> LaterRun:
    """Settle which targets the run takes, in the draft's journal; ``name`` stands for the id to come.

    Raises as ``api.run`` does for options that cannot be meant. No credential is resolved: that is for the
    machines that send.
    """
    protection = select_targets(source, options)
    plan, database = source.plan, source.draft.database
    gateways = list_open_gateways(database, plan, options)
    meta = read_meta(database)
    pending = PendingTargets(database, plan, resumed=False)
    return LaterRun(
        spec=SessionSpec(
            request=RunRequest(options=options),
            folder=RunFolder(Path(name)),
            plan=plan,
            change=source.change,
            number=1,
            holder="",
            window=None,
            window_from="plan",
            materials={},
            expires=meta.approval_ends,
            accepted=meta.accept,
            protection=protection,
        ),
        pending=pending,
        stop_rules=StopRules(plan.stop_when, pending.count_outcomes(), first_run=True),
        takes=find_shortest_timeout(gateways or plan.gateways),
    )
