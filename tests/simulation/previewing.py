"""A preview before a simulated run, and the approval that is made of it: judged by the books of that moment.

No rule of the engine is used here: the judges know the books, the requests, and the words of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.commands.terminal.preview import choose_exit_status
from orchestrator.engine.options import RunOptions
from orchestrator.errors import OrchestratorError
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.target import TargetId
from orchestrator.preview.approval import Approval, Approver
from orchestrator.preview.approval_file import load_approval, save_approval
from orchestrator.preview.assessment import AssessedPreview, assess_preview
from orchestrator.preview.json import render_json
from orchestrator.preview.lines import render_lines
from orchestrator.preview.look import take_preview
from orchestrator.preview.markdown import render_markdown
from orchestrator.preview.states import build_approved
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.runs.load import LoadedPlan
from orchestrator.simulator.books import SeenRequest, TargetFacts
from tests.simulation.looking import LookStage, find_secrets
from tests.simulation.promises import is_closed
from tests.simulation.scene import PreviewScene, SeedScene
from tests.simulation.use import count_calls
from tests.simulation.wire import SessionWire

APPROVER = Approver(user="simulated", host="seed")

SIGNING_KEY = Secret("the key of simulated approvals")

SILENT_FOR = 60.0
"""Seconds without an answer after which a preview stops looking at a gateway, by docs/preview.md."""

MOMENT = 0.2
"""Seconds that a request may take from its admission to its departure, and the last words of a preview."""


class SimulatedPreview(Struct, frozen=True, kw_only=True):
    """A preview as it was shown, and its approval if one was taken."""

    shown: dict[str, Any]
    """Its JSON."""
    told: str
    """Its table and its Markdown."""
    status: int
    approval: Approval | None


async def play_preview(
    wanted: PreviewScene, loaded: LoadedPlan, options: RunOptions, environment: Environment, folder: Path
) -> SimulatedPreview:
    """Take the preview of a plan, and write its approval where one is wanted. Raises as a preview does."""
    preview = await take_preview(loaded, options, environment, guarded=wanted.is_approved, hours=wanted.hours)
    assessed = assess_preview(loaded.plan, preview, guarded=wanted.is_approved)
    return SimulatedPreview(
        shown=msgspec.json.decode("\n".join(render_json(assessed))),
        told="\n".join([*render_lines(assessed), *render_markdown(assessed)]),
        status=choose_exit_status(assessed),
        approval=_approve(wanted, loaded, options, assessed, folder),
    )


def judge_preview(
    stage: LookStage, wanted: PreviewScene, loaded: LoadedPlan, options: RunOptions, folder: Path
) -> SimulatedPreview | None:
    """Play the preview of a scene, and judge it; None where it could not be taken."""
    played = stage.play(play_preview(wanted, loaded, options, stage.environment, folder))
    if isinstance(played, SimulatedPreview):
        stage.broken += check_preview(stage, played)
        return played
    if played is not None:
        stage.broken += check_refused_preview(stage.scene, played)
    return None


def _approve(
    wanted: PreviewScene, loaded: LoadedPlan, options: RunOptions, assessed: AssessedPreview, folder: Path
) -> Approval | None:
    """Save the approval, and load it as the run does that follows at once."""
    if not wanted.is_approved:
        return None
    file = folder / "approval.json"
    key = SIGNING_KEY if wanted.is_signed else None
    save_approval(assessed.preview, file, APPROVER, key)
    now = datetime.fromtimestamp(assessed.preview.taken + assessed.preview.seconds, UTC)
    return load_approval(file, loaded, options, key, now=now)


def read_approved(approval: Approval) -> dict[TargetId, StateAtApproval]:
    """Return the states to which a run holds that is guarded by an approval."""
    return {
        TargetId(target.id): build_approved(target.state, target.revision, target.since)
        for target in approval.targets
    }


def check_refused_preview(scene: SeedScene, refused: OrchestratorError) -> Iterator[str]:
    """Yield a line for a preview that was refused while there was something to look at."""
    held = {*scene.skip, *scene.plan.protect}
    if any(target.id not in held for target in scene.targets):
        yield f"the preview was refused: {refused}"


def check_preview(stage: LookStage, played: SimulatedPreview) -> Iterator[str]:
    """Yield each mistake of a preview, by the books of its time and by what it has sent."""
    scene, books, requests, wire = stage.scene, stage.books, stage.requests, stage.wire
    yield from find_secrets("the preview", msgspec.json.encode(played.shown).decode() + played.told)
    yield from _check_whole(scene, played.shown)
    yield from _check_counts(played.shown)
    yield from _check_requests(played.shown, requests, wire)
    for target in played.shown["targets"]:
        if not is_closed(scene, target["id"]):
            yield from check_state(target, books.targets.get(target["id"]), requests)
        yield from _check_use(scene, target)
    yield from check_status(played.shown, played.status)
    yield from check_silence(scene, wire, wire.began + stage.seconds)
    if played.approval is not None:
        yield from check_approval(played.shown, played.approval)


def _check_whole(scene: SeedScene, shown: dict[str, Any]) -> Iterator[str]:
    """Check that each target is shown once, but for those that no run would take; these are counted."""
    protected = {*scene.plan.protect}
    filtered = {*scene.skip} - protected
    wanted = sorted(target.id for target in scene.targets if target.id not in protected | filtered)
    if sorted(target["id"] for target in shown["targets"]) != wanted:
        yield "the preview does not show each target once that a run would take"
    counts = shown["counts"]
    if (counts["protected"], counts["filtered"]) != (len(protected), len(filtered)):
        yield f"the preview counts {counts}, with {len(protected)} protected and {len(filtered)} left out"


_GROUPS = {
    "deployed": "will_change",
    "partial": "will_change",
    "undeployed": "already_so",
    "absent": "does_not_exist",
    "unknown": "unknown",
}
"""What a run does with a target in each state, by docs/preview.md."""


def _check_counts(shown: dict[str, Any]) -> Iterator[str]:
    for target in shown["targets"]:
        if _GROUPS[target["state"]] != target["group"]:
            yield f"the preview shows {target['id']} as {target['state']}, and in {target['group']}"
        if target["state"] in ("unknown", "absent") and not target["why"]:
            yield f"the preview shows {target['id']} as {target['state']}, and does not say why"
    for group in dict.fromkeys(_GROUPS.values()):
        count = sum(target["group"] == group for target in shown["targets"])
        if {shown["counts"][group], sum(each["counts"][group] for each in shown["gateways"])} != {count}:
            yield f"the preview counts {group} as {shown['counts'][group]}, and shows {count}"


def _check_requests(
    shown: dict[str, Any], requests: Sequence[SeenRequest], wire: SessionWire
) -> Iterator[str]:
    """Check the number of requests: no fewer than have arrived, no more than were let go."""
    if not len(requests) <= shown["requests"] <= len(wire.exchanges):
        few, many = len(requests), len(wire.exchanges)
        yield f"the preview tells of {shown['requests']} requests; {few} arrived, and {many} were let go"


def check_state(
    target: dict[str, Any], facts: TargetFacts | None, requests: Sequence[SeenRequest]
) -> Iterator[str]:
    """Yield a line if the preview tells a state that the books do not have; ``unknown`` is no state."""
    true = "undeployed" if facts is not None and facts.down else "deployed"
    name, state = target["id"], target["state"]
    if facts is None:
        # What was never deployed to an environment is down there, and in no book.
        wrong = state not in ("absent", "undeployed", "unknown")
    elif state == "partial":
        wrong = not any(seen.fault in ("partial", "no-pods") for seen in requests if seen.target == name)
    else:
        wrong = state not in (true, "unknown")
    if wrong:
        yield f"the preview calls {name} {state}, and it is {true if facts is not None else 'in no book'}"


def _check_use(scene: SeedScene, target: dict[str, Any]) -> Iterator[str]:
    """Check that the calls of a target are those of the books, wherever they are told."""
    use = target["usage"]
    if use is None or use["calls"] is None:
        return
    planned = next(each for each in scene.targets if each.id == target["id"])
    if (calls := count_calls(scene, planned)) != use["calls"]:
        yield f"the preview tells {use['calls']} calls of {target['id']}, and it had {calls}"


def check_status(shown: dict[str, Any], status: int) -> Iterator[str]:
    """Yield a line if the exit status does not say whether all is known that was asked for."""
    is_known = all(
        target["state"] != "unknown" and (target["usage"] is None or _is_told(target["usage"]))
        for target in shown["targets"]
    )
    if status != (0 if is_known else 1):
        yield f"the preview ends with {status}, and {'all' if is_known else 'not all'} is known"
    if shown["complete"] != all(target["state"] != "unknown" for target in shown["targets"]):
        yield f"the preview is complete: {shown['complete']}, and does not show so"


def _is_told(use: dict[str, Any]) -> bool:
    return use["calls"] is not None and (use["is_open"] or use["callers_unread"] is None)


def check_silence(scene: SeedScene, wire: SessionWire, ended: float) -> Iterator[str]:
    """Yield each request to a gateway that had given no answer for a minute, and a preview that stays on.

    The reads of calls, which come last, are not bounded so: their part of a gateway may be silent alone.
    """
    if scene.plan.in_use != "ignore" or (scene.preview is not None and scene.preview.hours is not None):
        return
    last = wire.began
    for gateway in scene.plan.gateways:
        heard = wire.began
        for at, heard_until in sorted(_list_moments(wire, gateway)):
            if not heard_until and at > heard + SILENT_FOR + MOMENT:
                yield f"the preview asked {gateway.name} {at - heard:.1f} s after its last answer"
            heard = max(heard, heard_until)
        last = max(last, heard)
    if ended > last + SILENT_FOR + 2 * MOMENT:
        yield f"promise 10: the preview ended {ended - last:.1f} s after the last answer"


def _list_moments(wire: SessionWire, gateway: Gateway) -> Iterator[tuple[float, float]]:
    """Yield when each request left, and when each answer came; with the end of the pause that it asks for."""
    for each in wire.list_of(gateway.name):
        yield each.left, 0.0
        if each.status is not None and each.came is not None:
            yield each.came, each.came + min(each.wait or 0.0, gateway.park_for)


def check_approval(shown: dict[str, Any], approval: Approval) -> Iterator[str]:
    """Yield each way in which an approval differs from what was shown to the person who has approved."""
    approved = [(target.id, str(target.state), target.revision, target.since) for target in approval.targets]
    wanted = [(each["id"], each["state"], each["revision"], each["since"]) for each in shown["targets"]]
    if approved != wanted:
        yield "the approval does not hold the targets as the preview shows them"
    if list(approval.incomplete) != [each["id"] for each in shown["targets"] if each["state"] == "unknown"]:
        yield "the approval does not name the targets of which the preview knows nothing"
