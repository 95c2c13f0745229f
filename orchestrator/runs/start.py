"""The start of a run: every check that needs no request, then the session, then the reports."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from unicodedata import combining, normalize

from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.engine.protection import ProtectionSummary
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import SessionSpec
from orchestrator.engine.session import Session
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta, read_meta
from orchestrator.journal.overlap import refuse_overlap
from orchestrator.journal.ownership import check_state
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.lanes.environment import Environment
from orchestrator.model.plan import Plan
from orchestrator.model.reading import UNDEPLOY, Operation
from orchestrator.runs.prepare import choose_window, open_journal, resolve_credentials
from orchestrator.runs.reporting import run_and_report
from orchestrator.runs.result import RunResult
from orchestrator.runs.selection import (
    apply_selection,
    refuse_dead_patterns,
    refuse_idle_filters,
    split_waves,
    summarize_protection,
)
from orchestrator.system.writing import check_folder


class RunDraft(NamedTuple):
    """A plan that is laid out in the draft of a journal, ready to become a run."""

    plan: Plan
    draft: Draft
    place: Path
    """The temporary folder of the draft, which becomes the run's folder."""
    change: Operation = UNDEPLOY
    """The operation on each target: an undeploy, or in a restore a deploy."""

    @property
    def is_restore(self) -> bool:
        """Whether the run deploys targets again after an undeploy."""
        return self.change != UNDEPLOY


async def start_run(source: RunDraft, request: RunRequest, environment: Environment) -> RunResult:
    """Start the run of a draft. See ``api.run``."""
    options, plan, draft = request.options, source.plan, source.draft
    _check_folders(options)
    protection = select_targets(source, options)
    # A rehearsal takes place at any time, so that only a window of the command line holds for it.
    chosen = choose_window(options.window, None if request.rehearsal else plan.window)
    materials = await resolve_credentials(draft.database, plan, chosen.window, request, environment)
    meta = read_meta(draft.database)
    created = environment.now()
    draft.keep(RunMeta(created=created, rehearsal=request.rehearsal))
    draft.begin_ledger(request.options.signing_key)
    draft.close()
    path = _name_folder(source, request, created)
    with ExitStack() as gate:
        # A rehearsal touches simulators alone, so it may take the targets of a live run.
        if not request.rehearsal:
            await refuse_overlap(gate, options.state, source.place / "journal.sqlite")
        folder = publish_draft(source.place, path)
        with folder.lock() as holder:
            # From here on the run's own lock keeps other runs off its targets.
            gate.close()
            with request.signals.hold() as held:
                request.on_start(folder)
                spec = SessionSpec(
                    request=request,
                    folder=folder,
                    plan=_drop_waits(plan) if request.rehearsal else plan,
                    change=source.change,
                    number=1,
                    holder=holder,
                    window=chosen.window,
                    window_from=chosen.origin,
                    materials=materials,
                    expires=meta.approval_ends,
                    accepted=meta.accept,
                    protection=protection,
                )
                session = Session(spec, open_journal(folder, request.options.signing_key), environment)
            return await run_and_report(session, spec, held)


def select_targets(source: RunDraft, options: RunOptions) -> ProtectionSummary | None:
    """Hold back the targets that the run must not touch; return how many are protected, None in a restore.

    Raises UsageError and PlanError for options that cannot be meant.
    """
    plan, database = source.plan, source.draft.database
    refuse_dead_patterns(plan, options)
    refuse_idle_filters(database, plan, options)
    apply_selection(database, plan, options)
    split_waves(database, plan)
    # A protected target is meant to be up: a restore brings it up like any other target.
    return None if source.is_restore else summarize_protection(database, plan, options)


def _check_folders(options: RunOptions) -> None:
    """Raise RunError and UsageError for folders that are not safe to write to."""
    check_state(options.state)
    if options.report_dir is not None:
        check_folder(options.report_dir)


def _name_folder(source: RunDraft, request: RunRequest, created: float) -> Path:
    """Return a new path for a run, with a random end: two runs may be created in one second."""
    name = f"restore-{source.plan.name}" if source.is_restore else source.plan.name
    return name_folder(
        request.options.state,
        name=make_slug(name),
        suffix=secrets.token_hex(2),
        at=created,
        rehearsal=request.rehearsal,
    )


def _drop_waits(plan: Plan) -> Plan:
    """Return the plan as it is rehearsed: without its pauses, and without a question to an operator."""
    waves = tuple(replace(wave, pause_after=None, proceed="automatic") for wave in plan.waves)
    return replace(plan, waves=waves)


_SPELLED = str.maketrans({"\u0131": "i", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
"""Latin letters that are no letter with an accent."""


def make_slug(name: str) -> str:
    """Return a plan's name as part of a folder's name: ASCII letters and digits between single hyphens.

    Letters lose their accents; those of other scripts are left out.
    """
    bare = "".join(letter for letter in normalize("NFKD", name) if not combining(letter))
    spelled = bare.lower().translate(_SPELLED)
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in spelled)
    return "-".join(part for part in kept.split("-") if part)[:40].rstrip("-") or "plan"
