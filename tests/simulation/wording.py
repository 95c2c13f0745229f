"""What a manager is told beside an undeploy, by the requests themselves: the words for its history.

No rule of the engine is used here: the judge knows the plan and the words of the product.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.model.reading import Act
from orchestrator.model.target import Target
from tests.simulation.scene import SeedScene
from tests.simulation.wire import SessionWire, WireExchange

_RUN_ID = re.compile(r"\[[\w-]+\]")


def check_words(scene: SeedScene, wire: SessionWire) -> Iterator[str]:
    """Yield each undeploy that tells an Apinizer other words than its plan wants, or another persistence."""
    managers = {gateway.name for gateway in scene.plan.gateways if gateway.KIND == "apinizer"}
    targets: dict[str, Target] = {target.id: target for target in scene.targets}
    for each in wire.exchanges:
        if each.act is Act.UNDEPLOY and each.gateway in managers and each.target in targets:
            yield from _check_body(each, targets[each.target], scene.plan.reason)


def _check_body(each: WireExchange, target: Target, reason: str | None) -> Iterator[str]:
    told: dict[str, Any] = json.loads(each.body) if each.body else {}
    text, keeps = told.pop("description", None), told.pop("persistent", None)
    if each.body == b"{}" or told:
        yield f"{each} has a body that says {told or 'nothing'}, which an older manager may refuse"
    if keeps is not target.persistent:
        yield f"{each} says persistent: {keeps}, and the plan says {target.persistent}"
    if target.description is not None or reason is None:
        is_wanted = text == target.description
    else:
        rest = str(text).removeprefix(f"{reason} ")
        is_wanted = rest != text and _RUN_ID.fullmatch(rest) is not None
    if not is_wanted:
        yield f"{each} says {text!r}; the plan's words are {target.description or reason!r}"
