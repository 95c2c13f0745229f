"""Ids of targets that somebody wrote: whether the plan's gateways could have such a target."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import UnfitError
from orchestrator.model.target_id import split_id
from orchestrator.plan.header import NamedGateway
from orchestrator.plan.problems import nearest
from orchestrator.plan.shape import check
from orchestrator.text.characters import quote_text


def split_known(text: str, gateways: Mapping[str, NamedGateway]) -> tuple[NamedGateway, tuple[str, ...]]:
    """Return the gateway and the parts of the id ``text``. Raises ``UnfitError`` for what cannot be one."""
    name, parts = split_id(text)
    known = gateways.get(name)
    if known is None:
        hint = nearest(text.partition("/")[0], gateways) or f"the gateways are {', '.join(gateways)}"
        raise UnfitError(f"{quote_text(text)}: the plan has no such gateway", hint if gateways else "")
    if known.kind is None:
        return known, parts
    coordinates = known.kind.COORDINATES
    if len(parts) != len(coordinates):
        form = "/".join([known.name, *(f"<{item.name}>" for item in coordinates)])
        raise UnfitError(f"{quote_text(text)} is no id of a target there", f"its form is {form}")
    for coordinate, part in zip(coordinates, parts, strict=True):
        try:
            check(coordinate, part)
        except UnfitError as unfit:
            raise UnfitError(f"{quote_text(text)}: {coordinate.name} {unfit.message}", unfit.hint) from None
    return known, parts
