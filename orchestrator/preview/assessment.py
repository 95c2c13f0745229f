"""A preview, with the requests and the time that a run will need, and with its warnings. Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.plan import Plan
from orchestrator.preview.forecast import RunForecast, forecast_run
from orchestrator.preview.states import Preview
from orchestrator.preview.warnings import PreviewWarning, list_warnings


class AssessedPreview(Struct, frozen=True, kw_only=True):
    """A preview, with its consequences for a run."""

    plan: Plan
    preview: Preview
    forecast: RunForecast
    warnings: tuple[PreviewWarning, ...]
    """The gravest first."""


def assess_preview(plan: Plan, preview: Preview, *, guarded: bool) -> AssessedPreview:
    """Return ``preview`` with the forecast of a run and the warnings about it.

    ``guarded``: an approval of this preview is to guard the run, which then reads each target once more.
    """
    # A plan that wants an approval file makes every run of it a guarded one.
    forecast = forecast_run(plan, preview, guarded=guarded or plan.approval in ("file", "signed"))
    warnings = list_warnings(plan, preview, forecast)
    return AssessedPreview(plan=plan, preview=preview, forecast=forecast, warnings=warnings)
